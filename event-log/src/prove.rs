//! Proofs of what is in the log, for those who have neither the log nor us.

use domain::BusinessId;
use domain::ids::EventId;
use proof::checkpoint::{EventProof, Signer};
use proof::tree::{Hash, inclusion_proof, leaf_hash};

use crate::log::{EventLog, LogError};
use crate::place::Seq;

/// Events read at once.
const PAGE: usize = 5_000;

/// An event with the proof of its place; `None` when the business has no such event. The stream is
/// read to its end.
///
/// # Errors
/// When the log can't be read.
pub async fn event(
    log: &dyn EventLog,
    signer: &Signer,
    business: BusinessId,
    id: EventId,
) -> Result<Option<EventProof>, LogError> {
    let (Some(recorded), Some(head)) = (log.find(business, id).await?, log.head(business).await?)
    else {
        return Ok(None);
    };
    let mut leaves: Vec<Hash> = Vec::new();
    while (leaves.len() as u64) < head.seq.0 {
        let room = usize::try_from(head.seq.0 - leaves.len() as u64).unwrap_or(PAGE).min(PAGE);
        let page = log.read_business(business, Seq(leaves.len() as u64), room).await?;
        if page.is_empty() {
            return Err(LogError::corrupt(format!(
                "the stream ends after {} of {} events",
                leaves.len(),
                head.seq
            )));
        }
        leaves.extend(page.iter().map(|r| leaf_hash(&r.bytes)));
    }
    let index = usize::try_from(recorded.seq.previous().0).unwrap_or(usize::MAX);
    let path = inclusion_proof(&leaves, index).map_err(LogError::corrupt)?;
    let text = String::from_utf8(recorded.bytes).map_err(LogError::corrupt)?;
    let checkpoint = signer.checkpoint(&business.stream_name(), head.seq.0, &head.root);
    Ok(Some(EventProof::new(text, recorded.seq.0, &path, checkpoint, &signer.verifier())))
}
