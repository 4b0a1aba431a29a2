//! Rows of the views as GraphQL objects: one declaration gives the object and how it is read.

use std::borrow::Cow;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{
    ContextSelectionSet, ID, Interface, OutputType, Positioned, ServerResult, Value,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::BusinessId;
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::of_business;
use crate::row::PlainColumn;
use crate::sight::{Seen, Sight};

/// A row of a view as a GraphQL object.
pub(crate) trait Node: Clone + Send + Sync + Sized + 'static {
    /// Name of the table.
    const TABLE: &'static str;
    /// The column that cursors hold: `seq` where the key of a row is the place of its event.
    const KEY: &'static str;
    /// Which rows agents see.
    const SEEN: Seen;
    /// The columns that `from_row` reads.
    const COLUMNS: &'static str;
    /// Makes the object from the columns of a row, the first of which has the index `at`.
    fn from_row(row: &Row<'_>, at: usize) -> rusqlite::Result<Self>;
    /// The plain column that the field with this GraphQL name is read from; `None` if it takes more.
    fn column(name: &str) -> Option<PlainColumn>;
}

/// The global id of an object: its GraphQL type, its business and its key. It is encoded only when
/// a request selects it.
#[derive(Clone)]
pub(crate) struct NodeId {
    /// Name of the GraphQL type.
    pub(crate) ty: &'static str,
    /// Id of the object's business.
    pub(crate) business: String,
    /// Value of the object's key column, as cursors hold it; 0 for a business itself.
    pub(crate) key: i64,
}

impl NodeId {
    /// Decodes an id into its parts; `None` if it is none that [`encode`](Self::encode) wrote.
    pub(crate) fn decode(id: &str) -> Option<(String, BusinessId, i64)> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(id).ok()?).ok()?;
        let mut parts = text.splitn(3, ':');
        Some((parts.next()?.to_owned(), parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    }

    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}:{}:{}", self.ty, self.business, self.key))
    }
}

impl OutputType for NodeId {
    fn type_name() -> Cow<'static, str> {
        <ID as OutputType>::type_name()
    }
    fn create_type_info(registry: &mut Registry) -> String {
        <ID as OutputType>::create_type_info(registry)
    }
    async fn resolve(
        &self,
        _: &ContextSelectionSet<'_>,
        _: &Positioned<Field>,
    ) -> ServerResult<Value> {
        Ok(Value::String(self.encode()))
    }
}

/// Name of the column that a field is read from: the field's own, unless another one is given.
macro_rules! column {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $column:literal) => {
        $column
    };
}
pub(crate) use column;

