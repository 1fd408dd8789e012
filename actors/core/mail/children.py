"""The children of one parent: their order and their names."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any, Generic, Protocol, TypeVar

from ..base.errors import SpecError
from ..base.restart import Intensity, Supervision


class Child(Hashable, Protocol):
    """What has a place among siblings."""

    details: Any

    @property
    def path(self) -> str:
        """The names from the top-level actor down."""


C = TypeVar("C", bound=Child)


class Children(Generic[C]):
    """Siblings, in start order.

    Args:
        supervision: how their parent restarts them.

    Attributes:
        together: whether they are stopped all at once.
        group: the restart of several of them that is under way, as supervision keeps it.
        on_change: called when one is dead, set while a group restart is under way.
    """

    __slots__ = ("_cells", "_numbering", "group", "intensity", "names", "on_change", "supervision", "together")

    def __init__(self, supervision: Supervision) -> None:
        self.supervision = supervision
        self.intensity: Intensity | None = None
        self.together = False
        self.group: Any = None
        self.on_change: Callable[[], None] | None = None
        self.names: dict[str, C] = {}
        self._cells: dict[C, None] = {}
        self._numbering: dict[str, int] = {}

    def __iter__(self) -> Iterator[C]:
        return iter(list(self._cells))

    def __reversed__(self) -> Iterator[C]:
        return reversed(self._cells)

    def __len__(self) -> int:
        return len(self._cells)

    def __contains__(self, cell: object) -> bool:
        return cell in self._cells

    def latest_first(self) -> list[C]:
        """Return them all, the last started first."""
        return list(reversed(self._cells))

    def supervised_latest_first(self) -> Iterator[C]:
        """Those with a child spec, the last started first."""
        return (cell for cell in reversed(self._cells) if cell.details is not None and cell.details.spec is not None)

    def add(self, cell: C, name: str | None) -> None:
        """Take a child in.

        Raises:
            SpecError: a sibling has that name.
        """
        if name is not None:
            holder = self.names.setdefault(name, cell)  # in one step: actors are spawned from other threads too
            if holder is not cell:
                raise SpecError(f"there is already an actor named {holder.path!r}; names are unique among siblings")
        self._cells[cell] = None

    def make_name(self, cell: C, kind: str) -> str:
        """Return a name for a child that was given none: its class's, and a number."""
        while True:
            self._numbering[kind] = number = self._numbering.get(kind, 0) + 1
            name = f"{kind}-{number}"
            if cell not in self._cells:  # dead: nobody can look it up
                return name
            if self.names.setdefault(name, cell) is cell:
                return name

    def remove(self, cell: C) -> None:
        """Forget a child that is dead."""
        self._cells.pop(cell, None)
        details = cell.details
        if details is not None and details.name is not None and self.names.get(details.name) is cell:
            del self.names[details.name]
        if self.on_change is not None:
            self.on_change()

    def find(self, name: str) -> C | None:
        """Return the child of that name."""
        return self.names.get(name)
