//! Integrations: a call is intended (and paid for) before it is made, and its outcome reported
//! once.

mod outcomes;

use domain::approvals::CarriedInputs;
use domain::ids::{AgentId, BudgetId, CallId, DecisionId, ReservationId, TaskId};
use domain::integrations::{
    Call, CallAmbiguous, CallIntended, CallStatus, DataClass, OperationClass,
};
use domain::personal::Text;
use domain::values::Name;
use domain::{AggregateRef, Money, Personal, Usage};
use outcomes::{fail, reportable, spending_of, succeed};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::Refusal;
use crate::agents::{at_work, person_of_task};
use crate::budgets::{self, Aside, Spending};
use crate::cost::CostInput;
use crate::operation_classes;
use crate::registry::{ContextRules, Target, commands};
use crate::root::{Changes, Context, LoadedAggregates};

commands!("integrations" {
    /// Says that a call to an outside service is about to be made.
    IntendCall = "intend_call" opens Call {
        from: [Owner, Member, Agent, Service] of Business,
        target: Target::Sent,
        carries: [Amount, Class, Connector, DataClass],
        when_suspended: Refused, when_retired: Refused, after_end: Refused, historic: true,
        when_fenced: Refused,
    } with {
        /// Name of the outside service.
        connector: Name,
        /// Operation that the service is asked for.
        operation: Name,
        /// What the operation does to the world; it can only raise what the tables of operations
        /// say.
        class: OperationClass,
        /// How secret the data is that the operation touches; it can only raise what the tables
        /// say.
        #[serde(default)]
        data_class: Option<DataClass>,
        /// The agent on whose work the call is made; absent = none.
        #[serde(default)]
        agent: Option<AgentId>,
        /// The task that the call is for; absent = none.
        #[serde(default)]
        task: Option<TaskId>,
        /// The decision that led to the call; absent = none.
        #[serde(default)]
        decision: Option<DecisionId>,
        /// Arguments of the call, any JSON.
        arguments: Personal<Value>,
        /// The most that the call may cost; it is set aside in every budget that matches.
        #[serde(default)]
        cost_max: Option<Money>,
    }

    /// Reports that a call succeeded.
    SucceedCall = "succeed_call" acts Call {
        from: [Owner, Member, Agent, Service] of Business,
        target: Target::Sent,
        carries: [Amount],
        when_suspended: Allowed, when_retired: Allowed, after_end: Allowed, historic: true,
        when_fenced: Withheld,
    } with {
        /// Status code that the service answered with.
        #[serde(default)]
        status: Option<u16>,
        /// How long the call took, in milliseconds.
        #[serde(default)]
        latency_ms: Option<u32>,
        /// What the service answered.
        #[serde(default)]
        result: Option<Text>,
        /// Model and tokens that the call used.
        #[serde(default)]
        usage: Option<Usage>,
        /// What the call cost; absent = all that was set aside.
        #[serde(default)]
        cost: Option<CostInput>,
    }

    /// Reports that a call failed.
    FailCall = "fail_call" acts Call {
        from: [Owner, Member, Agent, Service] of Business,
        target: Target::Sent,
        carries: [Amount],
        when_suspended: Allowed, when_retired: Allowed, after_end: Allowed, historic: true,
        when_fenced: Withheld,
    } with {
        /// Status code that the service answered with.
        #[serde(default)]
        status: Option<u16>,
        /// How long the call took, in milliseconds.
        #[serde(default)]
        latency_ms: Option<u32>,
        /// What went wrong.
        error: Text,
        /// Model and tokens that the call used although it failed.
        #[serde(default)]
        usage: Option<Usage>,
        /// What the call cost although it failed; absent = nothing.
        #[serde(default)]
        cost: Option<CostInput>,
    }

    /// Reports that the outcome of a call is unknown.
    MarkCallAmbiguous = "mark_call_ambiguous" acts Call {
        from: [Owner, Member, Agent, Service] of Business,
        target: Target::Sent,
        carries: [],
        when_suspended: Allowed, when_retired: Allowed, after_end: Allowed, historic: true,
        when_fenced: Withheld,
    } with {
        /// Why the outcome is unknown.
        reason: Text,
    }
});

