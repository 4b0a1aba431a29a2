//! Personal texts in answers: opened here, for readers who may see them, and nowhere before.

use std::borrow::Cow;
use std::sync::Arc;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{
    Context, ContextSelectionSet, Enum, Object, OutputType, Positioned, Result, ServerResult, Value,
};
use domain::Personal;
use event_log::{Unsealed, unseal};
use rusqlite::types::{FromSql, FromSqlResult, ValueRef};

use crate::privacy::{is_withheld, may_open_name};
use crate::row::Column;
use crate::store::of_store;
use crate::{Sources, Viewer};

/// A text about a person, or one that a person or a model wrote. It stays sealed until a request
/// selects it.
#[derive(Clone)]
pub(crate) struct PersonalText {
    /// The sealed field, as JSON.
    sealed: Arc<str>,
    /// True if only readers who see all of the business may open the text.
    whole: bool,
}

/// A personal text about the business itself. Only readers who see all of the business may open it:
/// an agent's work does not need it.
#[derive(Clone)]
pub(crate) struct BusinessText(PersonalText);

/// Whether a personal text can be read.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PersonalState {
    /// The text can be read.
    Visible,
    /// The text was forgotten: its key was destroyed, and nobody can read it any more.
    Forgotten,
    /// You have no role in this business that may read the text, or the text was recorded after its
    /// subject had been forgotten, so that nobody ever could read it.
    Withheld,
}

impl Column for PersonalText {
    fn plain(&self) -> Option<Value> {
        None
    }
}

impl FromSql for PersonalText {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(Self { sealed: value.as_str()?.into(), whole: false })
    }
}

impl Column for BusinessText {
    fn plain(&self) -> Option<Value> {
        None
    }
}

impl FromSql for BusinessText {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        PersonalText::column_result(value).map(|text| Self(PersonalText { whole: true, ..text }))
    }
}

impl OutputType for BusinessText {
    fn type_name() -> Cow<'static, str> {
        PersonalText::type_name()
    }
    fn create_type_info(registry: &mut Registry) -> String {
        PersonalText::create_type_info(registry)
    }
    async fn resolve(
        &self,
        ctx: &ContextSelectionSet<'_>,
        field: &Positioned<Field>,
    ) -> ServerResult<Value> {
        self.0.resolve(ctx, field).await
    }
}

impl PersonalText {
    async fn open(&self, ctx: &Context<'_>) -> Result<(PersonalState, Option<String>)> {
        let sources = ctx.data::<Sources>()?;
        sources.allowance.spend(self.sealed.len())?;
        let personal: Personal<serde_json::Value> = serde_json::from_str(&self.sealed)?;
        if let Some(serde_json::Value::String(text)) = personal.clear() {
            // An event of an earlier version has it in the clear.
            return Ok((PersonalState::Visible, Some(text.clone())));
        }
        let Some(field) = personal.sealed() else { return Ok((PersonalState::Withheld, None)) };
        let viewer = ctx.data::<Viewer>()?;
        let may_open = viewer.may_open(field.business) || may_open_name(sources, viewer, field)?;
        if !may_open || (self.whole && !viewer.reads_all(field.business)) {
            return Ok((PersonalState::Withheld, None));
        }
        match of_store(unseal::<serde_json::Value>(&*sources.keyring, field)).await? {
            Unsealed::Value(serde_json::Value::String(text)) => {
                Ok((PersonalState::Visible, Some(text)))
            }
            Unsealed::Value(other) => Ok((PersonalState::Visible, Some(other.to_string()))),
            Unsealed::Forgotten if is_withheld(sources, field)? => {
                Ok((PersonalState::Withheld, None))
            }
            Unsealed::Forgotten => Ok((PersonalState::Forgotten, None)),
        }
    }
}

/// A text about a person, or one that a person or a model wrote. It can be forgotten for good.
#[Object]
impl PersonalText {
    /// The text; `forgotten` if its key was destroyed, null if it is withheld.
    async fn text(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        Ok(match self.open(ctx).await? {
            (PersonalState::Forgotten, _) => Some("forgotten".to_owned()),
            (PersonalState::Visible | PersonalState::Withheld, text) => text,
        })
    }

    /// Whether the text can be read, and if not, why.
    async fn state(&self, ctx: &Context<'_>) -> Result<PersonalState> {
        Ok(self.open(ctx).await?.0)
    }
}
