//! ANSWERS: folds of the log into tables, and the runner that keeps them up.
//!
//! The views are disposable and local: one SQLite file of the folder `views`, rebuilt from the log
//! at any time. A projection is a version, its `.sql` and an `apply`; its rows and its checkpoint
//! are written in one transaction. A changed projection gets a new version and is built anew in a
//! file beside the old one; there are no migrations. Side effects never live in a projection.

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
mod runner;
pub mod search;
mod snapshots;
mod tables;
pub mod tasks;
mod view_file;
mod views;

use std::sync::Arc;

use domain::Event;
use event_log::{Cause, Keyring, KeyringError, Recorded, Stored, Unsealed, unseal};
use rusqlite::{Connection, ToSql};

pub use digest::digest;
pub use runner::Runner;
pub use snapshots::SharedFolder;
pub use views::{Building, Failure, Outcome, Purpose, Status, Views, ViewsError, ViewsHealth};

/// An event on its way into the tables.
pub struct Applied<'a> {
    /// As the log has it.
    pub recorded: &'a Recorded,
    /// Its envelope.
    pub stored: &'a Stored<'a>,
    /// What happened.
    pub event: &'a Event,
}

impl Applied<'_> {
    fn business(&self) -> String {
        self.stored.business.to_string()
    }
    fn id(&self) -> String {
        self.stored.id.to_string()
    }
    /// When it happened in the world.
    fn at(&self) -> String {
        self.stored.happened_at().to_string()
    }
}

/// Why an event could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The tables refused it.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    /// A value could not be written.
    #[error(transparent)]
    Value(Cause),
    /// The keyring can't be used now.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
}

impl From<serde_json::Error> for ApplyError {
    fn from(e: serde_json::Error) -> Self {
        Self::value(e)
    }
}

impl ApplyError {
    /// A value could not be read or written: a sentence, or the error that says so.
    pub fn value(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Value(Cause::of(cause))
    }

    /// Whether the file is to blame, and not the event: the same may go well later.
    fn is_of_the_file(&self) -> bool {
        use rusqlite::ErrorCode::{
            CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, FileLockingProtocolFailed,
            OutOfMemory, ReadOnly, SystemIoFailure,
        };
        let code = match self {
            Self::Sql(e) => e.sqlite_error_code(),
            Self::Keyring(_) => return true,
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
        generation: u32,
    ) -> Result<bool, ApplyError> {
        let key = self.runtime.block_on(self.keyring.opening_key(business, subject, generation));
        Ok(key?.is_some())
    }

    /// The text of a personal field; `None` when it is forgotten or no text.
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
    /// From what is in the clear; personal fields stay sealed.
    Sealed(fn(&Connection, &Applied<'_>) -> Result<(), ApplyError>),
    /// Personal text in the clear, in tables that shredding purges.
    Searchable(fn(&Connection, &Applied<'_>, &Unsealer) -> Result<(), ApplyError>),
}

/// A projection.
pub struct Projection {
    /// Its name: the context's word.
    pub name: &'static str,
    /// Goes up whenever its tables or `apply` change.
    pub version: u32,
    /// Makes its tables.
    pub sql: &'static str,
    /// Its tables, each with the columns of its key.
    pub tables: &'static [(&'static str, &'static str)],
    /// What it does with an event.
    pub apply: Apply,
}

/// Every projection.
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

/// Runs a statement that is prepared once.
fn run(tx: &Connection, sql: &str, args: &[&dyn ToSql]) -> Result<(), ApplyError> {
    tx.prepare_cached(sql)?.execute(args)?;
    Ok(())
}

/// A cost as its two columns.
fn cost_columns(cost: Option<&domain::Cost>) -> (Option<String>, Option<String>) {
    cost.map(|c| (c.amount.to_string(), c.currency.to_string())).unzip()
}

/// A sealed field as a column holds it.
fn sealed<T: serde::Serialize>(field: &T) -> Result<String, ApplyError> {
    Ok(serde_json::to_string(field)?)
}

/// The same for a field that may be absent.
fn sealed_opt<T: serde::Serialize>(field: Option<&T>) -> Result<Option<String>, ApplyError> {
    field.map(sealed).transpose()
}
