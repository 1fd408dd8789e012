"""What several protocols do to a history as they write it: media taken apart, cache marks, what stands for the rest."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Any

from ..messages import Audio, CacheMark, File, Image, Message, Part, Text, ToolCall, kind_of

MOST_MARKS = 4
"""Marks for prompt caching that Anthropic takes: https://docs.claude.com/en/docs/build-with-claude/prompt-caching"""
GO_ON = "Go on."
"""What the user says where the vendor wants the user to speak last."""

_DATA_URL = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(;[\w.+-]+=[^;,]*)*;base64,(?P<data>.*)", re.DOTALL)


def arguments_of(call: ToolCall) -> dict[str, Any]:
    """A call's arguments, where the protocol wants an object."""
    try:
        return call.parsed()
    except ValueError:  # a model's broken arguments, which the history must still show it
        return {"invalid_json": call.arguments}


def cache_mark(cache: CacheMark) -> dict[str, Any]:
    """The field that marks a block for prompt caching, as Anthropic has it and others copy it; none if `cache` is
    false."""
    if not cache:
        return {}
    return {"cache_control": {"type": "ephemeral", **({"ttl": cache} if isinstance(cache, str) else {})}}


def fit_marks(blocks: Iterable[dict[str, Any]], most: int, notes: list[str]) -> None:
    """Take marks for prompt caching away where there are more than `most`: the first stays, which many conversations
    share, and the last, which reach farthest.

    Args:
        blocks: all that may bear one, in the order in which the model reads it.
        most: how many the vendor takes, at least one.
        notes: takes what had to be changed.
    """
    marked = [block for block in blocks if "cache_control" in block]
    if len(marked) <= most:
        return
    for block in marked[1 : len(marked) - most + 1]:
        del block["cache_control"]
    notes.append(
        f"the vendor takes {most} cache marks: the first and the last were sent, {len(marked) - most} left out"
    )


def in_tags(text: str, notes: list[str]) -> str:
    """A system message that only a user can say in its place."""
    note = "a system message in the midst of others was sent as the user's, in <system> tags"
    if note not in notes:
        notes.append(note)
    return f"<system>{text}</system>"


def data_of(url: str) -> tuple[str, str] | None:
    """Media type and base64 content of a ``data:`` URL; None if it is an address."""
    found = _DATA_URL.fullmatch(url)
    return (found["type"] or "text/plain", found["data"]) if found else None


def decoded(data: str) -> str | None:
    """Base64 content as text; None if it is none."""
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def as_data_url(type: str, data: str) -> str:
    """A ``data:`` URL of a media type and base64 content."""
    return f"data:{type};base64,{data}"


def text_url(text: str, type: str = "text/plain") -> str:
    """A ``data:`` URL of a text."""
    return as_data_url(type, base64.b64encode(text.encode("utf-8", "replace")).decode())


def media_of(message: Message) -> list[Image | File | Audio]:
    """A message's parts that are no text."""
    return [] if isinstance(message.content, str) else [part for part in message.content if not isinstance(part, Text)]


def spoken_text(message: Message, notes: list[str]) -> str:
    """An assistant's message as one text, where the vendor takes nothing else from an assistant."""
    if isinstance(message.content, str):
        return message.content
    return "".join(
        part.text if isinstance(part, Text) else left_out(part, "an assistant's turn", notes)
        for part in message.content
    )


def described(part: Part) -> str:
    """What stands where a part had to be left out: what it was, and what was said in it."""
    if isinstance(part, Text):
        return part.text
    if isinstance(part, Audio) and part.transcript:
        return part.transcript
    named = f" {part.name}" if isinstance(part, File) and part.name else ""
    return f"[{kind_of(part)}{named} left out]"


def left_out(part: Part, whom: str, notes: list[str], why: str = "") -> str:
    """Note that `whom` cannot take a part, and return what stands in its place."""
    note = f"{whom} cannot take a {kind_of(part)}{why}: left out"
    if isinstance(part, Audio) and part.transcript:
        note = f"{whom} cannot take a sound{why}: its transcript was sent"
    if note not in notes:
        notes.append(note)
    return described(part)
