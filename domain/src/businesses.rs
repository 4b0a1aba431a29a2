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
        /// The business is registered as an idea, and not planned yet.
        Idea = "idea",
        /// The business is being planned.
        Planning = "planning",
        /// The plan of the business is approved.
        Approved = "approved",
        /// The business is being built.
        Building = "building",
        /// The business operates.
        Operating = "operating",
        /// The business is closed for good; most commands are refused.
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
        /// The slug that was claimed.
        slug: Slug,
        /// The business that claims the slug.
        business: BusinessId,
    }

    /// A business was registered: the first event of its stream.
    Registered = "registered" v 1 on Business, Public {
        /// The name of the business in addresses.
        slug: Slug,
        /// The name of the business for people.
        #[schemars(extend("x-class" = "public"))]
        name: Name,
        /// The idea of the business, in words.
        #[serde(skip_serializing_if = "Option::is_none")]
        idea: Option<Text>,
        /// The region where the data of the business is at home, such as `local`.
        home_region: Name,
        /// The currency that the business reckons in.
        currency: Currency,
        /// The human who is accountable for the business.
        owner: PrincipalId,
        /// The data subject whose key seals the idea: the business.
        subject: SubjectId,
    }

    /// A business entered its next phase, or was wound up.
    Advanced = "advanced" v 1 on Business, Public {
        /// The phase that the business left.
        from: Phase,
        /// The phase that the business entered.
        to: Phase,
        /// Why the phase changed; absent = no reason was given.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<Text>,
        /// The data subject whose key seals the note: the business.
        subject: SubjectId,
    }
});

/// A business as its own rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Business {
    /// Phase of the business; `None` before it is registered.
    pub phase: Option<Phase>,
    /// The human who is accountable for the business.
    pub owner: PrincipalId,
    /// The currency that the business reckons in; `None` before it is registered.
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
    /// The business that claimed the slug; `None` if nobody did.
    pub business: Option<BusinessId>,
    /// When the slug was last claimed; `None` if nobody claimed it.
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
