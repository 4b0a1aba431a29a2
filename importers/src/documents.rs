//! Documents: markdown files, or JSON files `{id, title, content}`, as domain expertise.

use std::path::Path;

use async_trait::async_trait;
use commands::CommandError;
use domain::ids::DocumentId;
use serde::Deserialize;
use serde_json::json;

use super::session::{Run, Session};
use super::{Counts, Importer};
use crate::source::{self, Reading, Source};

#[derive(Deserialize)]
pub(super) struct ExportedDocument {
    /// Id of the document, or its path below the folder.
    name: String,
    title: String,
    content: String,
}

#[derive(Debug)]
pub struct Documents;

#[async_trait]
impl Importer for Documents {
    fn name(&self) -> &'static str {
        "documents"
    }

    fn detect(&self, path: &Path, _beginning: &str) -> bool {
        path.is_dir()
    }

    fn open(&self, path: &Path, reading: &Reading) -> Result<Source, String> {
        source::documents(path, reading.encoding).map_err(|e| e.to_string())
    }

    fn check(&self, bytes: &[u8]) -> Result<(), String> {
        parse(bytes).map(|_| ())
    }

    async fn record(&self, session: &Session, bytes: &[u8]) -> Result<Counts, String> {
        let document = parse(bytes)?;
        let mut run = session
            .run_of(&document.name, DocumentId::of(session.business, &document.name).into())
            .await?;
        let rehearsal = add(&mut run, &document).await;
        let mut run = run.rehearsed(rehearsal)?;
        let result = add(&mut run, &document).await;
        run.end(result)
    }
}

/// Parses a record completely, and changes nothing.
pub(super) fn parse(bytes: &[u8]) -> Result<ExportedDocument, String> {
    let document: ExportedDocument =
        serde_json::from_slice(bytes).map_err(|e| format!("no document: {e}"))?;
    if document.content.trim().is_empty() {
        Err("the document is empty".to_owned())
    } else {
        Ok(document)
    }
}

async fn add(run: &mut Run<'_>, document: &ExportedDocument) -> Result<(), CommandError> {
    let id = DocumentId::of(run.session.business, &run.named(&document.name));
    let data = json!({"fact_kind": "domain_expertise", "title": document.title,
        "text": document.content, "source": document.name});
    run.send("add", "memory.add_document", id.0, data).await?;
    run.counts.source("documents", 1);
    Ok(())
}
