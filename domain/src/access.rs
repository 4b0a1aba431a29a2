//! Access. Aggregate: `principal` in the installation stream, with its roles and API keys.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Meta;
use crate::event::events;
use crate::ids::{BusinessId, KeyId, PrincipalId, names};
use crate::personal::Text;
use crate::values::{Digest, Role, Timestamp};

names! {
    /// What sort of actor a principal is.
    PrincipalKind {
        /// A person.
        Human = "human",
        /// An agent's credentials.
        Agent = "agent",
        /// A machine, such as an importer.
        Service = "service",
    }
}

names! {
    /// The rate limits of a principal: how much it may send and ask in a time; numbers in `limits`.
    RateProfile {
        /// The rates for people, agents and services at their daily work.
        Standard = "standard",
        /// The rates for those who send much at once: importers, operators, measurements.
        Bulk = "bulk",
    }
}

events!("access" {
    /// A principal was added: with an API key it may authenticate from now on.
    PrincipalAdded = "principal_added" v 1 on Principal, Private {
        /// The id of the principal that was added.
        principal: PrincipalId,
        /// Whether the principal is a human, an agent's credentials or a service.
        kind: PrincipalKind,
        /// The name that people see; the principal is its data subject.
        #[schemars(extend("x-subject" = "principal"))]
        display_name: Text,
        /// True if the principal is an operator of the installation.
        operator: bool,
    }

    /// A principal got a role in a business.
    RoleGranted = "role_granted" v 1 on Principal, Private {
        /// The business in which the principal has the role.
        business: BusinessId,
        /// The role that was granted.
        role: Role,
    }

    /// A principal lost a role in a business.
    RoleRevoked = "role_revoked" v 1 on Principal, Private {
        /// The business in which the principal lost the role.
        business: BusinessId,
        /// The role that was revoked.
        role: Role,
    }

    /// An operator set the rate profile of a principal.
    RateProfileSet = "rate_profile_set" v 1 on Principal, Private {
        /// The rate profile that holds from now on: `standard` or `bulk`.
        profile: RateProfile,
    }

    /// An API key was issued to a principal; only the hash of the key is stored.
    KeyIssued = "key_issued" v 1 on Principal, Private {
        /// The id of the API key.
        key: KeyId,
        /// SHA-256 of the API key, which has 256 random bits.
        #[schemars(extend("x-class" = "restricted"))]
        hash: Digest,
    }

    /// An API key was revoked: nobody can authenticate with it any more.
    KeyRevoked = "key_revoked" v 1 on Principal, Private {
        /// The id of the API key.
        key: KeyId,
    }
});

/// A principal as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Principal {
    /// Human, agent's credentials or service; `None` before the principal is added.
    pub kind: Option<PrincipalKind>,
    /// True if the principal is an operator of the installation.
    pub operator: bool,
    /// The roles that the principal has now, by business.
    pub roles: BTreeMap<BusinessId, BTreeSet<Role>>,
    /// Revoked roles by business, with the time of the last revocation. Whoever lost a role counts
    /// as a second human for a while longer, so that nobody is left alone by a revocation.
    pub lost: BTreeMap<BusinessId, BTreeMap<Role, Timestamp>>,
    /// Who first granted each role that the principal has or had, by business. A later grant
    /// changes nothing: who revokes a role and grants it again did not make the principal.
    pub granted_by: BTreeMap<BusinessId, BTreeMap<Role, PrincipalId>>,
    /// The rate profile that an operator set; `None` = the default, see [`Self::rate_profile`].
    #[serde(default)]
    pub rate_profile_set: Option<RateProfile>,
    /// The API keys that were not revoked, oldest first, each with its hash.
    pub keys: Vec<(KeyId, Digest)>,
}

impl Principal {
    /// Folds one event in.
    pub fn evolve(&mut self, meta: &Meta, event: &Event) {
        match event {
            Event::PrincipalAdded(e) => {
                self.kind = Some(e.kind);
                self.operator = e.operator;
            }
            Event::RoleGranted(e) => {
                self.roles.entry(e.business).or_default().insert(e.role);
                self.granted_by.entry(e.business).or_default().entry(e.role).or_insert(meta.actor);
            }
            Event::RoleRevoked(e) => {
                if let Some(roles) = self.roles.get_mut(&e.business) {
                    roles.remove(&e.role);
                }
                self.lost.entry(e.business).or_default().insert(e.role, meta.recorded_at);
            }
            Event::RateProfileSet(e) => self.rate_profile_set = Some(e.profile),
            Event::KeyIssued(e) => self.keys.push((e.key, e.hash)),
            Event::KeyRevoked(e) => self.keys.retain(|(key, _)| *key != e.key),
        }
    }
}
