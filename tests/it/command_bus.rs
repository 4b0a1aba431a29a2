//! The command bus: repeats, versions, lanes, and live state that is what a replay gives.

mod others;

use commands::{AnyCommand, CommandError, Refusal, Submission};
use domain::ids::INSTALLATION;
use event_log::Version;
use serde_json::{Value, json};
use tests::installation::Installation;
use uuid::Uuid;

/// Sends one command after another, all of which must get through with events.
struct Script<'a> {
    installation: &'a Installation,
    business: domain::BusinessId,
    done: Vec<(Submission, commands::Receipt)>,
}

impl Script<'_> {
    async fn send(
        &mut self,
        actor: &commands::Actor,
        command: &str,
        id: Option<Uuid>,
        data: Value,
    ) {
        self.send_approved(actor, command, id, data, None).await;
    }

    /// Sends a command with an approval; one that lacks it asks for one first.
    async fn send_approved(
        &mut self,
        actor: &commands::Actor,
        command: &str,
        id: Option<Uuid>,
        data: Value,
        approval: Option<Uuid>,
    ) {
        let mut submission = Submission::new(
            self.business,
            actor.clone(),
            self.installation.key(),
            command,
            id,
            &data,
        );
        submission.approval_id = approval.map(domain::ids::ApprovalId);
        let bus = &self.installation.app.bus;
        let mut receipt = bus.submit(submission.clone()).await;
        if let Err(CommandError::Refused(Refusal::ApprovalRequired { id, .. })) = receipt {
            submission.key = self.installation.key();
            submission.id = Some(id);
            submission.approval_id = Some(domain::ids::ApprovalId(
                self.installation.approval_of(self.business, command, id, &data).await,
            ));
            receipt = bus.submit(submission.clone()).await;
        }
        let receipt = receipt.unwrap_or_else(|e| panic!("{command}: {e}"));
        assert!(!receipt.events.is_empty(), "{command}");
        self.done.push((submission, receipt));
    }

    async fn all(&mut self, actor: &commands::Actor, steps: Vec<(&str, Option<Uuid>, Value)>) {
        for (command, id, data) in steps {
            self.send(actor, command, id, data).await;
        }
    }
}

fn eur(n: &str) -> Value {
    json!({"amount": n, "currency": "EUR"})
}

/// Every command but those of the installation, each in a state in which it gets through.
pub(crate) async fn every_command(
    installation: &Installation,
    business: domain::BusinessId,
) -> Vec<(Submission, commands::Receipt)> {
    let operator = installation.app.operator_in(business).await.unwrap();
    let mut script = Script { installation, business, done: Vec::new() };
    business_and_agents(&mut script, &operator).await;
    work(&mut script, &operator).await;
    decisions_calls_and_money(&mut script, &operator).await;
    memory_and_metrics(&mut script, &operator).await;
    approvals(&mut script, &operator).await;
    installation
        .must(
            business,
            "tasks.plan",
            None,
            json!({"title": "x", "team": "sales", "serves": id(77)}),
        )
        .await;
    script.all(&operator, vec![("privacy.forget_subject", None, json!({"subject": id(77)}))]).await;
    script.all(&operator, vec![("businesses.forget", None, json!({}))]).await;
    script.all(&operator, vec![("agents.retire", Some(agent_of(business, "qa")), json!({}))]).await;
    script.done
}

async fn business_and_agents(script: &mut Script<'_>, operator: &commands::Actor) {
    let installation = script.installation;
    installation.lets_crm_be_asked(script.business, &["o"]).await;
    for role in ["producer", "qa"] {
        let id = Some(principal(script.business, role));
        installation
            .must(
                INSTALLATION,
                "access.add_principal",
                id,
                json!({"kind": "agent", "display_name": role}),
            )
            .await;
        installation
            .must(
                INSTALLATION,
                "access.grant_role",
                id,
                json!({"business": script.business, "role": "agent"}),
            )
            .await;
    }
    let agent = |role: &str| {
        json!({"name": role, "team": "sales", "role": role, "runtime": {"model": "m"},
            "principal": principal(script.business, role),
            "permissions": {"tools": ["o"], "connectors": ["crm"], "data_classes": ["restricted"]}})
    };
    let (a, q) = (agent_of(script.business, "producer"), agent_of(script.business, "qa"));
    let steps = vec![
        ("businesses.advance", None, json!({"to": "planning", "note": "go"})),
        ("agents.enrol", Some(a), agent("producer")),
        ("agents.enrol", Some(q), agent("qa")),
        ("agents.change", Some(a), json!({"concurrency": 3})),
        ("agents.suspend", Some(a), json!({"reason": "x"})),
        ("agents.resume", Some(a), json!({})),
        (
            "budgets.set",
            None,
            json!({"scope": {"business": {}}, "window": "month", "limit": eur("50")}),
        ),
    ];
    script.all(operator, steps).await;
}

