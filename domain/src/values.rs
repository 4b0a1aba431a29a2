//! Values: time, money, names and sizes. Each checks itself when it is read.

mod money;

pub use money::{Amount, Currency, FRACTION_DIGITS_MAX, Money};
use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::ids::names;

/// Why a value was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(pub String);

/// Declares serde and schema for a type that is written as one string.
macro_rules! as_string {
    ($name:ident, $schema:tt) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(d)?;
                text.parse().map_err(de::Error::custom)
            }
        }
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

/// A moment in UTC, in microseconds since 1970; written RFC 3339 with exactly 6 fraction digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn from_micros(micros: i64) -> Self {
        Self(micros)
    }
    /// Microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn as_micros(self) -> i64 {
        self.0
    }
    /// This moment plus that number of seconds; a sum beyond the largest moment becomes the largest
    /// moment.
    #[must_use]
    pub fn plus_seconds(self, seconds: u64) -> Self {
        Self(self.0.saturating_add_unsigned(seconds.saturating_mul(1_000_000)))
    }
    /// Whole seconds from `earlier` to this moment; 0 when it is not earlier.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0) / 1_000_000).unwrap_or(0)
    }
    fn civil(self) -> jiff::civil::DateTime {
        let moment = jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::MAX);
        jiff::tz::TimeZone::UTC.to_datetime(moment)
    }
    /// The UTC date of the moment, such as `2026-11-22`.
    #[must_use]
    pub fn date(self) -> String {
        self.civil().date().to_string()
    }
    /// The ISO 8601 week of the moment in UTC, such as `2026-W47`.
    #[must_use]
    pub fn week(self) -> String {
        let week = self.civil().date().iso_week_date();
        format!("{}-W{:02}", week.year(), week.week())
    }
    /// The UTC month of the moment, such as `2026-11`.
    #[must_use]
    pub fn month(self) -> String {
        let date = self.civil().date();
        format!("{:04}-{:02}", date.year(), date.month())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = self.civil();
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
            c.year(),
            c.month(),
            c.day(),
            c.hour(),
            c.minute(),
            c.second(),
            c.subsec_nanosecond() / 1000
        )
    }
}
impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl FromStr for Timestamp {
    type Err = ValueError;
    /// Accepts any RFC 3339 moment between the years 0000 and 9999; finer digits are cut.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let moment: jiff::Timestamp = text.parse().map_err(|_| {
            ValueError(format!("`{text}` is no RFC 3339 time such as 2026-11-22T20:00:00Z"))
        })?;
        let stamp = Self(moment.as_microsecond());
        if (0..=9999).contains(&stamp.civil().year()) {
            Ok(stamp)
        } else {
            Err(ValueError(format!("the year of `{text}` is not between 0000 and 9999")))
        }
    }
}
as_string!(Timestamp, {"type": "string", "format": "date-time", "x-class": "internal"});

as_string!(Currency, {"type": "string", "pattern": "^[A-Z]{3}$", "x-class": "internal"});

as_string!(Amount, {"type": "string", "pattern": "^-?[0-9]{1,15}(\\.[0-9]{1,9})?$",
    "x-class": "confidential"});

/// The name of a business in addresses: lower-case letters, digits and single dashes, 2 to 63.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Slug(String);

impl Slug {
    /// The slug as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl FromStr for Slug {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let fits = (2..=63).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-')
            && !text.contains("--");
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(ValueError(format!(
                "`{text}` is no slug: use 2 to 63 lower-case letters, digits and single dashes"
            )))
        }
    }
}
as_string!(Slug, {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$", "x-class": "public"});

/// A SHA-256 or HMAC-SHA-256 value, 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl FromStr for Digest {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let bad =
            || ValueError(format!("`{text}` is no digest of 64 lower-case hexadecimal digits"));
        if text.len() != 64 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(bad());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = std::str::from_utf8(pair)
                .ok()
                .and_then(|p| u8::from_str_radix(p, 16).ok())
                .ok_or_else(bad)?;
        }
        Ok(Self(bytes))
    }
}
as_string!(Digest, {"type": "string", "pattern": "^[0-9a-f]{64}$", "x-class": "internal"});

/// A share between 0 and 1 as an exact decimal, such as a confidence.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Ratio(Amount);

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl FromStr for Ratio {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let amount: Amount = text.parse()?;
        if amount >= Amount::ZERO && amount.get() <= Decimal::ONE {
            Ok(Self(amount))
        } else {
            Err(ValueError(format!("`{text}` is not between 0 and 1")))
        }
    }
}
as_string!(Ratio, {"type": "string", "pattern": "^[01](\\.[0-9]{1,9})?$", "x-class": "internal"});

/// A short name that is no free text: activity, operation, connector, model, tool, skill. At most
/// 200 characters, no control characters.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Name(String);

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl FromStr for Name {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() || text.chars().count() > 200 || text.chars().any(char::is_control) {
            return Err(ValueError(
                "a name has 1 to 200 characters and no control characters".to_owned(),
            ));
        }
        Ok(Self(text.to_owned()))
    }
}
as_string!(Name, {"type": "string", "minLength": 1, "maxLength": 200, "x-class": "internal"});

names! {
    /// One of the seven teams of a business.
    Team {
        /// The team for infrastructure, application, security and performance.
        Technical = "technical",
        /// The team for brand, content, campaigns and analytics.
        Marketing = "marketing",
        /// The team for CRM, funnel and proposals.
        Sales = "sales",
        /// The team for bookkeeping, planning, tax and payments.
        Finance = "finance",
        /// The team for entity formation, contracts, IP and regulatory work.
        Legal = "legal",
        /// The team for process documentation, vendors, support and quality.
        Operations = "operations",
        /// The team for recruitment, onboarding, performance and compliance.
        Hr = "hr",
    }
}
names! {
    /// What a principal may do in a business.
    Role {
        /// The holder is accountable for the business.
        Owner = "owner",
        /// The holder works in the business.
        Member = "member",
        /// The holder votes on requests for approval.
        Approver = "approver",
        /// The holder reads everything, and writes nothing but the record of exports.
        Auditor = "auditor",
        /// The holder is an agent's credentials.
        Agent = "agent",
        /// The holder is a machine, such as an importer.
        Service = "service",
    }
}
names! {
    /// How much harm a wrong outcome would do.
    RiskTier {
        /// The harm is easily undone.
        Low = "low",
        /// The harm costs time.
        Medium = "medium",
        /// The harm costs money or trust.
        High = "high",
        /// The harm can't be undone.
        Critical = "critical",
    }
}
