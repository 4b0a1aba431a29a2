//! An installation of one's own: a folder, an app, and a door on a free port when it is wanted.

use std::sync::Arc;
use std::time::Duration;

use commands::{Clock, Receipt, Submission};
use domain::ids::{ApprovalId, ErasureId, INSTALLATION};
use domain::{BusinessId, PrincipalId, SubjectId, Timestamp};
use event_log::sqlite::Options;
use event_log::{Entropy, Seed};
use projections::SharedFolder;
use serde_json::{Value, json};
use server::app::{App, Handles, operator};
use server::config::{Config, Overrides};
use tempfile::TempDir;
use uuid::Uuid;

use crate::asking::Asking;

/// When tests begin: the clock stands still until it is moved.
pub const BEGIN: &str = "2026-11-22T12:00:00Z";

/// An installation in a folder of its own.
pub struct Installation {
    /// Its parts.
    pub app: Arc<App>,
    /// Its clock.
    pub clock: Clock,
    /// Its folder; gone with it.
    pub folder: TempDir,
    asking: Asking,
}

/// Settings for a folder.
///
/// # Panics
/// When the defaults do not parse.
#[must_use]
pub fn config(folder: &std::path::Path) -> Config {
    Config::load(
        None,
        Overrides {
            data: Some(folder.to_owned()),
            listen: Some("127.0.0.1:0".to_owned()),
            ..Overrides::default()
        },
    )
    .unwrap()
}

/// Handles that make every run the same.
///
/// # Panics
/// Never.
#[must_use]
pub fn handles(clock: &Clock) -> Handles {
    Handles { clock: clock.clone(), entropy: Entropy::Seeded(Arc::default()), ..Handles::default() }
}

impl std::ops::Deref for Installation {
    type Target = Asking;

    fn deref(&self) -> &Asking {
        &self.asking
    }
}

fn asking(app: &App, keys: u64) -> Asking {
    Asking::new(Arc::clone(&app.bus), operator(), keys)
}

impl Installation {
    /// A new one.
    ///
    /// # Panics
    /// When it can't be opened.
    pub async fn new() -> Self {
        Self::with(Options::default()).await
    }

    /// A new one whose log is opened that way.
    ///
    /// # Panics
    /// When it can't be opened.
    pub async fn with(log: Options) -> Self {
        let clock = Clock::manual(BEGIN.parse::<Timestamp>().unwrap());
        Self::on(TempDir::new().unwrap(), clock, log).await
    }

    /// A new one whose randomness comes from that seed.
    ///
    /// # Panics
    /// When it can't be opened.
    pub async fn seeded(seed: &Arc<Seed>) -> Self {
        let (folder, clock) =
            (TempDir::new().unwrap(), Clock::manual(BEGIN.parse::<Timestamp>().unwrap()));
        let handles = Handles { entropy: Entropy::Seeded(Arc::clone(seed)), ..handles(&clock) };
        let app = Arc::new(App::open(&config(folder.path()), handles).await.unwrap());
        Self { asking: asking(&app, 0), app, clock, folder }
    }

    async fn on(folder: TempDir, clock: Clock, log: Options) -> Self {
        let handles = Handles { log, ..handles(&clock) };
        let app = Arc::new(App::open(&config(folder.path()), handles).await.unwrap());
        Self { asking: asking(&app, 0), app, clock, folder }
    }

    /// One on a folder that is there.
    ///
    /// # Panics
    /// When it can't be opened.
    pub async fn open(folder: TempDir) -> Self {
        let clock = Clock::manual(BEGIN.parse::<Timestamp>().unwrap());
        let handles =
            Handles { clock: clock.clone(), entropy: Entropy::System, ..Handles::default() };
        let app = Arc::new(App::open(&config(folder.path()), handles).await.unwrap());
        let keys = u64::from(uuid::Uuid::now_v7().as_fields().1) << 32;
        Self { asking: asking(&app, keys), app, clock, folder }
    }

    /// One whose feeds wait for nobody.
    ///
    /// # Panics
    /// When it can't be opened.
    pub async fn impatient() -> Self {
        let (folder, clock) =
            (TempDir::new().unwrap(), Clock::manual(BEGIN.parse::<Timestamp>().unwrap()));
        let handles = Handles {
            slow_reader_timeout: Some(std::time::Duration::from_millis(100)),
            ..handles(&clock)
        };
        let app = Arc::new(App::open(&config(folder.path()), handles).await.unwrap());
        Self { asking: asking(&app, 0), app, clock, folder }
    }

