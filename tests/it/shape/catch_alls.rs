//! No `_ =>`, `(_, None) =>`, `if let Self::X` and `let Self::X = … else` on an enum that grows.

use syn::spanned::Spanned as _;
use syn::visit::Visit;

use super::{is_test, sources};

/// The enums that grow with every event and command: a catch-all on one of them would pass over
/// what is new.
const GROWING: &[&str] = &["Event", "Command", "AnyCommand"];

/// Matches on a growing enum with an arm that takes whatever comes.
struct CatchAlls {
    /// The type whose `impl` is visited.
    own: Option<String>,
    lines: Vec<usize>,
}

impl CatchAlls {
    /// Whether a pattern names a variant of a growing enum, alone or at a place of a tuple.
    fn names(&self, pattern: &syn::Pat) -> bool {
        let of = |path: &syn::Path| {
            let Some(ty) = path.segments.iter().rev().nth(1).map(|s| s.ident.to_string()) else {
                return false;
            };
            let ty = if ty == "Self" { self.own.clone().unwrap_or_default() } else { ty };
            GROWING.contains(&ty.as_str())
        };
        match pattern {
            syn::Pat::Path(p) => of(&p.path),
            syn::Pat::TupleStruct(p) => of(&p.path),
            syn::Pat::Struct(p) => of(&p.path),
            syn::Pat::Or(p) => p.cases.iter().any(|case| self.names(case)),
            syn::Pat::Reference(p) => self.names(&p.pat),
            syn::Pat::Paren(p) => self.names(&p.pat),
            _ => false,
        }
    }
}

fn takes_all(pattern: &syn::Pat) -> bool {
    match pattern {
        syn::Pat::Wild(_) => true,
        syn::Pat::Ident(p) => p.subpat.is_none(),
        syn::Pat::Reference(p) => takes_all(&p.pat),
        _ => false,
    }
}

fn says_why(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("allow")
            && attribute
                .parse_args_with(|input: syn::parse::ParseStream<'_>| {
                    Ok(input.parse::<proc_macro2::TokenStream>()?.to_string())
                })
                .is_ok_and(|text| {
                    text.contains("wildcard_enum_match_arm") && text.contains("reason")
                })
    })
}

/// The patterns that stand at one place of an arm: the whole, or an element of a tuple.
fn at(pattern: &syn::Pat, place: usize) -> Vec<&syn::Pat> {
    match pattern {
        syn::Pat::Tuple(p) => p.elems.iter().nth(place).into_iter().collect(),
        syn::Pat::Or(p) => p.cases.iter().flat_map(|case| at(case, place)).collect(),
        other if place == 0 => vec![other],
        _ => Vec::new(),
    }
}

impl<'ast> Visit<'ast> for CatchAlls {
    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let name = match &*item.self_ty {
            syn::Type::Path(p) => p.path.segments.last().map(|s| s.ident.to_string()),
            _ => None,
        };
        let outer = std::mem::replace(&mut self.own, name);
        syn::visit::visit_item_impl(self, item);
        self.own = outer;
    }

    // Clippy is told why: such a function looks for one of many.
    fn visit_item_fn(&mut self, f: &'ast syn::ItemFn) {
        if !says_why(&f.attrs) {
            syn::visit::visit_item_fn(self, f);
        }
    }

    fn visit_impl_item_fn(&mut self, f: &'ast syn::ImplItemFn) {
        if !says_why(&f.attrs) {
            syn::visit::visit_impl_item_fn(self, f);
        }
    }

    fn visit_expr_match(&mut self, m: &'ast syn::ExprMatch) {
        for place in 0..4 {
            let arms = || m.arms.iter().flat_map(|arm| at(&arm.pat, place));
            let named = arms().any(|pattern| self.names(pattern));
            // An arm with a guard may take some of what comes; the last word is another's.
            let catch_all = m
                .arms
                .iter()
                .filter(|arm| arm.guard.is_none())
                .find(|arm| at(&arm.pat, place).into_iter().any(takes_all));
            if let Some(arm) = catch_all.filter(|_| named) {
                self.lines.push(arm.pat.span().start().line);
            }
        }
        syn::visit::visit_expr_match(self, m);
    }

    /// `if let Self::X`, and `let … else`: what is not `X` is passed over as `_` would be.
    fn visit_expr_let(&mut self, e: &'ast syn::ExprLet) {
        if self.own.as_deref().is_some_and(|own| GROWING.contains(&own)) && self.names(&e.pat) {
            self.lines.push(e.pat.span().start().line);
        }
        syn::visit::visit_expr_let(self, e);
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        let or_else = local.init.as_ref().is_some_and(|init| init.diverge.is_some());
        let growing = self.own.as_deref().is_some_and(|own| GROWING.contains(&own));
        if or_else && growing && self.names(&local.pat) {
            self.lines.push(local.pat.span().start().line);
        }
        syn::visit::visit_local(self, local);
    }
}

#[test]
fn no_match_on_an_enum_that_grows_has_a_catch_all() {
    let mut found = Vec::new();
    // The importers' `Event` is one of an XML file.
    let ours = |file: &str| !is_test(file) && !file.starts_with("importers/");
    for (file, text) in sources().iter().filter(|(file, _)| ours(file)) {
        let mut catch_alls = CatchAlls { own: None, lines: Vec::new() };
        catch_alls.visit_file(&syn::parse_file(text).unwrap());
        found.extend(catch_alls.lines.iter().map(|line| format!("{file}:{line}")));
    }
    assert!(found.is_empty(), "name every event and command instead of `_`: {found:?}");
}
