//! The command bus: the one path that a command takes, whichever API it came through.
//!
//! check the form → authorise → parse → the business's lane (decide, seal, append) → receipt. Every
//! attempt that came here within the rate limits is kept, whatever came of it and even if its
//! caller has gone.

mod batch;
mod registration;
mod turn;
mod unkept_attempt;

use std::sync::Arc;
use std::time::Duration;

use domain::access::PrincipalKind;
use domain::ids::INSTALLATION;
use domain::limits::{BODY_BYTES_MAX, COMMAND_MS_MAX, KEY_CHARS_MAX, QUEUE_MAX};
use domain::{AggregateRef, BusinessId};
use event_log::attempts::{Attempt, Attempts};
use event_log::sealing::content_digest;
use event_log::{Entropy, EventLog, Keyring, chain};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tracing::Instrument as _;
use zeroize::Zeroizing;

use crate::authorize::authorize;
use crate::clock::Clock;
use crate::clock_watch::ClockWatch;
use crate::command::{CommandError, Receipt, Submission};
use crate::directory::Directory;
use crate::lane::{Job, Lane, LaneServices, opened_id};
use crate::leases::OpenLeases;
use crate::rates::{Admitted, RateLimits};
use crate::registrations::Registrations;
use crate::registry::{AnyCommand, Verb};
use crate::{Refusal, businesses, operations};
pub use batch::BatchItem;
use turn::Turn;
use unkept_attempt::UnkeptAttempt;

/// Commands that may wait in one lane.
const LANE_QUEUE_MAX: usize = 1_024;
/// Number of lanes that share all businesses: enough for the cores, few enough to keep each busy.
const LANES: usize = 4;

/// The parts that a command bus is made of.
pub struct CommandBusParts {
    /// The log that events are appended to.
    pub log: Arc<dyn EventLog>,
    /// The keyring with the keys of data subjects.
    pub keyring: Arc<dyn Keyring>,
    /// The store that keeps attempts.
    pub attempts: Arc<Attempts>,
    /// The source of the current time.
    pub clock: Clock,
    /// The source of randomness.
    pub entropy: Entropy,
    /// The look-up of the tasks that an agent holds.
    pub leases: Arc<dyn OpenLeases>,
    /// The secret of the HMAC that attempts and log lines show in place of an idempotency key,
    /// because callers may write anything into a key.
    pub attempts_secret: Zeroizing<[u8; 32]>,
    /// How many businesses a principal that is no operator may register in 24 hours.
    pub registrations_per_day: u32,
}

/// Takes every command from its sender to its receipt.
pub struct CommandBus {
    shared: Arc<LaneServices>,
    attempts: Arc<Attempts>,
    attempts_secret: Zeroizing<[u8; 32]>,
    directory: Arc<Directory>,
    lanes: [mpsc::Sender<Job>; LANES],
    queue_room: Arc<Semaphore>,
    rates: Arc<RateLimits>,
    registrations: Registrations,
}

impl CommandBus {
    /// A command bus whose lanes run on the runtime it is made on.
    #[must_use]
    pub fn new(parts: CommandBusParts) -> Self {
        let directory = Arc::new(Directory::new(Arc::clone(&parts.log)));
        let CommandBusParts {
            log,
            keyring,
            attempts,
            clock,
            entropy,
            leases,
            attempts_secret,
            registrations_per_day,
        } = parts;
        let rates = Arc::new(RateLimits::new(&clock));
        let clock = Arc::new(ClockWatch::new(clock));
        let shared = Arc::new(LaneServices {
            log,
            keyring,
            clock,
            entropy,
            directory: Arc::clone(&directory),
            leases,
        });
        let lanes = std::array::from_fn(|_| {
            let (sender, jobs) = mpsc::channel(LANE_QUEUE_MAX);
            event_log::vital::task("lane", Lane::new(Arc::clone(&shared), jobs).run());
            sender
        });
        let (queue_room, registrations) =
            (Arc::new(Semaphore::new(QUEUE_MAX)), Registrations::new(registrations_per_day));
        Self {
            shared,
            attempts,
            attempts_secret,
            directory,
            lanes,
            queue_room,
            rates,
            registrations,
        }
    }

    /// The principals with their roles and keys, and the slugs of businesses.
    #[must_use]
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// The server's clock, and whether it can be relied on.
    #[must_use]
    pub fn clock(&self) -> &Arc<ClockWatch> {
        &self.shared.clock
    }

