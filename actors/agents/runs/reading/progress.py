"""What a conversation's journal says of one run, record by record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from .....providers.messages import Message, ToolCall, Usage, shown
from ....journal.store import Record
from ...errors import named
from ...turns.inner import InnerCalled, InnerDecided, InnerReturned
from ...turns.records import Accepted, ApprovalAsked, Ended, Resumed, RunRequest, ToolsStarted
from ...turns.steps import (
    Begin,
    Completed,
    CompletionFailed,
    Condensed,
    Decided,
    HandoffReturned,
    Interrupted,
    Raised,
    Spent,
    Steered,
    Stopped,
    ToolReturned,
)

_NO_CALLS: Final[frozenset[str]] = frozenset()
_RETURNED: Final = frozenset({ToolReturned, HandoffReturned})

RecordType: TypeAlias = Literal[
    "accepted",
    "started",
    "completed",
    "completion_failed",
    "condensed",
    "tools_started",
    "tool_returned",
    "spent",
    "handoff_returned",
    "approval_asked",
    "approval_decided",
    "limits_raised",
    "steered",
    "stopped",
    "interrupted",
    "resumed",
    "inner_called",
    "inner_returned",
    "ended",
]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One recorded event of a run.

    Args:
        position: where in the order of all events of the journal; later ones have higher positions.
        type: what happened.
        run, agent, conversation: whose it is.
        at: when it was recorded, seconds since 1970 by the store's clock.
        data: what belongs to it, as plain data that JSON knows.
        cursor: the place in the run's stream behind it; see `RunHandle.stream`.
    """

    position: int
    type: RecordType
    run: str
    agent: str
    conversation: str
    at: float
    data: Mapping[str, Any]
    cursor: str = field(default="", compare=False)


class Heir(NamedTuple):
    """A run that another agent makes as it has taken the conversation over.

    Args:
        stream: of its conversation.
        run: its id.
    """

    stream: str
    run: str


class Progress:
    """Picks the records of one run out of its conversation's, from the first on.

    Args:
        run: its id.

    Attributes:
        over: whether the run has ended.
        heir: who answers in it, as far as its conversation says so, where that was handed over; None for its own agent.
        calls: the ids of the calls that its agent waits for.
        parent: the id of the run that it is made for, empty for none; None where it is not there.
    """

    __slots__ = ("_owner", "_queue", "_run", "calls", "heir", "over", "parent")

    def __init__(self, run: str) -> None:
        self._run = run
        self._queue: list[RunRequest] = []
        self._owner: tuple[str, str] | None = None
        self.over = False
        self.heir: Heir | None = None
        self.calls: frozenset[str] = _NO_CALLS
        self.parent: str | None = None

    def see(self, record: Record) -> RunRecord | None:
        """Take the next record of the stream; returns it if it is the run's."""
        event = record.event
        queue = self._queue
        run: RunRequest | None = None
        if type(event) is Accepted:
            if not any(one.id == event.run.id for one in queue):
                run = event.run
                queue.append(run)
        elif type(event) is Ended:
            run = next((one for one in queue if one.id == event.run), None)
            if run is not None:
                queue.remove(run)
            self._owner = event.owner or self._owner
        elif queue:
            run = queue[0]
        if not self.over:
            self._look(event, run)
        described = _DESCRIBED.get(type(event))
        if self.over or run is None or run.id != self._run or described is None:
            return None
        kind, describe = described
        self.over = kind == "ended"
        position = record.position
        told = describe(event)
        return RunRecord(position, kind, run.id, run.agent, run.conversation, record.at, told, str(position))

    def _look(self, event: Any, run: RunRequest | None) -> None:
        """See who answers, and which calls are open."""
        if self._queue and self._queue[0].id == self._run and self.heir is None and self._owner is not None:
            # It goes straight to the agent that has the conversation, as `forward` sends it.
            self.heir = Heir("/".join(self._owner), f"{self._run}>")
        if run is None or run.id != self._run:
            return
        if type(event) is Accepted:
            self.parent = run.parent
        elif type(event) is Completed:
            self.calls = frozenset(call.id for call in event.completion.message.tool_calls)
        elif type(event) in _RETURNED:
            self.calls -= {event.call_id}
        owner = event.owner if type(event) in (HandoffReturned, Ended) else None
        if owner is not None and (self.heir is None or self.heir.stream != "/".join(owner)):
            self.heir = Heir("/".join(owner), owner[1])  # its conversation was begun by what has the same id


