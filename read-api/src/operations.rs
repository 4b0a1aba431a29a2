//! Exports, checkpoints and proofs: what is taken away and checked elsewhere.

use std::time::Duration;

use async_graphql::{ComplexObject, Context, Result, SimpleObject};
use domain::BusinessId;
use domain::limits::PROOF_MS_MAX;
use event_log::prove;

use crate::Sources;
use crate::allowance::read_here;
use crate::audit::Event;
use crate::node::node;
use crate::page::client_error;
use crate::sight::Sight;
use crate::store::of_store;

node! {
    /// An export: a copy of the business's stream that somebody took away.
    Export in "exports" by "seq", agents see Never {
        /// Id of the export.
        id: String,
        /// The `seq` of the event that recorded the export.
        seq: i64,
        /// The principal that took the copy.
        actor: String,
        /// File format of the copy: jsonl, cloudevents or csv.
        format: String,
        /// Number of events in the copy, from the first of the stream on.
        events: i64,
        /// SHA-256 of the exported file.
        digest: String,
        /// Root of the stream's Merkle tree over the events in the copy.
        root: String,
        /// When the copy was taken.
        at: String,
    } money {}
}

#[ComplexObject]
impl Export {
    /// Id of the event that recorded the export.
    async fn event_id(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        crate::children::event_id(ctx, &self.business, self.seq).await
    }
}

/// Number of events of a stream and the root of its Merkle tree, signed by this installation.
#[derive(SimpleObject)]
pub(crate) struct SignedCheckpoint {
    /// The signed note, in the form of C2SP tlog-checkpoint.
    text: String,
    /// The key that verifies the signature, in the form of C2SP signed-note.
    vkey: String,
    /// Number of events in the stream.
    seq: u64,
    /// Root of the stream's Merkle tree, hexadecimal.
    root: String,
}

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

pub(crate) async fn signed_checkpoint(
    ctx: &Context<'_>,
    business: BusinessId,
) -> Result<Option<SignedCheckpoint>> {
    let sources = ctx.data::<Sources>()?;
    let Some(head) = of_store(sources.log.head(business)).await? else { return Ok(None) };
    let text = sources.signer.checkpoint(&business.stream_name(), head.seq.0, &head.root);
    Ok(Some(SignedCheckpoint {
        text,
        vkey: sources.signer.verifier().to_string(),
        seq: head.seq.0,
        root: domain::values::Digest(head.root).to_string(),
    }))
}

pub(crate) async fn inclusion_proof(
    ctx: &Context<'_>,
    business: BusinessId,
    event: &str,
) -> Result<Option<InclusionProof>> {
    let sources = ctx.data::<Sources>()?;
    let id = event.parse().map_err(|_| {
        client_error(
            "BAD_ARGUMENT",
            &format!("`{event}` is no event id"),
            "take it from events { nodes { eventId } }",
        )
    })?;
    // A proof holds the event's bytes: who does not see the event gets none.
    let seen = Sight::of(ctx, &business.to_string())?.and::<Event>();
    let sql = format!("SELECT 1 FROM events WHERE event_id = ? AND business = ?{seen}");
    let args = [event.to_owned(), business.to_string()];
    let visible = seen.is_empty()
        || read_here(|| sources.views.read(|c| c.prepare_cached(&sql)?.exists(args)))?;
    if !visible {
        return Ok(None);
    }
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
    let Some(proof) = made.map_err(too_slow)?? else { return Ok(None) };
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
