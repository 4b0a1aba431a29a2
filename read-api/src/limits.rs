//! The alias limit: async-graphql has none, and each alias is a resolver call more.

use std::sync::Arc;

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextParseQuery};
use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use async_graphql::{ServerError, ServerResult, Variables};
use domain::limits::GRAPHQL_ALIASES_MAX;

/// Refuses a document with too many aliases.
pub(crate) struct Aliases;

impl ExtensionFactory for Aliases {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait::async_trait]
impl Extension for Aliases {
    async fn parse_query(&self, ctx: &ExtensionContext<'_>, query: &str, variables: &Variables, next: NextParseQuery<'_>) -> ServerResult<ExecutableDocument> {
        let document = next.run(ctx, query, variables).await?;
        let operations = document.operations.iter().map(|(_, o)| aliases(&o.node.selection_set.node));
        let fragments = document.fragments.values().map(|f| aliases(&f.node.selection_set.node));
        let count: usize = operations.chain(fragments).sum();
        if count > GRAPHQL_ALIASES_MAX {
            return Err(ServerError::new(format!("{count} aliases are more than the {GRAPHQL_ALIASES_MAX} that one query may have; split it"), None));
        }
        Ok(document)
    }
}

fn aliases(set: &SelectionSet) -> usize {
    set.items
        .iter()
        .map(|item| match &item.node {
            Selection::Field(field) => usize::from(field.node.alias.is_some()) + aliases(&field.node.selection_set.node),
            Selection::InlineFragment(fragment) => aliases(&fragment.node.selection_set.node),
            Selection::FragmentSpread(_) => 0,
        })
        .sum()
}