async fn work(script: &mut Script<'_>, operator: &commands::Actor) {
    let (a, q, t, t2) =
        (agent_of(script.business, "producer"), agent_of(script.business, "qa"), id(3), id(4));
    let lease = json!({"agent": a, "lease_seconds": 120});
    let token = |n: u32| json!({"fencing_token": n});
    let steps = vec![
        ("tasks.plan", Some(t), json!({"title": "t", "team": "sales"})),
        ("tasks.offer", Some(t), json!({})),
        ("tasks.lease", Some(t), lease.clone()),
        ("tasks.release", Some(t), token(1)),
        ("tasks.lease", Some(t), lease.clone()),
        ("tasks.fail", Some(t), json!({"fencing_token": 2, "retryable": true})),
        ("tasks.lease", Some(t), lease.clone()),
    ];
    script.all(operator, steps).await;
    script.installation.clock.advance_seconds(100);
    script.all(operator, vec![("tasks.heartbeat", Some(t), token(3))]).await;
    script.installation.clock.advance_seconds(121);
    let steps = vec![
        ("tasks.expire", Some(t), json!({})),
        ("tasks.lease", Some(t), lease.clone()),
        ("tasks.quarantine", Some(t), json!({"fencing_token": 4, "reason": "no answer"})),
        ("tasks.resolve", Some(t), json!({"resolution": "offered"})),
        ("tasks.lease", Some(t), lease.clone()),
        ("tasks.submit", Some(t), json!({"agent": a, "fencing_token": 5, "result": "r"})),
    ];
    script.all(operator, steps).await;
    let submitted = script.done.last().unwrap().1.events[0].event_id;
    let stored =
        script.installation.app.log.find(script.business, submitted).await.unwrap().unwrap();
    let stored: Value = serde_json::from_slice(&stored.bytes).unwrap();
    let digest = &stored["data"]["artifact"]["digest"];
    let steps = vec![
        (
            "tasks.review",
            Some(t),
            json!({"reviewer": q, "artifact_digest": digest, "verdict": "changes_requested"}),
        ),
        ("tasks.lease", Some(t), lease),
        ("tasks.escalate", Some(t), json!({"fencing_token": 6, "result": "r"})),
        ("tasks.cancel", Some(t), json!({})),
        ("tasks.plan", Some(t2), json!({"title": "t", "team": "sales", "depends_on": [t]})),
        ("tasks.record_activity", Some(t2), json!({"activity": "x"})),
    ];
    script.all(operator, steps).await;
    let steps = vec![
        ("tasks.open_history", Some(id(20)), json!({"format": "xes", "header": "{}"})),
        (
            "tasks.close_history",
            Some(t2),
            json!({"completed": true, "history": id(20), "place": 1}),
        ),
    ];
    script.all(&commands::Actor { historic: true, ..operator.clone() }, steps).await;
}

async fn decisions_calls_and_money(script: &mut Script<'_>, operator: &commands::Actor) {
    let (d, d2, c, c2, budget) = (id(5), id(6), id(7), id(8), month(script.business));
    let call = |class: &str| {
        json!({"connector": "crm", "operation": "o", "class": class,
        "arguments": [1, {"a": null}], "cost_max": eur("1")})
    };
    let steps = vec![
        (
            "decisions.record",
            Some(d),
            json!({"choice": "x", "task": id(3), "agent": agent_of(script.business, "producer")}),
        ),
        ("decisions.record", Some(d2), json!({"choice": "y"})),
        ("decisions.supersede", Some(d), json!({"by": d2})),
        ("decisions.reverse", Some(d2), json!({"reason": "x"})),
        ("decisions.observe_outcome", Some(d), json!({"outcome": "x"})),
        ("integrations.intend_call", Some(c), call("read")),
        ("integrations.succeed_call", Some(c), json!({"result": "ok", "cost": eur("0.5")})),
        ("integrations.intend_call", Some(c2), call("write")),
        ("integrations.mark_call_ambiguous", Some(c2), json!({"reason": "x"})),
        ("integrations.fail_call", Some(c2), json!({"error": "x"})),
        ("budgets.reserve", Some(id(9)), json!({"amount": eur("1")})),
        ("budgets.settle", Some(budget), json!({"reservation": id(9), "amount": eur("2")})),
        ("budgets.reserve", Some(id(10)), json!({"amount": eur("1")})),
        ("budgets.release", Some(budget), json!({"reservation": id(10)})),
    ];
    script.all(operator, steps).await;
}

