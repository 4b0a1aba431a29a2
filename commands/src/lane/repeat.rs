//! Compares a command with what is stored: with the approval that it presents, and with an earlier
//! command under the same key.

use domain::ids::ApprovalId;
use domain::personal::ContentDigest;
use domain::values::Digest;
use event_log::envelope::event_id;
use event_log::sealing::content_digest;
use event_log::{Cause, Recorded, Unsealed, unseal};

use super::{Job, LaneServices};
use crate::approval_check;
use crate::command::{CommandError, Receipt, ReceiptEvent, ReceiptResult};
use crate::root::LoadedAggregates;

impl LaneServices {
    /// Digest of this command under the approval's digest key; `None` if that key is destroyed, or
    /// the approval was never requested.
    pub(super) async fn presented_digest(
        &self,
        job: &Job,
        id: ApprovalId,
        loaded: &LoadedAggregates,
    ) -> Result<Option<Digest>, CommandError> {
        let approval = loaded.get(id)?;
        let Some(stored) = &approval.command_digest else { return Ok(None) };
        let Some(key) = self.digest_key(stored).await? else { return Ok(None) };
        let malformed = |e: serde_json::Error| CommandError::Malformed(e.to_string());
        let data = serde_json::from_str(job.submission.data.get()).map_err(malformed)?;
        let intended = approval_check::intended(
            job.submission.business,
            &job.submission.r#type,
            job.target.id,
            &data,
            approval.approval_policy_version,
            approval.expires_at,
        );
        Ok(Some(content_digest(&key, &proof::canonical::to_bytes(&intended).map_err(malformed)?)))
    }

    async fn digest_key(&self, digest: &ContentDigest) -> Result<Option<[u8; 32]>, CommandError> {
        let Some(field) = digest.digest_key.sealed() else { return Ok(None) };
        match unseal::<Digest>(&*self.keyring, field).await? {
            Unsealed::Value(key) => Ok(Some(key.0)),
            Unsealed::Forgotten => Ok(None),
        }
    }

    /// The first receipt of an idempotency key that was used, if the content is the same. Once the
    /// subject of the first digest is forgotten, the content can't be compared and counts as the
    /// same.
    pub(super) async fn repeat(
        &self,
        job: &Job,
        first: &Recorded,
    ) -> Result<Receipt, CommandError> {
        let corrupt = |e: serde_json::Error| {
            CommandError::Unavailable(Cause::new("a stored event can't be read", e))
        };
        let stored = first.stored().map_err(corrupt)?;
        if let Some(request) = stored.request_digest().map_err(corrupt)?
            && let Some(key) = self.digest_key(&request).await?
            && content_digest(&key, &job.content) != request.digest
        {
            return Err(CommandError::KeyReused(job.submission.key.clone()));
        }
        let (mut events, mut position, mut result) = (Vec::new(), first.position, None);
        let mut next = Some(first.clone());
        while let Some(recorded) = next {
            let stored = recorded.stored().map_err(corrupt)?;
            position = recorded.position;
            // An event of a later version of this program has a receipt without its result.
            if let Ok(event) = stored.event() {
                ReceiptResult::take(&mut result, &event, stored.id);
            }
            events.push(ReceiptEvent {
                event_id: stored.event_id,
                r#type: stored.r#type.to_string(),
                seq: recorded.seq,
                kind: stored.kind.to_string(),
                id: stored.id,
                version: stored.version,
            });
            let index = u32::try_from(events.len()).unwrap_or(u32::MAX);
            let id = event_id(
                job.submission.business,
                job.submission.actor.principal,
                &job.submission.key,
                index,
            );
            next = self.log.find(job.submission.business, id).await?;
        }
        Ok(Receipt {
            business: job.submission.business,
            events,
            position: Some(position),
            repeated: true,
            result,
        })
    }
}
