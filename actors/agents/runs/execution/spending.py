"""What runs have used while they, and those they handed work to, are still at work."""

from __future__ import annotations

from itertools import islice

from .....providers.messages import Usage
from ...answer import NO_USAGE, Answer, HandoffRecord
from ...errors import CostLimit, RunError, TokenLimit
from ...turns.loop.turn import Turn
from ...turns.steps import HandoffReturned, Interrupted, Spent
from .known.handed import Delegation
from .session import Happened, Session

_NOTHING = Turn()


def spent(session: Session) -> tuple[Usage, float, tuple[HandoffRecord, ...]]:
    """What the agents that work for a run have used so far, and those that work for them; and whose work was left."""
    usage, cost = NO_USAGE, 0.0
    handoffs: list[HandoffRecord] = []
    for delegation in session.delegations.values():
        its_usage, its_cost, its_handoffs = spent_by(session, delegation)
        usage += its_usage
        cost += its_cost
        handoffs += its_handoffs
    return usage, cost, tuple(handoffs)


def spent_by(session: Session, delegation: Delegation) -> tuple[Usage, float, tuple[HandoffRecord, ...]]:
    """The same of one of them, which is about to be stopped."""
    answers = list(delegation.before)
    entry = session.runtime.register.get(delegation.run.id)
    working: Session | None = entry.session if entry is not None else None
    if entry is not None and entry.outcome is not None:
        answers.append(entry.outcome.answer)
    elif working is not None:
        below, below_cost, below_handoffs = spent(working)
        turn = _turn(working)
        behind = (*turn.handoffs, *below_handoffs)
        answers.append(Answer("", usage=turn.usage + below, cost=turn.cost + below_cost, handoffs=behind))
    else:
        answers.append(Answer(""))
    paid = (*delegation.summary, *answers)
    usage = sum((answer.usage for answer in paid), NO_USAGE)
    return usage, sum(answer.cost for answer in paid), delegation.records(tuple(answers), "it was stopped")


def adopt_runs(session: Session) -> None:
    """Take over the runs that an earlier incarnation had sent to others, to end them together with this one. A run that
    goes on does not need it: it sends them anew, and finds them."""
    if not session.again:
        return
    known = {one.run.id for one in session.delegations.values()}
    for entry in session.runtime.register.open():
        run = entry.run
        if run.parent == session.run.id and run.id not in known:
            adopted = Delegation(run, run.handoff, not run.once, session.time(), (run.agent,))
            session.delegations[run.id] = adopted
            if run.handoff is None:
                session.forward = adopted


def settle(session: Session, happened: Happened) -> None:
    """Record what was bought beside the run's completions, as by a guardrail that asks a model."""
    while session.owed:
        usage, cost, reason = session.owed.pop(0)
        happened(session, Spent("", cost, reason, usage=usage))


def with_those_at_work(session: Session, happened: HandoffReturned | Interrupted) -> HandoffReturned | Interrupted:
    """What ends a run, with what those at work for it have used until then: they are stopped with it."""
    adopt_runs(session)
    if not session.delegations:
        return happened
    usage, cost, handoffs = spent(session)
    return happened._replace(
        usage=happened.usage + usage, cost=happened.cost + cost, handoffs=(*happened.handoffs, *handoffs)
    )


def _turn(session: Session) -> Turn:
    """What a run has done itself; the conversation's turn is that of the run before until it has begun."""
    return session.state.turn if session.state.begun else _NOTHING


def spent_above(session: Session) -> RunError | None:
    """Whether a run for which this one works has used what it may, all that work for it counted."""
    for above in islice(session.upward(), 1, None):
        limits = above.limits
        if limits.cost is not None or limits.tokens is not None:
            usage, cost, _ = spent(above)
            turn = _turn(above)
            tokens = turn.usage.total_tokens + usage.total_tokens
            cost += turn.cost
            if limits.tokens is not None and tokens >= limits.tokens:
                return TokenLimit(f"{tokens} tokens used for {above.run.agent}'s request, {limits.tokens} allowed")
            if limits.cost is not None and cost >= limits.cost:
                return CostLimit(f"{cost:.4f} dollars spent on {above.run.agent}'s request, {limits.cost:.4f} allowed")
    return None
