//! Whom a command's events are about, and who of them is forgotten.

use domain::ids::{ErasureId, EventId};
use domain::{BusinessId, SubjectId};
use event_log::{Cause, Recorded};

use super::append::{self, FencedSubjects, PreparedEvent};
use super::{Lane, LaneServices};
use crate::command::CommandError;
use crate::refusal::Refusal;
use crate::registry::WhenFenced;
use crate::root::{Context, LoadedAggregates};

/// Most events that are looked up of those that a command says it rests on.
const RESTS_ON_MAX: usize = 100;

impl Lane {
    /// The forgotten subjects of these events. An append about a person reads the person's erasure,
    /// so that it conflicts if another server forgets the person meanwhile. The business itself is
    /// never fenced.
    pub(super) async fn fences(
        &mut self,
        ctx: &mut Context,
        loaded: &mut LoadedAggregates,
        prepared_events: &mut [PreparedEvent],
    ) -> Result<FencedSubjects, CommandError> {
        let mut fences = FencedSubjects::new();
        for subject in append::subjects(prepared_events)
            .into_iter()
            .filter(|subject| *subject != ctx.business.as_subject())
        {
            let id = ErasureId::of(ctx.business, subject);
            if loaded.if_loaded(id).is_none() {
                let state = self.take_or_load(ctx.business, id.into()).await?;
                loaded.0.insert(id.into(), state);
            }
            match loaded.get(id)?.fenced {
                None => {}
                Some(_) if ctx.command.when_fenced == WhenFenced::Refused => {
                    return Err(Refusal::SubjectFenced { subject }.into());
                }
                Some(generation) => {
                    fences.insert(subject, generation);
                }
            }
        }
        if !fences.is_empty() {
            // An erasure that was just loaded may have been recorded by a server whose clock is
            // ahead: nothing that rests on it is recorded before it.
            ctx.now = self.now(ctx.business).await?.max(ctx.now);
            append::record_at(prepared_events, ctx.now);
        }
        Ok(fences)
    }
}

impl LaneServices {
    /// The person that these events are about, by the first of them that is about one: what is
    /// known from them is about that person too. Refuses an event that is not stored: whom it is
    /// about is not known, and an id can be derived before its event is there.
    pub(super) async fn person_behind(
        &self,
        business: BusinessId,
        events: &[EventId],
    ) -> Result<Option<SubjectId>, CommandError> {
        if events.len() > RESTS_ON_MAX {
            let field = "evidence and sources";
            return Err(Refusal::OutOfRange { field, rule: "at most 100 events in all" }.into());
        }
        let mut person = None;
        for id in events {
            let recorded = self.stored(business, *id).await?;
            let stored = recorded.stored().map_err(|e| {
                CommandError::Unavailable(Cause::new("a stored event can't be read", e))
            })?;
            let of_event = stored.subjects().find(|subject| *subject != business.as_subject());
            person = person.or(of_event);
        }
        Ok(person)
    }

    /// An event of the business, whichever process appended it.
    async fn stored(&self, business: BusinessId, id: EventId) -> Result<Recorded, CommandError> {
        if let Some(recorded) = self.log.find(business, id).await? {
            return Ok(recorded);
        }
        self.log.catch_up(business).await?;
        let found = self.log.find(business, id).await?;
        found.ok_or_else(|| Refusal::EvidenceUnknown { event: id }.into())
    }
}
