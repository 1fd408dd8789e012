"""Calls that a tool call makes: what the journal keeps of them, and what is known of them while it is open. Pure.

A call that is begun again after a crash makes its inner calls anew, in the same order; what is known of one is then in
place of the call itself. Once the outer call has its result, nothing of them is needed any more.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from ....providers.messages import UNLABELLED, Labels, Part, labels_of_tool, shown
from ....tools.result import CUT, ToolResult, render

Form: TypeAlias = Literal["text", "json", "none", "said", "value"]

_MOST_APART: Final = 100_000
"""Characters of a value that its text does not say: as many as the text of a result has by default."""

_SHOWN: Final = 20  # calls that are told of
_LONG: Final = 200  # characters of their arguments, and of their results


class InnerCalled(NamedTuple):
    """A tool call has made a call.

    Args:
        call_id: ``{outer call}/{n}``, counted from 1.
        name: under which the tool was called.
        arguments: JSON text.
        began_at: when the outer call began, in seconds since 1970.
    """

    call_id: str
    name: str
    arguments: str
    began_at: float = 0.0

    def __repr__(self) -> str:
        """Which call, never with what: errors and logs show records."""
        return f"InnerCalled({self.call_id!r}, {self.name!r})"


class InnerDecided(NamedTuple):
    """A person has decided about an inner call.

    Args:
        call_id: the call.
        approved: whether it runs.
        arguments: JSON text in place of what it was called with.
        reason: told to the outer call, where it does not run.
    """

    call_id: str
    approved: bool
    arguments: str | None = None
    reason: str = ""


class InnerReturned(NamedTuple):
    """An inner call has its result.

    Args:
        call_id: the call.
        content: of the result.
        is_error: whether it failed.
        form: what the program gets of it: the text, what it says as JSON, or None; where a hook answered, what it says
            (``said``), or a value of its own (``value``).
        asked: how many calls the outer call had made by then. It is told of this result when it has made as many again.
        used: seconds of the run's time that were used by then.
        value: the hook's value, as JSON; empty where it is too long.
        labels: of the content, where they are not what its role says.
    """

    call_id: str
    content: str | tuple[Part, ...]
    is_error: bool = False
    form: Form = "text"
    asked: int = 0
    used: float = 0.0
    value: str = ""
    labels: Labels | None = None

    def __repr__(self) -> str:
        """Which call's, never what."""
        return f"InnerReturned({self.call_id!r}, is_error={self.is_error})"


InnerRecord: TypeAlias = InnerCalled | InnerDecided | InnerReturned
INNER: tuple[type[Any], ...] = (InnerCalled, InnerDecided, InnerReturned)


class InnerCall(NamedTuple):
    """What is known of one inner call.

    Args:
        called: it.
        decided: what a person said, if one did.
        returned: its result, if it has one.
    """

    called: InnerCalled
    decided: InnerDecided | None = None
    returned: InnerReturned | None = None


