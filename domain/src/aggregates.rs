//! The one table of aggregates, and the one list of contexts: everything that differs from kind to
//! kind or from context to context is made from them, here and in the crates above.

/// Calls a macro with every aggregate: `Kind = "stored name": Id => module::State of Context`.
#[macro_export]
macro_rules! with_aggregates {
    ($then:ident) => {
        $then! {
            /// A claimed slug (installation).
            Slug = "slug": SlugId => businesses::SlugClaim of Businesses,
            /// A principal with its roles and keys (installation).
            Principal = "principal": PrincipalId => access::Principal of Access,
            /// The business itself.
            Business = "business": BusinessId => businesses::Business of Businesses,
            /// An agent.
            Agent = "agent": AgentId => agents::Agent of Agents,
            /// A task.
            Task = "task": TaskId => tasks::Task of Tasks,
            /// A decision.
            Decision = "decision": DecisionId => decisions::Decision of Decisions,
            /// A request for approval.
            Approval = "approval": ApprovalId => approvals::Approval of Approvals,
            /// The business's approval policy.
            ApprovalPolicy = "approval_policy": ApprovalPolicyId =>
                approvals::ApprovalPolicy of Approvals,
            /// A budget.
            Budget = "budget": BudgetId => budgets::Budget of Budgets,
            /// A call to an outside service.
            Call = "call": CallId => integrations::Call of Integrations,
            /// A log of work done elsewhere.
            History = "history": HistoryId => tasks::History of Tasks,
            /// Something known.
            Fact = "fact": FactId => memory::Fact of Memory,
            /// A document.
            Document = "document": DocumentId => memory::Document of Memory,
            /// One reported figure.
            Measure = "measure": MeasureId => metrics::Measure of Metrics,
            /// A KPI's own definition or target.
            Kpi = "kpi": KpiId => metrics::Kpi of Metrics,
            /// A copy of the record that somebody took away.
            Export = "export": ExportId => operations::Export of Operations,
            /// A projection of one business (installation).
            Projection = "projection": ProjectionId => operations::Projection of Operations,
            /// The clocks of the installation's servers (installation).
            Clock = "clock": ClockId => operations::Clock of Operations,
            /// What became of everything about one data subject.
            Erasure = "erasure": ErasureId => privacy::Erasure of Privacy,
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
            Privacy = privacy,
        }
    };
}
