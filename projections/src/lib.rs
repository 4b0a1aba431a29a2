//! Projections: folds of the log into tables, and the runner that keeps the tables up to date.
//!
//! The views are disposable and local: SQLite files in the folder `views`, rebuilt from the log at
//! any time. A projection is a version, its `.sql` and an `apply`; its rows and its checkpoint are
//! written in one transaction. A changed projection gets a new version and is built anew by a
//! shadow build; there are no migrations. A projection has no side effects.
//!
//! Personal text stays sealed in the log: rows only refer to it. The one exception is the text that
//! can be searched, which is in a file of its own, filled by a runner of its own.

pub mod access;
pub mod agents;
pub mod approvals;
pub mod audit;
pub mod budgets;
pub mod businesses;
pub mod decisions;
mod digest;
mod generations;
pub mod integrations;
pub mod memory;
pub mod metrics;
pub mod operations;
pub mod privacy;
mod projection_set;
mod rows;
mod runner;
pub mod search;
mod snapshots;
mod tables;
pub mod tasks;
mod view_file;
mod views;

use std::sync::Arc;

use domain::personal::Generation;
use domain::{Event, Timestamp};
use event_log::{Cause, Keyring, KeyringError, Recorded, Seq, Stored, Unsealed, unseal};

pub use digest::digest;
use projection_set::{ProjectionSet, SEARCH, TABLES};
use rows::{AggregateKey, BusinessNumber, Field, Place, Tables};
pub use runner::Runner;
pub use snapshots::SharedFolder;
pub use views::{Building, Failure, Outcome, Purpose, Status, Views, ViewsError, ViewsHealth};

/// An event that is being applied to the tables.
pub struct Applied<'a> {
    /// The event as the log stores it.
    pub recorded: &'a Recorded,
    /// The envelope of the event.
    pub stored: &'a Stored<'a>,
    /// The data of the event.
    pub event: &'a Event,
    /// The number of its business in the file.
    business: BusinessNumber,
    /// Where it is: the key of the row that it makes.
    place: Place,
}

impl Applied<'_> {
    /// Key of the aggregate that the event belongs to.
    fn aggregate(&self) -> AggregateKey {
        AggregateKey { business: self.business, id: self.stored.id }
    }
    /// When the event happened in the world.
    fn at(&self) -> Timestamp {
        self.stored.happened_at()
    }
    /// The reference to a personal field of the event, by the JSON pointer to it.
    fn field(&self, pointer: &str) -> Field {
        Field::new(self.recorded.seq, pointer)
    }
    /// The reference to a personal field that the event may lack.
    fn optional_field<T>(&self, field: Option<&T>, pointer: &str) -> Option<Field> {
        field.map(|_| self.field(pointer))
    }
}

/// Why an event could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// SQLite refused the statement.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    /// A value could not be read or written.
    #[error(transparent)]
    Value(Cause),
    /// The keyring can't be used at the moment.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
}

impl From<serde_json::Error> for ApplyError {
    fn from(e: serde_json::Error) -> Self {
        Self::value(e)
    }
}

impl ApplyError {
    /// Makes the error of a value that could not be read or written, from a sentence or its cause.
    pub fn value(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Value(Cause::of(cause))
    }

    /// True if the view file is to blame and not the event, so that applying it may succeed later.
    fn is_of_the_file(&self) -> bool {
        use rusqlite::ErrorCode::{
            CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, FileLockingProtocolFailed,
            OutOfMemory, ReadOnly, SystemIoFailure,
        };
        let code = match self {
            Self::Sql(e) => e.sqlite_error_code(),
            // A field that does not fit its key is the event's fault.
            Self::Keyring(e) => return !matches!(e, KeyringError::Broken(_)),
            Self::Value(_) => None,
        };
        code.is_some_and(|c| {
            [
                CannotOpen,
                DatabaseBusy,
                DatabaseLocked,
                DiskFull,
                FileLockingProtocolFailed,
                OutOfMemory,
                ReadOnly,
                SystemIoFailure,
            ]
            .contains(&c)
        })
    }
}

/// Opens personal fields, for tables that are declared searchable and for no others.
#[derive(Clone)]
pub struct Unsealer {
    keyring: Arc<dyn Keyring>,
    runtime: tokio::runtime::Handle,
}

impl Unsealer {
    fn has_key(
        &self,
        business: domain::BusinessId,
        subject: domain::SubjectId,
        generation: Generation,
    ) -> Result<bool, ApplyError> {
        let key = self.runtime.block_on(self.keyring.opening_key(business, subject, generation));
        Ok(key?.is_some())
    }

    /// Opens the text of a personal field; `None` if it is forgotten or is no text.
    ///
    /// # Errors
    /// When the keyring can't be used.
    pub fn text(
        &self,
        field: &domain::personal::SealedField,
    ) -> Result<Option<String>, ApplyError> {
        let opened = self.runtime.block_on(unseal::<serde_json::Value>(&*self.keyring, field));
        match opened? {
            Unsealed::Value(serde_json::Value::String(text)) => Ok(Some(text)),
            Unsealed::Value(_) | Unsealed::Forgotten => Ok(None),
        }
    }
}

/// How a projection applies an event.
pub enum Apply {
    /// Applies only what is in the clear; personal fields stay sealed.
    Sealed(fn(&mut Tables<'_>, &Applied<'_>) -> Result<(), ApplyError>),
    /// Writes personal text in the clear, into tables from which forgotten subjects are purged. It
    /// needs the envelope of the event and the sealed fields, but not the typed event.
    Searchable(fn(&mut Tables<'_>, &Stored<'_>, Seq, &Unsealer) -> Result<(), ApplyError>),
}

/// A projection: its version, its tables, and how it applies an event.
pub struct Projection {
    /// Name of the projection: its context's word.
    pub name: &'static str,
    /// Version of the projection; it goes up whenever the tables or `apply` change.
    pub version: u32,
    /// SQL that makes the tables, and the indexes that `apply` itself needs.
    pub sql: &'static str,
    /// Names of the indexes that only readers need, each with its table and columns. A file that is
    /// built from the log gets them at the end: a whole index is sorted faster than it is grown.
    pub indexes: &'static [(&'static str, &'static str)],
    /// Names of the tables, each with the columns of its key.
    pub tables: &'static [(&'static str, &'static str)],
    /// Applies one event to the tables.
    pub apply: Apply,
}

/// Every projection; the searchable ones stand last.
pub const ALL: &[Projection] = &[
    businesses::PROJECTION,
    access::PROJECTION,
    agents::PROJECTION,
    tasks::PROJECTION,
    decisions::PROJECTION,
    approvals::PROJECTION,
    budgets::PROJECTION,
    integrations::PROJECTION,
    memory::PROJECTION,
    metrics::PROJECTION,
    operations::PROJECTION,
    privacy::PROJECTION,
    audit::PROJECTION,
    search::PROJECTION,
];