/// Declares a node: its table, its plain columns, and pairs of columns that hold money. A field is
/// read from the column of the same name, or from the one that is given. A node `by` a column has a
/// global id; one that is only `sorted by` a column has none.
macro_rules! node {
    ($(#[$doc:meta])* $name:ident in $table:literal by $key:tt,
        agents see $seen:ident { $($columns:tt)* } money { $($money:tt)* }) => {
        $crate::node::node! { @make $(#[$doc])* $name in $table by $key, $seen
            [/// Its id among all there are, for `node(id:)`.
             node_id: NodeId,]
            { $($columns)* } money { $($money)* } }
        impl $crate::node::Identified for $name {}
    };
    ($(#[$doc:meta])* $name:ident in $table:literal sorted by $key:tt,
        agents see $seen:ident { $($columns:tt)* } money { $($money:tt)* }) => {
        $crate::node::node! { @make $(#[$doc])* $name in $table by $key,
            $seen [] { $($columns)* } money { $($money)* } }
    };
    (@business "seq") => { "(SELECT id FROM business_numbers WHERE n = place >> 36)" };
    (@business $key:tt) => { "(SELECT id FROM business_numbers WHERE n = business)" };
    (@make
        $(#[$doc:meta])* $name:ident in $table:literal by $key:tt,
            $seen:ident [$($(#[$iddoc:meta])* $id:ident: NodeId,)?] {
            $($(#[$fdoc:meta])* $field:ident: $ty:ty $(= $column:literal)?,)*
        } money { $($(#[$mdoc:meta])* $money:ident = $amount:literal, $currency:literal;)* }
    ) => {
        $(#[$doc])*
        #[derive(async_graphql::SimpleObject, Clone)]
        #[graphql(complex)]
        pub(crate) struct $name {
            $($(#[$iddoc])* #[graphql(owned)] pub(crate) $id: $crate::node::NodeId,)?
            $($(#[$fdoc])* pub(crate) $field: $ty,)*
            $($(#[$mdoc])* pub(crate) $money: Option<$crate::scalars::Money>,)*
            #[graphql(skip)]
            #[allow(dead_code, reason = "read where the node has lists of its own")]
            pub(crate) business: String,
        }
        impl $crate::node::Node for $name {
            const TABLE: &'static str = $table;
            const KEY: &'static str = $key;
            const SEEN: $crate::sight::Seen = $crate::sight::Seen::$seen;
            const COLUMNS: &'static str = concat!($crate::node::node!(@business $key), ", ", $key,
                $(", ",
                $crate::node::column!($field $($column)?),)* $(", ", $amount, ", ", $currency,)*);
            #[allow(unused_assignments, unused_mut, unused_variables, reason = "the last step has \
                no successor")]
            fn from_row(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Self> {
                let business = $crate::of_business::id_text(row, at)?;
                let mut i = at + 1;
                $(let $id = $crate::node::NodeId { ty: stringify!($name),
                    business: business.clone(), key: row.get(i).unwrap_or_default() };)?
                $(i += 1; let $field = $crate::row::FromColumn::from_column(row, i, &business)?;)*
                $(
                    let (amount, currency): (Option<String>, Option<String>) = (row.get(i + 1)?,
                        row.get(i + 2)?);
                    let amount = amount.map($crate::scalars::Decimal);
                    i += 2;
                    let $money = amount.zip(currency).map(|(amount,
                        currency)| $crate::scalars::Money { amount, currency });
                )*
                Ok(Self { $($id,)? $($field,)* $($money,)* business })
            }
            fn column(name: &str) -> Option<$crate::row::PlainColumn> {
                $(if $crate::row::names(name, stringify!($field)) {
                    let read = <$ty as $crate::row::Column>::ANSWER?;
                    let name = $crate::node::column!($field $($column)?);
                    return Some($crate::row::PlainColumn { name, read });
                })*
                None
            }
        }
    };
}
pub(crate) use node;

/// A node with a global id.
pub(crate) trait Identified: Node {}

/// Every object with a global id.
#[derive(Interface)]
#[graphql(
    name = "Node",
    field(name = "node_id", ty = "NodeId", desc = "Its id among all there are, for `node(id:)`.")
)]
pub(crate) enum AnyNode {
    Business(crate::businesses::Business),
    Agent(crate::agents::Agent),
    Task(crate::tasks::Task),
    Review(crate::tasks::Review),
    Activity(crate::tasks::Activity),
    Decision(crate::decisions::Decision),
    Approval(crate::approvals::Approval),
    Vote(crate::approvals::Vote),
    Budget(crate::budgets::Budget),
    Call(crate::integrations::Call),
    Memory(crate::memory::Memory),
    Export(crate::operations::Export),
    Event(crate::audit::Event),
}

/// Reads the object with a global id; `None` if there is none that the viewer sees.
pub(crate) fn read(
    c: &Connection,
    sight: &Sight,
    ty: &str,
    business: BusinessId,
    key: i64,
) -> rusqlite::Result<Option<AnyNode>> {
    fn one<N: Identified + Into<AnyNode>>(
        c: &Connection,
        sight: &Sight,
        business: BusinessId,
        key: i64,
    ) -> rusqlite::Result<Option<AnyNode>> {
        let sql = format!(
            "SELECT {} FROM {} WHERE {} AND {} = {}{}",
            N::COLUMNS,
            N::TABLE,
            of_business::condition(N::KEY, ""),
            of_business::order(N::KEY),
            of_business::placed(N::KEY, "?"),
            sight.and::<N>()
        );
        c.prepare_cached(&sql)?
            .query_row((business.0, key), |r| N::from_row(r, 0).map(Into::into))
            .optional()
    }
    match ty {
        "Business" => {
            let sql = format!(
                "SELECT {} FROM businesses WHERE id = ?",
                crate::businesses::Business::COLUMNS
            );
            c.prepare_cached(&sql)?
                .query_row([business.0], |r| {
                    crate::businesses::Business::from_row(r, 0).map(Into::into)
                })
                .optional()
        }
        "Agent" => one::<crate::agents::Agent>(c, sight, business, key),
        "Task" => one::<crate::tasks::Task>(c, sight, business, key),
        "Review" => one::<crate::tasks::Review>(c, sight, business, key),
        "Activity" => one::<crate::tasks::Activity>(c, sight, business, key),
        "Decision" => one::<crate::decisions::Decision>(c, sight, business, key),
        "Approval" => one::<crate::approvals::Approval>(c, sight, business, key),
        "Vote" => one::<crate::approvals::Vote>(c, sight, business, key),
        "Budget" => one::<crate::budgets::Budget>(c, sight, business, key),
        "Call" => one::<crate::integrations::Call>(c, sight, business, key),
        "Memory" => one::<crate::memory::Memory>(c, sight, business, key),
        "Export" => one::<crate::operations::Export>(c, sight, business, key),
        "Event" => one::<crate::audit::Event>(c, sight, business, key),
        _ => Ok(None),
    }
}
