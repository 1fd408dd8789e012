"""Context strategies: values that say what of a conversation is shown to its model, and are put together by ``|``.

``apply`` is pure, and is called before each completion. It gives back the view that it was given as long as its limit
is not passed; then it leaves out so much that half of the limit is left. So what is shown changes seldom, and between
two changes the messages of each step begin with those of the step before: what vendors have cached of them still holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from ...errors import DefinitionError
from .view import SHORTEST, ContextView, Unit

MOST: Final = 10**12
"""Of whatever is counted: more is a mistake."""


class ContextStrategy:
    """The base class. ``one | other``: where one has left too much, the other is applied to what it has left."""

    def apply(self, view: ContextView) -> ContextView:
        """What is to be shown.

        Args:
            view: what is shown now.

        Returns:
            the same, or another one made of it.
        """
        raise NotImplementedError

    def __or__(self, other: ContextStrategy) -> ContextStrategy:
        if not isinstance(other, ContextStrategy):
            return NotImplemented
        mine = self.strategies if isinstance(self, Composed) else (self,)
        theirs = other.strategies if isinstance(other, Composed) else (other,)
        return Composed((*mine, *theirs))


@dataclass(frozen=True)
class Composed(ContextStrategy):
    """One strategy after the other, as far as they are needed; what ``|`` makes."""

    strategies: tuple[ContextStrategy, ...]

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.strategies))

    def apply(self, view: ContextView) -> ContextView:
        for strategy in self.strategies:
            if strategy not in view.failed:
                view = strategy.apply(view)
            if view.wanted is not None:  # the others are asked again once it is there
                break
        return view


@dataclass(frozen=True)
class KeepAll(ContextStrategy):
    """The whole history, always: where a vendor says that it is too long, the run ends."""

    def apply(self, view: ContextView) -> ContextView:
        return view


@dataclass(frozen=True)
class Window(ContextStrategy):
    """The newest messages: where there are more than allowed, the oldest go until half of that is left.

    Args:
        tokens: how many the messages may have; by default what the model takes, where that is known.
        messages: how many messages; by default no matter how many.

    Raises:
        DefinitionError: one of them is no whole number above 0.
    """

    tokens: int | None = None
    messages: int | None = None

    def __post_init__(self) -> None:
        check_amount("Window", "tokens", self.tokens)
        check_amount("Window", "messages", self.messages)

    def apply(self, view: ContextView) -> ContextView:
        tokens = view.excess(self.tokens)
        count = view.shown
        many = 0
        if self.messages is not None and count > self.messages:
            many = count - max(1, self.messages // 2)
        return view.without(oldest(view.units(), tokens, many)) if tokens > 0 or many > 0 else view


@dataclass(frozen=True)
class DropToolOutput(ContextStrategy):
    """Old results of tools are dropped, the oldest first, until half of what is allowed is left. A line says what was
    there, and that the tool can be called again.

    Args:
        keep: how many of the newest results stay.
        tokens: as of `Window`.

    Raises:
        DefinitionError: one of them is no whole number, or out of range.
    """

    keep: int = 3
    tokens: int | None = None

    def __post_init__(self) -> None:
        check_amount("DropToolOutput", "keep", self.keep, least=0, optional=False)
        check_amount("DropToolOutput", "tokens", self.tokens)

    def apply(self, view: ContextView) -> ContextView:
        excess = view.excess(self.tokens)
        if excess <= 0:
            return view
        units = view.units()
        results = [
            position
            for unit in units
            for position in range(unit.start + 1, unit.end)
            if view.history[position].role == "tool"
        ]
        last = units[-1].start if units else 0  # those the model has not seen yet
        old = [position for position in results[: max(0, len(results) - self.keep)] if position < last]
        dropped: list[int] = []
        for position in old:
            if excess <= 0:
                break
            if view.sizes[position] >= SHORTEST:
                dropped.append(position)
                excess -= view.sizes[position] - view.size_dropped(position)
        return view.dropping(dropped)


def oldest(units: Iterable[Unit], tokens: float, messages: int = 0) -> list[Unit]:
    """The oldest units that may go, so many that so many tokens and messages go with them."""
    going: list[Unit] = []
    for unit in units:
        if tokens <= 0 and messages <= 0:
            break
        if not unit.pinned:
            going.append(unit)
            tokens -= unit.tokens
            messages -= unit.end - unit.start
    return going


def check_amount(whose: str, name: str, given: Any, least: int = 1, *, optional: bool = True) -> None:
    """Raises `DefinitionError` where it is no whole number of at least so much, and not None where it is optional."""
    if given is None and optional:
        return
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= MOST:
        raise DefinitionError(f"{whose}.{name} is a whole number, at least {least}, not {given!r:.80}")
