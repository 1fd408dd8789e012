"""Keeping a conversation valid for every vendor, whatever was cut off.

The vendors agree on one rule that a cancelled or failed run breaks easily: each tool call of an assistant message is
answered by exactly one tool message, right after it, and no tool message stands alone. `repaired` restores the rule,
`problems` checks it. Pure functions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ....providers.messages import Labels, Message, Part, ToolCall

if TYPE_CHECKING:
    from typing import Self

T = TypeVar("T")


class Shared(Sequence[T]):
    """Things in order; adding some at the end costs what is added, because what is before is shared.

    A conversation of 10,000 turns would otherwise copy all of it several times a turn, and read it in quadratic time.

    Args:
        items: in order.
    """

    __slots__ = ("_length", "_shared")

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._shared = list(items)
        self._length = len(self._shared)

    def plus(self, *more: T) -> Self:
        """These, and more behind them."""
        shared = self._shared
        if len(shared) != self._length:  # somebody has gone on from here before
            shared = shared[: self._length]
        shared.extend(more)
        added = object.__new__(type(self))
        added._shared = shared
        added._length = len(shared)
        return added

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[T]:
        return islice(self._shared, self._length)

    def __reversed__(self) -> Iterator[T]:
        shared = self._shared
        return reversed(shared if len(shared) == self._length else shared[: self._length])

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...

    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        shared, length = self._shared, self._length
        if len(shared) == length:  # nobody has gone on from here, which is mostly so: 0.27 µs, otherwise 0.79
            return tuple(shared[index]) if isinstance(index, slice) else shared[index]
        if isinstance(index, slice):
            return tuple(shared[slice(*index.indices(length))])
        return shared[range(length)[index]]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Shared | tuple):
            return len(other) == self._length and self.as_tuple() == tuple(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self.as_tuple())

    def as_tuple(self) -> tuple[T, ...]:
        """All of them."""
        shared = self._shared
        return tuple(shared) if len(shared) == self._length else tuple(shared[: self._length])


class History(Shared[Message]):
    """The messages of a conversation, in order."""

    __slots__ = ()


EMPTY = History()

UNANSWERED = "Not run: the conversation went on without this call's result."


def last_tool(history: Sequence[Message], start: int) -> str:
    """The name of the tool whose result came last among the messages from ``start`` on; empty where none did."""
    for message in islice(reversed(history), len(history) - start):
        if message.role == "tool":
            return message.name or ""
    return ""


def result_of(
    call: ToolCall, content: str | tuple[Part, ...], *, is_error: bool = False, labels: Labels | None = None
) -> Message:
    """The tool message that answers ``call``."""
    return Message("tool", content, tool_call_id=call.id, name=call.name, is_error=is_error, labels=labels)


def with_results(message: Message, results: Sequence[Message | None], missing: str) -> tuple[Message, ...]:
    """An assistant message followed by one result for each of its calls, in the calls' order.

    Args:
        message: the assistant message.
        results: a result, or None, for each call.
        missing: the text that stands in for a result that is not there; it is marked as an error.
    """
    answered = [
        result if result is not None else result_of(call, missing, is_error=True)
        for call, result in zip(message.tool_calls, results, strict=True)
    ]
    return (message, *answered)


def repaired(messages: Iterable[Message], missing: str = UNANSWERED) -> tuple[Message, ...]:
    """The messages with every tool call answered exactly once, right after it, and orphaned results left out.

    A valid history comes back unchanged. Empty assistant messages, which some vendors refuse, are left out.
    """
    kept: list[Message] = []
    source = list(messages)
    for index, message in enumerate(source):
        if message.role == "tool":
            continue
        if message.role == "assistant" and message.tool_calls:
            results = [_first_result(islice(source, index + 1, None), call.id) for call in message.tool_calls]
            kept.extend(with_results(message, results, missing))
        elif message.role == "assistant" and not message.content and message.state is None:
            continue
        else:
            kept.append(message)
    return tuple(kept)


def problems(messages: Sequence[Message]) -> list[str]:
    """What a vendor would refuse in this history, in words; empty when it is valid."""
    found: list[str] = []
    open_calls: list[str] = []
    for index, message in enumerate(messages):
        if message.role == "tool":
            if message.tool_call_id in open_calls:
                open_calls.remove(message.tool_call_id)
            else:
                found.append(f"message {index} answers a call {message.tool_call_id!r} that is not open")
            continue
        if open_calls:
            found.append(f"message {index} comes before the results of {open_calls}")
            open_calls = []
        if message.role == "assistant":
            open_calls = [call.id for call in message.tool_calls]
            if len(set(open_calls)) != len(open_calls):
                found.append(f"message {index} uses one call id twice")
            if not message.tool_calls and not message.content and message.state is None:
                found.append(f"message {index} is an empty assistant message")
    if open_calls:
        found.append(f"the calls {open_calls} have no result")
    return found


def without_calls(messages: Iterable[Message], names: frozenset[str]) -> tuple[Message, ...]:
    """The messages without the calls of these tools and their results; an assistant message left empty goes too."""
    kept: list[Message] = []
    dropped: set[str] = set()
    for message in messages:
        if message.role == "assistant" and message.tool_calls:
            calls = tuple(call for call in message.tool_calls if call.name not in names)
            dropped = {call.id for call in message.tool_calls} - {call.id for call in calls}
            if not dropped:
                kept.append(message)
            elif calls or message.content:
                kept.append(Message("assistant", message.content, calls, name=message.name, labels=message.labels))
        elif message.role != "tool" or message.tool_call_id not in dropped:
            kept.append(message)
    return tuple(kept)


def _first_result(following: Iterable[Message], call_id: str) -> Message | None:
    """The result of a call among what follows it, up to the next time somebody reuses the id."""
    for message in following:
        if message.role == "tool" and message.tool_call_id == call_id:
            return message
        if any(call.id == call_id for call in message.tool_calls):
            return None
    return None


def was_interrupted(messages: Sequence[Message], call: ToolCall, said: str) -> bool:
    """Whether the last call like this one, with the same arguments, had a result that says that it was interrupted.

    Args:
        messages: the history.
        call: the one that is to be made.
        said: how such a result begins.
    """
    results: dict[str | None, Message] = {}
    wanted = _read(call.arguments)
    for message in reversed(messages):
        if message.role == "tool":
            results[message.tool_call_id] = message
        for one in message.tool_calls:
            if one.id in results and one.name == call.name and _read(one.arguments) == wanted:
                return results[one.id].is_error and results[one.id].text.startswith(said)
        if message.tool_calls:
            results.clear()
    return False


def _read(arguments: str) -> Any:
    try:
        return json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return arguments


def call_of(message: Message, call_id: str) -> ToolCall | None:
    """The call of that id in a message; None if there is none."""
    return next((call for call in message.tool_calls if call.id == call_id), None)


def with_distinct_ids(message: Message, number: int) -> Message:
    """A message with an id for each of its calls.

    Some compatible endpoints leave call ids empty or use one twice; a result could then not be told apart.

    Args:
        number: the message's place in its history, of which new ids are made.
    """
    calls = message.tool_calls
    if len({call.id for call in calls}) == len(calls) and all(call.id for call in calls):
        return message
    named = tuple(replace(call, id=f"call_{number}_{index}") for index, call in enumerate(calls))
    return replace(message, tool_calls=named)