    /// One more process on a log, in PostgreSQL or (without an address) in a folder of its own; all
    /// of them wrap keys with the same key.
    ///
    /// # Panics
    /// When it can't be opened.
    pub async fn at(url: &str) -> Self {
        Self::sharing(url, std::path::Path::new(""), SharedFolder::default()).await
    }

    /// The same, with a list of forgettings that a restore took along.
    ///
    /// # Panics
    /// When it can't be opened.
    pub async fn at_with(url: &str, forgotten: &std::path::Path) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("keyring.key"), "07".repeat(32)).unwrap();
        std::fs::copy(forgotten, folder.path().join("forgotten")).unwrap();
        let clock = Clock::manual(BEGIN.parse::<Timestamp>().unwrap());
        let app = Arc::new(
            App::open(&Config { log: url.to_owned(), ..config(folder.path()) }, handles(&clock))
                .await
                .unwrap(),
        );
        Self { asking: asking(&app, 1_000_000), app, clock, folder }
    }

    /// The same, with a folder for snapshots of the views.
    ///
    /// # Panics
    /// When it can't be opened.
    pub async fn sharing(url: &str, snapshots: &std::path::Path, often: SharedFolder) -> Self {
        let (folder, clock) =
            (TempDir::new().unwrap(), Clock::manual(BEGIN.parse::<Timestamp>().unwrap()));
        std::fs::write(folder.path().join("keyring.key"), "07".repeat(32)).unwrap();
        let config = Config {
            log: url.to_owned(),
            snapshots: snapshots.to_owned(),
            ..config(folder.path())
        };
        let handles = Handles { snapshots: often, ..handles(&clock) };
        let app = Arc::new(App::open(&config, handles).await.unwrap());
        // Keys of different processes must not be the same by chance.
        let keys = u64::from(uuid::Uuid::now_v7().as_fields().1) << 32;
        Self { asking: asking(&app, keys), app, clock, folder }
    }

    /// One more process on a log in KurrentDB whose keyring is in PostgreSQL.
    ///
    /// # Panics
    /// When it can't be opened.
    pub async fn in_kurrentdb(url: &str, keys: &str) -> Self {
        let (folder, clock) =
            (TempDir::new().unwrap(), Clock::manual(BEGIN.parse::<Timestamp>().unwrap()));
        std::fs::write(folder.path().join("keyring.key"), "07".repeat(32)).unwrap();
        let config = Config { log: url.to_owned(), keys: keys.to_owned(), ..config(folder.path()) };
        let app = Arc::new(App::open(&config, handles(&clock)).await.unwrap());
        Self {
            asking: asking(&app, u64::from(uuid::Uuid::now_v7().as_fields().1) << 32),
            app,
            clock,
            folder,
        }
    }

    /// Closes it and opens its folder again.
    ///
    /// # Panics
    /// When somebody still holds it.
    pub async fn reopen(self) -> Self {
        self.reopen_after(|_| 0).await
    }

    /// The same, with something done to its folder in between, that says how many pages a file of
    /// its views may have.
    ///
    /// # Panics
    /// When somebody still holds it.
    pub async fn reopen_after(self, between: impl FnOnce(&std::path::Path) -> u32) -> Self {
        let Self { app, clock, folder, asking: left } = self;
        drop(left);
        Arc::into_inner(app).expect("nobody else holds it").close().await;
        let views_pages_max = between(folder.path());
        // Other randomness than before: the same ids must not come again by chance.
        let entropy = Entropy::System;
        let handles =
            Handles { clock: clock.clone(), entropy, views_pages_max, ..Handles::default() };
        let app = Arc::new(App::open(&config(folder.path()), handles).await.unwrap());
        Self { asking: asking(&app, 1_000_000), app, clock, folder }
    }

    /// Closes it; its folder stays.
    ///
    /// # Panics
    /// When somebody still holds it.
    pub async fn close(self) -> TempDir {
        let Self { app, folder, asking: left, .. } = self;
        drop(left);
        Arc::into_inner(app).expect("nobody else holds it").close().await;
        folder
    }

    /// Forgets somebody as the operator; the business's own texts with the approval of a second
    /// human.
    ///
    /// # Panics
    /// When that does not work.
    pub async fn forgets(&self, business: BusinessId, subject: Uuid) -> Receipt {
        let own = subject == business.0;
        let (command, id, data) = if own {
            ("businesses.forget", business.0, json!({}))
        } else {
            (
                "privacy.forget_subject",
                ErasureId::of(business, SubjectId(subject)).0,
                json!({"subject": subject}),
            )
        };
        let approval = if own {
            Some(ApprovalId(self.approval_of(business, command, id, &data).await))
        } else {
            None
        };
        let mut submission = Submission::new(
            business,
            self.app.operator_in(business).await.unwrap(),
            self.key(),
            command,
            Some(id),
            &data,
        );
        submission.approval_id = approval;
        self.app.submit(submission).await.unwrap_or_else(|e| panic!("{command}: {e}"))
    }

    /// Enrols an agent with credentials of its own, and gives its id.
    pub async fn agent(&self, business: BusinessId, role: &str) -> Uuid {
        self.agent_named(business, role, &Uuid::now_v7().to_string()).await
    }

    /// Enrols an agent whose credentials follow from a name, and gives its id.
    pub async fn agent_named(&self, business: BusinessId, role: &str, name: &str) -> Uuid {
        let principal = business.derive_id(name);
        self.must(
            INSTALLATION,
            "access.add_principal",
            Some(principal),
            json!({"kind": "agent", "display_name": name}),
        )
        .await;
        self.must(
            INSTALLATION,
            "access.grant_role",
            Some(principal),
            json!({"business": business, "role": "agent"}),
        )
        .await;
        let data = json!({"name": role, "team": "sales", "role": role, "runtime": {"model": "m"},
            "principal": principal, "concurrency": 100});
        self.must(business, "agents.enrol", None, data).await.events[0].id
    }

    /// Says in the business's approval policy that these operations of `crm` only read: nobody has
    /// to approve calls of them.
    pub async fn lets_crm_be_asked(&self, business: BusinessId, operations: &[&str]) {
        let class = |operation: &&str| {
            json!({"connector": "crm", "operation": operation,
            "class": "read", "data_class": "restricted"})
        };
        let classes: Vec<Value> = operations.iter().map(class).collect();
        let policy =
            json!({"rules": domain::approvals::shipped_rules(), "operation_classes": classes});
        self.approved(business, "approvals.define_policy", business.0, policy).await;
    }

    /// Lets an agent call `crm`, with these operations and any data.
    pub async fn permit(&self, business: BusinessId, agent: Uuid, operations: &[&str]) {
        let permissions =
            json!({"tools": operations, "connectors": ["crm"], "data_classes": ["restricted"]});
        self.approved(business, "agents.change", agent, json!({"permissions": permissions})).await;
    }

    /// Asks GraphQL as the operator, after the views have caught up.
    ///
    /// # Panics
    /// When the answer has errors.
    pub async fn query(&self, graphql: &str) -> Value {
        self.query_as(operator(), graphql).await
    }

    /// Asks GraphQL as somebody.
    ///
    /// # Panics
    /// When the answer has errors.
    pub async fn query_as(&self, principal: PrincipalId, graphql: &str) -> Value {
        let answer = self.try_query(principal, graphql).await;
        assert!(answer.get("errors").is_none(), "{graphql}: {answer:#}");
        answer["data"].clone()
    }

    /// Asks GraphQL as somebody, and gives the whole answer.
    ///
    /// # Panics
    /// When the views do not catch up.
    pub async fn try_query(&self, principal: PrincipalId, graphql: &str) -> Value {
        self.app.caught_up(Duration::from_secs(60)).await.unwrap();
        let viewer = self.app.viewer(principal).await.unwrap();
        let request = server::app::graphql_request(graphql, viewer);
        serde_json::to_value(self.app.api.execute(request).await).unwrap()
    }

    /// Live views = views rebuilt from the log.
    ///
    /// # Panics
    /// When a digest differs.
    pub async fn views_are_rebuilt_alike(&self) {
        self.app.caught_up(Duration::from_secs(60)).await.unwrap();
        assert_eq!(self.app.views.digests().unwrap(), self.rebuilt_digests().await);
    }

    /// The digests of the views that the log gives.
    ///
    /// # Panics
    /// When they can't be built.
    pub async fn rebuilt_digests(&self) -> Vec<(String, domain::values::Digest)> {
        let (log, keyring, end) =
            (self.app.bus.log().clone(), self.app.keyring.clone(), self.app.views.position());
        tokio::task::spawn_blocking(move || {
            projections::Runner::rebuilt_digests(log, keyring, end).unwrap()
        })
        .await
        .unwrap()
    }

    /// The whole log verifies.
    ///
    /// # Panics
    /// When it does not.
    pub async fn verifies(&self) {
        let report = server::verify::verify_open(&self.app.log).await.unwrap();
        assert!(report.fault.is_none(), "{:?}", report.fault);
    }
}
