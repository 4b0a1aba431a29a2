//! Process logs in any file format: each case becomes a task, each event an activity with its
//! lifecycle, resource and time as the file has them; attributes keep their order. The log's header
//! is recorded once.

use commands::{CommandError, Receipt};
use domain::Timestamp;
use domain::ids::HistoryId;
use domain::tasks::Attribute;
use event_log::chain;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::session::{ImportCommand, Run, Session, name, time};
use super::{Counts, fields};

/// A piece of a process log: one record of an import.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// The header of the log.
    Header {
        /// Name of the log, taken from its file.
        log: String,
        /// JSON of the whole header.
        header: String,
    },
    /// Events of one case, in their order.
    Case(Case),
}

/// Some or all events of a case.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Case {
    /// Name of the log.
    pub log: String,
    /// Name of the case in the log.
    pub case: String,
    /// How many cases with the same name came before it in the log; each is a case of its own.
    #[serde(default)]
    pub again: u32,
    /// Number of the case in the log: 1, 2, 3 …
    pub place: u32,
    /// True if the case's first event is among these.
    pub first: bool,
    /// The events, in their order.
    pub events: Vec<Happened>,
    /// Attributes of the case itself, in the order of the log.
    pub attributes: Vec<Attribute>,
    /// True if the case's last event is among these.
    pub last: bool,
    /// When the case began, as the file has it; `None` unless the whole case is known.
    pub began: Option<String>,
    /// When the case ended, as the file has it; `None` if not known.
    pub ended: Option<String>,
}

/// An event of a case.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Happened {
    /// Number of the event in its case: 0, 1, 2 …; events that could not be read are counted too.
    pub n: u64,
    /// Identity of the event in its case, independent of what stands before it in the file; `None`
    /// = its number is its identity.
    #[serde(default)]
    pub row: Option<String>,
    /// Name of the activity.
    pub activity: String,
    /// Step of the activity, such as `start` or `complete`; `None` = not stated.
    pub lifecycle: Option<String>,
    /// Name of who did the activity; `None` = not stated.
    pub resource: Option<String>,
    /// When the activity happened, as the file has it; `None` = not stated.
    pub time: Option<String>,
    /// Everything that the file says of the event, in its order.
    pub attributes: Vec<Attribute>,
}

/// Why an event can't be imported.
pub(super) struct Fault {
    pub(super) why: String,
    /// True if the event only lacks a value, so that `--allow-missing` accepts it.
    pub(super) is_missing: bool,
}

/// The fault of an event; `None` if it can be imported.
pub(super) fn fault_of(event: &Happened) -> Option<Fault> {
    let missing = |what: &str| {
        Some(Fault {
            why: format!("it has no {what}; --allow-missing takes it without"),
            is_missing: true,
        })
    };
    match &event.time {
        _ if event.activity.trim().is_empty() => missing("activity"),
        None => missing("time"),
        Some(text) if time(text).is_none() => Some(Fault {
            why: format!(
                "`{text}` is no time; write it as 2026-11-22T20:00:00+01:00, or without an offset \
                 for UTC"
            ),
            is_missing: false,
        }),
        Some(_) => None,
    }
}

/// Size of the parts of a header that is too large for one event, in bytes.
const HEADER_PART_BYTES: usize = 256 << 10;

/// Splits a text into parts of at most `most` bytes, between characters.
fn parts(mut text: &str, most: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    while text.len() > most {
        let at = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let (part, rest) = text.split_at(at);
        parts.push(part);
        text = rest;
    }
    parts.push(text);
    parts
}

/// Imports one piece.
///
/// # Errors
/// A sentence that says what is wrong with the piece.
pub(crate) async fn record(session: &Session, bytes: &[u8]) -> Result<Counts, String> {
    match parse(bytes)? {
        Piece::Header { log, header } => {
            let earlier =
                HistoryId(session.business.derive_id(&format!("{}:log:{log}", session.format)));
            let mut run = session.run_of(&format!("{log}/header"), earlier.into()).await?;
            let rehearsal = put_header(session, &mut run, &log, &header).await;
            let mut run = run.rehearsed(rehearsal)?;
            let result = put_header(session, &mut run, &log, &header).await;
            run.end(result)
        }
        Piece::Case(case) => {
            let again = if case.again == 0 { String::new() } else { format!("\n{}", case.again) };
            let mut run = session.run(&format!("{}/{}{again}", case.log, case.case)).await?;
            let history = session.history(&case.log).await.map_err(|e| chain(&e).to_string())?;
            let rehearsal = events(&mut run, &case, history).await;
            let mut run = run.rehearsed(rehearsal)?;
            let result = events(&mut run, &case, history).await;
            run.end(result)
        }
    }
}

/// Records the header of a log; if it is too large for one event, in parts, each a history of its
/// own.
async fn put_header(
    session: &Session,
    run: &mut Run<'_>,
    log: &str,
    header: &str,
) -> Result<(), CommandError> {
    let history = session.history(log).await?;
    let data = json!({"format": session.format, "header": header});
    match run.send("open", "tasks.open_history", history.0, data).await {
        Err(CommandError::TooLarge(_)) => {}
        Ok(_) => return Ok(()),
        Err(e) => return Err(e),
    }
    for (n, part) in parts(header, HEADER_PART_BYTES).into_iter().enumerate() {
        let (key, history) = match n {
            0 => ("open".to_owned(), history),
            n => (format!("open/{n}"), session.history(&format!("{log}\nheader {n}")).await?),
        };
        run.send(
            &key,
            "tasks.open_history",
            history.0,
            json!({"format": session.format, "header": part}),
        )
        .await?;
    }
    Ok(())
}

