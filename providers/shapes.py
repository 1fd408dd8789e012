"""Says what is wrong with the shape of a request. Looked at only once something has gone wrong: most requests are well,
and histories are long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .checks import COUNT, FLAG, HEADERS, NUMBER, SAYABLE, TEXT, WHOLE, Wish, made_as, several
from .errors import InvalidRequest
from .messages import Audio, File, Image, Message, Request, Text, ToolCall, ToolSpec, VendorState

_PARTS = Text | Image | File | Audio
_MAYBE_TEXT = TEXT.or_none()
_CACHE = Wish("True, False, '5m' or '1h'", lambda value: value in (True, False, "5m", "1h"))

FIELDS: Mapping[str, Wish] = {
    "model": Wish("a model's name", TEXT.fits),
    "tools": Wish("a tuple of ToolSpec", lambda value: _all(value, ToolSpec)),
    "tool_choice": TEXT,
    "max_tokens": COUNT.or_none(),
    "temperature": NUMBER.or_none(),
    "top_p": NUMBER.or_none(),
    "top_k": WHOLE.or_none(),
    "frequency_penalty": NUMBER.or_none(),
    "presence_penalty": NUMBER.or_none(),
    "seed": WHOLE.or_none(),
    "stop": Wish("a tuple of texts", several(TEXT, (tuple, list)).fits),
    "reasoning_effort": _MAYBE_TEXT,
    "response_schema": SAYABLE.or_none(),
    "parallel_tool_calls": FLAG,
    "user": _MAYBE_TEXT,
    "headers": HEADERS,
    "extra": SAYABLE,
    "thinking_tokens": WHOLE.or_none(),
    "max_retries": Wish("a whole number, at least 0", lambda value: type(value) is int and value >= 0).or_none(),
}
"""What the fields of a request must be, but for its messages."""
_OF_MESSAGE: Mapping[str, Wish] = {
    "tool_call_id": _MAYBE_TEXT,
    "name": _MAYBE_TEXT,
    "reasoning": TEXT,
    "cache": _CACHE,
    "state": made_as(VendorState).or_none(),
}
_OF_CALL: Mapping[str, Wish] = {"id": TEXT, "name": TEXT, "arguments": TEXT}
_OF_TOOL: Mapping[str, Wish] = {"name": TEXT, "description": TEXT, "parameters": SAYABLE, "cache": _CACHE}
_OF_PART: Mapping[type, Mapping[str, Wish]] = {
    Text: {"text": TEXT, "cache": _CACHE},
    Image: {"url": TEXT, "cache": _CACHE},
    File: {"url": TEXT, "name": TEXT, "cache": _CACHE},
    Audio: {"url": TEXT, "transcript": TEXT},
}


def misshapen(request: Any) -> str:
    """What of a request is not as it must be, without what it says; empty where nothing is."""
    if not isinstance(request, Request):
        return f"expected a Request, not {type(request).__name__}"
    return next(_of_request(request), "")


def unwritable(request: Any, error: Exception, provider: str) -> InvalidRequest:
    """What whoever asked is told where `provider` could make no JSON of a request: it is nobody's fault but the
    request's, whatever `error` came of it."""
    why = misshapen(request) or f"{provider} can make no JSON of the request ({type(error).__name__})"
    return InvalidRequest(why, provider=provider)


def misfit(fields: Mapping[str, Any]) -> str:
    """What of some fields of a request, by name, is not as it must be, without what it says; empty where nothing is."""
    for name, given in fields.items():
        wish = FIELDS.get(name)
        if wish is not None and not wish.takes(given):
            return f"{name}: expected {wish.text}, not {type(given).__name__}"
    return ""


def _of_request(request: Request) -> Iterator[str]:
    yield from _of(request, FIELDS)
    for number, tool in enumerate(request.tools):
        yield from _of(tool, _OF_TOOL, f"tools[{number}].")
    if not isinstance(request.messages, tuple | list):
        yield f"messages: expected a tuple of Message, not {type(request.messages).__name__}"
        return
    for number, message in enumerate(request.messages):
        yield from _of_one(message, f"messages[{number}]")


def _of_one(message: Any, where: str) -> Iterator[str]:
    if not isinstance(message, Message):
        yield f"{where}: expected a Message, not {type(message).__name__}"
        return
    if not isinstance(message.content, str):
        if not _all(message.content, _PARTS):
            yield f"{where}.content: expected text or a tuple of parts, not {type(message.content).__name__}"
        for number, part in enumerate(message.content):
            yield from _of(part, _OF_PART[type(part)], f"{where}.content[{number}].")
    if not _all(message.tool_calls, ToolCall):
        yield f"{where}.tool_calls: expected a tuple of ToolCall, not {type(message.tool_calls).__name__}"
    for number, call in enumerate(message.tool_calls):
        yield from _of(call, _OF_CALL, f"{where}.tool_calls[{number}].")
    yield from _of(message, _OF_MESSAGE, f"{where}.")


def _of(value: Any, wishes: Mapping[str, Wish], where: str = "") -> Iterator[str]:
    for name, wish in wishes.items():
        given = getattr(value, name)
        if not wish.takes(given):
            kind = "" if isinstance(given, Mapping) else f", not {type(given).__name__}"
            yield f"{where}{name}: expected {wish.text}{kind}"


def _all(value: Any, kind: Any) -> bool:
    return isinstance(value, tuple | list) and all(isinstance(item, kind) for item in value)
