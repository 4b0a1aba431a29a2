//! Privacy. Aggregate: `erasure`, what became of everything that is sealed under one data subject's
//! keys in one stream. The names of principals are in the installation's stream.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Meta;
use crate::event::events;
use crate::ids::{BusinessId, ErasureId, SubjectId};

events!("privacy" {
    /// A data subject is forgotten: nothing is sealed under these keys from here on, and they are destroyed.
    SubjectForgotten = "subject_forgotten" v 1 on Erasure, Private {
        /// Whom the destroyed keys were of.
        subject: SubjectId,
        /// The last generation of keys that is forgotten; all before it are too.
        generation: u32,
    }
});

/// The erasure of one subject as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Erasure {
    /// The last generation of the subject's keys that is forgotten; 0 while none is.
    pub fenced: u32,
}

impl Erasure {
    /// Folds one event in.
    pub fn evolve(&mut self, _: &Meta, event: &Event) {
        match event {
            Event::SubjectForgotten(e) => self.fenced = self.fenced.max(e.generation),
        }
    }
}

impl ErasureId {
    /// The id of the erasure of a subject in a stream.
    #[must_use]
    pub fn of(business: BusinessId, subject: SubjectId) -> Self {
        Self(business.name(&format!("erasure:{subject}")))
    }
}
