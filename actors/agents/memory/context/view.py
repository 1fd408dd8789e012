"""What a context strategy looks at: a history, how large it is, how much of it may be shown. Pure.

Messages that a vendor wants together are one unit: an assistant's message with the results of all its calls, and what
the assistant goes on to say right behind. A unit is shown whole or not at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Protocol

from .....providers.messages import Message, Request
from .....providers.tokens import FALLBACK, TokenCounter, estimate_message
from ...turns.shape import EXCERPT, WHOLE, Shape, Span, stub, summary_message

LOW: Final = 0.5
"""What is left of a limit that was passed. The more is left out at a time, the longer the messages of one step begin
with those of the step before, which vendors bill at a tenth."""

ENOUGH: Final = 0.75
"""What of a limit that was passed one strategy may leave before the next one is used."""

SHORTEST: Final = 60
"""Tokens from which a tool's result is worth being dropped: what stands in its place has about forty."""


class Unit(NamedTuple):
    """Messages that are shown together or not at all.

    Args:
        start, end: their positions, the end not included.
        tokens: of them, as they are shown.
        pinned: whether they are always shown.
    """

    start: int
    end: int
    tokens: int
    pinned: bool

    def is_pinned(self) -> bool:
        """Whether it is always shown."""
        return self.pinned


class Summarizes(Protocol):
    """A strategy that wants summaries."""

    def request(self, view: ContextView, wanted: Wanted, model: str) -> Request:
        """What a model is asked for one.

        Args:
            view: what is to be shown then.
            wanted: of what the summary is made.
            model: who is asked where the strategy names nobody.
        """


@dataclass(frozen=True)
class Wanted:
    """A summary that has to be made before a shape is what it is to be.

    Args:
        by: the strategy that wants it.
        left_out: the spans that were shown before, and that it is to stand for, besides the summary before it.
    """

    by: Summarizes
    left_out: tuple[Span, ...]


