//! What changed between two schemas, and whether it breaks somebody's program.

use super::{Field, Input, Schema, Type};

/// A change of a schema.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    /// True if a program that fitted the schema before may not fit it any more.
    pub is_breaking: bool,
    /// The change in words.
    pub what: String,
}

fn breaking(what: String) -> Change {
    Change { is_breaking: true, what }
}

fn safe(what: String) -> Change {
    Change { is_breaking: false, what }
}

/// True if what is answered as `new` is something that `old` allowed: it may promise more.
fn answers_as(old: &str, new: &str) -> bool {
    match (old.strip_suffix('!'), new.strip_suffix('!')) {
        (Some(old), Some(new)) => answers_as(old, new),
        (None, Some(new)) => answers_as(old, new),
        (Some(_), None) => false,
        (None, None) => match (inner(old), inner(new)) {
            (Some(old), Some(new)) => answers_as(old, new),
            (None, None) => old == new,
            (Some(_), None) | (None, Some(_)) => false,
        },
    }
}

fn inner(ty: &str) -> Option<&str> {
    ty.strip_prefix('[')?.strip_suffix(']')
}

/// True if `new` takes whatever `old` took: it may ask for less.
fn takes_as(old: &str, new: &str) -> bool {
    answers_as(new, old)
}

fn inputs(of: &str, old: &[Input], new: &[Input], found: &mut Vec<Change>) {
    for was in old {
        let name = format!("{of}.{}", was.name);
        match new.iter().find(|now| now.name == was.name) {
            None => found.push(breaking(format!("{name} was removed"))),
            Some(now) if was.ty == now.ty => {
                if was.has_default && now.is_required() {
                    found.push(breaking(format!("{name} has no default any more")));
                }
            }
            Some(now) => {
                let what = format!("{name} takes {} instead of {}", now.ty, was.ty);
                let fits = takes_as(&was.ty, &now.ty) && (!now.is_required() || was.is_required());
                found.push(Change { is_breaking: !fits, what });
            }
        }
    }
    for now in new.iter().filter(|now| old.iter().all(|was| was.name != now.name)) {
        let what = format!("{of}.{} was added", now.name);
        found.push(Change { is_breaking: now.is_required(), what });
    }
}

fn fields(of: &str, old: &[Field], new: &[Field], found: &mut Vec<Change>) {
    for was in old {
        let name = format!("{of}.{}", was.name);
        let Some(now) = new.iter().find(|now| now.name == was.name) else {
            found.push(breaking(format!("{name} was removed")));
            continue;
        };
        if was.ty != now.ty {
            let what = format!("{name} is {} instead of {}", now.ty, was.ty);
            found.push(Change { is_breaking: !answers_as(&was.ty, &now.ty), what });
        }
        inputs(&name, &was.arguments, &now.arguments, found);
    }
    for now in new.iter().filter(|now| old.iter().all(|was| was.name != now.name)) {
        found.push(safe(format!("{of}.{} was added", now.name)));
    }
}

fn names(of: &str, old: &[String], new: &[String], found: &mut Vec<Change>) {
    for was in old.iter().filter(|was| !new.contains(was)) {
        found.push(breaking(format!("{of} has no {was} any more")));
    }
    for now in new.iter().filter(|now| !old.contains(now)) {
        found.push(safe(format!("{of} has {now}")));
    }
}

/// What changed from one schema to the next. To remove or narrow something breaks programs; to add
/// a
/// type, a field, an argument that may be left out, or a value of an enum does not: clients need a
/// default for values that they do not know.
#[must_use]
pub fn changes(old: &Schema, new: &Schema) -> Vec<Change> {
    let mut found = Vec::new();
    for (name, was) in &old.0 {
        match (was, new.0.get(name)) {
            (_, None) => found.push(breaking(format!("{name} was removed"))),
            (Type::Scalar, Some(Type::Scalar)) => {}
            (Type::Object(a, implemented), Some(Type::Object(b, implements))) => {
                fields(name, a, b, &mut found);
                names(name, implemented, implements, &mut found);
            }
            (Type::Interface(a), Some(Type::Interface(b))) => fields(name, a, b, &mut found),
            (Type::Union(a), Some(Type::Union(b))) | (Type::Enum(a), Some(Type::Enum(b))) => {
                names(name, a, b, &mut found);
            }
            (Type::Input(a), Some(Type::Input(b))) => inputs(name, a, b, &mut found),
            (_, Some(_)) => found.push(breaking(format!("{name} is of another kind"))),
        }
    }
    for name in new.0.keys().filter(|name| !old.0.contains_key(*name)) {
        found.push(safe(format!("{name} was added")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str =
        "enum E { A B } scalar S input I { a: Int b: String! } interface N { id: ID! }
        type T implements N { id: ID! e: E s: [S!] at(day: Int, zone: String! = \"UTC\"): S! }
        type Query { t(i: I, n: Int!): T }";

    fn of(old: &str, new: &str) -> Vec<(bool, String)> {
        let changed = OLD.replace(old, new);
        assert_ne!(changed, OLD);
        let found = changes(&Schema::parse(OLD), &Schema::parse(&changed));
        found.into_iter().map(|change| (change.is_breaking, change.what)).collect()
    }

    #[test]
    fn removing_or_narrowing_breaks() {
        for (old, new, what) in [
            ("A B", "A", "E has no B any more"),
            ("e: E ", "", "T.e was removed"),
            ("at(day: Int, ", "at(", "T.at.day was removed"),
            ("S! }", "S }", "T.at is S instead of S!"),
            ("s: [S!]", "s: [S]", "T.s is [S] instead of [S!]"),
            ("s: [S!]", "s: S", "T.s is S instead of [S!]"),
            ("day: Int", "day: Int!", "T.at.day takes Int! instead of Int"),
            ("a: Int ", "a: Int! ", "I.a takes Int! instead of Int"),
            ("a: Int ", "a: Int c: Int! ", "I.c was added"),
            ("String! = \"UTC\"", "String!", "T.at.zone has no default any more"),
            (" implements N", "", "T has no N any more"),
            ("n: Int!", "n: ID!", "Query.t.n takes ID! instead of Int!"),
            ("scalar S", "enum S { X }", "S is of another kind"),
        ] {
            assert_eq!(of(old, new), [(true, what.to_owned())], "{old} -> {new}");
        }
    }

    #[test]
    fn adding_or_promising_more_breaks_nobody() {
        for (old, new, what) in [
            ("A B", "A B C", "E has C"),
            ("e: E ", "e: E f: Int ", "T.f was added"),
            ("e: E ", "e: E! ", "T.e is E! instead of E"),
            ("n: Int!", "n: Int", "Query.t.n takes Int instead of Int!"),
            ("a: Int ", "a: Int c: Int ", "I.c was added"),
            ("day: Int", "day: Int, hour: Int! = 0", "T.at.hour was added"),
            ("scalar S", "scalar S scalar U", "U was added"),
        ] {
            assert_eq!(of(old, new), [(false, what.to_owned())], "{old} -> {new}");
        }
    }
}
