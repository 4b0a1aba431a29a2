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
    /// Types of the commands that match.
    pub command_types: Vec<Name>,
    /// Phases that match when a business is to enter them, for `businesses.advance`.
    pub phases: Vec<crate::businesses::Phase>,
    /// If true, only `agents.enrol` and `agents.change` match, where they set permissions.
    #[schemars(extend("x-class" = "internal"))]
    pub permissions: bool,
    /// Classes of operations that match, for calls to outside services.
    pub operation_classes: Vec<OperationClass>,
    /// Names of the outside services that match, for calls and reservations.
    pub connectors: Vec<Name>,
    /// Kinds of senders that match; `agent` also matches what is sent in the name of an agent.
    pub actor_kinds: Vec<PrincipalKind>,
    /// The smallest amount that matches; an amount in another currency matches too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount_at_least: Option<Money>,
    /// The lowest risk that matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk_at_least: Option<RiskTier>,
    /// Confidences below this one match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence_below: Option<Ratio>,
    /// Names of data classes that match, for calls to outside services.
    pub data_classes: Vec<Name>,
}

names! {
    /// An approval input that a command can carry.
    Carries {
        /// The phase that the business is to enter.
        Phase = "phase",
        /// A change of an agent's permissions.
        Permissions = "permissions",
        /// The class of the operation that an outside service is asked for.
        Class = "class",
        /// The name of an outside service.
        Connector = "connector",
        /// An amount of money.
        Amount = "amount",
        /// How much harm the command may do.
        Risk = "risk",
        /// How sure the decider is, 0 to 1.
        Confidence = "confidence",
        /// The class of the data that the operation touches.
        DataClass = "data_class",
    }
}

/// The inputs that a command states; one that it could state and leaves out matches every rule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CarriedInputs {
    /// The phase that the business is to enter.
    pub phase: Option<crate::businesses::Phase>,
    /// True if the command sets an agent's permissions.
    pub permissions: Option<bool>,
    /// The class of the operation that an outside service is asked for.
    pub class: Option<OperationClass>,
    /// The name of the outside service.
    pub connector: Option<Name>,
    /// The amount of money that the command is about.
    pub amount: Option<Money>,
    /// How much harm the command may do.
    pub risk: Option<RiskTier>,
    /// How sure the decider is, 0 to 1.
    pub confidence: Option<Ratio>,
    /// The class of the data that the operation touches.
    pub data_class: Option<DataClass>,
    /// True if the command is sent in the name of an agent, whoever sends it.
    pub in_the_name_of_an_agent: bool,
}

/// What approval rules look at in a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalInputs<'a> {
    /// The command's type, such as `budgets.raise`.
    pub command_type: &'a str,
    /// The inputs that the command's declaration lists; a rule on any other one never applies.
    pub carries: &'a [Carries],
    /// Whether the sender is a human, an agent's credentials or a service.
    pub actor_kind: PrincipalKind,
    /// The inputs that the command states.
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
    /// Name of the outside service.
    pub connector: Name,
    /// Name of the operation.
    pub operation: Name,
    /// What the operation does to the world.
    pub class: OperationClass,
    /// The class of the data that the operation touches; absent = restricted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_class: Option<DataClass>,
}

/// One rule: the commands that it applies to, and the approval that it asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRule {
    /// Name of the rule, which refusals show.
    pub name: Name,
    /// The commands that the rule applies to.
    pub when: Matcher,
    /// How many people must approve; 0 forbids the command altogether.
    pub quorum: u8,
    /// Roles whose holders may vote.
    pub roles: Vec<Role>,
    /// True if who made the request, or whom it was made for, may not vote on it.
    pub separation_of_duties: bool,
    /// How long a request can be granted and used, in seconds from when it is made.
    pub expires_after_seconds: u32,
    /// Roles whose holders may vote too after an escalation.
    pub escalate_to: Vec<Role>,
}

/// The approval policy in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalPolicy {
    /// Version of the approval policy; 0 is the shipped one.
    pub version: u32,
    /// The rules in order; the first one that matches a command counts.
    pub rules: Vec<ApprovalRule>,
    /// The business's own classes of operations; an entry overrides the compiled-in table.
    pub operation_classes: Vec<OperationRule>,
}

impl Default for ApprovalPolicy {
    fn default() -> Self {
        Self { version: 0, rules: shipped_rules(), operation_classes: Vec::new() }
    }
}

impl ApprovalPolicy {
    /// The first rule that applies to this command; `None` if none does.
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
