//! Businesses with their phases.

use domain::Event;
use domain::businesses::{Event as Businesses, Phase};
use rusqlite::Connection;

use crate::{Applied, Apply, ApplyError, Projection, run};

/// The projection of businesses.
pub const PROJECTION: Projection = Projection {
    name: "businesses",
    version: 2,
    sql: include_str!("businesses.sql"),
    indexes: &[("businesses_by_slug", "businesses(slug)")],
    tables: &[("businesses", "business"), ("phases", "business, seq")],
    apply: Apply::Sealed(apply),
};

fn apply(tx: &Connection, a: &Applied<'_>) -> Result<(), ApplyError> {
    let Event::Businesses(event) = a.event else { return Ok(()) };
    let phase = match event {
        Businesses::SlugClaimed(_) => return Ok(()),
        Businesses::Registered(e) => {
            run(
                tx,
                "INSERT INTO businesses VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                &[
                    &a.business(),
                    &e.slug.as_str(),
                    &e.name.as_str(),
                    &a.optional_field(e.idea.as_ref(), "/data/idea"),
                    &e.home_region.as_str(),
                    &e.currency.to_string(),
                    &e.owner.to_string(),
                    &Phase::Idea.as_str(),
                    &a.at(),
                ],
            )?;
            Phase::Idea
        }
        Businesses::Advanced(e) => {
            run(
                tx,
                "UPDATE businesses SET phase = ? WHERE business = ?",
                &[&e.to.as_str(), &a.business()],
            )?;
            e.to
        }
    };
    run(
        tx,
        "INSERT INTO phases VALUES (?, ?, ?, ?)",
        &[&a.business(), &a.recorded.seq, &phase.as_str(), &a.at()],
    )
}
