"""Messages in the protocol of chat completions, and back.

The state of an assistant's message says how the vendor's differs from the plain one, in the fields

- ``content``: entries in place of a text: ``["text" or "refusal", length, rest]``,
  ``["thinking", [length or part, …], rest]``, ``["part", index, rest]`` and ``["raw", part]``;
- ``refusal``: how much of the text, at its end, is a refusal;
- ``reasoning``: the names of the fields that hold the reasoning, ``other_reasoning``: such fields that say another;
- ``details``: ``reasoning_details``, whose texts are given as lengths;
- ``calls``: of each call its other fields, ``function`` for those of its function; ``["raw", call]`` for one that has
  no function;
- ``images``: of each picture its other fields; ``audio``: the id of what was said;
- ``rest``: the message's other fields: annotations, signatures, tools that the vendor ran.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...messages import Audio, Image, Message, Part, Text, ToolCall
from .. import fields
from ..history import as_data_url, media_of, spoken_text
from ..openai_parts import detail_of
from ..state import Kept, Spoken, beside, check_each, kept, restored, theirs, with_state

ORIGIN = "openai.chat"
"""What a vendor's own state in a message is tagged with; the vendor's name is added where it is not OpenAI."""

REASONING = ("reasoning_content", "reasoning")
"""Where vendors put the reasoning."""
_REASONED = frozenset({*REASONING, "reasoning_details"})
_KNOWN = ("role", "content", "refusal", "tool_calls", "images", "audio", *_REASONED)

_SOUNDS = {"UklGR": "audio/wav", "SUQz": "audio/mpeg", "//": "audio/mpeg", "T2dn": "audio/ogg", "ZkxhQ": "audio/flac"}
"""How base64 of a sound begins."""


def read_answer(message: Mapping[str, Any], at: str, origin: str = ORIGIN) -> tuple[Message, bool]:
    """The message in an assistant's, and whether the model refused.

    Raises:
        WrongField: it is not the protocol.
    """
    state: dict[str, Any] = {}
    parts: list[Part] = []
    reasoning = _read_reasoning(message, at, state)
    content = message.get("content")
    if isinstance(content, str) or content is None:
        said = content or ""
    else:
        said, thought = _read_entries(content, f"{at}.content", parts, state, bool(reasoning))
        reasoning = reasoning or thought
    refusal = fields.text(message.get("refusal"), f"{at}.refusal")
    if refusal:
        state["refusal"] = len(refusal)
    calls = _read_calls(message.get("tool_calls"), f"{at}.tool_calls", state)
    _read_media(message, at, parts, state)
    if rest := fields.rest(message, *_KNOWN):
        state["rest"] = rest
    spoken: str | tuple[Part, ...] = said + refusal
    if parts:
        spoken = (*((Text(said + refusal),) if said + refusal else ()), *parts)
    made = Message("assistant", spoken, tool_calls=calls, reasoning=reasoning)
    # A state also where ids are longer than OpenAI's: it tells them from those of others, which would be replaced.
    return (with_state(made, origin, state) if state or any(map(_is_long, calls)) else made), bool(refusal)


def _is_long(call: ToolCall) -> bool:
    return len(call.id) > 40


def _read_reasoning(message: Mapping[str, Any], at: str, state: dict[str, Any]) -> str:
    if _REASONED.isdisjoint(message):
        return ""
    named = {
        name: fields.text(given, f"{at}.{name}")
        for name in REASONING
        if (given := message.get(name)) is not None and not fields.blank(given)
    }
    details = fields.mappings(message.get("reasoning_details"), f"{at}.reasoning_details")
    texts = [
        fields.text(detail.get(_text_of(detail)), f"{at}.reasoning_details[{number}]")
        for number, detail in enumerate(details)
    ]
    reasoning = next(iter(named.values()), "") or "".join(texts)
    if named:
        state["reasoning"] = [name for name, given in named.items() if given == reasoning]
        if other := {name: given for name, given in named.items() if given != reasoning}:
            state["other_reasoning"] = other
    if details and "".join(texts) == reasoning:
        entries = [
            [_text_of(detail), len(text), {k: v for k, v in detail.items() if k != _text_of(detail) and v is not None}]
            if text
            else ["", 0, {k: v for k, v in detail.items() if v is not None}]
            for detail, text in zip(details, texts, strict=True)
        ]
        state["details"] = entries
    elif details:
        state["details"] = [["", 0, {k: v for k, v in detail.items() if v is not None}] for detail in details]
    return reasoning


def _text_of(detail: Mapping[str, Any]) -> str:
    return "summary" if detail.get("type") == "reasoning.summary" else "text"


def _read_entries(content: Any, at: str, parts: list[Part], state: dict[str, Any], reasoned: bool) -> tuple[str, str]:
    """Text and reasoning of a content in parts, as Mistral's reasoning models answer.

    Where there is a field of reasoning, too (`reasoned`), that in the parts is kept as it is.
    """
    text: list[str] = []
    thought: list[str] = []
    entries: list[list[Any]] = []
    for number, part in enumerate(fields.mappings(content, at)):
        where = f"{at}[{number}]"
        kind = fields.text(part.get("type"), f"{where}.type")
        if kind in ("text", ""):
            said = fields.text(part.get("text"), f"{where}.text")
            text.append(said)
            entries.append(["text", len(said), fields.rest(part, "type", "text", "cache_control")])
        elif kind == "refusal":
            said = fields.text(part.get("refusal"), f"{where}.refusal")
            text.append(said)
            entries.append(["refusal", len(said), fields.rest(part, "type", "refusal")])
        elif kind == "thinking":
            inner: list[Any] = []
            for index, piece in enumerate(fields.mappings(part.get("thinking"), f"{where}.thinking")):
                if piece.get("type") == "text" and not reasoned:
                    thought.append(fields.text(piece.get("text"), f"{where}.thinking[{index}].text"))
                    inner.append(len(thought[-1]))
                else:
                    inner.append(dict(piece))
            entries.append(["thinking", inner, fields.rest(part, "type", "thinking")])
        elif kind == "image_url":
            image, rest = _read_image(part, where)
            entries.append(["part", len(parts), rest])
            parts.append(image)
        else:
            entries.append(["raw", dict(part)])
    if [entry[0] for entry in entries] not in ([], ["text"]) or any(entry[2] for entry in entries if len(entry) > 2):
        state["content"] = entries
    return "".join(text), "".join(thought)


def _read_image(part: Mapping[str, Any], at: str) -> tuple[Image, dict[str, Any]]:
    given = part.get("image_url")
    image = {"url": given} if isinstance(given, str) else fields.mapping(given, f"{at}.image_url")
    rest = fields.rest(part, "type", "image_url")
    return Image(fields.text(image.get("url"), f"{at}.image_url.url"), detail_of(image, at)), rest


def _read_media(message: Mapping[str, Any], at: str, parts: list[Part], state: dict[str, Any]) -> None:
    images = fields.mappings(message.get("images"), f"{at}.images")
    if images:  # OpenRouter's
        state["images"] = []
        for number, item in enumerate(images):
            image, rest = _read_image(item, f"{at}.images[{number}]")
            state["images"].append(rest)
            parts.append(image)
    audio = fields.mapping(message.get("audio"), f"{at}.audio")
    data = fields.text(audio.get("data"), f"{at}.audio.data")
    if data:
        media = next((kind for mark, kind in _SOUNDS.items() if data.startswith(mark)), "audio/L16")
        parts.append(Audio(as_data_url(media, data), fields.text(audio.get("transcript"), f"{at}.audio.transcript")))
    if not fields.blank(audio):  # sent back by its id alone
        state["audio"] = fields.name(audio.get("id"))


def _read_calls(value: Any, at: str, state: dict[str, Any]) -> tuple[ToolCall, ...]:
    read: list[ToolCall] = []
    more: list[Any] = []
    for number, call in enumerate(fields.mappings(value, at)):
        where = f"{at}[{number}]"
        rest = fields.rest(call, "id", "type", "index", "function")
        if call.get("function") is None and rest:  # a tool without a schema, which only the vendor's own fields know
            more.append(["raw", dict(call)])
            continue
        function = fields.mapping(call.get("function"), f"{where}.function")
        arguments = function.get("arguments")
        if isinstance(arguments, Mapping):  # Ollama's older versions send the object
            arguments = json.dumps(arguments, ensure_ascii=False)
        id = fields.text(call.get("id"), f"{where}.id") or f"call_{number}"
        name = fields.text(function.get("name"), f"{where}.function.name")
        read.append(ToolCall(id, name, fields.text(arguments, f"{where}.function.arguments")))
        inner = fields.rest(function, "name", "arguments")
        more.append({**rest, **({"function": inner} if inner else {})})
    if any(more):
        state["calls"] = more
    return tuple(read)


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


# -- writing it as it was ----------------------------------------------------------------------------------------------


def write_answer(message: Message, notes: list[str], origin: str = ORIGIN, *, history: bool = True) -> dict[str, Any]:
    """An assistant's message as its vendor made it, as far as it is this one.

    Args:
        message: the message; of another vendor's, text and calls are written.
        notes: takes what had to be left out.
        origin: whose state is put back.
        history: whether it goes to the vendor, and not to a client.
    """
    if message.state is not None:
        before = restored(kept(message, origin), lambda mine: _as_before(message, mine, history))
        if before is not None:
            return before
    spoken = spoken_text(message, notes)
    written: dict[str, Any] = {"role": "assistant", "content": spoken or None}
    if not message.tool_calls and history:
        written["content"] = spoken
    if message.tool_calls:
        written["tool_calls"] = [_call(call) for call in message.tool_calls]
    if message.reasoning and not history:
        written["reasoning_content"] = message.reasoning
    return written


def _as_before(message: Message, mine: Kept, history: bool) -> dict[str, Any]:
    state = mine.content
    written: dict[str, Any] = {"role": "assistant"}
    parts = media_of(message)
    refused = state.get("refusal", 0) if mine.text else 0
    split = len(message.text) - refused
    if type(refused) is not int or not 0 <= split <= len(message.text):
        raise ValueError("a refusal that does not fit")
    said, refusal = message.text[:split], message.text[split:]
    thought = Spoken(message.reasoning)
    if "content" in state and mine.text and mine.reasoning and mine.parts:
        written["content"] = _write_entries(state["content"], Spoken(said), thought, parts)
        thought.finish(unless_begun=True)
    elif said or not message.tool_calls:
        written["content"] = said or (None if refusal or not history else "")
    else:
        written["content"] = None
    if refusal:
        written["refusal"] = refusal
    if mine.reasoning:
        written.update((name, message.reasoning) for name in REASONING if name in state.get("reasoning", ()))
        written.update(beside(state.get("other_reasoning", {}), *written))
        if "details" in state:
            thought = Spoken(message.reasoning)
            written["reasoning_details"] = [
                {**rest, key: thought.next(length)} if key else dict(rest) for key, length, rest in state["details"]
            ]
            thought.finish(unless_begun=True)
    written.update(_written_calls(message, mine))
    if mine.parts and "images" in state:
        pictures = [part for part in parts if isinstance(part, Image)][-len(state["images"]) :]
        written["images"] = [
            {"type": "image_url", "image_url": {"url": picture.url}, **rest}
            for picture, rest in zip(pictures, state["images"], strict=True)
        ]
    if mine.parts and state.get("audio"):
        written["audio"] = {"id": state["audio"]}
        sound = next((part for part in parts if isinstance(part, Audio)), None)
        if not history and sound is not None:
            written["audio"].update(data=sound.url.rpartition(",")[2], transcript=sound.transcript)
    if mine.whole:
        written.update(beside(state.get("rest", {}), "role", *_KNOWN))
    return written


def _written_calls(message: Message, mine: Kept) -> dict[str, Any]:
    calls = [_call(call) for call in message.tool_calls]
    more = mine.content.get("calls")
    if more is None or not mine.calls:
        return {"tool_calls": calls} if calls else {}
    plain = iter(calls)
    written = []
    for rest in more:
        if isinstance(rest, list):
            written.append(dict(beside(rest[1], "function")))
            continue
        call = next(plain)
        function = {**call["function"], **beside(rest.get("function", {}), *call["function"])}
        written.append({**call, **beside(rest, "id", "type"), "function": function})
    if next(plain, None) is not None:
        raise ValueError("a call without an entry")
    return {"tool_calls": written}


def _write_entries(entries: Sequence[Any], said: Spoken, thought: Spoken, parts: Sequence[Part]) -> list[Any]:
    written: list[Any] = []
    shown: list[Any] = []
    for kind, what, *more in entries:
        if kind in ("text", "refusal"):
            written.append({"type": kind, kind: said.next(what), **beside(more[0], "type", kind)})
        elif kind == "thinking":
            inner = [{"type": "text", "text": thought.next(n)} if isinstance(n, int) else dict(n) for n in what]
            written.append({"type": "thinking", "thinking": inner, **beside(more[0], "type", "thinking")})
        elif kind == "part":
            part = parts[what]
            url = {"url": part.url} if isinstance(part, Image) else {}
            written.append({"type": "image_url", "image_url": url, **beside(more[0], "type", "image_url")})
            shown.append(what)
        elif kind == "raw":
            written.append(theirs(what, "text", "refusal", "thinking", "image_url"))
        else:
            raise ValueError("an entry of no kind")
    said.finish()
    check_each(shown, len(shown))
    return written
