"""What a vendor said in its own form, kept beside a message's neutral fields and held against them later.

The content is an object of the protocol's own, in which texts and calls that stand in the neutral fields are given as
lengths and indices, and ``check``: what the neutral fields were. Where a hook has changed one of them since, the parts
of the state that hang on it are left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar
from zlib import crc32

from ..messages import Message, VendorState
from .history import media_of

_Written = TypeVar("_Written")
_DEEPEST = 100
"""Objects and lists within each other; what vendors say has a few, and what has more could not be written again."""


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
    """The state that `message` carries for `origin`; None if it has none, one of another's, or one that cannot be
    read."""
    state = message.state
    if state is None or state.origin != origin:
        return None
    content = parsed(state.content)
    if not isinstance(content, Mapping):
        return None
    check = content.get("check")
    if check is None:  # journals of form 1 kept none
        return Kept(content, True, True, True, True)
    now = _check(message)
    if not isinstance(check, list) or len(check) != len(now) or not all(type(then) is int for then in check):
        return None
    text, reasoning, calls, parts = map(int.__eq__, now, check)
    return Kept(content, text, reasoning, calls, parts)


def parsed(content: str) -> Any:
    """A state's content as JSON; None if it is none, or one that could not be written again."""
    try:
        value = json.loads(content, parse_constant=_refused)
    except (ValueError, RecursionError):
        return None
    brackets = content.count("[") + content.count("{")
    return None if brackets > _DEEPEST and _is_deep(value, _DEEPEST) else value


def restored(mine: Kept | None, write: Callable[[Kept], _Written]) -> _Written | None:
    """What `write` makes of a state; None if there is none, or it is not what the protocol's module writes."""
    if mine is None:
        return None
    try:
        return write(mine)
    except (LookupError, TypeError, ValueError, AttributeError, StopIteration):
        return None


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


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _is_deep(value: Any, left: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return not left or any(_is_deep(item, left - 1) for item in inner)


def _check(message: Message) -> list[int]:
    # Not the ids of calls: an agent gives new ones where a vendor's are empty or not distinct.
    calls = "\0".join(f"{call.name}\0{call.arguments}" for call in message.tool_calls)
    said = (message.text, message.reasoning, calls, "\0".join(part.url for part in media_of(message)))
    return [crc32(text.encode("utf-8", "surrogatepass")) if text else 0 for text in said]
