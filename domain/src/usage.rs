//! What work used and what it cost: on a decision, a call, an activity or a task, and counted once
//! wherever it stands.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::values::{Amount, Currency, Money, Name};

/// What a model used for one piece of work; tokens are whole counts.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// The model's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Name>,
    /// Version of the prompt it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_version: Option<Name>,
    /// Tokens read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u32>,
    /// Tokens written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u32>,
    /// Of the tokens read, those that the model still had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_tokens: Option<u32>,
    /// Of the tokens written, those that it wrote to itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u32>,
}

/// What something cost us: exact to 9 fraction digits, beside the source's own text where it had
/// more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// The decimal string; rounded half-even where the source said more.
    pub amount: Amount,
    /// ISO 4217.
    pub currency: Currency,
    /// The number as the source wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-class" = "confidential"))]
    pub source_text: Option<String>,
}

impl Cost {
    /// The same without the source's text.
    #[must_use]
    pub fn money(&self) -> Money {
        Money { amount: self.amount, currency: self.currency }
    }
}

impl From<Money> for Cost {
    fn from(money: Money) -> Self {
        Self { amount: money.amount, currency: money.currency, source_text: None }
    }
}
