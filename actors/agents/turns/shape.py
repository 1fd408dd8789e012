"""What of a conversation's history its model is shown: the shape that a context strategy has given it. Pure.

A history is never changed by it; its messages keep their positions, and what comes later is always shown whole. So the
messages of one step begin with those of the step before, as long as the shape is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple, TypeAlias

from ....providers.messages import Message, Text
from .labels import joined

Span: TypeAlias = tuple[int, int]
"""The first, and the one behind the last."""

GAP: Final = "[Earlier messages are left out here.]"
"""What a user says where an assistant would speak first, or twice in a row, because of what is left out."""

SUMMARY: Final = "[A summary of the earlier part of this conversation, which is left out:]\n"
"""Before a summary, which stands as a user's message."""

EXCERPT: Final = "[A part is left out here.]"
"""Between the pieces of a text that are shown."""


class Shape(NamedTuple):
    """What is not shown as it is, by positions in the history.

    Args:
        left_out: spans of messages that are not shown, in order and apart from each other.
        dropped: tool results in whose place a line stands, in order.
        excerpts: messages of whose text only some pieces are shown, in order: position, and spans of characters.
        summary: stands for what is left out; empty where nothing does.
    """

    left_out: tuple[Span, ...] = ()
    dropped: tuple[int, ...] = ()
    excerpts: tuple[tuple[int, tuple[Span, ...]], ...] = ()
    summary: str = ""

    def __repr__(self) -> str:
        """How much, never what: errors and logs show records."""
        messages = sum(end - start for start, end in self.left_out)
        return (
            f"Shape({messages} messages left out, {len(self.dropped)} results dropped, {len(self.excerpts)} excerpts, "
            f"a summary of {len(self.summary)} characters)"
        )


WHOLE: Final = Shape()
"""Everything is shown as it is."""

ShapeChange: TypeAlias = tuple[int, Shape]
"""A shape, with how many messages the history had when it was decided."""


def misshapen(history: Sequence[Message], shape: object) -> str:
    """What is wrong with a shape that somebody has made for a history; empty if nothing is."""
    if not isinstance(shape, Shape):
        return f"returned {type(shape).__name__} as the shape"
    try:
        if not _ordered(shape.left_out, len(history)):
            return "leaves out messages that are not there, or not in order"
        if any(history[position].role != "tool" or position < 0 for position in shape.dropped):
            return "drops what is no result of a tool"
        for position, spans in shape.excerpts:
            if position < 0 or not _ordered(spans, len(history[position].text)):
                return "shows pieces that are not there, or not in order"
    except (IndexError, TypeError, ValueError):
        return "returned a shape of something else than positions"
    return "" if isinstance(shape.summary, str) else f"returned {type(shape.summary).__name__} as the summary"


def _ordered(spans: Sequence[Span], length: int) -> bool:
    at = 0
    for start, end in spans:
        if not at <= start < end <= length:
            return False
        at = end
    return True


def kept_before(changes: Sequence[ShapeChange], messages: int) -> tuple[ShapeChange, ...]:
    """The shapes that are left where a history is cut to so many messages."""
    return tuple(change for change in changes if change[0] <= messages)


def stub(message: Message) -> Message:
    """What stands in the place of a tool's result."""
    text = f"[This result of {message.name or 'the tool'} is left out to save room: {_size(message)}. If you need it, "
    return replace(message, content=f"{text}call the tool again.]", cache=False)


def _size(message: Message) -> str:
    if isinstance(message.content, str):
        return f"{len(message.content):,} characters"
    return f"{len(message.content)} parts with {len(message.text):,} characters"


def excerpt(message: Message, spans: Sequence[Span]) -> Message:
    """A message with some pieces of its text, and marks between them; what is no text stays."""
    text = message.text
    pieces: list[str] = []
    at = 0
    for start, end in spans:
        if text[at:start].strip():
            pieces.append(EXCERPT)
        pieces.append(text[start:end].strip("\n"))
        at = end
    if text[at:].strip():
        pieces.append(EXCERPT)
    shown = "\n".join(pieces)
    if isinstance(message.content, str):
        return replace(message, content=shown)
    media = tuple(part for part in message.content if not isinstance(part, Text))
    return replace(message, content=(Text(shown), *media))


def summary_message(text: str, of: Iterable[Message] = ()) -> Message:
    """The message that stands for what a summary is of.

    Args:
        text: the summary.
        of: the messages, whose labels it has.
    """
    return Message("user", SUMMARY + text, labels=joined(of) or None)


def gap_before(message: Message, before: Message | None) -> bool:
    """Whether a user has to say something between two messages between which some are left out: an assistant does not
    speak first, or twice in a row."""
    return message.role == "assistant" and (before is None or before.role in ("assistant", "system"))


def shown(history: Sequence[Message], shape: Shape) -> list[Message]:
    """The messages that the model is shown, valid for every vendor where the history is."""
    if shape is WHOLE:
        return list(history)
    dropped, excerpts = frozenset(shape.dropped), dict(shape.excerpts)
    messages: list[Message] = []
    said = not shape.summary
    before: Message | None = None
    for position, gap in _positions(shape.left_out, len(history)):
        message = history[position]
        if not said and message.role != "system":
            said, before = True, _summary(history, shape)
            messages.append(before)
        elif gap and gap_before(message, before):
            messages.append(Message("user", GAP))
        if position in dropped:
            message = stub(message)
        elif position in excerpts:
            message = excerpt(message, excerpts[position])
        messages.append(message)
        before = message
    if not said:
        messages.append(_summary(history, shape))
    return messages


def _summary(history: Sequence[Message], shape: Shape) -> Message:
    left_out = (message for start, end in shape.left_out for message in history[start:end])
    return summary_message(shape.summary, left_out)


def _positions(left_out: Iterable[Span], length: int) -> Iterator[tuple[int, bool]]:
    """The positions that are shown, and whether something is left out just before."""
    at, gap = 0, False
    for start, end in (*left_out, (length, length)):
        for position in range(at, min(start, length)):
            yield position, gap
            gap = False
        at, gap = end, True
