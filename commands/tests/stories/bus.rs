//! A command bus on a log of its own: what a command goes through without server, views and doors.

use std::sync::Arc;

use commands::{Clock, CommandBus, CommandBusParts, NoLeases, OpenLeases};

use domain::PrincipalId;
use domain::ids::INSTALLATION;
use event_log::attempts::Attempts;
use event_log::keyring::{IfMissing, LocalKeyring, Wrapping};
use event_log::sqlite::{Options, SqliteLog};
use event_log::{Entropy, EventLog, Keyring};
use serde_json::json;
use tempfile::TempDir;

use crate::asking::Asking;

/// The command bus with what it stands on, and its operator.
pub(crate) struct Bus {
    asking: Asking,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) keyring: Arc<dyn Keyring>,
    pub(crate) clock: Clock,
    _folder: TempDir,
}

impl std::ops::Deref for Bus {
    type Target = Asking;

    fn deref(&self) -> &Asking {
        &self.asking
    }
}

impl Bus {
    pub(crate) async fn new() -> Self {
        Self::with(Arc::new(NoLeases)).await
    }

    /// One whose command bus asks there which tasks an agent holds.
    pub(crate) async fn with(leases: Arc<dyn OpenLeases>) -> Self {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        let clock = Clock::manual("2026-11-22T12:00:00Z".parse().unwrap());
        let wrapping = Wrapping::from_file(&path("keyring.key"), &Entropy::System).unwrap();
        let log: Arc<dyn EventLog> =
            Arc::new(SqliteLog::open(folder.path(), &Options::default()).unwrap());
        let keyring: Arc<dyn Keyring> = Arc::new(
            LocalKeyring::open(&path("keys.db"), &wrapping, Entropy::System, IfMissing::Make)
                .unwrap(),
        );
        let bus = Arc::new(CommandBus::new(CommandBusParts {
            log: Arc::clone(&log),
            keyring: Arc::clone(&keyring),
            attempts: Arc::new(Attempts::open(&path("attempts.db")).unwrap()),
            clock: clock.clone(),
            entropy: Entropy::System,
            leases,
            attempts_secret: [7; 32].into(),
            registrations_per_day: 5,
        }));
        let operator = PrincipalId(INSTALLATION.derive_id("operator"));
        let founder = commands::Actor {
            operator: true,
            ..crate::story::actor(0, domain::access::PrincipalKind::Human, &[])
        };
        let founder = commands::Actor { principal: operator, ..founder };
        let asking = Asking::new(bus, operator, 0);
        let data = json!({"kind": "human", "display_name": "operator", "operator": true});
        asking
            .submit(&founder, INSTALLATION, "access.add_principal", Some(operator.0), data)
            .await
            .unwrap();
        Self { asking, log, keyring, clock, _folder: folder }
    }
}
