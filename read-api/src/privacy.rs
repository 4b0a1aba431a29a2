//! The data subjects of a business, by id, and which of them are forgotten.

use async_graphql::{ComplexObject, Context, ID, Result, SimpleObject};
use domain::BusinessId;
use domain::ids::INSTALLATION;
use domain::limits::PAGE_DEFAULT;
use domain::personal::SealedField;
use rusqlite::Connection;

use crate::allowance::read_here;
use crate::closed_sets::{AggregateKind, EnumValue};
use crate::filter::filter;
use crate::links::aggregate;
use crate::lists::lists;
use crate::node::{AnyNode, node};
use crate::of_business::{self, IdArg, NUMBER};
use crate::page::client_error;
use crate::scalars::DateTime;
use crate::{Sources, Viewer};

node! {
    /// A data subject: a person, or whoever else has keys of their own in this business, by id
    /// alone.
    DataSubject in "data_subjects" sorted by "n", agents see Never {
        /// Id of the subject, as events name it.
        subject_id: ID = "subject",
        /// How many aggregates have text about the subject.
        aggregates: i64,
        /// When the subject was last forgotten; null if the subject is not forgotten.
        forgotten_at: Option<DateTime>,
    } money {}
}

/// An aggregate with text about a data subject.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct NamedIn {
    /// Kind of the aggregate.
    aggregate_kind: AggregateKind,
    /// Id of the aggregate.
    aggregate_id: ID,
    #[graphql(skip)]
    business: String,
}

#[ComplexObject]
impl NamedIn {
    /// The aggregate as it stands now; null if it is shown as no object.
    async fn aggregate(&self, ctx: &Context<'_>) -> Result<Option<AnyNode>> {
        aggregate(ctx, &self.business, self.aggregate_kind.0, &self.aggregate_id).await
    }
}

#[ComplexObject]
impl DataSubject {
    /// Aggregates with text about the subject, the first 50.
    #[graphql(complexity = "crate::page::times(50, child_complexity)")]
    async fn named_in(&self, ctx: &Context<'_>) -> Result<Vec<NamedIn>> {
        let (business, subject): (BusinessId, domain::SubjectId) =
            (self.business.parse()?, self.subject_id.parse()?);
        let named = ctx.data::<Sources>()?.views.named_in(business, subject)?;
        let object = |n: projections::privacy::NamedIn| {
            Some(NamedIn {
                aggregate_kind: EnumValue(n.kind.parse().ok()?),
                aggregate_id: ID(n.id),
                business: self.business.clone(),
            })
        };
        Ok(named.into_iter().take(PAGE_DEFAULT).filter_map(object).collect())
    }
}

filter! {
    /// Which data subjects are asked for.
    DataSubjectFilter {
        /// These data subjects.
        subject_id: ID, in "subject";
    }
}

fn may_see_subjects(ctx: &Context<'_>, business: BusinessId) -> Result<()> {
    if ctx.data::<Viewer>()?.reads_attempts(business) {
        return Ok(());
    }
    Err(client_error(
        "FORBIDDEN",
        "only owners, auditors and operators may see who is named in a business",
        "ask the owner",
    ))
}

lists! {
    /// The data subjects of a business.
    DataSubjectsOfBusiness {
        /// The data subjects that the business names, by id, and which of them are forgotten. For
        /// owners, auditors and operators; null, with an error, for others.
        data_subjects: DataSubject, by DataSubjectFilter, if may_see_subjects;
    }
}

/// True if a field whose key is gone was sealed after its subject had been forgotten, so that
/// nobody could ever read it. The order of the stream tells.
pub(crate) fn is_withheld(sources: &Sources, field: &SealedField) -> Result<bool> {
    let mut place = field.aad.split('|');
    let (Some(business), Some(kind), Some(id), Some(version)) =
        (place.next(), place.next(), place.next(), place.next())
    else {
        return Ok(false);
    };
    let version = version.parse().unwrap_or(0_u64);
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM forgettings f JOIN events e ON {} AND e.id = ? AND e.kind = \
         ? AND e.version = ? WHERE f.business = {NUMBER} AND f.subject = ? AND f.generation >= ? AND \
         e.seq > f.seq)",
        of_business::condition("seq", "e.")
    );
    let (business, id, subject) = (IdArg::new(business), IdArg::new(id), field.subject.0);
    let ask = |c: &Connection| {
        let args = (&business, &id, kind, version, subject, field.generation.0);
        c.prepare_cached(&sql)?.query_row(args, |r| r.get(0))
    };
    read_here(|| sources.views.read(ask))
}

/// True if a viewer may see a principal's name: the principal has a role in a business whose
/// members the viewer sees.
pub(crate) fn may_open_name(
    sources: &Sources,
    viewer: &Viewer,
    field: &SealedField,
) -> Result<bool> {
    if field.business != INSTALLATION {
        return Ok(false);
    }
    let businesses: Vec<BusinessId> = read_here(|| {
        sources.views.read(|c| {
            let sql = "SELECT DISTINCT b.id FROM roles r JOIN business_numbers b ON b.n = \
                r.business WHERE r.principal = ?";
            let id = |r: &rusqlite::Row<'_>| r.get(0).map(BusinessId);
            c.prepare_cached(sql)?.query_map([field.subject.0], id)?.collect()
        })
    })?;
    Ok(businesses.into_iter().any(|b| viewer.may_open(b) && viewer.reads_members(b)))
}
