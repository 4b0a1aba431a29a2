//! What work used and what it cost: on a decision, a call, an activity or a task, and counted once
//! wherever it stands.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::values::{Amount, Currency, Money, Name};

/// The model that did one piece of work, and the tokens that it used, as whole counts.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Name of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Name>,
    /// Version of the prompt that the model was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_version: Option<Name>,
    /// Tokens that the model read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u32>,
    /// Tokens that the model wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u32>,
    /// Those of the input tokens that the model read from its cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_tokens: Option<u32>,
    /// Those of the output tokens that the model used for reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u32>,
}

/// The cost of something for the business, exact to 9 fraction digits; a number in a source's own
/// notation is kept beside it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// The amount, rounded half-even where the source had more than 9 fraction digits.
    pub amount: Amount,
    /// ISO 4217 code of the currency.
    pub currency: Currency,
    /// The number as the source wrote it; absent if the amount was stated exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-class" = "confidential"))]
    pub source_text: Option<String>,
}

impl Cost {
    /// The amount and the currency, without the source's text.
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
