//! Requests for approval and their votes.

use async_graphql::{ComplexObject, Context, Result};

use crate::children;
use crate::node::{JsonValue, node};
use crate::personal::PersonalText;

node! {
    /// A request for approval of one exact command.
    Approval in "approvals" by "seq", agents see AskedFor {
        /// Its id.
        id: String,
        /// The command's type.
        command_type: String,
        /// The aggregate the command is for.
        target: String,
        /// JSON of the command's data.
        preview: PersonalText,
        /// The rule that asked for it.
        rule: String,
        /// The version of the approval policy that the rule stands in.
        approval_policy_version: i64,
        /// How many must say yes.
        quorum: i64,
        /// Who may vote.
        roles: JsonValue,
        /// low, medium, high or critical.
        risk: Option<String>,
        /// Who asked.
        requested_by: String,
        /// requested, granted, rejected, expired, withdrawn or consumed.
        status: String,
        /// Whether others were let in to vote.
        escalated: bool,
        /// When it was asked for.
        requested_at: String,
        /// Until when it can be granted and used.
        expires_at: String,
        /// When it was decided.
        closed_at: Option<String>,
        /// When it was used.
        consumed_at: Option<String>,
        /// Whether a rule that no approval policy removes asked for it; an operator may vote too then.
        built_in: bool,
        /// Types of the events that the command would write, as things stood.
        effects: JsonValue,
        /// The task that the command is for.
        task: Option<String>,
        /// Whether one human did alone what should take two, because there was no second one.
        alone: bool,
    } money {
        /// What the command may cost.
        amount = "amount", "currency";
    }
}

node! {
    /// A vote.
    Vote in "votes" by "seq", agents see OfAskedFor {
        /// Who voted.
        voter: String,
        /// Whose delegated right was used.
        delegated_by: Option<String>,
        /// approve or reject.
        choice: String,
        /// Why.
        comment: Option<PersonalText>,
        /// When.
        at: String,
    } money {}
}

#[ComplexObject]
impl Vote {
    /// True when it is a yes.
    async fn yes(&self) -> bool {
        self.choice == "approve"
    }
}

#[ComplexObject]
impl Approval {
    /// The votes, oldest first.
    #[graphql(complexity = "1 + 5 * child_complexity")]
    async fn votes(&self, ctx: &Context<'_>) -> Result<Vec<Vote>> {
        children::all(ctx, &self.business, "approval", &self.id).await
    }
}
