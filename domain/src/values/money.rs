//! Amounts of money: decimals of at most nine fraction digits, with a currency.

use super::ValueError;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// An ISO 4217 currency code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The US dollar.
    pub const USD: Self = Self(*b"USD");
}

/// An exact decimal: at most 9 fraction digits, never a float.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Amount(Decimal);

/// Most fraction digits that an amount keeps.
pub const FRACTION_DIGITS_MAX: u32 = 9;

impl Amount {
    /// An amount of zero.
    pub const ZERO: Self = Self(Decimal::ZERO);

    /// The amount as a [`Decimal`].
    #[must_use]
    pub fn get(self) -> Decimal {
        self.0
    }
    /// Rounds half-even to 9 fraction digits, as importers do.
    #[must_use]
    pub fn rounded(value: Decimal) -> Self {
        Self(
            value
                .round_dp_with_strategy(
                    FRACTION_DIGITS_MAX,
                    rust_decimal::RoundingStrategy::MidpointNearestEven,
                )
                .normalize(),
        )
    }
    /// The sum; `None` on overflow.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
    /// True if an event can hold the amount: a sum may have more digits than are read back.
    #[must_use]
    pub fn is_storable(self) -> bool {
        self.to_string().parse::<Self>().is_ok()
    }
    /// The difference; `None` on overflow.
    #[must_use]
    pub fn minus(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
}

/// Money: an exact decimal and its currency.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// The amount, written as a decimal string.
    pub amount: Amount,
    /// ISO 4217 code of the currency.
    pub currency: Currency,
}

impl Money {
    /// True when the amount is below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.amount < Amount::ZERO
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{}", char::from(*b)))
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Currency {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        match *text.as_bytes() {
            [a, b, c] if text.bytes().all(|x| x.is_ascii_uppercase()) => Ok(Self([a, b, c])),
            _ => Err(ValueError(format!("`{text}` is no ISO 4217 currency code such as EUR"))),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Amount {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let bad = |why: &str| ValueError(format!("the amount `{text}` {why}"));
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !plain(whole) || !plain(fraction) {
            return Err(bad("is no plain decimal such as 12.50"));
        }
        if digits.contains('.') && fraction.len() > FRACTION_DIGITS_MAX as usize {
            return Err(bad("has more than 9 fraction digits"));
        }
        if whole.len() > 15 {
            return Err(bad("has more than 15 digits before the point"));
        }
        text.parse().map(Self).map_err(|_| bad("is no decimal"))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}
