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
        /// Id of the task.
        id: String,
        /// The work to be done, in a line.
        title: PersonalText,
        /// The work to be done, in full; null = only the title says it.
        instructions: Option<PersonalText>,
        /// Name of the team whose agents are to do the work.
        team: String,
        /// How urgent the task is: 0 (whenever) to 9 (now).
        priority: i64,
        /// Status of the task: planned, offered, leased, submitted, escalated, quarantined,
        /// completed, failed or cancelled.
        status: String,
        /// Whose turn it is: team:…, agent:…, human:… or waiting:<task id>; null once the task is
        /// closed.
        next_actor: Option<String>,
        /// Number of the revision that is being made, or was made last.
        revision: i64,
        /// Fencing token of the newest lease, which is the number of leases so far.
        fencing_token: i64,
        /// Id of the agent that holds the task; null if none does.
        lease_agent: Option<String>,
        /// When the lease ends unless it is extended; null if no agent holds the task.
        lease_expires_at: Option<String>,
        /// Id of the agent that made the newest result; null if there is none.
        producer: Option<String>,
        /// Digest over the newest artifacts and result, which a review must name; null if there is
        /// none.
        artifact_digest: Option<String>,
        /// The newest result in words; null if there is none.
        result: Option<PersonalText>,
        /// True if the task was ever escalated to a human.
        escalated: bool,
        /// True if no human decided, edited or took over anything on the way; null unless completed
        /// by review.
        without_human: Option<bool>,
        /// How often reviewers asked for changes.
        rework_rounds: i64,
        /// How often an attempt at the task failed.
        attempts_failed: i64,
        /// Why the task failed: attempts_used, not_retryable, rejected or resolved; null if it did
        /// not.
        failure: Option<String>,
        /// Number of activities that were recorded for the task.
        activities: i64,
        /// Id of the imported log that the task is a case of; null = none.
        history: Option<String>,
        /// Number of the case in that log: 1, 2, 3 …; null = none.
        history_place: Option<i64>,
        /// The attributes of the case as JSON, in the order of the log; null = none.
        attributes: Option<PersonalText>,
        /// When the task was planned.
        planned_at: String,
        /// When the task was completed, failed or cancelled; null while it is open.
        closed_at: Option<String>,
    } money {
        /// The cost of making the newest result; null = not stated.
        cost = "cost", "cost_currency";
        /// Cost for those whom the task serves, such as a simulated customer; null = unknown.
        customer_cost = "customer_cost", "customer_cost_currency";
    }
}

node! {
    /// A reviewer's judgement of one revision of a task.
    Review in "reviews" by "seq", agents see OfTeamsTask {
        /// Number of the revision that was reviewed.
        revision: i64,
        /// Id of the agent that reviewed the revision.
        reviewer: String,
        /// The reviewer's verdict: passed or changes_requested.
        verdict: String,
        /// True if no further revision will come: when changes are requested, the task fails.
        final_revision: bool,
        /// The reviewer's findings, in words; null = none.
        findings: Option<PersonalText>,
        /// When the revision was reviewed.
        at: String,
    } money {}
}

node! {
    /// An activity: something that was done for a task elsewhere.
    Activity in "activities" by "seq", agents see OfTeamsTask {
        /// The `seq` of the event that recorded the activity.
        seq: i64,
        /// Id of the task that the activity was done for.
        task: String,
        /// Name of the activity.
        activity: String,
        /// Step of the activity, such as start or complete; null = not stated.
        lifecycle: Option<String>,
        /// The principal that did the activity; null = not stated.
        resource: Option<String>,
        /// Name of the model that did the activity; null = not stated.
        model: Option<String>,
        /// Tokens that the model read; null = not stated.
        input_tokens: Option<i64>,
        /// Tokens that the model wrote; null = not stated.
        output_tokens: Option<i64>,
        /// Anything else about the activity, in words; null = none.
        note: Option<PersonalText>,
        /// Everything else that the source says of the activity, as JSON in its order; null =
        /// nothing.
        attributes: Option<PersonalText>,
        /// Attributes without personal data, as the sender says, repeated unencrypted.
        clear_attributes: JsonValue,
        /// The time as the source wrote it, with its offset; null = not stated.
        source_time: Option<String>,
        /// When the activity happened.
        at: String,
    } money {
        /// The cost of the activity for the business; null = not stated.
        cost = "cost", "cost_currency";
    }
}

#[ComplexObject]
impl Activity {
    /// Id of the event that recorded the activity.
    async fn event_id(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        children::event_id(ctx, &self.business, self.seq).await
    }
}

#[ComplexObject]
impl Review {
    /// True if the verdict is passed.
    async fn passed(&self) -> bool {
        self.verdict == "passed"
    }
}

#[ComplexObject]
impl Task {
    /// The reviews of the task, oldest first.
    #[graphql(complexity = "1 + 5 * child_complexity")]
    async fn reviews(&self, ctx: &Context<'_>) -> Result<Vec<Review>> {
        children::all(ctx, &self.business, "task", &self.id).await
    }

    /// The activities that were recorded for the task, oldest first.
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

    /// Decisions that were made for the task.
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

    /// Calls to outside services that were made for the task.
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
