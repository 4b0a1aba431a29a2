//! Every named limit in one place; `minutebook limits` shows them.

/// Largest body of a command or a GraphQL request, and largest WebSocket message, in bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Largest body of a batch of commands, in bytes.
pub const BATCH_BYTES_MAX: usize = 4 << 20;
/// Most commands of a batch.
pub const BATCH_COMMANDS_MAX: usize = 500;
/// Largest body of an operator's request that brings no command, in bytes.
pub const SMALL_BODY_BYTES_MAX: usize = 64 << 10;
/// Longest time in which a body must arrive, in milliseconds.
pub const BODY_MS_MAX: u64 = 30_000;
/// Longest time in which the head of a request must arrive, in milliseconds.
pub const HEAD_MS_MAX: u64 = 5_000;
/// Largest message on a WebSocket until its client has authenticated, in bytes.
pub const INIT_BYTES_MAX: usize = 4 << 10;
/// Largest stored event, in bytes.
pub const EVENT_BYTES_MAX: usize = 1 << 20;
/// Largest append, in bytes of its events.
pub const APPEND_BYTES_MAX: usize = 4 << 20;
/// Bytes of events at which a page that is read from the log ends.
pub const PAGE_BYTES_MAX: usize = 16 << 20;
/// Most feeds that are open at once in a process.
pub const FEEDS_MAX: usize = 1_000;
/// Deepest nesting of JSON, in levels.
pub const DEPTH_MAX: usize = 64;
/// Largest page of a list, in rows.
pub const PAGE_MAX: usize = 200;
/// Rows of a page when none are asked for.
pub const PAGE_DEFAULT: usize = 50;
/// Rows of a page of a list on a row, when none are asked for.
pub const PAGE_ON_ROW_DEFAULT: usize = 10;
/// Deepest nesting of a GraphQL query, in levels.
pub const GRAPHQL_DEPTH_MAX: usize = 12;
/// Most aliases in a GraphQL query.
pub const GRAPHQL_ALIASES_MAX: usize = 200;
/// Most queries in one GraphQL request.
pub const GRAPHQL_BATCH_MAX: usize = 10;
/// Highest cost of a GraphQL query, in fields.
pub const GRAPHQL_COST_MAX: usize = 10_000;
/// Longest text of a GraphQL query, in bytes.
pub const GRAPHQL_TEXT_BYTES_MAX: usize = 64 << 10;
/// Most selections of a GraphQL query, counted with its fragments spread.
pub const GRAPHQL_SELECTIONS_MAX: usize = 10_000;
/// Largest answer to a GraphQL query, in bytes of its texts.
pub const GRAPHQL_ANSWER_BYTES_MAX: usize = 16 << 20;
/// Most bytes of events that one GraphQL answer reads from the log for its texts.
pub const GRAPHQL_LOG_BYTES_MAX: usize = 64 << 20;
/// Most reads of the views that one GraphQL query runs at once.
pub const GRAPHQL_READS_MAX: usize = 2;
/// Most GraphQL queries of one principal that run at once; further ones wait.
pub const GRAPHQL_QUERIES_PER_PRINCIPAL_MAX: usize = 4;
/// Most GraphQL queries that run at once in a process; further ones wait.
pub const GRAPHQL_QUERIES_MAX: usize = 64;
/// Most words of a search.
pub const SEARCH_WORDS_MAX: usize = 64;
/// Most proofs and verifications that run at once; each reads a whole stream.
pub const PROOFS_MAX: usize = 2;
/// Longest time that a proof may take with its wait for a place, in milliseconds.
pub const PROOF_MS_MAX: u64 = 5_000;
/// Most GraphQL operations under way on one WebSocket.
pub const GRAPHQL_OPERATIONS_MAX: usize = 100;
/// Most WebSockets that are open at once in a process.
pub const SUBSCRIBERS_MAX: usize = 5_000;
/// Most WebSockets of one principal that are open at once.
pub const SUBSCRIBERS_PER_PRINCIPAL_MAX: usize = 100;
/// Most open WebSockets whose client has not authenticated yet.
pub const STRANGERS_MAX: usize = 256;
/// Most connections of one peer to the HTTP door; a peer is an IPv4 address or a /64 of IPv6.
pub const CONNECTIONS_PER_PEER_MAX: usize = 1_024;
/// Longest time that a TLS handshake may take, in milliseconds.
pub const HANDSHAKE_MS_MAX: u64 = 3_000;
/// Most feeds of one principal that are open at once.
pub const FEEDS_PER_PRINCIPAL_MAX: usize = 20;
/// Longest time that a GraphQL query may run, in milliseconds.
pub const GRAPHQL_QUERY_MS_MAX: u64 = 2_000;
/// Longest time that a query may wait for `minPosition`, in milliseconds.
pub const MIN_POSITION_WAIT_MS_MAX: u64 = 5_000;
/// Commands a second that a principal with the rate profile `standard` may send.
pub const COMMANDS_PER_SECOND: u32 = 100;
/// Commands that a `standard` principal may send at once, after a pause.
pub const COMMANDS_BURST: u32 = 500;
/// Commands of all `standard` principals together that one business takes in a second.
pub const BUSINESS_COMMANDS_PER_SECOND: u32 = 500;
/// Commands of all `standard` principals together that one business takes at once, after a pause.
pub const BUSINESS_COMMANDS_BURST: u32 = 2_500;
/// Commands of a `standard` principal that may be under way at once.
pub const COMMANDS_IN_FLIGHT_MAX: u32 = 64;
/// Bytes of commands that a `standard` principal may send in 24 hours, counted by each process.
pub const COMMAND_BYTES_PER_DAY_MAX: u64 = 1 << 30;
/// GraphQL queries a second that a `standard` principal may send.
pub const QUERIES_PER_SECOND: u32 = 20;
/// GraphQL queries that a `standard` principal may send at once, after a pause.
pub const QUERIES_BURST: u32 = 100;
/// Commands a second that a principal with the rate profile `bulk` may send.
pub const BULK_COMMANDS_PER_SECOND: u32 = 50_000;
/// Commands that a `bulk` principal may send at once, after a pause.
pub const BULK_COMMANDS_BURST: u32 = 500_000;
/// Commands of a `bulk` principal that may be under way at once.
pub const BULK_COMMANDS_IN_FLIGHT_MAX: u32 = 10_000;
/// Bytes of commands that a `bulk` principal may send in 24 hours, counted by each process.
pub const BULK_COMMAND_BYTES_PER_DAY_MAX: u64 = 1 << 40;
/// GraphQL queries a second that a `bulk` principal may send.
pub const BULK_QUERIES_PER_SECOND: u32 = 5_000;
/// GraphQL queries that a `bulk` principal may send at once, after a pause.
pub const BULK_QUERIES_BURST: u32 = 50_000;
/// Longest time that a command may take, in milliseconds; beyond it the outcome is unknown.
pub const COMMAND_MS_MAX: u64 = 10_000;
/// Longest time that a reader waits for the store of log and keys, in milliseconds.
pub const STORE_ANSWER_MS_MAX: u64 = 2_000;
/// How long the store may be silent before the process says that it is not ready, in milliseconds.
pub const STORE_SILENT_MS_MAX: u64 = 5_000;
/// Oldest keys and roles by which views are read while the store is silent, in milliseconds.
pub const DIRECTORY_AGE_MS_MAX: u64 = 300_000;
/// How far the server's clock may be behind the newest event of the log, in milliseconds.
pub const CLOCK_BEHIND_MS_MAX: u64 = 2_000;
/// How far the server's clock may differ from the store's, in milliseconds.
pub const CLOCK_DIFFERS_MS_MAX: u64 = 250;
/// How far the server's clock may jump against the elapsed time, in milliseconds.
pub const CLOCK_JUMP_MS_MAX: u64 = 2_000;
/// Most commands that wait in the command bus, and most appends or attempts that wait for a writer.
pub const QUEUE_MAX: usize = 10_000;
/// Most decisions of one command while other processes change what it reads.
pub const CONFLICT_TRIES_MAX: u32 = 3;
/// Most folded aggregates that a lane with nothing in flight keeps in its cache.
pub const LANE_AGGREGATES_MAX: usize = 50_000;
/// Longest idempotency key, in characters.
pub const KEY_CHARS_MAX: usize = 200;
/// Longest idea of a business, in characters.
pub const IDEA_CHARS_MAX: usize = 100_000;
/// Businesses that a human who is no operator may register in 24 hours, unless the setting
/// `registrations_per_day` says otherwise.
pub const REGISTRATIONS_PER_DAY_MAX: u32 = 5;
/// Most `accepted` attempts that are kept of one business; as many others are kept too.
pub const ATTEMPTS_PER_BUSINESS_MAX: usize = 200_000;
/// Most attempts not `accepted` that are kept of one principal in one business, newest first.
pub const ATTEMPTS_PER_PRINCIPAL_MAX: usize = 10_000;
/// Most events that the projections apply in one transaction.
pub const PROJECTION_BATCH_MAX: usize = 5_000;
/// Most records of an import that are under way at once.
pub const IMPORT_RECORDS_MAX: usize = 16;
/// Largest record of an import, in bytes.
pub const IMPORT_RECORD_BYTES_MAX: usize = 16 << 20;
/// Most records of one principal imported at once through the HTTP door; further ones wait.
pub const IMPORTS_PER_PRINCIPAL_MAX: usize = 2;
/// Most records that are imported at once through the HTTP door; further ones wait.
pub const IMPORTS_MAX: usize = 4;
/// Most values in one JSON record of an import.
pub const IMPORT_RECORD_VALUES_MAX: usize = 250_000;
/// Bytes of records at which an import begins no further one before those under way have ended.
pub const IMPORT_WAVE_BYTES_MAX: usize = 4 << 20;
/// Most cases of one CSV file, and most names of cases of an XES file that are told apart.
pub const IMPORT_CASES_MAX: usize = 500_000;
/// Most rows of one CSV file; all of them are remembered, to tell equal ones apart.
pub const IMPORT_ROWS_MAX: usize = 5_000_000;

