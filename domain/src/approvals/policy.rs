//! The approval policy: rules as data that say which commands need approval.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Meta;

use super::events::Event;
use crate::access::PrincipalKind;
use crate::ids::names;
use crate::integrations::{DataClass, OperationClass};
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

names! {
    /// What a command can carry that rules look at.
    Carries {
        /// The phase that it leads to.
        Phase = "phase",
        /// A change of what an agent may use.
        Permissions = "permissions",
        /// The class of an operation.
        Class = "class",
        /// An outside service.
        Connector = "connector",
        /// What it costs.
        Amount = "amount",
        /// How much harm it may do.
        Risk = "risk",
        /// How sure the actor is.
        Confidence = "confidence",
        /// The class of the data it touches.
        DataClass = "data_class",
    }
}

/// What a command says of what it carries; what it leaves out counts as the highest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CarriedInputs {
    /// The phase it leads to.
    pub phase: Option<crate::businesses::Phase>,
    /// Whether it changes permissions.
    pub permissions: Option<bool>,
    /// The class of its operation.
    pub class: Option<OperationClass>,
    /// The outside service.
    pub connector: Option<Name>,
    /// What it may cost.
    pub amount: Option<Money>,
    /// How much harm it may do.
    pub risk: Option<RiskTier>,
    /// How sure the actor is.
    pub confidence: Option<Ratio>,
    /// The class of the data it touches.
    pub data_class: Option<DataClass>,
    /// True when it is sent in the name of an agent, by whomever.
    pub in_the_name_of_an_agent: bool,
}

/// What approval rules look at in a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalInputs<'a> {
    /// Its type.
    pub command_type: &'a str,
    /// What it can carry, by its declaration: a rule on anything else never applies to it.
    pub carries: &'a [Carries],
    /// What kind of actor sends it.
    pub actor_kind: PrincipalKind,
    /// What it says of what it carries.
    pub carried: CarriedInputs,
}

impl ApprovalInputs<'_> {
    /// True if the command carries `what` and its value passes `test`. A value that the command
    /// could have stated and left out passes every test: a sender gains nothing by its silence.
    fn if_carried<T>(
        &self,
        what: Carries,
        value: Option<&T>,
        test: impl FnOnce(&T) -> bool,
    ) -> bool {
        self.carries.contains(&what) && value.is_none_or(test)
    }
}

impl Matcher {
    /// What a command must carry for the rule to apply to it.
    #[must_use]
    pub fn looks_at(&self) -> Vec<Carries> {
        let looks = [
            (Carries::Phase, !self.phases.is_empty()),
            (Carries::Permissions, self.permissions),
            (Carries::Class, !self.operation_classes.is_empty()),
            (Carries::Connector, !self.connectors.is_empty()),
            (Carries::Amount, self.amount_at_least.is_some()),
            (Carries::Risk, self.risk_at_least.is_some()),
            (Carries::Confidence, self.confidence_below.is_some()),
            (Carries::DataClass, !self.data_classes.is_empty()),
        ];
        looks.into_iter().filter_map(|(what, looks)| looks.then_some(what)).collect()
    }

