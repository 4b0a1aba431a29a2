//! The HTTP door, through a real socket.

mod graphql;

use std::sync::Arc;

use domain::access::PrincipalKind;
use serde_json::{Value, json};
use server::http::{Entrance, listen};
use tests::installation::Installation;

pub(crate) struct Door {
    pub(crate) installation: Installation,
    pub(crate) business: domain::BusinessId,
    url: String,
    key: String,
    handle: actix_handle::Handle,
}

mod actix_handle {
    /// Stops a server when it is dropped.
    pub(crate) struct Handle(pub server::http::Stop);
    impl Drop for Handle {
        fn drop(&mut self) {
            self.0.now();
        }
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) body: Value,
}

/// One worker, at any port.
pub(crate) fn entrance() -> Entrance {
    Entrance { address: "127.0.0.1:0".to_owned(), workers: 1, ..Entrance::default() }
}

impl Door {
    pub(crate) async fn open() -> Self {
        let installation = Installation::new().await;
        installation.business("acme").await;
        Self::on(installation).await
    }

    /// A door to what is there, with its business `acme`.
    pub(crate) async fn on(installation: Installation) -> Self {
        let business = installation.app.business("acme").await.unwrap().unwrap();
        let (_, secret) = installation.app.issue_key(server::app::operator()).await.unwrap();
        let listening = listen(
            Arc::clone(&installation.app),
            Entrance { hosts: "minutes.example.com".to_owned(), ..entrance() },
        )
        .unwrap();
        let (url, handle) =
            (format!("http://{}", listening.address), actix_handle::Handle(listening.stop()));
        tokio::spawn(listening.server);
        Self { installation, business, url, key: secret.reveal().to_owned(), handle }
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request =
            ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        if let Some(key) = key {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.to_owned()).unwrap();
        tokio::task::spawn_blocking(move || {
            let agent: ureq::Agent =
                ureq::Agent::config_builder().http_status_as_error(false).build().into();
            let mut response = agent.run(request).unwrap();
            let text = response.body_mut().with_config().limit(64 << 20).read_to_string().unwrap();
            let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
            Answer { status: response.status().as_u16(), headers: response.headers().clone(), body }
        })
        .await
        .unwrap()
    }

    pub(crate) async fn command(&self, key: &str, body: &Value) -> Answer {
        self.raw(key, &body.to_string()).await
    }

    pub(crate) async fn raw(&self, key: &str, body: &str) -> Answer {
        self.send(
            "POST",
            &format!("/v1/businesses/{}/commands", self.business),
            Some(&self.key),
            &[("Idempotency-Key", key)],
            body,
        )
        .await
    }

