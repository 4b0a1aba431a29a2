//! SWE-agent and mini-SWE-agent trajectories: a task a trajectory, a decision a step, a call an
//! action; cost and tokens from `model_stats`, once, at the end.
//!
//! mini-SWE-agent keeps a conversation (`messages`): a step is a message of the assistant, its
//! action the code block or the tool call in it, its observation what is said to it before it
//! speaks again.

use std::path::Path;

use async_trait::async_trait;
use commands::CommandError;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::session::{Run, Session, name};
use super::{Counts, Importer, fields};
use crate::input::Input;
use crate::source::{self, Reading, Source};

/// Connector of the agent's actions.
const CONNECTOR: &str = "shell";

#[derive(Deserialize)]
pub(super) struct ExportedTrajectory {
    /// Name of the trajectory's file.
    name: String,
    trajectory: Option<Vec<Turn>>,
    /// The conversation of a mini-SWE-agent trajectory; `None` for SWE-agent.
    messages: Option<Vec<Message>>,
    #[serde(default)]
    info: Info,
    #[serde(default)]
    environment: Option<Value>,
}

#[derive(Deserialize)]
pub(super) struct Turn {
    action: Option<String>,
    observation: Option<String>,
    response: Option<String>,
    thought: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: Value,
    #[serde(default)]
    tool_calls: Vec<ToolCall>,
}

#[derive(Deserialize)]
struct ToolCall {
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    arguments: String,
}

#[derive(Deserialize, Default)]
struct Info {
    exit_status: Option<String>,
    submission: Option<String>,
    model_stats: Option<Stats>,
}

#[derive(Deserialize)]
struct Stats {
    total_cost: Option<Box<RawValue>>,
    instance_cost: Option<Box<RawValue>>,
    tokens_sent: Option<u32>,
    tokens_received: Option<u32>,
    api_calls: Option<u64>,
}

#[derive(Debug)]
pub struct SweAgent;

#[async_trait]
impl Importer for SweAgent {
    fn name(&self) -> &'static str {
        "swe-agent"
    }

    fn detect(&self, path: &Path, beginning: &str) -> bool {
        path.extension().is_some_and(|e| e == "traj") || beginning.contains("\"trajectory\"")
    }

    fn open(&self, path: &Path, reading: &Reading) -> Result<Source, String> {
        Ok(source::swe_agent(Input::of(path, reading)?, source::stem(path)))
    }

    fn check(&self, bytes: &[u8]) -> Result<(), String> {
        parse(bytes).map(|_| ())
    }

    async fn record(&self, session: &Session, bytes: &[u8]) -> Result<Counts, String> {
        let (exported, turns) = parse(bytes)?;
        let mut run = session.run(&exported.name).await?;
        let rehearsal = trajectory(&mut run, &exported, &turns).await;
        let mut run = run.rehearsed(rehearsal)?;
        let result = trajectory(&mut run, &exported, &turns).await;
        run.end(result)
    }
}

/// Parses a record completely, and changes nothing: returns the trajectory and its turns.
pub(super) fn parse(bytes: &[u8]) -> Result<(ExportedTrajectory, Vec<Turn>), String> {
    let mut exported: ExportedTrajectory =
        serde_json::from_slice(bytes).map_err(|e| format!("no SWE-agent trajectory: {e}"))?;
    if let Some(turns) = exported.trajectory.take() {
        return Ok((exported, turns));
    }
    let Some(messages) = exported.messages.take() else {
        return Err("not supported: a file with neither the `trajectory` of SWE-agent nor the \
            `messages` of mini-SWE-agent; export the whole run"
            .to_owned());
    };
    let task = messages.iter().find(|m| m.role == "user").map(|m| Value::String(m.text()));
    exported.environment = exported.environment.or(task);
    Ok((exported, turns(&messages)))
}

impl Message {
    /// The text of the message: its content, or the texts among its parts.
    fn text(&self) -> String {
        match &self.content {
            Value::String(text) => text.clone(),
            Value::Array(parts) => parts
                .iter()
                .filter_map(|part| part.get("text")?.as_str())
                .collect::<Vec<_>>()
                .join("\n"),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
        }
    }

    /// The command in the message, and the text before it.
    fn action(&self) -> (Option<String>, String) {
        let text = self.text();
        let called = self.tool_calls.first().map(|call| {
            let arguments: Option<Value> = serde_json::from_str(&call.function.arguments).ok();
            let command = arguments.as_ref().and_then(|a| a.get("command")?.as_str());
            command.unwrap_or(&call.function.arguments).to_owned()
        });
        if called.is_some() {
            return (called, text);
        }
        let block = text.split_once("```").and_then(|(before, rest)| {
            Some((before, rest.split_once('\n')?.1.split_once("```")?.0))
        });
        match block {
            Some((before, code)) => (Some(code.trim_end().to_owned()), before.to_owned()),
            None => (None, text),
        }
    }
}

