//! Privacy: which aggregates name which data subjects of a business, and who is forgotten.

use std::collections::BTreeSet;

use domain::ids::INSTALLATION;
use domain::privacy::Event as Privacy;
use domain::{BusinessId, Event, SubjectId};
use rusqlite::Connection;

use crate::{Applied, Apply, ApplyError, Projection, Views, ViewsError, run};

/// Most aggregates that [`named_in`] returns.
pub const NAMED_MAX: usize = 200;

/// The projection of data subjects and forgettings.
pub const PROJECTION: Projection = Projection {
    name: "privacy",
    version: 1,
    sql: include_str!("privacy.sql"),
    indexes: &[],
    tables: &[
        ("data_subjects", "business, n"),
        ("named_in", "business, subject, n"),
        ("forgettings", "business, subject, generation"),
    ],
    apply: Apply::Sealed(apply),
};

fn apply(tx: &Connection, a: &Applied<'_>) -> Result<(), ApplyError> {
    // Principals stand above businesses, and what is about nobody else is about the business.
    if a.stored.business != INSTALLATION {
        let subjects: BTreeSet<SubjectId> =
            a.stored.subjects().filter(|s| *s != a.stored.business.as_subject()).collect();
        for subject in subjects {
            name(tx, a, &subject.to_string())?;
        }
    }
    let Event::Privacy(event) = a.event else { return Ok(()) };
    match event {
        Privacy::SubjectForgotten(e) => {
            let subject = e.subject.to_string();
            run(
                tx,
                "INSERT OR IGNORE INTO forgettings VALUES (?, ?, ?, ?, ?)",
                &[
                    &a.business(),
                    &subject,
                    &e.generation.0,
                    &a.recorded.seq,
                    &a.stored.recorded_at.to_string(),
                ],
            )?;
            run(
                tx,
                "UPDATE data_subjects SET forgotten_at = ? WHERE business = ? AND subject = ?",
                &[&a.stored.recorded_at.to_string(), &a.business(), &subject],
            )
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
                "SELECT kind, id FROM named_in WHERE business = ? AND \
                subject = ? ORDER BY n LIMIT ?",
            )?;
            let rows = query
                .query_map((business.to_string(), subject.to_string(), NAMED_MAX), |r| {
                    Ok(NamedIn { kind: r.get(0)?, id: r.get(1)? })
                })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }
}

/// Counts the aggregate of an event once among those that name the subject.
fn name(tx: &Connection, a: &Applied<'_>, subject: &str) -> Result<(), ApplyError> {
    let (business, id, kind) = (a.business(), a.id(), a.stored.kind.as_str());
    let there = "SELECT 1 FROM named_in WHERE business = ? AND subject = ? AND kind = ? AND id = ?";
    if tx.prepare_cached(there)?.exists([business, subject, kind, id])? {
        return Ok(());
    }
    run(
        tx,
        "INSERT INTO data_subjects SELECT ?1, coalesce(max(n), 0) + 1, ?2, 0, NULL FROM \
         data_subjects WHERE business = ?1
         ON CONFLICT (business, subject) DO NOTHING",
        &[&business, &subject],
    )?;
    run(
        tx,
        "UPDATE data_subjects SET aggregates = aggregates + 1 WHERE business = ? AND subject = ?",
        &[&business, &subject],
    )?;
    run(
        tx,
        "INSERT INTO named_in SELECT ?1, ?2, aggregates, ?3, ?4 FROM data_subjects WHERE business \
         = ?1 AND subject = ?2",
        &[&business, &subject, &kind, &id],
    )
}
