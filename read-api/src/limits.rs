//! The named limits, and the rate limits of the caller.

use async_graphql::{Context, Object, Result, SimpleObject};
use domain::access::RateProfile as Profile;
use domain::limits::{ALL, BUSINESS_COMMANDS_BURST, BUSINESS_COMMANDS_PER_SECOND};

use crate::Viewer;
use crate::closed_sets::{EnumValue, RateProfile};

/// A named limit of this installation.
#[derive(SimpleObject)]
struct Limit {
    /// Name of the limit, as `minutebook limits` shows it.
    name: &'static str,
    /// The largest allowed value.
    value: u64,
    /// Unit of the value.
    unit: &'static str,
}

fn all() -> Vec<Limit> {
    ALL.iter().map(|(name, value, unit)| Limit { name, value: *value, unit }).collect()
}

/// Your rate limits. A request above them is answered with 429 and says when to try again; an
/// operator gives another profile with `access.set_rate_profile`.
#[derive(SimpleObject)]
struct RateLimits {
    /// The rate profile.
    profile: RateProfile,
    /// Commands that you may send per second.
    commands_per_second: u32,
    /// Commands that you may send at once after a pause.
    commands_burst: u32,
    /// Commands of yours that may be in progress at once.
    commands_in_flight: u32,
    /// Bytes of commands that you may send in 24 hours.
    command_bytes_per_day: u64,
    /// GraphQL queries that you may send per second.
    queries_per_second: u32,
    /// GraphQL queries that you may send at once after a pause.
    queries_burst: u32,
    /// Commands per second to one business, of all senders with the profile standard together; null
    /// if yours do not count.
    business_commands_per_second: Option<u32>,
    /// Commands to one business at once after a pause, of the same senders; null if yours do not
    /// count.
    business_commands_burst: Option<u32>,
}

fn of(viewer: &Viewer) -> RateLimits {
    let profile = viewer.known.rate_profile();
    let (rates, shared) = (profile.rates(), profile == Profile::Standard);
    RateLimits {
        profile: EnumValue(profile),
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

/// The part of the queries that is about limits.
#[derive(Default)]
pub(crate) struct LimitsQuery;

/// The part of the queries that is about limits.
#[Object]
impl LimitsQuery {
    /// Every named limit of this installation.
    async fn limits(&self) -> Vec<Limit> {
        all()
    }

    /// Your rate limits: how many commands and queries you may send.
    async fn rate_limits(&self, ctx: &Context<'_>) -> Result<RateLimits> {
        Ok(of(ctx.data::<Viewer>()?))
    }
}
