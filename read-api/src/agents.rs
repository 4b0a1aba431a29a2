//! Agents.

use async_graphql::{ComplexObject, Context, Result};

use crate::children;
use crate::node::{JsonValue, node};
use crate::page::Page;
use crate::tasks::Task;

node! {
    /// An agent of a business.
    Agent in "agents" by "seq", agents see OfTeam {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
        /// technical, marketing, sales, finance, legal, operations or hr.
        team: String,
        /// producer or qa.
        role: String,
        /// active, suspended or retired.
        status: String,
        /// What it is good at.
        skills: JsonValue,
        /// The model it runs on.
        model: String,
        /// Version of its prompt.
        prompt_version: Option<String>,
        /// The human who answers for it.
        owner: String,
        /// The credentials it acts with.
        principal: String,
        /// Tools, connectors and data classes it may use.
        permissions: JsonValue,
        /// How many tasks it may hold at once.
        concurrency: i64,
        /// When it joined.
        enrolled_at: String,
    } money {}
}

#[ComplexObject]
impl Agent {
    /// Tasks whose result at hand it made, the first 50.
    #[graphql(complexity = "1 + 50 * child_complexity")]
    async fn produced(&self, ctx: &Context<'_>) -> Result<Vec<Task>> {
        let page =
            children::list::<Task>(ctx, &self.business, "producer", &self.id, Page::default())
                .await?;
        Ok(page.edges.into_iter().map(|e| e.node.0).collect())
    }
}
