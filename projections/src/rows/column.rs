//! What the columns of the views hold: ids and digests as bytes, times as microseconds, names and
//! exact numbers as text.

use std::sync::Arc;

use domain::values::{Amount, Digest};
use domain::{Timestamp, ids::ClosedSet};
use rusqlite::Row;
use rusqlite::types::{FromSqlError, FromSqlResult, ToSqlOutput, Value, ValueRef};
use rust_decimal::Decimal;
use uuid::Uuid;

/// A value that a column holds.
pub(crate) trait Column {
    /// The value as SQLite stores it.
    fn bind(&self) -> ToSqlOutput<'_>;
    /// Reads what [`bind`](Self::bind) gave.
    ///
    /// # Errors
    /// When the column holds something else.
    fn read(value: ValueRef<'_>) -> FromSqlResult<Self>
    where
        Self: Sized;
}

/// Reads the column with index `i` of a row.
pub(crate) fn read<T: Column>(row: &Row<'_>, i: usize) -> rusqlite::Result<T> {
    let value = row.get_ref(i)?;
    let kind = value.data_type();
    T::read(value).map_err(|e| rusqlite::Error::FromSqlConversionFailure(i, kind, Box::new(e)))
}

fn other(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> FromSqlError {
    FromSqlError::Other(why.into())
}

impl<T: Column> Column for Option<T> {
    fn bind(&self) -> ToSqlOutput<'_> {
        self.as_ref().map_or(ToSqlOutput::Owned(Value::Null), T::bind)
    }
    fn read(value: ValueRef<'_>) -> FromSqlResult<Self> {
        if value == ValueRef::Null { Ok(None) } else { T::read(value).map(Some) }
    }
}

impl Column for Uuid {
    fn bind(&self) -> ToSqlOutput<'_> {
        ToSqlOutput::Borrowed(ValueRef::Blob(self.as_bytes()))
    }
    fn read(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::from_slice(value.as_blob()?).map_err(other)
    }
}

macro_rules! ids {
    ($($ty:path,)*) => {$(impl Column for $ty {
        fn bind(&self) -> ToSqlOutput<'_> {
            self.0.bind()
        }
        fn read(value: ValueRef<'_>) -> FromSqlResult<Self> {
            Uuid::read(value).map(Self)
        }
    })*};
}
ids! {
    domain::BusinessId, domain::PrincipalId, domain::SubjectId, domain::ids::AgentId,
    domain::ids::ApprovalId, domain::ids::DecisionId, domain::ids::EventId,
    domain::ids::HistoryId, domain::ids::ReservationId, domain::ids::TaskId,
}

impl Column for Digest {
    fn bind(&self) -> ToSqlOutput<'_> {
        ToSqlOutput::Borrowed(ValueRef::Blob(&self.0))
    }
    fn read(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_blob()?.try_into().map(Self).map_err(other)
    }
}

impl Column for Timestamp {
    fn bind(&self) -> ToSqlOutput<'_> {
        self.as_micros().into()
    }
    fn read(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self::from_micros)
    }
}

/// Closed sets, by the names that are stored.
macro_rules! names {
    ($($ty:path,)*) => {$(impl Column for $ty {
        fn bind(&self) -> ToSqlOutput<'_> {
            ToSqlOutput::Borrowed(ValueRef::Text(self.name().as_bytes()))
        }
        fn read(value: ValueRef<'_>) -> FromSqlResult<Self> {
            let text = value.as_str()?;
            Self::named(text).ok_or_else(|| other(format!("`{text}` is no name of its set")))
        }
    })*};
}
names! {
    domain::Kind, domain::agents::AgentRole, domain::agents::AgentStatus,
    domain::approvals::ApprovalStatus, domain::approvals::Choice, domain::budgets::Window,
    domain::businesses::Phase, domain::decisions::DecisionStatus, domain::integrations::CallStatus,
    domain::integrations::DataClass, domain::integrations::OperationClass,
    domain::memory::FactKind, domain::memory::MemoryItem, domain::metrics::Aggregation,
    domain::metrics::Direction, domain::operations::ExportFormat, domain::access::PrincipalKind,
    domain::tasks::FailureReason, domain::tasks::Status, domain::tasks::Verdict,
    domain::values::RiskTier, domain::values::Role, domain::values::Team,
}

