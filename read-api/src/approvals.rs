//! Requests for approval and their votes.

use async_graphql::{Context, ID, Result};
use domain::approvals::Choice;

use crate::closed_sets::{ApprovalStatus, RiskTier, Role, VoteChoice};
use crate::filter::filter;
use crate::links::{aggregate, links, target_kind};
use crate::lists::lists;
use crate::node::{AnyNode, node};

use crate::personal::PersonalText;
use crate::scalars::DateTime;
use crate::tasks::Task;

node! {
    /// A request for approval of one exact command.
    Approval in "approvals" by "seq", agents see AskedFor {
        /// Id of the request.
        id: ID,
        /// Type of the command, such as `budgets.raise`.
        command_type: String,
        /// Id of the aggregate that the command is for.
        target_id: ID = "target",
        /// JSON of the command's data, for those who decide.
        preview: PersonalText,
        /// Name of the rule that asked for the approval.
        rule: String,
        /// Version of the approval policy that was in force when the request was made; 0 = the
        /// shipped one.
        approval_policy_version: i64,
        /// How many people must approve.
        quorum: i64,
        /// Roles whose holders may vote.
        roles: Vec<Role>,
        /// How much harm the command may do; null = the command does not say.
        risk: Option<RiskTier>,
        /// Id of the principal that made the request.
        requested_by_id: ID = "requested_by",
        /// Where the request stands.
        status: ApprovalStatus,
        /// True if the request was escalated, so that holders of more roles may vote.
        escalated: bool,
        /// When the request was made.
        requested_at: DateTime,
        /// Until when it can be granted and used.
        expires_at: DateTime,
        /// When the request was granted, rejected or withdrawn, or expired; null while it is open.
        closed_at: Option<DateTime>,
        /// When the command was carried out with the approval; null before.
        consumed_at: Option<DateTime>,
        /// True if only a built-in rule asked, which no approval policy removes; then operators may
        /// vote too.
        built_in: bool,
        /// Types of the events that the command would have written when the request was made.
        effects: Vec<String>,
        /// Id of the task that the command is for; null = none.
        task_id: Option<ID> = "task",
        /// True if the requester alone approved what a built-in rule asks a second human for,
        /// because there was no other.
        alone: bool,
    } money {
        /// The amount of money that the command states; null = none.
        amount = "amount", "currency";
    }
}

node! {
    /// A human's vote on a request for approval.
    Vote in "votes" by "seq", agents see OfAskedFor {
        /// Id of the request that was voted on.
        approval_id: ID = "approval",
        /// Id of the human who voted.
        voter_id: ID = "voter",
        /// Id of the human whose delegated right to vote was used; null = the voter's own right.
        delegated_by_id: Option<ID> = "delegated_by",
        /// The voter's choice.
        choice: VoteChoice,
        /// The voter's comment; null = none.
        comment: Option<PersonalText>,
        /// When the vote was cast.
        at: DateTime,
    } money {}
}

links! { Vote {
    one {
        /// The request that was voted on.
        approval: Approval = approval_id;
    }
    principals {
        /// The human who voted.
        voter = voter_id;
        /// The human whose delegated right to vote was used.
        delegated_by = delegated_by_id;
    }
    pages {}
    bounded {}
    fields {
        /// True if the voter approved.
        async fn yes(&self) -> bool {
            self.choice.0 == Choice::Approve
        }
    }
} }

links! { Approval {
    one {
        /// The task that the command is for.
        task: Task = task_id;
    }
    principals {
        /// The principal that made the request.
        requested_by = requested_by_id;
    }
    pages {
        /// The votes on the request.
        votes: Vote, where "approval" = id;
    }
    bounded {}
    fields {
        /// What the command is for; null if it is not there yet, or you do not see it.
        async fn target(&self, ctx: &Context<'_>) -> Result<Option<AnyNode>> {
            match target_kind(&self.command_type) {
                Some(kind) => aggregate(ctx, &self.business, kind, &self.target_id).await,
                None => Ok(None),
            }
        }
    }
} }

filter! {
    /// Which requests for approval are asked for.
    ApprovalFilter {
        /// Requests with one of these ids.
        id: ID, in "id";
        /// Requests with one of these statuses.
        status: ApprovalStatus, in "status";
        /// Requests for commands of one of these types, such as `budgets.raise`.
        command_type: String, in "command_type";
        /// Requests that one of these principals made.
        requested_by_id: ID, in "requested_by";
        /// Requests for commands for one of these tasks.
        task_id: ID, in "task";
        /// Requests for commands that may do one of these harms.
        risk: RiskTier, in "risk";
        /// Requests made at this time or later.
        requested_from: DateTime, where "requested_at >= ?";
        /// Requests made before this time.
        requested_before: DateTime, where "requested_at < ?";
    }
}

lists! {
    /// The requests for approval in a business.
    ApprovalsOfBusiness {
        /// The requests for approval in the business.
        approvals: Approval, by ApprovalFilter;
    }
}
