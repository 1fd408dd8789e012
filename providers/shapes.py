"""Says what is wrong with the shape of what is said: a request, a message, a completion. Pure.

A request is looked at only once something has gone wrong: most are well, and histories are long. A completion is looked
at where it comes from anybody's code, and a message, too: what is wrong in one would be found out much later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from .checks import (
    AMOUNT,
    COUNT,
    FLAG,
    HEADERS,
    LARGEST,
    MOST_TOKENS,
    NUMBER,
    SAYABLE,
    SECONDS,
    TEXT,
    WHOLE,
    Wish,
    made_as,
    one_of,
    several,
)
from .errors import InvalidRequest
from .messages import (
    Audio,
    Completion,
    Delta,
    File,
    FinishReason,
    Image,
    Labels,
    Message,
    RateLimits,
    Request,
    Text,
    ToolCall,
    ToolSpec,
    Usage,
    VendorState,
)

_PARTS = (Text, Image, File, Audio)
_MAYBE_TEXT = TEXT.or_none()
_CACHE = Wish("True, False, '5m' or '1h'", lambda value: isinstance(value, bool) or _in(value, "5m", "1h"))

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
    "is_error": FLAG,
    "reasoning": TEXT,
    "cache": _CACHE,
    "state": made_as(VendorState).or_none(),
    "labels": made_as(Labels).or_none(),
}
_OF_CALL: Mapping[str, Wish] = {"id": TEXT, "name": TEXT, "arguments": TEXT}
_OF_TOOL: Mapping[str, Wish] = {"name": TEXT, "description": TEXT, "parameters": SAYABLE, "cache": _CACHE}
_OF_PART: Mapping[type, Mapping[str, Wish]] = {
    Text: {"text": TEXT, "cache": _CACHE},
    Image: {"url": TEXT, "cache": _CACHE},
    File: {"url": TEXT, "name": TEXT, "cache": _CACHE},
    Audio: {"url": TEXT, "transcript": TEXT},
}
_REASONS: tuple[str, ...] = get_args(FinishReason)
_OF_STATE: Mapping[str, Wish] = {"origin": TEXT, "content": TEXT}

_TOKENS = Wish("a whole number of tokens, at least 0", lambda value: type(value) is int and 0 <= value <= MOST_TOKENS)
_OF_USAGE: Mapping[str, Wish] = {
    "input_tokens": _TOKENS,
    "output_tokens": _TOKENS,
    "cache_read_tokens": _TOKENS,
    "cache_write_tokens": _TOKENS,
    "reasoning_tokens": _TOKENS,
}

TEXTS = Wish("a tuple of texts", several(TEXT, (tuple,)).fits)
OF_TOLD: Mapping[str, Wish] = {
    "model": Wish("the name of a model, or empty", TEXT.fits),
    "latency": SECONDS,
    "cost": AMOUNT.or_none(),
    "notes": TEXTS,
    "limits": made_as(RateLimits).or_none(),
}
"""What the fields must be that a completion and embeddings have in common, but for their usage."""
_OF_DELTA: Mapping[str, Wish] = {"text": TEXT, "reasoning": TEXT, "tool_arguments": TEXT}
_OF_COMPLETION: Mapping[str, Wish] = {
    **OF_TOLD,
    "finish_reason": one_of(*_REASONS),
    "provider": TEXT,
    "request_id": TEXT,
    "extra": Wish("a mapping", lambda value: isinstance(value, Mapping)),
}


def misshapen(request: Any, before: Request | None = None) -> str:
    """What of a request is not as it must be, without what it says; empty where nothing is.

    Args:
        request: what stands there.
        before: one that is well: what is still the same is not looked at once more.
    """
    if not isinstance(request, Request):
        return f"expected a Request, not {type(request).__name__}"
    return next(_of_request(request, before), "")


def unwritable(request: Any, error: Exception, provider: str) -> InvalidRequest:
    """What whoever asked is told where `provider` could make no JSON of a request: it is nobody's fault but the
    request's, whatever `error` came of it."""
    why = misshapen(request) or f"{provider} can make no JSON of the request ({type(error).__name__})"
    return InvalidRequest(why, provider=provider)


def wrong_usage(usage: Any, where: str = "usage") -> str:
    """What is wrong with a usage; empty where nothing is.

    Args:
        usage: what stands there.
        where: where it stands, for the text.
    """
    if _is_plain_usage(usage):
        return ""
    if not isinstance(usage, Usage):
        return f"{where}: expected a Usage, not {said_of(usage)}"
    return wrong_field(usage, _OF_USAGE, f"{where}.")


def wrong_call(call: Any, where: str = "call") -> str:
    """What is wrong with a tool call, as of `wrong_usage`."""
    if not isinstance(call, ToolCall):
        return f"{where}: expected a ToolCall, not {type(call).__name__}"
    return wrong_field(call, _OF_CALL, f"{where}.")


def wrong_message(message: Any, where: str = "message") -> str:
    """What is wrong with a message, without what it says, as of `wrong_usage`."""
    return "" if _is_plain_message(message) else next(_of_one(message, where), "")


def wrong_completion(completion: Any) -> str:
    """What is wrong with a completion, without what it says; empty where nothing is."""
    if not isinstance(completion, Completion):
        return f"expected a Completion, not {type(completion).__name__}"
    message, usage = completion.message, completion.usage
    if _is_plain_message(message) and _is_plain_usage(usage) and _is_plain_completion(completion):
        return ""
    return wrong_message(message) or wrong_usage(usage) or wrong_field(completion, _OF_COMPLETION)


