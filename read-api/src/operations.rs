//! Exports, checkpoints and proofs: what is taken away and checked elsewhere.

use async_graphql::{Context, ID, Object, Result, SimpleObject};
use domain::BusinessId;

use crate::Sources;
use crate::audit::{Event, event_by_seq};
use crate::closed_sets::ExportFormat;
use crate::filter::filter;
use crate::inclusion::{InclusionProof, inclusion_proof};
use crate::links::links;
use crate::lists::lists;
use crate::node::node;
use crate::scalars::{DateTime, Digest};
use crate::store::of_store;

node! {
    /// An export: a copy of the business's stream that somebody took away.
    Export in "exports" by "seq", agents see Never {
        /// Id of the export.
        id: ID,
        /// The `seq` of the event that recorded the export.
        seq: i64,
        /// Id of the principal that took the copy.
        actor_id: ID = "actor",
        /// File format of the copy.
        format: ExportFormat,
        /// Number of events in the copy, from the first of the stream on.
        events: i64,
        /// SHA-256 of the exported file.
        digest: Digest,
        /// Root of the stream's Merkle tree over the events in the copy.
        root: Digest,
        /// When the copy was taken.
        at: DateTime,
    } money {}
}

links! { Export {
    one {}
    principals {
        /// The principal that took the copy.
        actor = actor_id;
    }
    pages {}
    bounded {}
    fields {
        /// The event that recorded the export.
        async fn event(&self, ctx: &Context<'_>) -> Result<Option<Event>> {
            event_by_seq(ctx, &self.business, self.seq).await
        }
    }
} }

filter! {
    /// Which exports are asked for.
    ExportFilter {
        /// Exports with one of these ids.
        id: ID, in "id";
        /// Exports in one of these formats.
        format: ExportFormat, in "format";
        /// Exports that one of these principals took.
        actor_id: ID, in "actor";
    }
}

lists! {
    /// The exports of a business.
    ExportsOfBusiness {
        /// The exports of the business: copies of its stream that somebody took away.
        exports: Export, by ExportFilter;
    }
}

/// The end of a business's stream.
#[derive(SimpleObject)]
struct StreamHead {
    /// Number of events in the stream.
    seq: u64,
    /// Root of the stream's RFC 6962 Merkle tree.
    root: Digest,
}

/// The stream of a business and its proofs.
#[derive(Clone)]
pub(crate) struct StreamOfBusiness(pub(crate) String);

/// The stream of a business and its proofs.
#[Object]
impl StreamOfBusiness {
    /// The end of the business's stream; null when the log has no such stream.
    async fn head(&self, ctx: &Context<'_>) -> Result<Option<StreamHead>> {
        let head = of_store(ctx.data::<Sources>()?.log.head(self.0.parse()?)).await?;
        Ok(head.map(|h| StreamHead { seq: h.seq.0, root: digest(h.root) }))
    }

    /// A signed checkpoint of the stream: its number of events and the root of its Merkle tree;
    /// null when the log has no such stream.
    #[graphql(complexity = 5)]
    async fn signed_checkpoint(&self, ctx: &Context<'_>) -> Result<Option<SignedCheckpoint>> {
        signed_checkpoint(ctx, self.0.parse()?).await
    }

    /// The proof that an event is in the stream; null if there is none that you may see.
    #[graphql(complexity = 500)]
    async fn inclusion_proof(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Id of the event.")] event_id: ID,
    ) -> Result<Option<InclusionProof>> {
        inclusion_proof(ctx, self.0.parse()?, &event_id).await
    }
}

fn digest(root: [u8; 32]) -> Digest {
    Digest(domain::values::Digest(root).to_string())
}

/// Number of events of a stream and the root of its Merkle tree, signed by this installation.
#[derive(SimpleObject)]
struct SignedCheckpoint {
    /// The signed note, in the form of C2SP tlog-checkpoint.
    text: String,
    /// The key that verifies the signature, in the form of C2SP signed-note.
    vkey: String,
    /// Number of events in the stream.
    seq: u64,
    /// Root of the stream's Merkle tree.
    root: Digest,
}

async fn signed_checkpoint(
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
        root: digest(head.root),
    }))
}
