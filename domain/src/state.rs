//! The state of any aggregate: what its events fold into.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{EventId, Kind, PrincipalId};
use crate::values::Timestamp;
use crate::{Event, with_aggregates};

/// What the envelope of an event says of who made it and when: rules compare it, so that no event
/// has to repeat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The event's id.
    pub event_id: EventId,
    /// The correlation id that the event shares with related events.
    pub correlation: Uuid,
    /// The principal that authenticated and sent the command.
    pub actor: PrincipalId,
    /// The principal in whose name the actor sent the command; `None` = the actor's own.
    pub on_behalf_of: Option<PrincipalId>,
    /// When the event was recorded, by the server's clock.
    pub recorded_at: Timestamp,
}

/// Gives each kind its state and the context whose events it folds.
macro_rules! states {
    ($($(#[$doc:meta])* $kind:ident = $name:literal: $id:ident =>
        $module:ident::$state:ident of $context:ident,)*) => {
        /// The folded state of one aggregate, by its kind.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub enum State {
            $($(#[$doc])* $kind(crate::$module::$state),)*
        }
        impl State {
            /// The state before the first event.
            #[must_use]
            pub fn empty(kind: Kind) -> Self {
                match kind { $(Kind::$kind => Self::$kind(crate::$module::$state::default()),)* }
            }

            /// Folds one event in; an event of another context changes nothing.
            pub fn evolve(&mut self, meta: &Meta, event: &Event) {
                match self { $(Self::$kind(state) =>
                    if let Event::$context(e) = event { state.evolve(meta, e) },)* }
            }
        }
    };
}
with_aggregates!(states);

/// The id of an aggregate, which says what state that aggregate folds into.
pub trait AggregateId: Copy + Into<crate::AggregateRef> {
    /// The state that the aggregate's events fold into.
    type State: Default;

    /// The state inside `state`; `None` if that is the state of another kind of aggregate.
    fn state_in(state: &State) -> Option<&Self::State>;
}

/// Says for each type of id which state its aggregate folds into.
macro_rules! ids_of_states {
    ($($(#[$doc:meta])* $kind:ident = $name:literal: $id:ident =>
        $module:ident::$state:ident of $context:ident,)*) => {$(
        impl AggregateId for crate::ids::$id {
            type State = crate::$module::$state;
            #[allow(clippy::wildcard_enum_match_arm, reason = "a look-up by kind finds that kind \
                or nothing")]
            fn state_in(state: &State) -> Option<&crate::$module::$state> {
                match state {
                    State::$kind(state) => Some(state),
                    _ => None,
                }
            }
        }
    )*};
}
with_aggregates!(ids_of_states);
