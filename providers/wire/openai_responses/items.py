"""Messages as items of the responses API, and back.

The state of an assistant's message is ``{"items": [entry, …]}`` in the vendor's order, where an entry is one of

- ``["message", rest, [["text" or "refusal", length, rest] or ["raw", part], …]]``
- ``["reasoning", [length of a summary, …], [length of a text, …], rest]``
- ``["call", index, rest]``
- ``["picture", index, rest]``: what the vendor has drawn
- ``["item", item]``: everything else: searches, code, MCP, compaction

A reasoning item belongs to the item behind it, and is refused without: where one of the neutral fields was changed,
the state is left out as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...messages import File, Image, Message, Part, Text, ToolCall
from .. import fields
from ..history import as_data_url, data_of, left_out, spoken_text
from ..openai_parts import content_as_before, detail_of, read_content
from ..state import Kept, Spoken, beside, check_each, kept, restored, theirs, with_state

ORIGIN = "openai.responses"
"""What the vendor's own state in a message is tagged with."""


def read_answer(output: Sequence[Any], where: str = "output", origin: str = ORIGIN) -> tuple[Message, bool]:
    """The message in an answer's items, and whether the model refused.

    Raises:
        WrongField: an item is not the protocol.
    """
    said: list[Part] = []
    calls: list[ToolCall] = []
    reasoning: list[str] = []
    entries: list[list[Any]] = []
    refused = False
    for number, item in enumerate(fields.mappings(output, where)):
        at = f"{where}[{number}]"
        kind = fields.text(item.get("type"), f"{at}.type") or "message"
        if kind == "message":
            texts, inner, no = _read_message(item, at)
            refused |= no
            said += map(Text, texts)
            entries.append(["message", fields.rest(item, "type", "role", "content"), inner])
        elif kind == "function_call":
            rest = fields.rest(item, "type", "call_id", "name", "arguments")
            entries.append(["call", len(calls), rest])
            id = fields.text(item.get("call_id"), f"{at}.call_id") or fields.text(item.get("id"), f"{at}.id")
            name = fields.text(item.get("name"), f"{at}.name")
            arguments = fields.text(item.get("arguments"), f"{at}.arguments")
            calls.append(ToolCall(id or f"call_{len(calls)}", name, arguments))
        elif kind == "reasoning":
            summary, inside = (_read_texts(item.get(name), f"{at}.{name}") for name in ("summary", "content"))
            if summary is None or inside is None:  # of parts that are no texts
                entries.append(["item", _without_nulls(item)])
                continue
            reasoning += [*summary, *inside]
            rest = fields.rest(item, "type", "summary", "content")
            entries.append(["reasoning", list(map(len, summary)), list(map(len, inside)), rest])
        elif kind == "image_generation_call" and item.get("result"):
            form = fields.text(item.get("output_format"), f"{at}.output_format") or "png"
            entries.append(["picture", sum(isinstance(part, Image) for part in said), fields.rest(item, "result")])
            said.append(Image(as_data_url(f"image/{form}", fields.text(item["result"], f"{at}.result"))))
        else:
            entries.append(["item", _without_nulls(item)])
    made = Message("assistant", _spoken(said), tool_calls=tuple(calls), reasoning="".join(reasoning))
    if _says_it_all(entries):
        return made, refused
    return with_state(made, origin, {"items": entries}), refused


def _without_nulls(item: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if value is not None}


def _read_message(item: Mapping[str, Any], at: str) -> tuple[list[str], list[list[Any]], bool]:
    content = item.get("content")
    if isinstance(content, str):
        return [content], [["text", len(content), {}]], False
    texts: list[str] = []
    inner: list[list[Any]] = []
    refused = False
    for number, part in enumerate(fields.mappings(content, f"{at}.content")):
        where = f"{at}.content[{number}]"
        kind = fields.text(part.get("type"), f"{where}.type")
        if kind in ("output_text", "text", "input_text"):
            texts.append(fields.text(part.get("text"), f"{where}.text"))
            inner.append(["text", len(texts[-1]), fields.rest(part, "type", "text")])
        elif kind == "refusal":
            refused = True
            texts.append(fields.text(part.get("refusal"), f"{where}.refusal"))
            inner.append(["refusal", len(texts[-1]), fields.rest(part, "type", "refusal")])
        else:
            inner.append(["raw", dict(part)])
    return texts, inner, refused


def _read_texts(value: Any, at: str) -> list[str] | None:
    texts = []
    for number, part in enumerate(fields.mappings(value, at)):
        if part.get("type") not in ("summary_text", "reasoning_text") or fields.rest(part, "type", "text"):
            return None
        texts.append(fields.text(part.get("text"), f"{at}[{number}].text"))
    return texts


def _spoken(said: Sequence[Part]) -> str | tuple[Part, ...]:
    if all(isinstance(part, Text) for part in said):
        return "".join(part.text for part in said if isinstance(part, Text))
    return tuple(said)


def _says_it_all(entries: Sequence[Sequence[Any]]) -> bool:
    """Whether a message and calls, written the plain way, say the same: ids alone say nothing, with nothing stored."""
    kinds = [entry[0] for entry in entries]
    messages = kinds.count("message")
    if messages + kinds.count("call") != len(kinds) or messages > 1 or (messages and kinds[0] != "message"):
        return False
    rests = [entry[1] if entry[0] == "message" else entry[2] for entry in entries]
    if any(rest.keys() - {"id", "status"} or rest.get("status", "completed") != "completed" for rest in rests):
        return False
    inner = entries[0][2] if messages else []
    return len(inner) <= 1 and all(one[0] == "text" and not one[2] for one in inner)


