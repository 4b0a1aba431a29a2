//! A business. Each context adds its own lists and fields to it.

use async_graphql::connection::Connection;
use async_graphql::{ComplexObject, Context, ID, MergedObject, Result};
use rusqlite::Row;

use crate::Viewer;
use crate::access::MembersOfBusiness;
use crate::agents::AgentsOfBusiness;
use crate::approval_policies::ApprovalPolicyOfBusiness;
use crate::approvals::ApprovalsOfBusiness;
use crate::attempts::AttemptsOfBusiness;
use crate::audit::EventsOfBusiness;
use crate::budgets::BudgetsOfBusiness;
use crate::by_text::ByText;
use crate::closed_sets::BusinessPhase;
use crate::decisions::DecisionsOfBusiness;
use crate::filter::{Filter, ListFilter as _, filter};
use crate::integrations::CallsOfBusiness;
use crate::memory::MemoryOfBusiness;
use crate::metrics::KpisOfBusiness;
use crate::node::{Node, NodeId, node};
use crate::operations::{ExportsOfBusiness, StreamOfBusiness};
use crate::page::{Page, Total};
use crate::personal::BusinessText;
use crate::principals::{Principal, principal};
use crate::privacy::DataSubjectsOfBusiness;
use crate::row::{PlainColumn, Row as ListRow};
use crate::scalars::DateTime;
use crate::search::SearchOfBusiness;
use crate::sight::Seen;
use crate::tasks::TasksOfBusiness;
use crate::waiting::WaitingOfBusiness;

node! {
    /// The columns of a business.
    BusinessRow in "businesses" by "n", agents see Always {
        /// Id of the business.
        id: ID,
        /// Name of the business in addresses.
        slug: String,
        /// Name of the business for people.
        name: String,
        /// The idea of the business, in words; null = none was given.
        idea: Option<BusinessText>,
        /// Region where the data of the business is at home, such as `local`.
        home_region: String,
        /// Currency that the business reckons in (ISO 4217).
        currency: String,
        /// Id of the human who is accountable for the business.
        owner_id: ID = "owner",
        /// Phase of the business.
        phase: BusinessPhase,
        /// When the business was registered.
        registered_at: DateTime,
    } money {}
}

#[ComplexObject]
impl BusinessRow {
    /// The human who is accountable for the business.
    async fn owner(&self, ctx: &Context<'_>) -> Result<Option<Principal>> {
        principal(ctx, &self.business, &self.owner_id).await
    }
}

/// Puts parts of a business together to one. The compiler goes into a part for each part before it,
/// and no deeper than so far: many parts are put together in groups.
macro_rules! group {
    ($(#[$doc:meta])* $name:ident { $($part:ident,)* }) => {
        $(#[$doc])*
        #[derive(MergedObject, Clone)]
        pub(crate) struct $name($($part,)*);

        impl $name {
            fn of(business: &str) -> Self {
                Self($($part(business.to_owned()),)*)
            }
        }
    };
}

group! {
    /// Who works in a business, and at what.
    WorkOfBusiness {
        MembersOfBusiness,
        AgentsOfBusiness,
        TasksOfBusiness,
        DecisionsOfBusiness,
        ApprovalPolicyOfBusiness,
        ApprovalsOfBusiness,
        WaitingOfBusiness,
    }
}

group! {
    /// What a business spends, calls and knows.
    MeansOfBusiness {
        BudgetsOfBusiness,
        CallsOfBusiness,
        MemoryOfBusiness,
    }
}

group! {
    /// What is on record of a business.
    RecordOfBusiness {
        EventsOfBusiness,
        AttemptsOfBusiness,
        StreamOfBusiness,
        ExportsOfBusiness,
        DataSubjectsOfBusiness,
        SearchOfBusiness,
    }
}

/// A business, with everything in its stream.
#[derive(MergedObject, Clone)]
pub(crate) struct Business(
    BusinessRow,
    KpisOfBusiness,
    WorkOfBusiness,
    MeansOfBusiness,
    RecordOfBusiness,
);

impl Business {
    fn of(mut row: BusinessRow) -> Self {
        row.node_id.ty = "Business";
        let kpis =
            KpisOfBusiness { business: row.business.clone(), currency: row.currency.clone() };
        let (work, means, record) = (
            WorkOfBusiness::of(&row.business),
            MeansOfBusiness::of(&row.business),
            RecordOfBusiness::of(&row.business),
        );
        Self(row, kpis, work, means, record)
    }

    /// Id of the business.
    pub(crate) fn business(&self) -> &str {
        &self.0.business
    }

    /// The global id, which the interface `Node` asks for.
    #[allow(clippy::unused_async, reason = "the interface awaits it")]
    pub(crate) async fn node_id(&self, _: &Context<'_>) -> Result<NodeId> {
        Ok(self.0.node_id.clone())
    }
}

impl Node for Business {
    const TABLE: &'static str = BusinessRow::TABLE;
    const KEY: &'static str = BusinessRow::KEY;
    const SEEN: Seen = BusinessRow::SEEN;
    const COLUMNS: &'static str = BusinessRow::COLUMNS;

    fn from_row(row: &Row<'_>, at: usize) -> rusqlite::Result<Self> {
        BusinessRow::from_row(row, at).map(Self::of)
    }

    fn column(name: &str) -> Option<PlainColumn> {
        BusinessRow::column(name)
    }
}

filter! {
    /// Which businesses are asked for.
    BusinessFilter {
        /// Businesses with one of these ids.
        id: ID, in "id";
        /// Businesses with one of these names in addresses.
        slug: String, in "slug";
        /// Businesses in one of these phases.
        phase: BusinessPhase, in "phase";
        /// Businesses for which one of these humans is accountable.
        owner_id: ID, in "owner";
    }
}

/// A page of businesses.
pub(crate) type Businesses = Connection<String, ListRow<Business>, Total>;

/// Reads a page of the businesses that the viewer may see, by slug.
pub(crate) async fn businesses(
    ctx: &Context<'_>,
    filter: Option<BusinessFilter>,
    page: Page,
) -> Result<Businesses> {
    let visible = ctx.data::<Viewer>()?.visible_businesses();
    let filter = filter.unwrap_or_default().add_to(Filter::of_visible(visible))?;
    let (conditions, args) = filter.without_sight::<Business>().whole();
    let list = ByText {
        name: "businesses",
        rows: format!("SELECT *, slug AS place FROM businesses WHERE {conditions}"),
        args,
        columns: Business::COLUMNS,
        read: |row, at| Business::from_row(row, at).map(ListRow::Whole),
    };
    list.page(ctx, page).await
}
