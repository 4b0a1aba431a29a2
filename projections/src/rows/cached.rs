//! Rows that events change: read when an event needs one, changed in memory, written once a batch.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::hash::Hash;

use rusqlite::{CachedStatement, Row};

use super::numbered::AnyNumbers;
use super::{Numbered, Numbers, Record, Writer};
use crate::ApplyError;

/// Most rows of one table that stay in memory from one batch to the next.
const HELD_MAX: usize = 20_000;

/// A row that events change.
pub(crate) trait Cached: Record + Clone + Send + 'static {
    /// What finds the row.
    type Key: Eq + Hash + Ord + Clone + Send + 'static;
    /// The query for the row with a key.
    const SELECT: &'static str;
    /// The statement that deletes it.
    const DELETE: &'static str;
    /// The key of the row.
    fn key(&self) -> Self::Key;
    /// Binds a key to either statement.
    ///
    /// # Errors
    /// When a value does not fit.
    fn bind_key(key: &Self::Key, statement: &mut CachedStatement<'_>) -> rusqlite::Result<()>;
    /// Reads the row that the query found.
    ///
    /// # Errors
    /// When a column holds something else.
    fn read(row: &Row<'_>) -> rusqlite::Result<Self>;
}

/// What memory knows of a key.
struct Entry<R> {
    /// The row as events have made it; `None` = there is none.
    row: Option<R>,
    /// True if the file has a row with the key.
    is_stored: bool,
    is_changed: bool,
}

/// The rows of one table that are in memory.
pub(super) struct Rows<R: Cached> {
    entries: HashMap<R::Key, Entry<R>>,
    /// Keys of the entries that changed since the last flush.
    changed: Vec<R::Key>,
}

impl<R: Cached> Default for Rows<R> {
    fn default() -> Self {
        Self { entries: HashMap::new(), changed: Vec::new() }
    }
}

impl<R: Cached> Rows<R> {
    fn entry(
        &mut self,
        key: &R::Key,
        writer: &mut Writer<'_>,
    ) -> Result<&mut Entry<R>, ApplyError> {
        // Looked up twice: a borrow that is returned can't be held beside an insertion.
        if !self.entries.contains_key(key) {
            let row = writer.select::<R>(key)?;
            let entry = Entry { is_stored: row.is_some(), row, is_changed: false };
            self.entries.insert(key.clone(), entry);
        }
        self.entries.get_mut(key).ok_or_else(|| ApplyError::value("a row is gone from memory"))
    }

    fn changed(
        &mut self,
        key: &R::Key,
        writer: &mut Writer<'_>,
    ) -> Result<&mut Entry<R>, ApplyError> {
        let entry = self.entry(key, writer)?;
        if !std::mem::replace(&mut entry.is_changed, true) {
            self.changed.push(key.clone());
        }
        self.entry(key, writer)
    }

    pub(super) fn put(&mut self, row: R, writer: &mut Writer<'_>) -> Result<(), ApplyError> {
        let key = row.key();
        let entry = self.changed(&key, writer)?;
        if entry.row.is_some() {
            return Err(ApplyError::value(format!("{} has a row with this key", R::TABLE)));
        }
        entry.row = Some(row);
        Ok(())
    }

    pub(super) fn set(&mut self, row: R, writer: &mut Writer<'_>) -> Result<(), ApplyError> {
        let key = row.key();
        self.changed(&key, writer)?.row = Some(row);
        Ok(())
    }

    pub(super) fn row(
        &mut self,
        key: &R::Key,
        writer: &mut Writer<'_>,
    ) -> Result<Option<&R>, ApplyError> {
        Ok(self.entry(key, writer)?.row.as_ref())
    }

    pub(super) fn change(
        &mut self,
        key: &R::Key,
        writer: &mut Writer<'_>,
    ) -> Result<Option<&mut R>, ApplyError> {
        if self.row(key, writer)?.is_none() {
            return Ok(None);
        }
        Ok(self.changed(key, writer)?.row.as_mut())
    }

    pub(super) fn row_or(
        &mut self,
        key: &R::Key,
        new: impl FnOnce() -> R,
        writer: &mut Writer<'_>,
    ) -> Result<&mut R, ApplyError> {
        Ok(self.changed(key, writer)?.row.get_or_insert_with(new))
    }

    pub(super) fn remove(
        &mut self,
        key: &R::Key,
        writer: &mut Writer<'_>,
    ) -> Result<Option<R>, ApplyError> {
        if self.row(key, writer)?.is_none() {
            return Ok(None);
        }
        Ok(self.changed(key, writer)?.row.take())
    }
}

/// [`Rows`] of any table.
pub(super) trait Held: Send {
    /// Writes the rows that changed.
    fn flush(&mut self, writer: &mut Writer<'_>) -> Result<(), ApplyError>;
    fn as_any(&mut self) -> &mut dyn Any;
}

impl<R: Cached> Held for Rows<R> {
    fn flush(&mut self, writer: &mut Writer<'_>) -> Result<(), ApplyError> {
        // Neighbours in the file are written one after the other.
        self.changed.sort_unstable();
        for key in self.changed.drain(..) {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            match (&entry.row, entry.is_stored) {
                (Some(row), false) => writer.insert(row)?,
                (Some(row), true) => writer.replace(row)?,
                (None, true) => writer.delete::<R>(&key)?,
                (None, false) => {}
            }
            entry.is_stored = entry.row.is_some();
            entry.is_changed = false;
        }
        if self.entries.len() > HELD_MAX {
            self.entries.clear();
        }
        Ok(())
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// The rows and numbers of a view file that are in memory, each table's by its type.
#[derive(Default)]
pub(crate) struct CachedRows {
    rows: HashMap<TypeId, Box<dyn Held>>,
    numbers: HashMap<TypeId, Box<dyn AnyNumbers>>,
}

#[allow(clippy::expect_used, reason = "each is held by its own type")]
impl CachedRows {
    pub(super) fn of<R: Cached>(&mut self) -> &mut Rows<R> {
        let rows = self.rows.entry(TypeId::of::<R>()).or_insert_with(|| Box::<Rows<R>>::default());
        rows.as_any().downcast_mut().expect("rows are held by their type")
    }

    pub(super) fn numbers<N: Numbered>(&mut self) -> &mut Numbers<N> {
        let new = || Box::<Numbers<N>>::default() as Box<dyn AnyNumbers>;
        let numbers = self.numbers.entry(TypeId::of::<N>()).or_insert_with(new);
        numbers.as_any().downcast_mut().expect("numbers are held by their type")
    }

    /// Does the same with the rows of every table.
    pub(super) fn each(
        &mut self,
        mut act: impl FnMut(&mut dyn Held) -> Result<(), ApplyError>,
    ) -> Result<(), ApplyError> {
        self.rows.values_mut().try_for_each(|held| act(&mut **held))
    }

    /// Forgets everything: what was not flushed is lost.
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.numbers.clear();
    }
}