# -- writing -----------------------------------------------------------------------------------------------------------


def answer_items(message: Message, origin: str = ORIGIN) -> list[dict[str, Any]] | None:
    """The items of an assistant's message as its vendor made them; None if there is no state, or it does not fit."""
    return restored(kept(message, origin), lambda mine: _as_before(message, mine) if mine.whole else None)


def _as_before(message: Message, mine: Kept) -> list[dict[str, Any]]:
    said, thought = Spoken(message.text), Spoken(message.reasoning)
    pictures = [] if isinstance(message.content, str) else [p for p in message.content if isinstance(p, Image)]
    items: list[dict[str, Any]] = []
    called: list[Any] = []
    drawn: list[Any] = []
    for kind, what, *more in mine.content["items"]:
        if kind == "message":
            content = [_part_as_before(form, inner, rest, said) for form, inner, *rest in more[0]]
            rest = beside(what, "type", "role", "content")
            items.append({"type": "message", "role": "assistant", "content": content, **rest})
        elif kind == "reasoning":
            summary = [{"type": "summary_text", "text": thought.next(length)} for length in what]
            inside = [{"type": "reasoning_text", "text": thought.next(length)} for length in more[0]]
            rest = beside(more[1], "type", "summary", "content")
            items.append({"type": "reasoning", "summary": summary, **({"content": inside} if inside else {}), **rest})
        elif kind == "call":
            call = call_item(message.tool_calls[what])
            items.append({**call, **beside(more[0], *call)})
            called.append(what)
        elif kind == "picture":
            items.append({**beside(more[0], "result"), "result": pictures[what].url.rpartition(",")[2]})
            drawn.append(what)
        elif kind == "item":
            items.append(theirs(what, "message", "function_call"))
        else:
            raise ValueError("an entry of no kind")
    said.finish()
    thought.finish()
    check_each(called, len(message.tool_calls))
    check_each(drawn, len(pictures))
    return items


def _part_as_before(form: str, what: Any, rest: list[Any], said: Spoken) -> dict[str, Any]:
    if form == "raw":
        return theirs(what, "output_text", "refusal")
    if form == "refusal":
        return {"type": "refusal", "refusal": said.next(what), **beside(rest[0], "type", "refusal")}
    if form != "text":
        raise ValueError("an entry of no kind")
    more = beside(rest[0], "type", "text")
    return {"type": "output_text", "text": said.next(what), "annotations": [], **more}


def call_item(call: ToolCall) -> dict[str, Any]:
    """A call as the protocol writes it."""
    return {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments or "{}"}


def history_items(message: Message, notes: list[str], origin: str = ORIGIN) -> list[dict[str, Any]]:
    """The items of a message for the vendor.

    Args:
        message: any message.
        notes: takes what had to be left out.
        origin: whose state is put back.
    """
    if message.role == "tool":
        output: Any = message.content
        if not isinstance(output, str):
            output = _content(message, notes, origin)
        return [{"type": "function_call_output", "call_id": message.tool_call_id or "", "output": output}]
    if message.role != "assistant":
        return [{"role": message.role, "content": _content(message, notes, origin)}]
    before = answer_items(message, origin)
    if before is not None:
        return before
    items: list[dict[str, Any]] = []
    spoken = spoken_text(message, notes)
    if spoken or not (message.tool_calls or message.state):
        items.append({"role": message.role, "content": spoken})
    return [*items, *map(call_item, message.tool_calls)]


def _content(message: Message, notes: list[str], origin: str) -> str | list[dict[str, Any]]:
    if isinstance(message.content, str):
        return message.content
    parts = message.content
    before = content_as_before(message, parts, origin, lambda part: _part(part, notes))
    return before or [_part(part, notes) for part in parts]


def _part(part: Part, notes: list[str]) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "input_text", "text": part.text}
    if isinstance(part, Image):
        return {"type": "input_image", "image_url": part.url, "detail": part.detail}
    if isinstance(part, File):
        data = data_of(part.url)
        if data is None:
            return {"type": "input_file", "file_url": part.url}
        if data[0].startswith("image/"):
            return {"type": "input_image", "image_url": part.url, "detail": "auto"}
        return {"type": "input_file", "filename": part.name or "file", "file_data": part.url}
    return {"type": "input_text", "text": left_out(part, "the responses API", notes)}


# -- reading a user's --------------------------------------------------------------------------------------------------


def read_user(role: Any, content: Any, at: str, **more: Any) -> Message:
    """A user's or system's message, or a tool's result.

    Raises:
        WrongField: it is not the protocol.
    """
    return read_content(role, content, at, ORIGIN, _read_part, **more)


def _read_part(part: Mapping[str, Any], at: str) -> tuple[Part | None, dict[str, Any]]:
    """A part and its other fields; none if it is something of the vendor's own."""
    kind = fields.text(part.get("type"), f"{at}.type")
    if kind in ("input_text", "output_text", "text"):
        return Text(fields.text(part.get("text"), f"{at}.text")), fields.rest(part, "type", "text")
    if kind == "input_image" and part.get("image_url"):
        detail = detail_of(part, at)
        image = Image(fields.text(part["image_url"], f"{at}.image_url"), detail)
        return image, fields.rest(part, "type", "image_url", "detail")
    if kind == "input_file" and (part.get("file_data") or part.get("file_url")):
        url = fields.text(part.get("file_data"), f"{at}.file_data") or fields.text(
            part.get("file_url"), f"{at}.file_url"
        )
        name = fields.text(part.get("filename"), f"{at}.filename")
        rest = fields.rest(part, "type", "file_data", "file_url", "filename")
        return File(url, "" if name == "file" else name), rest
    return None, {}
