//! The schema of GraphQL as a whole: every field and argument is asked, and says no more to an
//! agent
//! than its work needs, by whatever link it asks.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use server::app::operator;
use tests::installation::Installation;
use tests::sdl::{Question, Schema, questions};

use crate::permissions::cast::Person;
use crate::reading::Reading;

/// Fields without a value in all that the test has: other tests ask them where they have one.
const NEVER_SEEN: &[&str] = &[
    // Of projections that stopped, of faulty rules, and while a shadow build runs or failed.
    "ProjectionFailure.businessId",
    "ProjectionFailure.seq",
    "ProjectionFailure.error",
    "RuleFault.rule",
    "RuleFault.fault",
    "ViewsBuilding.purpose",
    "ViewsBuilding.position",
    "ViewsBuilding.of",
    "ViewsStatus.building",
    "ViewsOutcome.failed",
    // The operator has the profile for measurements.
    "RateLimits.businessCommandsPerSecond",
    "RateLimits.businessCommandsBurst",
    // No shipped rule looks at it.
    "Approval.risk",
    // Only a search has them.
    "Memory.snippet",
    "Memory.score",
];

/// Everything that a business can have, in every state that a command leads to.
async fn everything() -> Installation {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    crate::command_bus::every_command(&installation, business).await;
    let file = "langfuse/microsoft-agent-2025-12-17.trace.json";
    crate::metrics::import(&installation, &importers::Langfuse, file, "traces").await;
    crate::metrics::import(&installation, &importers::Xes, "process-logs/orders.xes", "traces")
        .await;
    let file = "tau-bench/airline-slice.json";
    crate::metrics::import(&installation, &importers::Transcripts, file, "airline").await;
    with_all_that_may_be_left_out(&installation).await;
    let minute = std::time::Duration::from_secs(60);
    // What was forgotten just now may be purged in the one file and not yet in the other.
    for tries in 0.. {
        installation.app.views.audit().await.unwrap();
        let outcome = installation.app.views.settled(minute).await.unwrap().unwrap();
        if outcome.differed.is_empty() && installation.app.views.health().verified.is_some() {
            break;
        }
        assert!(tries < 5, "{outcome:?}, {:?}", installation.app.views.health());
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    installation.app.caught_up(minute).await.unwrap();
    installation
}

/// Work whose events have the fields that may be left out.
async fn with_all_that_may_be_left_out(installation: &Installation) {
    let business = installation.business("rest").await;
    let must = async |command: &str, id: Option<uuid::Uuid>, data: Value| {
        installation.must(business, command, id, data).await.events[0].id
    };
    let mut agents = Vec::new();
    for role in ["producer", "qa"] {
        let kind = domain::access::PrincipalKind::Agent;
        let principal = installation.principal(business, kind, Some("agent")).await.principal;
        let agent = json!({"name": role, "team": "hr", "role": role, "principal": principal,
            "runtime": {"model": "m", "prompt_version": "7"},
            "concurrency": 2,
            "permissions": {"tools": [], "connectors": [], "data_classes": []}});
        agents.push(must("agents.enrol", None, agent).await);
    }
    let plan = json!({"title": "t", "instructions": "i", "team": "hr"});
    let task = must("tasks.plan", None, plan.clone()).await;
    must("tasks.offer", Some(task), json!({})).await;
    must("tasks.lease", Some(task), json!({"agent": agents[0]})).await;
    let decision = json!({"choice": "c", "rationale": "r", "confidence": "0.5", "risk": "low",
        "task": task, "agent": agents[0], "usage": {"model": "m", "prompt_version": "7",
            "input_tokens": 1, "output_tokens": 1, "cached_tokens": 1, "reasoning_tokens": 1}});
    let decision = must("decisions.record", None, decision).await;
    let outcome = json!({"outcome": "o", "as_wanted": true});
    must("decisions.observe_outcome", Some(decision), outcome).await;
    let call = json!({"connector": "crm", "operation": "o", "class": "read", "arguments": {},
        "task": task, "decision": decision});
    let id = uuid::Uuid::now_v7();
    installation.approved(business, "integrations.intend_call", id, call).await;
    must("integrations.succeed_call", Some(id), json!({"status": 200})).await;
    delegated_vote(installation, business).await;
    let fact = json!({"fact_kind": "process_memory", "statement": "s", "topic": "t",
        "valid_from": "2026-01-01T00:00:00Z", "valid_to": "2027-01-01T00:00:00Z"});
    must("memory.record_fact", None, fact).await;
    let document = json!({"title": "t", "text": "x", "source": "s.md"});
    must("memory.add_document", None, document).await;
    let done = must("tasks.plan", None, plan).await;
    must("tasks.offer", Some(done), json!({})).await;
    must("tasks.lease", Some(done), json!({"agent": agents[0]})).await;
    let cost = json!({"amount": "1.5", "currency": "EUR"});
    let result = json!({"agent": agents[0], "fencing_token": 1, "result": "r", "cost": cost});
    must("tasks.submit", Some(done), result).await;
}

/// A vote with a comment, by the right of somebody else.
async fn delegated_vote(installation: &Installation, business: domain::BusinessId) {
    let human = domain::access::PrincipalKind::Human;
    let approver = installation.principal(business, human, Some("approver")).await;
    let deputy = installation.principal(business, human, Some("member")).await;
    let operator = installation.app.operator_in(business).await.unwrap();
    let pay = json!({"connector": "bank", "operation": "pay", "class": "spending",
        "arguments": {}, "cost_max": {"amount": "1", "currency": "EUR"}});
    let command =
        json!({"type": "integrations.intend_call", "id": uuid::Uuid::now_v7(), "data": pay});
    let request = json!({"command": command});
    let requested =
        installation.submit(&operator, business, "approvals.request", None, request).await.unwrap();
    let approval = Some(requested.events[0].id);
    let delegate = json!({"to": deputy.principal, "until": "2027-01-01T00:00:00Z"});
    let vote = json!({"choice": "approve", "comment": "c", "delegated_by": approver.principal});
    for (who, what, data) in
        [(&approver, "approvals.delegate", delegate), (&deputy, "approvals.vote", vote)]
    {
        installation.submit(who, business, what, approval, data).await.unwrap();
    }
}

/// Arguments that fields need, and values that only some arguments have.
async fn needed(installation: &Installation, slug: &str) -> BTreeMap<&'static str, String> {
    let some = format!(
        "{{ business(slug: \"{slug}\") {{ nodeId tasks(first: 1) {{ edges {{ cursor }} }} \
         attempts(first: 1) {{ edges {{ cursor }} }} events(first: 1) {{ nodes {{ id }} }} }} \
         businesses(first: 1) {{ edges {{ cursor }} }} }}"
    );
    let found = installation.query(&some).await;
    let text = |pointer: &str| found.pointer(pointer).unwrap().to_string();
    let mut needed = BTreeMap::from([
        ("Query.business", format!("slug: \"{slug}\"")),
        ("Query.node", format!("id: {}", text("/business/nodeId"))),
        ("Business.search", "text: \"x\"".to_owned()),
        ("Business.inclusionProof", format!("eventId: {}", text("/business/events/nodes/0/id"))),
        ("Business.memory", "history: true".to_owned()),
        ("Business.kpis", "ids: [\"throughput\", \"cost\"]".to_owned()),
        ("Portfolio.kpis", "ids: [\"throughput\"]".to_owned()),
        ("Portfolio.kpis.currency", "\"EUR\"".to_owned()),
        ("Kpi.series", "by: DAY".to_owned()),
        ("Kpi.breakdown", "by: MODEL".to_owned()),
        ("EventFilter.type", "\"tasks.planned\"".to_owned()),
        ("Query.businesses.after", text("/businesses/edges/0/cursor")),
        ("Business.attempts.after", text("/business/attempts/edges/0/cursor")),
    ]);
    needed.extend([("Query.businesses.before", needed["Query.businesses.after"].clone())]);
    needed
}

