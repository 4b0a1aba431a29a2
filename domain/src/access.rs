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
    /// How much a principal may ask in a time; the numbers are in `limits`.
    RateProfile {
        /// People, agents and services at their daily work.
        Standard = "standard",
        /// Who moves much at once: importers, operators, measurements.
        Bulk = "bulk",
    }
}

events!("access" {
    /// Somebody may authenticate from now on.
    PrincipalAdded = "principal_added" v 1 on Principal, Private {
        /// Who.
        principal: PrincipalId,
        /// What sort of actor.
        kind: PrincipalKind,
        /// The name that people see.
        #[schemars(extend("x-subject" = "principal"))]
        display_name: Text,
        /// Whether it runs the installation.
        operator: bool,
    }

    /// A principal got a role in a business.
    RoleGranted = "role_granted" v 1 on Principal, Private {
        /// In which business.
        business: BusinessId,
        /// Which role.
        role: Role,
    }

    /// A principal lost a role in a business.
    RoleRevoked = "role_revoked" v 1 on Principal, Private {
        /// In which business.
        business: BusinessId,
        /// Which role.
        role: Role,
    }

    /// How much a principal may ask in a time was set.
    RateProfileSet = "rate_profile_set" v 1 on Principal, Private {
        /// Which rates.
        profile: RateProfile,
    }

    /// A key was made; only its hash is known.
    KeyIssued = "key_issued" v 1 on Principal, Private {
        /// Which key.
        key: KeyId,
        /// SHA-256 of the secret, which has 256 bits of its own.
        #[schemars(extend("x-class" = "restricted"))]
        hash: Digest,
    }

    /// A key opens nothing any more.
    KeyRevoked = "key_revoked" v 1 on Principal, Private {
        /// Which key.
        key: KeyId,
    }
});

/// A principal as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Principal {
    /// What sort of actor; `None` before it is added.
    pub kind: Option<PrincipalKind>,
    /// Whether it runs the installation.
    pub operator: bool,
    /// Its roles by business.
    pub roles: BTreeMap<BusinessId, BTreeSet<Role>>,
    /// Roles that were taken away, by business, with the time of the last one: whoever lost a role
    /// still counts as there for a while, so that nobody becomes the only one by a revocation.
    pub lost: BTreeMap<BusinessId, BTreeMap<Role, Timestamp>>,
    /// Who granted each role that it has or had, by business.
    pub granted_by: BTreeMap<BusinessId, BTreeMap<Role, PrincipalId>>,
    /// The rate profile that an operator gave it.
    #[serde(default)]
    pub rate_profile_set: Option<RateProfile>,
    /// Its working keys, oldest first, with their hashes.
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
                self.granted_by.entry(e.business).or_default().insert(e.role, meta.actor);
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
