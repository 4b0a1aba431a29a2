//! Names with numbers of their own in a file, so that rows need not repeat them.

use std::any::Any;
use std::collections::HashMap;
use std::hash::Hash;

use rusqlite::CachedStatement;

/// Most names of one table that are held in memory.
const HELD_MAX: usize = 50_000;

/// A name that has a number in the file.
pub(crate) trait Numbered: Eq + Hash + Clone + Send + 'static {
    /// Name of the table that holds the names and their numbers.
    const TABLE: &'static str;
    /// The query for the number of a name.
    const SELECT: &'static str;
    /// The statement that gives a name the next number.
    const INSERT: &'static str;
    /// Binds the name to either.
    ///
    /// # Errors
    /// When a value does not fit.
    fn bind(&self, statement: &mut CachedStatement<'_>) -> rusqlite::Result<()>;
}

/// The numbers of one sort of names, as far as they are held in memory.
pub(crate) struct Numbers<N>(HashMap<N, i64>);

impl<N> Default for Numbers<N> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<N: Numbered> Numbers<N> {
    /// The number of a name; `find` asks the file, or gives it one.
    pub(super) fn of(
        &mut self,
        name: N,
        find: impl FnOnce(&N) -> rusqlite::Result<i64>,
    ) -> rusqlite::Result<i64> {
        if let Some(n) = self.0.get(&name) {
            return Ok(*n);
        }
        let n = find(&name)?;
        if self.0.len() >= HELD_MAX {
            self.0.clear();
        }
        self.0.insert(name, n);
        Ok(n)
    }
}

/// [`Numbers`] of any sort.
pub(super) trait AnyNumbers: Send {
    fn as_any(&mut self) -> &mut dyn Any;
}

impl<N: Numbered> AnyNumbers for Numbers<N> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// Declares names that have numbers: the table, its column of numbers, and the columns of the name.
macro_rules! numbered {
    ($(#[$doc:meta])* $vis:vis $name:ident in $table:literal by $n:literal {
        $first:ident: $first_ty:ty $(, $column:ident: $ty:ty)* $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash)]
        $vis struct $name { $vis $first: $first_ty, $($vis $column: $ty,)* }
        impl $crate::rows::Numbered for $name {
            const TABLE: &'static str = $table;
            const SELECT: &'static str = concat!("SELECT ", $n, " FROM ", $table, " WHERE ",
                stringify!($first), " = ?", $(" AND ", stringify!($column), " = ?",)*);
            const INSERT: &'static str = concat!("INSERT INTO ", $table, "(", stringify!($first),
                $(", ", stringify!($column),)* ") VALUES (?",
                $($crate::rows::table!(@mark $column),)* ")");
            fn bind(&self, statement: &mut rusqlite::CachedStatement<'_>) -> rusqlite::Result<()> {
                use $crate::rows::Column as _;
                statement.raw_bind_parameter(1, self.$first.bind())?;
                #[allow(unused_mut, unused_variables, reason = "a name may be of one column")]
                let mut i = 1;
                $(i += 1; statement.raw_bind_parameter(i, self.$column.bind())?;)*
                let _ = i;
                Ok(())
            }
        }
    };
}
pub(crate) use numbered;
