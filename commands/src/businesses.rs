//! Businesses: a slug is claimed in the installation stream, then the business opens its own.

use domain::access::{PrincipalKind, RoleGranted};
use domain::approvals::ActionFacts;
use domain::businesses::{Advanced, Phase, Registered, SlugClaimed};
use domain::ids::INSTALLATION;
use domain::personal::Text;
use domain::values::{Currency, Name, Role, Slug};
use domain::{AggregateRef, BusinessId, Kind, PrincipalId};
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

use crate::Refusal;
use crate::registry::commands;
use crate::root::{Boundary, Changes, Context, Decide};

commands!("businesses" {
    /// Takes a slug for a business; the desk sends it before `businesses.register`.
    ClaimSlug = "claim_slug" opens Slug,
    /// Opens a business.
    Register = "register" opens Business,
    /// Takes it into its next phase, or winds it up.
    Advance = "advance" on Business,
});

/// Takes a slug for a business, and makes its owner owner.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimSlug {
    /// The slug.
    pub slug: Slug,
    /// For whom.
    pub business: BusinessId,
    /// Its accountable human.
    pub owner: PrincipalId,
}

/// Opens a business.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// Its name in addresses.
    pub slug: Slug,
    /// Its name for people; the slug when it is left out.
    #[serde(default)]
    pub name: Option<Name>,
    /// What it is meant to be.
    #[serde(default)]
    pub idea: Option<Text>,
    /// Where its data is at home; `local` when it is left out.
    #[serde(default)]
    pub home_region: Option<Name>,
    /// The currency it reckons in; USD when it is left out.
    #[serde(default)]
    pub currency: Option<Currency>,
    /// Its accountable human; who registers it when it is left out.
    #[serde(default)]
    pub owner: Option<PrincipalId>,
}

/// Takes it into its next phase, or winds it up.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Advance {
    /// The phase to come.
    pub to: Phase,
    /// Why.
    #[serde(default)]
    pub note: Option<Text>,
}

/// The aggregate of a slug.
#[must_use]
pub fn slug_ref(slug: &Slug) -> AggregateRef {
    AggregateRef::new(Kind::Slug, slug_id(slug))
}

/// The id of a slug's aggregate.
#[must_use]
pub fn slug_id(slug: &Slug) -> Uuid {
    INSTALLATION.name(&format!("slug:{slug}"))
}

fn claim(c: &ClaimSlug, seen: &Boundary) -> Result<Changes, Refusal> {
    match seen.slug(slug_id(&c.slug)).business {
        Some(business) if business == c.business => return Ok(Vec::new()),
        Some(_) => return Err(Refusal::SlugTaken { slug: c.slug.to_string() }),
        None => {}
    }
    if seen.principal(c.owner).kind != Some(PrincipalKind::Human) {
        return Err(Refusal::OwnerUnknown);
    }
    Ok(vec![
        (slug_ref(&c.slug), SlugClaimed { slug: c.slug.clone(), business: c.business }.into()),
        (c.owner.into(), RoleGranted { business: c.business, role: Role::Owner }.into()),
    ])
}

impl Decide for Command {
    fn reads(&self, ctx: &Context, _: &Boundary) -> Vec<AggregateRef> {
        match self {
            Self::ClaimSlug(c) => vec![slug_ref(&c.slug), c.owner.into()],
            Self::Register(_) | Self::Advance(_) => vec![ctx.business.into()],
        }
    }

    fn facts(&self, facts: &mut ActionFacts) {
        if let Self::Advance(c) = self {
            facts.phase = Some(c.to);
        }
    }

    fn decide(&self, ctx: &Context, seen: &Boundary) -> Result<Changes, Refusal> {
        let business = seen.business(ctx.business);
        let subject = ctx.business.as_subject();
        let one = |event: domain::Event| Ok(vec![(ctx.business.into(), event)]);
        match self {
            Self::ClaimSlug(c) => claim(c, seen),
            Self::Register(c) => {
                if business.phase.is_some() {
                    return Err(Refusal::Exists { what: "business" });
                }
                let slug_as_name = || c.slug.as_str().parse::<Name>();
                let default = |text: &str| text.parse::<Name>();
                let bad = |_| Refusal::OutOfRange { field: "name", rule: "1 to 200 characters" };
                one(Registered {
                    slug: c.slug.clone(),
                    name: c.name.clone().map_or_else(slug_as_name, Ok).map_err(bad)?,
                    idea: c.idea.clone().map(|t| t.about(subject)),
                    home_region: c.home_region.clone().map_or_else(|| default("local"), Ok).map_err(bad)?,
                    currency: c.currency.unwrap_or(Currency::USD),
                    owner: c.owner.unwrap_or(ctx.actor.principal),
                    subject,
                }
                .into())
            }
            Self::Advance(c) => {
                let Some(from) = business.phase else { return Err(Refusal::NotRegistered) };
                if from == c.to {
                    return Ok(Vec::new());
                }
                if c.to != Phase::WoundUp && from.next() != Some(c.to) {
                    let next = from.next().map_or("nothing", Phase::as_str);
                    return Err(Refusal::PhaseOrder { from: from.as_str(), next });
                }
                one(Advanced { from, to: c.to, note: c.note.clone().map(|t| t.about(subject)), subject }.into())
            }
        }
    }
}
