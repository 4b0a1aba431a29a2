//! Tool-call transcripts (the form of tau-bench's trajectories): one task a trajectory, one
//! decision an assistant message, one call a tool call with its result in the next message.
//!
//! Keys are `transcript:<task>/<trial>:<part>`: tool-call ids repeat inside a trajectory, so a call
//! is named by its message and its place there. Cost of the simulated customer is kept apart from
//! ours; where the source has `null` it is unknown, not zero.

use std::path::Path;

use async_trait::async_trait;
use commands::{CommandError, Receipt};
use domain::ids::AgentId;
use domain::values::Digest;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use uuid::Uuid;

use super::session::{Run, Session, as_value};
use super::{Counts, Importer};
use crate::input::Input;
use crate::records::Records;
use crate::source::{Reading, Source};

/// Connector of the tool calls.
const CONNECTOR: &str = "tools";
/// Name of the tool that hands the customer over to a human.
const HANDOVER: &str = "transfer_to_human_agents";
/// Prefixes of operations that change nothing; all others may have changed something.
const LOOKING: &[&str] = &["get_", "search_", "list_", "find_", "calculate", "think"];
/// Longest title that is made from an instruction, in characters.
const TITLE_CHARS: usize = 120;

#[derive(Deserialize)]
pub(super) struct Trajectory {
    task_id: Value,
    trial: u64,
    reward: f64,
    info: Info,
    traj: Vec<Message>,
}

#[derive(Deserialize)]
struct Info {
    task: TaskInfo,
    user_cost: Option<Box<RawValue>>,
    #[serde(default)]
    reward_info: Option<Value>,
}

#[derive(Deserialize)]
struct TaskInfo {
    user_id: String,
    instruction: String,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<ToolCall>>,
}

#[derive(Deserialize)]
struct ToolCall {
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    arguments: String,
}

#[derive(Debug)]
pub struct Transcripts;

#[async_trait]
impl Importer for Transcripts {
    fn name(&self) -> &'static str {
        "transcript"
    }

    fn detect(&self, _path: &Path, beginning: &str) -> bool {
        beginning.contains("\"traj\"")
    }

    fn open(&self, path: &Path, reading: &Reading) -> Result<Source, String> {
        Ok(Box::new(Records::new(Input::of(path, reading)?.text)))
    }

    fn check(&self, bytes: &[u8]) -> Result<(), String> {
        parse(bytes).map(|_| ())
    }

    /// Enrols the two agents of every transcript.
    async fn prepare(&self, session: &Session) -> Result<(), CommandError> {
        session.enrol("assistant", "producer", "gpt-4o", CONNECTOR).await?;
        session.enrol("evaluator", "qa", "benchmark-evaluator", CONNECTOR).await?;
        Ok(())
    }

    async fn record(&self, session: &Session, bytes: &[u8]) -> Result<Counts, String> {
        let (task_id, trajectory) = parse(bytes)?;
        let mut run = session.run(&format!("{task_id}/{}", trajectory.trial)).await?;
        let rehearsal = Transcript { run: &mut run }.trajectory(&trajectory).await;
        let mut run = run.rehearsed(rehearsal)?;
        let result = Transcript { run: &mut run }.trajectory(&trajectory).await;
        run.end(result)
    }
}

/// Parses a record completely, and changes nothing: returns the id of its task and the trajectory.
pub(super) fn parse(bytes: &[u8]) -> Result<(String, Trajectory), String> {
    proof::canonical::gate(bytes).map_err(|e| e.to_string())?;
    let trajectory: Trajectory =
        serde_json::from_slice(bytes).map_err(|e| format!("no transcript: {e}"))?;
    let task_id = match &trajectory.task_id {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            return Err("task_id must be a string or a number".to_owned());
        }
    };
    Ok((task_id, trajectory))
}

/// The import of one trajectory.
struct Transcript<'a, 'b> {
    run: &'a mut Run<'b>,
}

impl Transcript<'_, '_> {
    async fn send(
        &mut self,
        part: &str,
        command: &str,
        id: Uuid,
        data: Value,
    ) -> Result<Receipt, CommandError> {
        self.run.send(part, command, id, data).await
    }

    async fn trajectory(&mut self, t: &Trajectory) -> Result<(), CommandError> {
        let business = self.run.session.business;
        let assistant = self.run.session.agent("assistant").await?;
        let customer = business
            .derive_id(&format!("transcript:customer:{}", self.run.named(&t.info.task.user_id)));
        let title: String = t.info.task.instruction.chars().take(TITLE_CHARS).collect();
        let plan = json!({"title": title, "instructions": t.info.task.instruction,
            "team": "operations", "serves": customer});
        self.send("plan", "tasks.plan", self.run.task, plan).await?;
        self.send("offer", "tasks.offer", self.run.task, json!({})).await?;
        let lease = json!({"agent": assistant, "lease_seconds": 86_400});
        self.send("lease", "tasks.lease", self.run.task, lease).await?;
        let mut asked: Option<&str> = None;
        for (i, message) in t.traj.iter().enumerate() {
            match message.role.as_str() {
                "user" => asked = message.content.as_deref(),
                "assistant" => self.assistant(i, message, asked, t, assistant).await?,
                _ => {}
            }
        }
        self.customer_cost(t).await?;
        let handed_over = t
            .traj
            .iter()
            .rev()
            .find_map(|m| m.tool_calls.as_ref())
            .and_then(|calls| calls.last())
            .is_some_and(|c| c.function.name == HANDOVER);
        self.finish(t, assistant, handed_over).await
    }

