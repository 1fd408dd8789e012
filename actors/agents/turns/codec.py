"""Journal events as JSON and back.

Only the classes listed here are ever made from a journal, so a journal that somebody tampered with can at worst hold
wrong data. Pydantic models become plain dictionaries, and what JSON does not know becomes its ``repr``: a run's
``values`` should be plain data where a durable journal is used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from ....providers.messages import Completion, Image, Message, Text, ToolCall, ToolSpec, Usage
from .. import errors
from ..answer import Answer, HandoffRecord, ReasoningStep
from ..handoffs.handoff import Handoff
from .records import Accepted, Ended, Run, Snapshot, ToolsStarted
from .rules import Limits
from .steps import Begin, Completed, CompletionFailed, Decided, HandoffFinished, Interrupted, ToolFinished

_CLASSES: dict[str, type[Any]] = {
    made.__name__: made
    for made in (
        *(Accepted, Answer, Begin, Completed, Completion, CompletionFailed, Decided, Ended, Handoff, HandoffFinished),
        *(HandoffRecord, Image, Interrupted, Limits, Message, ReasoningStep, Run, Snapshot, Text, ToolCall),
        *(ToolFinished, ToolSpec, ToolsStarted, Usage),
    )
}
_ERRORS: dict[str, type[errors.AgentError]] = {
    name: made for name, made in vars(errors).items() if isinstance(made, type) and issubclass(made, errors.AgentError)
}
_FIELDS: dict[type[Any], tuple[str, ...]] = {
    made: tuple(field.name for field in fields(made)) if is_dataclass(made) else made._fields
    for made in _CLASSES.values()
}


def encode(event: Any) -> bytes:
    """An event as JSON."""
    if type(event) is Ended and not event.once:
        event = event._replace(answer=replace(event.answer, messages=()))
    return json.dumps(_plain(event), ensure_ascii=False, separators=(",", ":")).encode()


def decode(data: bytes) -> Any:
    """The event.

    Raises:
        ValueError: it is not JSON.
        LookupError: it names a class that no event has.
    """
    return _made(json.loads(data))


def _plain(value: Any) -> Any:
    kind = type(value)
    if value is None or kind in (str, int, float, bool):
        return value
    names = _FIELDS.get(kind)
    if names is not None:
        return {"c": kind.__name__, "v": [_plain(getattr(value, name)) for name in names]}
    if isinstance(value, tuple):
        return {"t": [_plain(item) for item in value]}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {"d": {str(key): _plain(item) for key, item in value.items()}}
    if isinstance(value, Exception):
        named = kind.__name__ if isinstance(value, errors.AgentError) else "RunFailed"
        text = str(value) if isinstance(value, errors.AgentError) else f"{kind.__name__}: {value}"
        return {"e": [named, text]}
    dump = getattr(value, "model_dump", None)
    return {"d": _plain(dump(mode="json"))["d"]} if dump is not None else repr(value)


def _made(value: Any) -> Any:
    if isinstance(value, list):
        return [_made(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "c" in value:
        made = _CLASSES[value["c"]]
        return made(**dict(zip(_FIELDS[made], map(_made, value["v"]), strict=False)))
    if "t" in value:
        return tuple(_made(item) for item in value["t"])
    if "e" in value:
        name, text = value["e"]
        return _ERRORS[name](text)
    return {key: _made(item) for key, item in value["d"].items()}
