//! A target for every command, made ready so that nothing but who sends it can be in the way.

use serde_json::{Value, json};
use uuid::Uuid;

use super::cast::{Cast, Person};

/// A command's target and data.
pub(crate) struct Case {
    pub(crate) id: Option<Uuid>,
    pub(crate) data: Value,
    pub(crate) approval: Option<Uuid>,
}

/// Whose the target is, seen from who sends the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Own,
    Team,
    OtherTeam,
    Another,
}

fn case(id: impl Into<Option<Uuid>>, data: Value) -> Case {
    Case { id: id.into(), data, approval: None }
}

fn eur(amount: &str) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

fn with_agent(mut data: Value, person: &Person) -> Value {
    if let Some(agent) = person.agent {
        data["agent"] = json!(agent);
    }
    data
}

impl Cast {
    /// Whoever makes the target: the sender where it may, somebody of the team, of another team, or
    /// an owner.
    fn maker(&self, sender: &Person, whose: Whose) -> &Person {
        let name = match (whose, sender.name) {
            (Whose::Own, "agent" | "qa" | "owner" | "member" | "service" | "importer") => {
                sender.name
            }
            (Whose::Team, "agent") => "teammate",
            (Whose::OtherTeam, "agent") => "stranger",
            (Whose::Team | Whose::OtherTeam, _) => "other_member",
            (Whose::Own | Whose::Another, _) => "owner",
        };
        self.person(name, "")
    }

