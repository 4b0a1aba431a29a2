//! The one table of aggregates, and the one list of contexts: everything that differs from kind to
//! kind or from context to context is made from them, here and in the crates above.

/// Calls a macro with every aggregate: `Kind = "stored name": Id => module::State of Context`.
#[macro_export]
macro_rules! with_aggregates {
    ($then:ident) => {
        $then! {
            /// A slug with the business that claimed it, in the installation stream.
            Slug = "slug": SlugId => businesses::SlugClaim of Businesses,
            /// A principal with its roles and keys, in the installation stream.
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
            /// An imported log of work done elsewhere.
            History = "history": HistoryId => tasks::History of Tasks,
            /// A fact: knowledge of a business on record.
            Fact = "fact": FactId => memory::Fact of Memory,
            /// A document.
            Document = "document": DocumentId => memory::Document of Memory,
            /// One figure that somebody reported.
            Measure = "measure": MeasureId => metrics::Measure of Metrics,
            /// A business's own definition of a KPI, or its target for one.
            Kpi = "kpi": KpiId => metrics::Kpi of Metrics,
            /// An export: a copy of a business's stream that somebody took away.
            Export = "export": ExportId => operations::Export of Operations,
            /// A projection of one business, in the installation stream.
            Projection = "projection": ProjectionId => operations::Projection of Operations,
            /// The clocks of the installation's servers, in the installation stream.
            Clock = "clock": ClockId => operations::Clock of Operations,
            /// The forgetting of one data subject: which generations of its keys are destroyed.
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
