//! Personal text in answers: opened here, for readers who may see it, and nowhere before.

use async_graphql::{Context, Enum, Object, Result, Value};
use domain::Personal;
use event_log::{Unsealed, unseal};
use rusqlite::types::{FromSql, FromSqlResult, ValueRef};

use crate::row::Column;
use crate::{Sources, Viewer};

/// Text about a person, or that a person or a model wrote: as the views hold it, read when it is
/// asked for.
#[derive(Clone)]
pub(crate) struct PersonalText(String);

/// Whether personal text can be read.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PersonalState {
    /// Here it is.
    Visible,
    /// Its key was destroyed: nobody can read it any more.
    Forgotten,
    /// You have no role in this business that may read it.
    Withheld,
}

impl Column for PersonalText {
    fn plain(&self) -> Option<Value> {
        None
    }
}

impl FromSql for PersonalText {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(Self(value.as_str()?.to_owned()))
    }
}

impl PersonalText {
    async fn open(&self, ctx: &Context<'_>) -> Result<(PersonalState, Option<String>)> {
        let personal: Personal<serde_json::Value> = serde_json::from_str(&self.0)?;
        let Some(field) = personal.sealed() else { return Ok((PersonalState::Withheld, None)) };
        if !ctx.data::<Viewer>()?.may_open(field.business) {
            return Ok((PersonalState::Withheld, None));
        }
        match unseal::<serde_json::Value>(&*ctx.data::<Sources>()?.keyring, field).await? {
            Unsealed::Value(serde_json::Value::String(text)) => Ok((PersonalState::Visible, Some(text))),
            Unsealed::Value(other) => Ok((PersonalState::Visible, Some(other.to_string()))),
            Unsealed::Forgotten => Ok((PersonalState::Forgotten, None)),
        }
    }
}

/// Text about a person, or that a person or a model wrote. It can be forgotten for good.
#[Object]
impl PersonalText {
    /// The text; `forgotten` when its key was destroyed, null when it is withheld.
    async fn text(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        Ok(match self.open(ctx).await? {
            (PersonalState::Forgotten, _) => Some("forgotten".to_owned()),
            (PersonalState::Visible | PersonalState::Withheld, text) => text,
        })
    }

    /// Whether it can be read.
    async fn state(&self, ctx: &Context<'_>) -> Result<PersonalState> {
        Ok(self.open(ctx).await?.0)
    }
}