    fn team(whose: Whose) -> &'static str {
        if matches!(whose, Whose::Own | Whose::Team) { "sales" } else { "hr" }
    }

    /// The agent in whose name somebody acts: its own, else the producer.
    fn stands_for(&self, sender: &Person) -> Uuid {
        sender.agent.or(self.person("agent", "").agent).unwrap()
    }

    pub(crate) async fn case(&self, command: &str, sender: &Person, whose: Whose) -> Case {
        match command.split_once('.').unwrap().0 {
            "businesses" => self.of_businesses(command).await,
            "access" => self.of_access(command).await,
            "agents" => self.of_agents(command, sender).await,
            "tasks" => self.of_tasks(command, sender, whose).await,
            "decisions" => self.of_decisions(command, sender, whose).await,
            "approvals" => self.of_approvals(command, sender, whose).await,
            "budgets" => self.of_budgets(command, sender, whose).await,
            "integrations" => self.of_integrations(command, sender, whose).await,
            "privacy" => self.of_privacy(command).await,
            "memory" => self.of_memory(command, sender, whose).await,
            _ => self.of_the_rest(command),
        }
    }

    async fn of_privacy(&self, command: &str) -> Case {
        let owner = self.person("owner", "");
        if command == "privacy.forget_name" {
            let member = self
                .installation()
                .principal(self.business, domain::access::PrincipalKind::Human, Some("member"))
                .await;
            return case(None, json!({"principal": member.principal}));
        }
        let person = Uuid::now_v7();
        self.must_by(
            owner,
            "tasks.plan",
            None,
            json!({"title": "x", "team": "sales", "serves": person}),
        )
        .await;
        case(None, json!({"subject": person}))
    }

    async fn of_businesses(&self, command: &str) -> Case {
        let fresh = format!("b-{}", &Uuid::now_v7().simple().to_string()[20..]);
        match command {
            "businesses.claim_slug" => case(
                None,
                json!({"slug": fresh, "business": Uuid::now_v7(),
                    "owner": server::app::operator()}),
            ),
            "businesses.register" => case(None, json!({"slug": fresh})),
            "businesses.forget" => {
                let approval = self
                    .installation()
                    .approval_of(self.business, command, self.business.0, &json!({}))
                    .await;
                Case { approval: Some(approval), ..case(None, json!({})) }
            }
            _ => case(None, json!({"to": "planning"})),
        }
    }

    async fn of_access(&self, command: &str) -> Case {
        let (id, key) = (Uuid::now_v7(), json!({"key": Uuid::now_v7(), "hash": "ab".repeat(32)}));
        let add = json!({"kind": "human", "display_name": "x"});
        let role = json!({"business": self.business, "role": "member"});
        if command == "access.add_principal" {
            return case(id, add);
        }
        let above = domain::ids::INSTALLATION;
        self.installation().must(above, "access.add_principal", Some(id), add).await;
        self.installation().must(above, "access.grant_role", Some(id), role.clone()).await;
        self.installation().must(above, "access.issue_key", Some(id), key.clone()).await;
        match command {
            "access.grant_role" => case(id, json!({"business": self.business, "role": "auditor"})),
            "access.revoke_role" => case(id, role),
            "access.set_rate_profile" => case(id, json!({"profile": "bulk"})),
            "access.issue_key" => case(id, json!({"key": Uuid::now_v7(), "hash": "cd".repeat(32)})),
            _ => case(id, json!({"key": key["key"]})),
        }
    }

    async fn of_agents(&self, command: &str, sender: &Person) -> Case {
        if command == "agents.enrol" {
            let principal = self
                .installation()
                .principal(self.business, domain::access::PrincipalKind::Agent, Some("agent"))
                .await
                .principal;
            let data = json!({"name": "x", "team": "sales", "role": "producer",
                "runtime": {"model": "m"}, "principal": principal});
            return case((sender.name == "importer").then(Uuid::now_v7), data);
        }
        let agent = self.fresh_agent().await;
        if command == "agents.resume" {
            self.installation().must(self.business, "agents.suspend", Some(agent), json!({})).await;
        }
        case(agent, if command == "agents.change" { json!({"concurrency": 7}) } else { json!({}) })
    }

    /// A task, taken as far as the command needs it, for the agent in whose name the sender acts.
    async fn of_tasks(&self, command: &str, sender: &Person, whose: Whose) -> Case {
        let must = async |command: &str, id, data| {
            self.installation().must(self.business, command, id, data).await
        };
        let plan = json!({"title": "x", "team": Self::team(whose)});
        match command {
            "tasks.plan" => return case(None, plan),
            "tasks.open_history" => {
                return case(Uuid::now_v7(), json!({"format": "xes", "header": "{}"}));
            }
            _ => {}
        }
        let task = self.must_by(self.maker(sender, whose), "tasks.plan", None, plan).await;
        let agent = self
            .stands_for(self.person(if sender.name == "qa" { "agent" } else { sender.name }, ""));
        match command {
            "tasks.offer" | "tasks.cancel" => return case(task, json!({})),
            "tasks.record_activity" => return case(task, json!({"activity": "x"})),
            "tasks.close_history" => {
                must("tasks.record_activity", Some(task), json!({"activity": "x"})).await;
                return case(task, json!({"completed": true}));
            }
            _ => {}
        }
        must("tasks.offer", Some(task), json!({})).await;
        match command {
            "tasks.lease" => return case(task, json!({"agent": agent})),
            "tasks.escalate" => return case(task, json!({})),
            "tasks.resolve" => {
                let role = if matches!(sender.name, "member" | "approver") {
                    sender.name
                } else {
                    "owner"
                };
                must("tasks.escalate", Some(task), json!({"to_role": role})).await;
                return case(task, json!({"resolution": "cancelled"}));
            }
            _ => {}
        }
        must("tasks.lease", Some(task), json!({"agent": agent, "lease_seconds": 120})).await;
        let token = json!({"fencing_token": 1});
        match command {
            "tasks.submit" => {
                case(task, json!({"agent": agent, "fencing_token": 1, "result": "x"}))
            }
            "tasks.fail" => case(task, json!({"fencing_token": 1, "retryable": true})),
            "tasks.quarantine" => case(task, json!({"fencing_token": 1, "reason": "x"})),
            "tasks.expire" => {
                self.installation().clock.advance_seconds(121);
                case(task, json!({}))
            }
            "tasks.review" => {
                let submitted = must(
                    "tasks.submit",
                    Some(task),
                    json!({"agent": agent, "fencing_token": 1, "result": "x"}),
                )
                .await;
                let stored = self
                    .installation()
                    .app
                    .log
                    .find(self.business, submitted.events[0].event_id)
                    .await
                    .unwrap()
                    .unwrap();
                let stored: Value = serde_json::from_slice(&stored.bytes).unwrap();
                let digest = &stored["data"]["artifact"]["digest"];
                case(
                    task,
                    json!({"reviewer": self.person("qa", "").agent, "artifact_digest": digest,
                        "verdict": "passed"}),
                )
            }
            "tasks.heartbeat" | "tasks.release" => case(task, token),
            other => panic!("{other} has no target: add one here"),
        }
    }

    async fn of_decisions(&self, command: &str, sender: &Person, whose: Whose) -> Case {
        let maker = self.maker(sender, whose);
        if command == "decisions.record" {
            let task = self
                .must_by(
                    maker,
                    "tasks.plan",
                    None,
                    json!({"title": "x", "team": Self::team(whose)}),
                )
                .await;
            return case(None, with_agent(json!({"choice": "x", "task": task}), sender));
        }
        let decision = self
            .must_by(maker, "decisions.record", None, with_agent(json!({"choice": "x"}), maker))
            .await;
        match command {
            "decisions.supersede" => {
                let by = self
                    .must_by(
                        maker,
                        "decisions.record",
                        None,
                        with_agent(json!({"choice": "y"}), maker),
                    )
                    .await;
                case(decision, json!({"by": by}))
            }
            "decisions.reverse" => case(decision, json!({"reason": "x"})),
            _ => case(decision, json!({"outcome": "x"})),
        }
    }

    /// A request for approval of a payment, by somebody who may send the payment.
    async fn request_of(&self, maker: &Person, command: Value) -> Uuid {
        self.must_by(maker, "approvals.request", None, json!({"command": command})).await
    }

    /// What an operator may send, too.
    fn forget(&self) -> Value {
        json!({"type": "businesses.forget", "id": self.business, "data": {}})
    }

    /// A command that somebody may send and that needs approval.
    fn wish_of(&self, person: &Person) -> Value {
        if person.name == "operator" { self.forget() } else { payment(person) }
    }

    async fn of_approvals(&self, command: &str, sender: &Person, whose: Whose) -> Case {
        match command {
            "approvals.define_policy" => {
                let mut rules = json!(domain::approvals::shipped_rules());
                // Another one each time, that holds up no more and no less.
                rules[0]["expires_after_seconds"] = json!(60 + Uuid::now_v7().as_u128() % 100_000);
                let data = json!({"rules": rules});
                let approval = self
                    .installation()
                    .approval_of(self.business, command, self.business.0, &data)
                    .await;
                return Case { approval: Some(approval), ..case(None, data) };
            }
            "approvals.request" => return case(None, json!({"command": self.wish_of(sender)})),
            _ => {}
        }
        let owner = self.person("owner", "");
        let maker = match (command, sender.name) {
            ("approvals.withdraw", "operator") => sender,
            ("approvals.withdraw", name) if name != "importer" => self.maker(sender, whose),
            // What an operator may vote for is what a built-in rule asks for.
            ("approvals.vote", "operator") => {
                return case(
                    self.request_of(owner, self.forget()).await,
                    json!({"choice": "approve"}),
                );
            }
            _ => self.person("root", ""),
        };
        let approval = self.request_of(maker, self.wish_of(maker)).await;
        match command {
            "approvals.vote" if sender.name == "member" => {
                let approver = self.person("approver", "");
                let until = self.installation().clock.now().plus_seconds(3_600);
                self.must_by(
                    approver,
                    "approvals.delegate",
                    Some(approval),
                    json!({"to": sender.actor.principal, "until": until}),
                )
                .await;
                case(
                    approval,
                    json!({"choice": "approve", "delegated_by": approver.actor.principal}),
                )
            }
            "approvals.escalate" if sender.name == "member" => {
                // Half of the time of a request has to be over.
                self.installation().clock.advance_seconds(4 * 86_400);
                case(approval, json!({}))
            }
            "approvals.vote" => case(approval, json!({"choice": "approve"})),
            "approvals.comment" => case(approval, json!({"comment": "x"})),
            "approvals.delegate" | "approvals.revoke_delegation" => {
                let to = self.person("other_member", "").actor.principal;
                let until = self.installation().clock.now().plus_seconds(3_600);
                case(
                    approval,
                    if command == "approvals.delegate" {
                        json!({"to": to, "until": until})
                    } else {
                        json!({"to": to})
                    },
                )
            }
            "approvals.expire" => {
                self.installation().clock.advance_seconds(7 * 86_400);
                case(approval, json!({}))
            }
            _ => case(approval, json!({})),
        }
    }

    async fn of_budgets(&self, command: &str, sender: &Person, whose: Whose) -> Case {
        let set = json!({"scope": {"task": Uuid::now_v7()}, "window": "day", "limit": eur("5")});
        match command {
            "budgets.set" => case(None, set),
            "budgets.raise" => {
                let budget =
                    self.installation().must(self.business, "budgets.set", None, set).await.events
                        [0]
                    .id;
                let data = json!({"by": eur("1")});
                let approval =
                    self.installation().approval_of(self.business, command, budget, &data).await;
                Case { approval: Some(approval), ..case(budget, data) }
            }
            "budgets.reserve" => case(Uuid::now_v7(), json!({"amount": eur("1")})),
            _ => {
                let (reservation, maker) = (Uuid::now_v7(), self.maker(sender, whose));
                let maker =
                    if maker.name == "importer" { self.person("service", "") } else { maker };
                let budget = self
                    .must_by(
                        maker,
                        "budgets.reserve",
                        Some(reservation),
                        json!({"amount": eur("1")}),
                    )
                    .await;
                let settle = json!({"reservation": reservation, "amount": eur("1")});
                case(
                    budget,
                    if command == "budgets.settle" {
                        settle
                    } else {
                        json!({"reservation": reservation})
                    },
                )
            }
        }
    }

    async fn of_integrations(&self, command: &str, sender: &Person, whose: Whose) -> Case {
        let maker = self.maker(sender, whose);
        let call = json!({"connector": "slack", "operation": "conversations.history",
            "class": "read", "arguments": {}, "cost_max": eur("0.01")});
        if command == "integrations.intend_call" {
            let task = self
                .must_by(
                    maker,
                    "tasks.plan",
                    None,
                    json!({"title": "x", "team": Self::team(whose)}),
                )
                .await;
            let mut call = with_agent(call, sender);
            call["task"] = json!(task);
            return case(None, call);
        }
        let call =
            self.must_by(maker, "integrations.intend_call", None, with_agent(call, maker)).await;
        case(
            call,
            match command {
                "integrations.succeed_call" => json!({}),
                "integrations.fail_call" => json!({"error": "x"}),
                _ => json!({"reason": "x"}),
            },
        )
    }

    async fn of_memory(&self, command: &str, sender: &Person, whose: Whose) -> Case {
        let fact = json!({"fact_kind": "process_memory", "statement": "x"});
        let document = json!({"title": "x", "text": "# x\ny"});
        let maker = self.maker(sender, whose);
        let maker = if maker.name == "importer" { self.person("service", "") } else { maker };
        match command {
            "memory.record_fact" => case(None, with_agent(fact, sender)),
            "memory.add_document" => case(None, document),
            "memory.retract_document" => {
                case(self.must_by(maker, "memory.add_document", None, document).await, json!({}))
            }
            _ => {
                let id = self
                    .must_by(maker, "memory.record_fact", None, with_agent(fact.clone(), maker))
                    .await;
                match command {
                    "memory.revise_fact" => case(id, json!({"statement": "y"})),
                    "memory.retract_fact" => case(id, json!({})),
                    _ => case(
                        id,
                        json!({"by": self.must_by(maker, "memory.record_fact", None,
                            with_agent(fact, maker)).await}),
                    ),
                }
            }
        }
    }

    fn of_the_rest(&self, command: &str) -> Case {
        match command {
            "metrics.report" => {
                case(None, json!({"measure": "revenue", "value": "1", "unit": "EUR"}))
            }
            "metrics.define_kpi" => {
                let name = Uuid::now_v7();
                case(
                    None,
                    json!({"kpi": name, "text": "x", "measure": "revenue", "aggregation": "sum",
                        "unit": "EUR", "direction": "up"}),
                )
            }
            "metrics.set_target" => case(None, json!({"kpi": "throughput", "target": "1"})),
            "operations.record_export" => case(
                None,
                json!({"format": "jsonl", "events": 1, "digest": "0".repeat(64),
                    "root": "0".repeat(64)}),
            ),
            "operations.skip_event" => case(
                None,
                json!({"projection": "tasks", "business": self.business, "seq": 1, "reason": "x"}),
            ),
            "operations.accept_clock" => case(None, json!({"reason": "x"})),
            other => panic!("there is no target for {other}"),
        }
    }
}

/// A payment, which nobody makes without an approval.
fn payment(by: &Person) -> Value {
    let call = json!({"connector": "bank", "operation": "pay", "class": "spending",
        "arguments": {}, "cost_max": eur("0.01")});
    json!({"type": "integrations.intend_call", "id": Uuid::now_v7(), "data": with_agent(call, by)})
}
