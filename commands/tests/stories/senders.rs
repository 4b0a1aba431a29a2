//! The senders from whom each command is taken, row by row against the table that was written by
//! hand; the whole way through the real door is walked with the same table elsewhere.

use commands::authorize::authorize;
use commands::{Actor, AnyCommand, CommandError};
use domain::BusinessId;
use domain::access::PrincipalKind;
use domain::ids::INSTALLATION;
use domain::values::Role;

use crate::story::{BUSINESS, actor};

const TABLE: &str = include_str!("../../../tests/it/permissions.txt");

fn senders() -> [Actor; 10] {
    let human = |roles: &[Role]| actor(1, PrincipalKind::Human, roles);
    let service = actor(2, PrincipalKind::Service, &[Role::Service]);
    [
        human(&[]),
        human(&[]),
        human(&[Role::Owner]),
        human(&[Role::Member]),
        human(&[Role::Approver]),
        human(&[Role::Auditor]),
        actor(3, PrincipalKind::Agent, &[Role::Agent]),
        service.clone(),
        Actor { historic: true, ..service },
        Actor { operator: true, ..human(&[]) },
    ]
}

fn answer(actor: &Actor, business: BusinessId, command: &str) -> &'static str {
    match authorize(actor, business, AnyCommand::type_named(command).unwrap()) {
        Ok(()) => "200",
        Err(CommandError::NotFound(_)) => "404",
        Err(CommandError::Forbidden { .. }) => "403",
        Err(CommandError::Malformed(_)) => "400",
        Err(e) => panic!("{command}: {e}"),
    }
}

fn rows() -> impl Iterator<Item = Vec<&'static str>> {
    TABLE
        .lines()
        .filter(|l| !l.starts_with('#') && !l.starts_with("whose ") && !l.trim().is_empty())
        .map(|l| l.split_whitespace().collect())
}

fn is_of_the_installation(command: &str) -> bool {
    AnyCommand::type_named(command).unwrap().stream == commands::Stream::Installation
}

#[test]
fn every_sender_is_let_in_or_refused_as_the_table_says() {
    for row in rows() {
        let business = if is_of_the_installation(row[0]) { INSTALLATION } else { BUSINESS };
        for (sender, wanted) in senders().iter().zip(&row[1..]) {
            // What a rule refuses was let in; who registers a business has no role there yet.
            let wanted = if *wanted == "422" { "200" } else { wanted };
            assert_eq!(answer(sender, business, row[0]), wanted, "{} by {sender:?}", row[0]);
        }
    }
}

#[test]
fn who_is_refused_is_told_whom_to_ask() {
    let member = actor(1, PrincipalKind::Human, &[Role::Member]);
    let refused = |business, command| {
        authorize(&member, business, AnyCommand::type_named(command).unwrap())
            .unwrap_err()
            .to_string()
    };
    assert!(refused(BUSINESS, "businesses.advance").contains("ask an operator"));
    assert!(
        refused(INSTALLATION, "access.grant_role").contains("an operator of this installation")
    );
}

#[test]
fn a_command_of_the_other_stream_is_malformed_for_whoever_might_send_it() {
    let operator = Actor { operator: true, ..actor(1, PrincipalKind::Human, &[Role::Owner]) };
    for row in rows().filter(|row| row[0] != "businesses.register") {
        let elsewhere = if is_of_the_installation(row[0]) { BUSINESS } else { INSTALLATION };
        let may =
            answer(&operator, if elsewhere == BUSINESS { INSTALLATION } else { BUSINESS }, row[0])
                == "200";
        assert_eq!(
            answer(&operator, elsewhere, row[0]),
            if may { "400" } else { "403" },
            "{}",
            row[0]
        );
    }
}

#[test]
fn whoever_has_a_role_or_runs_the_installation_may_see_a_business_and_nobody_else() {
    assert!(!actor(1, PrincipalKind::Human, &[]).may_see());
    assert!(actor(1, PrincipalKind::Human, &[Role::Auditor]).may_see());
    assert!(Actor { operator: true, ..actor(1, PrincipalKind::Human, &[]) }.may_see());
}
