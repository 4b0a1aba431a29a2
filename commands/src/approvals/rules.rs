//! Checks the rules of an approval policy: each rule must be able to apply, and no rule may make
//! the policy impossible to change.

use std::collections::BTreeSet;

use domain::access::PrincipalKind;
use domain::approvals::{ApprovalRule, shipped_rules};
use domain::integrations::DataClass;
use domain::values::Role;

use super::DefinePolicy;
use crate::Refusal;
use crate::approval_check::is_never_gated;
use crate::registry::{AnyCommand, Sender};
use crate::root::Context;

/// Most rules of an approval policy, and most operations that it classifies.
const RULES_MAX: usize = 100;
/// Most votes that a rule may ask for.
const QUORUM_MAX: u8 = 20;
/// The command that changes an approval policy.
const MENDS: &str = "approvals.define_policy";

/// The faults of a rule, a sentence each; empty for a sound rule.
fn faults_of(rule: &ApprovalRule) -> Vec<String> {
    let mut faults = Vec::new();
    let looks_at = rule.when.looks_at();
    if rule.when.command_types.is_empty() && looks_at.is_empty() {
        faults.push(
            "it would gate everything; name `command_types` or what a command carries".to_owned(),
        );
    }
    for name in &rule.when.command_types {
        match AnyCommand::known(name.as_str()) {
            Err(unknown) => faults.push(unknown),
            Ok(command_type) if is_never_gated(command_type) => {
                faults.push(format!("{name} is never held up for approval; leave it out"))
            }
            Ok(command_type) => {
                let kinds = &rule.when.actor_kinds;
                if !kinds.is_empty()
                    && kinds.iter().all(|kind| *kind == PrincipalKind::Agent)
                    && !command_type.from.contains(&Sender::Agent)
                {
                    faults.push(format!(
                        "no agent may send {name}, so the rule would never apply to it"
                    ));
                }
                let never = looks_at.iter().filter(|what| !command_type.carries.contains(what));
                faults.extend(never.map(|what| {
                    format!("{name} never carries a {what}, so the rule would never apply to it")
                }));
            }
        }
    }
    if rule.when.amount_at_least.is_some_and(domain::Money::is_negative) {
        faults.push("`amount_at_least` is below zero, so it would gate every amount".to_owned());
    }
    if rule.when.command_types.is_empty()
        && !AnyCommand::types().any(|t| looks_at.iter().all(|what| t.carries.contains(what)))
    {
        faults.push("no command carries all that it looks at, so it would never apply".to_owned());
    }
    for name in
        rule.when.data_classes.iter().filter(|name| name.as_str().parse::<DataClass>().is_err())
    {
        faults.push(format!(
            "there is no data class `{name}`; there are public, internal, \
            confidential and restricted"
        ));
    }
    for role in rule
        .roles
        .iter()
        .chain(&rule.escalate_to)
        .filter(|role| !matches!(role, Role::Owner | Role::Approver))
    {
        faults.push(format!("the role {role} can't vote; owner and approver can"));
    }
    if rule.quorum > QUORUM_MAX
        || (rule.quorum > 0 && rule.roles.is_empty())
        || rule.expires_after_seconds < 60
    {
        faults.push(format!(
            "its quorum must be at most {QUORUM_MAX}, with roles unless it \
            forbids, and at least 60 seconds to vote"
        ));
    }
    let mends = rule.when.command_types.iter().any(|t| t.as_str() == MENDS);
    if mends && rule.quorum == 0 {
        faults.push(format!("it forbids {MENDS}, and so its own repair"));
    }
    faults
}

/// The faults of an approval policy's rules, each with the rule's name. Rules that were stored
/// before these checks existed are checked too.
#[must_use]
pub fn faults(rules: &[ApprovalRule]) -> Vec<(String, String)> {
    rules
        .iter()
        .flat_map(|rule| faults_of(rule).into_iter().map(|fault| (rule.name.to_string(), fault)))
        .collect()
}

pub(super) fn check(c: &DefinePolicy, ctx: &Context) -> Result<(), Refusal> {
    let mut names: Vec<_> = c.rules.iter().map(|r| &r.name).collect();
    names.sort_unstable();
    names.dedup();
    if c.rules.len() > RULES_MAX
        || names.len() != c.rules.len()
        || c.operation_classes.len() > RULES_MAX
    {
        return Err(Refusal::OutOfRange {
            field: "rules",
            rule: "at most 100, each with a name of its own, and at most 100 operation_classes",
        });
    }
    if let Some((rule, fault)) = faults(&c.rules).into_iter().next() {
        return Err(Refusal::RuleFaulty { rule, fault });
    }
    // Whoever lays it down will ask to change it: so many others must be there to vote on that.
    for rule in c.rules.iter().filter(|r| r.when.command_types.iter().any(|t| t.as_str() == MENDS))
    {
        let roles: BTreeSet<Role> = rule.roles.iter().chain(&rule.escalate_to).copied().collect();
        let there = ctx.people.voters_besides(ctx.business, &roles, ctx.actor.principal);
        if usize::from(rule.quorum) > there {
            let fault = format!(
                "{} votes on {MENDS} are more than the {there} others there who could give one",
                rule.quorum
            );
            return Err(Refusal::RuleFaulty { rule: rule.name.to_string(), fault });
        }
    }
    Ok(())
}

/// True if for every shipped rule there is one as strict or stricter: it applies to all that
/// the shipped one applies to, and no laxer one stands before it.
pub(crate) fn covers_shipped(rules: &[ApprovalRule]) -> bool {
    shipped_rules().iter().all(|shipped| {
        let strict = |rule: &ApprovalRule| {
            let voters: BTreeSet<Role> =
                shipped.roles.iter().chain(&shipped.escalate_to).copied().collect();
            rule.quorum == 0
                || (rule.quorum >= shipped.quorum
                    && (rule.separation_of_duties || !shipped.separation_of_duties)
                    && rule.expires_after_seconds <= shipped.expires_after_seconds
                    && rule.roles.iter().chain(&rule.escalate_to).all(|role| voters.contains(role)))
        };
        let elsewhere = |rule: &ApprovalRule| {
            let types = &rule.when.command_types;
            !types.is_empty() && types.iter().all(|t| !shipped.when.command_types.contains(t))
        };
        let first = rules
            .iter()
            .find(|rule| !elsewhere(rule) && (rule.when.contains(&shipped.when) || !strict(rule)));
        first.is_some_and(strict)
    })
}
