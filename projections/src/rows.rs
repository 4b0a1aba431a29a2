//! The tables of the projections as typed rows.
//!
//! A row that events only add is written at once. A row that events change, such as a task's, is
//! folded in memory and written once a batch. Names that repeat, such as the id of a business, have
//! a number in the file. Whatever a batch left here that was rolled back is forgotten.

mod cached;
mod column;
mod numbered;
mod place;
mod table;

use rusqlite::{CachedStatement, Connection};
use std::collections::HashMap;

pub(crate) use cached::Cached;
pub(crate) use cached::CachedRows;
use cached::Held;
pub(crate) use column::{Column, Field, read as read_column};
pub(crate) use numbered::{Numbered, Numbers, numbered};
pub(crate) use place::{AggregateKey, BusinessNumber, Place};
pub(crate) use table::{aggregate_table, keyed_table, table};

use crate::ApplyError;

/// A row of a table.
pub(crate) trait Record {
    /// Name of the table.
    const TABLE: &'static str;
    /// The statement that inserts a row.
    const INSERT: &'static str;
    /// The same, in place of a row with the same key.
    const REPLACE: &'static str;
    /// Binds all columns to either statement.
    ///
    /// # Errors
    /// When a value does not fit.
    fn bind(&self, statement: &mut CachedStatement<'_>) -> rusqlite::Result<()>;
}

/// The statements of one table, prepared when they are first used and held for the batch.
#[derive(Default)]
struct Statements<'c> {
    insert: Option<CachedStatement<'c>>,
    replace: Option<CachedStatement<'c>>,
    select: Option<CachedStatement<'c>>,
    delete: Option<CachedStatement<'c>>,
}

/// Returns the statement in a slot, prepared if it is not yet.
fn prepared<'s, 'c>(
    slot: &'s mut Option<CachedStatement<'c>>,
    connection: &'c Connection,
    sql: &str,
) -> rusqlite::Result<&'s mut CachedStatement<'c>> {
    if slot.is_none() {
        *slot = Some(connection.prepare_cached(sql)?);
    }
    slot.as_mut().ok_or(rusqlite::Error::InvalidQuery)
}

/// Writes rows to the tables at once.
pub(crate) struct Writer<'c> {
    connection: &'c Connection,
    statements: HashMap<&'static str, Statements<'c>>,
}

impl<'c> Writer<'c> {
    fn insert<R: Record>(&mut self, row: &R) -> rusqlite::Result<()> {
        let statements = self.statements.entry(R::TABLE).or_default();
        let statement = prepared(&mut statements.insert, self.connection, R::INSERT)?;
        row.bind(statement)?;
        statement.raw_execute().map(drop)
    }

    fn replace<R: Record>(&mut self, row: &R) -> rusqlite::Result<()> {
        let statements = self.statements.entry(R::TABLE).or_default();
        let statement = prepared(&mut statements.replace, self.connection, R::REPLACE)?;
        row.bind(statement)?;
        statement.raw_execute().map(drop)
    }

    fn select<R: Cached>(&mut self, key: &R::Key) -> rusqlite::Result<Option<R>> {
        let statements = self.statements.entry(R::TABLE).or_default();
        let statement = prepared(&mut statements.select, self.connection, R::SELECT)?;
        R::bind_key(key, statement)?;
        let mut rows = statement.raw_query();
        rows.next()?.map(R::read).transpose()
    }

    fn delete<R: Cached>(&mut self, key: &R::Key) -> rusqlite::Result<()> {
        let statements = self.statements.entry(R::TABLE).or_default();
        let statement = prepared(&mut statements.delete, self.connection, R::DELETE)?;
        R::bind_key(key, statement)?;
        statement.raw_execute().map(drop)
    }

    fn number<N: Numbered>(&mut self, name: &N) -> rusqlite::Result<i64> {
        let statements = self.statements.entry(N::TABLE).or_default();
        let select = prepared(&mut statements.select, self.connection, N::SELECT)?;
        name.bind(select)?;
        if let Some(n) = select.raw_query().next()?.map(|row| row.get(0)).transpose()? {
            return Ok(n);
        }
        let insert = prepared(&mut statements.insert, self.connection, N::INSERT)?;
        name.bind(insert)?;
        insert.raw_execute()?;
        Ok(self.connection.last_insert_rowid())
    }
}

/// The tables of a view file, in the transaction of a batch.
pub struct Tables<'c> {
    writer: Writer<'c>,
    cached: &'c mut CachedRows,
}

impl<'c> Tables<'c> {
    pub(crate) fn new(connection: &'c Connection, cached: &'c mut CachedRows) -> Self {
        Self { writer: Writer { connection, statements: HashMap::new() }, cached }
    }