/// Parses a record completely, and changes nothing.
pub(super) fn parse(bytes: &[u8]) -> Result<Piece, String> {
    let piece =
        serde_json::from_slice(bytes).map_err(|e| format!("no piece of a process log: {e}"))?;
    if let Piece::Case(case) = &piece
        && let Some(fault) = case.events.iter().filter_map(fault_of).find(|fault| !fault.is_missing)
    {
        return Err(format!("case `{}`: {}", case.case, fault.why));
    }
    Ok(piece)
}

/// By how many places a row may have moved since an earlier version identified it by its number: as
/// many rows may have been unreadable then.
const MOVED_MAX: u64 = 16;

/// True if an earlier version imported these rows, which it identified by their numbers.
async fn is_known_by_number(run: &Run<'_>, case: &Case) -> Result<bool, CommandError> {
    let ends = [case.events.first(), case.events.last()]
        .into_iter()
        .flatten()
        .filter(|event| event.row.is_some());
    for event in ends {
        if run.was_sent(&event.n.to_string()).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The receipt of a row that an earlier version imported under its number, if it is the same row.
async fn taken_by_number(
    run: &mut Run<'_>,
    event: &Happened,
    data: &Value,
    at: Option<Timestamp>,
) -> Result<Option<Receipt>, CommandError> {
    for n in (event.n.saturating_sub(MOVED_MAX)..=event.n).rev() {
        let part = n.to_string();
        if !run.was_sent(&part).await? {
            continue;
        }
        let step =
            ImportCommand::new(&part, "tasks.record_activity", run.task, data.clone()).at(at);
        match run.step(step).await {
            Ok(receipt) => return Ok(Some(receipt)),
            // Another row had that number.
            Err(CommandError::KeyReused(_)) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}

async fn plan(run: &mut Run<'_>, case: &Case) -> Result<(), CommandError> {
    let title = if case.case.is_empty() { "(no name)" } else { &case.case };
    // At once, so that cases stand in the order of the log.
    run.step(
        ImportCommand::new(
            "plan",
            "tasks.plan",
            run.task,
            json!({"title": title, "team": "operations"}),
        )
        .at(case.began.as_deref().and_then(time)),
    )
    .await?;
    run.counts.source("cases", 1);
    Ok(())
}

async fn close(run: &mut Run<'_>, case: &Case, history: HistoryId) -> Result<(), CommandError> {
    let attributes = (!case.attributes.is_empty()).then(|| json!(case.attributes));
    let data = fields([
        ("completed", Some(true.into())),
        ("history", Some(json!(history))),
        ("place", Some(case.place.into())),
        ("attributes", attributes),
    ]);
    let close = ImportCommand::new("close", "tasks.close_history", run.task, data)
        .at(case.ended.as_deref().and_then(time));
    match run.step(close).await {
        // Its rows have grown since it was closed; what the log says of the case itself has not.
        Err(CommandError::KeyReused(_)) if case.attributes.is_empty() => Ok(()),
        Err(e) => Err(e),
        Ok(_) => Ok(()),
    }
}

async fn events(run: &mut Run<'_>, case: &Case, history: HistoryId) -> Result<(), CommandError> {
    if case.first {
        plan(run, case).await?;
    }
    let by_number = is_known_by_number(run, case).await?;
    for event in &case.events {
        let resource = match &event.resource {
            Some(resource) => Some(run.principal(resource).await?),
            None => None,
        };
        let data = fields([
            ("activity", Some(name(&event.activity).into())),
            ("lifecycle", event.lifecycle.as_deref().map(|l| name(l).into())),
            ("resource", resource.map(|r| json!(r))),
            ("source_time", event.time.as_deref().map(|t| name(t).into())),
            ("attributes", Some(serde_json::to_value(&event.attributes).unwrap_or_default())),
            ("clear", Some(json!(run.session.settings.clear))),
        ]);
        let at = event.time.as_deref().and_then(time);
        let earlier = if by_number { taken_by_number(run, event, &data, at).await? } else { None };
        if earlier.is_none() {
            let part = event.row.as_deref().map_or_else(
                || event.n.to_string(),
                |row| format!("row:{}", run.session.hashed(row)),
            );
            run.later(ImportCommand::new(&part, "tasks.record_activity", run.task, data).at(at))
                .await?;
        }
        run.counts.source("events", 1);
        run.counts.activity_names.insert(name(&event.activity));
    }
    run.send_waiting().await?;
    if case.last { close(run, case, history).await } else { Ok(()) }
}

/// Value of a case's or an event's attribute with this key; `None` if it has none.
#[must_use]
pub fn value_of(attributes: &[Attribute], key: &str) -> Option<String> {
    attributes.iter().find(|a| a.key == key).map(|a| a.value.clone()).filter(|v| !v.is_empty())
}

/// The bytes of a record that holds a piece.
#[must_use]
pub fn bytes(piece: &Piece) -> Vec<u8> {
    serde_json::to_vec(piece).unwrap_or_else(|_| Value::Null.to_string().into_bytes())
}
