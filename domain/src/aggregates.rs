//! The one table of aggregates, and the one list of contexts: everything that differs from kind to
//! kind or from context to context is made from them, here and in the crates above.

/// Calls a macro with every aggregate: `Kind = "stored name": Id => State of Context`.
#[macro_export]
macro_rules! with_aggregates {
    ($then:ident) => {
        $then! {
            /// A claimed slug (installation).
            Slug = "slug": SlugId => SlugClaim of Businesses,
            /// A principal with its roles and keys (installation).
            Principal = "principal": PrincipalId => Principal of Access,
            /// The business itself.
            Business = "business": BusinessId => Business of Businesses,
            /// An agent.
            Agent = "agent": AgentId => Agent of Agents,
            /// A task.
            Task = "task": TaskId => Task of Tasks,
            /// A decision.
            Decision = "decision": DecisionId => Decision of Decisions,
            /// A request for approval.
            Approval = "approval": ApprovalId => Approval of Approvals,
            /// The business's approval policy.
            ApprovalPolicy = "approval_policy": ApprovalPolicyId => ApprovalPolicy of Approvals,
            /// A budget.
            Budget = "budget": BudgetId => Budget of Budgets,
            /// A call to an outside service.
            Call = "call": CallId => Call of Integrations,
            /// A log of work done elsewhere.
            History = "history": HistoryId => History of Tasks,
            /// Something known.
            Fact = "fact": FactId => Fact of Memory,
            /// A document.
            Document = "document": DocumentId => Document of Memory,
            /// One reported figure.
            Measure = "measure": MeasureId => Measure of Metrics,
            /// A KPI's own definition or target.
            Kpi = "kpi": KpiId => Kpi of Metrics,
            /// A copy of the record that somebody took away.
            Export = "export": ExportId => Export of Operations,
            /// A projection of one business (installation).
            Projection = "projection": ProjectionId => Projection of Operations,
        }
    };
}

/// Calls a macro with every context: `Variant = module`.
#[macro_export]
macro_rules! with_contexts {
    ($then:ident) => {
        $then! {
            Businesses = businesses,
            Access = access,
            Agents = agents,
            Tasks = tasks,
            Decisions = decisions,
            Approvals = approvals,
            Budgets = budgets,
            Integrations = integrations,
            Memory = memory,
            Metrics = metrics,
            Operations = operations,
        }
    };
}
