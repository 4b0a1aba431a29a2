//! OpenHands event streams: a task a run. What the agent does is a decision, and a call where it
//! uses a tool; the observation that names it as its cause is the call's result; what the user says
//! is human input. Order and `cause` are kept.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use async_trait::async_trait;
use commands::CommandError;
use domain::ids::{AgentId, EventId};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::session::{ImportCommand, Run, Session, check_times, first_event, name, time};
use super::{Counts, Importer, fields};
use crate::input::Input;
use crate::source::{self, Reading, Source};

/// Connector of the agent's tool calls.
const CONNECTOR: &str = "openhands";
/// Actions in which the agent only says something.
const SPOKEN: &[&str] = &["message", "finish", "think", "reject", "delegate"];
/// Actions about the run itself, not steps of it.
const ABOUT: &[&str] = &["system", "recall", "change_agent_state", "null"];

#[derive(Deserialize)]
pub(super) struct ExportedRun {
    /// Name of the run: its instance id, or its file's name.
    name: String,
    events: Vec<Entry>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default)]
    metrics: Option<Value>,
}

#[derive(Deserialize)]
struct Entry {
    id: Option<i64>,
    /// The entry's id in the source, or the negative of its place (from 1) if it has none.
    #[serde(skip)]
    number: i64,
    timestamp: Option<String>,
    source: Option<String>,
    message: Option<String>,
    action: Option<String>,
    observation: Option<String>,
    cause: Option<i64>,
    content: Option<String>,
    success: Option<bool>,
    args: Option<Map<String, Value>>,
    extras: Option<Value>,
    tool_call_metadata: Option<Value>,
    llm_metrics: Option<Value>,
}

#[derive(Debug)]
pub struct Openhands;

#[async_trait]
impl Importer for Openhands {
    fn name(&self) -> &'static str {
        "openhands"
    }

    fn detect(&self, _path: &Path, beginning: &str) -> bool {
        beginning.contains("\"history\"")
            || (beginning.contains("\"source\"") && beginning.contains("\"action\""))
    }

    fn open(&self, path: &Path, reading: &Reading) -> Result<Source, String> {
        Ok(source::openhands(Input::of(path, reading)?, source::stem(path)))
    }

    fn check(&self, bytes: &[u8]) -> Result<(), String> {
        parse(bytes).map(|_| ())
    }

    async fn record(&self, session: &Session, bytes: &[u8]) -> Result<Counts, String> {
        let exported = parse(bytes)?;
        let mut run = session.run(&exported.name).await?;
        let rehearsal = Replay::of(&mut run).all(&exported).await;
        let mut run = run.rehearsed(rehearsal)?;
        let result = Replay::of(&mut run).all(&exported).await;
        run.end(result)
    }
}

/// Parses a record completely, and changes nothing. An entry without an id gets its place as a
/// negative number, because the source's own ids begin at 0.
pub(super) fn parse(bytes: &[u8]) -> Result<ExportedRun, String> {
    let mut exported: ExportedRun =
        serde_json::from_slice(bytes).map_err(|e| format!("no OpenHands run: {e}"))?;
    for (entry, place) in exported.events.iter_mut().zip(1_i64..) {
        entry.number = entry.id.unwrap_or(-place);
    }
    let numbers: HashSet<i64> = exported.events.iter().map(|e| e.number).collect();
    if numbers.len() != exported.events.len() {
        return Err("two entries of the run have the same id".to_owned());
    }
    check_times(exported.events.iter().map(|e| e.timestamp.as_deref()))?;
    Ok(exported)
}

struct Replay<'a, 'b> {
    run: &'a mut Run<'b>,
    /// The first event of each entry, by the entry's number.
    events: HashMap<i64, EventId>,
    /// Calls that wait for their result, by the entry's number.
    calls: HashMap<i64, Uuid>,
}

fn model(exported: &ExportedRun) -> Option<&str> {
    exported
        .events
        .iter()
        .find_map(|e| e.tool_call_metadata.as_ref()?.pointer("/model_response/model")?.as_str())
}

impl<'a, 'b> Replay<'a, 'b> {
    fn of(run: &'a mut Run<'b>) -> Self {
        Self { run, events: HashMap::new(), calls: HashMap::new() }
    }
}