async fn memory_and_metrics(script: &mut Script<'_>, operator: &commands::Actor) {
    let (fact, other, document) = (id(21), id(22), id(23));
    let known = json!({"fact_kind": "process_memory", "statement": "the shop ships on \
        Mondays", "value": {"day": 1}, "confidence": "0.9"});
    let steps = vec![
        ("memory.record_fact", Some(fact), known.clone()),
        (
            "memory.revise_fact",
            Some(fact),
            json!({"statement": "the shop ships on \
                Tuesdays", "valid_from": "2026-11-24T00:00:00Z"}),
        ),
        ("memory.record_fact", Some(other), known),
        ("memory.supersede_fact", Some(fact), json!({"by": other})),
        ("memory.retract_fact", Some(other), json!({"reason": "it does not ship"})),
        (
            "memory.add_document",
            Some(document),
            json!({"title": "Shipping", "text": "# When\nnever\n"}),
        ),
        ("memory.retract_document", Some(document), json!({})),
        (
            "metrics.report",
            Some(id(24)),
            json!({"measure": "revenue", "value": "12.5", "unit": "EUR"}),
        ),
        (
            "metrics.define_kpi",
            None,
            json!({"kpi": "revenue", "text": "What came in.", "measure": "revenue",
                "aggregation": "sum", "unit": "EUR", "direction": "up"}),
        ),
        (
            "operations.record_export",
            Some(id(25)),
            json!({"format": "jsonl", "events": 1, "digest": "0".repeat(64),
                "root": "0".repeat(64)}),
        ),
        ("metrics.set_target", None, json!({"kpi": "revenue", "target": "100"})),
    ];
    script.all(operator, steps).await;
}

async fn approvals(script: &mut Script<'_>, operator: &commands::Actor) {
    let budget = month(script.business);
    let approver = script
        .installation
        .principal(script.business, domain::access::PrincipalKind::Human, Some("approver"))
        .await;
    let request =
        json!({"command": {"type": "budgets.raise", "id": budget, "data": {"by": eur("5")}}});
    let deputy = script
        .installation
        .principal(script.business, domain::access::PrincipalKind::Human, Some("member"))
        .await
        .principal;
    let steps = vec![
        ("approvals.request", Some(id(11)), request.clone()),
        ("approvals.comment", Some(id(11)), json!({"comment": "x"})),
        ("approvals.escalate", Some(id(11)), json!({})),
        ("approvals.withdraw", Some(id(11)), json!({})),
        ("approvals.request", Some(id(12)), request.clone()),
    ];
    script.all(operator, steps).await;
    let steps = vec![
        (
            "approvals.delegate",
            Some(id(12)),
            json!({"to": deputy, "until": "2027-01-01T00:00:00Z"}),
        ),
        ("approvals.revoke_delegation", Some(id(12)), json!({"to": deputy})),
        ("approvals.vote", Some(id(12)), json!({"choice": "approve"})),
    ];
    script.all(&approver, steps).await;
    script
        .send_approved(
            operator,
            "budgets.raise",
            Some(budget),
            json!({"by": eur("5")}),
            Some(id(12)),
        )
        .await;
    script.all(operator, vec![("approvals.request", Some(id(13)), request)]).await;
    script.installation.clock.advance_seconds(7 * 86_400);
    let steps = vec![
        ("approvals.expire", Some(id(13)), json!({})),
        ("approvals.define_policy", None, json!({"rules": []})),
    ];
    script.all(operator, steps).await;
}

fn month(business: domain::BusinessId) -> Uuid {
    domain::ids::BudgetId::of(
        business,
        &domain::budgets::Scope::Business {},
        domain::budgets::Window::Month,
    )
    .0
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(0xd000 + n)
}

fn principal(business: domain::BusinessId, name: &str) -> Uuid {
    business.derive_id(name)
}

fn agent_of(business: domain::BusinessId, name: &str) -> Uuid {
    domain::ids::AgentId::of(business, domain::PrincipalId(principal(business, name))).0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_submitted_twice_has_one_receipt_and_no_new_event() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let done = every_command(&installation, business).await;
    let covered: std::collections::BTreeSet<_> =
        done.iter().map(|(s, _)| s.r#type.clone()).collect();
    // Registering is two appends in two streams; the door's tests send it twice. What accepts a
    // clock, passes over an event or forgets a name is of the installation; the tests of clocks, of
    // views and of privacy send it.
    let elsewhere = [
        "businesses.claim_slug",
        "businesses.register",
        "operations.accept_clock",
        "operations.skip_event",
        "privacy.forget_name",
    ];
    for command in AnyCommand::types()
        .filter(|t| !t.name.starts_with("access.") && !elsewhere.contains(&t.name))
    {
        assert!(covered.contains(command.name), "{} is not in the script", command.name);
    }
    let head = installation.app.log.head(business).await.unwrap();
    for (mut submission, first) in done {
        // The aggregate has moved on since, and the caller's If-Match is long stale: still the
        // first receipt.
        submission.if_match = Some(Version(999));
        let again = installation.app.bus.submit(submission.clone()).await.unwrap();
        assert!(again.repeated && !first.repeated);
        assert_eq!(
            (&again.events, again.position),
            (&first.events, first.position),
            "{}",
            submission.r#type
        );
        let mut other = submission;
        other.causation = Some(first.events[0].event_id);
        assert!(matches!(
            installation.app.bus.submit(other).await,
            Err(CommandError::KeyReused(_))
        ));
    }
    assert_eq!(installation.app.log.head(business).await.unwrap(), head);
    installation.views_are_rebuilt_alike().await;
    installation.verifies().await;
}
