//! Businesses. Aggregates: `business` (opens the stream) and `slug` (in the installation stream,
//! claimed before the business opens).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Meta;
use crate::event::events;
use crate::ids::{BusinessId, PrincipalId, SubjectId, names};
use crate::personal::Text;
use crate::values::{Currency, Name, Slug, Timestamp};

names! {
    /// How far a business has come.
    Phase {
        /// Somebody wants it.
        Idea = "idea",
        /// It is being planned.
        Planning = "planning",
        /// Its plan is approved.
        Approved = "approved",
        /// It is being built.
        Building = "building",
        /// It does business.
        Operating = "operating",
        /// It is closed; nothing more happens in it.
        WoundUp = "wound_up",
    }
}

impl Phase {
    /// The phase after this one; `None` at the end.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        match self {
            Self::Idea => Some(Self::Planning),
            Self::Planning => Some(Self::Approved),
            Self::Approved => Some(Self::Building),
            Self::Building => Some(Self::Operating),
            Self::Operating => Some(Self::WoundUp),
            Self::WoundUp => None,
        }
    }
}

events!("businesses" {
    /// A slug was taken for a business that is about to open.
    SlugClaimed = "slug_claimed" v 1 on Slug, Private {
        /// The slug.
        slug: Slug,
        /// For whom.
        business: BusinessId,
    }

    /// The business exists: the first event of its stream.
    Registered = "registered" v 1 on Business, Public {
        /// Its name in addresses.
        slug: Slug,
        /// Its name for people.
        #[schemars(extend("x-class" = "public"))]
        name: Name,
        /// What it is meant to be.
        #[serde(skip_serializing_if = "Option::is_none")]
        idea: Option<Text>,
        /// Where its data is at home.
        home_region: Name,
        /// The currency it reckons in.
        currency: Currency,
        /// The accountable human.
        owner: PrincipalId,
        /// Whom the idea's text is about: the business itself.
        subject: SubjectId,
    }

    /// It came into its next phase.
    Advanced = "advanced" v 1 on Business, Public {
        /// Where it was.
        from: Phase,
        /// Where it is now.
        to: Phase,
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<Text>,
        /// Whom the note is about.
        subject: SubjectId,
    }
});

/// A business as its own rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Business {
    /// Its phase; `None` before it is registered.
    pub phase: Option<Phase>,
    /// Its accountable human.
    pub owner: PrincipalId,
    /// The currency it reckons in.
    pub currency: Option<Currency>,
}

impl Business {
    /// Folds one event in.
    pub fn evolve(&mut self, _: &Meta, event: &Event) {
        match event {
            Event::SlugClaimed(_) => {}
            Event::Registered(e) => {
                self.phase = Some(Phase::Idea);
                self.owner = e.owner;
                self.currency = Some(e.currency);
            }
            Event::Advanced(e) => self.phase = Some(e.to),
        }
    }
}

/// A slug as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SlugClaim {
    /// Whose it is.
    pub business: Option<BusinessId>,
    /// Since when.
    pub claimed_at: Option<Timestamp>,
}

impl SlugClaim {
    /// Folds one event in.
    pub fn evolve(&mut self, meta: &Meta, event: &Event) {
        match event {
            Event::SlugClaimed(e) => {
                self.business = Some(e.business);
                self.claimed_at = Some(meta.recorded_at);
            }
            Event::Registered(_) | Event::Advanced(_) => {}
        }
    }
}