macro_rules! integers {
    ($($ty:ty)*) => {$(impl Column for $ty {
        fn bind(&self) -> ToSqlOutput<'_> {
            i64::from(*self).into()
        }
        fn read(value: ValueRef<'_>) -> FromSqlResult<Self> {
            let n = value.as_i64()?;
            Self::try_from(n).map_err(|_| FromSqlError::OutOfRange(n))
        }
    })*};
}
integers!(u8 u16 u32 i64);

/// Counts beyond 63 bits do not occur: each is of something that was stored.
impl Column for u64 {
    fn bind(&self) -> ToSqlOutput<'_> {
        i64::try_from(*self).unwrap_or(i64::MAX).into()
    }
    fn read(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let n = value.as_i64()?;
        Self::try_from(n).map_err(|_| FromSqlError::OutOfRange(n))
    }
}

impl Column for bool {
    fn bind(&self) -> ToSqlOutput<'_> {
        (*self).into()
    }
    fn read(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(value.as_i64()? != 0)
    }
}

impl Column for f64 {
    fn bind(&self) -> ToSqlOutput<'_> {
        (*self).into()
    }
    fn read(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_f64()
    }
}

impl Column for String {
    fn bind(&self) -> ToSqlOutput<'_> {
        self.as_str().into()
    }
    fn read(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(value.as_str()?.to_owned())
    }
}

impl Column for Vec<u8> {
    fn bind(&self) -> ToSqlOutput<'_> {
        ToSqlOutput::Borrowed(ValueRef::Blob(self))
    }
    fn read(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(value.as_blob()?.to_vec())
    }
}

impl Column for Arc<str> {
    fn bind(&self) -> ToSqlOutput<'_> {
        (**self).into()
    }
    fn read(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(value.as_str()?.into())
    }
}

/// A text that is only written.
impl Column for &str {
    fn bind(&self) -> ToSqlOutput<'_> {
        ToSqlOutput::Borrowed(ValueRef::Text(self.as_bytes()))
    }
    fn read(_: ValueRef<'_>) -> FromSqlResult<Self> {
        Err(FromSqlError::InvalidType)
    }
}

impl Column for event_log::Seq {
    fn bind(&self) -> ToSqlOutput<'_> {
        self.0.bind()
    }
    fn read(value: ValueRef<'_>) -> FromSqlResult<Self> {
        u64::read(value).map(Self)
    }
}

impl Column for event_log::Version {
    fn bind(&self) -> ToSqlOutput<'_> {
        self.0.bind()
    }
    fn read(value: ValueRef<'_>) -> FromSqlResult<Self> {
        u64::read(value).map(Self)
    }
}

/// Values that are held as their text.
macro_rules! texts {
    ($($ty:ty)*) => {$(impl Column for $ty {
        fn bind(&self) -> ToSqlOutput<'_> {
            self.to_string().into()
        }
        fn read(value: ValueRef<'_>) -> FromSqlResult<Self> {
            value.as_str()?.parse().map_err(other)
        }
    })*};
}
texts!(Decimal Amount domain::values::Currency domain::values::Ratio);

/// The reference to a personal field of an event: its `seq` and the JSON pointer to the field, such
/// as `17/data/title`. Rows hold it instead of the field: readers find it in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field(pub(super) String);

impl Field {
    pub(crate) fn new(seq: event_log::Seq, pointer: &str) -> Self {
        Self(format!("{}{pointer}", seq.0))
    }
}

impl Column for Field {
    fn bind(&self) -> ToSqlOutput<'_> {
        self.0.bind()
    }
    fn read(value: ValueRef<'_>) -> FromSqlResult<Self> {
        String::read(value).map(Self)
    }
}