/// The turns of a conversation.
fn turns(messages: &[Message]) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    for message in messages {
        if message.role == "assistant" {
            let (action, thought) = message.action();
            turns.push(Turn {
                action,
                observation: None,
                response: Some(message.text()),
                thought: Some(thought),
            });
        } else if let Some(turn) = turns.last_mut() {
            let said = message.text();
            turn.observation = Some(
                turn.observation
                    .take()
                    .map_or_else(|| said.clone(), |before| format!("{before}\n{said}")),
            );
        }
    }
    turns
}

async fn trajectory(
    run: &mut Run<'_>,
    exported: &ExportedTrajectory,
    turns: &[Turn],
) -> Result<(), CommandError> {
    run.counts.source("trajectories", 1);
    let agent = run.enrol("swe-agent", "producer", "unknown", CONNECTOR).await?;
    let instructions = exported
        .environment
        .as_ref()
        .map(|e| e.as_str().map_or_else(|| e.to_string(), str::to_owned));
    let plan = fields([
        ("title", Some(name(&exported.name).into())),
        ("team", Some("technical".into())),
        ("instructions", instructions.map(Value::from)),
    ]);
    run.send("plan", "tasks.plan", run.task, plan).await?;
    for (n, turn) in turns.iter().enumerate() {
        run.counts.source("steps", 1);
        let action = turn.action.as_deref().unwrap_or_default();
        let said = |t: &Option<String>| t.clone().filter(|t| !t.trim().is_empty());
        let decision = run.id(&format!("{n}"));
        let choice = said(&turn.action)
            .or_else(|| said(&turn.response))
            .unwrap_or_else(|| "(nothing)".to_owned());
        let data = fields([
            ("task", Some(json!(run.task))),
            ("agent", Some(json!(agent))),
            ("choice", Some(choice.into())),
            ("rationale", said(&turn.thought).or_else(|| said(&turn.response)).map(Value::from)),
        ]);
        run.send(&format!("{n}"), "decisions.record", decision, data).await?;
        let Some(operation) = action.split_whitespace().next() else { continue };
        let (part, id) = (format!("{n}/call"), run.id(&format!("{n}/call")));
        let intend = json!({
            "connector": CONNECTOR, "operation": name(operation), "class": "write", "agent": agent,
            "task": run.task,
            "decision": decision, "arguments": {"action": action},
        });
        run.send(&part, "integrations.intend_call", id, intend).await?;
        let (command, data) = match &turn.observation {
            Some(result) => ("integrations.succeed_call", json!({"result": result})),
            None => (
                "integrations.mark_call_ambiguous",
                json!({"reason": "the trajectory has no observation"}),
            ),
        };
        run.send(&format!("{n}/outcome"), command, id, data).await?;
    }
    end(run, &exported.info).await
}

async fn end(run: &mut Run<'_>, info: &Info) -> Result<(), CommandError> {
    let stats = info.model_stats.as_ref();
    let cost = stats
        .and_then(|s| s.instance_cost.as_ref().or(s.total_cost.as_ref()))
        .map(|raw| raw.get().to_owned());
    if let Some(text) = &cost {
        run.counts.spend(text);
    }
    let status = info.exit_status.as_deref().unwrap_or("unknown");
    let tokens = fields([
        ("input_tokens", stats.and_then(|s| s.tokens_sent).map(Value::from)),
        ("output_tokens", stats.and_then(|s| s.tokens_received).map(Value::from)),
    ]);
    let attributes: Vec<Value> = stats
        .and_then(|s| s.api_calls)
        .map(|n| json!({"key": "api_calls", "type": "int", "value": n.to_string()}))
        .into_iter()
        .collect();
    let data = fields([
        ("activity", Some("run_ended".into())),
        ("lifecycle", Some(name(status).into())),
        ("note", info.submission.clone().map(Value::from)),
        ("usage", Some(tokens)),
        (
            "cost",
            cost.map(
                |text| json!({"source_text": text, "currency": run.session.settings.currency}),
            ),
        ),
        ("attributes", Some(attributes.into())),
    ]);
    run.send("end", "tasks.record_activity", run.task, data).await?;
    run.send(
        "close",
        "tasks.close_history",
        run.task,
        json!({"completed": status.to_lowercase().starts_with("submitted")}),
    )
    .await?;
    Ok(())
}
