//! Proofs that an event is in a stream.

use std::time::Duration;

use async_graphql::{Context, Result, SimpleObject};
use domain::BusinessId;
use domain::ids::EventId;
use domain::limits::PROOF_MS_MAX;
use event_log::{Recorded, Seq, prove};
use projections::audit::tiles::{StoredTiles, TileError};
use proof::checkpoint::EventProof;
use proof::tree::tiles::TiledTree;
use proof::tree::{leaf_hash, verify_inclusion};
use rusqlite::OptionalExtension as _;

use crate::Sources;
use crate::allowance::{read, read_here};
use crate::audit::Event;
use crate::of_business::{self, IdArg};
use crate::page::client_error;
use crate::sight::Sight;
use crate::store::of_store;

/// The proof that an event is in a stream at its `seq`.
#[derive(SimpleObject)]
pub(crate) struct InclusionProof {
    /// The `seq` of the event: 1, 2, 3 …; its leaf index in the tree is one less.
    seq: u64,
    /// Hashes on the way from the event's leaf to the root, base64.
    path: Vec<String>,
    /// The signed checkpoint that the path leads to.
    checkpoint: String,
    /// The key that verifies the checkpoint, in the form of C2SP signed-note.
    vkey: String,
    /// The proof with the event's stored bytes, as a file that `minutebook verify --proof` checks.
    bundle: String,
}

/// Most events that the views may lack of a stream.
const TAIL_MAX: u64 = 64;

/// The event with a `seq`, counted among what the request reads of the log.
async fn event_at(sources: &Sources, business: BusinessId, seq: Seq) -> Result<Option<Recorded>> {
    let _place = sources.allowance.read_of_log().await?;
    let events = of_store(sources.log.read_events(business, &[seq])).await?;
    sources.allowance.spend_log(events.iter().map(|e| e.bytes.len()).sum())?;
    Ok(events.into_iter().next())
}

/// Makes the proof of the tiles that the views hold: it reads a few rows, and the events that the
/// views do not have yet. `None` if it does not lead to the head of the log.
async fn of_tiles(
    sources: &Sources,
    business: BusinessId,
    id: EventId,
) -> Result<Option<EventProof>> {
    let sql = format!(
        "SELECT seq FROM events WHERE {} AND event_id = ?",
        of_business::condition("seq", "")
    );
    let (seq, covered) = read_here(|| {
        sources.views.read(|c| {
            let seq: Option<u64> =
                c.prepare_cached(&sql)?.query_row((business.0, id.0), |r| r.get(0)).optional()?;
            Ok((seq, StoredTiles::new(c, business).leaves()?))
        })
    })?;
    let (Some(seq), Some(head)) = (seq.map(Seq), of_store(sources.log.head(business)).await?)
    else {
        return Ok(None);
    };
    if head.seq.0.saturating_sub(covered) > TAIL_MAX {
        return Ok(None);
    }
    let Some(recorded) = event_at(sources, business, seq).await? else { return Ok(None) };
    // What the views say is looked at again.
    if recorded.stored()?.event_id != id {
        return Ok(None);
    }
    let mut tail = Vec::new();
    for seq in covered + 1..=head.seq.0 {
        let Some(event) = event_at(sources, business, Seq(seq)).await? else { return Ok(None) };
        tail.push(leaf_hash(&event.bytes));
    }
    let (size, index) = (head.seq.0, seq.previous().0);
    let path = read(sources, move |c| {
        let mut tree = TiledTree::new(StoredTiles::new(c, business), covered, tail);
        match tree.inclusion_proof(size, index) {
            Ok(path) => Ok(Some(path)),
            Err(TileError::Tree(_)) => Ok(None),
            Err(TileError::Views(e)) => Err(e),
        }
    })
    .await?;
    // The views are no authority: a row of theirs may be lost, or changed.
    let leads_to_head = |path: &Vec<_>| {
        verify_inclusion(index, size, &leaf_hash(&recorded.bytes), path, &head.root).is_ok()
    };
    let Some(path) = path.filter(leads_to_head) else { return Ok(None) };
    Ok(Some(prove::with_path(&sources.signer, &recorded, &head, &path)?))
}

/// Makes the proof of the whole stream; a few at once, each in a time.
async fn of_stream(
    sources: &Sources,
    business: BusinessId,
    id: EventId,
) -> Result<Option<EventProof>> {
    let in_time = async {
        let _permit = sources.proofs.acquire().await;
        prove::event(&*sources.log, &sources.signer, business, id).await
    };
    let made = tokio::time::timeout(Duration::from_millis(PROOF_MS_MAX), in_time).await;
    let too_slow = |_| {
        client_error(
            "TOO_SLOW",
            &format!("the proof took longer than {PROOF_MS_MAX} ms"),
            "ask again when fewer proofs are being made, or export the business",
        )
    };
    Ok(made.map_err(too_slow)??)
}

/// The proof that an event is in the stream of a business; `None` if the viewer sees no such event.
pub(crate) async fn inclusion_proof(
    ctx: &Context<'_>,
    business: BusinessId,
    event: &str,
) -> Result<Option<InclusionProof>> {
    let sources = ctx.data::<Sources>()?;
    let id = event.parse().map_err(|_| {
        client_error(
            "BAD_ARGUMENT",
            "that is no id of an event",
            "take it from events { nodes { id } }",
        )
    })?;
    // A proof holds the event's bytes: who does not see the event gets none.
    let seen = Sight::of(ctx, &business.to_string())?.and::<Event>();
    let of = of_business::condition("seq", "");
    let sql = format!("SELECT 1 FROM events WHERE event_id = ? AND {of}{seen}");
    let args = (IdArg::new(event), business.0);
    let visible = seen.is_empty()
        || read_here(|| sources.views.read(|c| c.prepare_cached(&sql)?.exists(args)))?;
    if !visible {
        return Ok(None);
    }
    let proof = match of_tiles(sources, business, id).await? {
        Some(proof) => proof,
        None => match of_stream(sources, business, id).await? {
            Some(proof) => proof,
            None => return Ok(None),
        },
    };
    let bundle = serde_json::to_string(&proof)?;
    sources.allowance.spend(bundle.len())?;
    Ok(Some(InclusionProof {
        seq: proof.seq,
        path: proof.path,
        checkpoint: proof.checkpoint,
        vkey: proof.vkey,
        bundle,
    }))
}
