//! A `seq`, a position and a version are types of their own, never bare numbers.

use syn::visit::Visit;

use super::{is_test, sources};

/// What others read or store as a number: GraphQL, KurrentDB's protocol, signed texts, and what
/// names the event that a projection skips.
const WIRE: &[&str] = &[
    "read-api/",
    "kurrent-protocol/",
    "proof/",
    "domain/src/operations.rs",
    "commands/src/operations.rs",
];

/// Fields and arguments that have the name of a place and the type of a number.
#[derive(Default)]
struct BareNumbers(Vec<(usize, String)>);

impl BareNumbers {
    fn look_at(&mut self, name: &syn::Ident, ty: &syn::Type) {
        let text = name.to_string();
        let is_place = ["seq", "position", "version"].into_iter().any(|place| {
            text.strip_suffix(place).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
        });
        if is_place && is_u64(ty) {
            self.0.push((name.span().start().line, text));
        }
    }
}

/// True of `u64` and `Option<u64>`.
fn is_u64(ty: &syn::Type) -> bool {
    let syn::Type::Path(path) = ty else { return false };
    path.path.segments.last().is_some_and(|last| match &last.arguments {
        syn::PathArguments::AngleBracketed(of) => of
            .args
            .iter()
            .any(|arg| matches!(arg, syn::GenericArgument::Type(inner) if is_u64(inner))),
        _ => last.ident == "u64",
    })
}

impl<'ast> Visit<'ast> for BareNumbers {
    fn visit_field(&mut self, field: &'ast syn::Field) {
        if let Some(name) = &field.ident {
            self.look_at(name, &field.ty);
        }
    }

    fn visit_pat_type(&mut self, argument: &'ast syn::PatType) {
        if let syn::Pat::Ident(name) = &*argument.pat {
            self.look_at(&name.ident, &argument.ty);
        }
    }
}

#[test]
fn no_place_of_an_event_is_a_bare_number() {
    let mut found = Vec::new();
    let ours = |file: &str| !is_test(file) && !WIRE.iter().any(|wire| file.starts_with(wire));
    for (file, text) in sources().iter().filter(|(file, _)| ours(file)) {
        let mut bare = BareNumbers::default();
        bare.visit_file(&syn::parse_file(text).unwrap());
        found.extend(bare.0.iter().map(|(line, name)| format!("{file}:{line} {name}")));
    }
    assert!(
        found.is_empty(),
        "use `Seq`, `Position` or `Version` of event-log/src/place.rs instead of u64: {found:?}"
    );
}
