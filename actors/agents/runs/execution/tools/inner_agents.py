"""Asking sub-agents within a tool call, as the functions of a program.

Each is a delegation, as one that the model asks for. What its run used is recorded together with the call's result.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Final

from ......providers.messages import ToolCall
from ......tools import ToolResult
from ......tools.errors import ToolCancelled
from .....core.base.events import Outcome as Ended
from ....errors import named
from ....prompts.subagents import SubAgent
from ....turns.steps import Spent
from ..handoffs.delegation import FATAL, labels_of_answers
from ..handoffs.subagents import judged, prepared_part, send_part
from ..known.handed import Asking, Delegation, Part, PartResult
from ..known.within import InnerAtWork
from ..session import Session
from ..spending import spent_by

_SHOWN: Final = 500
"""Characters of an answer that does not fit."""


async def ask_agent(session: Session, sub: SubAgent, call: ToolCall) -> Ended[ToolResult]:
    """Have a sub-agent make a run for a call, and wait for it.

    Raises:
        GuardrailTripped: a hook refuses it.
        RunFailed: a function of the user's ended in what is no `Exception`.
    """
    part = await prepared_part(session, call.id, sub, call.arguments)
    if part.fatal is not None:
        return Ended(None, part.fatal)
    if part.handoff is None:
        return Ended(part.instead or ToolResult(""), None)
    if session.over:
        return Ended(ToolResult.failure(ToolCancelled(f"{call.name!r} was cancelled: its run is over")), None)
    answered = asyncio.get_running_loop().create_future()
    send_part(session, Asking(call, False, (part,), answered=answered), part)
    outcome = await answered
    if isinstance(outcome.error, FATAL):
        return Ended(None, outcome.error)
    result = _returned(part, await judged(session, part, outcome))
    labels = None if outcome.error is not None else labels_of_answers((outcome.answer,))
    return Ended(replace(result, labels=labels), None)


def agent_spent(session: Session, inner: InnerAtWork, made: Delegation) -> Spent:
    """What is recorded of a run that has ended, with the result of the call that it was made for."""
    assert made.asking is not None
    outcome = made.asking.outcomes[inner.call.id]
    answer, error = outcome.answer, outcome.error
    session.dropping.append(made.run.stream_name)
    return Spent(
        inner.of_the_model,
        answer.cost,
        usage=answer.usage,
        handoffs=made.records((answer,), "" if error is None else named(error)),
        within=tuple(answer.steps),
        notes=answer.notes,
    )


def stop_agent(session: Session, inner: InnerAtWork) -> Spent:
    """Stop the run that is made for a call for which nobody waits any more; returns what it has used."""
    made = session.delegations.pop(inner.call.id)
    usage, cost, handoffs = spent_by(session, made)
    session.stop(made)
    return Spent(inner.of_the_model, cost, usage=usage, handoffs=handoffs)


def _returned(part: Part, result: PartResult) -> ToolResult:
    """What came of a run, as a function returns it."""
    if result.alone is not None:
        return result.alone
    said = result.said
    if result.is_error:
        return ToolResult(said["error"], True)
    response = said["response"]
    if "validation_error" in said:
        shown = response if len(response) <= _SHOWN else f"{response[:_SHOWN]}…"
        wrong = f"the answer of {part.name} does not fit its response_schema: {said['validation_error']}"
        return ToolResult(f"InvalidAnswer: {wrong}\nIt was: {shown}", True)
    text = response if isinstance(response, str) else json.dumps(response, ensure_ascii=False)
    return ToolResult(text, value=response, from_value=True)
