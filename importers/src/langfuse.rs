//! Langfuse traces (`{trace, observations}`): a task a trace; a generation is a decision with its
//! usage, a tool a call, anything else an activity; the parent of an observation is its cause.
//!
//! Observations come in any order, children before parents too. A parent that is not in the trace
//! is kept on an activity of its own, caused by the observation, and counted as an orphan.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::Path;

use async_trait::async_trait;
use commands::CommandError;
use domain::ids::EventId;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::session::{ImportCommand, Run, Session, as_value, check_times, first_event, name, time};
use super::{Counts, Importer, fields};
use crate::input::Input;
use crate::records::Records;
use crate::source::{Reading, Source};

/// Connector of the tool calls.
const CONNECTOR: &str = "tools";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExportedTrace {
    trace: Trace,
    observations: Vec<Observation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trace {
    id: String,
    name: Option<String>,
    timestamp: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Observation {
    id: String,
    r#type: String,
    name: Option<String>,
    parent_observation_id: Option<String>,
    start_time: Option<String>,
    end_time: Option<String>,
    model: Option<String>,
    prompt_version: Option<Value>,
    level: Option<String>,
    status_message: Option<String>,
    input: Option<Value>,
    output: Option<Value>,
    #[serde(default)]
    usage_details: BTreeMap<String, Option<f64>>,
    total_cost: Option<Box<RawValue>>,
    metadata: Option<Value>,
    model_parameters: Option<Value>,
}

fn text(value: Option<&Value>) -> Option<String> {
    match value {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    }
}

impl Observation {
    fn title(&self) -> String {
        name(self.name.as_deref().unwrap_or(&self.r#type))
    }

    fn usage(&self) -> Value {
        let find = |names: &[&str]| {
            names.iter().find_map(|n| self.usage_details.get(*n).copied().flatten())
        };
        let tokens = |names: &[&str]| {
            find(names)
                .filter(|n| *n >= 0.0 && n.fract() == 0.0)
                .map(|n| format!("{n:.0}").parse::<u32>().unwrap_or(u32::MAX))
        };
        fields([
            ("model", self.model.as_deref().map(|m| name(m).into())),
            ("prompt_version", text(self.prompt_version.as_ref()).map(|v| name(&v).into())),
            ("input_tokens", tokens(&["input"]).map(Value::from)),
            ("output_tokens", tokens(&["output"]).map(Value::from)),
            (
                "cached_tokens",
                tokens(&["prompt_details.cache_read", "input_cache_read", "input_cached_tokens"])
                    .map(Value::from),
            ),
            (
                "reasoning_tokens",
                tokens(&[
                    "completion_details.reasoning",
                    "output_reasoning",
                    "output_reasoning_tokens",
                ])
                .map(Value::from),
            ),
        ])
    }

    fn latency_ms(&self) -> Option<u32> {
        let (start, end) = (time(self.start_time.as_deref()?)?, time(self.end_time.as_deref()?)?);
        u32::try_from((end.as_micros() - start.as_micros()).max(0) / 1_000).ok()
    }

    fn failed(&self) -> bool {
        self.level.as_deref() == Some("ERROR")
    }
}

#[derive(Debug)]
pub struct Langfuse;

#[async_trait]
impl Importer for Langfuse {
    fn name(&self) -> &'static str {
        "langfuse"
    }

    fn detect(&self, _path: &Path, beginning: &str) -> bool {
        beginning.contains("\"observations\"") || beginning.contains("\"trace\"")
    }

    fn open(&self, path: &Path, reading: &Reading) -> Result<Source, String> {
        Ok(Box::new(Records::new(Input::of(path, reading)?.text)))
    }

    fn check(&self, bytes: &[u8]) -> Result<(), String> {
        parse(bytes).map(|_| ())
    }

    async fn record(&self, session: &Session, bytes: &[u8]) -> Result<Counts, String> {
        let exported = parse(bytes)?;
        let mut run = session.run(&exported.trace.id).await?;
        let rehearsal = trace(&mut run, &exported).await;
        let mut run = run.rehearsed(rehearsal)?;
        let result = trace(&mut run, &exported).await;
        run.end(result)
    }
}

/// Parses a record completely, and changes nothing.
pub(super) fn parse(bytes: &[u8]) -> Result<ExportedTrace, String> {
    let exported: ExportedTrace =
        serde_json::from_slice(bytes).map_err(|e| format!("no Langfuse trace: {e}"))?;
    let ids: HashSet<&str> = exported.observations.iter().map(|o| o.id.as_str()).collect();
    if ids.len() != exported.observations.len() {
        return Err("two observations have the same id".to_owned());
    }
    let of_observations =
        exported.observations.iter().flat_map(|o| [o.start_time.as_deref(), o.end_time.as_deref()]);
    check_times(of_observations.chain([exported.trace.timestamp.as_deref()]))?;
    Ok(exported)
}

/// Sorts parents before their children, otherwise as the source has them. A cycle of parents is cut
/// at the observation that the source has first.
fn ordered(observations: &[Observation]) -> Vec<&Observation> {
    let known: HashSet<&str> = observations.iter().map(|o| o.id.as_str()).collect();
    let mut children: HashMap<&str, Vec<&Observation>> = HashMap::new();
    let mut queue: VecDeque<&Observation> = VecDeque::new();
    for o in observations {
        match o.parent_observation_id.as_deref().filter(|p| known.contains(p)) {
            Some(parent) => children.entry(parent).or_default().push(o),
            None => queue.push_back(o),
        }
    }
    let (mut done, mut order) = (HashSet::new(), Vec::with_capacity(observations.len()));
    // Every observation once more at the end: those of circles have no beginning.
    for begin in queue.into_iter().chain(observations) {
        let mut reached = VecDeque::from([begin]);
        while let Some(o) = reached.pop_front() {
            if done.insert(o.id.as_str()) {
                order.push(o);
                reached.extend(children.get(o.id.as_str()).into_iter().flatten());
            }
        }
    }
    order
}

async fn trace(run: &mut Run<'_>, exported: &ExportedTrace) -> Result<(), CommandError> {
    let title = name(exported.trace.name.as_deref().unwrap_or("trace"));
    let model = exported
        .observations
        .iter()
        .find_map(|o| o.model.as_deref())
        .map_or_else(|| "unknown".to_owned(), name);
    let agent = run.enrol(&title, "producer", &model, CONNECTOR).await?;
    let began = exported.trace.timestamp.as_deref().and_then(time);
    let plan = json!({"title": title, "team": "operations"});
    let planned =
        run.step(ImportCommand::new("plan", "tasks.plan", run.task, plan).at(began)).await?;
    let about = json!({"activity": "trace",
        "source_time": exported.trace.timestamp.as_deref().map(name),
        "note": Value::Object(exported.trace.rest.clone()).to_string()});
    run.step(
        ImportCommand::new("trace", "tasks.record_activity", run.task, about)
            .at(began)
            .caused_by(first_event(&planned)),
    )
    .await?;
    let mut events: HashMap<&str, EventId> = HashMap::new();
    for o in ordered(&exported.observations) {
        run.counts.source("observations", 1);
        run.counts.source(&o.r#type.to_lowercase(), 1);
        let known = o.parent_observation_id.as_deref().map(|p| events.get(p).copied());
        let causation = known.flatten().or_else(|| first_event(&planned));
        let first = observation(run, o, agent, causation).await?;
        if let Some(first) = first {
            events.insert(&o.id, first);
        }
        if let (Some(None), Some(parent)) = (known, &o.parent_observation_id) {
            run.counts.source("orphans", 1);
            let flag = json!({"activity": "parent_not_in_trace", "note": format!("observation {} \
                has the parent {parent}, which this trace does not hold", o.id)});
            let part = format!("{}/orphan", run.named(&o.id));
            let step =
                ImportCommand::new(&part, "tasks.record_activity", run.task, flag).caused_by(first);
            run.step(step).await?;
        }
    }
    let completed =
        !exported.observations.iter().any(|o| o.parent_observation_id.is_none() && o.failed());
    let ended = exported
        .observations
        .iter()
        .filter_map(|o| o.end_time.as_deref().and_then(time))
        .max()
        .or(began);
    run.step(
        ImportCommand::new(
            "close",
            "tasks.close_history",
            run.task,
            json!({"completed": completed}),
        )
        .at(ended),
    )
    .await?;
    Ok(())
}

async fn observation(
    run: &mut Run<'_>,
    o: &Observation,
    agent: domain::ids::AgentId,
    causation: Option<EventId>,
) -> Result<Option<EventId>, CommandError> {
    let spent = o
        .total_cost
        .as_ref()
        .map(|raw| raw.get().trim_matches('"'))
        .filter(|t| *t != "null" && *t != "0");
    if let Some(text) = spent {
        run.counts.spend(text);
    }
    let cost =
        spent.map(|text| json!({"source_text": text, "currency": run.session.settings.currency}));
    let output = text(o.output.as_ref()).or_else(|| o.status_message.clone());
    let part = run.named(&o.id);
    let one = Recording { o, id: run.id(&part), part, agent, causation, cost, output };
    match o.r#type.as_str() {
        "GENERATION" => one.decision(run).await,
        "TOOL" => one.call(run).await,
        _ => one.activity(run).await,
    }
}

/// Records one observation; each of the three ways to record it returns its first event.
struct Recording<'a> {
    o: &'a Observation,
    part: String,
    id: Uuid,
    agent: domain::ids::AgentId,
    causation: Option<EventId>,
    cost: Option<Value>,
    output: Option<String>,
}

impl Recording<'_> {
    async fn send(
        &self,
        run: &mut Run<'_>,
        command: &str,
        id: Uuid,
        data: Value,
    ) -> Result<Option<EventId>, CommandError> {
        let at = self.o.start_time.as_deref().and_then(time);
        let command = ImportCommand::new(&self.part, command, id, data);
        let receipt = run.step(command.at(at).caused_by(self.causation)).await?;
        Ok(first_event(&receipt))
    }

    async fn decision(self, run: &mut Run<'_>) -> Result<Option<EventId>, CommandError> {
        let choice = self.output.clone().unwrap_or_else(|| "(no output)".to_owned());
        let data = fields([
            ("task", Some(json!(run.task))),
            ("agent", Some(json!(self.agent))),
            ("question", text(self.o.input.as_ref()).map(Value::from)),
            ("choice", Some(choice.into())),
            ("usage", Some(self.o.usage())),
            ("cost", self.cost.clone()),
        ]);
        self.send(run, "decisions.record", self.id, data).await
    }

    async fn call(self, run: &mut Run<'_>) -> Result<Option<EventId>, CommandError> {
        let o = self.o;
        let arguments = text(o.input.as_ref()).map_or(Value::Null, |t| as_value(&t));
        let intend = json!({"connector": CONNECTOR, "operation": o.title(), "class": "write",
            "agent": self.agent, "task": run.task, "arguments": arguments});
        let first = self.send(run, "integrations.intend_call", self.id, intend).await?;
        let (command, key) = if o.failed() {
            ("integrations.fail_call", "error")
        } else {
            ("integrations.succeed_call", "result")
        };
        let told = self.output.or_else(|| o.failed().then(|| "(no message)".to_owned()));
        let data = fields([
            (key, told.map(Value::from)),
            ("latency_ms", o.latency_ms().map(Value::from)),
            ("usage", Some(o.usage())),
            ("cost", self.cost),
        ]);
        let part = format!("{}/outcome", self.part);
        let ended = o.end_time.as_deref().and_then(time);
        run.step(ImportCommand::new(&part, command, self.id, data).at(ended).caused_by(first))
            .await?;
        Ok(first)
    }

    async fn activity(self, run: &mut Run<'_>) -> Result<Option<EventId>, CommandError> {
        let o = self.o;
        let attributes = [
            ("input", text(o.input.as_ref())),
            ("output", self.output.clone()),
            ("metadata", text(o.metadata.as_ref())),
            ("model_parameters", text(o.model_parameters.as_ref())),
            ("level", o.level.clone()),
            ("end_time", o.end_time.clone()),
        ];
        let attributes: Vec<Value> = attributes
            .into_iter()
            .filter_map(|(key, v)| Some(json!({"key": key, "type": "string", "value": v?})))
            .collect();
        let data = fields([
            ("activity", Some(o.title().into())),
            ("lifecycle", Some(o.r#type.to_lowercase().into())),
            ("source_time", o.start_time.as_deref().map(|t| name(t).into())),
            ("attributes", Some(attributes.into())),
            ("usage", Some(o.usage()).filter(|u| u.as_object().is_some_and(|m| !m.is_empty()))),
            ("cost", self.cost.clone()),
        ]);
        let task = run.task;
        self.send(run, "tasks.record_activity", task, data).await
    }
}
