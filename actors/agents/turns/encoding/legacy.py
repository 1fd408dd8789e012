"""Reading what version 0.1.0 wrote: each object as ``{"c": class, "v": [fields in order]}``."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .....providers.messages import Completion, Image, Message, Text, ToolCall, ToolSpec, Usage, VendorState
from ... import errors
from ...answer import Answer, HandoffRecord, ReasoningStep, Steps
from ...caller import Caller
from ...handoffs.handoff import Handoff
from ..records import Accepted, Ended, RunRequest, Snapshot, ToolsStarted
from ..rules import Limits
from ..steps import Begin, Completed, CompletionFailed, Decided, HandoffReturned, Interrupted, ToolReturned
from . import former

_MADE: dict[str, Callable[..., Any]] = {
    made.__name__: made
    for made in (
        *(Accepted, Answer, Begin, Completed, Completion, CompletionFailed, Decided, Ended, Handoff),
        *(HandoffRecord, Image, Interrupted, Limits, Message, ReasoningStep, Snapshot, Text, ToolCall),
        *(ToolSpec, ToolsStarted, Usage),
    )
}
_ERRORS = {
    name: made for name, made in vars(errors).items() if isinstance(made, type) and issubclass(made, errors.AgentError)
}


def decode(data: str) -> Any:
    """The event.

    Raises:
        ValueError: it is not JSON.
        LookupError: it names a class that no event had.
    """
    return _read(json.loads(data))


def _run(
    id: str,
    root: str,
    agent: str,
    conversation: str,
    messages: tuple[Message, ...],
    chain: tuple[str, ...],
    tasks: tuple[str, ...] = (),
    user: str = "",
    *rest: Any,
) -> RunRequest:
    names = ("metadata", "limits", "stream", "external", "handoff", "once", "fleeting")
    given = dict(zip(names, rest, strict=False))
    parent = "" if id == root else root
    return RunRequest(id, root, agent, conversation, messages, chain, tasks, Caller(user), parent=parent, **given)


def _ended(
    run: str, answer: Answer, error: Any = None, owner: tuple[str, str] | None = None, once: bool = False
) -> Ended:
    return Ended(run, answer, error, owner, answer.seconds)


def _answer(*fields: Any) -> Answer:
    answer = Answer(*fields)
    steps: Any = answer.steps  # a number then
    return replace(answer, steps=Steps(steps) if steps else ())


def _message(*fields: Any) -> Message:
    message = Message(*fields[:8])
    state = former.state(fields[8], len(message.text), len(message.tool_calls)) if len(fields) > 8 else None
    return message if state is None else replace(message, state=VendorState(**state))


_MADE["Answer"] = _answer
_MADE["Limits"] = lambda *given: replace(Limits(*given), repeats=None)
_MADE["Message"] = _message
_MADE["Run"] = _run
_MADE["Ended"] = _ended
_MADE["ToolFinished"] = ToolReturned
_MADE["HandoffFinished"] = HandoffReturned


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "c" in value:
        return _MADE[value["c"]](*map(_read, value["v"]))
    if "t" in value:
        return tuple(_read(item) for item in value["t"])
    if "e" in value:
        name, text = value["e"]
        return _ERRORS.get(name, errors.RunFailed)(text)
    return {key: _read(item) for key, item in value["d"].items()}
