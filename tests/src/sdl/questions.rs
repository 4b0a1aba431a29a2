//! Questions that ask for every field of a schema, and with every argument.

use std::collections::{BTreeMap, VecDeque};

use super::{Field, Schema, Type, bare};

/// A question about all fields of one type, or about one argument.
pub struct Question {
    /// Name of the type whose fields are asked, or of the field with the argument.
    pub about: String,
    /// The question in GraphQL.
    pub text: String,
}

/// How many rows a list on the way to a type is asked for: the first one, and those inside it.
const ROWS: [usize; 3] = [40, 5, 2];

/// A way from the root to a type: what stands before the selection, and after it.
#[derive(Clone)]
struct Way {
    before: String,
    after: String,
    lists: usize,
}

struct Asker<'a> {
    schema: &'a Schema,
    /// Arguments that a field needs, by `Type.field`.
    needed: &'a BTreeMap<&'a str, String>,
}

impl Asker<'_> {
    fn leaf(&self, field: &Field) -> bool {
        matches!(self.schema.0.get(bare(&field.ty)), None | Some(Type::Scalar | Type::Enum(_)))
    }

    /// The field with the arguments that it needs, and a number of rows if it is a list.
    fn called(&self, ty: &str, field: &Field, rows: usize, more: Option<&str>) -> String {
        let mut given: Vec<String> =
            self.needed.get(&*format!("{ty}.{}", field.name)).into_iter().cloned().collect();
        let is = |name: &str| field.arguments.iter().any(|a| a.name == name);
        if is("first") && !more.is_some_and(|m| m.starts_with("last:")) {
            given.push(format!("first: {rows}"));
        }
        given.extend(more.map(str::to_owned));
        let arguments =
            if given.is_empty() { String::new() } else { format!("({})", given.join(", ")) };
        format!("{}{arguments}", field.name)
    }

    /// The shortest way to every object and interface that fields lead to.
    fn ways(&self) -> BTreeMap<String, Way> {
        let root = Way { before: "{ ".to_owned(), after: " }".to_owned(), lists: 0 };
        let mut ways = BTreeMap::from([("Query".to_owned(), root)]);
        let mut next = VecDeque::from(["Query".to_owned()]);
        while let Some(ty) = next.pop_front() {
            let way = ways[&ty].clone();
            let mut fields: Vec<&Field> = self.schema.0[&ty].fields().iter().collect();
            // What is known of one business is asked of it, and what has a list is asked in it.
            let is_list = |f: &Field| f.arguments.iter().any(|a| a.name == "first");
            fields.sort_by_key(|f| (f.name != "business", !is_list(f)));
            for field in fields.into_iter().filter(|f| !self.leaf(f)) {
                let to = bare(&field.ty).to_owned();
                let rows = ROWS[way.lists.min(ROWS.len() - 1)];
                let through = Way {
                    before: format!("{}{} {{ ", way.before, self.called(&ty, field, rows, None)),
                    after: format!(" }}{}", way.after),
                    lists: way.lists + usize::from(is_list(field)),
                };
                if !ways.contains_key(&to) {
                    ways.insert(to.clone(), through);
                    next.push_back(to);
                }
            }
        }
        ways
    }

    /// What tells which object a field leads to: its ids, and those of the rows of a page.
    fn glance(&self, ty: &str) -> String {
        let mut selected = "__typename".to_owned();
        for field in self.schema.0[bare(ty)].fields() {
            match &*field.name {
                "id" | "nodeId" => selected.extend([" ", &field.name]),
                "nodes" => selected.push_str(&format!(" nodes {{ {} }}", self.glance(&field.ty))),
                _ => {}
            }
        }
        selected
    }

    /// Values that an argument of a type is asked with.
    fn values(&self, ty: &str) -> Vec<String> {
        let name = bare(ty);
        match self.schema.0.get(name) {
            Some(Type::Enum(values)) => values.clone(),
            Some(Type::Input(fields)) => fields
                .iter()
                .flat_map(|f| {
                    let of = |value| format!("{{{}: {value}}}", f.name);
                    let known = self.needed.get(&*format!("{name}.{}", f.name)).cloned();
                    known.map_or_else(|| self.values(&f.ty), |v| vec![v]).into_iter().map(of)
                })
                .collect(),
            Some(Type::Scalar | Type::Object(..) | Type::Interface(_) | Type::Union(_)) | None => {
                vec![
                    match name {
                        "Int" => "1",
                        "Boolean" => "true",
                        "DateTime" => "\"2026-11-22T20:00:00Z\"",
                        "ID" | "UUID" => "\"00000000-0000-0000-0000-000000000001\"",
                        _ => "\"x\"",
                    }
                    .to_owned(),
                ]
            }
        }
    }
}

/// Questions that together ask for every field of every object that can be reached from `Query`,
/// and
/// give every argument each of its values once. `needed` has the arguments of fields that need some
/// (`Type.field`: `name: value`), the values of single arguments (`Type.field.argument`) and those
/// of
/// fields of input objects (`Input.field`).
#[must_use]
pub fn questions(schema: &Schema, needed: &BTreeMap<&str, String>) -> Vec<Question> {
    let asker = Asker { schema, needed };
    let mut all = Vec::new();
    for (ty, way) in asker.ways() {
        let selected: Vec<String> = schema.0[&ty]
            .fields()
            .iter()
            .map(|field| {
                let called = asker.called(&ty, field, 2, None);
                if asker.leaf(field) {
                    called
                } else {
                    format!("{called} {{ {} }}", asker.glance(&field.ty))
                }
            })
            .collect();
        let text = format!("{}__typename {}{}", way.before, selected.join(" "), way.after);
        all.push(Question { about: ty.clone(), text });
        for field in schema.0[&ty].fields() {
            for argument in &field.arguments {
                let name = format!("{ty}.{}.{}", field.name, argument.name);
                if argument.name == "first" || argument.is_required() {
                    continue;
                }
                let called = needed.get(&*format!("{ty}.{}", field.name));
                if called.is_some_and(|given| given.starts_with(&format!("{}:", argument.name))) {
                    continue;
                }
                let known = needed.get(&*name).cloned();
                for value in known.map_or_else(|| asker.values(&argument.ty), |v| vec![v]) {
                    let more = format!("{}: {value}", argument.name);
                    let called = asker.called(&ty, field, 2, Some(&more));
                    let selected = if asker.leaf(field) {
                        String::new()
                    } else {
                        format!(" {{ {} }}", asker.glance(&field.ty))
                    };
                    let text = format!("{}{called}{selected}{}", way.before, way.after);
                    all.push(Question { about: name.clone(), text });
                }
            }
        }
    }
    all
}
