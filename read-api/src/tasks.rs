//! Tasks with their reviews, activities, decisions and calls.

use async_graphql::{Context, ID, Result};
use domain::tasks::Verdict;

use crate::agents::Agent;
use crate::approvals::Approval;
use crate::audit::{Event, event_by_seq};
use crate::closed_sets::{ReviewVerdict, TaskFailure, TaskStatus, Team};
use crate::decisions::Decision;
use crate::filter::filter;
use crate::integrations::Call;
use crate::links::links;
use crate::lists::lists;
use crate::node::node;

use crate::personal::PersonalText;
use crate::scalars::{DateTime, Digest, JsonValue};

node! {
    /// A piece of work.
    Task in "tasks" by "seq", agents see OfTeam {
        /// Id of the task.
        id: ID,
        /// The work to be done, in a line.
        title: PersonalText,
        /// The work to be done, in full; null = only the title says it.
        instructions: Option<PersonalText>,
        /// Team whose agents are to do the work.
        team: Team,
        /// How urgent the task is: 0 (whenever) to 9 (now).
        priority: i64,
        /// Status of the task.
        status: TaskStatus,
        /// Since when the task has this status.
        status_since: DateTime,
        /// Whose turn it is: `team:…`, `agent:…`, `human:…` or `waiting:<task id>`; null once the
        /// task is closed.
        next_actor: Option<String>,
        /// Number of the revision that is being made, or was made last.
        revision: i64,
        /// Fencing token of the newest lease, which is the number of leases so far.
        fencing_token: i64,
        /// Id of the agent that holds the task; null if none does.
        lease_agent_id: Option<ID> = "lease_agent",
        /// When the lease ends unless it is extended; null if no agent holds the task.
        lease_expires_at: Option<DateTime>,
        /// Id of the agent that made the newest result; null if there is none.
        producer_id: Option<ID> = "producer",
        /// Digest over the newest artifacts and result, which a review must name; null if there is
        /// none.
        artifact_digest: Option<Digest>,
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
        /// Why the task failed; null if it did not.
        failure: Option<TaskFailure>,
        /// Number of activities that were recorded for the task.
        activity_count: i64 = "activities",
        /// Id of the imported log that the task is a case of; null = none.
        history_id: Option<ID> = "history",
        /// Number of the case in that log: 1, 2, 3 …; null = none.
        history_place: Option<i64>,
        /// The attributes of the case as JSON, in the order of the log; null = none.
        attributes: Option<PersonalText>,
        /// When the task was planned.
        planned_at: DateTime,
        /// When the task was completed, failed or cancelled; null while it is open.
        closed_at: Option<DateTime>,
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
        /// Id of the task that was reviewed.
        task_id: ID = "task",
        /// Id of the agent that reviewed the revision.
        reviewer_id: ID = "reviewer",
        /// The reviewer's verdict.
        verdict: ReviewVerdict,
        /// True if no further revision will come: when changes are requested, the task fails.
        final_revision: bool,
        /// The reviewer's findings, in words; null = none.
        findings: Option<PersonalText>,
        /// When the revision was reviewed.
        at: DateTime,
    } money {}
}

node! {
    /// An activity: something that was done for a task elsewhere.
    Activity in "activities" by "seq", agents see OfTeamsTask {
        /// The `seq` of the event that recorded the activity.
        seq: i64,
        /// Id of the task that the activity was done for.
        task_id: ID = "task",
        /// Name of the activity.
        activity: String,
        /// Step of the activity, such as start or complete; null = not stated.
        lifecycle: Option<String>,
        /// Id of the principal that did the activity; null = not stated.
        resource_id: Option<ID> = "resource",
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
        at: DateTime,
    } money {
        /// The cost of the activity for the business; null = not stated.
        cost = "cost", "cost_currency";
    }
}

links! { Activity {
    one {
        /// The task that the activity was done for.
        task: Task = task_id;
    }
    principals {
        /// The principal that did the activity.
        resource = resource_id;
    }
    pages {}
    bounded {}
    fields {
        /// The event that recorded the activity.
        async fn event(&self, ctx: &Context<'_>) -> Result<Option<Event>> {
            event_by_seq(ctx, &self.business, self.seq).await
        }
    }
} }

links! { Review {
    one {
        /// The task that was reviewed.
        task: Task = task_id;
        /// The agent that reviewed the revision.
        reviewer: Agent = reviewer_id;
    }
    principals {}
    pages {}
    bounded {}
    fields {
        /// True if the verdict is `PASSED`.
        async fn passed(&self) -> bool {
            self.verdict.0 == Verdict::Passed
        }
    }
} }

links! { Task {
    one {
        /// The agent that holds the task.
        lease_agent: Agent = lease_agent_id;
        /// The agent that made the newest result.
        producer: Agent = producer_id;
    }
    principals {}
    pages {
        /// The reviews of the task.
        reviews: Review, where "task" = id;
        /// The activities that were recorded for the task.
        activities: Activity, where "task" = id;
        /// Decisions that were made for the task.
        decisions: Decision, where "task" = id;
        /// Calls to outside services that were made for the task.
        calls: Call, where "task" = id;
        /// Requests for approval of commands for the task.
        approvals: Approval, where "task" = id;
        /// Events that changed the task.
        events: Event, where "id" = id;
    }
    bounded {}
    fields {}
} }

filter! {
    /// Which tasks are asked for.
    TaskFilter {
        /// Tasks with one of these ids.
        id: ID, in "id";
        /// Tasks with one of these statuses.
        status: TaskStatus, in "status";
        /// Tasks of one of these teams.
        team: Team, in "team";
        /// Tasks that were, or never were, escalated to a human.
        escalated: bool, is "escalated";
        /// Tasks whose turn it is of one of these, such as `human:owner`.
        next_actor: String, in "next_actor";
        /// Tasks that one of these agents holds.
        lease_agent_id: ID, in "lease_agent";
        /// Tasks whose newest result one of these agents made.
        producer_id: ID, in "producer";
        /// Tasks planned at this time or later.
        planned_from: DateTime, where "planned_at >= ?";
        /// Tasks planned before this time.
        planned_before: DateTime, where "planned_at < ?";
    }
}

lists! {
    /// The tasks of a business.
    TasksOfBusiness {
        /// The tasks of the business.
        tasks: Task, by TaskFilter;
    }
}