/// Every object in an answer, with its type.
fn objects<'a>(value: &'a Value, found: &mut Vec<(&'a str, &'a serde_json::Map<String, Value>)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| objects(item, found)),
        Value::Object(fields) => {
            if let Some(ty) = fields.get("__typename").and_then(Value::as_str) {
                found.push((ty, fields));
            }
            fields.values().for_each(|item| objects(item, found));
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_and_argument_is_answered_and_every_field_has_a_value_once() {
    let (installation, work) = (everything().await, crate::alike::Work::done().await);
    let schema = Schema::parse(&read_api::sdl());
    let mut seen = BTreeSet::new();
    let mut asked = 0;
    let busy = ["acme", "traces", "airline", "rest"].map(|slug| (&installation, slug));
    for (installation, slug) in busy.into_iter().chain([(work.cast.installation(), "acme")]) {
        let mut all = questions(&schema, &needed(installation, slug).await);
        all.push(principals_that_are_agents(slug));
        for question in all {
            let answer = installation.try_query(operator(), &question.text).await;
            let errors = &answer["errors"];
            let fine = errors.is_null() || is_meant(&question.about, errors);
            assert!(fine, "{}: {}: {errors}", question.about, question.text);
            let mut found = Vec::new();
            objects(&answer["data"], &mut found);
            for (ty, fields) in found {
                let has = fields.iter().filter(|(_, value)| !value.is_null());
                seen.extend(has.map(|(name, _)| format!("{ty}.{name}")));
            }
            asked += 1;
        }
    }
    assert!(asked > 500, "{asked}");
    let all = schema.0.iter().filter(|(name, _)| !matches!(&***name, "Subscription" | "Node"));
    let never: Vec<String> = all
        .flat_map(|(name, ty)| ty.fields().iter().map(move |f| format!("{name}.{}", f.name)))
        .filter(|field| !seen.contains(field) && !field.contains("Change."))
        .filter(|field| !NEVER_SEEN.contains(&&**field))
        .collect();
    assert_eq!(never, Vec::<String>::new(), "no answer has them");
}

/// The shortest way to a principal is the owner, who is no agent.
fn principals_that_are_agents(slug: &str) -> Question {
    let text = format!(
        "{{ business(slug: \"{slug}\") {{ agents {{ nodes {{ principal {{ __typename agent {{ \
         __typename }} }} }} }} }} }}"
    );
    Question { about: "Principal".to_owned(), text }
}

/// A text that is no cursor of the list is refused, and so are two names for one business.
fn is_meant(about: &str, errors: &Value) -> bool {
    let code = &errors[0]["extensions"]["code"];
    let is_cursor = about.ends_with(".after") || about.ends_with(".before");
    (is_cursor && *code == json!("BAD_CURSOR"))
        || (about == "Query.business.id" && *code == json!("BAD_ARGUMENT"))
}

#[tokio::test(flavor = "multi_thread")]
async fn by_no_link_does_an_agent_come_to_the_work_of_another_team() {
    let reading = Reading::new().await;
    let (agent, stranger) =
        (reading.cast.person("agent", "").clone(), reading.cast.person("stranger", "").clone());
    let installation = reading.cast.installation();
    foreign_work_on_own(&reading, &agent, &stranger).await;
    installation.app.caught_up(std::time::Duration::from_secs(60)).await.unwrap();
    let ids = |team: &str, person: &Person| {
        let (principal, id) = (person.actor.principal, person.agent.unwrap());
        format!(
            "{{ business(slug: \"acme\") {{ tasks(filter: {{team: {team}}}) {{ nodes {{ id }} }} \
             approvals(filter: {{requestedById: \"{principal}\"}}) {{ nodes {{ id }} }} events(\
             filter: {{actorId: \"{principal}\"}}) {{ nodes {{ id aggregateId }} }} \
             decisions(filter: {{agentId: \"{id}\"}}) {{ nodes {{ id }} }} \
             calls(filter: {{agentId: \"{id}\"}}) {{ nodes {{ id }} }} }} }}"
        )
    };
    let of = async |team: &str, person: &Person| {
        let found = installation.query(&ids(team, person)).await;
        let mut all = BTreeSet::new();
        texts(&found, &mut all);
        all
    };
    let own = of("SALES", &agent).await;
    let foreign: BTreeSet<String> = of("HR", &stranger).await.difference(&own).cloned().collect();
    assert!(foreign.len() >= 8 && own.len() >= 8, "{foreign:?} {own:?}");
    let (mut answered, mut met) = (0, BTreeSet::new());
    let next_door = reading.cast.person("elsewhere", "").actor.principal;
    let schema = Schema::parse(&read_api::sdl());
    for question in questions(&schema, &needed(installation, "acme").await) {
        let answer = installation.try_query(agent.actor.principal, &question.text).await;
        answered += u32::from(answer["errors"].is_null());
        let mut all = BTreeSet::new();
        texts(&answer["data"], &mut all);
        let leaked: Vec<_> = all.intersection(&foreign).collect();
        assert!(leaked.is_empty(), "{}: {leaked:?}", question.text);
        met.extend(all.intersection(&own).cloned());
        // Nor does somebody of another business come to any of it.
        let mut all = BTreeSet::new();
        texts(&installation.try_query(next_door, &question.text).await["data"], &mut all);
        assert!(all.is_disjoint(&own) && all.is_disjoint(&foreign), "{}", question.text);
    }
    assert!(answered > 200 && met.len() >= 5, "{answered} answered, {met:?}");
}

/// What an agent's own task, decision and events lead to, but is another team's work.
async fn foreign_work_on_own(reading: &Reading, agent: &Person, stranger: &Person) {
    let (installation, business) = (reading.cast.installation(), reading.cast.business);
    let tasks = installation
        .query("{ business(slug: \"acme\") { tasks(filter: {team: SALES}) { nodes { id } } } }")
        .await;
    let own = tasks["business"]["tasks"]["nodes"][0]["id"].clone();
    let decision = json!({"choice": "x", "agent": agent.agent, "task": own});
    let mine = installation.must(business, "decisions.record", None, decision).await;
    let decision = json!({"choice": "x", "agent": stranger.agent, "task": own});
    let theirs = installation.must(business, "decisions.record", None, decision).await;
    let by = json!({"by": theirs.events[0].id});
    installation.must(business, "decisions.supersede", Some(mine.events[0].id), by).await;
    let call = json!({"connector": "slack", "operation": "conversations.history", "class": "read",
        "arguments": {}, "agent": stranger.agent, "task": own,
        "cost_max": {"amount": "0.01", "currency": "EUR"}});
    installation.must(business, "integrations.intend_call", None, call).await;
}

/// Every text in an answer, but not those by which an object names others.
fn texts(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => {
            let names_others = |name: &str| {
                name != "nodeId" && (name.ends_with("Id") || name.ends_with("Ids"))
                    || matches!(name, "data" | "stored")
            };
            let shown = fields.iter().filter(|(name, _)| !names_others(name));
            shown.for_each(|(_, item)| texts(item, found));
        }
        Value::String(text) => {
            found.insert(text.clone());
        }
        _ => {}
    }
}
