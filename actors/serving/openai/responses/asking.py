"""What a request for a response asks for.

https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from .....providers.messages import Message, ToolSpec
from .....providers.wire.fields import WrongField
from .....providers.wire.openai_responses import from_payload
from ....agents.json_schema import JsonSchema
from ...problems import refuse
from ..documented import ITEM, PART, RESPONSE
from ..formats import output_type
from ..kinds import metadata, wrong
from .resource import ECHOED

_AGENTS_OWN: Final = (
    *("max_output_tokens", "temperature", "top_p", "top_logprobs", "frequency_penalty", "presence_penalty"),
    *("max_tool_calls", "parallel_tool_calls", "tool_choice", "reasoning", "truncation", "context_management"),
)
"""What a request may say of the model, and is the agent's own affair: noted, and left out."""

_USUAL: Final[Mapping[str, Any]] = {"tool_choice": "auto", "parallel_tool_calls": True, "truncation": "disabled"}
"""Of these what need not be noted."""

_TAKEN: Final = frozenset(
    {
        *("input", "model", "instructions", "tools", "text", "stream", "stream_options", "include", "background"),
        *("store", "metadata", "previous_response_id", "conversation", "callboard", "user", "safety_identifier"),
        *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "service_tier"),
        *_AGENTS_OWN,
    }
)
"""Fields that are known."""

_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "input_text": ("text",),
    "output_text": ("text",),
    "text": ("text",),
    "refusal": ("refusal",),
    "input_image": ("image_url",),
    "input_file": ("file_data", "file_url"),
}
"""The parts that a content may have, and what one of which must be there."""

_ABOUT: Final = ("detail", "filename")
"""What is read of a part besides."""


class Wished(NamedTuple):
    """What a request asks for.

    Args:
        model: the agent's name; empty where the request says none.
        messages: what is new.
        instructions: what it says before that; empty for nothing.
        tools: the client's.
        output: what the answer must fit.
        about: what the response repeats of the request.
        notes: what was left out.
        stream: whether the answer shall come as events.
        include: what else it shall have.
        previous: the id of the response before this one.
        conversation: the id of the conversation it belongs to.
        when_busy: what is to become of it where that is at work.
    """

    model: str
    messages: tuple[Message, ...]
    instructions: str
    tools: tuple[ToolSpec, ...]
    output: JsonSchema | None
    about: dict[str, Any]
    notes: tuple[str, ...]
    stream: bool
    previous: str
    conversation: str
    when_busy: str


def read(body: Mapping[str, Any]) -> Wished:
    """What a body asks for.

    Raises:
        Refused: it is wrong; says which field and what was expected.
    """
    _check(body)
    text = body.get("text") or {}
    output = output_type(text.get("format"), "text.format")
    given = {"input": items_of(body.get("input"), "input"), "tools": body.get("tools")}
    if not given["input"]:
        raise wrong("input", "expected text or a list with at least one item")
    asked = _read(given)
    if asked.extra.get("tools"):
        raise refuse(400, "unsupported", "tools: expected functions; the agent has all others itself", "tools")
    about = {name: value for name, value in body.items() if name in ECHOED and value is not None}
    if asked.tools:
        about["tools"] = [_written(tool) for tool in asked.tools]
    conversation = _conversation(body)
    if conversation:
        about["conversation"] = conversation
    if isinstance(about.get("text"), Mapping):
        about["text"] = {"format": {"type": "text"}, **{k: v for k, v in about["text"].items() if v is not None}}
        if about["text"]["format"].get("type") == "json_schema":
            about["text"]["format"] = {"description": None, "strict": False, **text["format"]}
    if isinstance(about.get("reasoning"), Mapping):
        about["reasoning"] = {"effort": None, "summary": None, **about["reasoning"]}
    tools = () if body.get("tool_choice") == "none" else asked.tools
    return Wished(
        body.get("model") or "",
        asked.messages,
        body.get("instructions") or "",
        tools,
        output,
        about,
        _notes(body),
        body.get("stream") is True,
        body.get("previous_response_id") or "",
        conversation,
        _when_busy(body),
    )


def _check(body: Mapping[str, Any]) -> None:
    """Look at the fields by themselves, and whether they go together."""
    RESPONSE(body, "")
    if body.get("prompt") is not None:
        raise refuse(400, "unsupported", "prompt: the agents have their prompts themselves", "prompt")
    if body.get("previous_response_id") is not None and body.get("conversation") is not None:
        raise wrong("previous_response_id", "give previous_response_id or conversation, not both")
    if body.get("background") and body.get("store") is False:
        raise wrong("background", "what goes on in the background is stored")


def metadata_of(body: Mapping[str, Any]) -> dict[str, str]:
    """What a body says as metadata.

    Raises:
        Refused: it is something else.
    """
    given = body.get("metadata")
    if given is not None:
        metadata(given, "metadata")
    return dict(given or {})