    async fn assistant(
        &mut self,
        i: usize,
        message: &Message,
        asked: Option<&str>,
        t: &Trajectory,
        assistant: AgentId,
    ) -> Result<(), CommandError> {
        let calls = message.tool_calls.as_deref().unwrap_or_default();
        let named: Vec<String> = calls
            .iter()
            .map(|c| format!("{}({})", c.function.name, c.function.arguments))
            .collect();
        let choice = message
            .content
            .clone()
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| named.join("; "));
        let decision = self.run.id(&format!("decision/{i}"));
        let mut data = json!({"task": self.run.task, "agent": assistant, "choice": choice});
        if let (Some(asked), Some(data)) = (asked, data.as_object_mut()) {
            data.insert("question".to_owned(), asked.into());
        }
        self.send(&format!("decision/{i}"), "decisions.record", decision, data).await?;
        for (j, call) in calls.iter().enumerate() {
            let part = format!("call/{i}/{j}");
            let id = self.run.id(&part);
            // What a model wrote as arguments may be no JSON, or JSON that the gate refuses.
            let arguments = as_value(&call.function.arguments);
            let class = if LOOKING.iter().any(|p| call.function.name.starts_with(p)) {
                "read"
            } else {
                "write"
            };
            let intend = json!({
                "connector": CONNECTOR, "operation": call.function.name, "class": class,
                "agent": assistant, "task": self.run.task, "decision": decision,
                "arguments": arguments,
            });
            self.send(&part, "integrations.intend_call", id, intend).await?;
            let answer = t
                .traj
                .get(i + 1 + j)
                .filter(|m| m.role == "tool")
                .and_then(|m| m.content.as_deref());
            let (command, outcome) = match answer {
                Some(error) if error.starts_with("Error") => {
                    ("integrations.fail_call", json!({"error": error}))
                }
                Some(result) => ("integrations.succeed_call", json!({"result": result})),
                None => (
                    "integrations.mark_call_ambiguous",
                    json!({"reason": "the transcript has no result"}),
                ),
            };
            self.send(&format!("{part}/outcome"), command, id, outcome).await?;
        }
        Ok(())
    }

    async fn customer_cost(&mut self, t: &Trajectory) -> Result<(), CommandError> {
        let Some(text) = t.info.user_cost.as_ref().map(|raw| raw.get()) else {
            self.run.counts.customer_cost_unknown += 1;
            return Ok(());
        };
        let data = json!({"activity": "customer_simulation", "customer_cost": {"source_text": text,
            "currency": self.run.session.settings.currency}});
        let receipt =
            self.send("customer_cost", "tasks.record_activity", self.run.task, data).await?;
        let stored = self.run.stored(&receipt).await?.unwrap_or_default();
        let amount = stored
            .pointer("/data/customer_cost/amount")
            .and_then(Value::as_str)
            .and_then(|a| a.parse().ok());
        self.run.counts.customer_cost_exact = amount.unwrap_or_default();
        Ok(())
    }

    async fn finish(
        &mut self,
        t: &Trajectory,
        assistant: AgentId,
        handed_over: bool,
    ) -> Result<(), CommandError> {
        let last = t
            .traj
            .iter()
            .rev()
            .find(|m| m.role == "assistant" && m.content.is_some())
            .and_then(|m| m.content.clone());
        let result = last.unwrap_or_else(|| "(no words)".to_owned());
        let receipt = if handed_over {
            let data = json!({"fencing_token": 1, "to_role": "member", "note": "transferred to a \
                human", "result": result});
            let receipt = self.send("escalate", "tasks.escalate", self.run.task, data).await?;
            self.send(
                "resolve",
                "tasks.resolve",
                self.run.task,
                json!({"resolution": "submitted", "note": "the human desk sends the result at hand \
                    to review"}),
            )
            .await?;
            receipt
        } else {
            self.send(
                "submit",
                "tasks.submit",
                self.run.task,
                json!({"agent": assistant, "fencing_token": 1, "result": result}),
            )
            .await?
        };
        let digest = match self.run.stored(&receipt).await? {
            Some(stored) => stored.pointer("/data/artifact/digest").cloned().unwrap_or_default(),
            None => json!(Digest([0; 32])),
        };
        let passed = t.reward >= 1.0;
        let evaluator = self.run.session.agent("evaluator").await?;
        let mut review = json!({
            "reviewer": evaluator, "artifact_digest": digest, "verdict":
            if passed { "passed" } else { "changes_requested" }, "final": !passed,
        });
        if let (Some(findings), Some(review)) = (&t.info.reward_info, review.as_object_mut()) {
            review.insert("findings".to_owned(), findings.to_string().into());
        }
        self.send("review", "tasks.review", self.run.task, review).await?;
        self.run.counts.passed_escalated += u64::from(passed && handed_over);
        Ok(())
    }
}
