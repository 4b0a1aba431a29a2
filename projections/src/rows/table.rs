//! The declaration of a table: its columns as fields of a struct.

/// Declares the rows of a table: its name and all its columns, in their order, which its SQL has
/// too.
macro_rules! table {
    (@mark $column:ident) => { ", ?" };
    ($(#[$doc:meta])* $name:ident $(<$life:lifetime>)? in $table:literal {
        $first:ident: $first_ty:ty, $($column:ident: $ty:ty,)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) struct $name $(<$life>)? {
            pub(crate) $first: $first_ty,
            $(pub(crate) $column: $ty,)*
        }
        impl $(<$life>)? $crate::rows::Record for $name $(<$life>)? {
            const TABLE: &'static str = $table;
            const INSERT: &'static str = $crate::rows::table!(@insert "INSERT", $table, $first,
                $($column)*);
            const REPLACE: &'static str = $crate::rows::table!(@insert "INSERT OR REPLACE", $table,
                $first, $($column)*);
            fn bind(&self, statement: &mut rusqlite::CachedStatement<'_>) -> rusqlite::Result<()> {
                use $crate::rows::Column as _;
                statement.raw_bind_parameter(1, self.$first.bind())?;
                let mut i = 1;
                $(i += 1; statement.raw_bind_parameter(i, self.$column.bind())?;)*
                let _ = i;
                Ok(())
            }
        }
    };
    (@insert $verb:literal, $table:literal, $first:ident, $($column:ident)*) => {
        concat!($verb, " INTO ", $table, "(", stringify!($first), $(", ", stringify!($column),)*
            ") VALUES (?", $($crate::rows::table!(@mark $column),)* ")")
    };
    (@read $name:ident $first:ident $($column:ident)*) => {
        fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
            let mut i = 0;
            let $first = $crate::rows::read_column(row, i)?;
            $(i += 1; let $column = $crate::rows::read_column(row, i)?;)*
            let _ = i;
            Ok(Self { $first, $($column,)* })
        }
    };
}
pub(crate) use table;

/// Declares the rows of aggregates that events change; the key of a row is the place of the
/// aggregate's first event, and its id is found by an index.
macro_rules! aggregate_table {
    ($(#[$doc:meta])* $name:ident in $table:literal { $($column:ident: $ty:ty,)* }) => {
        $crate::rows::table! { $(#[$doc])* $name in $table {
            place: $crate::rows::Place,
            id: uuid::Uuid,
            $($column: $ty,)*
        } }
        impl $crate::rows::Cached for $name {
            type Key = $crate::rows::AggregateKey;
            const SELECT: &'static str = concat!("SELECT place, id", $(", ", stringify!($column),)*
                " FROM ", $table, " WHERE id = ? AND place BETWEEN ? AND ?");
            const DELETE: &'static str = concat!("DELETE FROM ", $table,
                " WHERE id = ? AND place BETWEEN ? AND ?");
            fn key(&self) -> Self::Key {
                $crate::rows::AggregateKey { business: self.place.business(), id: self.id }
            }
            fn bind_key(
                key: &Self::Key,
                statement: &mut rusqlite::CachedStatement<'_>,
            ) -> rusqlite::Result<()> {
                use $crate::rows::Column as _;
                let (first, last) = key.business.places();
                statement.raw_bind_parameter(1, key.id.bind())?;
                statement.raw_bind_parameter(2, first.bind())?;
                statement.raw_bind_parameter(3, last.bind())
            }
            $crate::rows::table! { @read $name place id $($column)* }
        }
    };
}
pub(crate) use aggregate_table;

/// Declares rows that events change, by the columns of their key.
macro_rules! keyed_table {
    ($(#[$doc:meta])* $name:ident in $table:literal by ($($key:ident: $key_ty:ty),+) {
        $($column:ident: $ty:ty,)*
    }) => {
        $crate::rows::keyed_table! { @split $(#[$doc])* $name in $table ($($key: $key_ty,)+)
            ($($column: $ty,)*) }
        impl $crate::rows::Cached for $name {
            type Key = ($($key_ty,)+);
            const SELECT: &'static str = concat!("SELECT * FROM ", $table, " WHERE 1",
                $(" AND ", stringify!($key), " = ?",)+);
            const DELETE: &'static str = concat!("DELETE FROM ", $table, " WHERE 1",
                $(" AND ", stringify!($key), " = ?",)+);
            fn key(&self) -> Self::Key {
                ($(self.$key.clone(),)+)
            }
            fn bind_key(
                key: &Self::Key,
                statement: &mut rusqlite::CachedStatement<'_>,
            ) -> rusqlite::Result<()> {
                use $crate::rows::Column as _;
                let ($($key,)+) = key;
                let mut i = 0;
                $(i += 1; statement.raw_bind_parameter(i, $key.bind())?;)+
                let _ = i;
                Ok(())
            }
            $crate::rows::keyed_table! { @read $name ($($key)+) ($($column)*) }
        }
    };
    (@split $(#[$doc:meta])* $name:ident in $table:literal
        ($first:ident: $first_ty:ty, $($key:ident: $key_ty:ty,)*)
        ($($column:ident: $ty:ty,)*)) => {
        $crate::rows::table! { $(#[$doc])* $name in $table {
            $first: $first_ty, $($key: $key_ty,)* $($column: $ty,)*
        } }
    };
    (@read $name:ident ($first:ident $($key:ident)*) ($($column:ident)*)) => {
        $crate::rows::table! { @read $name $first $($key)* $($column)* }
    };
}
pub(crate) use keyed_table;
