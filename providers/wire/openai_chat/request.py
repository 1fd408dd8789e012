"""Requests in the protocol of chat completions, both ways."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ...messages import Audio, File, Image, Message, Part, Request, Text, ToolSpec
from .. import fields
from ..fitting import efforts, sampling
from ..fitting.ids import with_fitting_ids
from ..fitting.models import bare_name
from ..fitting.names import OPENAI_NAMES, fitting_speaker, with_fitting_names
from ..history import GO_ON, MOST_MARKS, as_data_url, cache_mark, data_of, fit_marks, left_out
from ..openai_parts import content_as_before, detail_of, read_content, read_function
from ..schema import beside_tools, is_strict, name_of, named, of_arguments
from .dialect import OPENAI, Dialect
from .messages import ORIGIN, read_answer, write_answer

PATH = "/chat/completions"

_SAMPLING = ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed", "user", "stop")
_NUMBERS: Mapping[str, Callable[[Any, str], Any]] = {
    **dict.fromkeys(("temperature", "top_p", "frequency_penalty", "presence_penalty"), fields.maybe_number),
    **dict.fromkeys(("top_k", "seed"), fields.maybe_whole),
}
"""How the numbers of a request's sampling are read."""
_IN_PARALLEL = re.compile(r"o\d")
"""Models that refuse ``parallel_tool_calls``."""
_SOUNDS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/flac": "flac"}
_DROPPED = {Image: "images", File: "files", Audio: "audio"}


def to_payload(
    request: Request,
    *,
    model: str,
    stream: bool = False,
    dialect: Dialect = OPENAI,
    origin: str = ORIGIN,
    notes: list[str] | None = None,
) -> dict[str, Any]:
    """The JSON body for `request`; ``request.extra`` is laid over it last, its tools behind
    those of the request.

    Args:
        request: what is asked.
        model: the model's name as the vendor knows it.
        stream: whether the answer shall come as chunks.
        dialect: how the vendor's copy of the protocol differs.
        origin: whose state in the messages goes back.
        notes: takes what had to be changed, for the caller to know.
    """
    notes = [] if notes is None else notes
    request = with_fitting_names(beside_tools(request, model, notes), OPENAI_NAMES, notes)
    written = list(_messages(request, dialect, origin, notes))
    if dialect.user_last:
        written = _with_user_last(written, notes)
    payload: dict[str, Any] = {"model": model, "messages": written}
    effort = _effort(request, model, dialect, notes)
    sampled = sampling.fitted(request, model, _SAMPLING, notes, effort=effort, drops=dialect.drops, stops=dialect.stops)
    payload.update(sampled)
    if effort is not None:
        payload["reasoning_effort"] = effort
    if request.thinking_tokens is not None:
        notes.append("the protocol takes no number of thinking tokens: left out")
    if request.max_tokens is not None:
        payload[dialect.max_tokens] = request.max_tokens
    theirs = (dict(tool) if isinstance(tool, Mapping) else tool for tool in request.extra.get("tools", ()))
    tools = [*(_tool(tool, dialect) for tool in request.tools), *theirs]
    if tools:
        payload["tools"] = tools
        if request.tool_choice in ("none", "required"):
            payload["tool_choice"] = request.tool_choice
        elif request.tool_choice != "auto":
            payload["tool_choice"] = {"type": "function", "function": {"name": request.tool_choice}}
        if not request.parallel_tool_calls and "parallel_tool_calls" not in dialect.drops:
            if _IN_PARALLEL.match(bare_name(model)):
                notes.append("the model cannot be kept from calling tools in parallel: left out")
            else:
                payload["parallel_tool_calls"] = False
    if request.response_schema is not None and "response_schema" not in dialect.drops:
        schema = dict(request.response_schema)
        payload["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": name_of(schema), "schema": schema, "strict": is_strict(schema)},
        }
    if stream:
        payload["stream"] = True
        if dialect.stream_usage:
            payload["stream_options"] = {"include_usage": True}
    if dialect.cache_marks:
        fit_marks(_marked(payload), MOST_MARKS, notes)
    payload.update((name, value) for name, value in request.extra.items() if name != "tools")
    return payload


