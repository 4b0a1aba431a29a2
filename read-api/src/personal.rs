//! Personal texts in answers: opened here, for readers who may see them, and nowhere before.

use std::borrow::Cow;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{
    Context, ContextSelectionSet, Enum, Object, OutputType, Positioned, Result, ServerResult, Value,
};
use domain::BusinessId;
use domain::ids::INSTALLATION;
use event_log::{Seq, Unsealed, unseal};
use rusqlite::Row;
use rusqlite::types::{FromSqlError, Type};

use crate::privacy::{is_withheld, may_open_name};
use crate::row::{Column, FromColumn, ReadAnswer};
use crate::store::of_store;
use crate::stored::{self, StoredText};
use crate::{Sources, Viewer};

/// A text about a person, or one that a person or a model wrote. A row says in which event and
/// field it is; it is read from the log, and opened, when a request selects it.
#[derive(Clone)]
pub(crate) struct PersonalText {
    /// The business whose stream has the event.
    business: BusinessId,
    /// `seq` of the event.
    seq: Seq,
    /// JSON pointer to the field in the event, such as `/data/title`.
    pointer: String,
    /// True if only readers who see all of the business may open the text.
    whole: bool,
}

/// A personal text about the business itself. Only readers who see all of the business may open it:
/// an agent's work does not need it.
#[derive(Clone)]
pub(crate) struct BusinessText(PersonalText);

/// The name of a principal, which is in an event of the installation.
#[derive(Clone)]
pub(crate) struct PrincipalName(PersonalText);

/// Whether a personal text can be read.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PersonalState {
    /// The text can be read.
    Visible,
    /// The text was forgotten: its key was destroyed, and nobody can read it any more.
    Forgotten,
    /// You may not read the text: you have no role in this business that may, or it is the name of a
    /// principal that has no role in a business whose members you see. Or the text was recorded
    /// after its subject had been forgotten, so that nobody ever could read it.
    Withheld,
}

impl Column for PersonalText {
    const ANSWER: Option<ReadAnswer> = None;
}

impl FromColumn for PersonalText {
    fn from_column(row: &Row<'_>, i: usize, business: &str) -> rusqlite::Result<Self> {
        let reference = row.get_ref(i)?.as_str()?;
        let read = || {
            let (seq, _) = reference.split_once('/')?;
            let pointer = reference.get(seq.len()..)?.to_owned();
            let (business, seq) = (business.parse().ok()?, Seq(seq.parse().ok()?));
            Some(Self { business, seq, pointer, whole: false })
        };
        read().ok_or_else(|| {
            let why = FromSqlError::Other(format!("`{reference}` names no field").into());
            rusqlite::Error::FromSqlConversionFailure(i, Type::Text, Box::new(why))
        })
    }
}

/// Makes a column of a text that opens like [`PersonalText`].
macro_rules! opens_like_personal_text {
    ($name:ident) => {
        impl Column for $name {
            const ANSWER: Option<ReadAnswer> = None;
        }

        impl OutputType for $name {
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
    };
}
opens_like_personal_text!(BusinessText);
opens_like_personal_text!(PrincipalName);

impl FromColumn for BusinessText {
    fn from_column(row: &Row<'_>, i: usize, business: &str) -> rusqlite::Result<Self> {
        let text = PersonalText::from_column(row, i, business)?;
        Ok(Self(PersonalText { whole: true, ..text }))
    }
}

impl FromColumn for PrincipalName {
    fn from_column(row: &Row<'_>, i: usize, business: &str) -> rusqlite::Result<Self> {
        let text = PersonalText::from_column(row, i, business)?;
        Ok(Self(PersonalText { business: INSTALLATION, ..text }))
    }
}

impl PersonalText {
    async fn open(&self, ctx: &Context<'_>) -> Result<(PersonalState, Option<String>)> {
        let (sources, viewer) = (ctx.data::<Sources>()?, ctx.data::<Viewer>()?);
        let may_open = viewer.may_open(self.business) || self.business == INSTALLATION;
        if !may_open || (self.whole && !viewer.reads_all(self.business)) {
            return Ok((PersonalState::Withheld, None));
        }
        let event = stored::texts(ctx, self.business, self.seq).await?;
        let field = match event.text(&self.pointer)?.ok_or_else(stored::no_such_event)? {
            StoredText::Sealed(field) => field,
            StoredText::Clear(text) => return Ok((PersonalState::Visible, Some(text))),
        };
        let field = &*field;
        sources.allowance.spend(field.ct.len())?;
        if field.business == INSTALLATION && !may_open_name(sources, viewer, field)? {
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
