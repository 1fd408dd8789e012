"""Messages as Gemini's contents and parts, and back.

An answer whose parts can be made again of the neutral message needs no state. That of any other is
``{"parts": [entry, …]}`` in the vendor's order, where an entry is one of

- ``["text", length, rest]`` and ``["thought", length, rest]``
- ``["call", index, rest of the part, rest of the call]``
- ``["media", index, rest of the part, rest of the data]``: a picture or sound that the model made
- ``["part", part]``: everything else: code that was run, drafts of pictures

and a rest holds the other fields: signatures.
"""

from __future__ import annotations

import json
import mimetypes
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...messages import Audio, File, Image, Message, Part, Text, ToolCall
from .. import fields
from ..fitting.ids import with_fitting_ids
from ..history import arguments_of, as_data_url, data_of, in_tags, media_of
from ..state import Kept, Spoken, beside, check_each, kept, parsed, restored, with_state

_DATA_URL = re.compile(r"data:[^;,]+;base64,.*", re.DOTALL)
_CALL_ID = re.compile(r"[^\x00-\x1f\x7f]+")
_OWN_ID = "gemini-"
"""How identifiers of calls begin that the vendor gave none: they are not sent."""
ORIGIN = "gemini"
"""What the vendor's own state in a message is tagged with."""

UNSIGNED = "skip_thought_signature_validator"
"""What Google documents as the signature of a call that another model made:
https://ai.google.dev/gemini-api/docs/thought-signatures#faqs"""


