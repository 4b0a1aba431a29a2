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
    /// Adds a principal: a human, an agent's credentials or a service.
    AddPrincipal = "add_principal" sets Principal {
        from: [Operator] of Installation,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Refused,
    } with {
        /// Kind of the principal: human, agent or service.
        kind: PrincipalKind,
        /// Name of the principal that people see.
        display_name: Text,
        /// True if the principal is an operator of the installation; absent = false.
        #[serde(default)]
        operator: bool,
    }

    /// Gives a principal a role in a business.
    GrantRole = "grant_role" acts Principal {
        from: [Operator] of Installation,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// The business in which the principal gets the role.
        business: BusinessId,
        /// The role that the principal gets.
        role: Role,
    }

    /// Takes a role in a business away from a principal.
    RevokeRole = "revoke_role" acts Principal {
        from: [Operator] of Installation,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// The business in which the principal loses the role.
        business: BusinessId,
        /// The role that the principal loses.
        role: Role,
    }

    /// Sets the rate limits of a principal.
    SetRateProfile = "set_rate_profile" acts Principal {
        from: [Operator] of Installation,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// Rate profile of the principal: `standard` or `bulk`.
        profile: RateProfile,
    }

    /// Registers an API key by its hash; the secret itself is never sent.
    IssueKey = "issue_key" acts Principal {
        from: [Operator] of Installation,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// Id of the key.
        key: KeyId,
        /// SHA-256 of the key's secret.
        hash: Digest,
    }

    /// Revokes an API key, so that nobody can authenticate with it any more.
    RevokeKey = "revoke_key" acts Principal {
        from: [Operator] of Installation,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Refused, after_end: Allowed, historic: false,
        when_fenced: Withheld,
    } with {
        /// Id of the key to revoke.
        key: KeyId,
        /// True = the key is revoked even if it is the only key of the only operator. Then
        /// operators can act only through the data folder, until a key is issued there.
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
