//! What the writer knows of a business and an aggregate, from its memory or the file.

use super::LogWriter;
use crate::append::{Append, AppendError, Committed};
use crate::place::{Position, Seq, Version};
use domain::{AggregateRef, BusinessId};
use proof::tree::Frontier;
use rusqlite::{OptionalExtension, params};

impl LogWriter {
    /// Law 4: the first answer, if the same ids are stored with the same bytes; `None` if they are
    /// new.
    pub(super) fn stored_before(
        &self,
        append: &Append,
        first: &crate::NewEvent,
    ) -> rusqlite::Result<Option<Result<Committed, AppendError>>> {
        let mut query = self
            .connection
            .prepare_cached("SELECT seq, position, bytes FROM events WHERE event_id = ?")?;
        let mut lookup = |event: &crate::NewEvent| {
            query
                .query_row([event.event_id.0], |r| {
                    Ok((r.get::<_, Seq>(0)?, r.get::<_, Position>(1)?, r.get::<_, Vec<u8>>(2)?))
                })
                .optional()
        };
        let Some((first_seq, mut last, bytes)) = lookup(first)? else { return Ok(None) };
        if bytes != first.bytes {
            return Ok(Some(Err(AppendError::IdTaken(first.event_id))));
        }
        for event in append.events.iter().skip(1) {
            match lookup(event)? {
                Some((_, position, bytes)) if bytes == event.bytes => last = position,
                Some(_) | None => return Ok(Some(Err(AppendError::IdTaken(event.event_id)))),
            }
        }
        Ok(Some(Ok(Committed { first_seq, position: last, repeated: true })))
    }

    pub(super) fn version(
        &mut self,
        business: BusinessId,
        aggregate: AggregateRef,
    ) -> rusqlite::Result<Version> {
        if let Some(version) = self.versions.get(&(business, aggregate)) {
            return Ok(*version);
        }
        let version: Option<Version> = self
            .connection
            .prepare_cached(
                "SELECT max(version) FROM events WHERE business = ? AND id = ? AND kind = ?",
            )?
            .query_row(params![business.0, aggregate.id, aggregate.kind.as_str()], |r| r.get(0))?;
        let version = version.unwrap_or_default();
        self.versions.insert((business, aggregate), version);
        Ok(version)
    }

    pub(super) fn head(&mut self, business: BusinessId) -> rusqlite::Result<Frontier> {
        if let Some(head) = self.heads.get(&business) {
            return Ok(head.clone());
        }
        let row: Option<(u64, Vec<u8>)> = self
            .connection
            .prepare_cached("SELECT seq, frontier FROM heads WHERE business = ?")?
            .query_row([business.0], |r| Ok((r.get(0)?, r.get(1)?)))
            .optional()?;
        let Some((seq, bytes)) = row else { return Ok(Frontier::default()) };
        Frontier::from_bytes(seq, &bytes).map_err(|e| {
            rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Blob, Box::new(e))
        })
    }
}