def _text(messages: tuple[Message, ...] | None) -> str:
    return messages[-1].text if messages else ""


def _error(error: BaseException | None) -> str | None:
    return None if error is None else named(error)


def _calls(calls: tuple[ToolCall, ...]) -> list[dict[str, str]]:
    return [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in calls]


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }


def _accepted(event: Accepted) -> Mapping[str, Any]:
    return {"text": _text(event.run.messages), "user": event.run.caller.user, "tenant": event.run.caller.tenant}


def _completed(event: Completed) -> Mapping[str, Any]:
    made = event.completion
    return {
        "text": made.message.text,
        "reasoning": made.message.reasoning or "",
        "tool_calls": _calls(made.message.tool_calls),
        "usage": _usage(made.usage),
        "cost": made.cost,
        "model": made.model,
        "provider": made.provider,
    }


def _completion_failed(event: CompletionFailed) -> Mapping[str, Any]:
    return {"error": _error(event.error), "usage": _usage(event.usage), "cost": event.cost}


def _condensed(event: Condensed) -> Mapping[str, Any]:
    shape = event.shape
    return {
        "left_out": sum(end - start for start, end in shape.left_out),
        "summary": shape.summary,
        "usage": _usage(event.usage),
        "cost": event.cost,
        "notes": list(event.notes),
    }


def _tool_returned(event: ToolReturned) -> Mapping[str, Any]:
    return {"call_id": event.call_id, "content": shown(event.content), "is_error": event.is_error}


def _spent(event: Spent) -> Mapping[str, Any]:
    return {
        "call_id": event.call_id,
        "amount": event.amount,
        "reason": event.reason,
        "metadata": dict(event.metadata),
        "usage": _usage(event.usage),
    }


def _handoff_returned(event: HandoffReturned) -> Mapping[str, Any]:
    return {
        "call_id": event.call_id,
        "content": event.content,
        "is_error": event.is_error,
        "transferred": event.final,
        "usage": _usage(event.usage),
        "cost": event.cost,
    }


def _approval_asked(event: ApprovalAsked) -> Mapping[str, Any]:
    return {"call_id": event.call_id, "approval": event.approval, "expires_at": event.expires_at}


def _decided(event: Decided | InnerDecided) -> Mapping[str, Any]:
    return {"call_id": event.call_id, "approved": event.approved, "reason": event.reason}


def _raised(event: Raised) -> Mapping[str, Any]:
    return {"steps": event.limits.steps, "tokens": event.limits.tokens, "cost": event.limits.cost}


def _ended(event: Ended) -> Mapping[str, Any]:
    data: dict[str, Any] = {"error": _error(event.error), "seconds": event.seconds}
    answer = event.answer
    if answer is not None:
        data |= {
            "text": answer.text,
            "tool_calls": _calls(answer.tool_calls),
            "usage": _usage(answer.usage),
            "cost": answer.cost,
            "steps": len(answer.steps),
        }
    return data


_DESCRIBED: Mapping[type, tuple[RecordType, Callable[[Any], Mapping[str, Any]]]] = {
    Accepted: ("accepted", _accepted),
    Begin: ("started", lambda event: {}),
    Completed: ("completed", _completed),
    CompletionFailed: ("completion_failed", _completion_failed),
    Condensed: ("condensed", _condensed),
    ToolsStarted: ("tools_started", lambda event: {"call_ids": list(event.call_ids)}),
    ToolReturned: ("tool_returned", _tool_returned),
    Spent: ("spent", _spent),
    HandoffReturned: ("handoff_returned", _handoff_returned),
    ApprovalAsked: ("approval_asked", _approval_asked),
    Decided: ("approval_decided", _decided),
    Raised: ("limits_raised", _raised),
    InnerCalled: ("inner_called", lambda event: {"call_id": event.call_id, "tool": event.name}),
    InnerDecided: ("approval_decided", _decided),
    InnerReturned: ("inner_returned", lambda event: {"call_id": event.call_id, "is_error": event.is_error}),
    Steered: ("steered", lambda event: {"text": _text(event.messages)}),
    Stopped: ("stopped", lambda event: {"by": event.by}),
    Interrupted: ("interrupted", lambda event: {"error": _error(event.error)}),
    Resumed: ("resumed", lambda event: {"seconds_used": event.used}),
    Ended: ("ended", _ended),
}