def contents(
    messages: Sequence[Message], notes: list[str], *, signed: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A history as the parts of the system's instruction and the turns.

    Args:
        messages: the history; system messages may stand anywhere, those behind others as the user's.
        notes: takes what had to be changed.
        signed: whether the model refuses calls without a signature.
    """
    system: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for message in with_fitting_ids(messages, _CALL_ID, ORIGIN, once=False):
        if message.role == "system" and not turns:
            system += _parts(message.content)
            continue
        role = "model" if message.role == "assistant" else "user"
        if role == "model":
            names.update({call.id: call.name for call in message.tool_calls})
            parts = answer_parts(message)
            if signed:
                _sign(parts)
        else:
            parts = _result(message, names) if message.role == "tool" else _parts(message.content)
            if message.role == "system":
                parts = [{**part, "text": in_tags(part["text"], notes)} if "text" in part else part for part in parts]
        if not parts:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["parts"] += parts
        else:
            turns.append({"role": role, "parts": parts})
    for turn in turns:
        if turn["role"] == "user":  # the results of calls come first in the turn that follows them
            turn["parts"].sort(key=lambda part: "functionResponse" not in part)
    return system, turns


def answer_parts(message: Message) -> list[dict[str, Any]]:
    """The parts of an assistant's message: those that came, as far as they say what the message says, and otherwise
    made of the message; calls keep their signatures also where a text was changed."""
    before = restored(_kept(message), lambda mine: _as_before(message, mine))
    return _plain(message) if before is None else before


def _plain(message: Message) -> list[dict[str, Any]]:
    return [*_parts(message.content), *({"functionCall": _call(call)} for call in message.tool_calls)]


def _as_before(message: Message, mine: Kept) -> list[dict[str, Any]]:
    text, thought = Spoken(message.text), Spoken(message.reasoning)
    media = media_of(message)
    fits = mine.text and mine.parts
    written: list[dict[str, Any]] = [] if fits else _parts(message.content)
    called: list[Any] = []
    made: list[Any] = []
    for kind, what, *more in mine.content["parts"]:
        if kind == "call":
            if mine.calls:
                inner = beside(more[1], "id", "name") if more[1].get("args") is None else {}
                call = {**_call(message.tool_calls[what]), **inner}
                call = {key: item for key, item in call.items() if item is not None}
                written.append({"functionCall": call, **beside(more[0], "functionCall", "text")})
                called.append(what)
        elif not fits:
            continue
        elif kind == "text":
            written.append({"text": text.next(what), **_said(more[0], thought=False)})
        elif kind == "thought":
            if mine.reasoning:
                written.append({"text": thought.next(what), **_said(more[0], thought=True)})
        elif kind == "media":
            (part,) = _parts((media[what],))
            blob = {**part["inlineData"], **beside(more[1], "mimeType", "data")}
            written.append({"inlineData": blob, **beside(more[0], "inlineData", "text", "functionCall")})
            made.append(what)
        elif kind == "part" and not isinstance(what.get("text"), str) and "functionCall" not in what:
            written.append(dict(what))
        else:
            raise ValueError("an entry of no kind")
    if fits:
        text.finish()
        check_each(made, len(media))
        if mine.reasoning:
            thought.finish()
    if mine.calls:
        check_each(called, len(message.tool_calls))
    else:
        written += [{"functionCall": _call(call)} for call in message.tool_calls]
    return written


def _said(rest: Any, *, thought: bool) -> Mapping[str, Any]:
    """The other fields of a text. Raises `ValueError` if they make it what it is not."""
    given = beside(rest, "text", "functionCall")
    if bool(given.get("thought")) is not thought:
        raise ValueError("a thought that is none")
    return given


def _kept(message: Message) -> Kept | None:
    mine = kept(message, ORIGIN)
    if mine is not None or message.state is None or message.state.origin != ORIGIN:
        return mine
    former = parsed(message.state.content)
    if not isinstance(former, list) or not all(isinstance(part, Mapping) for part in former):
        return None
    # Journals hold states that are the parts themselves.
    made, entries = _read(former, own_media=False)
    calls = [(one.name, arguments_of(one)) for one in made.tool_calls]
    same = calls == [(one.name, arguments_of(one)) for one in message.tool_calls]
    return Kept({"parts": entries}, made.text == message.text, made.reasoning == message.reasoning, same, True)


def spoken_parts(message: Message) -> list[dict[str, Any]]:
    """The parts of an answer as a server sends them; unlike in a history, thoughts that no vendor made may stand
    there."""
    thought = [{"text": message.reasoning, "thought": True}] if message.reasoning and _kept(message) is None else []
    return thought + answer_parts(message)


def read_answer(parts: Sequence[Mapping[str, Any]], response: str = "", first: int = 0) -> Message:
    """The message that an answer's parts are.

    Args:
        parts: the parts, in order.
        response: the vendor's identifier of the response, for the identifiers of calls without one.
        first: the number of the first call.
    """
    message, entries = _read(parts, response, first)
    return message if list(parts) == _plain(message) else with_state(message, ORIGIN, {"parts": entries})


def appended(parts: list[dict[str, Any]], chunk: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The parts of a stream with those of its next chunk. A text that goes on in the next chunk stays one part; a part
    with a signature is left alone, as Google wants it; an empty text is none unless it carries something."""
    made = list(parts)
    for place, part in enumerate(chunk):
        plain = set(part) <= {"text", "thought"}
        if plain and not part.get("text"):
            continue
        last = made[-1] if made and place == 0 else {}
        if plain and set(last) == set(part) and last.get("thought") == part.get("thought"):
            made[-1] = {**last, "text": last["text"] + part["text"]}
        else:
            made.append(dict(part))
    return made


def _read(
    parts: Sequence[Mapping[str, Any]], response: str = "", first: int = 0, *, own_media: bool = True
) -> tuple[Message, list[list[Any]]]:
    """The message that parts are, and the entries of its state."""
    said: list[Part] = []
    reasoning: list[str] = []
    calls: list[ToolCall] = []
    entries: list[list[Any]] = []
    for part in parts:
        call, blob = part.get("functionCall"), part.get("inlineData")
        if isinstance(call, Mapping):
            id = str(call.get("id") or f"{_OWN_ID}{response}-{first + len(calls)}")
            arguments = json.dumps(call.get("args") or {}, ensure_ascii=False)
            inner = {**_without(call, "id", "name", "args"), **({} if "args" in call else {"args": None})}
            entries.append(["call", len(calls), _without(part, "functionCall"), inner])
            calls.append(ToolCall(id, str(call.get("name") or ""), arguments))
        elif isinstance(part.get("text"), str):
            entries.append(["thought" if part.get("thought") else "text", len(part["text"]), _without(part, "text")])
            if part.get("thought"):
                reasoning.append(part["text"])
            else:
                said.append(Text(part["text"]))
        elif own_media and isinstance(blob, Mapping) and not part.get("thought") and (medium := _drawn(blob)):
            inner = _without(blob, "mimeType", "data")
            entries.append(
                ["media", sum(not isinstance(one, Text) for one in said), _without(part, "inlineData"), inner]
            )
            said.append(medium)
        else:
            entries.append(["part", dict(part)])
    content: str | tuple[Part, ...] = tuple(said)
    if all(isinstance(one, Text) for one in said):
        content = "".join(one.text for one in said if isinstance(one, Text))
    return Message("assistant", content, tool_calls=tuple(calls), reasoning="".join(reasoning)), entries


def _without(item: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key not in names}


def _drawn(blob: Mapping[str, Any]) -> Part | None:
    """What a model has made, picture or sound; none if it cannot be said as a ``data:`` URL."""
    kind, data = blob.get("mimeType"), blob.get("data")
    if not isinstance(kind, str) or not isinstance(data, str):
        return None
    url = as_data_url(kind, data)
    return _medium(kind, url) if _DATA_URL.fullmatch(url) else None


def read_contents(system: Any, turns: Any) -> tuple[Message, ...]:
    """The history in a request's ``systemInstruction`` and ``contents``.

    Raises:
        ValueError: it is none; says what was expected.
    """
    given = fields.mappings(turns, "contents")
    if not given:
        raise fields.WrongField("contents: expected a list with at least one turn")
    messages: list[Message] = []
    instruction = fields.mapping(system, "systemInstruction")
    for part in fields.mappings(instruction.get("parts"), "systemInstruction.parts"):
        if text := fields.text(part.get("text"), "systemInstruction.parts.text"):
            messages.append(Message("system", text))
    pending: list[ToolCall] = []
    for number, turn in enumerate(given):
        if turn.get("parts") is None:
            raise fields.WrongField(f"contents[{number}].parts: expected a list of parts")
        parts = fields.mappings(turn["parts"], f"contents[{number}].parts")
        role = turn.get("role") or "user"
        if role == "model":
            messages.append(read_answer(parts, str(len(messages))))
            pending = list(messages[-1].tool_calls)
        elif role == "user":
            messages += _read_user(parts, pending)
        else:
            raise fields.WrongField(f"contents[{number}].role: expected user or model, not {str(role)[:40]!r}")
    return tuple(messages)


def _read_user(parts: Sequence[Mapping[str, Any]], pending: list[ToolCall]) -> Iterator[Message]:
    said: list[Part] = []
    for part in parts:
        result = part.get("functionResponse")
        if isinstance(result, Mapping):
            # Without identifiers, results belong to the calls of their name in order.
            call = next((one for one in pending if result.get("id") == one.id), None) or next(
                (one for one in pending if one.name == result.get("name")), None
            )
            if call is not None:
                pending.remove(call)
            given = fields.mapping(result.get("response"), "functionResponse.response")
            failed = "error" in given
            content = given.get("error" if failed else "output", given)
            text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
            yield Message(
                "tool",
                text,
                tool_call_id=call.id if call else fields.maybe_text(result.get("id"), "functionResponse.id"),
                name=fields.maybe_text(result.get("name"), "functionResponse.name"),
                is_error=failed,
            )
        elif isinstance(part.get("text"), str):
            said.append(Text(part["text"]))
        elif isinstance(blob := part.get("inlineData"), Mapping):
            kind = fields.text(blob.get("mimeType"), "inlineData.mimeType")
            said.append(_medium(kind, as_data_url(kind, fields.text(blob.get("data"), "inlineData.data"))))
        elif isinstance(file := part.get("fileData"), Mapping):
            kind = fields.text(file.get("mimeType"), "fileData.mimeType") or "image/jpeg"
            said.append(_medium(kind, fields.text(file.get("fileUri"), "fileData.fileUri")))
        else:
            raise fields.WrongField(f"contents: expected text, media or a result, not {', '.join(part)[:40]}")
    if len(said) == 1 and isinstance(said[0], Text):
        yield Message("user", said[0].text)
    elif said:
        yield Message("user", tuple(said))


def _medium(kind: str, url: str) -> Part:
    if kind.startswith("image/"):
        return Image(url)
    return Audio(url) if kind.startswith("audio/") else File(url)


def _call(call: ToolCall) -> dict[str, Any]:
    written = {"name": call.name, "args": arguments_of(call)}
    return written if call.id.startswith(_OWN_ID) else {"id": call.id, **written}


def _sign(parts: list[dict[str, Any]]) -> None:
    """Sign the first call of an answer that another model gave. The others of the same answer need no signature."""
    first = next((place for place, part in enumerate(parts) if "functionCall" in part), None)
    if first is not None and not any("thoughtSignature" in part for part in parts):
        parts[first] = {**parts[first], "thoughtSignature": UNSIGNED}


def _result(message: Message, names: Mapping[str, str]) -> list[dict[str, Any]]:
    id = message.tool_call_id or ""
    given = {"error" if message.is_error else "output": message.text}
    result: dict[str, Any] = {"name": message.name or names.get(id, ""), "response": given}
    if id and not id.startswith(_OWN_ID):
        result["id"] = id
    return [{"functionResponse": result}, *_parts(tuple(media_of(message)))]


def _parts(content: str | tuple[Part, ...]) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = []
    for part in (Text(content),) if isinstance(content, str) else content:
        if isinstance(part, Text):
            if part.text:
                written.append({"text": part.text})
            continue
        if (data := data_of(part.url)) is not None:
            written.append({"inlineData": {"mimeType": data[0], "data": data[1]}})
        else:
            usual = "image/jpeg" if isinstance(part, Image) else "application/pdf"
            kind = mimetypes.guess_type(part.url)[0] or usual
            written.append({"fileData": {"mimeType": kind, "fileUri": part.url}})
    return written
