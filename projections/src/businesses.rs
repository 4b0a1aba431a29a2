//! Businesses with their phases.

use domain::businesses::{Event as Businesses, Phase, Registered};
use domain::values::Currency;
use domain::{BusinessId, Event, PrincipalId, Timestamp};

use crate::rows::{BusinessNumber, Field, Place, Tables, keyed_table, table};
use crate::{Applied, Apply, ApplyError, Projection};

/// The projection of businesses.
pub const PROJECTION: Projection = Projection {
    name: "businesses",
    version: 3,
    sql: include_str!("businesses.sql"),
    indexes: &[("businesses_by_slug", "businesses(slug)"), ("businesses_by_id", "businesses(id)")],
    tables: &[("businesses", "business"), ("phases", "place")],
    apply: Apply::Sealed(apply),
};

keyed_table! {
    /// A business with the phase that it is in now.
    Business in "businesses" by (business: BusinessNumber) {
        id: BusinessId,
        slug: String,
        name: String,
        idea: Option<Field>,
        home_region: String,
        currency: Currency,
        owner: PrincipalId,
        phase: Phase,
        registered_at: Timestamp,
    }
}

table! {
    /// A phase that a business entered.
    PhaseEntered in "phases" {
        place: Place,
        phase: Phase,
        at: Timestamp,
    }
}

fn registered(a: &Applied<'_>, e: &Registered) -> Business {
    Business {
        business: a.business,
        id: a.stored.business,
        slug: e.slug.to_string(),
        name: e.name.to_string(),
        idea: a.optional_field(e.idea.as_ref(), "/data/idea"),
        home_region: e.home_region.to_string(),
        currency: e.currency,
        owner: e.owner,
        phase: Phase::Idea,
        registered_at: a.at(),
    }
}

fn apply(tables: &mut Tables<'_>, a: &Applied<'_>) -> Result<(), ApplyError> {
    let Event::Businesses(event) = a.event else { return Ok(()) };
    let phase = match event {
        Businesses::SlugClaimed(_) => return Ok(()),
        Businesses::Registered(e) => {
            tables.put(registered(a, e))?;
            Phase::Idea
        }
        Businesses::Advanced(e) => {
            if let Some(business) = tables.change::<Business>(&(a.business,))? {
                business.phase = e.to;
            }
            e.to
        }
    };
    tables.add(&PhaseEntered { place: a.place, phase, at: a.at() })
}
