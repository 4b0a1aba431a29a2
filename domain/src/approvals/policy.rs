//! The approval policy: rules as data that say which commands need approval.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::events::Event;
use crate::access::PrincipalKind;
use crate::integrations::OperationClass;
use crate::values::{Money, Name, Ratio, RiskTier, Role};

/// When a rule applies. Every list that is not empty and every value that is present must fit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Matcher {
    /// Types of commands.
    pub command_types: Vec<Name>,
    /// Phases, for `businesses.advance`.
    pub phases: Vec<crate::businesses::Phase>,
    /// Only when permissions change, for `agents.change`.
    #[schemars(extend("x-class" = "internal"))]
    pub permissions: bool,
    /// Classes of operations, for calls.
    pub operation_classes: Vec<OperationClass>,
    /// Outside services, for calls.
    pub connectors: Vec<Name>,
    /// Kinds of actors.
    pub actor_kinds: Vec<PrincipalKind>,
    /// From this amount on, in the same currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount_at_least: Option<Money>,
    /// From this risk on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk_at_least: Option<RiskTier>,
    /// Below this confidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence_below: Option<Ratio>,
    /// Classes of data the command touches.
    pub data_classes: Vec<Name>,
}

/// What a rule looks at in a command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ActionFacts {
    /// Its type.
    pub command_type: String,
    /// The phase it leads to.
    pub phase: Option<crate::businesses::Phase>,
    /// Whether it changes permissions.
    pub permissions: bool,
    /// The class of its operation.
    pub operation_class: Option<OperationClass>,
    /// The outside service.
    pub connector: Option<Name>,
    /// Who asks.
    pub actor_kind: Option<PrincipalKind>,
    /// What it may cost.
    pub amount: Option<Money>,
    /// True when it could have said what it may cost, and did not.
    pub amount_unsaid: bool,
    /// How much harm it may do.
    pub risk: Option<RiskTier>,
    /// True when it could have said how sure the actor is, and did not.
    pub confidence_unsaid: bool,
    /// How sure the actor is.
    pub confidence: Option<Ratio>,
    /// Classes of data it touches.
    pub data_classes: Vec<Name>,
}

fn one_of<T: PartialEq>(wanted: &[T], value: Option<&T>) -> bool {
    wanted.is_empty() || value.is_some_and(|v| wanted.contains(v))
}

impl Matcher {
    /// Whether the rule applies to this command.
    #[must_use]
    pub fn matches(&self, facts: &ActionFacts) -> bool {
        let types = self.command_types.is_empty() || self.command_types.iter().any(|t| t.as_str() == facts.command_type);
        let amount = self.amount_at_least.is_none_or(|least| {
            // What is not said, or in another currency, can't be compared: approval is asked for.
            facts.amount_unsaid || facts.amount.is_some_and(|a| a.currency != least.currency || a.amount >= least.amount)
        });
        let classes = self.data_classes.is_empty() || facts.data_classes.iter().any(|c| self.data_classes.contains(c));
        types
            && (!self.permissions || facts.permissions)
            && one_of(&self.phases, facts.phase.as_ref())
            && one_of(&self.operation_classes, facts.operation_class.as_ref())
            && one_of(&self.connectors, facts.connector.as_ref())
            && one_of(&self.actor_kinds, facts.actor_kind.as_ref())
            && amount
            && self.risk_at_least.is_none_or(|least| facts.risk.is_some_and(|r| r >= least))
            && self.confidence_below.is_none_or(|below| facts.confidence_unsaid || facts.confidence.is_some_and(|c| c < below))
            && classes
    }
}

/// One rule: what it applies to, and what it asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRule {
    /// Its name, said in refusals.
    pub name: Name,
    /// What it applies to.
    pub when: Matcher,
    /// How many must say yes; 0 forbids the command altogether.
    pub quorum: u8,
    /// Who may vote.
    pub roles: Vec<Role>,
    /// Who asked may not vote.
    pub separation_of_duties: bool,
    /// How long a request stays open and a grant usable.
    pub expires_after_seconds: u32,
    /// Who may vote after an escalation.
    pub escalate_to: Vec<Role>,
}

/// The approval policy in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalPolicy {
    /// 0 is the shipped one.
    pub version: u32,
    /// The first rule that matches a command counts.
    pub rules: Vec<ApprovalRule>,
}

impl Default for ApprovalPolicy {
    fn default() -> Self {
        Self { version: 0, rules: shipped_rules() }
    }
}

impl ApprovalPolicy {
    /// The rule that applies to this command.
    #[must_use]
    pub fn rule_for(&self, facts: &ActionFacts) -> Option<&ApprovalRule> {
        self.rules.iter().find(|rule| rule.when.matches(facts))
    }

    /// Folds one event in.
    pub fn evolve(&mut self, event: &Event) {
        match event {
            Event::PolicyDefined(e) => {
                self.version = e.approval_policy_version;
                self.rules.clone_from(&e.rules);
            }
            Event::Requested(_)
            | Event::Voted(_)
            | Event::Commented(_)
            | Event::Delegated(_)
            | Event::DelegationRevoked(_)
            | Event::Escalated(_)
            | Event::Granted(_)
            | Event::Rejected(_)
            | Event::Expired(_)
            | Event::Withdrawn(_)
            | Event::Consumed(_) => {}
        }
    }
}

/// The approval policy that is in force until a business defines its own.
#[must_use]
pub fn shipped_rules() -> Vec<ApprovalRule> {
    let name = |text: &str| text.parse::<Name>().ok();
    let rule = |title: &str, command: &str, when: Matcher| {
        let when = Matcher { command_types: name(command).into_iter().collect(), ..when };
        name(title).map(|name| ApprovalRule {
            name,
            when,
            quorum: 1,
            roles: vec![Role::Owner, Role::Approver],
            separation_of_duties: true,
            expires_after_seconds: 7 * 86_400,
            escalate_to: vec![Role::Owner],
        })
    };
    let outward = vec![OperationClass::Spending, OperationClass::Publishing, OperationClass::Contracting, OperationClass::Deleting];
    [
        rule("launch", "businesses.advance", Matcher { phases: vec![crate::businesses::Phase::Operating], ..Matcher::default() }),
        rule("outward call", "integrations.intend_call", Matcher { operation_classes: outward, ..Matcher::default() }),
        rule("more money", "budgets.raise", Matcher::default()),
        rule("agent permissions", "agents.change", Matcher { permissions: true, ..Matcher::default() }),
    ]
    .into_iter()
    .flatten()
    .collect()
}
