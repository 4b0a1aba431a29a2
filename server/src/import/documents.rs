//! Documents: markdown files, or JSON files `{id, title, content}`, as domain expertise.

use commands::CommandError;
use domain::PrincipalId;
use domain::ids::DocumentId;
use serde::Deserialize;
use serde_json::json;

use super::session::{Run, Session};
use super::{Counts, Settings};
use crate::app::{App, AppError};

#[derive(Deserialize)]
pub(super) struct ExportedDocument {
    /// Its id, or its file below the folder.
    name: String,
    title: String,
    content: String,
}

/// Takes documents into one business.
pub struct Importer {
    session: Session,
}

impl Importer {
    /// Opens the session.
    ///
    /// # Errors
    /// What the command bus says.
    pub async fn prepare(
        app: &App,
        settings: &Settings,
        caller: PrincipalId,
    ) -> Result<Self, AppError> {
        Ok(Self { session: Session::open(app, "documents", settings, caller).await? })
    }

    /// Takes one document: `{name, title, content}`.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the record.
    pub async fn record(&self, bytes: &[u8]) -> Result<Counts, String> {
        let document = parse(bytes)?;
        let mut run = self
            .session
            .run_of(&document.name, DocumentId::of(self.session.business, &document.name).into())
            .await?;
        let result = add(&mut run, &document).await;
        run.end(result)
    }
}

/// Reads a record whole, and changes nothing.
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
