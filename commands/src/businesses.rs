//! Businesses: a slug is claimed in the installation stream, then the business opens its own.

use domain::access::{PrincipalKind, RoleGranted};
use domain::approvals::CarriedInputs;
use domain::businesses::{Advanced, Business, Phase, Registered, SlugClaimed};
use domain::ids::{ErasureId, INSTALLATION, SlugId};
use domain::limits::IDEA_CHARS_MAX;
use domain::personal::Text;
use domain::values::{Currency, Name, Role, Slug};
use domain::{AggregateRef, BusinessId, PrincipalId, SubjectId};
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

use crate::registry::{ContextRules, Target, commands};
use crate::root::{Changes, Context, LoadedAggregates};
use crate::{Refusal, privacy};

/// How long a claim holds a slug for a business that was not opened, in seconds.
const CLAIM_SECONDS: u64 = 3_600;

commands!("businesses" {
    /// Claims a slug for a business, and gives the business's owner the role owner.
    ClaimSlug = "claim_slug" sets Slug {
        from: [] of Installation,
        target: Target::Derived(|c, _| slug_id(&c.slug)),
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Refused,
    } with {
        /// The slug to claim.
        slug: Slug,
        /// The business that gets the slug.
        business: BusinessId,
        /// The human who is accountable for the business.
        owner: PrincipalId,
    }

    /// Opens a business.
    Register = "register" opens Business {
        from: [Operator, AnyHuman] of Business,
        target: Target::Business,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Refused,
    } with {
        /// Slug of the business: its name in addresses.
        slug: Slug,
        /// Name of the business for people; absent = the slug.
        #[serde(default)]
        name: Option<Name>,
        /// Idea of the business, in at most 100,000 characters.
        #[serde(default)]
        idea: Option<Text>,
        /// Region where the business's data is at home; absent = `local`.
        #[serde(default)]
        home_region: Option<Name>,
        /// Currency that the business reckons in; absent = USD.
        #[serde(default)]
        currency: Option<Currency>,
        /// The human who is accountable for the business; absent = whoever registers it.
        #[serde(default)]
        owner: Option<PrincipalId>,
    }

    /// Takes the business into its next phase, or winds it up.
    Advance = "advance" acts Business {
        from: [Owner] of Business,
        target: Target::Business,
        carries: [Phase],
        when_suspended: Refused, when_retired: Refused, after_end: Refused, historic: false,
        when_fenced: Refused,
    } with {
        /// The phase that the business enters.
        to: Phase,
        /// Reason for the change of phase.
        #[serde(default)]
        note: Option<Text>,
    }

    /// Destroys the key of the business's own texts, for good.
    Forget = "forget" acts Business {
        from: [Owner, Operator] of Business,
        target: Target::Business,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {}
});

/// The id of a slug's aggregate.
#[must_use]
pub fn slug_id(slug: &Slug) -> Uuid {
    INSTALLATION.derive_id(&format!("slug:{slug}"))
}

fn claim(c: &ClaimSlug, ctx: &Context, loaded: &LoadedAggregates) -> Result<Changes, Refusal> {
    let (id, claimed) = (SlugId(slug_id(&c.slug)), loaded.get(SlugId(slug_id(&c.slug)))?);
    // A claim whose business never opened holds the slug for an hour, and no longer.
    let lapsed = claimed.business.is_some()
        && claimed.business == ctx.unopened
        && claimed.claimed_at.is_some_and(|at| ctx.has_surely_come(at.plus_seconds(CLAIM_SECONDS)));
    match claimed.business {
        Some(business) if business == c.business => return Ok(Vec::new()),
        Some(_) if !lapsed => return Err(Refusal::SlugTaken { slug: c.slug.to_string() }),
        Some(_) | None => {}
    }
    if loaded.get(c.owner)?.kind != Some(PrincipalKind::Human) {
        return Err(Refusal::OwnerUnknown);
    }
    Ok(vec![
        (id.into(), SlugClaimed { slug: c.slug.clone(), business: c.business }.into()),
        (c.owner.into(), RoleGranted { business: c.business, role: Role::Owner }.into()),
    ])
}

fn register(c: &Register, ctx: &Context) -> Result<Registered, Refusal> {
    let subject = ctx.business.as_subject();
    let slug_as_name = || c.slug.as_str().parse::<Name>();
    let default = |text: &str| text.parse::<Name>();
    let bad = |_| Refusal::OutOfRange { field: "name", rule: "1 to 200 characters" };
    // Checked before the slug is claimed, so that nothing is claimed for what can't be stored.
    if c.idea.as_ref().and_then(|t| t.clear()).is_some_and(|t| t.chars().count() > IDEA_CHARS_MAX) {
        return Err(Refusal::OutOfRange { field: "idea", rule: "at most 100,000 characters" });
    }
    Ok(Registered {
        slug: c.slug.clone(),
        name: c.name.clone().map_or_else(slug_as_name, Ok).map_err(bad)?,
        idea: c.idea.clone().map(|t| t.about(subject)),
        home_region: c.home_region.clone().map_or_else(|| default("local"), Ok).map_err(bad)?,
        currency: c.currency.unwrap_or(Currency::USD),
        owner: c.owner.unwrap_or(ctx.actor.principal),
        subject,
    })
}

fn advance(c: &Advance, business: &Business, ctx: &Context) -> Result<Option<Advanced>, Refusal> {
    let Some(from) = business.phase else { return Err(Refusal::NotRegistered) };
    if from == c.to {
        return Ok(None);
    }
    if c.to != Phase::WoundUp && from.next() != Some(c.to) {
        let next = from.next().map_or("nothing", Phase::as_str);
        return Err(Refusal::PhaseOrder { from: from.as_str(), next });
    }
    let subject = ctx.business.as_subject();
    Ok(Some(Advanced { from, to: c.to, note: c.note.clone().map(|t| t.about(subject)), subject }))
}

impl ContextRules for Command {
    fn reads(&self, ctx: &Context, _: &LoadedAggregates) -> Vec<AggregateRef> {
        match self {
            Self::ClaimSlug(c) => vec![c.owner.into()],
            Self::Register(_) | Self::Advance(_) => vec![ctx.business.into()],
            Self::Forget(_) => vec![
                ctx.business.into(),
                ErasureId::of(ctx.business, ctx.business.as_subject()).into(),
            ],
        }
    }

    fn carried_inputs(&self, inputs: &mut CarriedInputs) {
        match self {
            Self::Advance(c) => inputs.phase = Some(c.to),
            Self::ClaimSlug(_) | Self::Register(_) | Self::Forget(_) => {}
        }
    }

    fn forgets(&self, ctx: &Context) -> Option<SubjectId> {
        match self {
            Self::Forget(_) => Some(ctx.business.as_subject()),
            Self::ClaimSlug(_) | Self::Register(_) | Self::Advance(_) => None,
        }
    }

    fn decide(&self, ctx: &Context, loaded: &LoadedAggregates) -> Result<Changes, Refusal> {
        let event: Option<domain::Event> = match self {
            Self::ClaimSlug(c) => return claim(c, ctx, loaded),
            Self::Register(c) => Some(register(c, ctx)?.into()),
            Self::Advance(c) => advance(c, loaded.get(ctx.business)?, ctx)?.map(Into::into),
            Self::Forget(_) => {
                return Ok(privacy::forgotten(ctx.business.as_subject(), None, ctx, loaded)?
                    .into_iter()
                    .collect());
            }
        };
        Ok(event.into_iter().map(|event| (ctx.business.into(), event)).collect())
    }
}
