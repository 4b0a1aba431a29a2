//! Everybody who plays a part: a person for each column of the table, each with a key of their own.

use std::collections::HashMap;

use commands::{Actor, Submission};
use domain::BusinessId;
use domain::access::PrincipalKind;
use domain::ids::{ApprovalId, INSTALLATION};
use serde_json::{Value, json};
use tests::installation::Installation;
use uuid::Uuid;

use crate::door::Door;

/// Somebody who sends commands.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) name: &'static str,
    pub(crate) actor: Actor,
    /// The agent that its credentials stand for.
    pub(crate) agent: Option<Uuid>,
    /// `None` for an importer: it works inside the program.
    key: Option<String>,
}

impl Person {
    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

/// A business at work, with a door and everybody who knocks.
pub(crate) struct Cast {
    pub(crate) door: Door,
    pub(crate) business: BusinessId,
    people: HashMap<&'static str, Person>,
}

/// What agents of the test may use.
const PERMISSIONS: &str = r#"{"tools": ["conversations.history", "pay", "report:revenue"], "connectors": ["slack", "bank"], "data_classes": ["restricted"]}"#;

impl Cast {
    pub(crate) async fn new() -> Self {
        let door = Door::open().await;
        let business = door.business;
        let installation = &door.installation;
        // A first policy, so that every later one is a change; and a budget that counts everything.
        let shipped = json!({"rules": domain::approvals::shipped_rules()});
        installation.must(business, "approvals.define_policy", None, shipped).await;
        let limit = json!({"scope": {"business": {}}, "window": "lifetime",
            "limit": {"amount": "100000", "currency": "EUR"}});
        installation.must(business, "budgets.set", None, limit).await;
        let mut people = HashMap::new();
        for (name, kind, role) in [
            ("nobody", PrincipalKind::Human, None),
            ("owner", PrincipalKind::Human, Some("owner")),
            ("member", PrincipalKind::Human, Some("member")),
            ("other_member", PrincipalKind::Human, Some("member")),
            ("approver", PrincipalKind::Human, Some("approver")),
            ("auditor", PrincipalKind::Human, Some("auditor")),
            ("service", PrincipalKind::Service, Some("service")),
        ] {
            let actor = installation.principal(business, kind, role).await;
            people.insert(name, keyed(installation, name, actor, None).await);
        }
        let other = installation.business("elsewhere").await;
        let owner = installation.principal(other, PrincipalKind::Human, Some("owner")).await;
        let actor = Actor { roles: std::collections::BTreeSet::new(), ..owner };
        people.insert("elsewhere", keyed(installation, "elsewhere", actor, None).await);
        for (name, role, team) in [
            ("agent", "producer", "sales"),
            ("qa", "qa", "sales"),
            ("teammate", "producer", "sales"),
            ("stranger", "producer", "hr"),
        ] {
            people.insert(name, agent(installation, business, name, role, team).await);
        }
        let operator = Uuid::now_v7();
        let add = json!({"kind": "human", "display_name": "second operator", "operator": true});
        installation.must(INSTALLATION, "access.add_principal", Some(operator), add).await;
        let operator = installation
            .app
            .bus
            .directory()
            .actor(domain::PrincipalId(operator), business)
            .await
            .unwrap()
            .unwrap();
        people.insert("operator", keyed(installation, "operator", operator, None).await);
        let root = installation.app.operator_in(business).await.unwrap();
        people.insert("root", Person { name: "root", actor: root, agent: None, key: None });
        let importer =
            installation.principal(business, PrincipalKind::Service, Some("service")).await;
        let actor = Actor { historic: true, ..importer };
        people.insert("importer", Person { name: "importer", actor, agent: None, key: None });
        Self { door, business, people }
    }

    pub(crate) fn installation(&self) -> &Installation {
        &self.door.installation
    }

