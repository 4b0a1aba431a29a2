//! The named limits, and what the asker may ask in a time.

use async_graphql::SimpleObject;
use domain::access::RateProfile;
use domain::limits::{ALL, BUSINESS_COMMANDS_BURST, BUSINESS_COMMANDS_PER_SECOND};

use crate::Viewer;

/// A named limit of this installation.
#[derive(SimpleObject)]
pub(crate) struct Limit {
    /// Its name, as `minutebook limits` shows it.
    name: &'static str,
    /// How much is allowed.
    value: u64,
    /// Of what.
    unit: &'static str,
}

pub(crate) fn all() -> Vec<Limit> {
    ALL.iter().map(|(name, value, unit)| Limit { name, value: *value, unit }).collect()
}

/// How much you may ask in a time. Beyond it an answer is 429 and says when to come again; an
/// operator gives another profile with `access.set_rate_profile`.
#[derive(SimpleObject)]
pub(crate) struct RateLimits {
    /// Which rates: standard, or bulk for importers, operators and measurements.
    profile: &'static str,
    /// Commands a second.
    commands_per_second: u32,
    /// Commands at once, after a pause.
    commands_burst: u32,
    /// Commands that are under way at once.
    commands_in_flight: u32,
    /// Bytes of commands in 24 hours.
    command_bytes_per_day: u64,
    /// GraphQL queries a second.
    queries_per_second: u32,
    /// GraphQL queries at once, after a pause.
    queries_burst: u32,
    /// Commands a second in one business, of all with the profile standard; null where they are not
    /// counted.
    business_commands_per_second: Option<u32>,
    /// The same at once, after a pause.
    business_commands_burst: Option<u32>,
}

pub(crate) fn of(viewer: &Viewer) -> RateLimits {
    let profile = viewer.known.rate_profile();
    let (rates, shared) = (profile.rates(), profile == RateProfile::Standard);
    RateLimits {
        profile: profile.as_str(),
        commands_per_second: rates.commands_per_second,
        commands_burst: rates.commands_burst,
        commands_in_flight: rates.commands_in_flight,
        command_bytes_per_day: rates.command_bytes_per_day,
        queries_per_second: rates.queries_per_second,
        queries_burst: rates.queries_burst,
        business_commands_per_second: shared.then_some(BUSINESS_COMMANDS_PER_SECOND),
        business_commands_burst: shared.then_some(BUSINESS_COMMANDS_BURST),
    }
}