    /// Adds a row that no event will change.
    ///
    /// # Errors
    /// When there is a row with its key, or the file can't be written.
    pub(crate) fn add<R: Record>(&mut self, row: &R) -> Result<(), ApplyError> {
        Ok(self.writer.insert(row)?)
    }

    /// The number of the row that was added last, in a table that numbers its rows itself.
    pub(crate) fn last_added(&self) -> i64 {
        self.writer.connection.last_insert_rowid()
    }

    /// Puts a new row into a table whose rows events change.
    ///
    /// # Errors
    /// When there is a row with its key, or the file can't be read.
    pub(crate) fn put<R: Cached>(&mut self, row: R) -> Result<(), ApplyError> {
        self.cached.of::<R>().put(row, &mut self.writer)
    }

    /// Puts a row in the place of the one with the same key, if there is one.
    ///
    /// # Errors
    /// When the file can't be read.
    pub(crate) fn set<R: Cached>(&mut self, row: R) -> Result<(), ApplyError> {
        self.cached.of::<R>().set(row, &mut self.writer)
    }

    /// The row with a key; `None` if there is none.
    ///
    /// # Errors
    /// When the file can't be read.
    pub(crate) fn row<R: Cached>(&mut self, key: &R::Key) -> Result<Option<&R>, ApplyError> {
        self.cached.of::<R>().row(key, &mut self.writer)
    }

    /// The row with a key, to be changed; `None` if there is none.
    ///
    /// # Errors
    /// When the file can't be read.
    pub(crate) fn change<R: Cached>(&mut self, key: &R::Key) -> Result<Option<&mut R>, ApplyError> {
        self.cached.of::<R>().change(key, &mut self.writer)
    }

    /// The row with a key, to be changed; made by `new` if there is none.
    ///
    /// # Errors
    /// When the file can't be read.
    pub(crate) fn row_or<R: Cached>(
        &mut self,
        key: &R::Key,
        new: impl FnOnce() -> R,
    ) -> Result<&mut R, ApplyError> {
        self.cached.of::<R>().row_or(key, new, &mut self.writer)
    }

    /// Removes the row with a key; returns it, if there was one.
    ///
    /// # Errors
    /// When the file can't be read.
    pub(crate) fn remove<R: Cached>(&mut self, key: &R::Key) -> Result<Option<R>, ApplyError> {
        self.cached.of::<R>().remove(key, &mut self.writer)
    }

    /// The number of a name in this file; a new name gets a new number.
    ///
    /// # Errors
    /// When the file can't be read or written.
    pub(crate) fn number<N: Numbered>(&mut self, name: N) -> Result<i64, ApplyError> {
        let Self { writer, cached } = self;
        Ok(cached.numbers::<N>().of(name, |name| writer.number(name))?)
    }

    /// The number of a business in this file.
    ///
    /// # Errors
    /// When the file can't be read or written, or has no number left.
    pub(crate) fn business(
        &mut self,
        business: domain::BusinessId,
    ) -> Result<BusinessNumber, ApplyError> {
        BusinessNumber::new(self.number(place::NumberedBusiness { id: business.0 })?)
    }

    /// Runs a statement on a table whose rows are written at once.
    ///
    /// # Errors
    /// When the file can't be written.
    pub(crate) fn run(&self, sql: &str, args: &[&dyn Column]) -> Result<(), ApplyError> {
        let args = args.iter().map(|arg| arg.bind());
        self.writer.connection.prepare_cached(sql)?.execute(rusqlite::params_from_iter(args))?;
        Ok(())
    }

    /// The first column of the first row that a query on such a table finds.
    ///
    /// # Errors
    /// When the file can't be read.
    pub(crate) fn find<T: Column>(
        &self,
        sql: &str,
        args: &[&dyn Column],
    ) -> Result<Option<T>, ApplyError> {
        Ok(self.all(sql, args)?.into_iter().next())
    }

    /// The first column of all rows that a query on such a table finds.
    ///
    /// # Errors
    /// When the file can't be read.
    pub(crate) fn all<T: Column>(
        &self,
        sql: &str,
        args: &[&dyn Column],
    ) -> Result<Vec<T>, ApplyError> {
        let mut query = self.writer.connection.prepare_cached(sql)?;
        let args = rusqlite::params_from_iter(args.iter().map(|arg| arg.bind()));
        Ok(query.query_map(args, |row| column::read(row, 0))?.collect::<rusqlite::Result<_>>()?)
    }

    /// Writes the rows that changed, in the order of their keys.
    ///
    /// # Errors
    /// When the file can't be written.
    pub(crate) fn flush(&mut self) -> Result<(), ApplyError> {
        let Self { writer, cached } = self;
        cached.each(|held: &mut dyn Held| held.flush(writer))
    }

    /// Forgets all that is in memory: what was not written is lost.
    pub(crate) fn forget(&mut self) {
        self.cached.clear();
    }
}