    /// The person of a column; reviews are an agent's of the other role.
    pub(crate) fn person(&self, name: &str, command: &str) -> &Person {
        let name = if name == "agent" && command == "tasks.review" { "qa" } else { name };
        self.people.get(name).unwrap_or_else(|| panic!("nobody is called {name}"))
    }

    pub(crate) async fn importer_with_a_key(&self) -> Person {
        let importer = self.person("importer", "");
        keyed(
            self.installation(),
            "importer",
            Actor { historic: false, ..importer.actor.clone() },
            None,
        )
        .await
    }

    /// Sends a command to where it belongs; the answer's status and body.
    pub(crate) async fn send(&self, person: &Person, command: &str, body: &Value) -> String {
        let installation = commands::AnyCommand::type_named(command)
            .is_some_and(|t| t.stream == commands::Stream::Installation);
        let path = if installation || command == "businesses.register" {
            "/v1/commands".to_owned()
        } else {
            format!("/v1/businesses/{}/commands", self.business)
        };
        self.send_to(person, &path, body).await
    }

    pub(crate) async fn send_to(&self, person: &Person, path: &str, body: &Value) -> String {
        let Some(key) = &person.key else {
            return self.submit_inside(person, path == "/v1/commands", body).await;
        };
        let idempotency = self.installation().key();
        let answer = self
            .door
            .send("POST", path, Some(key), &[("Idempotency-Key", &idempotency)], &body.to_string())
            .await;
        format!("{} {}", answer.status, answer.body)
    }

    /// What an importer does: the same command bus, without a door.
    async fn submit_inside(&self, person: &Person, above: bool, body: &Value) -> String {
        let business = if above { INSTALLATION } else { self.business };
        let id = body["id"].as_str().map(|id| id.parse().unwrap());
        let mut submission = Submission::new(
            business,
            person.actor.clone(),
            self.installation().key(),
            body["type"].as_str().unwrap(),
            id,
            &body["data"],
        );
        submission.approval_id =
            body["approval_id"].as_str().map(|id| ApprovalId(id.parse().unwrap()));
        match self.installation().app.bus.submit(submission).await {
            Ok(_) => "200".to_owned(),
            Err(e @ commands::CommandError::NotFound(_)) => format!("404 {e}"),
            Err(e @ commands::CommandError::Forbidden { .. }) => format!("403 {e}"),
            Err(e) => format!("422 {e}"),
        }
    }

    /// Sends as somebody, who must get through; the id of the first event's aggregate.
    pub(crate) async fn must_by(
        &self,
        person: &Person,
        command: &str,
        id: Option<Uuid>,
        data: Value,
    ) -> Uuid {
        let receipt =
            self.installation().submit(&person.actor, self.business, command, id, data).await;
        receipt.unwrap_or_else(|e| panic!("{command} by {}: {e}", person.name)).events[0].id
    }

    pub(crate) async fn fresh_agent(&self) -> Uuid {
        self.installation()
            .agent_named(self.business, "producer", &Uuid::now_v7().to_string())
            .await
    }
}

async fn keyed(
    installation: &Installation,
    name: &'static str,
    actor: Actor,
    agent: Option<Uuid>,
) -> Person {
    let key = installation.app.issue_key(actor.principal).await.unwrap().1.reveal().to_owned();
    Person { name, actor, agent, key: Some(key) }
}

async fn agent(
    installation: &Installation,
    business: BusinessId,
    name: &'static str,
    role: &str,
    team: &str,
) -> Person {
    let actor = installation.principal(business, PrincipalKind::Agent, Some("agent")).await;
    let permissions: Value = serde_json::from_str(PERMISSIONS).unwrap();
    let data = json!({"name": name, "team": team, "role": role, "runtime": {"model": "m"},
        "principal": actor.principal, "permissions": permissions, "concurrency": 100});
    let id = domain::ids::AgentId::of(business, actor.principal).0;
    installation.approved(business, "agents.enrol", id, data).await;
    keyed(installation, name, actor, Some(id)).await
}