@dataclass(frozen=True)
class ContextView:
    """A conversation as a context strategy sees it. A value: `without`, `dropping` and `excerpting` make another one.

    Args:
        history: all messages of the conversation.
        sizes: for each of them its tokens as it is shown, 0 where it is not; estimates.
        total: the sum of them, and of the summary.
        start: the position at which the messages of the run under way begin.
        room: tokens that the messages may have so that the model can take them; None where nobody knows.
        shape: what of the history is shown.
        scale: tokens that the vendor counts for one that is estimated.
        acted: whether something was left out already in this step: from there on three quarters of limits count.
        failed: strategies that cannot do their work in this step.
        wanted: the summary that has to be made, if one has.
        counter: what the estimates were made with.
    """

    history: Sequence[Message]
    sizes: Sequence[int]
    total: int
    start: int = 0
    room: int | None = None
    shape: Shape = WHOLE
    scale: float = 1.0
    acted: bool = False
    failed: tuple[object, ...] = ()
    wanted: Wanted | None = None
    counter: TokenCounter = FALLBACK

    @classmethod
    def of(
        cls, history: Sequence[Message], *, start: int = 0, room: int | None = None, counter: TokenCounter = FALLBACK
    ) -> ContextView:
        """A view of a history that is shown whole; the arguments are those of the class."""
        sizes = [estimate_message(message, counter) for message in history]
        return cls(history, sizes, sum(sizes), start, room, counter=counter)

    @property
    def tokens(self) -> int:
        """Tokens of what is shown, as the vendor counts them as far as is known."""
        return round(self.total * self.scale)

    @property
    def shown(self) -> int:
        """How many messages are shown."""
        return len(self.history) - sum(end - start for start, end in self.shape.left_out)

    def limit(self, tokens: int | None) -> float | None:
        """Estimated tokens that may be shown; None where there is no limit.

        Args:
            tokens: the limit that a strategy was given, as the vendor counts.
        """
        limits = [each for each in (tokens, self.room) if each is not None]
        return min(limits) / self.scale if limits else None

    def excess(self, tokens: int | None, stays: Callable[[Unit], bool] = Unit.is_pinned) -> float:
        """Estimated tokens that are to go; 0 where the limit is not passed.

        Where what always stays has more than the limit by itself, nothing that goes would help. The rest is then
        allowed half of the limit, as far as the model takes it: so what is shown still changes seldom.

        Args:
            tokens: as of `limit`.
            stays: says of a unit whether it always stays.
        """
        limit = self.limit(tokens)
        if limit is None or self.total <= (limit * ENOUGH if self.acted else limit):
            return 0.0
        if not self.acted:
            fixed = sum(unit.tokens for unit in self.units() if stays(unit))
            fixed += size_of_summary(self.shape.summary, self.counter)
            most = math.inf if self.room is None else self.room / self.scale
            if fixed > limit and self.total <= min(fixed + limit * LOW, most):
                return 0.0
        return self.total - limit * LOW

    def asks(self) -> int:
        """The position of the message with which the run under way was asked for something: its own first one of a
        user, else the last one before; -1 where no user has said anything."""
        history = self.history
        for position in range(self.start, len(history)):
            if history[position].role == "user":
                return position
        return next((at for at in range(min(self.start, len(history)) - 1, -1, -1) if history[at].role == "user"), -1)

    def units(self) -> tuple[Unit, ...]:
        """What is shown, in units, in order. System messages, what the run was asked, and the last unit are pinned."""
        history, sizes, asks = self.history, self.sizes, self.asks()
        units: list[Unit] = []
        hidden = {position for start, end in self.shape.left_out for position in range(start, end)}
        start = 0
        for position in range(1, len(history) + 1):
            if position < len(history) and _joined(history[position - 1], history[position]):
                continue
            if start not in hidden:
                pinned = history[start].role == "system" or start <= asks < position
                units.append(Unit(start, position, sum(sizes[start:position]), pinned))
            start = position
        if units:
            units[-1] = units[-1]._replace(pinned=True)
        return tuple(units)

    def without(self, units: Iterable[Unit]) -> ContextView:
        """The view without these units."""
        spans = tuple((unit.start, unit.end) for unit in units)
        if not spans:
            return self
        sizes = list(self.sizes)
        for start, end in spans:
            sizes[start:end] = [0] * (end - start)
        hidden = _joined_spans((*self.shape.left_out, *spans))
        inside = frozenset(position for start, end in spans for position in range(start, end))
        shape = self.shape._replace(
            left_out=hidden,
            dropped=tuple(position for position in self.shape.dropped if position not in inside),
            excerpts=tuple(one for one in self.shape.excerpts if one[0] not in inside),
        )
        return self._changed(sizes, shape)

    def size_dropped(self, position: int) -> int:
        """Estimated tokens of the line in place of a tool's result."""
        return estimate_message(stub(self.history[position]), self.counter)

    def dropping(self, positions: Iterable[int]) -> ContextView:
        """The view with a line in place of these tool results."""
        added = frozenset(positions)
        if not added:
            return self
        sizes = list(self.sizes)
        for position in added:
            sizes[position] = self.size_dropped(position)
        shape = self.shape._replace(
            dropped=tuple(sorted({*self.shape.dropped, *added})),
            excerpts=tuple(one for one in self.shape.excerpts if one[0] not in added),
        )
        return self._changed(sizes, shape)

    def excerpting(self, excerpts: Iterable[tuple[int, tuple[Span, ...], int]]) -> ContextView:
        """The view with only pieces of some messages' text: position, spans of characters, and tokens that are left."""
        made = tuple(excerpts)
        if not made:
            return self
        sizes = list(self.sizes)
        for position, spans, tokens in made:
            sizes[position] = tokens + (len(spans) + 1) * self.counter.count(EXCERPT)
        kept = dict(self.shape.excerpts)
        kept.update((position, spans) for position, spans, _ in made)
        return self._changed(sizes, self.shape._replace(excerpts=tuple(sorted(kept.items()))))

    def summarized(self, text: str) -> ContextView:
        """The view with a summary in place of the one before it."""
        return replace(self._changed(self.sizes, self.shape._replace(summary=text)), wanted=None)

    def _changed(self, sizes: Sequence[int], shape: Shape) -> ContextView:
        total = sum(sizes) + size_of_summary(shape.summary, self.counter)
        return replace(self, sizes=sizes, total=total, shape=shape, acted=True)


def size_of_summary(text: str, counter: TokenCounter = FALLBACK) -> int:
    """Estimated tokens of the message that a summary is shown as; 0 for none."""
    return estimate_message(summary_message(text), counter) if text else 0


def _joined(message: Message, following: Message) -> bool:
    """Whether two messages that follow each other are shown together or not at all."""
    return following.role == "tool" or (following.role == "assistant" and message.role == "assistant")


def _joined_spans(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans in order, those that touch as one."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple(joined)
