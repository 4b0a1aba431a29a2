//! The rules as a cqrs-es aggregate, so that its TestFramework and its stores can meet them. The
//! product itself does not use cqrs-es to load or commit: see decision 0006.

use std::marker::PhantomData;

use commands::{Context, Decide, LoadedAggregates, Refusal};
use cqrs_es::event_sink::EventSink;
use domain::{AggregateRef, Event, Meta, State};
use event_log::Version;
use serde::{Deserialize, Serialize};

/// An event of one of the loaded aggregates: the domain's event and its aggregate, as cqrs-es wants
/// to see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Change {
    /// The aggregate it belongs to.
    pub(crate) aggregate: AggregateRef,
    /// Who made it, and when.
    pub(crate) meta: Meta,
    /// What happened.
    #[serde(flatten)]
    pub(crate) event: Event,
}

impl cqrs_es::DomainEvent for Change {
    fn event_type(&self) -> String {
        self.event.name().to_owned()
    }
    fn event_version(&self) -> String {
        self.event.event_type().schema.to_string()
    }
}

/// The cqrs-es aggregate of a decision's loaded aggregates.
#[derive(Debug)]
pub(crate) struct Root<D> {
    /// What it has folded.
    pub(crate) loaded: LoadedAggregates,
    decide: PhantomData<fn() -> D>,
}

impl<D> Default for Root<D> {
    fn default() -> Self {
        Self { loaded: LoadedAggregates::default(), decide: PhantomData }
    }
}

impl<D> Serialize for Root<D> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(&self.loaded.0)
    }
}

impl<'de, D> Deserialize<'de> for Root<D> {
    fn deserialize<De: serde::Deserializer<'de>>(d: De) -> Result<Self, De::Error> {
        let entries = Vec::<(AggregateRef, (Version, State))>::deserialize(d)?;
        Ok(Self { loaded: LoadedAggregates(entries.into_iter().collect()), decide: PhantomData })
    }
}

impl<D: Decide> cqrs_es::Aggregate for Root<D> {
    const TYPE: &'static str = "boundary";
    type Command = D;
    type Event = Change;
    type Error = Refusal;
    type Services = Context;

    async fn handle(
        &mut self,
        command: D,
        ctx: &Context,
        sink: &EventSink<Self>,
    ) -> Result<(), Refusal> {
        let changes = command.decide(ctx, &self.loaded.clone().with_declared(&command, ctx))?;
        let meta = ctx.meta();
        // `EventSink::write` applies each event to the aggregate it is given, and the snapshot
        // stores of cqrs-es 0.5 apply them once more at commit. A scratch clone takes the first.
        let mut scratch = Self { loaded: self.loaded.clone(), decide: PhantomData };
        for (aggregate, event) in changes {
            sink.write(Change { aggregate, meta, event }, &mut scratch).await;
        }
        Ok(())
    }

    fn apply(&mut self, fact: Change) {
        self.loaded.evolve(fact.aggregate, &fact.meta, &fact.event);
    }
}
