//! What `do --list` shows of a command: everything that its sender needs, and nothing that is
//! refused.

use std::process::Command;

use commands::{AnyCommand, Stream, Submission};
use domain::ids::INSTALLATION;
use domain::values::Role;
use serde_json::{Value, json};
use server::cli::list::shown;
use tests::installation::Installation;

const PROGRAM: &str = env!("CARGO_BIN_EXE_minutebook-for-tests");

fn printed(arguments: &[&str]) -> (Option<i32>, String, String) {
    let ended = Command::new(PROGRAM).args(["do", "--list"]).args(arguments).output().unwrap();
    (
        ended.status.code(),
        String::from_utf8(ended.stdout).unwrap(),
        String::from_utf8(ended.stderr).unwrap(),
    )
}

#[test]
fn every_command_has_a_line_and_one_can_be_looked_at() {
    let (code, all, _) = printed(&[]);
    let sent: Vec<&str> =
        AnyCommand::types().filter(|c| !c.from.is_empty()).map(|c| c.name).collect();
    assert_eq!((code, all.lines().count()), (Some(0), sent.len()));
    assert!(
        all.lines().zip(&sent).all(|(line, name)| line.starts_with(&format!("{name} "))),
        "{all}"
    );
    let (code, one, _) = printed(&["tasks.plan"]);
    let one: Value = serde_json::from_str(&one).unwrap();
    assert_eq!(
        (code, &one["data"]["properties"]["title"]["type"]),
        (Some(0), &json!("string")),
        "{one:#}"
    );
    assert_eq!(
        (&one["sent_to"], &one["sent_by"][0]),
        (&json!("POST /v1/businesses/{business}/commands"), &json!("owner"))
    );
    let (code, _, said) = printed(&["task.plan"]);
    assert!(code == Some(1) && said.contains("did you mean `tasks.plan`"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_is_taken_by_the_desk_or_refused_by_a_rule() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let operator = installation.operator_in(business).await;
    let mut malformed = Vec::new();
    for command in AnyCommand::types().filter(|c| !c.from.is_empty()) {
        let example = &shown(command)["example"];
        assert!(
            !shown(command)["data"].to_string().contains("$sealed"),
            "{}: the stored form is not what is sent",
            command.name
        );
        let stream = if command.stream == Stream::Installation { INSTALLATION } else { business };
        // As somebody who has every right: what is looked at is the form.
        let sender = commands::Actor {
            roles: [Role::Owner, Role::Member, Role::Approver, Role::Agent, Role::Service].into(),
            ..operator.clone()
        };
        let id = example["id"].as_str().map(|id| id.parse().unwrap());
        let submission =
            Submission::new(stream, sender, installation.key(), command.name, id, &example["data"]);
        if let Err(e) = installation.app.bus.submit(submission).await
            && e.name() == "malformed"
        {
            malformed.push(format!("{}: {e}: {example}", command.name));
        }
    }
    assert!(malformed.is_empty(), "{}", malformed.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sealed_form_is_refused_when_it_is_sent() {
    let installation = Installation::new().await;
    let business = installation.business("acme").await;
    let operator = installation.operator_in(business).await;
    let plan = json!({"title": {"$sealed": 0}, "team": "sales"});
    let refused =
        installation.submit(&operator, business, "tasks.plan", None, plan).await.unwrap_err();
    assert_eq!(refused.name(), "malformed", "{refused}");
}
