//! Who may send what, cell by cell through the real door, against a table that was written by hand:
//! every command × every sort of sender, each with a valid command on a target that is made ready
//! for it; and what agents and members may do to what is theirs, their team's and another's.

pub(crate) mod cast;
mod targets;

use std::collections::BTreeSet;

use commands::AnyCommand;
use serde_json::json;

use self::cast::{Cast, Person};
use self::targets::{Case, Whose};

const TABLE: &str = include_str!("permissions.txt");
const SENDERS: [&str; 10] = [
    "nobody",
    "elsewhere",
    "owner",
    "member",
    "approver",
    "auditor",
    "agent",
    "service",
    "importer",
    "operator",
];

fn rows(whose: bool) -> impl Iterator<Item = Vec<&'static str>> {
    let rows = TABLE.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty());
    rows.filter(move |l| l.starts_with("whose ") == whose).map(|l| l.split_whitespace().collect())
}

async fn status(cast: &Cast, person: &Person, command: &str, case: Case) -> String {
    let mut body = json!({"type": command, "data": case.data});
    if let Some(id) = case.id {
        body["id"] = json!(id);
    }
    if let Some(approval) = case.approval {
        body["approval_id"] = json!(approval);
    }
    cast.send(person, command, &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_is_taken_from_whom_the_table_says_and_from_nobody_else() {
    let cast = Cast::new().await;
    let named: BTreeSet<&str> = rows(false).map(|r| r[0]).collect();
    let known: BTreeSet<&str> = AnyCommand::types().map(|t| t.name).collect();
    assert!(
        named == known,
        "permissions.txt lacks {:?} (add a line for each, and a target in permissions/targets.rs), \
         and names {:?}, which are no commands",
        known.difference(&named).collect::<Vec<_>>(),
        named.difference(&known).collect::<Vec<_>>()
    );
    let mut wrong = Vec::new();
    for row in rows(false) {
        assert_eq!(row.len(), 1 + SENDERS.len(), "{row:?}");
        for (sender, wanted) in SENDERS.iter().zip(&row[1..]) {
            let person = cast.person(sender, row[0]);
            let case = cast.case(row[0], person, Whose::Own).await;
            let found = status(&cast, person, row[0], case).await;
            if !found.starts_with(wanted) {
                wrong.push(format!("{} by {sender}: {found}, not {wanted}", row[0]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_others_is_left_to_them() {
    let cast = Cast::new().await;
    let mut wrong = Vec::new();
    for row in rows(true) {
        let (command, sender) = (row[1], row[2]);
        for (whose, wanted) in
            [Whose::Own, Whose::Team, Whose::OtherTeam, Whose::Another].into_iter().zip(&row[3..])
        {
            let person = cast.person(sender, command);
            let case = cast.case(command, person, whose).await;
            let found = status(&cast, person, command, case).await;
            if !found.starts_with(wanted) {
                wrong.push(format!("{command} by {sender} of {whose:?}: {found}, not {wanted}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_calls_itself_an_importer_gets_what_services_get() {
    let cast = Cast::new().await;
    // The importer's own principal, with a key that an operator made for it.
    let importer = cast.importer_with_a_key().await;
    for command in ["tasks.open_history", "tasks.close_history", "agents.enrol"] {
        let case = cast.case(command, cast.person("importer", command), Whose::Own).await;
        assert!(status(&cast, &importer, command, case).await.starts_with("403"), "{command}");
    }
    let call = json!({"connector": "bank", "operation": "pay", "class": "read", "arguments": {},
        "cost_max": {"amount": "0.01", "currency": "EUR"}});
    let case = Case { id: None, data: call, approval: None };
    assert!(
        status(&cast, &importer, "integrations.intend_call", case)
            .await
            .contains("approval_required")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_command_is_told_with_the_nearest_name_to_everybody() {
    let cast = Cast::new().await;
    for sender in ["owner", "member", "auditor", "agent", "service", "operator"] {
        let case = Case { id: None, data: json!({}), approval: None };
        let answer = status(&cast, cast.person(sender, ""), "task.plan", case).await;
        assert!(
            answer.starts_with("400") && answer.contains("did you mean `tasks.plan`"),
            "{sender}: {answer}"
        );
    }
    let case = Case { id: None, data: json!({"title": "x", "team": "hr"}), approval: None };
    let above = cast
        .send_to(
            cast.person("operator", ""),
            "/v1/commands",
            &json!({"type": "tasks.plan", "data": case.data}),
        )
        .await;
    assert!(
        above.starts_with("403"),
        "an operator plans nothing, least of all in the installation: {above}"
    );
}
