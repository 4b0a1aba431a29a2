//! Approvals. Aggregates: `approval` (one request, from asking to use) and `approval_policy` (one a
//! business: what needs approval, and whose).

mod events;
mod policy;
mod state;

pub use events::*;
pub use policy::{
    ApprovalInputs, ApprovalPolicy, ApprovalRule, CarriedInputs, Carries, Matcher, OperationRule,
    shipped_rules,
};
pub use state::{Approval, Vote};
