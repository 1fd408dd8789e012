"""Messages as Anthropic's content blocks, and back.

The state of an assistant's message is ``{"blocks": [entry, …]}`` in the vendor's order, where an entry is one of
``["text", length, rest]``, ``["thinking", length, rest]``, ``["call", index, rest]`` and ``["block", block]``, and
`rest` holds the block's other fields: citations, a signature, who called the tool. Beside them may stand ``pause``,
where the vendor paused, and ``container``, the one that its tools used. The state of a user's message or of a tool's
result holds ``["part", index, rest]`` and ``["block", block]``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...messages import CacheMark, File, Image, Message, Part, Text, ToolCall
from .. import fields
from ..history import arguments_of, as_data_url, cache_mark, data_of, decoded, left_out, spoken_text, text_url
from ..state import Kept, Spoken, beside, check_each, kept, restored, theirs, with_state

ORIGIN = "anthropic"
"""What the vendor's own state in a message is tagged with."""

_PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_DIRECT = {"type": "direct"}


# -- an assistant's ----------------------------------------------------------------------------------------------------


def read_answer(content: Sequence[Any], where: str = "content", origin: str = ORIGIN) -> Message:
    """The message in an answer's blocks.

    Raises:
        WrongField: a block is not the protocol.
    """
    text: list[str] = []
    reasoning: list[str] = []
    calls: list[ToolCall] = []
    entries: list[list[Any]] = []
    for number, block in enumerate(fields.mappings(content, where)):
        at = f"{where}[{number}]"
        kind = fields.word(block.get("type"), f"{at}.type")
        if kind == "text":
            said = fields.text(block.get("text"), f"{at}.text")
            text.append(said)
            entries.append(["text", len(said), fields.rest(block, "type", "text", "cache_control")])
        elif kind == "thinking":
            thought = fields.text(block.get("thinking"), f"{at}.thinking")
            reasoning.append(thought)
            rest = {key: item for key, item in block.items() if key not in ("type", "thinking", "cache_control")}
            entries.append(["thinking", len(thought), rest])
        elif kind == "tool_use":
            rest = fields.rest(block, "type", "id", "name", "input", "cache_control")
            if rest.get("caller") == _DIRECT:  # who calls unless said otherwise
                del rest["caller"]
            entries.append(["call", len(calls), rest])
            calls.append(_read_call(block, at, len(calls)))
        else:
            entries.append(["block", {key: item for key, item in block.items() if key != "cache_control"}])
    message = Message("assistant", "".join(text), tool_calls=tuple(calls), reasoning="".join(reasoning))
    return message if _says_it_all(entries) else with_state(message, origin, {"blocks": entries})


def _read_call(block: Mapping[str, Any], at: str, number: int) -> ToolCall:
    given = block.get("input")
    # Text where a stream was put together: what came, whether it is whole JSON or not.
    arguments = (
        given if isinstance(given, str) else json.dumps(fields.mapping(given, f"{at}.input"), ensure_ascii=False)
    )
    id = fields.text(block.get("id"), f"{at}.id") or f"call_{number}"
    return ToolCall(id, fields.text(block.get("name"), f"{at}.name"), arguments)


def _says_it_all(entries: Sequence[Sequence[Any]]) -> bool:
    """Whether text and calls, written the plain way, make the same blocks."""
    kinds = [entry[0] for entry in entries]
    texts = kinds.count("text")
    return (
        texts + kinds.count("call") == len(kinds)
        and (texts == 0 or (texts == 1 and kinds[0] == "text" and entries[0][1] > 0))
        and not any(entry[2] for entry in entries)
    )


def answer_blocks(message: Message, notes: list[str], *, origin: str = ORIGIN, history: bool = True) -> list[Any]:
    """The blocks of an assistant's message.

    Args:
        message: the message.
        notes: takes what had to be left out.
        origin: whose state is put back.
        history: whether they go to the vendor, who refuses blank text there.
    """
    blocks = restored(kept(message, origin), lambda mine: _as_before(message, mine))
    if blocks is None:
        blocks = []
        if message.reasoning and not history:
            blocks.append({"type": "thinking", "thinking": message.reasoning, "signature": ""})
        blocks.append({"type": "text", "text": spoken_text(message, notes)})
        blocks += [_use(call) for call in message.tool_calls]
    return [
        block
        for block in blocks
        if block.get("type") != "text" or (block["text"].strip() if history else block["text"])
    ]


def _as_before(message: Message, mine: Kept) -> list[dict[str, Any]]:
    text, reasoning = Spoken(message.text), Spoken(message.reasoning)
    blocks: list[dict[str, Any]] = []
    spoken = False
    called: list[Any] = []
    for kind, what, *more in mine.content["blocks"]:
        if kind == "text":
            if mine.text:
                blocks.append({"type": "text", "text": text.next(what), **beside(more[0], "type", "text")})
            elif not spoken:
                blocks.append({"type": "text", "text": message.text})
            spoken = True
        elif kind == "thinking":
            if mine.reasoning:
                thought = reasoning.next(what)
                blocks.append({"type": "thinking", "thinking": thought, **beside(more[0], "type", "thinking")})
        elif kind == "call":
            if mine.calls:
                use = _use(message.tool_calls[what])
                blocks.append({**use, **beside(more[0], *use)})
                called.append(what)
        elif kind == "block":
            blocks.append(theirs(what, "text", "thinking", "tool_use"))
        else:
            raise ValueError("an entry of no kind")
    if mine.text:
        text.finish()
    elif not spoken and message.text:
        blocks.append({"type": "text", "text": message.text})
    if mine.reasoning:
        reasoning.finish()
    if mine.calls:
        check_each(called, len(message.tool_calls))
    else:
        blocks += [_use(call) for call in message.tool_calls]
    return blocks


