//! Requests for approval and their votes.

use async_graphql::{ComplexObject, Context, Result, SimpleObject};
use rusqlite::OptionalExtension as _;

use crate::Sources;
use crate::allowance::read_here;
use crate::children;
use crate::node::{JsonValue, node};
use crate::personal::PersonalText;

node! {
    /// A request for approval of one exact command.
    Approval in "approvals" by "seq", agents see AskedFor {
        /// Id of the request.
        id: String,
        /// Type of the command, such as `budgets.raise`.
        command_type: String,
        /// Id of the aggregate that the command is for.
        target: String,
        /// JSON of the command's data, for those who decide.
        preview: PersonalText,
        /// Name of the rule that asked for the approval.
        rule: String,
        /// Version of the approval policy that was in force when the request was made; 0 = the
        /// shipped one.
        approval_policy_version: i64,
        /// How many people must approve.
        quorum: i64,
        /// Roles whose holders may vote, a JSON array.
        roles: JsonValue,
        /// How much harm the command may do: low, medium, high or critical; null = the command does
        /// not say.
        risk: Option<String>,
        /// The principal that made the request.
        requested_by: String,
        /// Status of the request: requested, granted, rejected, expired, withdrawn or consumed.
        status: String,
        /// True if the request was escalated, so that holders of more roles may vote.
        escalated: bool,
        /// When the request was made.
        requested_at: String,
        /// Until when it can be granted and used.
        expires_at: String,
        /// When the request was granted, rejected or withdrawn, or expired; null while it is open.
        closed_at: Option<String>,
        /// When the command was carried out with the approval; null before.
        consumed_at: Option<String>,
        /// True if only a built-in rule asked, which no approval policy removes; then operators may
        /// vote too.
        built_in: bool,
        /// Types of the events that the command would have written when the request was made, a
        /// JSON array.
        effects: JsonValue,
        /// Id of the task that the command is for; null = none.
        task: Option<String>,
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
        /// The human who voted.
        voter: String,
        /// The human whose delegated right to vote was used; null = the voter's own right.
        delegated_by: Option<String>,
        /// The voter's choice: approve or reject.
        choice: String,
        /// The voter's comment; null = none.
        comment: Option<PersonalText>,
        /// When the vote was cast.
        at: String,
    } money {}
}

#[ComplexObject]
impl Vote {
    /// True if the voter approved.
    async fn yes(&self) -> bool {
        self.choice == "approve"
    }
}

/// The approval policy in force; the first of its rules that matches a command counts.
#[derive(SimpleObject)]
pub(crate) struct ApprovalPolicy {
    /// Version of the approval policy: 0 is the shipped one; 1, 2, 3 … are the business's own.
    version: i64,
    /// The rules in order, as JSON.
    rules: JsonValue,
    /// What operations of outside services do to the world, as JSON; an entry here overrides the
    /// compiled-in table.
    operation_classes: JsonValue,
    /// Faulty rules of the approval policy: they would be refused today, but still count.
    faults: Vec<RuleFault>,
    /// When the business defined the approval policy; null for the shipped one.
    defined_at: Option<String>,
}

/// A fault of a rule of the approval policy.
#[derive(SimpleObject)]
struct RuleFault {
    /// Name of the faulty rule.
    rule: String,
    /// The fault, in a sentence.
    fault: String,
}

pub(crate) fn approval_policy(ctx: &Context<'_>, business: &str) -> Result<ApprovalPolicy> {
    let sources = ctx.data::<Sources>()?;
    type Row = (i64, String, String, String);
    let row: Option<Row> = read_here(|| {
        sources.views.read(|c| {
            let sql = "SELECT version, rules, operation_classes, defined_at FROM approval_policies \
                WHERE business = ?";
            c.prepare_cached(sql)?
                .query_row([business], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))
                .optional()
        })
    })?;
    let (version, rules, classes, defined_at) = match row {
        Some((version, rules, classes, at)) => {
            (version, serde_json::from_str(&rules)?, serde_json::from_str(&classes)?, Some(at))
        }
        None => (0, domain::approvals::shipped_rules(), serde_json::json!([]), None),
    };
    let faults = (sources.rule_faults)(&rules)
        .into_iter()
        .map(|(rule, fault)| RuleFault { rule, fault })
        .collect();
    Ok(ApprovalPolicy {
        version,
        rules: JsonValue(serde_json::to_value(&rules)?),
        operation_classes: JsonValue(classes),
        faults,
        defined_at,
    })
}

#[ComplexObject]
impl Approval {
    /// The votes on the request, oldest first.
    #[graphql(complexity = "1 + 5 * child_complexity")]
    async fn votes(&self, ctx: &Context<'_>) -> Result<Vec<Vote>> {
        children::all(ctx, &self.business, "approval", &self.id).await
    }
}
