//! Sample arguments of refusals, for the page that shows every one of them.

use domain::ids::{AgentId, ApprovalId, BudgetId, EventId, ReservationId, TaskId};
use domain::values::{Amount, Currency, Digest};
use domain::{Money, PrincipalId, SubjectId, Timestamp};
use rust_decimal::Decimal;

use crate::clock_watch::ClockDoubt;

/// An argument as it might stand in a refusal, for the page that shows them all.
pub(super) trait Sample {
    fn sample(field: &str) -> Self;
}

impl Sample for &'static str {
    fn sample(field: &str) -> Self {
        match field {
            "what" | "wanted" => "agent",
            "is" => "principal",
            "status" => "retired",
            "who" => "its owner",
            "field" => "concurrency",
            "rule" => "1 to 100",
            "command" => "budgets.raise",
            _ => "sales",
        }
    }
}

impl Sample for String {
    fn sample(field: &str) -> Self {
        <&'static str>::sample(match field {
            "rule" => "name",
            other => other,
        })
        .to_owned()
    }
}

impl Sample for u32 {
    fn sample(_: &str) -> Self {
        3
    }
}

impl Sample for usize {
    fn sample(_: &str) -> Self {
        3
    }
}

impl Sample for uuid::Uuid {
    fn sample(_: &str) -> Self {
        uuid::Uuid::from_u128(0x0192_5b0c_0000_7000_8000_0000_0000_002a)
    }
}

impl Sample for Timestamp {
    fn sample(_: &str) -> Self {
        Timestamp::from_micros(1_795_348_800_000_000)
    }
}

impl Sample for Currency {
    fn sample(_: &str) -> Self {
        Currency::USD
    }
}

impl Sample for Money {
    fn sample(_: &str) -> Self {
        Money { amount: Amount::rounded(Decimal::new(1_250, 2)), currency: Currency::USD }
    }
}

impl Sample for Digest {
    fn sample(_: &str) -> Self {
        Digest([0x2a; 32])
    }
}

impl Sample for ClockDoubt {
    fn sample(_: &str) -> Self {
        ClockDoubt::Behind(90_000)
    }
}

impl Sample for domain::AggregateRef {
    fn sample(field: &str) -> Self {
        Self::new(domain::Kind::Task, <uuid::Uuid as Sample>::sample(field))
    }
}

macro_rules! sample_ids {
    ($($id:ident)*) => {$(
        impl Sample for $id {
            fn sample(field: &str) -> Self {
                Self(Sample::sample(field))
            }
        }
    )*};
}
sample_ids!(AgentId ApprovalId BudgetId EventId PrincipalId ReservationId SubjectId TaskId);