def _notes(body: Mapping[str, Any]) -> tuple[str, ...]:
    own = [
        f"{name} is the agent's own affair: left out"
        for name in _AGENTS_OWN
        if body.get(name) not in (None, _USUAL.get(name)) and (name, body.get(name)) != ("tool_choice", "none")
    ]
    return (*own, *(f"{name:.80} is not known: left out" for name in body if name not in _TAKEN))


def _conversation(body: Mapping[str, Any]) -> str:
    given = body.get("conversation")
    if isinstance(given, Mapping):
        given = given.get("id")
    if given == "":
        raise wrong("conversation", "expected an id, or an object with an id")
    return given or ""


def _when_busy(body: Mapping[str, Any]) -> str:
    own = body.get("callboard")
    if own is None:
        return "queue" if body.get("background") else "reject"
    if not isinstance(own, Mapping) or not own.keys() <= {"when_busy"}:
        raise wrong("callboard", "expected an object with `when_busy`")
    given = own.get("when_busy")
    if given not in ("queue", "reject", "interrupt", "rollback"):
        raise wrong("callboard.when_busy", "expected queue, reject, interrupt or rollback")
    return str(given)


def _read(given: Mapping[str, Any]) -> Any:
    try:
        return from_payload(given)
    except WrongField as error:
        where, _, _ = str(error).partition(":")
        raise refuse(400, "invalid_request", str(error), where) from None
    except ValueError as error:
        raise refuse(400, "invalid_request", str(error)) from None


def _written(tool: ToolSpec) -> dict[str, Any]:
    about = {"name": tool.name, "description": tool.description or None, "parameters": dict(tool.parameters)}
    return {"type": "function", **about, "strict": tool.strict}


# -- items -------------------------------------------------------------------------------------------------------------


def messages_of(given: Any, where: str) -> tuple[Message, ...]:
    """Items as messages.

    Raises:
        Refused: they are none.
    """
    items = items_of(given, where)
    return _read({"input": items}).messages if items else ()


def items_of(given: Any, where: str) -> list[dict[str, Any]]:
    """Items with what is read of them. Ids, states and what the agent has thought are left out: they are ours.

    Args:
        given: a text, or items.
        where: the field that they are in.

    Raises:
        Refused: they are none; says which is wrong, and what was expected.
    """
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if given is None:
        return []
    if not isinstance(given, list):
        raise wrong(where, "expected text or a list of items")
    found = [_item(item, f"{where}[{number}]") for number, item in enumerate(given)]
    return [item for item in found if item is not None]


def _item(item: Any, at: str) -> dict[str, Any] | None:
    ITEM(item, at)
    kind = item.get("type", "message")
    if kind == "reasoning":
        return None
    if kind == "function_call":
        named = {name: _word(item, name, at) for name in ("call_id", "name")}
        arguments = item.get("arguments")
        if not isinstance(arguments, str):
            raise wrong(f"{at}.arguments", "expected a text")
        return {"type": kind, **named, "arguments": arguments}
    if kind == "function_call_output":
        output = item.get("output")
        return {
            "type": kind,
            "call_id": _word(item, "call_id", at),
            "output": _content(output, f"{at}.output", "output" in item),
        }
    if kind != "message":
        said = "expected message, function_call, function_call_output or reasoning"
        raise refuse(400, "unsupported", f"{at}.type: {said}", f"{at}.type")
    if item.get("role") not in ("user", "assistant", "system", "developer"):
        raise wrong(f"{at}.role", "expected user, assistant, system or developer")
    return {"role": item["role"], "content": _content(item.get("content"), f"{at}.content", "content" in item)}


def _word(item: Mapping[str, Any], name: str, at: str) -> str:
    value = item.get(name)
    if not isinstance(value, str) or not value:
        raise wrong(f"{at}.{name}", "expected a text")
    return value


def _content(given: Any, at: str, there: bool) -> Any:
    if isinstance(given, str):
        return given
    if not there or not isinstance(given, list):
        raise wrong(at, "expected a text or a list of parts")
    parts = []
    for number, part in enumerate(given):
        where = f"{at}[{number}]"
        kind = part.get("type") if isinstance(part, Mapping) else None
        known = _PARTS.get(kind) if isinstance(kind, str) else None
        if known is None:
            raise refuse(400, "unsupported", f"{where}.type: expected {', '.join(_PARTS)}", f"{where}.type")
        PART(part, where)
        if all(part.get(name) is None for name in known):
            raise wrong(f"{where}.{known[0]}", "there is none")
        parts.append({"type": kind, **{name: part[name] for name in (*known, *_ABOUT) if part.get(name) is not None}})
    return parts
