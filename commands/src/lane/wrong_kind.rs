//! An id of the wrong kind: a refusal that finds nothing says what the id is instead.

use domain::{AggregateRef, Kind};
use event_log::Version;
use uuid::Uuid;

use super::{Job, LaneServices};
use crate::command::CommandError;
use crate::refusal::Refusal;
use crate::root::Context;

/// Kinds that the refusal may name. Ids of other kinds (erasure, document, slug) can be made of
/// names or of a person's id, so that naming them would confirm a guess about somebody.
const TOLD: [Kind; 7] = [
    Kind::Agent,
    Kind::Approval,
    Kind::Budget,
    Kind::Business,
    Kind::Call,
    Kind::Decision,
    Kind::Task,
];

/// The id in the field of a command's data that is called like the kind: `{"agent": "…"}`.
fn id_named(data: &str, kind: &str) -> Option<Uuid> {
    let data: serde_json::Value = serde_json::from_str(data).ok()?;
    data.get(kind)?.as_str()?.parse().ok()
}

impl LaneServices {
    /// Turns "there is no such agent" into "that is a principal, an agent is wanted", where the
    /// command's target, or the field of that name, is something else in the same business. Any
    /// other error is left as it is, and so is this one when the log can't be asked.
    pub(super) async fn or_wrong_kind(
        &self,
        job: &Job,
        ctx: &Context,
        error: CommandError,
    ) -> CommandError {
        let CommandError::Refused(Refusal::Unknown { what: wanted }) = error else { return error };
        let id = if wanted == ctx.command.kind.as_str() {
            Some(ctx.target)
        } else {
            id_named(job.submission.data.get(), wanted)
        };
        let Some(id) = id else { return error };
        match self.kind_of(ctx, id).await {
            Some(is) if is != wanted => Refusal::WrongKind { id, is, wanted }.into(),
            Some(_) | None => error,
        }
    }

    /// The kind of an id that is a principal with a role, or of a kind in [`TOLD`], in the business
    /// of the command.
    async fn kind_of(&self, ctx: &Context, id: Uuid) -> Option<&'static str> {
        if ctx.people.belongs_to(domain::PrincipalId(id), ctx.business) {
            return Some("principal");
        }
        let all: Vec<AggregateRef> = TOLD.iter().map(|kind| AggregateRef::new(*kind, id)).collect();
        let versions = self.log.versions(ctx.business, &all).await.ok()?;
        let there = all.iter().zip(versions).find(|(_, version)| *version > Version::START);
        there.map(|(aggregate, _)| aggregate.kind.as_str())
    }
}
