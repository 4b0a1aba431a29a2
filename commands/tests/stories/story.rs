//! Given facts, when a command, then facts or a refusal: rules told through the cqrs-es
//! TestFramework, without log, clock or keys.

use domain::personal::Generation;
use std::collections::BTreeSet;
use std::sync::Arc;

use commands::{
    Actor, AnyCommand, ClockInDoubt, CommandType, Context, Decide as _, LoadedAggregates, Refusal,
    Roster,
};
use cqrs_es::test::TestFramework;
use domain::access::{self, PrincipalKind};
use domain::ids::{EventId, TaskId};
use domain::values::Role;
use domain::{BusinessId, Event, Meta, PrincipalId, Timestamp};
use event_log::Version;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::root_aggregate::{Change, Root};

/// A business with a past, and somebody who is about to ask something of it.
#[derive(Clone)]
pub(crate) struct Story {
    facts: Vec<Change>,
    people: Roster,
    business: BusinessId,
    newest_generation: Option<Generation>,
    pub(crate) now: Timestamp,
    pub(crate) clock: Option<ClockInDoubt>,
    pub(crate) actor: Actor,
}

pub(crate) const BUSINESS: BusinessId = BusinessId(Uuid::from_u128(0xB));

pub(crate) fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

pub(crate) fn actor(n: u128, kind: PrincipalKind, roles: &[Role]) -> Actor {
    Actor {
        principal: PrincipalId(id(n)),
        kind,
        operator: false,
        historic: false,
        restores: false,
        rate_profile: domain::access::RateProfile::Standard,
        roles: roles.iter().copied().collect::<BTreeSet<_>>(),
    }
}

/// The agent whose credentials are the principal `n`.
pub(crate) fn agent_of(n: u128) -> Uuid {
    domain::ids::AgentId::of(BUSINESS, PrincipalId(id(n))).0
}

/// Names of the events a command made.
pub(crate) type Outcome = Result<Vec<&'static str>, &'static str>;

impl Story {
    /// An owner in a business that is just registered.
    pub(crate) fn new() -> Self {
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        let owner = actor(1, PrincipalKind::Human, &[Role::Owner]);
        let (facts, people) = (Vec::new(), Roster::default());
        let mut story = Self {
            facts,
            people,
            business: BUSINESS,
            newest_generation: None,
            now,
            clock: None,
            actor: owner.clone(),
        }
        .by(owner);
        for n in 50..60 {
            story.know(&actor(n, PrincipalKind::Agent, &[Role::Agent]));
        }
        story.given("businesses.register", BUSINESS.0, json!({"slug": "acme"}))
    }

    /// Nothing has happened yet.
    pub(crate) fn empty() -> Self {
        let mut story = Self::new();
        story.facts.clear();
        story
    }

    pub(crate) fn by(mut self, actor: Actor) -> Self {
        self.know(&actor);
        self.actor = actor;
        self
    }

    /// Adds somebody with their roles to those whom the installation knows.
    pub(crate) fn know(&mut self, actor: &Actor) {
        let meta = Meta {
            event_id: EventId::default(),
            correlation: Uuid::nil(),
            actor: actor.principal,
            on_behalf_of: None,
            recorded_at: self.now,
        };
        let (principal, subject) = (actor.principal, domain::SubjectId(actor.principal.0));
        let display_name = domain::personal::Text::new(subject, String::new());
        let added = access::PrincipalAdded {
            principal,
            kind: actor.kind,
            display_name,
            operator: actor.operator,
        };
        self.people.apply(principal, &meta, &added.into());
        for role in &actor.roles {
            self.people.apply(
                principal,
                &meta,
                &access::RoleGranted { business: BUSINESS, role: *role }.into(),
            );
        }
    }

    /// Gives a role to somebody in the name of another.
    pub(crate) fn granted(mut self, n: u128, role: Role, by: u128) -> Self {
        let context = self.context(Uuid::nil(), AnyCommand::type_named("tasks.plan").unwrap());
        let meta = Meta { actor: PrincipalId(id(by)), ..context.meta() };
        self.people.apply(
            PrincipalId(id(n)),
            &meta,
            &access::RoleGranted { business: BUSINESS, role }.into(),
        );
        self
    }

    /// Takes a role away from somebody.
    pub(crate) fn without(mut self, n: u128, role: Role) -> Self {
        let meta = Meta {
            recorded_at: self.now,
            ..self.context(Uuid::nil(), AnyCommand::type_named("tasks.plan").unwrap()).meta()
        };
        self.people.apply(
            PrincipalId(id(n)),
            &meta,
            &access::RoleRevoked { business: BUSINESS, role }.into(),
        );
        self
    }

    /// Whoever is forgotten next has keys up to this generation.
    pub(crate) fn with_keys(&self, generation: Generation) -> Self {
        Self { newest_generation: Some(generation), ..self.clone() }
    }

