"""Named things in order: what an effect sees of a step, and what it may choose from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from ..errors import PromptError


class Named(Protocol):
    """Something with a name."""

    @property
    def name(self) -> str:
        """It."""


N = TypeVar("N", bound=Named)


class Items(Generic[N]):
    """Named things, in the order they were defined in.

    Args:
        items: they.
        kind: what they are, for errors.
    """

    __slots__ = ("_items", "_kind")

    def __init__(self, items: Iterable[N], kind: str) -> None:
        self._items = {item.name: item for item in items}
        self._kind = kind

    def __repr__(self) -> str:
        return f"<{len(self)} {self._kind}s: {', '.join(self._items) or 'none'}>"

    def __iter__(self) -> Iterator[N]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def has(self, name: str) -> bool:
        """Whether there is one of that name."""
        return name in self._items

    def named(self, *names: str) -> Items[N]:
        """Those of these names that there are, in their order."""
        return Items((item for item in self if item.name in names), self._kind)

    def chosen(self, given: object, where: str) -> tuple[str, ...]:
        """The names of some of them, in their order.

        Args:
            given: names, or the items themselves.
            where: what chooses, for errors.

        Raises:
            PromptError: there is none of such a name.
        """
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise PromptError(f"{where} is a sequence of {self._kind}s or of their names, not {given!r:.80}")
        wanted = set()
        for item in given:
            name = item if type(item) is str else getattr(item, "name", item)
            if not isinstance(name, str) or name not in self._items:
                there = ", ".join(self._items) or "none"
                raise PromptError(f"{where}: there is no {self._kind} {name!r:.80}; there are: {there}")
            wanted.add(name)
        return tuple(name for name in self._items if name in wanted)
