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
from . import fields
from .history import media_of

_Written = TypeVar("_Written")


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
    return replace(message, state=VendorState(origin, _written({**content, "check": _check(message)})))


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


def resealed(before: Message, after: Message) -> Message:
    """`after`, which says what `before` said in other words that we chose: its state stands as far as it stood."""
    state = before.state
    content = parsed(state.content) if state is not None else None
    if state is None or not isinstance(content, Mapping):
        return after
    check, then, now = content.get("check"), _check(before), _check(after)
    if not isinstance(check, list) or len(check) != len(now):
        return after
    sealed = [new if one == old else one for one, old, new in zip(check, then, now, strict=True)]
    return replace(after, state=VendorState(state.origin, _written({**content, "check": sealed})))


def parsed(content: str) -> Any:
    """A state's content as JSON; None if it is none, or one that could not be written again."""
    try:
        return fields.loads(content, parse_constant=_refused)
    except ValueError:
        return None


def restored(mine: Kept | None, write: Callable[[Kept], _Written]) -> _Written | None:
    """What `write` makes of a state; None if there is none, or it is not what the protocol's module writes."""
    if mine is None:
        return None
    try:
        return write(mine)
    except (LookupError, TypeError, ValueError, AttributeError, StopIteration):
        return None


def beside(rest: Any, *own: str) -> Mapping[str, Any]:
    """The other fields of an entry.

    Raises:
        ValueError: they are none, or one of them is its own.
    """
    if not isinstance(rest, Mapping) or not rest.keys().isdisjoint(own):
        raise ValueError("fields that a state does not have")
    return rest


def theirs(block: Any, *ours: str) -> dict[str, Any]:
    """What only the vendor knows, of an entry that holds it whole.

    Raises:
        ValueError: it is none, or of a type that has an entry of its own.
    """
    if not isinstance(block, Mapping) or not isinstance(block.get("type"), str) or block["type"] in ours:
        raise ValueError("something that is no vendor's own")
    return dict(block)


def check_each(found: list[Any], count: int) -> None:
    """Raise unless the entries of calls or parts speak of each of `count`, once and in order.

    Raises:
        ValueError: they do not.
    """
    if found != list(range(count)):
        raise ValueError("entries that are missing, or come twice")


class Spoken:
    """Takes a text apart again, piece by piece: each letter stands in one of them."""

    __slots__ = ("_at", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def next(self, length: int) -> str:
        """The next `length` characters.

        Raises:
            ValueError: so many are not left.
        """
        start = self._at
        if type(length) is not int or not 0 <= length <= len(self._text) - start:
            raise ValueError("a length that does not fit")
        self._at += length
        return self._text[start : self._at]

    def finish(self, *, unless_begun: bool = False) -> None:
        """Raise if something is left; with `unless_begun` only if something was taken.

        Raises:
            ValueError: it is.
        """
        if self._at < len(self._text) and (self._at or not unless_begun):
            raise ValueError("lengths that do not fit")


def _written(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _check(message: Message) -> list[int]:
    # Not the ids of calls: an agent gives new ones where a vendor's are empty or not distinct.
    calls = "\0".join(f"{call.name}\0{call.arguments}" for call in message.tool_calls)
    said = (message.text, message.reasoning, calls, "\0".join(part.url for part in media_of(message)))
    return [crc32(text.encode("utf-8", "surrogatepass")) if text else 0 for text in said]
