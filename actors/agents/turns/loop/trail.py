"""The steps of a run, as those who get its answer see them, made of what happened in it. Pure.

A turn keeps what happened in its run, which costs it one entry an input; steps are made of that only when somebody
looks. So they are the same live, after a crash, and read from a journal.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, NamedTuple, TypeAlias

from .....providers.messages import Completion, Message, Usage
from ...answer import Step, StepCall
from ..history import Shared, result_of
from ..steps import Completed, Decided, HandoffReturned, Spent, ToolReturned, denial


class NotTaken(NamedTuple):
    """A completion was bought, and a guardrail refused it."""

    problem: str
    usage: Usage
    cost: float


Happening: TypeAlias = Completed | NotTaken | ToolReturned | HandoffReturned | Decided | Spent
Trail: TypeAlias = Shared[Happening]

NO_TRAIL: Final[Trail] = Shared()


def noted(happened: Completed, message: Message) -> Completed:
    """A completion as the trail has it: plain data, of the size that a journal has, too.

    Args:
        happened: as it came.
        message: the assistant's, as it stands in the history.
    """
    completion = happened.completion
    if message is not completion.message or completion.extra:
        happened = happened._replace(completion=replace(completion, message=message, extra={}))
    if happened.broken is not None:
        happened = happened._replace(problem=str(happened.broken), broken=None)
    return happened


def steps_of(agent: str, run: str, trail: Iterable[Happening], used: float = 0.0) -> tuple[Step, ...]:
    """The steps of a run.

    Args:
        agent: who makes it.
        run: its id.
        trail: what happened in it, in order.
        used: seconds that it had used before.
    """
    steps: list[Step] = []
    asked = used
    for happened in trail:
        if isinstance(happened, Completed):
            completion = happened.completion
            now = max(used, happened.used)
            steps.append(
                Step(
                    len(steps) + 1,
                    run,
                    agent,
                    completion.message,
                    tuple([StepCall(call) for call in completion.message.tool_calls]),
                    completion.usage,
                    completion.cost,
                    completion.model,
                    completion.provider,
                    now - used,
                    0.0,
                    completion.notes,
                    happened.confidence,
                    happened.problem,
                )
            )
            used = asked = now
        elif isinstance(happened, NotTaken):
            refused = Message("assistant")
            steps.append(
                Step(
                    len(steps) + 1,
                    run,
                    agent,
                    refused,
                    usage=happened.usage,
                    cost=happened.cost,
                    problem=happened.problem,
                )
            )
            asked = used
        elif isinstance(happened, Spent):
            _spend(steps, happened)
        elif steps:
            now = max(used, getattr(happened, "used", 0.0))
            steps[-1] = _with(steps[-1], happened, now - asked)
            used = now
    return tuple(steps)


def last_step(agent: str, run: str, trail: Trail, number: int) -> Step | None:
    """The last of a run's steps that was taken, at the same cost however long the run is; None before the first.

    Args:
        agent, run, trail: as of `steps_of`.
        number: which one it is, counted from 1.
    """
    at = len(trail)
    while at:
        at -= 1
        if isinstance(trail[at], Completed):
            before = (getattr(trail[index], "used", None) for index in range(at - 1, -1, -1))
            (step,) = steps_of(agent, run, trail[at:], next((used for used in before if used is not None), 0.0))
            return replace(step, number=number)
    return None


def spoken(last: Completion, before: Trail) -> str:
    """The text of an answer, with what was said before the vendor paused."""
    text, at = last.message.text, len(before)
    while at:
        at -= 1
        earlier = before[at]
        if not isinstance(earlier, Completed) or earlier.completion.finish_reason != "pause":
            break
        text = earlier.completion.message.text + text
    return text


def _spend(steps: list[Step], happened: Spent) -> None:
    """Add what a tool has spent to the latest call of its id."""
    for at in range(len(steps) - 1, -1, -1):
        calls = steps[at].calls
        if any(one.call.id == happened.call_id for one in calls):
            more = (with_spent(one, happened) if one.call.id == happened.call_id else one for one in calls)
            steps[at] = replace(steps[at], calls=tuple(more))
            return


def with_spent(one: StepCall, happened: Spent) -> StepCall:
    """A call with what its tool, or an agent that it asked, has spent."""
    return replace(
        one,
        cost=one.cost + happened.amount,
        usage=one.usage + happened.usage,
        steps=(*one.steps, *happened.within),
    )


def _with(step: Step, happened: ToolReturned | HandoffReturned | Decided, seconds: float) -> Step:
    """The step with what came of one of its calls."""
    calls = list(step.calls)
    message = step.message
    for index, one in enumerate(calls):
        if one.call.id != happened.call_id or one.result is not None:
            continue
        calls[index] = done = _done(one, happened, seconds)
        if done.call is not one.call:
            asked = tuple(done.call if call.id == one.call.id else call for call in message.tool_calls)
            message = replace(message, tool_calls=asked)
        break
    return replace(step, calls=tuple(calls), message=message)


def _done(one: StepCall, happened: ToolReturned | HandoffReturned | Decided, seconds: float) -> StepCall:
    call = one.call
    if isinstance(happened, Decided):
        if happened.approved:
            changed = call if happened.arguments is None else replace(call, arguments=happened.arguments)
            return replace(one, call=changed, approved=True)
        return replace(one, approved=False, result=result_of(call, denial(happened.reason), is_error=True))
    result = result_of(call, happened.content, is_error=happened.is_error, labels=happened.labels)
    if isinstance(happened, HandoffReturned):
        return returned(replace(one, result=result, seconds=seconds), happened)
    return replace(one, result=result, seconds=seconds)


def returned(one: StepCall, happened: HandoffReturned) -> StepCall:
    """A call with what came of the handoff that it made."""
    record = happened.handoffs[0] if happened.handoffs else None
    return replace(one, handoff=record, usage=happened.usage, cost=happened.cost, steps=happened.within)
