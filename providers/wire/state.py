"""What a vendor said in its own form, kept beside a message's neutral fields and held against them later.

The content is an object of the protocol's own, in which texts and calls that stand in the neutral fields are given as
lengths and indices, and ``check``: what the neutral fields were. Where a hook has changed one of them since, the parts
of the state that hang on it are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple
from zlib import crc32

from ..messages import Message, Text, VendorState


class Kept(NamedTuple):
    """A state that is for the vendor at hand, and which of the neutral fields are as they were with it."""

    content: Mapping[str, Any]
    text: bool
    reasoning: bool
    calls: bool
    parts: bool

    @property
    def whole(self) -> bool:
        """Whether nothing was changed."""
        return self.text and self.reasoning and self.calls and self.parts


def with_state(message: Message, origin: str, content: Mapping[str, Any]) -> Message:
    """`message` with the vendor's `content`, an object that JSON can say."""
    kept = json.dumps({**content, "check": _check(message)}, ensure_ascii=False, separators=(",", ":"))
    return replace(message, state=VendorState(origin, kept))


def kept(message: Message, origin: str) -> Kept | None:
    """The state that `message` carries for `origin`; None if it has none, or one of another's."""
    state = message.state
    if state is None or state.origin != origin:
        return None
    try:
        content = json.loads(state.content)
    except ValueError:
        return None
    if not isinstance(content, Mapping):
        return None
    check = content.get("check")
    if not isinstance(check, list):  # journals of form 1 kept none
        return Kept(content, True, True, True, True)
    return Kept(content, *(now == then for now, then in zip(_check(message), check, strict=False)))


class Spoken:
    """Takes a text apart again, piece by piece."""

    __slots__ = ("_at", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def next(self, length: int) -> str:
        """The next `length` characters."""
        start = self._at
        self._at += length
        return self._text[start : self._at]


def _check(message: Message) -> list[int]:
    # Not the ids of calls: an agent gives new ones where a vendor's are empty or not distinct.
    calls = "\0".join(f"{call.name}\0{call.arguments}" for call in message.tool_calls)
    parts = () if isinstance(message.content, str) else [part for part in message.content if not isinstance(part, Text)]
    said = (message.text, message.reasoning, calls, "\0".join(part.url for part in parts))
    return [crc32(text.encode("utf-8", "surrogatepass")) if text else 0 for text in said]
