//! Every named limit in one place; `minutebook limits` shows them.

/// Largest request body, in bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Largest stored event, in bytes.
pub const EVENT_BYTES_MAX: usize = 1 << 20;
/// Largest append, in bytes of its events.
pub const APPEND_BYTES_MAX: usize = 4 << 20;
/// What is read of the log at once, in bytes of its events, unless one event alone has more.
pub const PAGE_BYTES_MAX: usize = 16 << 20;
/// Feeds that are open.
pub const FEEDS_MAX: usize = 1_000;
/// Deepest JSON.
pub const DEPTH_MAX: usize = 64;
/// Largest page.
pub const PAGE_MAX: usize = 200;
/// Page when none is asked for.
pub const PAGE_DEFAULT: usize = 50;
/// Deepest GraphQL query.
pub const GRAPHQL_DEPTH_MAX: usize = 12;
/// Most aliases in a GraphQL query.
pub const GRAPHQL_ALIASES_MAX: usize = 200;
/// Most queries in one GraphQL request.
pub const GRAPHQL_BATCH_MAX: usize = 10;
/// Highest cost of a GraphQL query.
pub const GRAPHQL_COST_MAX: usize = 10_000;
/// Most operations under way on one WebSocket.
pub const GRAPHQL_OPERATIONS_MAX: usize = 100;
/// Most WebSockets that are open.
pub const SUBSCRIBERS_MAX: usize = 5_000;
/// Longest that a GraphQL query runs, in milliseconds.
pub const GRAPHQL_QUERY_MS_MAX: u64 = 2_000;
/// Longest that a query waits for `minPosition`, in milliseconds.
pub const MIN_POSITION_WAIT_MS_MAX: u64 = 5_000;
/// Commands that wait in the desk's lanes, and appends that wait for the writer.
pub const QUEUE_MAX: usize = 10_000;
/// Tries at a command whose reads another process changed.
pub const CONFLICT_TRIES_MAX: u32 = 3;
/// Folded aggregates that one lane remembers.
pub const LANE_AGGREGATES_MAX: usize = 50_000;
/// Longest idempotency key, in characters.
pub const KEY_CHARS_MAX: usize = 200;
/// Longest idea of a business, in characters.
pub const IDEA_CHARS_MAX: usize = 100_000;
/// Businesses that a human without a role may register in 24 hours, unless the operator says otherwise.
pub const REGISTRATIONS_PER_DAY_MAX: u32 = 5;
/// Attempts that are kept of one business, newest first.
pub const ATTEMPTS_PER_BUSINESS_MAX: usize = 200_000;
/// Refused attempts that are kept of one principal in one business, newest first.
pub const ATTEMPTS_PER_PRINCIPAL_MAX: usize = 10_000;
/// Events that a projection applies in one transaction.
pub const PROJECTION_BATCH_MAX: usize = 500;
/// Records of an import that are under way at once.
pub const IMPORT_RECORDS_MAX: usize = 16;
/// Largest record of an import, in bytes.
pub const IMPORT_RECORD_BYTES_MAX: usize = 16 << 20;

/// Name, value and unit of each, for people.
pub const ALL: &[(&str, u64, &str)] = &[
    ("body", BODY_BYTES_MAX as u64, "bytes"),
    ("event", EVENT_BYTES_MAX as u64, "bytes"),
    ("append", APPEND_BYTES_MAX as u64, "bytes"),
    ("depth", DEPTH_MAX as u64, "levels of JSON"),
    ("page", PAGE_MAX as u64, "rows"),
    ("page default", PAGE_DEFAULT as u64, "rows"),
    ("graphql depth", GRAPHQL_DEPTH_MAX as u64, "levels"),
    ("graphql aliases", GRAPHQL_ALIASES_MAX as u64, "a query"),
    ("graphql batch", GRAPHQL_BATCH_MAX as u64, "queries"),
    ("graphql cost", GRAPHQL_COST_MAX as u64, "fields"),
    ("graphql operations", GRAPHQL_OPERATIONS_MAX as u64, "a WebSocket"),
    ("subscribers", SUBSCRIBERS_MAX as u64, "WebSockets"),
    ("graphql time", GRAPHQL_QUERY_MS_MAX, "ms"),
    ("min position wait", MIN_POSITION_WAIT_MS_MAX, "ms"),
    ("queue", QUEUE_MAX as u64, "commands"),
    ("conflict tries", CONFLICT_TRIES_MAX as u64, "a command"),
    ("lane cache", LANE_AGGREGATES_MAX as u64, "aggregates"),
    ("idempotency key", KEY_CHARS_MAX as u64, "characters"),
    ("idea of a business", IDEA_CHARS_MAX as u64, "characters"),
    ("registrations without a role", REGISTRATIONS_PER_DAY_MAX as u64, "a day"),
    ("attempts kept", ATTEMPTS_PER_BUSINESS_MAX as u64, "a business"),
    ("refused attempts kept", ATTEMPTS_PER_PRINCIPAL_MAX as u64, "a principal and business"),
    ("projection batch", PROJECTION_BATCH_MAX as u64, "events"),
    ("import in flight", IMPORT_RECORDS_MAX as u64, "records"),
    ("import record", IMPORT_RECORD_BYTES_MAX as u64, "bytes"),
];
