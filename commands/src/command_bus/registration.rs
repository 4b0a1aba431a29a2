//! Commands that open a business: its slug is claimed in the installation first.

use super::turn::Turn;
use super::{CommandBus, forbidden};
use crate::command::{CommandError, Submission};
use crate::registry::AnyCommand;
use crate::root::{Context, Decide as _, LoadedAggregates};
use crate::{Refusal, businesses};
use domain::ids::INSTALLATION;
use domain::{BusinessId, State};
use event_log::Version;
use serde_json::json;

impl CommandBus {
    /// Sets the id of a business to be opened, and refuses one that is open already. An operator
    /// may choose the id; for everybody else it is derived from the principal and the idempotency
    /// key.
    pub(super) async fn place_business(
        &self,
        submission: &mut Submission,
        command: &AnyCommand,
    ) -> Result<(), CommandError> {
        let derived = BusinessId(
            event_log::envelope::event_id(
                INSTALLATION,
                submission.actor.principal,
                &submission.key,
                u32::MAX,
            )
            .0,
        );
        let chosen = Some(submission.business)
            .filter(|b| *b != INSTALLATION)
            .or(submission.id.map(BusinessId));
        let business = chosen.unwrap_or(derived);
        if business == INSTALLATION || (business != derived && !submission.actor.operator) {
            return Err(forbidden(
                "businesses.register under an id of your choice",
                "leave `id` out",
            ));
        }
        submission.business = business;
        // Before anything is claimed for it: a stream that is open is somebody else's, unless this
        // very command opened it.
        let first =
            event_log::envelope::event_id(business, submission.actor.principal, &submission.key, 0);
        // Another process may have opened it, and this one not have heard.
        self.shared.log.catch_up(business).await?;
        if self.shared.log.find(business, first).await?.is_some() {
            return Ok(());
        }
        if self.shared.log.head(business).await?.is_some() {
            return Err(Refusal::Exists { what: "business" }.into());
        }
        self.registrations
            .check(&submission.actor, &self.directory, self.shared.clock.now())
            .await?;
        // What the business would refuse is refused before its slug is claimed.
        let ctx = self.opening(submission, command).await?;
        let mut nothing = LoadedAggregates::default();
        for aggregate in command.reads(&ctx, &nothing) {
            nothing.0.insert(aggregate, (Version::START, State::empty(aggregate.kind)));
        }
        command.decide(&ctx, &nothing)?;
        Ok(())
    }

    pub(super) async fn opening(
        &self,
        submission: &Submission,
        command: &AnyCommand,
    ) -> Result<Context, CommandError> {
        Ok(Context {
            business: submission.business,
            target: submission.business.0,
            command: command.command_type(),
            now: self.shared.clock.now(),
            clock_doubt: self.shared.clock.in_doubt(),
            actor: submission.actor.clone(),
            approval: None,
            presented_digest: None,
            backdated: submission.occurred_at.is_some(),
            seed: [0; 32],
            people: self.directory.roster().await?,
            leases: std::collections::BTreeSet::new(),
            newest_generation: None,
            person_behind: None,
            unopened: None,
        })
    }

    /// Claims the slug before the business opens, so that no two businesses have the same slug.
    pub(super) async fn claim_slug(
        &self,
        submission: &Submission,
        register: &businesses::Register,
    ) -> Result<(), CommandError> {
        let owner = register.owner.unwrap_or(submission.actor.principal);
        if owner != submission.actor.principal && !submission.actor.operator {
            return Err(forbidden("businesses.register for another owner", "leave `owner` out"));
        }
        let data = json!({"slug": register.slug, "business": submission.business, "owner": owner});
        let id = Some(businesses::slug_id(&register.slug));
        let mut claim = Submission::new(
            INSTALLATION,
            submission.actor.clone(),
            submission.key.clone(),
            "businesses.claim_slug",
            id,
            &data,
        );
        claim.correlation = submission.correlation;
        let command =
            AnyCommand::parse(&claim.r#type, &claim.data).map_err(CommandError::Malformed)?;
        let slug = register.slug.to_string();
        let holder = self.directory.slug(&slug).await?;
        let unopened = match holder {
            Some(other)
                if other != submission.business && self.shared.log.head(other).await?.is_none() =>
            {
                Some(other)
            }
            Some(_) | None => None,
        };
        if let Err(e) = self.through_lane(claim, command, unopened, &mut Turn::at_once()).await {
            self.registrations.failed(submission.actor.principal, self.shared.clock.now());
            return Err(e);
        }
        self.directory.refresh().await?;
        // A claim that lapsed may have gone to somebody else since this one was made.
        if self.directory.slug(&slug).await? == Some(submission.business) {
            Ok(())
        } else {
            Err(Refusal::SlugTaken { slug }.into())
        }
    }
}
