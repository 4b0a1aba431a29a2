//! Proofs of what is in the log, for those who have neither the log nor us.

use domain::BusinessId;
use domain::ids::EventId;
use proof::checkpoint::{EventProof, Signer};
use proof::tree::{Hash, inclusion_proof, leaf_hash};

use crate::envelope::Recorded;
use crate::log::{EventLog, Head, LogError};
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
    let leaves = leaves(log, business, Seq::START, head.seq).await?;
    let index = usize::try_from(recorded.seq.previous().0).unwrap_or(usize::MAX);
    let path = inclusion_proof(&leaves, index).map_err(LogError::corrupt)?;
    with_path(signer, &recorded, &head, &path).map(Some)
}

/// The hashes of a stream's events after one `seq` up to another.
///
/// # Errors
/// When the log can't be read, or ends before.
async fn leaves(
    log: &dyn EventLog,
    business: BusinessId,
    after: Seq,
    up_to: Seq,
) -> Result<Vec<Hash>, LogError> {
    let mut leaves: Vec<Hash> = Vec::new();
    loop {
        let at = after.0 + leaves.len() as u64;
        let room = usize::try_from(up_to.0.saturating_sub(at)).unwrap_or(PAGE).min(PAGE);
        if room == 0 {
            return Ok(leaves);
        }
        let page = log.read_business(business, Seq(at), room).await?;
        if page.is_empty() {
            let why = format!("the stream ends after {at} of {up_to} events");
            return Err(LogError::corrupt(why));
        }
        leaves.extend(page.iter().map(|r| leaf_hash(&r.bytes)));
    }
}

/// The proof of an event whose audit path in the tree of the head is known.
///
/// # Errors
/// When the stored bytes are no text.
pub fn with_path(
    signer: &Signer,
    recorded: &Recorded,
    head: &Head,
    path: &[Hash],
) -> Result<EventProof, LogError> {
    let text = str::from_utf8(&recorded.bytes).map_err(LogError::corrupt)?.to_owned();
    let checkpoint = signer.checkpoint(&recorded.business.stream_name(), head.seq.0, &head.root);
    Ok(EventProof::new(text, recorded.seq.0, path, checkpoint, &signer.verifier()))
}
