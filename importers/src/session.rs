//! The session that every importer works with: the business, the service in whose name it acts, and
//! its access to the command bus.
//!
//! No text of a source is in an id or a key: those are made of HMACs under the business's import
//! secret, so that nobody can find out by guessing who is in the record. What an earlier version
//! imported keeps the ids that it has, and is recognised by them.

mod run;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use commands::{Actor, CommandBus, CommandError, Receipt, Submission};
use domain::access::RateProfile;
use domain::ids::{AgentId, HistoryId, INSTALLATION, TaskId};
use domain::{AggregateRef, BusinessId, PrincipalId, Timestamp};
use event_log::envelope::event_id;
use event_log::sealing::content_digest;
use event_log::{Cause, Keyring, Version, chain};
use lru::LruCache;
use serde_json::{Value, json};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Counts, Settings};

pub use run::{ImportCommand, Run, first_event};

/// An import of one format into one business.
pub struct Session {
    bus: Arc<CommandBus>,
    /// Id of the business.
    pub business: BusinessId,
    /// The settings of the import.
    pub settings: Settings,
    /// Name of the format.
    pub format: &'static str,
    actor: Actor,
    operator: Actor,
    on_behalf_of: PrincipalId,
    /// The import secret of the business, from which ids and keys are made.
    secret: Zeroizing<[u8; 32]>,
    principals: Mutex<LruCache<String, PrincipalId>>,
    agents: Mutex<LruCache<String, AgentId>>,
}

/// The handles of the installation that records are imported into.
#[derive(Clone)]
pub struct Host {
    /// The command bus, through which every command goes.
    pub bus: Arc<CommandBus>,
    /// The keyring, which holds the import secrets.
    pub keyring: Arc<dyn Keyring>,
    /// The operator, who registers the business and adds principals.
    pub operator: Actor,
}

impl Host {
    async fn submit(
        &self,
        key: String,
        command: &str,
        id: Option<Uuid>,
        data: &Value,
    ) -> Result<Receipt, CommandError> {
        let actor = self.operator.clone();
        self.bus.submit(Submission::new(INSTALLATION, actor, key, command, id, data)).await
    }

    /// The service `importer:<format>` of a business; it is added if it is missing.
    async fn service(&self, business: BusinessId, format: &str) -> Result<Actor, CommandError> {
        let directory = self.bus.directory();
        let name = format!("importer:{format}");
        let service = PrincipalId(business.derive_id(&name));
        let mut actor = directory.actor(service, business).await?;
        if actor.as_ref().is_none_or(|a| a.roles.is_empty()) {
            let key = |part: &str| format!("import:{business}:{format}:{part}");
            let add = json!({"kind": "service", "display_name": name});
            self.submit(key("add"), "access.add_principal", Some(service.0), &add).await?;
            let grant = json!({"business": business, "role": "service"});
            self.submit(key("grant"), "access.grant_role", Some(service.0), &grant).await?;
            actor = directory.actor(service, business).await?;
        }
        let actor = actor.ok_or_else(|| {
            CommandError::unavailable("the importer's principal could not be added")
        })?;
        // What comes in happened: no approval undoes it. No door says this of an actor, only this
        // code.
        Ok(Actor { historic: true, rate_profile: RateProfile::Bulk, ..actor })
    }
}

/// How many names of a source are cached with their ids; further ones are looked up again.
const NAMES_REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

fn known<T>() -> Mutex<LruCache<String, T>> {
    Mutex::new(LruCache::new(NAMES_REMEMBERED))
}

impl Session {
    /// Registers the business if it is missing, and adds the importer's service.
    ///
    /// # Errors
    /// The error of the command bus.
    pub async fn open(
        host: &Host,
        format: &'static str,
        settings: &Settings,
        caller: PrincipalId,
    ) -> Result<Self, CommandError> {
        let directory = host.bus.directory();
        let business = match directory.slug(&settings.business).await? {
            Some(business) => business,
            None => {
                let data = json!({"slug": settings.business, "currency": settings.currency});
                let key = format!("import:{}:register", settings.business);
                host.submit(key, "businesses.register", None, &data).await?.business
            }
        };
        let actor = host.service(business, format).await?;
        let secret =
            host.keyring.secret(business, domain::privacy::import_secret(business)).await?;
        Ok(Self {
            bus: Arc::clone(&host.bus),
            business,
            settings: settings.clone(),
            format,
            actor,
            operator: host.operator.clone(),
            on_behalf_of: caller,
            secret,
            principals: known(),
            agents: known(),
        })
    }

