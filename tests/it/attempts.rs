//! Who tried what: nobody pushes another's attempts out, and strangers write into no business's
//! list.

use commands::{Actor, Submission};
use domain::access::PrincipalKind;
use domain::ids::INSTALLATION;
use domain::{BusinessId, PrincipalId, Timestamp};
use event_log::attempts::{Attempt, Attempts, Caps};
use serde_json::json;
use tests::installation::Installation;
use uuid::Uuid;

const CAPS: Caps = Caps { per_business: 50, per_principal: 10, prune_every: 100 };

fn attempt(business: u128, actor: u128, n: i64, outcome: &str) -> Attempt {
    Attempt {
        at: Timestamp::from_micros(1_800_000_000_000_000 + n),
        business: BusinessId(Uuid::from_u128(business)),
        actor: PrincipalId(Uuid::from_u128(actor)),
        command_type: "tasks.plan".to_owned(),
        target: None,
        key: format!("k{n}"),
        outcome: outcome.to_owned(),
    }
}

async fn of(attempts: &Attempts, business: u128) -> Vec<Attempt> {
    attempts.flush().await;
    let listed = attempts.list(BusinessId(Uuid::from_u128(business)), None, 1_000).await.unwrap().0;
    listed.into_iter().map(|(_, a)| a).collect()
}

async fn caps_hold(attempts: &Attempts, caps: Caps) {
    let (kept, principal) = (i64::try_from(caps.per_business).unwrap(), caps.per_principal);
    for n in 0..5 {
        attempts.keep(attempt(1, 1, n, "accepted")).await;
        attempts.keep(attempt(2, 9, n, "forbidden")).await;
    }
    // One principal is refused thousands of times in business 1.
    for n in 0..i64::try_from(caps.prune_every).unwrap() * 30 {
        attempts.keep(attempt(1, 2, 100 + n, "approval_required")).await;
    }
    let one = of(attempts, 1).await;
    let by = |actor: u128| one.iter().filter(|a| a.actor.0 == Uuid::from_u128(actor)).count();
    assert_eq!(by(1), 5, "what was done is still on record");
    assert!(
        by(2) >= principal && by(2) <= principal + usize::try_from(caps.prune_every).unwrap(),
        "{}",
        by(2)
    );
    assert_eq!(of(attempts, 2).await.len(), 5, "another business's attempts are not touched");
    // What is accepted has a cap of its own.
    for n in 0..kept * 4 {
        attempts.keep(attempt(1, 1, 1_000_000 + n, "accepted")).await;
    }
    let accepted = of(attempts, 1).await.iter().filter(|a| a.outcome == "accepted").count();
    assert!(
        accepted >= caps.per_business
            && accepted <= caps.per_business + usize::try_from(caps.prune_every).unwrap(),
        "{accepted}"
    );
    assert!(
        of(attempts, 1).await.iter().any(|a| a.actor.0 == Uuid::from_u128(2)),
        "nor does what is accepted push out what was refused"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_attempts_push_out_no_evidence_and_nobody_elses() {
    let folder = tempfile::TempDir::new().unwrap();
    let attempts = Attempts::with(&folder.path().join("attempts.db"), CAPS).unwrap();
    caps_hold(&attempts, CAPS).await;
    attempts.close().await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn the_same_in_postgresql() {
    let url = tests::postgres::database().await;
    let log = log_postgres::PostgresLog::open(&url).await.unwrap();
    let mut owner = tests::postgres::connect(&url).await;
    let caps = format!(
        "UPDATE minutebook.attempt_caps SET per_business = {}, per_principal = {}",
        CAPS.per_business, CAPS.per_principal
    );
    sqlx::Executor::execute(&mut owner, caps.as_str()).await.unwrap();
    let attempts = log_postgres::attempts_with(&log, CAPS);
    caps_hold(&attempts, CAPS).await;
    attempts.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_writes_into_no_business_list() {
    let installation = Installation::new().await;
    let victim = installation.business("acme").await;
    let stranger = installation.principal(victim, PrincipalKind::Human, None).await;
    assert_eq!(stranger, Actor { roles: std::collections::BTreeSet::new(), ..stranger.clone() });
    for (business, command, id) in [
        (victim, "tasks.plan", None),
        (victim, "businesses.register", None),
        (INSTALLATION, "businesses.register", Some(victim.0)),
    ] {
        installation
            .submit(
                &stranger,
                business,
                command,
                id,
                json!({"slug": "fresh", "title": "x", "team": "hr"}),
            )
            .await
            .unwrap_err();
    }
    let attempts = installation.app.bus.attempts();
    attempts.flush().await;
    let by_stranger = |list: Vec<(u64, Attempt)>| {
        list.into_iter().filter(|(_, a)| a.actor == stranger.principal).count()
    };
    assert_eq!(by_stranger(attempts.list(victim, None, 1_000).await.unwrap().0), 0);
    assert_eq!(
        by_stranger(attempts.list(INSTALLATION, None, 1_000).await.unwrap().0),
        3,
        "it is on record all the same"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_is_kept_although_its_caller_has_gone() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let operator = installation.app.operator_in(business).await.unwrap();
    let plan = json!({"title": "x", "team": "sales"});
    let plan = Submission::new(business, operator, "gone".to_owned(), "tasks.plan", None, &plan);
    {
        let mut sent = std::pin::pin!(installation.app.submit(plan));
        assert!(futures_util::poll!(&mut sent).is_pending());
    }
    let attempts = installation.app.bus.attempts();
    let began = std::time::Instant::now();
    loop {
        attempts.flush().await;
        let listed = attempts.list(business, None, 1_000).await.unwrap().0;
        let of_type = |a: &Attempt| a.command_type == "tasks.plan";
        if let Some((_, attempt)) = listed.into_iter().find(|(_, a)| of_type(a)) {
            assert_eq!(attempt.outcome, "outcome_unknown");
            break;
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(30), "nobody kept it");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
