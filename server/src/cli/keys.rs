//! `minutebook keys`.

use clap::Subcommand;
use domain::ids::KeyId;
use domain::{PrincipalId, SubjectId};
use event_log::Entropy;
use serde_json::{Value, json};
use uuid::Uuid;

use super::target::{Target, blocking};
use crate::app::{AppError, operator};
use crate::output;
use crate::secret::Secret;

#[derive(Subcommand)]
pub(crate) enum Keys {
    /// Make an API key for a principal and show it, this once.
    Issue {
        /// Id of the principal; the operator when left out.
        #[arg(long)]
        principal: Option<PrincipalId>,
    },
    /// Make a new API key and revoke the oldest one.
    Rotate {
        /// Id of the principal; the operator when left out.
        #[arg(long)]
        principal: Option<PrincipalId>,
    },
    /// List a principal's working keys by id, oldest first (on a data folder).
    List {
        /// Id of the principal; the operator when left out.
        #[arg(long)]
        principal: Option<PrincipalId>,
    },
    /// Revoke an API key.
    Revoke {
        /// The key's id.
        key: KeyId,
        /// Id of the principal; the operator when left out.
        #[arg(long)]
        principal: Option<PrincipalId>,
    },
    /// Destroy every key of a data subject in a business: what is about them is forgotten for good.
    Shred {
        /// Slug or id of the business.
        #[arg(long)]
        business: String,
        /// Id of the subject.
        #[arg(long)]
        subject: SubjectId,
        /// Really do it: there is no way back.
        #[arg(long, required = true)]
        yes: bool,
    },
}

pub(crate) async fn keys(target: Target, verb: Keys) -> Result<(), AppError> {
    let result = carry_out(&target, verb).await;
    target.close().await;
    result
}

async fn carry_out(target: &Target, verb: Keys) -> Result<(), AppError> {
    match verb {
        Keys::Issue { principal } => issue(target, principal.unwrap_or_else(operator)).await,
        Keys::Rotate { principal } => {
            let principal = principal.unwrap_or_else(operator);
            let Target::Local(app) = target else {
                return Err(AppError::other("not supported: rotate over --server; use `keys issue`, then `keys revoke` with the old key's id"));
            };
            let working = &app.desk.directory().principal(principal).await?.unwrap_or_default().keys;
            // Room for the new one first, where there are two already.
            for (old, _) in working.iter().take(working.len().saturating_sub(1)) {
                revoke(target, principal, *old).await?;
            }
            issue(target, principal).await?;
            match working.last() {
                Some((old, _)) => revoke(target, principal, *old).await,
                None => Ok(()),
            }
        }
        Keys::List { principal } => {
            let Target::Local(app) = target else {
                return Err(AppError::other("not supported: list over --server; run it on the data folder"));
            };
            let known = app.desk.directory().principal(principal.unwrap_or_else(operator)).await?;
            for (key, _) in known.unwrap_or_default().keys.clone() {
                output::line(key);
            }
            Ok(())
        }
        Keys::Revoke { key, principal } => revoke(target, principal.unwrap_or_else(operator), key).await,
        Keys::Shred { business, subject, .. } => shred(target, &business, subject).await,
    }
}

async fn command(target: &Target, key: String, command: &str, id: Uuid, data: Value) -> Result<(), AppError> {
    match target {
        Target::Local(app) => app.as_operator(&key, command, Some(id), &data, domain::ids::INSTALLATION).await.map(|_| ()),
        Target::Remote(remote) => {
            let (remote, body) = (remote.clone(), json!({"type": command, "id": id, "data": data}));
            blocking(move || remote.post("/v1/commands", &body, &[("Idempotency-Key", &key)])).await.map(|_| ())
        }
    }
}

async fn issue(target: &Target, principal: PrincipalId) -> Result<(), AppError> {
    // The secret is made here and shown here; only its hash goes to the desk.
    let secret = Secret::generate(&Entropy::System);
    let key = KeyId(Uuid::new_v5(&principal.0, secret.hash().to_string().as_bytes()));
    command(target, format!("key:{key}"), "access.issue_key", principal.0, json!({"key": key, "hash": secret.hash()})).await?;
    output::note(format!("key {key}, shown this once:"));
    output::line(secret.reveal());
    Ok(())
}

async fn revoke(target: &Target, principal: PrincipalId, key: KeyId) -> Result<(), AppError> {
    command(target, format!("revoke:{key}"), "access.revoke_key", principal.0, json!({"key": key})).await?;
    output::note(format!("key {key} opens nothing any more"));
    Ok(())
}

async fn shred(target: &Target, business: &str, subject: SubjectId) -> Result<(), AppError> {
    let answer = match target {
        Target::Local(app) => {
            let id = app.business(business).await?.ok_or_else(|| AppError::other(format!("there is no business `{business}`")))?;
            let forgot = app.forget_subject(id, app.operator_in(id).await?, subject, None).await?;
            serde_json::to_value(forgot).map_err(AppError::other)?
        }
        Target::Remote(remote) => {
            let (remote, path) = (remote.clone(), format!("/v1/businesses/{business}/subjects/{subject}/key"));
            blocking(move || remote.delete(&path)).await?
        }
    };
    output::note(format!("what was about {subject} is forgotten; what names that id still:"));
    for named in answer.get("named_in").and_then(Value::as_array).into_iter().flatten() {
        let part = |name| named.get(name).and_then(Value::as_str).unwrap_or_default();
        output::line(format!("{} {}", part("kind"), part("id")));
    }
    Ok(())
}
