//! Process logs, whatever file they came in: a task a case, every event an activity with its
//! lifecycle, its resource and the time as it was written; attributes in their order. What the log
//! says of itself is on record once.

use commands::CommandError;
use domain::PrincipalId;
use domain::ids::HistoryId;
use domain::tasks::Attribute;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::session::{Run, Session, Step, name, time};
use super::{Counts, Settings, fields};
use crate::app::{App, AppError};

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

/// Takes process logs into one business.
pub struct Importer {
    session: Session,
    format: &'static str,
}

impl Importer {
    /// Opens the session.
    ///
    /// # Errors
    /// What the desk says.
    pub async fn prepare(app: &App, format: &'static str, settings: &Settings, caller: PrincipalId) -> Result<Self, AppError> {
        Ok(Self { session: Session::open(app, format, settings, caller).await?, format })
    }

    /// Takes one piece.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub async fn record(&self, bytes: &[u8]) -> Result<Counts, String> {
        match serde_json::from_slice(bytes).map_err(|e| format!("no piece of a process log: {e}"))? {
            Piece::Header { log, header } => {
                let earlier = HistoryId(self.session.business.name(&format!("{}:log:{log}", self.format)));
                let mut run = self.session.run_of(&format!("{log}/header"), earlier.into()).await?;
                let history = self.session.history(&log).await.map_err(|e| e.to_string())?;
                let data = json!({"format": self.format, "header": header});
                let result = run.send("open", "tasks.open_history", history.0, data).await.map(|_| ());
                run.end(result)
            }
            Piece::Case(case) => {
                let wrong = case.events.iter().find_map(|e| e.time.as_deref().filter(|t| time(t).is_none()));
                if let Some(wrong) = wrong {
                    return Err(format!("case `{}`: `{wrong}` is no time; write it as 2026-11-22T20:00:00+01:00", case.case));
                }
                let mut run = self.session.run(&format!("{}/{}", case.log, case.case)).await?;
                let history = self.session.history(&case.log).await.map_err(|e| e.to_string())?;
                let result = events(&mut run, &case, history).await;
                run.end(result)
            }
        }
    }
}

async fn events(run: &mut Run<'_>, case: &Case, history: HistoryId) -> Result<(), CommandError> {
    if case.first {
        let plan = json!({"title": if case.case.is_empty() { "(no name)" } else { &case.case }, "team": "operations"});
        let at = case.began.as_deref().and_then(time);
        run.step(Step { part: "plan", command: "tasks.plan", id: run.task, data: plan, at, causation: None }).await?;
        run.counts.source("cases", 1);
    }
    for event in &case.events {
        let resource = match &event.resource {
            Some(resource) => Some(run.session.principal(resource).await?),
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
        run.step(Step { part: &event.n.to_string(), command: "tasks.record_activity", id: run.task, data, at, causation: None }).await?;
        run.counts.source("events", 1);
        run.counts.activity_names.insert(name(&event.activity));
    }
    if case.last {
        let data = fields([
            ("completed", Some(true.into())),
            ("history", Some(json!(history))),
            ("place", Some(case.place.into())),
            ("attributes", Some(&case.attributes).filter(|a| !a.is_empty()).and_then(|a| serde_json::to_value(a).ok())),
        ]);
        let at = case.ended.as_deref().and_then(time);
        run.step(Step { part: "close", command: "tasks.close_history", id: run.task, data, at, causation: None }).await?;
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
