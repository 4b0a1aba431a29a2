//! Businesses. Aggregates: `business` (opens the stream) and `slug` (in the installation stream,
//! claimed before the business opens).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::events;
use crate::ids::{BusinessId, PrincipalId, SubjectId, names};
use crate::personal::Text;
use crate::values::{Currency, Name, Slug};

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
    SlugClaimed = "slug_claimed" v 1 on Slug,
    /// The business exists: the first event of its stream.
    Registered = "registered" v 1 on Business,
    /// It came into its next phase.
    Advanced = "advanced" v 1 on Business,
});

/// A slug was taken for a business that is about to open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlugClaimed {
    /// The slug.
    pub slug: Slug,
    /// For whom.
    pub business: BusinessId,
}

/// The business exists: the first event of its stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Registered {
    /// Its name in addresses.
    pub slug: Slug,
    /// Its name for people.
    #[schemars(extend("x-class" = "public"))]
    pub name: Name,
    /// What it is meant to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idea: Option<Text>,
    /// Where its data is at home.
    pub home_region: Name,
    /// The currency it reckons in.
    pub currency: Currency,
    /// The accountable human.
    pub owner: PrincipalId,
    /// Whom the idea's text is about: the business itself.
    pub subject: SubjectId,
}

/// It came into its next phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Advanced {
    /// Where it was.
    pub from: Phase,
    /// Where it is now.
    pub to: Phase,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<Text>,
    /// Whom the note is about.
    pub subject: SubjectId,
}

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
    pub fn evolve(&mut self, event: &Event) {
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
}

impl SlugClaim {
    /// Folds one event in.
    pub fn evolve(&mut self, event: &Event) {
        match event {
            Event::SlugClaimed(e) => self.business = Some(e.business),
            Event::Registered(_) | Event::Advanced(_) => {}
        }
    }
}