    /// Stands for a text of the source in ids and keys: its HMAC-SHA-256, hexadecimal.
    #[must_use]
    pub fn hashed(&self, text: &str) -> String {
        content_digest(&self.secret, text.as_bytes()).to_string()
    }

    async fn is_there(&self, aggregate: AggregateRef) -> Result<bool, CommandError> {
        Ok(self
            .bus
            .log()
            .versions(self.business, &[aggregate])
            .await?
            .first()
            .is_some_and(|version| *version > Version::START))
    }

    /// True if a command was carried out under this idempotency key.
    async fn was_sent(&self, key: &str) -> Result<bool, CommandError> {
        let first = event_id(self.business, self.actor.principal, key, 0);
        Ok(self.bus.log().find(self.business, first).await?.is_some())
    }

    /// The id of the agent with this name, the same for all imports of this format.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn agent(&self, name: &str) -> Result<AgentId, CommandError> {
        if let Some(known) = self.agents.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Ok(*known);
        }
        let of =
            |name: &str| AgentId(self.business.derive_id(&format!("{}:agent:{name}", self.format)));
        let (earlier, hashed) = (of(name), of(&self.hashed(name)));
        let id = if self.is_there(earlier.into()).await? { earlier } else { hashed };
        self.agents.lock().unwrap_or_else(PoisonError::into_inner).put(name.to_owned(), id);
        Ok(id)
    }

    /// The id of a source's log, such as a file of cases; the same for all of its cases.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn history(&self, log: &str) -> Result<HistoryId, CommandError> {
        let of =
            |log: &str| HistoryId(self.business.derive_id(&format!("{}:log:{log}", self.format)));
        let earlier = of(log);
        Ok(if self.is_there(earlier.into()).await? { earlier } else { of(&self.hashed(log)) })
    }

    /// Enrols an agent; enrolling it again changes nothing.
    ///
    /// # Errors
    /// The error of the command bus.
    pub async fn enrol(
        &self,
        name: &str,
        role: &str,
        model: &str,
        connector: &str,
    ) -> Result<AgentId, CommandError> {
        let earlier = AgentId(self.business.derive_id(&format!("{}:agent:{name}", self.format)));
        let id = self.agent(name).await?;
        let hashed = if id == earlier { name.to_owned() } else { self.hashed(name) };
        let principal =
            PrincipalId(self.business.derive_id(&format!("{}:principal:{hashed}", self.format)));
        // The credentials it would act with have no key and no role: it never acts here.
        self.add_principal(principal, "agent", name).await?;
        let data = json!({
            "name": name, "team": "operations", "role": role, "runtime": {"model": model},
            "principal": principal,
            "permissions": {"tools": [], "connectors": [connector], "data_classes": []},
            "concurrency": 100,
        });
        // Without `on_behalf_of`: whoever imports next must get the same receipt. What the first
        // import said of the agent's model stays; each decision says which model it was made by.
        let key = format!("{}:agent:{hashed}", self.format);
        let submission = Submission::new(
            self.business,
            self.actor.clone(),
            key,
            "agents.enrol",
            Some(id.0),
            &data,
        );
        match self.bus.submit(submission).await {
            Ok(_) | Err(CommandError::KeyReused(_)) => Ok(id),
            Err(e) => Err(e),
        }
    }

    /// The principal that stands for somebody whom the source names, added if missing. Its id is a
    /// UUID v5 of the name's HMAC; the name itself is stored sealed.
    ///
    /// # Errors
    /// The error of the command bus.
    pub async fn principal(&self, name: &str) -> Result<PrincipalId, CommandError> {
        if let Some(known) =
            self.principals.lock().unwrap_or_else(PoisonError::into_inner).get(name)
        {
            return Ok(*known);
        }
        let id = self.principal_id(name).await?;
        self.add_principal(id, "human", name).await?;
        self.principals.lock().unwrap_or_else(PoisonError::into_inner).put(name.to_owned(), id);
        Ok(id)
    }

    /// The id of the principal for a name, whether it was added or not.
    async fn principal_id(&self, name: &str) -> Result<PrincipalId, CommandError> {
        let earlier = PrincipalId(self.business.derive_id(name));
        let known = self.bus.directory().principal(earlier).await?.is_some();
        Ok(if known { earlier } else { PrincipalId(self.business.derive_id(&self.hashed(name))) })
    }

    async fn add_principal(
        &self,
        id: PrincipalId,
        kind: &str,
        name: &str,
    ) -> Result<(), CommandError> {
        let data = json!({"kind": kind, "display_name": name});
        let key = format!("import:{}:resource:{id}", self.business);
        let add = Submission::new(
            INSTALLATION,
            self.operator.clone(),
            key,
            "access.add_principal",
            Some(id.0),
            &data,
        );
        self.bus.submit(add).await.map(|_| ())
    }

    /// The first event of a receipt, as it is stored.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn stored(&self, receipt: &Receipt) -> Result<Value, CommandError> {
        fn unreadable(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CommandError {
            CommandError::Unavailable(Cause::new("an event just stored can't be read", why))
        }
        let Some(event) = receipt.events.first() else {
            return Err(unreadable("there is none"));
        };
        let recorded = self.bus.log().find(self.business, event.event_id).await?;
        let recorded = recorded.ok_or_else(|| unreadable(event.event_id.to_string()))?;
        serde_json::from_slice(&recorded.bytes).map_err(unreadable)
    }

    /// Makes the run of a record that becomes a task.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn run(&self, record: &str) -> Result<Run<'_>, String> {
        let task = TaskId(self.business.derive_id(&format!("{}:{record}", self.format)));
        self.run_of(record, task.into()).await
    }

    /// Begins to import a record, with a rehearsal. If the aggregate `earlier` exists, an earlier
    /// version imported the record, which then keeps its id in the clear; otherwise its id is an
    /// HMAC.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn run_of(&self, record: &str, earlier: AggregateRef) -> Result<Run<'_>, String> {
        let hashed = !self.is_there(earlier).await.map_err(|e| chain(&e).to_string())?;
        let record = if hashed { self.hashed(record) } else { record.to_owned() };
        let task = self.business.derive_id(&format!("{}:{record}", self.format));
        let counts = self.no_counts();
        Ok(Run {
            session: self,
            record,
            hashed,
            task,
            counts,
            waiting: Vec::new(),
            is_rehearsal: true,
        })
    }

    fn no_counts(&self) -> Counts {
        Counts { currency: self.settings.currency.to_string(), ..Counts::default() }
    }
}

