//! How much a principal may ask in a time, by the name of its rate profile.

use crate::access::{Principal, RateProfile};
use crate::limits;

/// What a rate profile allows one principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Commands a second that the principal may send.
    pub commands_per_second: u32,
    /// Commands that the principal may send at once, after a pause.
    pub commands_burst: u32,
    /// Commands of the principal that may be under way at once.
    pub commands_in_flight: u32,
    /// Bytes of commands that the principal may send in 24 hours, counted by each process.
    pub command_bytes_per_day: u64,
    /// GraphQL queries a second that the principal may send.
    pub queries_per_second: u32,
    /// GraphQL queries that the principal may send at once, after a pause.
    pub queries_burst: u32,
}

impl RateProfile {
    /// The rates that the profile allows one principal.
    #[must_use]
    pub const fn rates(self) -> Rates {
        match self {
            Self::Standard => Rates {
                commands_per_second: limits::COMMANDS_PER_SECOND,
                commands_burst: limits::COMMANDS_BURST,
                commands_in_flight: limits::COMMANDS_IN_FLIGHT_MAX,
                command_bytes_per_day: limits::COMMAND_BYTES_PER_DAY_MAX,
                queries_per_second: limits::QUERIES_PER_SECOND,
                queries_burst: limits::QUERIES_BURST,
            },
            Self::Bulk => Rates {
                commands_per_second: limits::BULK_COMMANDS_PER_SECOND,
                commands_burst: limits::BULK_COMMANDS_BURST,
                commands_in_flight: limits::BULK_COMMANDS_IN_FLIGHT_MAX,
                command_bytes_per_day: limits::BULK_COMMAND_BYTES_PER_DAY_MAX,
                queries_per_second: limits::BULK_QUERIES_PER_SECOND,
                queries_burst: limits::BULK_QUERIES_BURST,
            },
        }
    }
}

impl Principal {
    /// The principal's rate profile: what an operator set, else `bulk` for operators and `standard`
    /// for all others.
    #[must_use]
    pub fn rate_profile(&self) -> RateProfile {
        self.rate_profile_set.unwrap_or(if self.operator {
            RateProfile::Bulk
        } else {
            RateProfile::Standard
        })
    }
}
