//! `minutebook keys`.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use domain::ids::KeyId;
use domain::{PrincipalId, SubjectId};
use event_log::Entropy;
use serde_json::{Value, json};
use uuid::Uuid;

use super::target::{Target, blocking, by};
use crate::app::{AppError, key_id, operator};
use crate::output;
use crate::secret::{self, Secret};

#[derive(Subcommand)]
pub(crate) enum Keys {
    /// Make an API key for a principal: into a file of its own, or shown this once.
    Issue {
        /// Id of the principal; the operator when left out.
        #[arg(long)]
        principal: Option<PrincipalId>,
        /// New file for the key, which its owner alone can read; standard output when left out.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Make a new API key and revoke the others, the one in use last.
    Rotate {
        /// Id of the principal; the operator when left out.
        #[arg(long)]
        principal: Option<PrincipalId>,
        /// New file for the key, which its owner alone can read; standard output when left out.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// List a principal's working keys by id, oldest first.
    List {
        /// Id of the principal; the operator when left out.
        #[arg(long)]
        principal: Option<PrincipalId>,
    },
    /// Revoke an API key.
    Revoke {
        /// Id of the key.
        key: KeyId,
        /// Id of the principal; the operator when left out.
        #[arg(long)]
        principal: Option<PrincipalId>,
        /// Revoke the key even if it is the only key of the only operator; after that nobody can
        /// operate the installation through a server.
        #[arg(long)]
        yes: bool,
    },
    /// List who can be forgotten in a business, by id, and what names each of them.
    Subjects {
        /// Slug or id of the business.
        #[arg(long)]
        business: String,
    },
    /// Forget a data subject in a business for good: it is on record, and every key of what is
    /// about them is destroyed.
    Shred {
        /// Slug or id of the business.
        #[arg(long)]
        business: String,
        /// Id of the subject, as `keys subjects` lists it.
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
        Keys::Issue { principal, out } => {
            issue(target, principal.unwrap_or_else(operator), out.as_deref()).await.map(|_| ())
        }
        Keys::Rotate { principal, out } => {
            rotate(target, principal.unwrap_or_else(operator), out.as_deref()).await
        }
        Keys::List { principal } => {
            for key in list(target, principal.unwrap_or_else(operator)).await? {
                output::line(key);
            }
            Ok(())
        }
        Keys::Revoke { key, principal, yes } => {
            revoke(target, principal.unwrap_or_else(operator), key, yes).await
        }
        Keys::Subjects { business } => subjects(target, &business).await,
        Keys::Shred { business, subject, .. } => shred(target, &business, subject).await,
    }
}

async fn command(
    target: &Target,
    key: String,
    command: &str,
    id: Uuid,
    data: Value,
) -> Result<(), AppError> {
    match target {
        Target::Local(app) => app
            .as_operator(&key, command, Some(id), &data, domain::ids::INSTALLATION)
            .await
            .map(|_| ()),
        Target::Remote(remote) => {
            let (remote, body) = (remote.clone(), json!({"type": command, "id": id, "data": data}));
            blocking(move || remote.post("/v1/commands", &body, &[("Idempotency-Key", &key)]))
                .await
                .map(|_| ())
        }
    }
}

/// Issues a key and returns the secret once it is written where the caller wanted it.
async fn issue(
    target: &Target,
    principal: PrincipalId,
    out: Option<&Path>,
) -> Result<Secret, AppError> {
    // The secret is made here and shown here; only its hash goes to the command bus.
    let secret = Secret::generate(&Entropy::System);
    let key = key_id(principal, &secret);
    if let Some(file) = out {
        secret::write(file, &secret)?;
    }
    let issued = command(
        target,
        format!("key:{key}"),
        "access.issue_key",
        principal.0,
        json!({"key": key, "hash": secret.hash()}),
    )
    .await;
    match out {
        Some(file) if issued.is_err() => {
            // A key that opens nothing is no use to anybody.
            let _ = std::fs::remove_file(file);
        }
        Some(file) => output::note(format!("key {key}, in {}", file.display())),
        None if issued.is_ok() => {
            output::note(format!("key {key}, shown this once:"));
            if let Err(e) = output::secret(secret.reveal()) {
                // Nobody has it: it must not go on working.
                revoke(target, principal, key, false).await?;
                return Err(AppError::caused(
                    "the key could not be shown and was revoked; name a file with --out",
                    e,
                ));
            }
        }
        None => {}
    }
    issued.map(|()| secret)
}

async fn rotate(
    target: &Target,
    principal: PrincipalId,
    out: Option<&Path>,
) -> Result<(), AppError> {
    let own = match target {
        Target::Remote(remote) => Some(key_id(principal, remote.key())),
        Target::Local(_) => None,
    };
    let mut working = list(target, principal).await?;
    // The one in use goes last, with the new one already at hand.
    working.sort_by_key(|key| Some(*key) == own);
    while working.len() > 1 {
        revoke(target, principal, working.remove(0), false).await?;
    }
    let secret = issue(target, principal, out).await?;
    let Some(last) = working.pop() else { return Ok(()) };
    match target {
        Target::Remote(remote) if Some(last) == own => {
            revoke(&Target::Remote(remote.with(secret)), principal, last, false).await
        }
        Target::Remote(_) | Target::Local(_) => revoke(target, principal, last, false).await,
    }
}

/// The ids of a principal's working keys, oldest first.
async fn list(target: &Target, principal: PrincipalId) -> Result<Vec<KeyId>, AppError> {
    match target {
        Target::Local(app) => {
            let known = app.bus.directory().principal(principal).await?;
            let known = known.ok_or_else(|| {
                AppError::other(format!("there is no principal {principal}; check its id"))
            })?;
            Ok(known.keys.iter().map(|(key, _)| *key).collect())
        }
        Target::Remote(remote) => {
            let (remote, path) = (remote.clone(), format!("/v1/principals/{principal}/keys"));
            let answer = blocking(move || remote.get(&path)).await?;
            serde_json::from_value(answer.get("keys").cloned().unwrap_or_default())
                .map_err(AppError::other)
        }
    }
}

async fn revoke(
    target: &Target,
    principal: PrincipalId,
    key: KeyId,
    last: bool,
) -> Result<(), AppError> {
    if !list(target, principal).await?.contains(&key) {
        return Err(AppError::other(format!(
            "{principal} has no key {key} that works; `minutebook keys list` shows those that do"
        )));
    }
    command(
        target,
        format!("revoke:{key}:{last}"),
        "access.revoke_key",
        principal.0,
        json!({"key": key, "last": last}),
    )
    .await?;
    output::note(format!("key {key} opens nothing any more"));
    Ok(())
}

/// How many data subjects are read at once.
const SUBJECTS_PAGE: u32 = 50;

async fn subjects(target: &Target, business: &str) -> Result<(), AppError> {
    let (by, ty) = by(business);
    let query = format!(
        "query($business: {ty}!, $after: String) {{ business({by}: $business) {{ \
         dataSubjects(first: {SUBJECTS_PAGE}, after: $after) {{
            pageInfo {{ hasNextPage endCursor }} nodes {{ subjectId aggregates forgottenAt namedIn \
            {{ aggregateKind aggregateId }} }} }} }} }}"
    );
    let (mut after, mut nobody) = (Value::Null, true);
    loop {
        let answer = target.query(&query, json!({"business": business, "after": after})).await?;
        if let Some(error) = answer.pointer("/errors/0/message").and_then(Value::as_str) {
            return Err(AppError::other(error));
        }
        let page = answer.pointer("/data/business/dataSubjects").filter(|p| p.is_object());
        let page = page.ok_or_else(|| {
            AppError::other(format!(
                "no business has the slug or id `{business}`, or you have no role in it"
            ))
        })?;
        for node in page.get("nodes").and_then(Value::as_array).into_iter().flatten() {
            let text =
                |name: &str| node.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let state = match text("forgottenAt").as_str() {
                "" => String::new(),
                at => format!(", forgotten at {at}"),
            };
            nobody = false;
            output::line(format!(
                "{} in {} aggregates{state}",
                text("subjectId"),
                node.get("aggregates").cloned().unwrap_or_default()
            ));
            named(node.get("namedIn"));
        }
        match page.get("pageInfo") {
            Some(info) if info.get("hasNextPage") == Some(&Value::Bool(true)) => {
                after = info.get("endCursor").cloned().unwrap_or_default()
            }
            Some(_) | None => {
                if nobody {
                    output::note(format!("nobody but the business itself is named in {business}"));
                }
                return Ok(());
            }
        }
    }
}

/// Prints aggregates with their kind and id, which an answer of GraphQL calls otherwise.
fn named(list: Option<&Value>) {
    for named in list.and_then(Value::as_array).into_iter().flatten() {
        let part = |name, graphql| {
            let part = named.get(name).or_else(|| named.get(graphql)).and_then(Value::as_str);
            part.unwrap_or_default()
        };
        let kind = part("kind", "aggregateKind").to_lowercase();
        output::line(format!("  {kind} {}", part("id", "aggregateId")));
    }
}

async fn shred(target: &Target, business: &str, subject: SubjectId) -> Result<(), AppError> {
    let answer = match target {
        Target::Local(app) => {
            let id = app
                .business(business)
                .await?
                .ok_or_else(|| AppError::other(format!("there is no business `{business}`")))?;
            let forgot = app.forget_subject(id, app.operator_in(id).await?, subject, None).await?;
            serde_json::to_value(forgot).map_err(AppError::other)?
        }
        Target::Remote(remote) => {
            let (remote, path) =
                (remote.clone(), format!("/v1/businesses/{business}/subjects/{subject}/key"));
            blocking(move || remote.delete(&path)).await?
        }
    };
    output::line(format!("what was about {subject} is forgotten; what names that id still:"));
    named(answer.get("named_in"));
    Ok(())
}
