//! The approval policy of a business.

use async_graphql::{Context, Object, Result, SimpleObject};
use rusqlite::OptionalExtension as _;

use crate::allowance::read_here;
use crate::of_business::{self, IdArg};
use crate::page::client_error;
use crate::row::FromColumn as _;
use crate::scalars::{DateTime, JsonValue};
use crate::{Sources, Viewer};

/// The approval policy in force; the first of its rules that matches a command counts.
#[derive(SimpleObject)]
struct ApprovalPolicy {
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
    defined_at: Option<DateTime>,
}

/// A fault of a rule of the approval policy.
#[derive(SimpleObject)]
struct RuleFault {
    /// Name of the faulty rule.
    rule: String,
    /// The fault, in a sentence.
    fault: String,
}

fn approval_policy(ctx: &Context<'_>, business: &str) -> Result<ApprovalPolicy> {
    let sources = ctx.data::<Sources>()?;
    type Row = (i64, String, String, DateTime);
    let row: Option<Row> = read_here(|| {
        sources.views.read(|c| {
            let sql = format!(
                "SELECT version, rules, operation_classes, defined_at FROM approval_policies WHERE \
                 {}",
                of_business::condition("business", "")
            );
            let row = |r: &rusqlite::Row<'_>| {
                let defined_at = DateTime::from_column(r, 3, business)?;
                Ok((r.get(0)?, r.get(1)?, r.get(2)?, defined_at))
            };
            c.prepare_cached(&sql)?.query_row([IdArg::new(business)], row).optional()
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

/// The approval policy of a business.
#[derive(Clone)]
pub(crate) struct ApprovalPolicyOfBusiness(pub(crate) String);

/// The approval policy of a business.
#[Object]
impl ApprovalPolicyOfBusiness {
    /// The approval policy in force, with the faults of its rules. Not for agents, for
    /// whom it is null, with an error.
    async fn approval_policy(&self, ctx: &Context<'_>) -> Result<Option<ApprovalPolicy>> {
        if !ctx.data::<Viewer>()?.reads_all(self.0.parse()?) {
            return Err(client_error(
                "FORBIDDEN",
                "agents do not see the approval policy; a refusal names the rule",
                "ask with a human's key",
            ));
        }
        approval_policy(ctx, &self.0).map(Some)
    }
}