/// JSON that a model wrote, as a field's value; as text if it is not valid I-JSON.
#[must_use]
pub fn as_value(text: &str) -> Value {
    match proof::canonical::gate(text.as_bytes()) {
        Ok(()) => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
        Err(_) => Value::String(text.to_owned()),
    }
}

/// Shortens a name to 200 characters without control characters; importers keep the full name
/// elsewhere.
#[must_use]
pub fn name(text: &str) -> String {
    let clean: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    let clean = clean.trim().to_owned();
    if clean.is_empty() { "(no name)".to_owned() } else { clean }
}

/// Checks every time of a record before its first command is sent.
///
/// # Errors
/// Names the first faulty time, and says how to write it.
pub fn check_times<'a>(times: impl IntoIterator<Item = Option<&'a str>>) -> Result<(), String> {
    let wrong = times.into_iter().flatten().find(|text| time(text).is_none());
    wrong.map_or(Ok(()), |text| {
        Err(format!(
            "`{text}` is no time; write it as \
        2026-11-22T20:00:00+01:00, or without an offset for UTC"
        ))
    })
}

/// Parses a time of a source: RFC 3339, also with a blank instead of the T, or without an offset (=
/// UTC).
#[must_use]
pub fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim().replacen(' ', "T", 1);
    text.parse().ok().or_else(|| format!("{text}Z").parse().ok())
}
