//! The state of any aggregate: what its events fold into.

use serde::{Deserialize, Serialize};

use crate::Event;
use crate::access::Principal;
use crate::agents::Agent;
use crate::approvals::{Approval, ApprovalPolicy};
use crate::budgets::Budget;
use crate::businesses::{Business, SlugClaim};
use crate::decisions::Decision;
use crate::ids::Kind;
use crate::integrations::Call;
use crate::memory::{Document, Fact};
use crate::metrics::{Kpi, Measure};
use crate::operations::{Export, Projection};
use crate::tasks::{History, Task};

/// Gives each kind its state and the context whose events it folds.
macro_rules! states {
    ($($kind:ident($state:ident) = $context:ident,)*) => {
        /// The folded state of one aggregate, by its kind.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub enum State {
            $(#[doc = concat!("Of the kind `", stringify!($kind), "`.")] $kind($state),)*
        }
        impl State {
            /// The state before the first event.
            #[must_use]
            pub fn empty(kind: Kind) -> Self {
                match kind { $(Kind::$kind => Self::$kind($state::default()),)* }
            }

            /// Folds one event in; an event of another context changes nothing.
            pub fn evolve(&mut self, event: &Event) {
                match self { $(Self::$kind(state) => if let Event::$context(e) = event { state.evolve(e) },)* }
            }
        }
    };
}

states! {
    Slug(SlugClaim) = Businesses,
    Principal(Principal) = Access,
    Business(Business) = Businesses,
    Agent(Agent) = Agents,
    Task(Task) = Tasks,
    Decision(Decision) = Decisions,
    Approval(Approval) = Approvals,
    ApprovalPolicy(ApprovalPolicy) = Approvals,
    Budget(Budget) = Budgets,
    Call(Call) = Integrations,
    History(History) = Tasks,
    Fact(Fact) = Memory,
    Document(Document) = Memory,
    Measure(Measure) = Metrics,
    Kpi(Kpi) = Metrics,
    Export(Export) = Operations,
    Projection(Projection) = Operations,
}