/// Classes of the operation and of its data, as the tables have them; the caller can only raise
/// them. For an importer, the source's own classes count.
fn classes(
    c: &IntendCall,
    ctx: &Context,
    loaded: &LoadedAggregates,
) -> Result<(OperationClass, Option<DataClass>), Refusal> {
    if ctx.actor.historic {
        return Ok((c.class, c.data_class));
    }
    let (class, data) = operation_classes::of(
        loaded.get(ctx.business.approval_policy())?,
        &c.connector,
        &c.operation,
    );
    Ok((class.max(c.class), Some(c.data_class.map_or(data, |inputs| data.max(inputs)))))
}

/// Sets the classes in a call's approval inputs, raised to those in the tables.
pub(crate) fn raise_classes(
    c: &IntendCall,
    ctx: &Context,
    loaded: &LoadedAggregates,
    inputs: &mut CarriedInputs,
) -> Result<(), Refusal> {
    let (class, data) = classes(c, ctx, loaded)?;
    (inputs.class, inputs.data_class) = (Some(class), data);
    Ok(())
}

impl IntendCall {
    fn spending(&self, ctx: &Context, loaded: &LoadedAggregates) -> Spending {
        Spending::of(loaded, self.agent, self.task, Some(self.connector.clone()))
            .with_holder(ctx, loaded)
    }
}

/// Refuses the call unless the agent's permissions have its connector, its operation (among the
/// tools) and its data class.
fn permitted(
    c: &IntendCall,
    id: AgentId,
    data: Option<DataClass>,
    loaded: &LoadedAggregates,
) -> Result<(), Refusal> {
    let permissions = &loaded.get(id)?.permissions;
    if !permissions.connectors.contains(&c.connector) {
        return Err(Refusal::ConnectorNotAllowed { agent: id, connector: c.connector.to_string() });
    }
    if !permissions.tools.contains(&c.operation) {
        return Err(Refusal::OperationNotAllowed { agent: id, operation: c.operation.to_string() });
    }
    let data = data.unwrap_or(DataClass::Restricted);
    if permissions.clearance().is_none_or(|clearance| clearance < data) {
        return Err(Refusal::DataClassNotAllowed { agent: id, data_class: data.as_str() });
    }
    Ok(())
}

/// Sets aside the most that the call may cost, which the call must state if a budget counts it.
fn set_aside(
    c: &IntendCall,
    ctx: &Context,
    loaded: &LoadedAggregates,
) -> Result<(Vec<BudgetId>, Changes), Refusal> {
    let spending = c.spending(ctx, loaded);
    match c.cost_max {
        _ if ctx.actor.historic => Ok((Vec::new(), Changes::new())),
        Some(amount) => {
            let aside = Aside {
                reservation: ReservationId(ctx.target),
                agent: spending.agent,
                expires_at: None,
            };
            budgets::reserve(ctx, loaded, &spending, &aside, amount)
        }
        None if spending.is_counted(ctx, loaded)? => Err(Refusal::CostMaxMissing),
        None => Ok((Vec::new(), Changes::new())),
    }
}

fn intend(c: &IntendCall, ctx: &Context, loaded: &LoadedAggregates) -> Result<Changes, Refusal> {
    let id = CallId(ctx.target);
    let (class, data_class) = classes(c, ctx, loaded)?;
    let named = at_work(ctx, loaded, c.agent)?;
    if !ctx.actor.historic {
        // A service that works on a task for whoever holds it is held to that agent's permissions.
        let holder = c
            .task
            .and_then(|id| loaded.if_loaded(id))
            .and_then(|task| task.lease)
            .map(|lease| lease.agent);
        let holder = holder.filter(|_| ctx.actor.kind == domain::access::PrincipalKind::Service);
        if let Some(agent) = named.or(holder) {
            permitted(c, agent, data_class, loaded)?;
        }
    }
    let business = ctx.business.as_subject();
    let of_task = person_of_task(ctx, loaded, c.agent, c.task)?;
    // What was decided about a person is carried out about that person.
    let of_decision = c
        .decision
        .and_then(|id| loaded.if_loaded(id))
        .filter(|d| d.status.is_some())
        .map(|d| d.subject);
    let subject = [of_task, of_decision]
        .into_iter()
        .flatten()
        .find(|subject| *subject != business)
        .unwrap_or(business);
    let (budgets, mut changes) = set_aside(c, ctx, loaded)?;
    let arguments = c.arguments.clear().cloned().unwrap_or_default();
    let intended = CallIntended {
        connector: c.connector.clone(),
        operation: c.operation.clone(),
        class,
        data_class,
        agent: c.agent,
        task: c.task,
        decision: c.decision,
        arguments_digest: ctx.content_digest(0, subject, &arguments)?,
        arguments: Text::new(subject, arguments.to_string()),
        reservation: (!budgets.is_empty()).then_some(ReservationId(ctx.target)),
        cost_max: c.cost_max,
        budgets,
        subject,
    };
    changes.insert(0, (id.into(), intended.into()));
    Ok(changes)
}