/// Largest body that does not count against the bytes of larger bodies, in bytes.
pub const BODY_BYTES_SMALL: usize = 16 << 10;
/// Most bytes of larger bodies of one principal that are read at once.
pub const BODIES_BYTES_PER_PRINCIPAL_MAX: usize = 8 << 20;
/// Most bytes of larger bodies of all principals together that are read at once.
pub const BODIES_BYTES_MAX: usize = 256 << 20;

/// Name, value and unit of each limit, for people.
pub const ALL: &[(&str, u64, &str)] = &[
    ("body", BODY_BYTES_MAX as u64, "bytes"),
    ("body of a batch", BATCH_BYTES_MAX as u64, "bytes"),
    ("batch", BATCH_COMMANDS_MAX as u64, "commands"),
    ("small body", SMALL_BODY_BYTES_MAX as u64, "bytes, where no command comes"),
    ("body time", BODY_MS_MAX, "ms"),
    ("body without room of its own", BODY_BYTES_SMALL as u64, "bytes"),
    ("bodies of a principal", BODIES_BYTES_PER_PRINCIPAL_MAX as u64, "bytes on their way in"),
    ("bodies", BODIES_BYTES_MAX as u64, "bytes on their way in"),
    ("head time", HEAD_MS_MAX, "ms"),
    ("first message", INIT_BYTES_MAX as u64, "bytes, on a WebSocket"),
    ("event", EVENT_BYTES_MAX as u64, "bytes"),
    ("append", APPEND_BYTES_MAX as u64, "bytes"),
    ("depth", DEPTH_MAX as u64, "levels of JSON"),
    ("page", PAGE_MAX as u64, "rows"),
    ("page default", PAGE_DEFAULT as u64, "rows"),
    ("page on a row, default", PAGE_ON_ROW_DEFAULT as u64, "rows"),
    ("graphql depth", GRAPHQL_DEPTH_MAX as u64, "levels"),
    ("graphql aliases", GRAPHQL_ALIASES_MAX as u64, "a query"),
    ("graphql batch", GRAPHQL_BATCH_MAX as u64, "queries"),
    ("graphql cost", GRAPHQL_COST_MAX as u64, "fields"),
    ("graphql text", GRAPHQL_TEXT_BYTES_MAX as u64, "bytes"),
    ("graphql selections", GRAPHQL_SELECTIONS_MAX as u64, "a query, fragments spread"),
    ("graphql answer", GRAPHQL_ANSWER_BYTES_MAX as u64, "bytes of texts"),
    ("events read for an answer", GRAPHQL_LOG_BYTES_MAX as u64, "bytes of the log"),
    ("graphql reads at once", GRAPHQL_READS_MAX as u64, "a query"),
    ("graphql queries of a principal", GRAPHQL_QUERIES_PER_PRINCIPAL_MAX as u64, "at once"),
    ("graphql queries", GRAPHQL_QUERIES_MAX as u64, "at once"),
    ("search", SEARCH_WORDS_MAX as u64, "words"),
    ("proofs", PROOFS_MAX as u64, "at once"),
    ("proof time", PROOF_MS_MAX, "ms"),
    ("graphql operations", GRAPHQL_OPERATIONS_MAX as u64, "a WebSocket"),
    ("subscribers", SUBSCRIBERS_MAX as u64, "WebSockets"),
    ("subscribers of a principal", SUBSCRIBERS_PER_PRINCIPAL_MAX as u64, "WebSockets"),
    ("strangers", STRANGERS_MAX as u64, "WebSockets without a key"),
    ("connections of a peer", CONNECTIONS_PER_PEER_MAX as u64, "to the HTTP door"),
    ("handshake time", HANDSHAKE_MS_MAX, "ms"),
    ("feeds", FEEDS_MAX as u64, "open"),
    ("feeds of a principal", FEEDS_PER_PRINCIPAL_MAX as u64, "open"),
    ("graphql time", GRAPHQL_QUERY_MS_MAX, "ms"),
    ("min position wait", MIN_POSITION_WAIT_MS_MAX, "ms"),
    ("commands", COMMANDS_PER_SECOND as u64, "a second and principal"),
    ("commands burst", COMMANDS_BURST as u64, "at once of a principal"),
    ("commands of a business", BUSINESS_COMMANDS_PER_SECOND as u64, "a second"),
    ("commands burst of a business", BUSINESS_COMMANDS_BURST as u64, "at once"),
    ("commands in flight", COMMANDS_IN_FLIGHT_MAX as u64, "of a principal"),
    ("command bytes", COMMAND_BYTES_PER_DAY_MAX, "in 24 hours of a principal"),
    ("graphql rate", QUERIES_PER_SECOND as u64, "queries a second and principal"),
    ("graphql burst", QUERIES_BURST as u64, "queries at once of a principal"),
    ("bulk commands", BULK_COMMANDS_PER_SECOND as u64, "a second and principal"),
    ("bulk commands burst", BULK_COMMANDS_BURST as u64, "at once of a principal"),
    ("bulk commands in flight", BULK_COMMANDS_IN_FLIGHT_MAX as u64, "of a principal"),
    ("bulk command bytes", BULK_COMMAND_BYTES_PER_DAY_MAX, "in 24 hours of a principal"),
    ("bulk graphql rate", BULK_QUERIES_PER_SECOND as u64, "queries a second and principal"),
    ("bulk graphql burst", BULK_QUERIES_BURST as u64, "queries at once of a principal"),
    ("command time", COMMAND_MS_MAX, "ms"),
    ("store answer", STORE_ANSWER_MS_MAX, "ms, for readers"),
    ("store silence", STORE_SILENT_MS_MAX, "ms, then not ready"),
    ("age of keys and roles", DIRECTORY_AGE_MS_MAX, "ms, for readers while the store says nothing"),
    ("clock behind", CLOCK_BEHIND_MS_MAX, "ms, behind the newest event"),
    ("clock difference", CLOCK_DIFFERS_MS_MAX, "ms, from the store's"),
    ("clock jump", CLOCK_JUMP_MS_MAX, "ms"),
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
    (
        "imports of a principal",
        IMPORTS_PER_PRINCIPAL_MAX as u64,
        "records at once, through the HTTP door",
    ),
    ("imports", IMPORTS_MAX as u64, "records at once, through the HTTP door"),
    ("import record values", IMPORT_RECORD_VALUES_MAX as u64, "of JSON"),
    ("import under way", IMPORT_WAVE_BYTES_MAX as u64, "bytes, then one more record"),
    ("import cases", IMPORT_CASES_MAX as u64, "a CSV file"),
    ("import rows", IMPORT_ROWS_MAX as u64, "a CSV file"),
];
