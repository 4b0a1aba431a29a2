//! Access: principals, their roles and keys, in the installation stream.

use domain::access::{KeyIssued, KeyRevoked, PrincipalAdded, PrincipalKind, RoleGranted, RoleRevoked};
use domain::ids::KeyId;
use domain::personal::Text;
use domain::values::{Digest, Role};
use domain::{AggregateRef, BusinessId, PrincipalId};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Refusal;
use crate::registry::commands;
use crate::root::{Boundary, Changes, Context, Decide};

/// Working keys a principal may have: two, so that one can replace the other.
pub const KEYS_MAX: usize = 2;

commands!("access" {
    /// Lets somebody authenticate.
    AddPrincipal = "add_principal" opens Principal,
    /// Gives a role in a business.
    GrantRole = "grant_role" on Principal,
    /// Takes a role in a business away.
    RevokeRole = "revoke_role" on Principal,
    /// Registers a key by its hash.
    IssueKey = "issue_key" on Principal,
    /// Makes a key worthless.
    RevokeKey = "revoke_key" on Principal,
});

/// Lets somebody authenticate.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddPrincipal {
    /// What sort of actor.
    pub kind: PrincipalKind,
    /// The name that people see.
    pub display_name: Text,
    /// Whether it runs the installation.
    #[serde(default)]
    pub operator: bool,
}

/// Gives a role in a business.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantRole {
    /// In which business.
    pub business: BusinessId,
    /// Which role.
    pub role: Role,
}

/// Takes a role in a business away.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeRole {
    /// In which business.
    pub business: BusinessId,
    /// Which role.
    pub role: Role,
}

/// Registers a key by its hash; the secret never comes here.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssueKey {
    /// The key's id.
    pub key: KeyId,
    /// SHA-256 of the secret.
    pub hash: Digest,
}

/// Makes a key worthless.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeKey {
    /// The key's id.
    pub key: KeyId,
}

impl Decide for Command {
    fn reads(&self, ctx: &Context, _: &Boundary) -> Vec<AggregateRef> {
        vec![PrincipalId(ctx.target).into()]
    }

    fn decide(&self, ctx: &Context, seen: &Boundary) -> Result<Changes, Refusal> {
        let id = PrincipalId(ctx.target);
        let principal = seen.principal(id);
        let one = |event: domain::Event| Ok(vec![(id.into(), event)]);
        if let Self::AddPrincipal(c) = self {
            if principal.kind == Some(c.kind) {
                return Ok(Vec::new());
            }
            if principal.kind.is_some() {
                return Err(Refusal::Exists { what: "principal" });
            }
            let display_name = c.display_name.clone().about(id.as_subject());
            return one(PrincipalAdded { principal: id, kind: c.kind, display_name, operator: c.operator }.into());
        }
        if principal.kind.is_none() {
            return Err(Refusal::Unknown { what: "principal" });
        }
        match self {
            Self::AddPrincipal(_) => Ok(Vec::new()),
            Self::GrantRole(c) => {
                if principal.roles.get(&c.business).is_some_and(|r| r.contains(&c.role)) {
                    return Ok(Vec::new());
                }
                one(RoleGranted { business: c.business, role: c.role }.into())
            }
            Self::RevokeRole(c) => {
                if !principal.roles.get(&c.business).is_some_and(|r| r.contains(&c.role)) {
                    return Ok(Vec::new());
                }
                one(RoleRevoked { business: c.business, role: c.role }.into())
            }
            Self::IssueKey(c) => {
                if principal.keys.contains(&(c.key, c.hash)) {
                    return Ok(Vec::new());
                }
                if principal.keys.len() >= KEYS_MAX {
                    return Err(Refusal::TooManyKeys);
                }
                one(KeyIssued { key: c.key, hash: c.hash }.into())
            }
            Self::RevokeKey(c) => {
                if !principal.keys.iter().any(|(key, _)| *key == c.key) {
                    return Ok(Vec::new());
                }
                one(KeyRevoked { key: c.key }.into())
            }
        }
    }
}
