//! Reviews: by another agent with other credentials, of exactly the result at hand.

use domain::Event;
use domain::agents::AgentRole;
use domain::tasks::{
    Completed, Escalated, EscalationReason, Failed, FailureReason, HumanIntervened, Intervention,
    Offered, Reviewed, Status, Task, Verdict,
};
use domain::values::{Role, Team};

use super::commands::Review;
use super::{Decided, team_member, wrong};
use crate::Refusal;
use crate::root::{Context, LoadedAggregates};

pub(super) fn review(
    c: &Review,
    task: &Task,
    status: Status,
    ctx: &Context,
    loaded: &LoadedAggregates,
) -> Decided {
    let Some(submission) = task.submission.filter(|_| status == Status::Submitted) else {
        return Err(wrong(status, "submitted"));
    };
    team_member(ctx, loaded, c.reviewer, AgentRole::Qa, task.team)?;
    if c.reviewer == submission.producer {
        return Err(Refusal::SelfReview { why: "it is the same agent" });
    }
    if loaded.get(c.reviewer)?.principal == loaded.get(submission.producer)?.principal {
        return Err(Refusal::SelfReview { why: "both agents use the same credentials" });
    }
    // A service or an agent that hands in one result and reviews it is one reviewer, whatever
    // agents it names; an owner or an importer stands for many openly.
    let stands_for_many =
        ctx.actor.historic || (ctx.by_human() && (ctx.by_owner() || ctx.actor.operator));
    let actor = ctx.actor.principal;
    if (submission.submitted_by == actor || task.leased_by == actor) && !stands_for_many {
        return Err(Refusal::SelfReview {
            why: "the same credentials took the task or handed it in",
        });
    }
    if c.artifact_digest != submission.artifact_digest {
        return Err(Refusal::StaleArtifact {
            named: c.artifact_digest,
            at_hand: submission.artifact_digest,
        });
    }
    let reviewed = Reviewed {
        revision: task.revision,
        reviewer: c.reviewer,
        artifact_digest: c.artifact_digest,
        verdict: c.verdict,
        r#final: c.r#final,
        findings: c.findings.clone().map(|t| t.about(task.subject)),
        subject: task.subject,
    };
    // A human who only accepts is in the outcome itself; who asks for changes has edited the work.
    let by_human = ctx.by_human() && c.verdict == Verdict::ChangesRequested && !task.human_involved;
    let intervened =
        by_human.then(|| HumanIntervened { how: Intervention::Review, approval: None }.into());
    Ok(std::iter::once(reviewed.into()).chain(intervened).chain([outcome(c, task, ctx)]).collect())
}

fn outcome(c: &Review, task: &Task, ctx: &Context) -> Event {
    match c.verdict {
        Verdict::Passed => Completed {
            revision: task.revision,
            without_human: !task.human_involved && !ctx.by_human(),
        }
        .into(),
        Verdict::ChangesRequested if c.r#final => Failed { reason: FailureReason::Rejected }.into(),
        Verdict::ChangesRequested if task.rework_rounds >= task.rework_rounds_max => Escalated {
            from: Status::Submitted,
            reason: EscalationReason::ReworkBound,
            to_role: Role::Owner,
            note: None,
            result: None,
            artifact: None,
            producer: None,
            subject: task.subject,
        }
        .into(),
        Verdict::ChangesRequested => {
            Offered { team: task.team.unwrap_or(Team::Operations), revision: task.revision + 1 }
                .into()
        }
    }
}