impl Replay<'_, '_> {
    async fn all(&mut self, exported: &ExportedRun) -> Result<(), CommandError> {
        self.run.counts.source("runs", 1);
        let agent = self
            .run
            .enrol("openhands", "producer", &name(model(exported).unwrap_or("unknown")), CONNECTOR)
            .await?;
        let began = exported.events.first().and_then(|e| time(e.timestamp.as_deref()?));
        let plan = json!({"title": name(&exported.name), "team": "technical"});
        self.run
            .step(ImportCommand::new("plan", "tasks.plan", self.run.task, plan).at(began))
            .await?;
        for entry in &exported.events {
            self.run.counts.source("events", 1);
            self.run.counts.source("with_cause", u64::from(entry.cause.is_some()));
            let first = self.entry(entry, agent).await?;
            if let Some(first) = first {
                self.events.insert(entry.number, first);
            }
        }
        for (n, call) in std::mem::take(&mut self.calls) {
            let data = json!({"reason": "the stream has no result"});
            self.run
                .send(&format!("{n}/outcome"), "integrations.mark_call_ambiguous", call, data)
                .await?;
        }
        let ended = exported.events.last().and_then(|e| time(e.timestamp.as_deref()?));
        let cost = exported
            .metrics
            .as_ref()
            .and_then(|m| m.get("accumulated_cost"))
            .and_then(Value::as_number)
            .map(ToString::to_string);
        if let Some(text) = &cost {
            self.run.counts.spend(text);
        }
        let cost = cost.map(
            |text| json!({"source_text": text, "currency": self.run.session.settings.currency}),
        );
        let note = exported.metrics.as_ref().map(|m| m.to_string());
        let end = fields([
            ("activity", Some("run_ended".into())),
            ("note", note.map(Value::from)),
            ("cost", cost),
        ]);
        self.run
            .step(ImportCommand::new("end", "tasks.record_activity", self.run.task, end).at(ended))
            .await?;
        let completed = matches!(exported.error, None | Some(Value::Null));
        let close = json!({"completed": completed});
        self.run
            .step(
                ImportCommand::new("close", "tasks.close_history", self.run.task, close).at(ended),
            )
            .await?;
        Ok(())
    }

    async fn entry(&mut self, e: &Entry, agent: AgentId) -> Result<Option<EventId>, CommandError> {
        let causation = e.cause.and_then(|c| self.events.get(&c).copied());
        let call = e.cause.and_then(|c| self.calls.get(&c).copied().map(|call| (c, call)));
        match (e.source.as_deref(), &e.action, &e.observation) {
            (Some("agent"), Some(action), _) if SPOKEN.contains(&action.as_str()) => {
                self.decision(e, action, agent, causation).await
            }
            (Some("agent"), Some(action), _) if !ABOUT.contains(&action.as_str()) => {
                self.tool(e, action, agent, causation).await
            }
            (Some("user"), Some(action), _) if action == "message" => {
                self.activity(e, "human_input", causation).await
            }
            (_, None, Some(observation)) if call.is_some() => {
                let Some((cause, call)) = call else { return Ok(None) };
                self.calls.remove(&cause);
                self.result(e, observation, cause, call, causation).await
            }
            (_, action, observation) => {
                let what = action.as_deref().or(observation.as_deref()).unwrap_or("event");
                self.activity(e, what, causation).await
            }
        }
    }