    /// Asks until `/readyz` answers with that status; gives what it said.
    pub(crate) async fn until_ready_is(&self, status: u16) -> Value {
        let began = std::time::Instant::now();
        loop {
            let answer = self.send("GET", "/readyz", None, &[], "").await;
            if answer.status == status {
                return answer.body;
            }
            assert!(began.elapsed() < std::time::Duration::from_secs(120), "{}", answer.body);
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }
}

fn plan() -> Value {
    json!({"type": "tasks.plan", "data": {"title": "x", "team": "hr"}})
}

fn problem(answer: &Answer) -> &str {
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert!(
        answer.body["detail"].as_str().unwrap().len() > 15
            && answer.body["status"] == json!(answer.status)
    );
    answer.body["type"].as_str().unwrap().strip_prefix("urn:minutebook:problem:").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_gets_a_receipt_and_a_repeat_the_same_one() {
    let door = Door::open().await;
    let first = door.command("k1", &plan()).await;
    assert_eq!(first.status, 200);
    let event = &first.body["events"][0];
    assert_eq!(
        (&event["type"], &event["kind"], &event["version"], &first.body["repeated"]),
        (&json!("tasks.planned"), &json!("task"), &json!(1), &json!(false))
    );
    let again = door.command("k1", &plan()).await;
    assert_eq!(
        (&again.body["events"], &again.body["repeated"]),
        (&first.body["events"], &json!(true))
    );
    let by_slug = door
        .send(
            "POST",
            "/v1/businesses/acme/commands",
            Some(door.key()),
            &[("Idempotency-Key", "k1")],
            &plan().to_string(),
        )
        .await;
    assert_eq!(by_slug.body, again.body);
    let reused = door
        .command("k1", &json!({"type": "tasks.plan", "data": {"title": "y", "team": "hr"}}))
        .await;
    assert_eq!((reused.status, problem(&reused)), (422, "key_reused"));
    let id = event["id"].as_str().unwrap();
    let offer = json!({"type": "tasks.offer", "id": id, "data": {}});
    let path = format!("/v1/businesses/{}/commands", door.business);
    let stale = door
        .send(
            "POST",
            &path,
            Some(door.key()),
            &[("Idempotency-Key", "k2"), ("If-Match", "\"9\"")],
            &offer.to_string(),
        )
        .await;
    assert_eq!((stale.status, problem(&stale)), (412, "precondition_failed"));
    let odd = door
        .send(
            "POST",
            &path,
            Some(door.key()),
            &[("Idempotency-Key", "k2"), ("If-Match", "9")],
            &offer.to_string(),
        )
        .await;
    assert_eq!((odd.status, problem(&odd)), (400, "malformed"));
    let fresh = door
        .send(
            "POST",
            &path,
            Some(door.key()),
            &[("Idempotency-Key", "k2"), ("If-Match", "\"1\"")],
            &offer.to_string(),
        )
        .await;
    assert_eq!(fresh.status, 200);
    let refused = door
        .command(
            "k3",
            &json!({"type": "tasks.submit", "id": id, "data": {"agent": id, "fencing_token": 1}}),
        )
        .await;
    assert_eq!((refused.status, problem(&refused)), (422, "wrong_kind"), "that is a task");
    let registered = door
        .send(
            "POST",
            "/v1/commands",
            Some(door.key()),
            &[("Idempotency-Key", "r")],
            &json!({"type": "businesses.register", "data": {"slug": "second"}}).to_string(),
        )
        .await;
    assert_eq!(
        (registered.status, &registered.body["events"][0]["type"]),
        (200, &json!("businesses.registered"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_opens_without_credentials_but_health_and_the_page() {
    let door = Door::open().await;
    for (method, path) in [
        ("POST", "/v1/commands"),
        ("POST", "/v1/businesses/acme/commands"),
        ("POST", "/v1/businesses/nobody/commands"),
        ("POST", "/graphql"),
        ("GET", "/metrics"),
        ("POST", "/v1/verification"),
        ("POST", "/v1/projections/rebuild"),
        ("POST", "/v1/projections/rollback"),
        ("POST", "/v1/projections/audit"),
        ("POST", "/v1/imports/transcript"),
        (
            "DELETE",
            "/v1/businesses/00000000-0000-0000-0000-000000000001/subjects/00000000-0000-0000-0000-000000000001/key",
        ),
    ] {
        for key in [None, Some("mb_guess")] {
            let answer = door.send(method, path, key, &[("Idempotency-Key", "k")], "{}").await;
            assert_eq!(
                (answer.status, problem(&answer)),
                (401, "unauthenticated"),
                "{method} {path}"
            );
        }
    }
    for path in ["/healthz", "/readyz", "/"] {
        assert_eq!(door.send("GET", path, None, &[], "").await.status, 200, "{path}");
    }
    let missing = door.send("GET", "/nowhere", None, &[], "").await;
    assert_eq!((missing.status, problem(&missing)), (404, "not_found"));
    let metrics = door.send("GET", "/metrics", Some(door.key()), &[], "").await;
    assert!(metrics.body.as_str().unwrap().contains("minutebook_views_lag 0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_get_404_members_403_operators_operate() {
    let door = Door::open().await;
    let stranger = door.installation.principal(door.business, PrincipalKind::Human, None).await;
    let auditor =
        door.installation.principal(door.business, PrincipalKind::Human, Some("auditor")).await;
    let (_, strange) = door.installation.app.issue_key(stranger.principal).await.unwrap();
    let (_, audit) = door.installation.app.issue_key(auditor.principal).await.unwrap();
    let path = format!("/v1/businesses/{}/commands", door.business);
    let ask = async |key: &str| {
        door.send("POST", &path, Some(key), &[("Idempotency-Key", "k")], &plan().to_string()).await
    };
    assert_eq!(ask(strange.reveal()).await.status, 404);
    assert_eq!(ask(audit.reveal()).await.status, 403);
    let nobody = door
        .send(
            "POST",
            "/v1/businesses/nobody/commands",
            Some(strange.reveal()),
            &[("Idempotency-Key", "k")],
            &plan().to_string(),
        )
        .await;
    assert_eq!(nobody.status, 404);
    let shred = format!("/v1/businesses/{}/subjects/{}/key", door.business, door.business);
    assert_eq!(door.send("DELETE", &shred, Some(strange.reveal()), &[], "").await.status, 404);
    assert_eq!(door.send("DELETE", &shred, Some(audit.reveal()), &[], "").await.status, 403);
    assert_eq!(
        door.send("POST", "/v1/verification", Some(audit.reveal()), &[], "").await.status,
        403
    );
    let verified = door.send("POST", "/v1/verification", Some(door.key()), &[], "").await;
    assert_eq!((verified.status, &verified.body["fault"]), (200, &Value::Null));
    let rebuilt = door.send("POST", "/v1/projections/rebuild", Some(door.key()), &[], "{}").await;
    assert_eq!(rebuilt.status, 202);
    door.installation.app.views.settled(std::time::Duration::from_secs(60)).await.unwrap();
    let metrics = door
        .send("GET", "/metrics", Some(door.key()), &[], "")
        .await
        .body
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        metrics.contains(&format!(
            "minutebook_views_verified_position {}",
            door.installation.app.views.position()
        )),
        "{metrics}"
    );
    let forbidden =
        door.send("POST", "/v1/projections/rollback", Some(audit.reveal()), &[], "{}").await;
    assert_eq!(forbidden.status, 403);
    let unknown = door
        .send("POST", "/v1/projections/rebuild", Some(door.key()), &[], "{\"name\":\"x\"}")
        .await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transcript_comes_in_over_the_door_too() {
    let door = Door::open().await;
    let all: Vec<Value> = serde_json::from_slice(
        &std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/data/tau-bench/airline-slice.json"))
            .unwrap(),
    )
    .unwrap();
    let body = json!({"settings": {"business": "airline", "currency": "USD"},
        "record": all[0].to_string()});
    let answer =
        door.send("POST", "/v1/imports/transcript", Some(door.key()), &[], &body.to_string()).await;
    assert_eq!((answer.status, &answer.body["tasks"]), (200, &json!(1)), "{}", answer.body);
    let broken = json!({"settings": {"business": "airline", "currency": "USD"}, "record": "{"});
    let answer = door
        .send("POST", "/v1/imports/transcript", Some(door.key()), &[], &broken.to_string())
        .await;
    assert_eq!((answer.status, problem(&answer)), (422, "broken_record"));
    let member =
        door.installation.principal(door.business, PrincipalKind::Human, Some("member")).await;
    let (_, secret) = door.installation.app.issue_key(member.principal).await.unwrap();
    let answer = door
        .send("POST", "/v1/imports/transcript", Some(secret.reveal()), &[], &body.to_string())
        .await;
    assert_eq!(answer.status, 403);
    drop(door.handle);
}
