//! Completes an answer as the specification wants it (GraphQL October 2021, 6.4.4 and 7.2.2): keys
//! come in the order of the selection, a field that failed is null, and where its type allows no
//! null, what it is in is null instead. async-graphql leaves such a field out, and gives the keys in
//! the order in which they were ready.

use std::collections::HashMap;
use std::sync::LazyLock;

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{
    BaseType, DocumentOperations, ExecutableDocument, OperationDefinition, OperationType,
    Selection, SelectionSet, Type, TypeKind, TypeSystemDefinition,
};
use async_graphql::{Name, Value};

/// The types of fields, by the type that they are of.
type Fields = HashMap<String, HashMap<String, Type>>;

static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    let sdl = async_graphql::parser::parse_schema(crate::sdl());
    let of_type = |definition| {
        let TypeSystemDefinition::Type(ty) = definition else { return None };
        let fields = match ty.node.kind {
            TypeKind::Object(of) => of.fields,
            TypeKind::Interface(of) => of.fields,
            TypeKind::Scalar
            | TypeKind::Union(_)
            | TypeKind::Enum(_)
            | TypeKind::InputObject(_) => return None,
        };
        let types = fields.into_iter().map(|f| (f.node.name.node.to_string(), f.node.ty.node));
        Some((ty.node.name.node.to_string(), types.collect()))
    };
    sdl.into_iter().flat_map(|document| document.definitions).filter_map(of_type).collect()
});

/// A key of an object, and what is selected of its value.
struct Key<'a> {
    name: &'a Name,
    /// The type of the field; `None` if it is not in the schema, such as `__typename`.
    ty: Option<&'static Type>,
    selected: Vec<&'a SelectionSet>,
    /// True if the key is there unless its field failed.
    is_certain: bool,
}

/// Completes the data of an answer to a document that was run.
pub(crate) fn complete(
    document: &ExecutableDocument,
    operation: Option<&str>,
    data: Value,
    has_errors: bool,
) -> Value {
    let chosen: Option<&OperationDefinition> = match (&document.operations, operation) {
        (DocumentOperations::Single(only), _) => Some(&only.node),
        (DocumentOperations::Multiple(all), Some(name)) => all.get(name).map(|o| &o.node),
        (DocumentOperations::Multiple(all), None) => all.values().next().map(|o| &o.node),
    };
    let Some(chosen) = chosen else { return data };
    let data = if data == Value::Null { Value::Object(IndexMap::new()) } else { data };
    let root = match chosen.ty {
        OperationType::Query => "Query",
        OperationType::Subscription => "Subscription",
        OperationType::Mutation => return data,
    };
    let completion = Completion { document, has_errors };
    completion.object(&[&chosen.selection_set.node], root, data).unwrap_or_default()
}

struct Completion<'a> {
    document: &'a ExecutableDocument,
    /// True if a field may have failed.
    has_errors: bool,
}