def _effort(request: Request, model: str, dialect: Dialect, notes: list[str]) -> str | None:
    """The effort to send; None for none."""
    if request.reasoning_effort is None or "reasoning_effort" in dialect.drops:
        return None
    if dialect.reasoners and not re.search(dialect.reasoners, model):
        notes.append("the model takes no reasoning effort: left out")
        return None
    word = dict(dialect.efforts).get(request.reasoning_effort)
    return word or efforts.fitted(request.reasoning_effort, model, notes)


def _marked(payload: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All that may bear a cache mark, in the order in which the model reads it."""
    yield from payload.get("tools", ())
    for message in payload["messages"]:
        if isinstance(message["content"], list):
            yield from message["content"]


def _messages(request: Request, dialect: Dialect, origin: str, notes: list[str]) -> Iterator[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    """Pictures and files of tool results, which the protocol takes from a user only."""
    for message in with_fitting_ids(request.messages, re.compile(dialect.call_ids), origin, once=False):
        if message.role == "tool":
            said, media = _result(message, dialect, notes)
            shown += media
            yield {"role": "tool", "tool_call_id": message.tool_call_id or "", "content": said}
            continue
        if shown:
            yield {"role": "user", "content": shown.copy()}
            shown.clear()
        if message.role == "assistant":
            written = write_answer(message, notes, origin)
            if dialect.unsigned and message.tool_calls:
                _sign(written["tool_calls"], dialect.unsigned)
            if set(written) == {"role", "content"} and not written["content"]:
                continue  # nothing but what another vendor alone can read
        else:
            written = {"role": message.role, "content": _content(message, dialect, origin, notes)}
        if message.name and (speaker := fitting_speaker(message.name, notes)):
            written["name"] = speaker
        yield written
    if shown:
        yield {"role": "user", "content": shown}


def _sign(calls: Sequence[dict[str, Any]], signature: str) -> None:
    # https://ai.google.dev/gemini-api/docs/thought-signatures: refused without one; of parallel calls the first has it
    if calls and not any("extra_content" in call for call in calls):
        calls[0]["extra_content"] = {"google": {"thought_signature": signature}}


def _result(message: Message, dialect: Dialect, notes: list[str]) -> tuple[str, list[dict[str, Any]]]:
    """A tool's result as text, and what of it a user must show."""
    if isinstance(message.content, str):
        return message.content, []
    said: list[str] = []
    media: list[dict[str, Any]] = []
    for part in message.content:
        written = None if isinstance(part, Text) else _part(part, dialect, notes)
        if isinstance(part, Text):
            said.append(part.text)
        elif written is not None and written["type"] != "text":
            said.append("[shown below]")
            media.append({"type": "text", "text": f"Result of {message.name or message.tool_call_id or 'the tool'}:"})
            media.append(written)
        elif written is not None:
            said.append(written["text"])
    return "\n".join(said) if media else "".join(said), media


def _with_user_last(written: list[dict[str, Any]], notes: list[str]) -> list[dict[str, Any]]:
    """The messages in an order that Mistral takes."""
    ordered: list[dict[str, Any]] = []
    for message in written:
        if ordered and ordered[-1]["role"] == "tool" and message["role"] in ("user", "system"):
            ordered.append({"role": "assistant", "content": "OK."})
        ordered.append(message)
    if ordered and ordered[-1]["role"] in ("assistant", "system"):
        ordered.append({"role": "user", "content": GO_ON})
        notes.append(f"the history did not end with the user, which the vendor refuses: {GO_ON!r} was added")
    return ordered


def _content(message: Message, dialect: Dialect, origin: str, notes: list[str]) -> str | list[dict[str, Any]]:
    mark = message.cache if dialect.cache_marks else False
    parts = (Text(message.content),) if isinstance(message.content, str) else message.content
    before = content_as_before(message, parts, origin, lambda part: _part(part, dialect, notes))
    if before is None and isinstance(message.content, str) and not mark:
        return message.content
    content = before or [_part(part, dialect, notes) for part in parts]
    if mark and content:
        content[-1] |= cache_mark(mark)
    return content


def _part(part: Part, dialect: Dialect, notes: list[str]) -> dict[str, Any]:
    written = _bare_part(part, dialect, notes)
    if dialect.cache_marks and not isinstance(part, Audio) and part.cache:
        written |= cache_mark(part.cache)
    return written


def _bare_part(part: Part, dialect: Dialect, notes: list[str]) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    why = ""
    if _DROPPED[type(part)] not in dialect.drops:
        data = data_of(part.url)
        if isinstance(part, Image):
            return {"type": "image_url", "image_url": {"url": part.url, "detail": part.detail}}
        if isinstance(part, File) and (data is not None or dialect.file_urls):
            if data is not None and data[0].startswith("image/"):
                return {"type": "image_url", "image_url": {"url": part.url, "detail": "auto"}}
            return {"type": "file", "file": {"filename": part.name or "file", "file_data": part.url}}
        if isinstance(part, Audio) and data is not None and data[0] in _SOUNDS:
            return {"type": "input_audio", "input_audio": {"data": data[1], "format": _SOUNDS[data[0]]}}
        why = " by its address" if data is None else f" of type {data[0]}"
    return {"type": "text", "text": left_out(part, "chat completions", notes, why)}


def _tool(tool: ToolSpec, dialect: Dialect) -> dict[str, Any]:
    function: dict[str, Any] = {
        "name": tool.name,
        "description": tool.description,
        "parameters": of_arguments(tool.parameters),
    }
    if tool.strict and "strict" not in dialect.drops:
        function["strict"] = True
    return {
        "type": "function",
        "function": function,
        **(cache_mark(tool.cache) if dialect.cache_marks else {}),
    }


# -- reading -----------------------------------------------------------------------------------------------------------


def from_payload(payload: Mapping[str, Any]) -> Request:
    """The request a JSON body asks for; fields that are not known go to ``extra``.

    Raises:
        ValueError: the body is not a chat completion request; says which field and what was expected.
    """
    rest = dict(fields.mapping(payload, "body"))
    given = fields.mappings(rest.pop("messages", None), "messages")
    if not given:
        raise fields.WrongField("messages: expected a list with at least one message")
    rest.pop("stream", None)
    rest.pop("stream_options", None)
    stop = rest.pop("stop", None)
    limit = fields.maybe_whole(rest.pop("max_completion_tokens", None), "max_completion_tokens")
    older = fields.maybe_whole(rest.pop("max_tokens", None), "max_tokens")
    choice = rest.pop("tool_choice", None) or "auto"
    if not isinstance(choice, str) and isinstance(choice, Mapping):
        kind = fields.text(choice.get("type"), "tool_choice.type") or "function"
        if kind != "function":
            rest["tool_choice"] = choice
        function = fields.mapping(choice.get("function"), "tool_choice.function")
        named_one = fields.text(function.get("name"), "tool_choice.function.name")
        choice = "auto" if kind != "function" else named_one or "required"
    elif choice == "any":  # Mistral's word
        choice = "required"
    names: dict[str, str] = {}
    # Most bodies have few of the fields: what is not there is not looked at, which takes a third of the time.
    sampled: dict[str, Any] = {name: read(rest.pop(name), name) for name, read in _NUMBERS.items() if name in rest}
    return Request(
        messages=tuple([read_message(message, f"messages[{n}]", names) for n, message in enumerate(given)]),
        model=fields.text(rest.pop("model", None), "model"),
        tools=fields.ours_of(rest, "tools", _read_tool) if "tools" in rest else (),
        tool_choice=fields.text(choice, "tool_choice"),
        max_tokens=limit if limit is not None else older,
        stop=() if stop is None else (stop,) if isinstance(stop, str) else fields.texts(stop, "stop"),
        reasoning_effort=fields.maybe_text(rest.pop("reasoning_effort", None), "reasoning_effort"),
        response_schema=_read_format(rest) if "response_format" in rest else None,
        parallel_tool_calls=fields.flag(rest.pop("parallel_tool_calls", None), "parallel_tool_calls", True),
        user=fields.maybe_text(rest.pop("user", None), "user"),
        extra=rest,
        **sampled,
    )


def _read_tool(tool: Mapping[str, Any], at: str) -> ToolSpec | None:
    kind = fields.text(tool.get("type"), f"{at}.type")
    function = fields.mapping(tool.get("function"), f"{at}.function")
    more = fields.rest(function, "name", "description", "parameters", "strict")
    if kind not in ("", "function") or more or fields.rest(tool, "type", "function"):
        return None
    return read_function(function, f"{at}.function")


def read_message(message: Mapping[str, Any], at: str, names: dict[str, str]) -> Message:
    """One message of a request.

    Args:
        message: the JSON object.
        at: where it stands, for errors.
        names: the names of the calls before it by their ids; those that it makes are added.

    Raises:
        WrongField: it is not the protocol; says which field and what was expected.
    """
    role: Any = message.get("role")
    content = message.get("content")
    if len(message) == 2 and type(content) is str and (role == "user" or role == "system"):
        return Message(role, content)  # most are such: the rest takes five times as long
    if role == "developer":
        role = "system"
    if role not in ("system", "user", "assistant", "tool"):
        raise fields.WrongField(
            f"{at}.role: expected system, developer, user, assistant or tool, not {str(role)[:40]!r}"
        )
    name = fields.maybe_text(message.get("name"), f"{at}.name")
    if role == "assistant":
        answer, _ = read_answer({key: item for key, item in message.items() if key != "name"}, at)
        names.update({call.id: call.name for call in answer.tool_calls})
        return Message(
            "assistant", answer.content, answer.tool_calls, None, name, False, answer.reasoning, False, answer.state
        )
    id = fields.maybe_text(message.get("tool_call_id"), f"{at}.tool_call_id")
    about: dict[str, Any] = {"tool_call_id": id, "name": names.get(id or "") if role == "tool" else name}
    return read_content(role, content, f"{at}.content", ORIGIN, _read_part, **about)


def _read_part(part: Mapping[str, Any], at: str) -> tuple[Part | None, dict[str, Any]]:
    """A part and its other fields; none if it is something of a vendor's own."""
    kind = fields.text(part.get("type"), f"{at}.type")
    inner = part.get(kind) if kind else None
    rest = fields.rest(part, "type", kind)
    if kind == "text":
        return Text(fields.text(inner, f"{at}.text")), rest
    if kind == "image_url":
        image = {"url": inner} if isinstance(inner, str) else fields.mapping(inner, f"{at}.image_url")
        return Image(fields.text(image.get("url"), f"{at}.image_url.url"), detail_of(image, at)), rest
    if kind == "file":
        file = fields.mapping(inner, f"{at}.file")
        data = fields.text(file.get("file_data"), f"{at}.file.file_data")
        name = fields.text(file.get("filename"), f"{at}.file.filename")
        return (File(data, "" if name == "file" else name), rest) if data else (None, {})
    if kind == "input_audio":
        audio = fields.mapping(inner, f"{at}.input_audio")
        form = fields.text(audio.get("format"), f"{at}.input_audio.format")
        media = {"wav": "audio/wav", "mp3": "audio/mpeg"}.get(form, f"audio/{form}")
        return Audio(as_data_url(media, fields.text(audio.get("data"), f"{at}.input_audio.data"))), rest
    return None, {}


def _read_format(rest: dict[str, Any]) -> Mapping[str, Any] | None:
    wanted = fields.mapping(rest.get("response_format"), "response_format")
    if wanted.get("type") != "json_schema":
        return None
    del rest["response_format"]
    form = fields.mapping(wanted.get("json_schema"), "response_format.json_schema")
    schema = fields.mapping(form.get("schema"), "response_format.json_schema.schema")
    return named(schema, fields.text(form.get("name"), "response_format.json_schema.name"))
