//! Where a row's event is: the business and `seq` in one integer.

use event_log::Seq;
use rusqlite::types::{FromSqlResult, ToSqlOutput, ValueRef};
use uuid::Uuid;

use super::{Column, numbered};
use crate::ApplyError;

/// Bits of a place that hold the `seq`.
const SEQ_BITS: u32 = 36;
/// One more than the largest `seq` that a place can hold.
const SEQ_END: i64 = 1 << SEQ_BITS;
/// One more than the largest number that a business can have.
const NUMBER_END: i64 = 1 << (63 - SEQ_BITS);

numbered! {
    /// A business that has a number in this file.
    pub(super) NumberedBusiness in "business_numbers" by "n" { id: Uuid }
}

/// The number of a business in a view file: 1, 2, 3 … in the order in which the file met them. In
/// another file a business has another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BusinessNumber(i64);

impl BusinessNumber {
    /// # Errors
    /// When no place can hold the number.
    pub(super) fn new(n: i64) -> Result<Self, ApplyError> {
        if (0..NUMBER_END).contains(&n) {
            Ok(Self(n))
        } else {
            Err(ApplyError::value("a view file has no number left for another business"))
        }
    }

    /// The places of all events that the business can have: the first and the last.
    pub(crate) const fn places(self) -> (Place, Place) {
        let first = self.0 << SEQ_BITS;
        (Place(first), Place(first | (SEQ_END - 1)))
    }
}

/// Where an event is, as the key of a row: the number of the business and the event's `seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place(i64);

impl Place {
    /// # Errors
    /// When the stream of the business is longer than a place can say.
    pub(crate) fn new(business: BusinessNumber, seq: Seq) -> Result<Self, ApplyError> {
        let seq = i64::try_from(seq.0).ok().filter(|seq| *seq < SEQ_END);
        let seq = seq.ok_or_else(|| ApplyError::value("the stream is too long for the views"))?;
        Ok(Self((business.0 << SEQ_BITS) | seq))
    }

    /// The number of the business.
    pub(crate) const fn business(self) -> BusinessNumber {
        BusinessNumber(self.0 >> SEQ_BITS)
    }
}

/// Key of an aggregate's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct AggregateKey {
    pub(crate) business: BusinessNumber,
    pub(crate) id: Uuid,
}

macro_rules! integers {
    ($($ty:ident)*) => {$(impl Column for $ty {
        fn bind(&self) -> ToSqlOutput<'_> {
            self.0.into()
        }
        fn read(value: ValueRef<'_>) -> FromSqlResult<Self> {
            value.as_i64().map(Self)
        }
    })*};
}
integers!(BusinessNumber Place);
