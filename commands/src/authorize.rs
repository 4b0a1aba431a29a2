//! Authorisation: a command's declaration names its senders, and every other sender is refused.

use std::collections::BTreeSet;

use domain::access::{Principal, PrincipalKind, RateProfile};
use domain::ids::INSTALLATION;
use domain::values::Role;
use domain::{BusinessId, PrincipalId};

use crate::command::CommandError;
use crate::registry::{CommandType, Stream};

/// A principal that sends commands, with its roles in one business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The principal that authenticated.
    pub principal: PrincipalId,
    /// Kind of the principal.
    pub kind: PrincipalKind,
    /// True if the principal is an operator of the installation.
    pub operator: bool,
    /// True for an importer in this process, which records the past. No API sets this field, so no
    /// key can have it.
    pub historic: bool,
    /// True if this process records again the forgettings that a restored log has lost: no approval
    /// rule applies to them. No API sets this field.
    pub restores: bool,
    /// Rate profile of the principal, which sets its rate limits.
    pub rate_profile: RateProfile,
    /// Roles of the principal in the business.
    pub roles: BTreeSet<Role>,
}

impl Actor {
    /// A principal as it stands in one business; `None` for one that was never added.
    #[must_use]
    pub fn of(principal: PrincipalId, state: &Principal, business: BusinessId) -> Option<Self> {
        let roles = state.roles.get(&business).cloned().unwrap_or_default();
        Some(Self {
            principal,
            kind: state.kind?,
            operator: state.operator,
            historic: false,
            restores: false,
            rate_profile: state.rate_profile(),
            roles,
        })
    }

    /// True if the actor may know that the business exists.
    #[must_use]
    pub fn may_see(&self) -> bool {
        self.operator || !self.roles.is_empty()
    }
}

/// Checks whether the actor may send the command to the stream.
///
/// # Errors
/// In this order: [`CommandError::NotFound`] when the actor may not know that the business exists;
/// [`CommandError::Forbidden`] when the command's declaration does not name the sender;
/// [`CommandError::Malformed`] when the command was sent to the door of the other stream.
pub fn authorize(
    actor: &Actor,
    business: BusinessId,
    command: &CommandType,
) -> Result<(), CommandError> {
    // A business opens its own stream, so its registration may be sent to either.
    let registers = command.name == "businesses.register";
    if business != INSTALLATION && !registers && !actor.may_see() {
        return Err(CommandError::NotFound(business));
    }
    if !command.is_allowed_to(actor) {
        let instead = match command.stream {
            Stream::Installation => "an operator of this installation may do it",
            Stream::Business => "ask an operator for a role that may send it",
        };
        return Err(CommandError::Forbidden { what: command.name.to_owned(), instead });
    }
    match (command.stream, business == INSTALLATION) {
        (Stream::Installation, false) => Err(CommandError::Malformed(format!(
            "{} is for the installation; send it to /v1/commands",
            command.name
        ))),
        (Stream::Business, true) if !registers => Err(CommandError::Malformed(format!(
            "{} is for one business; send it to /v1/businesses/<business>/commands",
            command.name
        ))),
        (Stream::Installation, true) | (Stream::Business, _) => Ok(()),
    }
}
