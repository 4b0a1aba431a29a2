//! Agents.

use async_graphql::{ComplexObject, Context, Result};

use crate::children;
use crate::node::{JsonValue, node};
use crate::page::Page;
use crate::tasks::Task;

node! {
    /// An agent of a business: a worker that acts with the credentials of one principal.
    Agent in "agents" by "seq", agents see OfTeam {
        /// Id of the agent.
        id: String,
        /// Name of the agent.
        name: String,
        /// Team of the agent: technical, marketing, sales, finance, legal, operations or hr.
        team: String,
        /// Role of the agent: producer (makes results) or qa (reviews them).
        role: String,
        /// Status of the agent: active, suspended or retired.
        status: String,
        /// Skills of the agent, a JSON array of names.
        skills: JsonValue,
        /// Name of the model that the agent runs on.
        model: String,
        /// Version of the agent's prompt; null = not stated.
        prompt_version: Option<String>,
        /// The human who answers for the agent, by principal id.
        owner: String,
        /// The principal with whose credentials the agent acts.
        principal: String,
        /// Tools, connectors and data classes that the agent may use; an empty list allows nothing.
        permissions: JsonValue,
        /// How many tasks the agent may hold at once.
        concurrency: i64,
        /// When the agent was enrolled.
        enrolled_at: String,
    } money {}
}

#[ComplexObject]
impl Agent {
    /// Tasks whose newest result the agent made, the first 50.
    #[graphql(complexity = "1 + 50 * child_complexity")]
    async fn produced(&self, ctx: &Context<'_>) -> Result<Vec<Task>> {
        let page =
            children::list::<Task>(ctx, &self.business, "producer", &self.id, Page::default())
                .await?;
        Ok(page.edges.into_iter().map(|e| e.node.0).collect())
    }
}
