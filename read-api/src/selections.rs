//! How many selections a document has once its fragments are spread, counted before anything walks
//! it.
//!
//! The validators of async-graphql go into a fragment wherever it is spread: 28 fragments that each
//! spread the next one twice are 2^28 selections to them. Here each fragment is counted once.

use std::collections::HashMap;

use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use async_graphql::{Name, ServerError, Value as ConstValue, Variables};
use domain::limits::{GRAPHQL_ALIASES_MAX, GRAPHQL_SELECTIONS_MAX, GRAPHQL_TEXT_BYTES_MAX};

use crate::errors::refused;

/// Why the selections of a document can't be counted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
enum Uncountable {
    /// The fragment of this name spreads itself, directly or through others.
    #[error("the fragment `{0}` spreads itself")]
    Cycle(Name),
}

/// Counts selections, and remembers the count of each fragment.
struct Counter<'a> {
    document: &'a ExecutableDocument,
    /// The count of each fragment; `None` while it is being counted.
    fragments: HashMap<&'a Name, Option<usize>>,
}

impl<'a> Counter<'a> {
    fn set(&mut self, set: &'a SelectionSet) -> Result<usize, Uncountable> {
        let mut sum = 0_usize;
        for item in &set.items {
            let within = match &item.node {
                Selection::Field(field) => self.set(&field.node.selection_set.node)?,
                Selection::InlineFragment(fragment) => {
                    self.set(&fragment.node.selection_set.node)?
                }
                Selection::FragmentSpread(spread) => {
                    self.fragment(&spread.node.fragment_name.node)?
                }
            };
            sum = sum.saturating_add(within).saturating_add(1);
        }
        Ok(sum)
    }

    fn fragment(&mut self, name: &'a Name) -> Result<usize, Uncountable> {
        match self.fragments.get(name) {
            Some(Some(known)) => return Ok(*known),
            Some(None) => return Err(Uncountable::Cycle(name.clone())),
            None => {}
        }
        // One that is not there is said by the validation.
        let Some(fragment) = self.document.fragments.get(name) else { return Ok(0) };
        self.fragments.insert(name, None);
        let count = self.set(&fragment.node.selection_set.node)?;
        self.fragments.insert(name, Some(count));
        Ok(count)
    }
}

/// Counts the selections of all operations of a document, and of fragments that no operation
/// spreads.
fn count(document: &ExecutableDocument) -> Result<usize, Uncountable> {
    let mut counter = Counter { document, fragments: HashMap::new() };
    let mut sum = 0_usize;
    for (_, operation) in document.operations.iter() {
        sum = sum.saturating_add(counter.set(&operation.node.selection_set.node)?);
    }
    for name in document.fragments.keys() {
        if !counter.fragments.contains_key(name) {
            sum = sum.saturating_add(counter.fragment(name)?);
        }
    }
    Ok(sum)
}

/// Refuses a document with too many selections.
pub(crate) fn check_selections(document: &ExecutableDocument) -> Result<(), Box<ServerError>> {
    match count(document) {
        Ok(count) if count <= GRAPHQL_SELECTIONS_MAX => Ok(()),
        Ok(_) => {
            let message = format!(
                "with its fragments spread the query has more than {GRAPHQL_SELECTIONS_MAX} \
                 selections"
            );
            Err(Box::new(refused(
                "TOO_MANY_SELECTIONS",
                message,
                "ask for less at once; `minutebook limits` shows the limits",
            )))
        }
        Err(e) => Err(Box::new(refused(
            "BAD_QUERY",
            e.to_string(),
            "take the spread out of the fragment it names",
        ))),
    }
}

/// Refuses variables with too much text: an error may repeat them.
pub(crate) fn check_variables(variables: &Variables) -> Result<(), Box<ServerError>> {
    fn bytes(value: &ConstValue) -> usize {
        match value {
            ConstValue::Null | ConstValue::Number(_) | ConstValue::Boolean(_) => 8,
            ConstValue::String(text) => text.len(),
            ConstValue::Enum(name) => name.len(),
            ConstValue::Binary(bytes) => bytes.len(),
            ConstValue::List(values) => values.iter().map(bytes).sum(),
            ConstValue::Object(fields) => {
                fields.iter().map(|(name, value)| name.len() + bytes(value)).sum()
            }
        }
    }
    let all: usize = variables.values().map(bytes).sum();
    if all <= GRAPHQL_TEXT_BYTES_MAX {
        return Ok(());
    }
    let message = format!("the variables have {all} bytes, {GRAPHQL_TEXT_BYTES_MAX} are allowed");
    Err(Box::new(refused("TOO_LONG", message, "ask in several queries")))
}

/// Refuses a document with too many aliases.
pub(crate) fn check_aliases(document: &ExecutableDocument) -> Result<(), Box<ServerError>> {
    let operations = document.operations.iter().map(|(_, o)| aliases(&o.node.selection_set.node));
    let fragments = document.fragments.values().map(|f| aliases(&f.node.selection_set.node));
    let count: usize = operations.chain(fragments).sum();
    if count > GRAPHQL_ALIASES_MAX {
        let message = format!(
            "{count} aliases are more than the {GRAPHQL_ALIASES_MAX} that one query may have; \
             split it"
        );
        return Err(Box::new(refused(
            "TOO_MANY_ALIASES",
            message,
            "send several queries, or ask for a list",
        )));
    }
    Ok(())
}

fn aliases(set: &SelectionSet) -> usize {
    set.items
        .iter()
        .map(|item| match &item.node {
            Selection::Field(field) => {
                usize::from(field.node.alias.is_some()) + aliases(&field.node.selection_set.node)
            }
            Selection::InlineFragment(fragment) => aliases(&fragment.node.selection_set.node),
            Selection::FragmentSpread(_) => 0,
        })
        .sum()
}