class InnerCalls:
    """What is known of the inner calls of the calls that are open."""

    __slots__ = ("_calls", "_returned")

    def __init__(self) -> None:
        self._calls: dict[str, InnerCall] = {}
        self._returned: list[InnerReturned] = []

    def copy(self) -> InnerCalls:
        """One that is as this one is, and goes on by itself."""
        other = InnerCalls()
        other._calls, other._returned = dict(self._calls), list(self._returned)
        return other

    def get(self, call_id: str) -> InnerCall | None:
        """What is known of a call."""
        return self._calls.get(call_id)

    def ids(self) -> list[str]:
        """The calls' ids."""
        return list(self._calls)

    def of(self, outer: str) -> Iterator[InnerCall]:
        """The calls that a call has made, in order."""
        return (call for call_id, call in self._calls.items() if outer_of(call_id) == outer)

    def returned(self, outer: str) -> list[InnerReturned]:
        """The results of the calls that a call has made, in the order in which they came."""
        return [result for result in self._returned if outer_of(result.call_id) == outer]

    def labels(self, outer: str) -> Labels:
        """The labels of what the calls that a call has made have returned so far."""
        labels = UNLABELLED
        for result in self._returned:
            if outer_of(result.call_id) == outer:
                name = self._calls[result.call_id].called.name
                labels |= result.labels if result.labels is not None else labels_of_tool(name)
        return labels

    def done_before(self, outer: str, told: Collection[str], interrupted: Collection[str]) -> str:
        """What is said of a call that failed where it was begun again, before it had come as far as it once was: what
        had been done by then, for whoever would do it again. Nothing of one that had come as far.

        Args:
            outer: the call.
            told: the ids of the calls whose results it was told since.
            interrupted: the ids of calls that a crash interrupted.
        """
        made = [call for call in self.of(outer) if call.returned is not None or call.called.call_id in interrupted]
        if all(call.called.call_id in told for call in made):
            return ""
        lines = [_line(call) for call in made[:_SHOWN]]
        if len(made) > _SHOWN:
            lines.append(f"and {len(made) - _SHOWN} more")
        calls = "a call" if len(made) == 1 else f"{len(made)} calls"
        about = f"It had been begun before a restart, and made {calls} then; what that did is done, do not do it again:"
        return "\n- ".join([about, *lines])

    def apply(self, event: InnerRecord) -> None:
        """Take a record.

        Raises:
            TypeError: it is about a call that was not made: the journal has a gap.
        """
        if isinstance(event, InnerCalled):
            self._calls[event.call_id] = InnerCall(event)
            return
        known = self._calls.get(event.call_id)
        if known is None:
            raise TypeError(f"{type(event).__name__} cannot happen: no call {event.call_id!r} was made")
        if isinstance(event, InnerDecided):
            self._calls[event.call_id] = known._replace(decided=event)
        else:
            self._calls[event.call_id] = known._replace(returned=event)
            self._returned.append(event)

    def over(self, outer: str) -> frozenset[str]:
        """Forget the calls within one that has its result; returns their ids."""
        gone = frozenset(call_id for call_id in self._calls if is_within(call_id, outer))
        for call_id in gone:
            del self._calls[call_id]
        self._returned = [result for result in self._returned if result.call_id not in gone]
        return gone

    def __len__(self) -> int:
        return len(self._calls)


def outer_of(call_id: str) -> str:
    """The id of the call that made an inner one."""
    return call_id.rpartition("/")[0]


def is_within(call_id: str, outer: str) -> bool:
    """Whether a call was made by another, or by one that it has made."""
    return call_id.startswith(f"{outer}/")


def returned(call_id: str, result: ToolResult, asked: int, used: float) -> InnerReturned:
    """The record of a result."""
    form = _form(result)
    value = _as_json(result.value) if form == "value" else ""
    if len(value) > _MOST_APART:
        value = ""
    return InnerReturned(call_id, result.content, result.is_error, form, asked, used, value, result.labels)


def result_of(record: InnerReturned) -> ToolResult:
    """What an outer call is told; the same whether the inner one has just ended or is known from the journal."""
    content, form = record.content, record.form
    if record.is_error or form in ("none", "said"):
        return ToolResult(content, record.is_error, from_value=form == "none")
    if form == "text" or not isinstance(content, str):
        return ToolResult(content, value=ToolResult(content).text, from_value=True)
    try:
        value = json.loads(record.value if form == "value" else content)
    except ValueError:
        value = CUT
    return ToolResult(content, value=value, from_value=form == "json")


def _as_json(value: Any) -> str:
    text = render(value)
    return json.dumps(text) if isinstance(value, str | bytes | bytearray) else text


def _line(call: InnerCall) -> str:
    """A call and its result, as a line."""
    name, arguments = call.called.name, call.called.arguments
    if call.decided is not None and call.decided.arguments is not None:
        arguments = call.decided.arguments
    if call.returned is None:
        what = "was interrupted, and may have had its effect"
    else:
        what = f"{'failed' if call.returned.is_error else 'returned'}: {_short(shown(call.returned.content))}"
    return f"{name} {_short(arguments)} {what}"


def _short(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


def _form(result: ToolResult) -> Form:
    value = result.value
    if isinstance(result.content, str) and not result.is_error and not result.from_value:
        return "said" if value is None else "value"
    if value is None and isinstance(result.content, str):
        return "none"
    if isinstance(value, str | bytes | bytearray) or not isinstance(result.content, str):
        return "text"
    return "json"
