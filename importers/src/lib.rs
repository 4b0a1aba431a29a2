//! THE PAST: real work done elsewhere comes in through the command bus, command by command, with
//! keys of its own; so a second run changes nothing, and an interrupted one goes on where it
//! stopped.

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

/// What an import is started with.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Slug of the business; it is registered when it is missing.
    pub business: String,
    /// Currency of amounts that come without one.
    pub currency: Currency,
    /// Keys of attributes that are about nobody and may be kept in the clear as well.
    #[serde(default)]
    pub clear: Vec<String>,
}

/// A format that work done elsewhere comes in.
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

    /// Makes sure of what all records need, before the first of them.
    ///
    /// # Errors
    /// What the command bus says.
    async fn prepare(&self, _session: &Session) -> Result<(), CommandError> {
        Ok(())
    }

    /// Takes one record; the same one again changes nothing. Its form is checked before its first
    /// command.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the record.
    async fn record(&self, session: &Session, bytes: &[u8]) -> Result<Counts, String>;
}

/// A format, as it is passed around.
pub type Format = &'static dyn Importer;

/// Every format. A new one is a line here.
pub const FORMATS: &[Format] =
    &[&Transcripts, &Langfuse, &Openhands, &SweAgent, &Xes, &Csv, &Documents];

/// The format of that name.
#[must_use]
pub fn format_named(name: &str) -> Option<Format> {
    FORMATS.iter().copied().find(|format| format.name() == name)
}

/// Bytes of a file that are looked at to tell its format.
pub const DETECT_BYTES: u64 = 4_096;

/// The format that a file looks like; `None` when it can't be told or read.
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
    /// Registers the business when it is missing, and makes sure of whom the importer needs.
    ///
    /// # Errors
    /// What the command bus says.
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

    /// Looks at a record of a format before the first one registers a business.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn check(format: Format, bytes: &[u8]) -> Result<(), String> {
        Shape::check(bytes)?;
        format.check(bytes)
    }

    /// Takes one record; the same one again changes nothing.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the record.
    pub async fn record(&self, bytes: &[u8]) -> Result<Counts, String> {
        Shape::check(bytes)?;
        self.format.record(&self.session, bytes).await
    }
}

/// An object of the members that are there.
fn fields<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    members
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value.filter(|v| !v.is_null())?)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
