//! Privacy: a person is forgotten on record, before the keys of what is about them are destroyed.

use domain::approvals::CarriedInputs;
use domain::ids::{ErasureId, INSTALLATION};
use domain::personal::Generation;
use domain::privacy::{SubjectForgotten, is_secret};
use domain::values::Role;
use domain::{AggregateRef, PrincipalId, SubjectId};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Refusal;
use crate::registry::{ContextRules, Target, commands};
use crate::root::{Changes, Context, LoadedAggregates};

commands!("privacy" {
    /// Forgets a person for good: destroys every key of what is about them in this business.
    ForgetSubject = "forget_subject" sets Erasure {
        from: [Owner, Operator] of Business,
        target: Target::Derived(|c, business| ErasureId::of(business, c.subject).0),
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// The subject to forget, by the id that events name.
        subject: SubjectId,
        /// The newest generation of keys to forget; sent only when the list of forgettings is
        /// applied again.
        #[serde(default)]
        generation: Option<Generation>,
    }

    /// Forgets the name of a principal for good; of the installation.
    ForgetName = "forget_name" sets Erasure {
        from: [Operator, AnyHuman] of Installation,
        target: Target::Derived(|c, business| ErasureId::of(business, c.principal.as_subject()).0),
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// The principal whose name is forgotten.
        principal: PrincipalId,
        /// The newest generation of keys to forget; sent only when the list of forgettings is
        /// applied again.
        #[serde(default)]
        generation: Option<Generation>,
    }
});

/// The event that forgets a subject; `None` when everything there is under its keys is forgotten
/// already.
pub(crate) fn forgotten(
    subject: SubjectId,
    inputs: Option<Generation>,
    ctx: &Context,
    loaded: &LoadedAggregates,
) -> Result<Option<(AggregateRef, domain::Event)>, Refusal> {
    if inputs.is_some() && !ctx.actor.restores {
        return Err(Refusal::OutOfRange { field: "generation", rule: "left out" });
    }
    let of_the_installation = ctx.business == INSTALLATION && subject == ctx.business.as_subject();
    if is_secret(ctx.business, subject) || of_the_installation {
        return Err(Refusal::NothingToForget { subject });
    }
    let id = ErasureId::of(ctx.business, subject);
    let fenced = loaded.get(id)?.fenced;
    let Some(generation) = ctx.newest_generation.max(inputs) else {
        return Err(Refusal::NothingToForget { subject });
    };
    Ok((Some(generation) > fenced)
        .then(|| (id.into(), SubjectForgotten { subject, generation }.into())))
}

/// Refuses everybody but an operator and the owner of the only business where the principal has a
/// role.
fn may_forget_name(principal: PrincipalId, ctx: &Context) -> Result<(), Refusal> {
    if ctx.actor.operator {
        return Ok(());
    }
    let not_yours = Refusal::NotYours {
        who: "an operator, or the owner of the only business where that person has a role,",
    };
    let Some(person) = ctx.people.principal(principal).filter(|p| !p.operator) else {
        return Err(not_yours);
    };
    let mut businesses =
        person.roles.iter().filter(|(_, roles)| !roles.is_empty()).map(|(business, _)| *business);
    match (businesses.next(), businesses.next()) {
        (Some(only), None)
            if ctx.people.has_role(ctx.actor.principal, only, &[Role::Owner].into()) =>
        {
            Ok(())
        }
        (Some(_) | None, _) => Err(not_yours),
    }
}

impl ContextRules for Command {
    fn reads(&self, _: &Context, _: &LoadedAggregates) -> Vec<AggregateRef> {
        Vec::new()
    }

    fn carried_inputs(&self, _: &mut CarriedInputs) {}

    fn forgets(&self, _: &Context) -> Option<SubjectId> {
        Some(match self {
            Self::ForgetSubject(c) => c.subject,
            Self::ForgetName(c) => c.principal.as_subject(),
        })
    }

    fn decide(&self, ctx: &Context, loaded: &LoadedAggregates) -> Result<Changes, Refusal> {
        let event = match self {
            Self::ForgetSubject(c) => {
                if c.subject == ctx.business.as_subject() && !ctx.actor.restores {
                    return Err(Refusal::ForgetBusinessInstead);
                }
                forgotten(c.subject, c.generation, ctx, loaded)?
            }
            Self::ForgetName(c) => {
                may_forget_name(c.principal, ctx)?;
                forgotten(c.principal.as_subject(), c.generation, ctx, loaded)?
            }
        };
        Ok(event.into_iter().collect())
    }
}
