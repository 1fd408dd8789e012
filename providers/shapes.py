"""Says what is wrong with the shape of a request. Looked at only once something has gone wrong: most requests are well,
and histories are long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .checks import COUNT, NUMBER, Wish, made_as
from .messages import Audio, File, Image, Message, Request, Text, ToolCall, ToolSpec

_PARTS = Text | Image | File | Audio
_FIELDS: Mapping[str, Wish] = {
    "model": Wish("a model's name", lambda value: isinstance(value, str)),
    "max_tokens": COUNT.or_none(),
    "temperature": NUMBER.or_none(),
    "top_p": NUMBER.or_none(),
    "max_retries": Wish("a whole number, at least 0", lambda value: type(value) is int and value >= 0).or_none(),
    "tools": Wish("a tuple of ToolSpec", lambda value: _all(value, ToolSpec)),
    "stop": Wish("a tuple of texts", lambda value: _all(value, str)),
    "extra": made_as(Mapping),
    "headers": made_as(Mapping),
}


def misshapen(request: Any) -> str:
    """What of a request is not as it must be, without what it says; empty where nothing is."""
    if not isinstance(request, Request):
        return f"expected a Request, not {type(request).__name__}"
    for name, wish in _FIELDS.items():
        value = getattr(request, name)
        if not (value is None and wish.optional) and not wish.fits(value):
            return f"{name}: expected {wish.text}, not {type(value).__name__}"
    if not isinstance(request.messages, tuple | list):
        return f"messages: expected a tuple of Message, not {type(request.messages).__name__}"
    return next(_of_messages(request.messages), "")


def _of_messages(messages: Any) -> Iterator[str]:
    for number, message in enumerate(messages):
        where = f"messages[{number}]"
        if not isinstance(message, Message):
            yield f"{where}: expected a Message, not {type(message).__name__}"
            return
        if not isinstance(message.content, str) and not _all(message.content, _PARTS):
            yield f"{where}.content: expected text or a tuple of parts, not {type(message.content).__name__}"
        if not _all(message.tool_calls, ToolCall):
            yield f"{where}.tool_calls: expected a tuple of ToolCall, not {type(message.tool_calls).__name__}"


def _all(value: Any, kind: Any) -> bool:
    return isinstance(value, tuple | list) and all(isinstance(item, kind) for item in value)