    /// Whether the rule applies to everything that another one applies to.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        fn wider<T: PartialEq>(list: &[T], other: &[T]) -> bool {
            list.is_empty() || (!other.is_empty() && other.iter().all(|v| list.contains(v)))
        }
        let amount = match (self.amount_at_least, other.amount_at_least) {
            (None, _) => true,
            (Some(own), Some(other)) => {
                own.currency == other.currency && own.amount <= other.amount
            }
            (Some(_), None) => false,
        };
        wider(&self.command_types, &other.command_types)
            && wider(&self.phases, &other.phases)
            && (!self.permissions || other.permissions)
            && wider(&self.operation_classes, &other.operation_classes)
            && wider(&self.connectors, &other.connectors)
            && wider(&self.actor_kinds, &other.actor_kinds)
            && amount
            && self.risk_at_least.is_none_or(|own| other.risk_at_least.is_some_and(|o| own <= o))
            && self
                .confidence_below
                .is_none_or(|own| other.confidence_below.is_some_and(|o| own >= o))
            && wider(&self.data_classes, &other.data_classes)
    }

    /// Whether the rule applies to this command.
    #[must_use]
    pub fn matches(&self, inputs: &ApprovalInputs<'_>) -> bool {
        let named = self.command_types.is_empty()
            || self.command_types.iter().any(|t| t.as_str() == inputs.command_type);
        let agents = inputs.carried.in_the_name_of_an_agent
            && self.actor_kinds.contains(&PrincipalKind::Agent);
        let actor =
            self.actor_kinds.is_empty() || agents || self.actor_kinds.contains(&inputs.actor_kind);
        named && actor && self.looks_at().into_iter().all(|what| self.fits(what, inputs))
    }

    fn fits(&self, what: Carries, inputs: &ApprovalInputs<'_>) -> bool {
        let carried = &inputs.carried;
        match what {
            Carries::Phase => {
                inputs.if_carried(what, carried.phase.as_ref(), |p| self.phases.contains(p))
            }
            Carries::Permissions => {
                inputs.if_carried(what, carried.permissions.as_ref(), |changes| *changes)
            }
            Carries::Class => inputs
                .if_carried(what, carried.class.as_ref(), |c| self.operation_classes.contains(c)),
            Carries::Connector => {
                inputs.if_carried(what, carried.connector.as_ref(), |c| self.connectors.contains(c))
            }
            // An amount in another currency can't be compared: approval is asked for.
            Carries::Amount => inputs.if_carried(what, carried.amount.as_ref(), |a| {
                self.amount_at_least
                    .is_none_or(|least| a.currency != least.currency || a.amount >= least.amount)
            }),
            Carries::Risk => inputs.if_carried(what, carried.risk.as_ref(), |r| {
                self.risk_at_least.is_none_or(|least| *r >= least)
            }),
            Carries::Confidence => inputs.if_carried(what, carried.confidence.as_ref(), |c| {
                self.confidence_below.is_none_or(|below| *c < below)
            }),
            Carries::DataClass => inputs.if_carried(what, carried.data_class.as_ref(), |d| {
                self.data_classes.iter().any(|name| name.as_str() == d.as_str())
            }),
        }
    }
}

/// What an operation of an outside service does to the world, and with which data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OperationRule {
    /// The outside service.
    pub connector: Name,
    /// The operation.
    pub operation: Name,
    /// What it does to the world.
    pub class: OperationClass,
    /// The data it touches; restricted when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_class: Option<DataClass>,
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
    /// What the business itself says of operations.
    pub operation_classes: Vec<OperationRule>,
}

impl Default for ApprovalPolicy {
    fn default() -> Self {
        Self { version: 0, rules: shipped_rules(), operation_classes: Vec::new() }
    }
}

impl ApprovalPolicy {
    /// The rule that applies to this command.
    #[must_use]
    pub fn rule_for(&self, inputs: &ApprovalInputs<'_>) -> Option<&ApprovalRule> {
        self.rules.iter().find(|rule| rule.when.matches(inputs))
    }

    /// Folds one event in.
    pub fn evolve(&mut self, _: &Meta, event: &Event) {
        match event {
            Event::PolicyDefined(e) => {
                self.version = e.approval_policy_version;
                self.rules.clone_from(&e.rules);
                self.operation_classes.clone_from(&e.operation_classes);
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
    let outward = vec![
        OperationClass::Spending,
        OperationClass::Publishing,
        OperationClass::Contracting,
        OperationClass::Deleting,
    ];
    [
        rule(
            "launch",
            "businesses.advance",
            Matcher { phases: vec![crate::businesses::Phase::Operating], ..Matcher::default() },
        ),
        rule(
            "outward call",
            "integrations.intend_call",
            Matcher { operation_classes: outward, ..Matcher::default() },
        ),
        rule("more money", "budgets.raise", Matcher::default()),
        rule(
            "agent permissions",
            "agents.change",
            Matcher { permissions: true, ..Matcher::default() },
        ),
        rule(
            "new agent with permissions",
            "agents.enrol",
            Matcher { permissions: true, ..Matcher::default() },
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}
