//! Votes: by humans with the right to vote, each counted once. Where duties are separated, a
//! requester has no vote; where a built-in rule alone asks and no other human can vote, it has one
//! after an hour.

use domain::access::PrincipalKind;
use domain::approvals::{Approval, Choice, Granted, Rejected, Voted};
use domain::ids::ApprovalId;
use domain::tasks::{HumanIntervened, Intervention};
use domain::{AggregateRef, Event, PrincipalId};

use super::{Vote, in_time, is_approver, not_an_approver};
use crate::Refusal;
use crate::root::{Changes, Context, LoadedAggregates};

/// Seconds after which a requester may vote alone on what a built-in rule asks for, if no other
/// human can vote.
const ALONE_AFTER_SECONDS: u64 = 3_600;

/// Separation of duties, where the rule or a built-in rule asks for it: no requester votes, and
/// nobody whom a requester made an approver votes where a built-in rule alone asks (where the
/// policy asks as well, `approval_check` looks for a second human when the approval is used).
/// `right_holder` is the human whose right the voter uses: the voter, or the one who delegated it.
///
/// Returns true if a requester votes alone on its own request, as the only human who can vote on
/// what a built-in rule asks for; false for every other vote that is allowed.
fn check_separation_of_duties(
    approval: &Approval,
    right_holder: PrincipalId,
    ctx: &Context,
) -> Result<bool, Refusal> {
    let voter = ctx.actor.principal;
    let is_requester = |person| approval.requesters().any(|r| r == person);
    let was_made_by_requester =
        |person| approval.requesters().any(|r| ctx.people.is_made_by(person, ctx.business, r));
    if approval.built_in && (was_made_by_requester(voter) || was_made_by_requester(right_holder)) {
        return Err(Refusal::MadeByRequester);
    }
    let is_own_request = is_requester(voter) || is_requester(right_holder);
    if !is_own_request || !(approval.separation_of_duties || approval.built_in) {
        return Ok(false);
    }
    let others =
        ctx.people.second_humans(ctx.business, ctx.now).into_iter().any(|person| {
            person != voter && !is_requester(person) && !was_made_by_requester(person)
        });
    if !approval.built_in || others || right_holder != voter {
        return Err(Refusal::OwnRequest);
    }
    let at = approval.requested_at.unwrap_or(ctx.now).plus_seconds(ALONE_AFTER_SECONDS);
    if ctx.has_come(at)? { Ok(true) } else { Err(Refusal::TooEarly { at }) }
}

/// Refuses a voter without a right to vote, its own or delegated by a human who still has it.
fn may_vote(c: &Vote, approval: &Approval, ctx: &Context) -> Result<(), Refusal> {
    let allowed = match c.delegated_by {
        Some(from) => {
            let delegated = match approval.delegations.get(&(from, ctx.actor.principal)) {
                Some(until) => !ctx.has_ended(*until)?,
                None => false,
            };
            let human =
                ctx.people.principal(from).is_some_and(|p| p.kind == Some(PrincipalKind::Human));
            delegated && human && ctx.people.has_role(from, ctx.business, &approval.roles)
        }
        None => is_approver(approval, ctx),
    };
    if allowed { Ok(()) } else { Err(not_an_approver(approval)) }
}

pub(super) fn vote(
    c: &Vote,
    approval: &Approval,
    ctx: &Context,
    loaded: &LoadedAggregates,
) -> Result<Changes, Refusal> {
    let (id, voter) = (ApprovalId(ctx.target), ctx.actor.principal);
    let right_holder = c.delegated_by.unwrap_or(voter);
    let voted = approval.votes.get(&right_holder);
    if voted.is_some_and(|v| v.choice == c.choice && v.voter == voter) {
        // A comment could not be recorded a second time: it is refused, not lost.
        return if c.comment.is_none() { Ok(Changes::new()) } else { Err(Refusal::VotedAlready) };
    }
    in_time(approval, ctx)?;
    if !ctx.by_human() {
        return Err(Refusal::HumanOnly);
    }
    let alone = check_separation_of_duties(approval, right_holder, ctx)?;
    may_vote(c, approval, ctx)?;
    if approval.has_part_in_a_vote(voter) || approval.has_part_in_a_vote(right_holder) {
        return Err(Refusal::VotedAlready);
    }
    let comment = c.comment.clone().map(|t| t.about(approval.subject));
    let mut events: Vec<Event> = vec![
        Voted {
            voter,
            delegated_by: c.delegated_by,
            choice: c.choice,
            comment,
            subject: approval.subject,
        }
        .into(),
    ];
    let yes = u8::try_from(approval.approvals() + 1).unwrap_or(u8::MAX);
    match c.choice {
        Choice::Reject => events.push(Rejected { by: voter }.into()),
        Choice::Approve if yes >= approval.quorum => {
            events.push(Granted { votes: yes, alone }.into())
        }
        Choice::Approve => {}
    }
    let mut changes: Changes =
        events.into_iter().map(|event| (AggregateRef::from(id), event)).collect();
    if let Some(task) = approval.task {
        let state = loaded.get(task)?;
        if !state.human_involved && state.status.is_some_and(domain::tasks::Status::is_open) {
            changes.push((
                task.into(),
                HumanIntervened { how: Intervention::Vote, approval: Some(id) }.into(),
            ));
        }
    }
    Ok(changes)
}
