"""Whether a run goes in circles: the same call with the same result, again and again. Pure."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import fields
from typing import NamedTuple

from ....providers.messages import Message, ToolCall
from .steps import Completed, Decided, HandoffReturned, Spent, ToolReturned
from .trail import NotTaken, Trail


class Circle(NamedTuple):
    """A call that is made again and again.

    Args:
        tool: its name.
        times: how often it has had the same result.
    """

    tool: str
    times: int


def circle(trail: Trail, repeats: int) -> Circle | None:
    """The call of the last step that has had the same result most often, if it has more than once.

    What lies further back than four times as many calls as may be alike does not count: going round between up to
    four calls is found, and a long run is not read from its beginning after each step.

    Args:
        trail: what happened in the run; the last step is over.
        repeats: how many may be alike.
    """
    at, results = len(trail), 0
    while at and results < 4 * repeats:
        at -= 1
        results += isinstance(trail[at], ToolReturned | HandoffReturned)
    while at and not isinstance(trail[at], Completed):  # the calls that the first of them answer
        at -= 1
    seen: Counter[tuple[str, str, bool, str]] = Counter()
    last: list[tuple[str, str, bool, str]] = []
    calls: dict[str, ToolCall] = {}
    for happened in trail[at:]:
        if isinstance(happened, Completed):
            calls = {call.id: call for call in happened.completion.message.tool_calls}
            last = []
        elif isinstance(happened, NotTaken | Spent) or (isinstance(happened, Decided) and happened.approved):
            continue
        elif (call := calls.pop(happened.call_id, None)) is not None:
            key = (call.name, _same(call.arguments), *_result(happened))
            seen[key] += 1
            last.append(key)
    most = max(last, key=lambda key: seen[key], default=None)
    return Circle(most[0], seen[most]) if most is not None and seen[most] > 1 else None


def warning(found: Circle) -> Message:
    """What the model is told when half of what may be alike has been."""
    return Message(
        "user",
        f"You have called {found.tool} with the same arguments {found.times} times, and its result was the same each "
        "time. Calling it again will not help: do something else, or answer with what you have.",
    )


def _result(happened: ToolReturned | HandoffReturned | Decided) -> tuple[bool, str]:
    """Whether a call failed, and its result as a text that is the same where it is."""
    if isinstance(happened, Decided):
        return True, happened.reason
    content = happened.content
    if isinstance(content, str):
        return happened.is_error, content
    return happened.is_error, json.dumps([[getattr(part, each.name) for each in fields(part)] for part in content])


def _same(arguments: str) -> str:
    """Arguments as a text that is the same however they are written."""
    try:
        return json.dumps(json.loads(arguments or "{}"), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments
