//! Importers: work that was done elsewhere comes in through the command bus, each command with an
//! idempotency key derived from the source. So a second run changes nothing, and an interrupted run
//! continues where it stopped.

pub mod cases;
mod counts;
pub mod csv;
pub mod documents;
pub mod input;
pub mod langfuse;
mod lines;
pub mod openhands;
pub mod records;
pub mod session;
pub mod source;
pub mod swe_agent;
pub mod transcript;
pub mod xes;

use std::io::Read as _;
use std::path::Path;

use async_trait::async_trait;
use commands::CommandError;
use domain::PrincipalId;
use domain::values::Currency;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use counts::{BROKEN_TOLD_MAX, Broken, Counts};
pub use csv::Csv;
pub use documents::Documents;
pub use langfuse::Langfuse;
pub use openhands::Openhands;
pub use session::Host;
pub use swe_agent::SweAgent;
pub use transcript::Transcripts;
pub use xes::Xes;

use input::Input;
use records::Shape;
use session::Session;
use source::{Reading, Source};

/// The settings of an import.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Slug of the business; it is registered when it is missing.
    pub business: String,
    /// Currency of amounts that come without one.
    pub currency: Currency,
    /// Keys of attributes without personal data, which are also stored unencrypted.
    #[serde(default)]
    pub clear: Vec<String>,
}

/// An importer: reads one format of work that was done elsewhere.
#[async_trait]
pub trait Importer: Send + Sync + std::fmt::Debug {
    /// Its name: in `minutebook import NAME`, in `POST /v1/imports/NAME`, in the importer's service
    /// `importer:NAME` and in idempotency keys.
    fn name(&self) -> &'static str;

    /// True if a file looks like one of this format. `beginning` is at most its first
    /// [`DETECT_BYTES`] bytes, decompressed and decoded. It only helps whoever named another
    /// format.
    fn detect(&self, path: &Path, beginning: &str) -> bool;

    /// Opens a file, or for documents a folder, as a stream of records.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the file as a whole.
    fn open(&self, path: &Path, reading: &Reading) -> Result<Source, String>;

    /// Reads a record whole and changes nothing.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the record.
    fn check(&self, bytes: &[u8]) -> Result<(), String>;

    /// Prepares what all records need, before the first of them is imported.
    ///
    /// # Errors
    /// The error of the command bus.
    async fn prepare(&self, _session: &Session) -> Result<(), CommandError> {
        Ok(())
    }

    /// Imports one record; importing it again changes nothing. The record is checked before its
    /// first command is sent.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the record.
    async fn record(&self, session: &Session, bytes: &[u8]) -> Result<Counts, String>;
}

/// A reference to an importer.
pub type Format = &'static dyn Importer;

/// Every importer; a new one is added here.
pub const FORMATS: &[Format] =
    &[&Transcripts, &Langfuse, &Openhands, &SweAgent, &Xes, &Csv, &Documents];

/// The importer with this name; `None` if there is none.
#[must_use]
pub fn format_named(name: &str) -> Option<Format> {
    FORMATS.iter().copied().find(|format| format.name() == name)
}

/// How many bytes of a file are looked at to detect its format.
pub const DETECT_BYTES: u64 = 4_096;

/// The importer whose format a file looks like; `None` if none fits or the file can't be read.
#[must_use]
pub fn detect(path: &Path) -> Option<Format> {
    let mut beginning = Vec::new();
    if path.is_file() {
        let input = Input::open(path, None).ok()?;
        input.text.take(DETECT_BYTES).read_to_end(&mut beginning).ok()?;
    }
    let beginning = String::from_utf8_lossy(&beginning);
    FORMATS.iter().copied().find(|format| format.detect(path, &beginning))
}

/// An import of one format into one business.
pub struct Import {
    format: Format,
    session: Session,
}

impl Import {
    /// Registers the business if it is missing, and adds the principals that the importer needs.
    ///
    /// # Errors
    /// The error of the command bus.
    pub async fn begin(
        host: &Host,
        format: Format,
        settings: &Settings,
        caller: PrincipalId,
    ) -> Result<Self, CommandError> {
        let session = Session::open(host, format.name(), settings, caller).await?;
        format.prepare(&session).await?;
        Ok(Self { format, session })
    }

    /// Checks a record of a format before the first record registers a business.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the record.
    pub fn check(format: Format, bytes: &[u8]) -> Result<(), String> {
        Shape::check(bytes)?;
        format.check(bytes)
    }

    /// Imports one record; importing it again changes nothing.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the record.
    pub async fn record(&self, bytes: &[u8]) -> Result<Counts, String> {
        Shape::check(bytes)?;
        self.format.record(&self.session, bytes).await
    }
}

/// A JSON object of the members that have a value.
fn fields<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    members
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value.filter(|v| !v.is_null())?)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
