//! The cost that a command states: an exact amount, or a number in a source's own notation.

use domain::values::{Amount, Currency, ValueError};
use domain::{Cost, Money};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Refusal;

/// Longest number in a source's notation, in characters.
const SOURCE_CHARS_MAX: usize = 64;

/// `{"amount", "currency"}`, or `{"source_text", "currency"}` for a number as a source wrote it,
/// which is rounded half-even to 9 fraction digits and kept beside.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CostInput {
    /// The amount as a string: a decimal of at most 9 fraction digits.
    #[serde(default)]
    pub amount: Option<Amount>,
    /// The number exactly as the source wrote it, in place of `amount`.
    #[serde(default)]
    pub source_text: Option<String>,
    /// ISO 4217 code of the currency.
    pub currency: Currency,
}

impl CostInput {
    /// The cost as it is recorded.
    ///
    /// # Errors
    /// [`Refusal::OutOfRange`] when both or neither is given, or what is given is no decimal of
    /// zero or more.
    pub fn cost(&self) -> Result<Cost, Refusal> {
        let refuse = |rule| Refusal::OutOfRange { field: "cost", rule };
        let (amount, source_text) = match (&self.amount, &self.source_text) {
            (Some(amount), None) => (*amount, None),
            (None, Some(text)) => (
                source_amount(text).map_err(|_| refuse("a decimal number of zero or more"))?,
                Some(text.clone()),
            ),
            (Some(_), Some(_)) | (None, None) => {
                return Err(refuse("an amount or a source_text, not both"));
            }
        };
        if amount < Amount::ZERO {
            Err(refuse("zero or more"))
        } else {
            Ok(Cost { amount, currency: self.currency, source_text })
        }
    }

    /// The cost as money; `None` if the input is invalid, which [`Self::cost`] refuses anyway.
    #[must_use]
    pub fn money(&self) -> Option<Money> {
        self.cost().ok().map(|c| c.money())
    }
}

/// A number in a source's notation, rounded half-even to 9 fraction digits.
///
/// # Errors
/// When it is no number, or below zero.
pub fn source_amount(text: &str) -> Result<Amount, ValueError> {
    let bad = || ValueError(format!("`{text}` is no decimal number of zero or more"));
    let parsed = Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text));
    let exact = match parsed {
        Ok(decimal) => decimal,
        // More digits than a decimal holds: those beyond the 28th can't matter to the 9th.
        Err(_) => text.parse::<Decimal>().map_err(|_| bad())?,
    };
    if text.len() > SOURCE_CHARS_MAX || exact.is_sign_negative() && !exact.is_zero() {
        return Err(bad());
    }
    // What an amount can hold is told by its own form: at most 15 digits before the point.
    Amount::rounded(exact).to_string().parse().map_err(|_| bad())
}
