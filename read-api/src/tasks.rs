//! Tasks with their reviews, decisions and calls.

use async_graphql::{ComplexObject, Context, Result};

use crate::children;
use crate::decisions::Decision;
use crate::integrations::Call;
use crate::node::{JsonValue, node};
use crate::page::{List, Page, cost};
use crate::personal::PersonalText;

node! {
    /// A piece of work.
    Task in "tasks" by "seq", agents see OfTeam {
        /// Its id.
        id: String,
        /// What is to be done, in a line.
        title: PersonalText,
        /// What is to be done, in full.
        instructions: Option<PersonalText>,
        /// The team that does it.
        team: String,
        /// 0 (whenever) to 9 (now).
        priority: i64,
        /// planned, offered, leased, submitted, escalated, quarantined, completed, failed or
        /// cancelled.
        status: String,
        /// Who acts next: team:…, agent:…, human:… or waiting:…; null once it is closed.
        next_actor: Option<String>,
        /// The revision being made, or made last.
        revision: i64,
        /// Number of leases so far.
        fencing_token: i64,
        /// Who holds it.
        lease_agent: Option<String>,
        /// Until when, unless the lease is extended.
        lease_expires_at: Option<String>,
        /// Who made the result at hand.
        producer: Option<String>,
        /// What a review of the result at hand must name.
        artifact_digest: Option<String>,
        /// The result at hand, in words.
        result: Option<PersonalText>,
        /// Whether it was ever escalated to a human.
        escalated: bool,
        /// Whether it was completed with no human's hand in it; null unless completed by review.
        without_human: Option<bool>,
        /// How often reviewers asked for changes.
        rework_rounds: i64,
        /// How often an attempt failed.
        attempts_failed: i64,
        /// Why it failed: attempts_used, not_retryable, rejected or resolved.
        failure: Option<String>,
        /// Activities recorded of it.
        activities: i64,
        /// The log of work done elsewhere that it is a case of.
        history: Option<String>,
        /// Its place in that log.
        history_place: Option<i64>,
        /// What that log says of the case, in its order, as JSON.
        attributes: Option<PersonalText>,
        /// When it was planned.
        planned_at: String,
        /// When it was closed.
        closed_at: Option<String>,
    } money {
        /// What making the result cost.
        cost = "cost", "cost_currency";
        /// What it cost those it serves, such as a simulated customer; null when unknown.
        customer_cost = "customer_cost", "customer_cost_currency";
    }
}

node! {
    /// What a reviewer said of one revision.
    Review in "reviews" by "seq", agents see OfTeamsTask {
        /// Which revision.
        revision: i64,
        /// The reviewing agent.
        reviewer: String,
        /// passed or changes_requested.
        verdict: String,
        /// Whether no further revision was to come.
        final_revision: bool,
        /// What it found.
        findings: Option<PersonalText>,
        /// When.
        at: String,
    } money {}
}

node! {
    /// Something that was done elsewhere.
    Activity in "activities" by "seq", agents see OfTeamsTask {
        /// The event that says so.
        seq: i64,
        /// The task it was done for.
        task: String,
        /// What was done.
        activity: String,
        /// Which step of doing it, such as start or complete.
        lifecycle: Option<String>,
        /// Who did it; null when it was a system.
        resource: Option<String>,
        /// The model that did it.
        model: Option<String>,
        /// Tokens read.
        input_tokens: Option<i64>,
        /// Tokens written.
        output_tokens: Option<i64>,
        /// Anything else, in words.
        note: Option<PersonalText>,
        /// Everything the source says of it, in its order, as JSON.
        attributes: Option<PersonalText>,
        /// Those of the attributes that are about nobody.
        clear_attributes: JsonValue,
        /// The time as the source wrote it.
        source_time: Option<String>,
        /// When.
        at: String,
    } money {
        /// What it cost.
        cost = "cost", "cost_currency";
    }
}

#[ComplexObject]
impl Activity {
    /// The id of the event that says so.
    async fn event_id(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        children::event_id(ctx, &self.business, self.seq).await
    }
}

#[ComplexObject]
impl Review {
    /// True when it is accepted.
    async fn passed(&self) -> bool {
        self.verdict == "passed"
    }
}

#[ComplexObject]
impl Task {
    /// What reviewers said, oldest first.
    #[graphql(complexity = "1 + 5 * child_complexity")]
    async fn reviews(&self, ctx: &Context<'_>) -> Result<Vec<Review>> {
        children::all(ctx, &self.business, "task", &self.id).await
    }

    /// What was done for it elsewhere, oldest first.
    #[graphql(complexity = "cost(first, last, child_complexity)")]
    async fn recorded_activities(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<List<Activity>> {
        children::list(ctx, &self.business, "task", &self.id, Page { first, after, last, before })
            .await
    }

    /// Decisions made for it.
    #[graphql(complexity = "cost(first, last, child_complexity)")]
    async fn decisions(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<List<Decision>> {
        children::list(ctx, &self.business, "task", &self.id, Page { first, after, last, before })
            .await
    }

    /// Calls made for it.
    #[graphql(complexity = "cost(first, last, child_complexity)")]
    async fn calls(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<List<Call>> {
        children::list(ctx, &self.business, "task", &self.id, Page { first, after, last, before })
            .await
    }
}