    async fn decision(
        &mut self,
        e: &Entry,
        action: &str,
        agent: AgentId,
        causation: Option<EventId>,
    ) -> Result<Option<EventId>, CommandError> {
        let args = Value::Object(e.args.clone().unwrap_or_default());
        let said = |key: &str| {
            args.get(key).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned)
        };
        let choice = if SPOKEN.contains(&action) {
            said("content")
                .or_else(|| said("final_thought"))
                .or_else(|| said("thought"))
                .or_else(|| e.message.clone())
                .unwrap_or_default()
        } else {
            format!("{action} {args}")
        };
        let choice = if choice.is_empty() { action.to_owned() } else { choice };
        let response = e.tool_call_metadata.as_ref().and_then(|m| m.get("model_response"));
        let tokens =
            |key: &str| response.and_then(|r| r.get("usage")?.get(key)?.as_u64()).map(Value::from);
        let model = response.and_then(|r| r.get("model")?.as_str()).map(|m| name(m).into());
        let usage = fields([
            ("model", model),
            ("input_tokens", tokens("prompt_tokens")),
            ("output_tokens", tokens("completion_tokens")),
        ]);
        let data = fields([
            ("task", Some(json!(self.run.task))),
            ("agent", Some(json!(agent))),
            ("choice", Some(choice.into())),
            ("rationale", said("thought").map(Value::from)),
            ("usage", Some(usage)),
        ]);
        let (part, at) = (format!("{}", e.number), e.timestamp.as_deref().and_then(time));
        let id = self.run.id(&part);
        let receipt = self
            .run
            .step(
                ImportCommand::new(&part, "decisions.record", id, data).at(at).caused_by(causation),
            )
            .await?;
        Ok(first_event(&receipt))
    }

    async fn tool(
        &mut self,
        e: &Entry,
        action: &str,
        agent: AgentId,
        causation: Option<EventId>,
    ) -> Result<Option<EventId>, CommandError> {
        let first = self.decision(e, action, agent, causation).await?;
        let part = format!("{}/call", e.number);
        let id = self.run.id(&part);
        let class = if action == "read" { "read" } else { "write" };
        let arguments = super::session::as_value(
            &Value::Object(e.args.clone().unwrap_or_default()).to_string(),
        );
        let data = json!({
            "connector": CONNECTOR, "operation": name(action), "class": class, "agent": agent,
            "task": self.run.task,
            "decision": self.run.id(&e.number.to_string()), "arguments": arguments,
        });
        let at = e.timestamp.as_deref().and_then(time);
        self.run
            .step(
                ImportCommand::new(&part, "integrations.intend_call", id, data)
                    .at(at)
                    .caused_by(first),
            )
            .await?;
        self.calls.insert(e.number, id);
        Ok(first)
    }

    async fn result(
        &mut self,
        e: &Entry,
        observation: &str,
        cause: i64,
        call: Uuid,
        causation: Option<EventId>,
    ) -> Result<Option<EventId>, CommandError> {
        let said = e
            .content
            .clone()
            .filter(|t| !t.is_empty())
            .or_else(|| e.message.clone())
            .unwrap_or_default();
        let failed = observation == "error" || e.success == Some(false);
        let (command, key) = if failed {
            ("integrations.fail_call", "error")
        } else {
            ("integrations.succeed_call", "result")
        };
        let at = e.timestamp.as_deref().and_then(time);
        let receipt = self
            .run
            .step(
                ImportCommand::new(&format!("{cause}/outcome"), command, call, json!({key: said}))
                    .at(at)
                    .caused_by(causation),
            )
            .await?;
        self.run.counts.source("results", 1);
        Ok(first_event(&receipt))
    }

    async fn activity(
        &mut self,
        e: &Entry,
        what: &str,
        causation: Option<EventId>,
    ) -> Result<Option<EventId>, CommandError> {
        self.run.counts.source("human_inputs", u64::from(what == "human_input"));
        let said = e.args.as_ref().and_then(|a| a.get("content")?.as_str()).map(str::to_owned);
        let note = said
            .or_else(|| e.content.clone())
            .filter(|t| !t.is_empty())
            .or_else(|| e.message.clone())
            .filter(|t| !t.is_empty());
        let pairs = [
            ("args", e.args.clone().map(Value::Object)),
            ("extras", e.extras.clone()),
            ("llm_metrics", e.llm_metrics.clone()),
        ];
        let attributes: Vec<Value> = pairs
            .into_iter()
            .filter_map(|(key, v)| {
                Some(json!({"key": key, "type": "string", "value": v?.to_string()}))
            })
            .collect();
        let data = fields([
            ("activity", Some(name(what).into())),
            ("source_time", e.timestamp.as_deref().map(|t| name(t).into())),
            ("note", note.map(Value::from)),
            ("attributes", Some(attributes.into())),
        ]);
        let (part, at) = (e.number.to_string(), e.timestamp.as_deref().and_then(time));
        let receipt = self
            .run
            .step(
                ImportCommand::new(&part, "tasks.record_activity", self.run.task, data)
                    .at(at)
                    .caused_by(causation),
            )
            .await?;
        Ok(first_event(&receipt))
    }
}
