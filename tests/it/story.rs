//! Given facts, when a command, then facts or a refusal: rules told through the cqrs-es
//! TestFramework, without log, clock or keys.

use std::collections::BTreeSet;

use commands::{Actor, AnyCommand, Boundary, Change, Context, Decide as _, Refusal, Root};
use cqrs_es::test::TestFramework;
use domain::access::PrincipalKind;
use domain::values::Role;
use domain::{BusinessId, Event, PrincipalId, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

/// A business with a past, and somebody who is about to ask something of it.
#[derive(Clone)]
pub(crate) struct Story {
    facts: Vec<Change>,
    pub(crate) now: Timestamp,
    pub(crate) actor: Actor,
}

pub(crate) const BUSINESS: BusinessId = BusinessId(Uuid::from_u128(0xB));

pub(crate) fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

pub(crate) fn actor(n: u128, kind: PrincipalKind, roles: &[Role]) -> Actor {
    Actor { principal: PrincipalId(id(n)), kind, operator: false, roles: roles.iter().copied().collect::<BTreeSet<_>>() }
}

/// Names of the events a command made.
pub(crate) type Outcome = Result<Vec<&'static str>, &'static str>;

impl Story {
    /// An owner in a business that is just registered.
    pub(crate) fn new() -> Self {
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        let story = Self { facts: Vec::new(), now, actor: actor(1, PrincipalKind::Human, &[Role::Owner]) };
        story.given("businesses.register", BUSINESS.0, json!({"slug": "acme"}))
    }

    /// Nothing has happened yet.
    pub(crate) fn empty() -> Self {
        let mut story = Self::new();
        story.facts.clear();
        story
    }

    pub(crate) fn by(mut self, actor: Actor) -> Self {
        self.actor = actor;
        self
    }

    pub(crate) fn later(mut self, seconds: u64) -> Self {
        self.now = self.now.plus_seconds(seconds);
        self
    }

    fn context(&self, target: Uuid) -> Context {
        Context { business: BUSINESS, target, now: self.now, actor: self.actor.clone(), approval: None, presented: None, seed: [7; 32] }
    }

    /// The events that a command would make now.
    pub(crate) fn events(&self, command: &str, target: Uuid, data: Value) -> Result<Vec<Change>, Refusal> {
        let raw = serde_json::value::to_raw_value(&data).unwrap();
        let parsed = AnyCommand::parse(command, &raw).unwrap_or_else(|e| panic!("{e}"));
        let ctx = self.context(target);
        self.nothing_undeclared_is_read(&parsed, &ctx);
        TestFramework::<Root<AnyCommand>>::with(ctx).given(self.facts.clone()).when(parsed).inspect_result()
    }

    /// A decision on what it declares to read is the same as one on everything: so the log's check
    /// of what was read is a check of all that mattered.
    fn nothing_undeclared_is_read(&self, command: &AnyCommand, ctx: &Context) {
        let mut all = Boundary::default();
        for fact in &self.facts {
            all.evolve(fact.aggregate, &fact.event);
        }
        let mut declared = Boundary::default();
        loop {
            let wanted = command.reads(ctx, &declared);
            let missing: Vec<_> = wanted.into_iter().filter(|a| !declared.0.contains_key(a)).collect();
            if missing.is_empty() {
                break;
            }
            for aggregate in missing {
                let state = all.0.get(&aggregate).cloned().unwrap_or((0, domain::State::empty(aggregate.kind)));
                declared.0.insert(aggregate, state);
            }
        }
        for (aggregate, _) in command.decide(ctx, &all).into_iter().flatten() {
            assert!(declared.0.contains_key(&aggregate), "{command:?} writes {aggregate} without reading it");
        }
        assert_eq!(command.decide(ctx, &declared), command.decide(ctx, &all), "{command:?} reads what it does not declare");
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

    /// The last event of that name.
    pub(crate) fn last(&self, name: &str) -> Event {
        self.facts.iter().rev().find(|f| f.event.name() == name).unwrap_or_else(|| panic!("no {name}")).event.clone()
    }
}
