//! From decided changes to an append: versions, ids, sealed bytes, and the new state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::personal::Generation;
use domain::{AggregateRef, BusinessId, Event, Meta, SubjectId, Timestamp};
use event_log::keyring::SubjectKey;
use event_log::sealing::{SubjectKeys, content_digest};
use event_log::{Append, Draft, Entropy, KeyEpoch, NewEvent, Prepared, Seq, typed};

use domain::ids::{ApprovalId, CallId, EventId};
use uuid::Uuid;

use super::{Job, LaneServices, Plan};
use crate::command::{CommandError, Receipt, ReceiptEvent, ReceiptResult};
use crate::root::{Changes, Context, LoadedAggregates};

/// Forgotten subjects whose fields are sealed under a throw-away key, with the generation of keys
/// that is written beside them.
pub(super) type FencedSubjects = BTreeMap<SubjectId, Generation>;

/// A decided event whose personal fields are not yet sealed.
pub(super) struct PreparedEvent {
    receipt: ReceiptEvent,
    aggregate: AggregateRef,
    prepared: Prepared,
}

/// What a command belongs to. An approved command always takes its correlation from its approval,
/// and the grant as its cause. Otherwise what the sender said counts; failing that, a vote belongs
/// to its request and an outcome to its call. So one query by
/// correlation id finds request, votes, command and outcome, unless a sender chose another.
struct Causality {
    causation: Option<EventId>,
    correlation: Uuid,
}

impl Causality {
    fn of(job: &Job, ctx: &Context, loaded: &LoadedAggregates) -> Self {
        let approval =
            ctx.approval.and_then(|id| loaded.if_loaded(id)).filter(|a| a.status.is_some());
        let asked = loaded
            .if_loaded(ApprovalId(ctx.target))
            .filter(|a| a.status.is_some())
            .map(|a| a.correlation);
        let called = loaded
            .if_loaded(CallId(ctx.target))
            .filter(|c| c.status.is_some())
            .map(|c| c.correlation);
        let submission = &job.submission;
        Self {
            causation: approval.and_then(|a| a.granted).or(submission.causation),
            correlation: approval
                .map(|a| a.correlation)
                .or(submission.correlation)
                .or(asked)
                .or(called)
                .unwrap_or(job.first_id.0),
        }
    }
}

/// Gives each event its version, its id and its envelope.
fn envelopes(
    job: &Job,
    ctx: &Context,
    loaded: &LoadedAggregates,
    changes: Changes,
) -> Result<Vec<PreparedEvent>, CommandError> {
    let submission = &job.submission;
    let mut prepared_events: Vec<PreparedEvent> = Vec::with_capacity(changes.len());
    let thread = Causality::of(job, ctx, loaded);
    for (index, (aggregate, event)) in (0..).zip(changes) {
        let Some((read, _)) = loaded.0.get(&aggregate) else {
            return Err(CommandError::unavailable(format!(
                "{} decided on {aggregate} without reading it",
                submission.r#type
            )));
        };
        let earlier = prepared_events.iter().filter(|r| r.aggregate == aggregate).count() as u64;
        let version = read.plus(earlier).next();
        let draft = Draft {
            business: ctx.business,
            aggregate,
            version,
            event,
            recorded_at: ctx.now,
            occurred_at: submission.occurred_at,
            actor: submission.actor.principal,
            on_behalf_of: submission.on_behalf_of,
            access_policy: None,
            command_id: submission.key.clone(),
            index,
            causation: thread.causation,
            correlation: thread.correlation,
        };
        let name = draft.event.name().to_owned();
        let prepared = draft.prepare().map_err(CommandError::unavailable)?;
        let receipt = ReceiptEvent {
            event_id: prepared.event_id(),
            r#type: name,
            seq: Seq::START,
            kind: aggregate.kind.to_string(),
            id: aggregate.id,
            version,
        };
        prepared_events.push(PreparedEvent { receipt, aggregate, prepared });
    }
    Ok(prepared_events)
}

