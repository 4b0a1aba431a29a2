//! Privacy. Aggregate: `erasure`, what became of everything that is sealed under one data subject's
//! keys in one stream. The names of principals are in the installation's stream.

use crate::personal::Generation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Meta;
use crate::event::events;
use crate::ids::{BusinessId, ErasureId, INSTALLATION, SubjectId};

events!("privacy" {
    /// A data subject is forgotten: its keys up to a generation are destroyed, and nothing is
    /// sealed under them any more.
    SubjectForgotten = "subject_forgotten" v 1 on Erasure, Private {
        /// The data subject whose keys are destroyed.
        subject: SubjectId,
        /// The last generation of keys that is destroyed; all before it are too.
        generation: Generation,
    }
});

/// The name in the keyring of the key that signs the checkpoints of an installation.
#[must_use]
pub fn signing_key() -> SubjectId {
    SubjectId(INSTALLATION.derive_id("secret:signing"))
}

/// The name in the keyring of the secret from which a business's importers derive ids. It is
/// destroyed with the business's own keys.
#[must_use]
pub fn import_secret(business: BusinessId) -> SubjectId {
    SubjectId(business.derive_id("secret:import"))
}

/// The name in the keyring of the secret under which attempts and log lines show idempotency keys.
#[must_use]
pub fn attempts_secret() -> SubjectId {
    SubjectId(INSTALLATION.derive_id("secret:attempts"))
}

/// True if `subject` names one of the program's secrets: it is no person, and no command forgets it
/// as one.
#[must_use]
pub fn is_secret(business: BusinessId, subject: SubjectId) -> bool {
    subject == import_secret(business)
        || (business == INSTALLATION && [signing_key(), attempts_secret()].contains(&subject))
}

/// The erasure of one subject as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Erasure {
    /// The last generation of the subject's keys that is destroyed; `None` while none is.
    pub fenced: Option<Generation>,
}

impl Erasure {
    /// Folds one event in.
    pub fn evolve(&mut self, _: &Meta, event: &Event) {
        match event {
            Event::SubjectForgotten(e) => self.fenced = self.fenced.max(Some(e.generation)),
        }
    }
}

impl ErasureId {
    /// The id of the erasure of a subject in a stream.
    #[must_use]
    pub fn of(business: BusinessId, subject: SubjectId) -> Self {
        Self(business.derive_id(&format!("erasure:{subject}")))
    }
}
