//! Who asks too much is told when to come again, through the doors, on a clock by hand.

use commands::CommandError;
use domain::access::PrincipalKind;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::installation::Installation;

use crate::door::{Answer, Door};

async fn agent(
    installation: &Installation,
    business: domain::BusinessId,
) -> (commands::Actor, String) {
    let agent = installation.principal(business, PrincipalKind::Agent, Some("agent")).await;
    let (_, key) = installation.app.issue_key(agent.principal).await.unwrap();
    (agent, key.reveal().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_agent_that_asks_for_a_minute_without_a_pause_is_let_in_6600_times_at_most() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let enrolled = installation.agent_named(business, "producer", "a busy one").await;
    let principal = domain::PrincipalId(business.derive_id("a busy one"));
    let agent = installation.app.bus.directory().actor(principal, business).await.unwrap().unwrap();
    let (mut accepted, mut refused) = (0, 0);
    let fact = json!({"fact_kind": "process_memory", "statement": "x", "agent": enrolled});
    for _ in 0..60 {
        for _ in 0..4 {
            let asked = join_all((0..60).map(|_| {
                installation.submit(&agent, business, "memory.record_fact", None, fact.clone())
            }))
            .await;
            for answer in asked {
                match answer {
                    Ok(_) => accepted += 1,
                    Err(CommandError::RateLimited { .. }) => refused += 1,
                    Err(e) => panic!("{e}"),
                }
            }
        }
        installation.clock.advance_seconds(1);
    }
    assert!((6_000..=6_600).contains(&accepted), "{accepted} of {}", accepted + refused);
}

async fn nonsense(door: &Door, key: &str) -> Answer {
    let path = format!("/v1/businesses/{}/commands", door.business);
    door.send("POST", &path, Some(key), &[("Idempotency-Key", "k")], "{}").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bucket_is_the_principals_whatever_connection_it_comes_by() {
    let door = Door::open().await;
    let (noisy, key) = agent(&door.installation, door.business).await;
    let (_, quiet) = agent(&door.installation, door.business).await;
    for n in 0..500 {
        assert_eq!(nonsense(&door, &key).await.status, 400, "{n}");
    }
    let refused = nonsense(&door, &key).await;
    assert_eq!(
        (refused.status, refused.headers["retry-after"].to_str().unwrap()),
        (429, "1"),
        "{}",
        refused.body
    );
    assert!(refused.body["type"].as_str().unwrap().ends_with(":rate_limited"), "{}", refused.body);
    assert_eq!(nonsense(&door, &quiet).await.status, 400, "another principal has its own");
    let counted = door.send("GET", "/metrics", Some(door.key()), &[], "").await.body;
    assert!(counted.as_str().unwrap().contains("minutebook_rate_limited_total 1\n"));
    let bulk = json!({"type": "access.set_rate_profile", "id": noisy.principal,
        "data": {"profile": "bulk"}})
    .to_string();
    let set = async |key: &str| {
        door.send("POST", "/v1/commands", Some(key), &[("Idempotency-Key", "bulk")], &bulk).await
    };
    assert_eq!(set(&quiet).await.status, 403, "only an operator lifts it");
    assert_eq!(set(door.key()).await.body["events"][0]["type"], "access.rate_profile_set");
    assert_eq!(nonsense(&door, &key).await.status, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_are_counted_one_by_one_and_who_asks_is_shown_how_many_there_may_be() {
    let door = Door::open().await;
    let (_, key) = agent(&door.installation, door.business).await;
    let ask = async |body: Value| {
        door.send(
            "POST",
            "/graphql",
            Some(&key),
            &[("Content-Type", "application/json")],
            &body.to_string(),
        )
        .await
    };
    let query = json!({"query": "{ rateLimits { profile commandsPerSecond queriesBurst \
        businessCommandsPerSecond } limits { name value unit } }"});
    let shown = ask(query.clone()).await.body;
    let rates = json!({"profile": "STANDARD", "commandsPerSecond": 100, "queriesBurst": 100,
        "businessCommandsPerSecond": 500});
    assert_eq!(shown["data"]["rateLimits"], rates, "{shown}");
    let (_, value, _) =
        domain::limits::ALL.iter().find(|(name, ..)| *name == "commands burst").unwrap();
    assert!(
        shown["data"]["limits"]
            .as_array()
            .unwrap()
            .iter()
            .any(|l| l["name"] == "commands burst" && l["value"] == json!(value))
    );
    for _ in 0..9 {
        assert_eq!(ask(Value::Array(vec![query.clone(); 10])).await.status, 200);
    }
    for _ in 0..9 {
        assert_eq!(ask(query.clone()).await.status, 200);
    }
    let refused = ask(query.clone()).await;
    assert_eq!(
        (refused.status, refused.headers["retry-after"].to_str().unwrap()),
        (429, "1"),
        "{}",
        refused.body
    );
    door.installation.clock.advance_seconds(1);
    assert_eq!(ask(query).await.status, 200);
}
