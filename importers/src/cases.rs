//! Process logs, whatever file they came in: a task a case, every event an activity with its
//! lifecycle, its resource and the time as it was written; attributes in their order. What the log
//! says of itself is on record once.

use commands::{CommandError, Receipt};
use domain::Timestamp;
use domain::ids::HistoryId;
use domain::tasks::Attribute;
use event_log::chain;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::session::{ImportCommand, Run, Session, name, time};
use super::{Counts, fields};

/// A piece of a process log, as it goes to whoever takes it in.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// What the log says of itself.
    Header {
        /// Name of the log: its file.
        log: String,
        /// JSON of everything in the header.
        header: String,
    },
    /// Events of a case, in their order.
    Case(Case),
}

/// Events of a case.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Case {
    /// Name of the log.
    pub log: String,
    /// Name of the case in it.
    pub case: String,
    /// How many cases of that name came before it in the log: each is a case of its own.
    #[serde(default)]
    pub again: u32,
    /// The case's place in the log: 1, 2, 3 …
    pub place: u32,
    /// Whether these are its first ones.
    pub first: bool,
    /// Its events.
    pub events: Vec<Happened>,
    /// What the log says of the case.
    pub attributes: Vec<Attribute>,
    /// Whether these are its last ones.
    pub last: bool,
    /// When it began, where the whole case is known, as it was written.
    pub began: Option<String>,
    /// When it ended, as it was written.
    pub ended: Option<String>,
}

/// An event of a case.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Happened {
    /// Its number in its case: 0, 1, 2 …; what could not be read has one too.
    pub n: u64,
    /// What it is known by in its case, whatever stands before it in the file; none = by its
    /// number.
    #[serde(default)]
    pub row: Option<String>,
    /// What was done.
    pub activity: String,
    /// Which step of doing it.
    pub lifecycle: Option<String>,
    /// Who did it; none = a system.
    pub resource: Option<String>,
    /// When, as it was written.
    pub time: Option<String>,
    /// Everything that is said of it, in its order.
    pub attributes: Vec<Attribute>,
}

/// Why an event can't be taken.
pub(super) struct Fault {
    pub(super) why: String,
    /// True if the event only lacks a value, so that `--allow-missing` accepts it.
    pub(super) is_missing: bool,
}

/// What is wrong with an event, if anything is.
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

/// Bytes of a log's header that go in one piece when the whole is too much for one event.
const HEADER_PART_BYTES: usize = 256 << 10;

/// A text in pieces of at most so many bytes, cut between characters.
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

/// Takes one piece.
///
/// # Errors
/// A sentence that says what is wrong with it.
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

/// Puts on record what the log says of itself: in parts, each a history of its own, where that
/// is more than one event holds.
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

/// Reads a record whole, and changes nothing.
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

/// How many places a row may have moved down since an earlier version knew it by its number: by as
/// many as could not be read then.
const MOVED_MAX: u64 = 16;

/// Whether an earlier version imported these rows, which it knew by their numbers.
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

/// The receipt of a row that an earlier version took by its number, where it is the same row.
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
            run.step(ImportCommand::new(&part, "tasks.record_activity", run.task, data).at(at))
                .await?;
        }
        run.counts.source("events", 1);
        run.counts.activity_names.insert(name(&event.activity));
    }
    if case.last {
        close(run, case, history).await?;
    }
    Ok(())
}

/// The value of a case's or event's own attribute of that key.
#[must_use]
pub fn value_of(attributes: &[Attribute], key: &str) -> Option<String> {
    attributes.iter().find(|a| a.key == key).map(|a| a.value.clone()).filter(|v| !v.is_empty())
}

/// A piece as a record's bytes.
#[must_use]
pub fn bytes(piece: &Piece) -> Vec<u8> {
    serde_json::to_vec(piece).unwrap_or_else(|_| Value::Null.to_string().into_bytes())
}