def _use(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments_of(call)}


# -- a user's, and results of tools ------------------------------------------------------------------------------------


def user_blocks(message: Message, notes: list[str], *, origin: str = ORIGIN) -> list[dict[str, Any]]:
    """The blocks of a user's message, or the one of a tool's result."""
    content = _content_blocks(message, notes, origin)
    if message.role != "tool":
        return content
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": message.tool_call_id or ""}
    if content:
        block["content"] = content
    if message.is_error:
        block["is_error"] = True
    return [block]


def _content_blocks(message: Message, notes: list[str], origin: str) -> list[dict[str, Any]]:
    parts = (Text(message.content),) if isinstance(message.content, str) else message.content

    def as_before(mine: Kept) -> list[dict[str, Any]] | None:
        if not (mine.text and mine.parts):
            return None
        blocks: list[dict[str, Any]] = []
        found: list[Any] = []
        for kind, what, *more in mine.content["blocks"]:
            if kind == "block":
                blocks.append(theirs(what, "text"))
                continue
            found.append(what)
            blocks += [{**block, **beside(more[0], *block)} for block in _part(parts[what], notes)]
        check_each(found, len(parts))
        return blocks

    before = restored(kept(message, origin), as_before)
    return [block for part in parts for block in _part(part, notes)] if before is None else before


def _part(part: Part, notes: list[str]) -> list[dict[str, Any]]:
    written = _bare_part(part, notes)
    cache = False if not isinstance(part, Text | Image | File) else part.cache
    return [{**written, **cache_mark(cache)}] if written is not None else []


def _bare_part(part: Part, notes: list[str]) -> dict[str, Any] | None:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text} if part.text.strip() else None
    if isinstance(part, Image | File):
        data = data_of(part.url)
        named = {"title": part.name} if isinstance(part, File) and part.name else {}
        if data is None:
            kind = "image" if isinstance(part, Image) else "document"
            return {"type": kind, "source": {"type": "url", "url": part.url}, **named}
        media, content = data
        if isinstance(part, Image) or media in _PICTURES:
            return {"type": "image", "source": {"type": "base64", "media_type": media, "data": content}}
        if media == "application/pdf":
            return {"type": "document", "source": {"type": "base64", "media_type": media, "data": content}, **named}
        plain = decoded(content) if media.startswith("text/") or media == "application/json" else None
        if plain is not None:
            return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": plain}, **named}
        return {"type": "text", "text": left_out(part, "Anthropic", notes, f" of type {media}")}
    return {"type": "text", "text": left_out(part, "Anthropic", notes)}


def read_user(role: Any, content: Sequence[Any], where: str, origin: str = ORIGIN, **more: Any) -> Message:
    """A user's message, or a tool's result, of its blocks.

    Raises:
        WrongField: a block is not the protocol.
    """
    parts: list[Part] = []
    entries: list[list[Any]] = []
    plain = True
    for number, block in enumerate(fields.mappings(content, where)):
        part, known = _read_part(block, f"{where}[{number}]")
        rest = {} if part is None else fields.rest(block, *known)
        plain = plain and part is not None and not rest
        if part is None:
            entries.append(["block", {key: item for key, item in block.items() if key != "cache_control"}])
        else:
            entries.append(["part", len(parts), rest])
            parts.append(part)
    spoken: str | tuple[Part, ...] = tuple(parts)
    if len(parts) == 1 and isinstance(parts[0], Text) and not parts[0].cache:
        spoken = parts[0].text
    message = Message(role, spoken or "", **more)
    return message if plain else with_state(message, origin, {"blocks": entries})


def _read_part(block: Mapping[str, Any], at: str) -> tuple[Part | None, tuple[str, ...]]:
    """The part that a block is, and the fields that say it; no part if it is something of the vendor's own."""
    kind = fields.word(block.get("type"), f"{at}.type")
    cache = read_mark(block, at)
    if kind == "text":
        return Text(fields.text(block.get("text"), f"{at}.text"), cache), ("type", "text", "cache_control")
    if kind not in ("image", "document"):
        return None, ()
    source = fields.mapping(block.get("source"), f"{at}.source")
    form = fields.text(source.get("type"), f"{at}.source.type")
    if form == "base64":
        media = fields.text(source.get("media_type"), f"{at}.source.media_type")
        url = as_data_url(media, fields.text(source.get("data"), f"{at}.source.data"))
    elif form == "url":
        url = fields.text(source.get("url"), f"{at}.source.url")
    elif form == "text":
        url = text_url(fields.text(source.get("data"), f"{at}.source.data"))
    else:  # a file kept at the vendor, or a document of blocks
        return None, ()
    if kind == "image":
        return Image(url, cache=cache), ("type", "source", "cache_control")
    name = fields.text(block.get("title"), f"{at}.title")
    return File(url, name, cache), ("type", "source", "title", "cache_control")


# -- cache marks -------------------------------------------------------------------------------------------------------


def read_mark(block: Mapping[str, Any], at: str) -> CacheMark:
    """How a block is marked for prompt caching.

    Raises:
        WrongField: the mark is not the protocol.
    """
    mark = block.get("cache_control")
    if mark is None:
        return False
    where = f"{at}.cache_control"
    ttl = fields.maybe_text(fields.mapping(mark, where).get("ttl"), f"{where}.ttl")
    if ttl not in (None, "5m", "1h"):
        raise fields.WrongField(f"{where}.ttl: expected 5m or 1h")
    return "5m" if ttl == "5m" else "1h" if ttl == "1h" else True