    /// The rate limits of all principals and businesses.
    #[must_use]
    pub fn rates(&self) -> &Arc<RateLimits> {
        &self.rates
    }

    /// The log that the command bus appends to.
    #[must_use]
    pub fn log(&self) -> &Arc<dyn EventLog> {
        &self.shared.log
    }

    /// The attempts kept so far.
    #[must_use]
    pub fn attempts(&self) -> &Arc<Attempts> {
        &self.attempts
    }

    /// Takes a command to its receipt.
    ///
    /// # Errors
    /// [`CommandError`]; nothing of the command was stored, unless the outcome is unknown.
    pub async fn submit(&self, submission: Submission) -> Result<Receipt, CommandError> {
        let admitted = self.rates.admit(&submission.actor, submission.business)?;
        self.submit_admitted(admitted, submission).await
    }

    /// Takes a command to its receipt; the rate limits admitted it before its body was read. A
    /// sender over its limit is only counted; the list of attempts does not show it.
    ///
    /// # Errors
    /// As for [`CommandBus::submit`].
    pub async fn submit_admitted(
        &self,
        admitted: Admitted,
        submission: Submission,
    ) -> Result<Receipt, CommandError> {
        self.submit_in_turn(admitted, submission, &mut Turn::at_once()).await
    }

    async fn submit_in_turn(
        &self,
        admitted: Admitted,
        submission: Submission,
        turn: &mut Turn,
    ) -> Result<Receipt, CommandError> {
        admitted.bytes(submission.data.get().len())?;
        let attempt = Attempt {
            at: self.shared.clock.now(),
            // A stranger writes into no business's list: its attempts are kept with the
            // installation's.
            business: if submission.actor.may_see() { submission.business } else { INSTALLATION },
            actor: submission.actor.principal,
            // An unknown type is a text of the sender's, which is not kept.
            command_type: AnyCommand::type_named(&submission.r#type)
                .map_or("(unknown)", |t| t.name)
                .to_owned(),
            target: submission.id,
            key: content_digest(&self.attempts_secret, submission.key.as_bytes()).to_string(),
            outcome: String::new(),
        };
        let unkept = UnkeptAttempt::new(attempt, Arc::clone(&self.attempts));
        let span = tracing::info_span!("command", "command.type" = %unkept.command_type(),
            business.id = %submission.business, correlation.id = ?submission.correlation);
        let taken = tokio::time::timeout(
            Duration::from_millis(COMMAND_MS_MAX),
            self.take(submission, turn),
        );
        let result =
            taken.instrument(span.clone()).await.unwrap_or(Err(CommandError::OutcomeUnknown));
        let outcome = match &result {
            Ok(receipt) if receipt.repeated => "repeated",
            Ok(receipt) if receipt.events.is_empty() => "unchanged",
            Ok(_) => "accepted",
            Err(e) => e.name(),
        };
        unkept.keep(outcome, &span).await;
        result
    }

    async fn take(
        &self,
        mut submission: Submission,
        turn: &mut Turn,
    ) -> Result<Receipt, CommandError> {
        check_form(&submission)?;
        let command_type =
            AnyCommand::known(&submission.r#type).map_err(CommandError::Malformed)?;
        authorize(&submission.actor, submission.business, command_type)?;
        self.may_speak_for(&submission).await?;
        let command = AnyCommand::parse(&submission.r#type, &submission.data)
            .map_err(CommandError::Malformed)?;
        if let AnyCommand::Businesses(businesses::Command::Register(register)) = &command {
            // Counted and claimed one at a time: many at once would all find that they are the
            // first. Who is not counted waits for nobody.
            let _turn = if submission.actor.operator {
                None
            } else {
                Some(self.registrations.turn().await)
            };
            self.place_business(&mut submission, &command).await?;
            self.claim_slug(&submission, register).await?;
        }
        let installation = submission.business == INSTALLATION;
        let accepts_clock =
            matches!(command, AnyCommand::Operations(operations::Command::AcceptClock(_)));
        let receipt = self.through_lane(submission, command, None, turn).await;
        if accepts_clock && receipt.is_ok() {
            self.shared.clock.accept();
        }
        if installation && let Err(e) = self.directory.refresh().await {
            // What was done stays done: the next who asks reads it.
            tracing::warn!(error = %chain(&e), "what was done to the installation is not known here yet");
        }
        receipt
    }

    /// Refuses `on_behalf_of` somebody else, unless a service or an operator sends it for a
    /// principal that belongs to the business.
    async fn may_speak_for(&self, submission: &Submission) -> Result<(), CommandError> {
        let actor = &submission.actor;
        let Some(other) = submission.on_behalf_of.filter(|p| *p != actor.principal) else {
            return Ok(());
        };
        if !actor.operator && actor.kind != PrincipalKind::Service {
            return Err(forbidden(
                "on_behalf_of somebody else",
                "leave it out, or have a service of the business send it",
            ));
        }
        if self.directory.roster().await?.belongs_to(other, submission.business) {
            Ok(())
        } else {
            Err(Refusal::PrincipalUnknown { principal: other }.into())
        }
    }

    async fn through_lane(
        &self,
        submission: Submission,
        command: AnyCommand,
        unopened: Option<BusinessId>,
        turn: &mut Turn,
    ) -> Result<Receipt, CommandError> {
        let queue_room =
            Arc::clone(&self.queue_room).try_acquire_owned().map_err(|_| CommandError::Busy)?;
        let target = target(&submission, &command)?;
        let content = submission.content().map_err(|e| CommandError::Malformed(e.to_string()))?;
        let (answer, wait) = oneshot::channel();
        let (business, is_import) = (submission.business, submission.actor.historic);
        let first_id =
            event_log::envelope::event_id(business, submission.actor.principal, &submission.key, 0);
        let target_id_from_key = submission.id.is_none() && target.id == opened_id(&submission);
        let job = Job {
            submission,
            command,
            target,
            unopened,
            target_id_from_key,
            first_id,
            content,
            conflicts: 0,
            stale_retries: 0,
            check_duplicate: false,
            answer,
            _queue_permit: queue_room,
        };
        let closing = || CommandError::unavailable("the command bus is shutting down; try again");
        self.lane(business).send(job).await.map_err(|_| closing())?;
        // On a shared log a stale answer is decided again, behind what came after it: there the
        // next command waits for this answer. Those of an import rest on no answer.
        if !self.shared.log.shared() || is_import {
            turn.end();
        }
        wait.await.unwrap_or_else(|_| Err(closing()))
    }

    /// The lane of a business: always the same one.
    fn lane(&self, business: BusinessId) -> &mpsc::Sender<Job> {
        let (_, low) = business.0.as_u64_pair();
        let n = usize::try_from(low % self.lanes.len() as u64).unwrap_or(0);
        self.lanes.get(n).unwrap_or(&self.lanes[0])
    }
}

fn forbidden(what: &str, instead: &'static str) -> CommandError {
    CommandError::Forbidden { what: what.to_owned(), instead }
}

fn check_form(submission: &Submission) -> Result<(), CommandError> {
    let malformed = |why: &str| Err(CommandError::Malformed(why.to_owned()));
    let key = &submission.key;
    if key.is_empty() || key.chars().count() > KEY_CHARS_MAX || key.chars().any(char::is_control) {
        return malformed(
            "the idempotency key must have 1 to 200 characters and no control characters",
        );
    }
    if submission.data.get().len() > BODY_BYTES_MAX {
        return Err(CommandError::TooLarge(format!(
            "a command of more than {BODY_BYTES_MAX} bytes; send less at once"
        )));
    }
    if !submission.data.get().starts_with('{') {
        return malformed("`data` must be an object with the command's fields");
    }
    proof::canonical::gate(submission.data.get().as_bytes())
        .map_err(|e| CommandError::Malformed(format!("`data`: {e}")))
}

/// The aggregate that a command is for. The command's declaration says where its id comes from.
fn target(submission: &Submission, command: &AnyCommand) -> Result<AggregateRef, CommandError> {
    let malformed = |why: String| Err(CommandError::Malformed(why));
    let command_type = command.command_type();
    // An importer makes the id of an agent of what the source calls it, and sends it.
    let derived =
        command.derived_target(submission.business).filter(|_| !submission.actor.historic);
    let id = match (submission.id, derived) {
        (Some(id), Some(derived)) if id != derived => {
            return malformed(format!(
                "the id of this {} is {derived}; leave `id` out or send that one",
                command_type.kind
            ));
        }
        (_, Some(derived)) => derived,
        (Some(id), None) => id,
        (None, None) if command_type.verb == Verb::acts => {
            return malformed(format!(
                "`id` is missing: {} needs the id of its {}",
                command_type.name, command_type.kind
            ));
        }
        (None, None) => opened_id(submission),
    };
    Ok(AggregateRef { kind: command_type.kind, id })
}