    /// Gives somebody a role in another business.
    pub(crate) fn also_in(mut self, n: u128, business: BusinessId) -> Self {
        let meta = self.context(Uuid::nil(), AnyCommand::type_named("tasks.plan").unwrap()).meta();
        self.people.apply(
            PrincipalId(id(n)),
            &meta,
            &access::RoleGranted { business, role: Role::Member }.into(),
        );
        self
    }

    /// Asks something of the installation.
    pub(crate) fn when_installation(&self, command: &str, target: Uuid, data: Value) -> Outcome {
        Self { business: domain::ids::INSTALLATION, facts: Vec::new(), ..self.clone() }
            .when(command, target, data)
    }

    pub(crate) fn later(mut self, seconds: u64) -> Self {
        self.now = self.now.plus_seconds(seconds);
        self
    }

    fn context(&self, target: Uuid, command: &'static CommandType) -> Context {
        Context {
            business: self.business,
            target,
            command,
            now: self.now,
            clock_doubt: self.clock,
            actor: self.actor.clone(),
            approval: None,
            presented_digest: None,
            backdated: false,
            seed: [7; 32],
            people: Arc::new(self.people.clone()),
            leases: self.leases(),
            newest_generation: self.newest_generation,
            person_behind: None,
            unopened: None,
        }
    }

    /// Every task there is: the rule looks at their state.
    fn leases(&self) -> BTreeSet<TaskId> {
        self.facts
            .iter()
            .filter(|f| f.aggregate.kind == domain::Kind::Task)
            .map(|f| TaskId(f.aggregate.id))
            .collect()
    }

    /// The events that a command would make now.
    pub(crate) fn events(
        &self,
        command: &str,
        target: Uuid,
        data: Value,
    ) -> Result<Vec<Change>, Refusal> {
        let raw = serde_json::value::to_raw_value(&data).unwrap();
        let parsed = AnyCommand::parse(command, &raw).unwrap_or_else(|e| panic!("{e}"));
        let ctx = self.context(target, parsed.command_type());
        self.nothing_undeclared_is_read(&parsed, &ctx);
        TestFramework::<Root<AnyCommand>>::with(ctx)
            .given(self.facts.clone())
            .when(parsed)
            .inspect_result()
    }

    /// A decision on what it declares to read is the same as one on everything: so the log's check
    /// of what was read is a check of all that mattered.
    fn nothing_undeclared_is_read(&self, command: &AnyCommand, ctx: &Context) {
        let mut all = LoadedAggregates::default();
        for fact in &self.facts {
            all.evolve(fact.aggregate, &fact.meta, &fact.event);
        }
        let mut declared = LoadedAggregates::default();
        loop {
            let wanted = command.reads(ctx, &declared);
            let missing: Vec<_> =
                wanted.into_iter().filter(|a| !declared.0.contains_key(a)).collect();
            if missing.is_empty() {
                break;
            }
            for aggregate in missing {
                let state = all
                    .0
                    .get(&aggregate)
                    .cloned()
                    .unwrap_or((Version::START, domain::State::empty(aggregate.kind)));
                declared.0.insert(aggregate, state);
            }
        }
        let all = all.with_declared(command, ctx);
        for (aggregate, _) in command.decide(ctx, &all).into_iter().flatten() {
            assert!(
                declared.0.contains_key(&aggregate),
                "{command:?} writes {aggregate} without reading it"
            );
        }
        assert_eq!(
            command.decide(ctx, &declared),
            command.decide(ctx, &all),
            "{command:?} reads what it does not declare"
        );
    }

    /// Asks, and says what came of it.
    pub(crate) fn when(&self, command: &str, target: Uuid, data: Value) -> Outcome {
        match self.events(command, target, data) {
            Ok(facts) => Ok(facts.iter().map(|f| f.event.name()).collect()),
            Err(refusal) => {
                assert!(refusal.to_string().len() > 20, "a refusal says what to do: {refusal}");
                Err(refusal.name())
            }
        }
    }

    /// Asks, must get through, and goes on from there.
    pub(crate) fn given(mut self, command: &str, target: Uuid, data: Value) -> Self {
        let facts = self.events(command, target, data).unwrap_or_else(|e| panic!("{command}: {e}"));
        self.facts.extend(facts);
        self
    }

    /// What an aggregate folds into.
    pub(crate) fn state(&self, aggregate: domain::AggregateRef) -> domain::State {
        let mut all = LoadedAggregates::default();
        self.facts.iter().for_each(|fact| all.evolve(fact.aggregate, &fact.meta, &fact.event));
        all.0
            .get(&aggregate)
            .map_or_else(|| domain::State::empty(aggregate.kind), |(_, state)| state.clone())
    }

    /// The last event of that name.
    pub(crate) fn last(&self, name: &str) -> Event {
        self.facts
            .iter()
            .rev()
            .find(|f| f.event.name() == name)
            .unwrap_or_else(|| panic!("no {name}"))
            .event
            .clone()
    }
}