/// Settles or frees the money that was set aside for a call. A cost that was not set aside is
/// counted in every budget that matches now.
fn pay(
    ctx: &Context,
    loaded: &LoadedAggregates,
    call: &Call,
    cost: Option<Money>,
) -> Result<Changes, Refusal> {
    match (call.reservation, cost) {
        (Some(reservation), Some(spent)) => {
            budgets::settle(ctx, loaded, &call.budgets, reservation, spent)
        }
        (Some(reservation), None) => budgets::release(loaded, &call.budgets, reservation),
        (None, Some(spent)) => budgets::charge(ctx, loaded, &spending_of(call, loaded), spent),
        (None, None) => Ok(Changes::new()),
    }
}

impl ContextRules for Command {
    fn check_fields(&self) -> Result<(), Refusal> {
        let cost = match self {
            Self::SucceedCall(c) => &c.cost,
            Self::FailCall(c) => &c.cost,
            Self::IntendCall(_) | Self::MarkCallAmbiguous(_) => &None,
        };
        cost.as_ref().map(CostInput::cost).transpose().map(|_| ())
    }

    fn reads(&self, ctx: &Context, loaded: &LoadedAggregates) -> Vec<AggregateRef> {
        let outcome = |costs: bool| {
            let Some(call) = loaded.if_loaded(CallId(ctx.target)) else { return Vec::new() };
            let mut reads: Vec<AggregateRef> =
                call.agent.map(AggregateRef::from).into_iter().collect();
            match call.reservation {
                Some(reservation) => {
                    reads.extend(budgets::settle_reads(ctx, loaded, &call.budgets, reservation))
                }
                None if costs => {
                    reads.extend(call.task.map(AggregateRef::from));
                    reads.extend(spending_of(call, loaded).charge_reads(ctx, loaded));
                }
                None => {}
            }
            reads
        };
        match self {
            Self::IntendCall(c) => {
                let mut reads = vec![ctx.business.approval_policy().into()];
                reads.extend(c.agent.map(AggregateRef::from));
                reads.extend(c.task.map(AggregateRef::from));
                reads.extend(c.decision.map(AggregateRef::from));
                if !ctx.actor.historic {
                    reads.extend(c.spending(ctx, loaded).reads(ctx));
                }
                reads
            }
            Self::SucceedCall(c) => outcome(c.cost.is_some()),
            Self::FailCall(c) => outcome(c.cost.is_some()),
            Self::MarkCallAmbiguous(_) => outcome(false),
        }
    }

    fn task(&self, _: &Context) -> Option<TaskId> {
        match self {
            Self::IntendCall(c) => c.task,
            Self::SucceedCall(_) | Self::FailCall(_) | Self::MarkCallAmbiguous(_) => None,
        }
    }

    fn carried_inputs(&self, inputs: &mut CarriedInputs) {
        match self {
            // The classes are not the caller's to say: the approval check takes them from the
            // tables.
            Self::IntendCall(c) => {
                inputs.connector = Some(c.connector.clone());
                inputs.amount = c.cost_max;
                inputs.in_the_name_of_an_agent = c.agent.is_some();
            }
            Self::SucceedCall(c) => inputs.amount = c.cost.as_ref().and_then(CostInput::money),
            Self::FailCall(c) => inputs.amount = c.cost.as_ref().and_then(CostInput::money),
            Self::MarkCallAmbiguous(_) => {}
        }
    }

    fn decide(&self, ctx: &Context, loaded: &LoadedAggregates) -> Result<Changes, Refusal> {
        let id = CallId(ctx.target);
        let call = loaded.get(id)?;
        match self {
            Self::IntendCall(c) => intend(c, ctx, loaded),
            Self::SucceedCall(c) => succeed(c, call, ctx, loaded),
            Self::FailCall(c) => fail(c, call, ctx, loaded),
            Self::MarkCallAmbiguous(_) if call.status == Some(CallStatus::Ambiguous) => {
                Ok(Changes::new())
            }
            Self::MarkCallAmbiguous(c) => {
                reportable(call, ctx, loaded)?;
                let subject = call.subject;
                Ok(vec![(
                    id.into(),
                    CallAmbiguous { reason: c.reason.clone().about(subject), subject }.into(),
                )])
            }
        }
    }
}