def wrong_delta(piece: Any) -> str:
    """What is wrong with a piece of a stream, without what it says; empty where nothing is."""
    if not isinstance(piece, Delta):
        return f"expected a Delta, not {type(piece).__name__}"
    plain = type(piece.text) is type(piece.reasoning) is type(piece.tool_arguments) is str
    wrong = "" if plain else wrong_field(piece, _OF_DELTA)
    return wrong if wrong or piece.completion is None else wrong_completion(piece.completion)


def wrong_field(made: Any, wishes: Mapping[str, Wish], where: str = "") -> str:
    """What is wrong with the first field that is not as wished for, without what it says; empty where all are.

    Args:
        made: whose fields.
        wishes: what they must be, by their names.
        where: put before the name.
    """
    for name, wish in wishes.items():
        given = getattr(made, name)
        if not wish.takes(given):
            return f"{where}{name}: expected {wish.text}, not {said_of(given)}"
    return ""


def said_of(given: object) -> str:
    """What may be said of a value in an error: a number itself, of all else only what type it has."""
    if type(given) in (int, float, bool) or given is None:
        return f"{given!r:.40}"
    return type(given).__name__


# Most of what is said is plain: these look at nothing else, in a seventh of the time. A turn pays for them.


def _is_plain_message(message: Any) -> bool:
    if (
        type(message) is not Message
        or type(message.content) is not str
        or (message.tool_call_id is not None and type(message.tool_call_id) is not str)
        or (message.name is not None and type(message.name) is not str)
        or message.is_error is not False
        or type(message.reasoning) is not str
        or message.cache is not False
        or message.state is not None
        or message.labels is not None
        or type(message.tool_calls) is not tuple
    ):
        return False
    for call in message.tool_calls:
        if (
            type(call) is not ToolCall
            or type(call.id) is not str
            or type(call.name) is not str
            or type(call.arguments) is not str
        ):
            return False
    return True


def _is_plain_usage(usage: Any) -> bool:
    if type(usage) is not Usage:
        return False
    asked, answered = usage.input_tokens, usage.output_tokens
    read, written, reasoned = usage.cache_read_tokens, usage.cache_write_tokens, usage.reasoning_tokens
    return (
        type(asked) is type(answered) is type(read) is type(written) is type(reasoned) is int
        and 0 <= asked <= MOST_TOKENS
        and 0 <= answered <= MOST_TOKENS
        and 0 <= read <= MOST_TOKENS
        and 0 <= written <= MOST_TOKENS
        and 0 <= reasoned <= MOST_TOKENS
    )


def _is_plain_completion(answer: Completion) -> bool:
    cost, latency, notes = answer.cost, answer.latency, answer.notes
    return (
        type(answer.model) is type(answer.provider) is type(answer.request_id) is type(answer.finish_reason) is str
        and answer.finish_reason in _REASONS
        and type(latency) is float
        and 0.0 <= latency <= LARGEST
        and (cost is None or (type(cost) is float and 0.0 <= cost <= LARGEST))
        and type(notes) is tuple
        and not notes
        and (answer.limits is None or type(answer.limits) is RateLimits)
        and type(answer.extra) is dict
    )


def misfit(fields: Mapping[str, Any]) -> str:
    """What of some fields of a request, by name, is not as it must be, without what it says; empty where nothing is."""
    for name, given in fields.items():
        wish = FIELDS.get(name)
        if wish is not None and not wish.takes(given):
            return f"{name}: expected {wish.text}, not {type(given).__name__}"
    return ""


def _of_request(request: Request, before: Request | None) -> Iterator[str]:
    changed = [name for name in FIELDS if before is None or getattr(request, name) is not getattr(before, name)]
    yield from _of(request, {name: FIELDS[name] for name in changed})
    for number, tool in enumerate(request.tools if "tools" in changed else ()):
        yield from _of(tool, _OF_TOOL, f"tools[{number}].")
    if before is not None and request.messages is before.messages:
        return
    if not isinstance(request.messages, tuple | list):
        yield f"messages: expected a tuple of Message, not {type(request.messages).__name__}"
        return
    for number, message in enumerate(request.messages):
        if not _is_plain_message(message):
            yield from _of_one(message, f"messages[{number}]")


def _of_one(message: Any, where: str) -> Iterator[str]:
    if not isinstance(message, Message):
        yield f"{where}: expected a Message, not {type(message).__name__}"
        return
    if not isinstance(message.content, str):
        if not _all(message.content, _PARTS):
            yield f"{where}.content: expected text or a tuple of parts, not {type(message.content).__name__}"
            return
        for number, part in enumerate(message.content):
            yield from _of(part, _OF_PART[type(part)], f"{where}.content[{number}].")
    if not _all(message.tool_calls, ToolCall):
        yield f"{where}.tool_calls: expected a tuple of ToolCall, not {type(message.tool_calls).__name__}"
        return
    for number, call in enumerate(message.tool_calls):
        yield from _of(call, _OF_CALL, f"{where}.tool_calls[{number}].")
    yield from _of(message, _OF_MESSAGE, f"{where}.")
    if message.state is not None:
        yield from _of(message.state, _OF_STATE, f"{where}.state.")


def _of(value: Any, wishes: Mapping[str, Wish], where: str = "") -> Iterator[str]:
    for name, wish in wishes.items():
        given = getattr(value, name)
        if not wish.takes(given):
            kind = "" if isinstance(given, Mapping) else f", not {type(given).__name__}"
            yield f"{where}{name}: expected {wish.text}{kind}"


def _in(value: Any, *words: str) -> bool:
    return isinstance(value, str) and value in words


def _all(value: Any, kind: Any) -> bool:
    return isinstance(value, tuple | list) and all(isinstance(item, kind) for item in value)
