//! An id of the wrong kind: a refusal that finds nothing says what the id is instead.

use domain::{AggregateRef, Kind};
use uuid::Uuid;

use super::{Job, LaneServices};
use crate::command::CommandError;
use crate::refusal::Refusal;
use crate::root::Context;

/// Ids of a command's data that are looked up.
const IDS_MAX: usize = 8;
/// Characters of a UUID as RFC 9562 writes it.
const UUID_CHARS: usize = 36;

/// The UUIDs that stand as whole strings in a command's data, in their order.
fn ids_in(data: &str) -> impl Iterator<Item = Uuid> {
    data.split('"').filter(|part| part.len() == UUID_CHARS).filter_map(|part| part.parse().ok())
}

impl LaneServices {
    /// Turns "there is no such agent" into "that is a principal, an agent is wanted", where an id
    /// of the command is one of another kind in the same business. Any other error is left as it
    /// is, and so is this one when the log can't be asked.
    pub(super) async fn or_wrong_kind(
        &self,
        job: &Job,
        ctx: &Context,
        error: CommandError,
    ) -> CommandError {
        let CommandError::Refused(Refusal::Unknown { what: wanted }) = error else { return error };
        // Either the target was looked for, or something that the data names.
        let ids: Vec<Uuid> = if wanted == ctx.command.kind.as_str() {
            vec![ctx.target]
        } else {
            ids_in(job.submission.data.get()).take(IDS_MAX).collect()
        };
        for id in ids {
            if let Some(is) = self.kind_of(ctx, id).await
                && is != wanted
            {
                return Refusal::WrongKind { id, is, wanted }.into();
            }
        }
        error
    }

    /// The kind of an id that is something in the business of the command.
    async fn kind_of(&self, ctx: &Context, id: Uuid) -> Option<&'static str> {
        if ctx.people.belongs_to(domain::PrincipalId(id), ctx.business) {
            return Some("principal");
        }
        let all: Vec<AggregateRef> =
            Kind::ALL.iter().map(|kind| AggregateRef::new(*kind, id)).collect();
        let versions = self.log.versions(ctx.business, &all).await.ok()?;
        let there = all.iter().zip(versions).find(|(_, version)| *version > 0);
        there.map(|(aggregate, _)| aggregate.kind.as_str())
    }
}
