//! What GraphQL answers is what an aggregate folds into: one of each kind with its fields filled,
//! the answer compared with the state that the rules see, not with the same view built twice.

use domain::AggregateId;
use domain::ids::{
    AgentId, ApprovalId, BudgetId, CallId, DecisionId, DocumentId, ExportId, FactId, KpiId, TaskId,
};
use domain::tasks::Status;
use event_log::Version;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::permissions::cast::Cast;

/// Everything of a business at work, and who did it.
pub(crate) struct Work {
    pub(crate) cast: Cast,
    answer: Value,
}

const ASK: &str = "{ business(slug: \"acme\") { phase ownerId currency
  agents(first: 30) { nodes { id status team role ownerId principalId permissions { tools \
  connectors dataClasses } concurrency skills model promptVersion } }
  tasks(first: 30) { nodes { id status team nextActor revision fencingToken leaseAgentId \
  leaseExpiresAt producerId artifactDigest reworkRounds attemptsFailed activityCount } }
  decisions(first: 30) { nodes { id status agentId supersededById } }
  approvals(first: 30) { nodes { id status commandType targetId approvalPolicyVersion quorum roles \
  requestedById expiresAt escalated builtIn taskId
    votes { nodes { voterId choice delegatedById } } } }
  budgets(first: 30) { nodes { id scope window limit { amount currency } periods { nodes { period \
  reserved spent } } } }
  calls(first: 30) { nodes { id status agentId taskId connector costMax { amount currency } } }
  memory(first: 30, history: true) { nodes { itemId item status revision agentId } }
  exports(first: 30) { nodes { id } }
  kpis(ids: [\"throughput\"]) { target } } }";

/// A name of a closed set, or several, as GraphQL shows them.
fn named(value: impl serde::Serialize) -> Value {
    fn upper(value: Value) -> Value {
        match value {
            Value::String(name) => json!(name.to_uppercase()),
            Value::Array(names) => names.into_iter().map(upper).collect(),
            other => other,
        }
    }
    upper(json!(value))
}

fn eur(amount: &str) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

impl Work {
    pub(crate) async fn done() -> Self {
        let cast = Cast::new().await;
        Self::tasks(&cast).await;
        Self::money_and_memory(&cast).await;
        Self::approvals(&cast).await;
        let answer = cast.installation().query(ASK).await["business"].clone();
        Self { cast, answer }
    }

    /// One task in every status there is.
    async fn tasks(cast: &Cast) {
        let (installation, business) = (cast.installation(), cast.business);
        let (a, q) =
            (cast.person("agent", "").agent.unwrap(), cast.person("qa", "").agent.unwrap());
        let must = async |command: &str, id: Uuid, data: Value| {
            installation.must(business, command, Some(id), data).await
        };
        let plan = async |waits: Vec<Uuid>| {
            installation
                .must(
                    business,
                    "tasks.plan",
                    None,
                    json!({"title": "t", "team": "sales", "depends_on": waits}),
                )
                .await
                .events[0]
                .id
        };
        let offered = async || {
            let id = plan(Vec::new()).await;
            must("tasks.offer", id, json!({})).await;
            id
        };
        let leased = async || {
            let id = offered().await;
            must("tasks.lease", id, json!({"agent": a})).await;
            id
        };
        let submitted = async || {
            let id = leased().await;
            let receipt =
                must("tasks.submit", id, json!({"agent": a, "fencing_token": 1, "result": "r"}))
                    .await;
            let stored = installation
                .app
                .log
                .find(business, receipt.events[0].event_id)
                .await
                .unwrap()
                .unwrap();
            let stored: Value = serde_json::from_slice(&stored.bytes).unwrap();
            (id, stored["data"]["artifact"]["digest"].clone())
        };
        let first = plan(Vec::new()).await;
        must("tasks.record_activity", first, json!({"activity": "x"})).await;
        plan(vec![first]).await;
        let (done, digest) = submitted().await;
        must(
            "tasks.review",
            done,
            json!({"reviewer": q, "artifact_digest": digest, "verdict": "passed"}),
        )
        .await;
        plan(vec![done, first]).await;
        let (again, digest) = submitted().await;
        must(
            "tasks.review",
            again,
            json!({"reviewer": q, "artifact_digest": digest, "verdict": "changes_requested"}),
        )
        .await;
        offered().await;
        leased().await;
        submitted().await;
        must("tasks.escalate", offered().await, json!({"to_role": "member"})).await;
        must("tasks.quarantine", leased().await, json!({"fencing_token": 1, "reason": "x"})).await;
        must("tasks.fail", leased().await, json!({"fencing_token": 1, "retryable": false})).await;
        must("tasks.fail", leased().await, json!({"fencing_token": 1, "retryable": true})).await;
        must("tasks.cancel", plan(Vec::new()).await, json!({})).await;
    }

    async fn money_and_memory(cast: &Cast) {
        let owner = cast.person("owner", "").clone();
        let agent = cast.person("agent", "").clone();
        for n in 1..=3 {
            let amount = json!({"amount": eur(&n.to_string()), "purpose": {"team": "sales"}});
            let id = Uuid::now_v7();
            let budget = cast.must_by(&owner, "budgets.reserve", Some(id), amount).await;
            match n {
                1 => drop(
                    cast.must_by(
                        &owner,
                        "budgets.settle",
                        Some(budget),
                        json!({"reservation": id, "amount": eur("0.5")}),
                    )
                    .await,
                ),
                2 => drop(
                    cast.must_by(
                        &owner,
                        "budgets.release",
                        Some(budget),
                        json!({"reservation": id}),
                    )
                    .await,
                ),
                _ => {}
            }
        }
        let call = json!({"connector": "slack", "operation": "conversations.history",
            "class": "read", "arguments": {}, "agent": agent.agent, "cost_max": eur("2")});
        for outcome in [
            None,
            Some(("integrations.succeed_call", json!({"cost": eur("3")}))),
            Some(("integrations.fail_call", json!({"error": "x"}))),
        ] {
            let id = cast.must_by(&agent, "integrations.intend_call", None, call.clone()).await;
            if let Some((command, data)) = outcome {
                cast.must_by(&agent, command, Some(id), data).await;
            }
        }
        let decision = json!({"choice": "x", "agent": agent.agent});
        let old = cast.must_by(&agent, "decisions.record", None, decision.clone()).await;
        let new = cast.must_by(&agent, "decisions.record", None, decision).await;
        cast.must_by(&agent, "decisions.supersede", Some(old), json!({"by": new})).await;
        let fact = json!({"fact_kind": "process_memory", "statement": "x", "agent": agent.agent});
        let known = cast.must_by(&agent, "memory.record_fact", None, fact.clone()).await;
        cast.must_by(&agent, "memory.revise_fact", Some(known), json!({"statement": "y"})).await;
        let other = cast.must_by(&agent, "memory.record_fact", None, fact).await;
        cast.must_by(&agent, "memory.supersede_fact", Some(known), json!({"by": other})).await;
        cast.must_by(&owner, "memory.add_document", None, json!({"title": "d", "text": "# a\nb"}))
            .await;
        cast.must_by(
            &owner,
            "operations.record_export",
            None,
            json!({"format": "csv", "events": 1, "digest": "0".repeat(64), "root": "0".repeat(64)}),
        )
        .await;
        cast.must_by(
            &owner,
            "metrics.set_target",
            None,
            json!({"kpi": "throughput", "target": "7"}),
        )
        .await;
        let idle = cast.fresh_agent().await;
        cast.must_by(&owner, "agents.suspend", Some(idle), json!({"reason": "x"})).await;
    }

    /// Requests in every status, one escalated to those who might not vote before.
    async fn approvals(cast: &Cast) {
        let owner = cast.person("owner", "").clone();
        let approver = cast.person("approver", "").clone();
        let mut rules = json!(domain::approvals::shipped_rules());
        rules[1]["roles"] = json!(["approver"]);
        rules[1]["quorum"] = json!(2);
        cast.installation()
            .approved(
                cast.business,
                "approvals.define_policy",
                cast.business.0,
                json!({"rules": rules}),
            )
            .await;
        let ask = async || {
            let pay = json!({"connector": "bank", "operation": "pay", "class": "spending",
                "arguments": {}, "cost_max": eur("1")});
            let command =
                json!({"type": "integrations.intend_call", "id": Uuid::now_v7(), "data": pay});
            cast.must_by(&owner, "approvals.request", None, json!({"command": command})).await
        };
        let escalated = ask().await;
        cast.must_by(&approver, "approvals.escalate", Some(escalated), json!({})).await;
        let voted = ask().await;
        cast.must_by(&approver, "approvals.vote", Some(voted), json!({"choice": "approve"})).await;
        let rejected = ask().await;
        cast.must_by(&approver, "approvals.vote", Some(rejected), json!({"choice": "reject"}))
            .await;
        cast.must_by(&owner, "approvals.withdraw", Some(ask().await), json!({})).await;
    }

    async fn state<I: AggregateId>(&self, id: I) -> I::State
    where
        I::State: Clone,
    {
        let loaded =
            self.cast.installation().app.log.load(self.cast.business, id.into()).await.unwrap();
        assert!(loaded.version > Version::START, "{:?} has no events", id.into());
        I::state_in(&loaded.state).unwrap().clone()
    }

    fn rows(&self, list: &str) -> Vec<Value> {
        let rows = self.answer[list]["nodes"].as_array().unwrap().clone();
        assert!(!rows.is_empty(), "no {list}");
        rows
    }
}

fn id(row: &Value) -> Uuid {
    row["id"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_what_they_fold_into_and_somebody_always_acts_next() {
    let work = Work::done().await;
    let mut seen = std::collections::BTreeSet::new();
    for row in work.rows("tasks") {
        let task = work.state(TaskId(id(&row))).await;
        let status = task.status.unwrap();
        seen.insert(status);
        let (mut waits_for, mut never) = (None, false);
        for other in &task.depends_on {
            let status = work.state(*other).await.status.unwrap();
            never |= !status.is_open() && status != Status::Completed;
            if status.is_open() {
                waits_for = waits_for.or(Some(*other));
            }
        }
        let waits_for = waits_for.filter(|_| !never);
        let next = match status {
            Status::Planned => {
                Some(waits_for.map_or("human:owner".to_owned(), |id| format!("waiting:{id}")))
            }
            Status::Offered => Some("team:sales/producer".to_owned()),
            Status::Leased => Some(format!("agent:{}", task.lease.unwrap().agent)),
            Status::Submitted => Some("team:sales/qa".to_owned()),
            Status::Escalated => Some(format!("human:{}", task.escalated_to.unwrap())),
            Status::Quarantined => Some("human:owner".to_owned()),
            Status::Completed | Status::Failed | Status::Cancelled => None,
        };
        let wanted = json!({
            "id": row["id"], "status": named(status), "team": named(task.team), "nextActor": next,
            "revision": task.revision, "fencingToken": task.fencing_token,
            "leaseAgentId": task.lease.map(|l| l.agent),
            "leaseExpiresAt": task.lease.map(|l| l.expires_at),
            "producerId": task.submission.map(|s| s.producer),
            "artifactDigest": task.submission.map(|s| s.artifact_digest),
            "reworkRounds": task.rework_rounds, "attemptsFailed": task.attempts_failed,
            "activityCount": task.activities,
        });
        assert_eq!(row, wanted);
    }
    assert_eq!(seen.len(), Status::ALL.len(), "a task in every status: {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn approvals_are_what_they_fold_into() {
    let work = Work::done().await;
    for row in work.rows("approvals") {
        let a = work.state(ApprovalId(id(&row))).await;
        let votes: std::collections::BTreeMap<_, _> = row["votes"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| (v["delegatedById"].as_str().or(v["voterId"].as_str()).unwrap(), &v["choice"]))
            .collect();
        let wanted: std::collections::BTreeMap<_, _> =
            a.votes.iter().map(|(right, vote)| (right.to_string(), named(vote.choice))).collect();
        assert!(votes.iter().map(|(p, c)| (p.to_string(), (*c).clone())).eq(wanted), "{row}");
        let mut row = row;
        row["votes"] = json!(null);
        let wanted = json!({
            "id": row["id"], "status": named(a.status), "commandType": a.command_type,
            "targetId": a.target,
            "approvalPolicyVersion": a.approval_policy_version,
            "quorum": a.quorum, "roles": named(a.roles), "requestedById": a.requested_by,
            "expiresAt": a.expires_at, "escalated": a.escalated, "builtIn": a.built_in,
            "taskId": a.task, "votes": null,
        });
        assert_eq!(row, wanted);
    }
    assert!(
        work.rows("approvals")
            .iter()
            .any(|a| a["escalated"] == json!(true) && a["roles"].as_array().unwrap().len() > 1),
        "one was opened to others"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_and_calls_are_what_they_fold_into() {
    let work = Work::done().await;
    for row in work.rows("budgets") {
        let b = work.state(BudgetId(id(&row))).await;
        assert_eq!(
            (row["limit"].clone(), row["scope"].as_str().unwrap()),
            (json!(b.limit), b.scope.as_ref().unwrap().to_string().as_str())
        );
        assert_eq!(row["window"], named(b.window));
        for period in row["periods"]["nodes"].as_array().unwrap() {
            let amount = |name: &str| {
                period[name].as_str().unwrap().parse::<domain::values::Amount>().unwrap()
            };
            let name = period["period"].as_str().unwrap();
            let open = b
                .reservations
                .values()
                .filter(|r| r.period == name)
                .try_fold(domain::values::Amount::ZERO, |sum, r| sum.plus(r.amount))
                .unwrap();
            assert_eq!(amount("reserved"), open, "what is set aside: {row}");
            assert_eq!(
                amount("reserved").plus(amount("spent")).unwrap(),
                b.used_in(name),
                "what is set aside or spent: {row}"
            );
        }
    }
    for row in work.rows("calls") {
        let c = work.state(CallId(id(&row))).await;
        let wanted = json!({"id": row["id"], "status": named(c.status),
            "agentId": c.agent, "taskId": c.task,
            "connector": c.connector, "costMax": c.cost_max});
        assert_eq!(row, wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_decisions_memory_and_the_business_are_what_they_fold_into() {
    let work = Work::done().await;
    let business = work.state(work.cast.business).await;
    let (phase, owner, currency) =
        (&work.answer["phase"], &work.answer["ownerId"], &work.answer["currency"]);
    assert_eq!(
        (phase, owner, currency),
        (&named(business.phase), &json!(business.owner), &json!(business.currency))
    );
    for row in work.rows("agents") {
        let a = work.state(AgentId(id(&row))).await;
        let runtime = a.runtime.unwrap();
        let wanted = json!({
            "id": row["id"], "status": named(a.status), "team": named(a.team),
            "role": named(a.role), "ownerId": a.owner, "principalId": a.principal,
            "permissions": {"tools": a.permissions.tools, "connectors": a.permissions.connectors,
                "dataClasses": a.permissions.data_classes},
            "concurrency": a.concurrency, "skills": a.skills, "model": runtime.model,
            "promptVersion": runtime.prompt_version,
        });
        assert_eq!(row, wanted);
    }
    for row in work.rows("decisions") {
        let d = work.state(DecisionId(id(&row))).await;
        assert_eq!(
            row,
            json!({"id": row["id"], "status": named(d.status), "agentId": d.agent,
                "supersededById": d.superseded_by})
        );
    }
    // Of a fact that was revised every version is a row; the last one is what it folds into.
    let mut last = std::collections::BTreeMap::new();
    work.rows("memory").into_iter().for_each(|row| {
        let id = row["itemId"].as_str().unwrap().parse::<Uuid>().unwrap();
        last.insert(id, row);
    });
    for (id, row) in last {
        if row["item"] == "DOCUMENT" {
            assert_eq!(row["status"], json!(work.state(DocumentId(id)).await.status));
        } else {
            let f = work.state(FactId(id)).await;
            assert_eq!(
                (&row["status"], &row["revision"], &row["agentId"]),
                (&json!(f.status), &json!(f.revision), &json!(f.agent))
            );
        }
    }
    for row in work.rows("exports") {
        assert!(work.state(ExportId(id(&row))).await.recorded);
    }
    let kpi = work.state(KpiId::of(work.cast.business, "throughput")).await;
    assert_eq!(
        (work.answer["kpis"][0]["target"].as_f64(), kpi.target.unwrap().to_string().as_str()),
        (Some(7.0), "7")
    );
}