impl<'a> Completion<'a> {
    /// Collects the keys of an object of a type in the order of the selection.
    fn keys(
        &self,
        set: &'a SelectionSet,
        ty: &str,
        is_certain: bool,
        there: &IndexMap<Name, Value>,
        keys: &mut Vec<Key<'a>>,
    ) {
        for item in &set.items {
            let (condition, within, directives) = match &item.node {
                Selection::Field(field) => {
                    let field = &field.node;
                    let name = &field.response_key().node;
                    let selected = &field.selection_set.node;
                    if let Some(known) = keys.iter_mut().find(|key| key.name == name) {
                        known.selected.push(selected);
                        continue;
                    }
                    keys.push(Key {
                        name,
                        ty: FIELDS.get(ty).and_then(|fields| fields.get(&*field.name.node)),
                        selected: vec![selected],
                        is_certain: is_certain && field.directives.is_empty(),
                    });
                    continue;
                }
                Selection::InlineFragment(fragment) => (
                    fragment.node.type_condition.as_ref().map(|c| &c.node.on.node),
                    &fragment.node.selection_set.node,
                    &fragment.node.directives,
                ),
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    let Some(fragment) = self.document.fragments.get(name) else { continue };
                    (
                        Some(&fragment.node.type_condition.node.on.node),
                        &fragment.node.selection_set.node,
                        &spread.node.directives,
                    )
                }
            };
            let on = condition.map_or(ty, Name::as_str);
            // A fragment on another type than the declared one holds if a key of it is there.
            let holds = on == ty || has_a_key(within, there);
            if holds {
                self.keys(within, on, is_certain && directives.is_empty(), there, keys);
            }
        }
    }

    /// Completes an object; `None` if it must be null. A field that is not there has failed.
    fn object(&self, sets: &[&'a SelectionSet], ty: &str, value: Value) -> Option<Value> {
        let Value::Object(mut there) = value else { return Some(value) };
        if !FIELDS.contains_key(ty) {
            return Some(Value::Object(there));
        }
        if !self.has_errors
            && let [set] = sets
            && is_in_order(set, &there)
        {
            self.within(set, ty, &mut there);
            return Some(Value::Object(there));
        }
        let mut keys = Vec::with_capacity(there.len());
        for set in sets {
            self.keys(set, ty, true, &there, &mut keys);
        }
        let mut whole = IndexMap::with_capacity(keys.len());
        for key in keys {
            let value = match (there.swap_remove(key.name), key.ty) {
                (Some(value), Some(ty)) => self.of_type(&key.selected, ty, value)?,
                (Some(value), None) => value,
                (None, Some(ty)) if key.is_certain && ty.nullable => Value::Null,
                (None, Some(_)) if key.is_certain => return None,
                (None, _) => continue,
            };
            whole.insert(key.name.clone(), value);
        }
        whole.extend(there);
        Some(Value::Object(whole))
    }

    /// Completes the values of an object that is complete itself.
    fn within(&self, set: &'a SelectionSet, ty: &str, there: &mut IndexMap<Name, Value>) {
        for (item, value) in set.items.iter().zip(there.values_mut()) {
            if let (Selection::Field(field), Value::Object(_) | Value::List(_)) =
                (&item.node, &value)
                && !field.node.selection_set.node.items.is_empty()
                && let Some(ty) = FIELDS.get(ty).and_then(|f| f.get(&*field.node.name.node))
            {
                let whole =
                    self.of_type(&[&field.node.selection_set.node], ty, std::mem::take(value));
                *value = whole.unwrap_or_default();
            }
        }
    }

    /// Completes a value of a type; `None` if it is null and must not be.
    fn of_type(&self, sets: &[&'a SelectionSet], ty: &Type, value: Value) -> Option<Value> {
        let completed = match (&ty.base, value) {
            // An object all of whose fields failed is null to the library.
            (BaseType::Named(name), Value::Null)
                if !ty.nullable && FIELDS.contains_key(&**name) =>
            {
                self.object(sets, name, Value::Object(IndexMap::new()))
            }
            (_, Value::Null) => None,
            (BaseType::List(inner), Value::List(items)) => items
                .into_iter()
                .map(|item| self.of_type(sets, inner, item))
                .collect::<Option<Vec<_>>>()
                .map(Value::List),
            (BaseType::Named(name), value) => self.object(sets, name, value),
            (BaseType::List(_), value) => Some(value),
        };
        completed.or(if ty.nullable { Some(Value::Null) } else { None })
    }
}

/// True if an object has the keys of plain fields, each once and in their order.
fn is_in_order(set: &SelectionSet, there: &IndexMap<Name, Value>) -> bool {
    set.items.len() == there.len()
        && set.items.iter().zip(there.keys()).all(|(item, key)| match &item.node {
            Selection::Field(field) => field.node.response_key().node == *key,
            Selection::InlineFragment(_) | Selection::FragmentSpread(_) => false,
        })
}

/// True if a field of the set, or of one in it, is among the keys.
fn has_a_key(set: &SelectionSet, there: &IndexMap<Name, Value>) -> bool {
    set.items.iter().any(|item| match &item.node {
        Selection::Field(field) => there.contains_key(&field.node.response_key().node),
        Selection::InlineFragment(fragment) => has_a_key(&fragment.node.selection_set.node, there),
        Selection::FragmentSpread(_) => false,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may")]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::json;

    use super::*;

    fn completed(query: &str, data: serde_json::Value) -> String {
        let document = parse_query(query).unwrap();
        let data = complete(&document, None, Value::from_json(data).unwrap(), true);
        serde_json::to_string(&data).unwrap()
    }

    #[test]
    fn keys_come_in_the_order_of_the_selection() {
        let query = "{ limits { name unit } b: business(slug: \"x\") { ...S phase } }
            fragment S on Business { slug id }";
        let data = json!({"b": {"phase": "IDEA", "id": "1", "slug": "x"},
            "limits": [{"unit": "u", "name": "n"}]});
        let whole =
            r#"{"limits":[{"name":"n","unit":"u"}],"b":{"slug":"x","id":"1","phase":"IDEA"}}"#;
        assert_eq!(completed(query, data), whole);
        // What is complete but somewhere within is completed there.
        let query = "{ limits { name } b: business(slug: \"x\") { slug tasks { totalCount nodes { \
            id title { state text } } } } }";
        let data = json!({"limits": [{"name": "n"}], "b": {"slug": "x", "tasks": {"totalCount": 1,
            "nodes": [{"id": "1", "title": {"text": null, "state": "WITHHELD"}}]}}});
        let document = parse_query(query).unwrap();
        let data = complete(&document, None, Value::from_json(data).unwrap(), false);
        assert_eq!(
            serde_json::to_string(&data).unwrap(),
            r#"{"limits":[{"name":"n"}],"b":{"slug":"x","tasks":{"totalCount":1,"nodes":[{"id":"1","title":{"state":"WITHHELD","text":null}}]}}}"#
        );
    }

    #[test]
    fn what_failed_is_null_or_makes_null_what_it_is_in() {
        for (query, data, whole) in [
            // `idea` may be null, `slug` must not.
            (
                "{ business { idea { text } slug } }",
                json!({"business": {"slug": "x"}}),
                r#"{"business":{"idea":null,"slug":"x"}}"#,
            ),
            ("{ business { id slug } }", json!({"business": {"id": "1"}}), r#"{"business":null}"#),
            // In a list that may hold no null the list is in question, and what it is in.
            (
                "{ limits { name unit } rateLimits { profile } }",
                json!({"limits": [{"name": "n"}], "rateLimits": {"profile": "BULK"}}),
                "null",
            ),
            // All that is selected of an object that must be there has failed, but may be null.
            (
                "{ business { id tasks { nodes { title { text } } } } }",
                json!({"business": {"id": "1", "tasks": {"nodes": [{"title": null}]}}}),
                r#"{"business":{"id":"1","tasks":{"nodes":[{"title":{"text":null}}]}}}"#,
            ),
            (
                "{ business { id tasks { nodes { title { text } } } } }",
                json!({"business": {"id": "1", "tasks": {"nodes": [null]}}}),
                r#"{"business":null}"#,
            ),
            ("{ business { id } }", json!(null), r#"{"business":null}"#),
            // What is skipped did not fail.
            (
                "{ business { slug id @skip(if: true) } }",
                json!({"business": {"slug": "x"}}),
                r#"{"business":{"slug":"x"}}"#,
            ),
            (
                "{ node(id: \"x\") { nodeId ... on Task { id } ... on Call { open } } }",
                json!({"node": {"id": "1", "nodeId": "n"}}),
                r#"{"node":{"nodeId":"n","id":"1"}}"#,
            ),
        ] {
            assert_eq!(completed(query, data), whole, "{query}");
        }
    }
}
