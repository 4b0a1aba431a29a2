//! Access: principals, their roles and keys, in the installation stream.

use domain::access::{
    KeyIssued, KeyRevoked, PrincipalAdded, PrincipalKind, RateProfile, RateProfileSet, RoleGranted,
    RoleRevoked,
};
use domain::approvals::CarriedInputs;
use domain::ids::KeyId;
use domain::personal::Text;
use domain::values::{Digest, Role};
use domain::{AggregateRef, BusinessId, PrincipalId};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Refusal;
use crate::registry::{ContextRules, Target, commands};
use crate::root::{Changes, Context, LoadedAggregates};

/// Working keys a principal may have: two, so that one can replace the other.
pub const KEYS_MAX: usize = 2;

commands!("access" {
    /// Lets somebody authenticate.
    AddPrincipal = "add_principal" sets Principal {
        from: [Operator] of Installation,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Refused,
    } with {
        /// What sort of actor.
        kind: PrincipalKind,
        /// The name that people see.
        display_name: Text,
        /// Whether it runs the installation.
        #[serde(default)]
        operator: bool,
    }

    /// Gives a role in a business.
    GrantRole = "grant_role" acts Principal {
        from: [Operator] of Installation,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// In which business.
        business: BusinessId,
        /// Which role.
        role: Role,
    }

    /// Takes a role in a business away.
    RevokeRole = "revoke_role" acts Principal {
        from: [Operator] of Installation,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// In which business.
        business: BusinessId,
        /// Which role.
        role: Role,
    }

    /// Says how much a principal may ask in a time.
    SetRateProfile = "set_rate_profile" acts Principal {
        from: [Operator] of Installation,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// Which rates: `standard` or `bulk`.
        profile: RateProfile,
    }

    /// Registers a key by its hash; the secret never comes here.
    IssueKey = "issue_key" acts Principal {
        from: [Operator] of Installation,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// The key's id.
        key: KeyId,
        /// SHA-256 of the secret.
        hash: Digest,
    }

    /// Makes a key worthless.
    RevokeKey = "revoke_key" acts Principal {
        from: [Operator] of Installation,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// The key's id.
        key: KeyId,
        /// Revokes it also where it is the last key of the last operator. After that the
        /// installation is run on its data folder alone, until somebody issues a key there.
        #[serde(default)]
        last: bool,
    }
});

impl ContextRules for Command {
    fn reads(&self, _: &Context, _: &LoadedAggregates) -> Vec<AggregateRef> {
        Vec::new()
    }

    fn carried_inputs(&self, _: &mut CarriedInputs) {}

    fn decide(&self, ctx: &Context, loaded: &LoadedAggregates) -> Result<Changes, Refusal> {
        let id = PrincipalId(ctx.target);
        let principal = loaded.get(id)?;
        let has =
            |business, role| principal.roles.get(&business).is_some_and(|r| r.contains(&role));
        let event: Option<domain::Event> = match self {
            Self::AddPrincipal(c) if principal.kind == Some(c.kind) => None,
            Self::AddPrincipal(_) if principal.kind.is_some() => {
                return Err(Refusal::Exists { what: "principal" });
            }
            Self::AddPrincipal(c) => {
                let display_name = c.display_name.clone().about(id.as_subject());
                Some(
                    PrincipalAdded {
                        principal: id,
                        kind: c.kind,
                        display_name,
                        operator: c.operator,
                    }
                    .into(),
                )
            }
            Self::GrantRole(c) => (!has(c.business, c.role))
                .then(|| RoleGranted { business: c.business, role: c.role }.into()),
            Self::RevokeRole(c) => has(c.business, c.role)
                .then(|| RoleRevoked { business: c.business, role: c.role }.into()),
            Self::SetRateProfile(c) => (principal.rate_profile() != c.profile)
                .then(|| RateProfileSet { profile: c.profile }.into()),
            Self::IssueKey(c) if principal.keys.contains(&(c.key, c.hash)) => None,
            Self::IssueKey(_) if principal.keys.len() >= KEYS_MAX => {
                return Err(Refusal::TooManyKeys);
            }
            Self::IssueKey(c) => Some(KeyIssued { key: c.key, hash: c.hash }.into()),
            Self::RevokeKey(c) => {
                let known = principal.keys.iter().any(|(key, _)| *key == c.key);
                if known
                    && !c.last
                    && principal.operator
                    && principal.keys.len() == 1
                    && !ctx.people.has_other_operator(id)
                {
                    return Err(Refusal::LastKey);
                }
                known.then(|| KeyRevoked { key: c.key }.into())
            }
        };
        Ok(event.into_iter().map(|event| (id.into(), event)).collect())
    }
}
