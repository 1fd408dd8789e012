"""Whether a run goes in circles: the same call with the same result, again and again. Pure."""

from __future__ import annotations

from typing import NamedTuple

from .....providers.messages import Message
from ..steps import Completed, Decided, HandoffReturned, ToolReturned
from .trail import Trail


class Circle(NamedTuple):
    """A call that is made again and again.

    Args:
        tool: its name.
        times: how often it has had the same result.
    """

    tool: str
    times: int


def circle(trail: Trail, repeats: int, least: int) -> Circle | None:
    """The call of the last step that has had the same result most often, if that is at least so often.

    What lies further back than four times as many calls as may be alike does not count: going round between up to
    four calls is found, and a long run is not read from its beginning after each step.

    Args:
        trail: what happened in the run; the last step is over.
        repeats: how many may be alike.
        least: how many are worth telling of, at least 2.
    """
    alike: list[tuple[str, tuple[bool, object], list[str]]] = []
    """Of each call of the last step the tool, the result, and the arguments of all that had the same."""
    results: dict[str, tuple[bool, object]] = {}
    at, left, in_last = len(trail), 4 * repeats, True
    while at and left > 0:
        at -= 1
        happened = trail[at]
        if isinstance(happened, Completed):
            for call in happened.completion.message.tool_calls:
                result = results.pop(call.id, None)
                if result is None:
                    continue
                left -= 1
                if in_last:
                    alike.append((call.name, result, [call.arguments]))
                    continue
                for tool, same, arguments in alike:
                    if tool == call.name and same == result:
                        arguments.append(call.arguments)
            in_last = False
        elif isinstance(happened, ToolReturned | HandoffReturned):
            results[happened.call_id] = happened.is_error, happened.content
        elif isinstance(happened, Decided) and not happened.approved:
            results[happened.call_id] = True, happened.reason
    found: Circle | None = None
    for tool, _, arguments in alike:
        if len(arguments) < least:  # arguments are read only where that may be a circle
            continue
        first = _same(arguments[0])
        times = sum(_same(one) == first for one in arguments)
        if times >= least and (found is None or times > found.times):
            found = Circle(tool, times)
    return found


def warning(found: Circle) -> Message:
    """What the model is told when half of what may be alike has been."""
    return Message(
        "user",
        f"You have called {found.tool} with the same arguments {found.times} times, and its result was the same each "
        "time. Calling it again will not help: do something else, or answer with what you have.",
    )


def _same(arguments: str) -> str:
    """Arguments as a text that is the same however they are laid out. They are not parsed: ten at each step of a run
    that hands on many tasks cost it a third of its time."""
    return "".join(arguments.split())
