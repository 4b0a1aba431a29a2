//! Principals, as objects refer to them.

use std::collections::HashMap;

use async_graphql::dataloader::Loader;
use async_graphql::{ComplexObject, Context, ID, Result, SimpleObject};

use crate::agents::Agent;
use crate::allowance::read;
use crate::children::{BatchLoader, batches, newest};
use crate::closed_sets::PrincipalKind;
use crate::links::MaybeId;
use crate::of_business::{IDS, id_text};
use crate::personal::PrincipalName;
use crate::row::FromColumn as _;

/// A principal: a human, an agent or a service with credentials of its own.
#[derive(SimpleObject, Clone)]
#[graphql(complex)]
pub(crate) struct Principal {
    /// Id of the principal.
    id: ID,
    /// Kind of the principal.
    kind: PrincipalKind,
    /// Name of the principal, for people; read by who sees the members of a business in which the
    /// principal has a role.
    name: PrincipalName,
    /// The business whose object refers to the principal.
    #[graphql(skip)]
    business: String,
}

#[ComplexObject]
impl Principal {
    /// The agent that acts with the principal's credentials in this business; null if there is none
    /// that you see.
    async fn agent(&self, ctx: &Context<'_>) -> Result<Option<Agent>> {
        newest(ctx, &self.business, "principal", &self.id).await
    }
}

/// Key of a principal in the views.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct PrincipalKey(String);

impl Loader<PrincipalKey> for BatchLoader {
    type Value = (PrincipalKind, PrincipalName);
    type Error = async_graphql::Error;
    async fn load(
        &self,
        keys: &[PrincipalKey],
    ) -> Result<HashMap<PrincipalKey, (PrincipalKind, PrincipalName)>> {
        let ids = serde_json::Value::from(keys.iter().map(|k| k.0.clone()).collect::<Vec<_>>());
        read(&self.0, move |c| {
            let sql = format!(
                "SELECT principal, kind, display_name FROM principals WHERE principal IN ({IDS})"
            );
            let row = |r: &rusqlite::Row<'_>| {
                let (kind, name) = (
                    PrincipalKind::from_column(r, 1, "")?,
                    // The name lies in the stream of the installation.
                    PrincipalName::from_column(r, 2, &domain::ids::INSTALLATION.to_string())?,
                );
                Ok((PrincipalKey(id_text(r, 0)?), (kind, name)))
            };
            c.prepare_cached(&sql)?.query_map([ids.to_string()], row)?.collect()
        })
        .await
    }
}

/// The principal with this id, as an object of a business refers to it; `None` if it is not known.
pub(crate) async fn principal(
    ctx: &Context<'_>,
    business: &str,
    id: &impl MaybeId,
) -> Result<Option<Principal>> {
    let Some(id) = id.maybe() else { return Ok(None) };
    let found = batches(ctx)?.load_one(PrincipalKey(id.to_owned())).await?;
    Ok(found.map(|(kind, name)| Principal {
        id: ID::from(id),
        kind,
        name,
        business: business.to_owned(),
    }))
}
