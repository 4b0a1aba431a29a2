//! Privacy: which aggregates name which data subjects of a business, and who is forgotten.

use domain::ids::INSTALLATION;
use domain::privacy::Event as Privacy;
use domain::{BusinessId, Event, Kind, SubjectId, Timestamp};
use event_log::Seq;
use uuid::Uuid;

use crate::rows::{BusinessNumber, Tables, keyed_table};
use crate::{Applied, Apply, ApplyError, Projection, Views, ViewsError};

/// Most aggregates that [`named_in`] returns.
pub const NAMED_MAX: usize = 200;

/// The projection of data subjects and forgettings.
pub const PROJECTION: Projection = Projection {
    name: "privacy",
    version: 2,
    sql: include_str!("privacy.sql"),
    indexes: &[
        ("data_subjects_in_order", "data_subjects(business, n)"),
        ("named_in_order", "named_in(business, subject, n)"),
    ],
    tables: &[
        ("data_subjects", "business, subject"),
        ("named_in", "business, subject, kind, id"),
        ("forgettings", "business, subject, generation"),
    ],
    apply: Apply::Sealed(apply),
};

/// Most data subjects of one event that get a number of their own.
const SUBJECTS_OF_EVENT_MAX: u64 = 1_000;

keyed_table! {
    /// A data subject of a business. `n` is made of the `seq` of the event that first named it.
    DataSubject in "data_subjects" by (business: BusinessNumber, subject: SubjectId) {
        n: u64,
        aggregates: u64,
        forgotten_at: Option<Timestamp>,
    }
}

keyed_table! {
    /// An aggregate with text about a data subject: the `n`th.
    Named in "named_in" by (business: BusinessNumber, subject: SubjectId, kind: Kind, id: Uuid) {
        n: u64,
    }
}

keyed_table! {
    /// That a data subject was forgotten.
    Forgetting in "forgettings" by (business: BusinessNumber, subject: SubjectId, generation: u32) {
        seq: Seq,
        at: Timestamp,
    }
}

/// Counts the aggregate of an event once among those that name the subject, the event's `i`th.
fn name(
    tables: &mut Tables<'_>,
    a: &Applied<'_>,
    subject: SubjectId,
    i: u64,
) -> Result<(), ApplyError> {
    let (business, kind, id) = (a.business, a.stored.kind, a.stored.id);
    if tables.row::<Named>(&(business, subject, kind, id))?.is_some() {
        return Ok(());
    }
    let n = a.recorded.seq.0 * SUBJECTS_OF_EVENT_MAX + i.min(SUBJECTS_OF_EVENT_MAX - 1);
    let new = || DataSubject { business, subject, n, aggregates: 0, forgotten_at: None };
    let of = tables.row_or(&(business, subject), new)?;
    of.aggregates += 1;
    let n = of.aggregates;
    tables.put(Named { business, subject, kind, id, n })
}

fn apply(tables: &mut Tables<'_>, a: &Applied<'_>) -> Result<(), ApplyError> {
    // Principals stand above businesses, and what is about nobody else is about the business.
    if a.stored.business != INSTALLATION {
        let of_business = a.stored.business.as_subject();
        let mut subjects: Vec<SubjectId> =
            a.stored.subjects().filter(|s| *s != of_business).collect();
        subjects.sort_unstable();
        subjects.dedup();
        for (i, subject) in (0..).zip(subjects) {
            name(tables, a, subject, i)?;
        }
    }
    let Event::Privacy(event) = a.event else { return Ok(()) };
    match event {
        Privacy::SubjectForgotten(e) => {
            let (business, subject, generation) = (a.business, e.subject, e.generation.0);
            let (seq, at) = (a.recorded.seq, a.stored.recorded_at);
            let new = || Forgetting { business, subject, generation, seq, at };
            tables.row_or(&(business, subject, generation), new)?;
            if let Some(of) = tables.change::<DataSubject>(&(business, subject))? {
                of.forgotten_at = Some(at);
            }
            Ok(())
        }
    }
}

/// An aggregate with text about a data subject.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct NamedIn {
    /// Kind of the aggregate.
    pub kind: String,
    /// Id of the aggregate.
    pub id: String,
}

impl Views {
    /// The first aggregates of a business with text about a subject, at most [`NAMED_MAX`].
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn named_in(
        &self,
        business: BusinessId,
        subject: SubjectId,
    ) -> Result<Vec<NamedIn>, ViewsError> {
        self.read(|c| {
            let mut query = c.prepare_cached(
                "SELECT kind, id FROM named_in WHERE business = (SELECT n FROM business_numbers \
                 WHERE id = ?) AND subject = ? ORDER BY n LIMIT ?",
            )?;
            let rows = query.query_map((business.0, subject.0, NAMED_MAX), |r| {
                Ok(NamedIn { kind: r.get(0)?, id: r.get::<_, Uuid>(1)?.to_string() })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }
}
