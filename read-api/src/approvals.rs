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
        /// Whether a rule that no approval policy removes asked for it; an operator may vote too
        /// then.
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

/// The approval policy in force: the rules, the first of which that applies to a command counts.
#[derive(SimpleObject)]
pub(crate) struct ApprovalPolicy {
    /// 0 is the one that is shipped; 1, 2, 3 … are the business's own.
    version: i64,
    /// Its rules, in order.
    rules: JsonValue,
    /// What operations of outside services do to the world, where the business says so itself.
    operation_classes: JsonValue,
    /// Rules that can't do what they should: they would be refused today and still count.
    faults: Vec<RuleFault>,
    /// When it was laid down; null for the shipped one.
    defined_at: Option<String>,
}

/// What is wrong with a rule.
#[derive(SimpleObject)]
struct RuleFault {
    /// Name of the rule.
    rule: String,
    /// What is wrong, in a sentence.
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
    /// The votes, oldest first.
    #[graphql(complexity = "1 + 5 * child_complexity")]
    async fn votes(&self, ctx: &Context<'_>) -> Result<Vec<Vote>> {
        children::all(ctx, &self.business, "approval", &self.id).await
    }
}
