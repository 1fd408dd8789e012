"""What runs have used while they, and those they handed work to, are still at work."""

from __future__ import annotations

from .....providers.messages import Usage
from ...answer import NO_USAGE, HandoffRecord
from ...errors import CostLimit, RunError, TokenLimit
from ...turns.machine import Turn
from ...turns.steps import HandoffReturned, Interrupted
from .session import Session

_NOTHING = Turn()


def spent(session: Session) -> tuple[Usage, float, tuple[HandoffRecord, ...]]:
    """What the agents that work for a run have used so far, and those that work for them; and whose work was left."""
    usage, cost = NO_USAGE, 0.0
    handoffs: list[HandoffRecord] = []
    for delegation in session.delegations.values():
        for answer in delegation.before:
            usage, cost = usage + answer.usage, cost + answer.cost
            handoffs.extend(answer.handoffs)
        entry = session.runtime.register.get(delegation.run.id)
        working: Session | None = entry.session if entry is not None else None
        if entry is not None and entry.outcome is not None:
            answer = entry.outcome.answer
            usage, cost = usage + answer.usage, cost + answer.cost
            handoffs.extend(answer.handoffs)
        elif working is not None:
            below, below_cost, below_handoffs = spent(working)
            turn = _turn(working)
            usage, cost = usage + turn.usage + below, cost + turn.cost + below_cost
            handoffs.extend((*turn.handoffs, *below_handoffs))
        if delegation.handoff is not None:
            handoff = delegation.handoff
            record = HandoffRecord(session.run.agent, handoff.target, handoff.kind, handoff.task, "it was stopped")
            handoffs.append(record)
    return usage, cost, tuple(handoffs)


def with_those_at_work(session: Session, happened: HandoffReturned | Interrupted) -> HandoffReturned | Interrupted:
    """What ends a run, with what those at work for it have used until then: they are stopped with it."""
    session.adopt()
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
    above = session.parent
    while above is not None:
        limits, turn = above.limits, _turn(above)
        if limits.cost is not None or limits.tokens is not None:
            usage, cost, _ = spent(above)
            tokens = turn.usage.total_tokens + usage.total_tokens
            cost += turn.cost
            if limits.tokens is not None and tokens >= limits.tokens:
                return TokenLimit(f"{tokens} tokens used for {above.run.agent}'s request, {limits.tokens} allowed")
            if limits.cost is not None and cost >= limits.cost:
                return CostLimit(f"{cost:.4f} dollars spent on {above.run.agent}'s request, {limits.cost:.4f} allowed")
        above = above.parent
    return None