/// The events with their envelopes, the first with the digest of the command.
pub(super) fn prepare(
    job: &Job,
    ctx: &Context,
    loaded: &LoadedAggregates,
    changes: Changes,
    entropy: &Entropy,
) -> Result<Vec<PreparedEvent>, CommandError> {
    let mut prepared_events = envelopes(job, ctx, loaded, changes)?;
    if let Some(first) = prepared_events.first_mut() {
        let mut key = [0; 32];
        entropy.fill(&mut key);
        let subject = first.prepared.subjects().next().unwrap_or_else(|| ctx.business.as_subject());
        first.prepared.set_request(content_digest(&key, &job.content), &key, subject);
    }
    Ok(prepared_events)
}

/// Sets the time at which the events are recorded.
pub(super) fn record_at(prepared_events: &mut [PreparedEvent], now: Timestamp) {
    prepared_events.iter_mut().for_each(|r| r.prepared.record_at(now));
}

/// The subjects of the personal fields of these events.
pub(super) fn subjects(prepared_events: &[PreparedEvent]) -> BTreeSet<SubjectId> {
    prepared_events.iter().flat_map(|r| r.prepared.subjects()).collect()
}

impl LaneServices {
    /// Seals the events, folds them in from their stored form, and makes the append; `chain` is set
    /// by [`super::Lane::process`].
    pub(super) async fn to_append(
        &self,
        ctx: &Context,
        loaded: &mut LoadedAggregates,
        prepared_events: Vec<PreparedEvent>,
        fences: &FencedSubjects,
        entropy: &Entropy,
    ) -> Result<Plan, CommandError> {
        let (keys, epoch) = self.keys(ctx.business, &prepared_events, fences, entropy).await?;
        let (mut events, mut receipts, mut folded) =
            (Vec::new(), Vec::new(), Vec::<(AggregateRef, Meta, Event)>::new());
        let mut result = None;
        for PreparedEvent { receipt, aggregate, prepared } in prepared_events {
            let bytes = prepared.seal(&keys, entropy).map_err(CommandError::unavailable)?;
            // Folded from the bytes: live state is what a replay would give, by construction.
            let (meta, event) = typed(&bytes)?;
            ReceiptResult::take(&mut result, &event, aggregate.id);
            folded.push((aggregate, meta, event));
            events.push(NewEvent {
                aggregate,
                version: receipt.version,
                event_id: receipt.event_id,
                bytes,
            });
            receipts.push(receipt);
        }
        let read_only =
            |aggregate: &AggregateRef| !folded.iter().any(|(written, ..)| written == aggregate);
        let reads = loaded
            .0
            .iter()
            .filter(|(a, _)| read_only(a))
            .map(|(a, (version, _))| (*a, *version))
            .collect();
        let append =
            Append { business: ctx.business, reads, events, chain: None, key_epoch: epoch };
        append.check_caps()?;
        for (aggregate, meta, event) in &folded {
            loaded.evolve(*aggregate, meta, event);
        }
        let receipt = Receipt {
            business: ctx.business,
            events: receipts,
            position: None,
            repeated: false,
            result,
        };
        Ok(Plan::Append(receipt, append))
    }

    /// A key for every subject in the events, made in a fixed order so that a seeded run repeats,
    /// and the oldest key epoch among them: if keys were destroyed while these were fetched, the
    /// store refuses the append by it. Data about a forgotten subject is sealed under a key
    /// that is kept nowhere; the append that forgets the business's own texts is sealed under its
    /// next key.
    async fn keys(
        &self,
        business: BusinessId,
        prepared_events: &[PreparedEvent],
        fences: &FencedSubjects,
        entropy: &Entropy,
    ) -> Result<(SubjectKeys, Option<KeyEpoch>), CommandError> {
        let (mut keys, mut oldest) = (SubjectKeys::new(), None::<KeyEpoch>);
        let forgotten = prepared_events
            .iter()
            .find_map(|r| r.prepared.forgets())
            .filter(|f| f.subject == business.as_subject());
        for subject in subjects(prepared_events) {
            if let Some(generation) = fences.get(&subject) {
                keys.insert(subject, Arc::new(SubjectKey::kept_nowhere(*generation, entropy)?));
                continue;
            }
            let (key, epoch) = match forgotten.filter(|f| f.subject == subject) {
                Some(f) => {
                    self.keyring.open_generation(business, subject, f.generation.next()).await?
                }
                None => self.keyring.sealing_key(business, subject).await?,
            };
            keys.insert(subject, key);
            oldest = Some(oldest.map_or(epoch, |o| o.min(epoch)));
        }
        Ok((keys, oldest))
    }
}
