"""What a user reads the figures of a system with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any

from ..base.errors import SpecError, brief
from ..base.metrics import ActorMetrics, Metrics
from ..mail.cell import Cell
from ..refs.ref import ActorRef
from .observing import Observer
from .tally import Tally


class Meter:
    """Measures a system from when it is made until it is closed; `System.measure` makes one.

    It is read from any thread.

    Args:
        observer: of the system.
        find: gives the actor at a path.
        times: whether messages are timed.
    """

    def __init__(self, observer: Observer, find: Callable[[str], ActorRef[Any] | None], times: bool) -> None:
        self._observer = observer
        self._find = find
        self._times = times
        self._followed: dict[Cell, tuple[Tally, float]] = {}
        self._last: Metrics | None = None
        observer.measure(times)
        self._first = observer.read()

    def __enter__(self) -> Meter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def read(self) -> Metrics:
        """Return what has been counted since the meter was made, and how things are now; or were, when it was closed.

        `Metrics.since` makes of two readings what has happened between them.
        """
        if self._last is not None:
            return self._last
        read = self._observer.read().since(self._first)
        return replace(read, actors=self._actors())

    def _actors(self) -> Mapping[str, ActorMetrics]:
        figures = {}
        for cell, (own, begun) in list(self._followed.items()):
            read = self._observer.read_one(cell, own)
            figures[cell.path] = replace(read, seconds=read.seconds - begun)
        return figures

    def follow(self, actor: ActorRef[Any] | str) -> None:
        """Count one actor by itself too, from now on; its figures are in `Metrics.actors`, also after its death.

        Args:
            actor: its ref, or its path, such as ``planner/conversation-1``.

        Raises:
            SpecError: it is neither, or there is no actor at the path.
        """
        ref = self._find(actor) if isinstance(actor, str) else actor
        if not isinstance(ref, ActorRef):
            why = "there is no actor at this path" if isinstance(actor, str) else "it is neither a ref nor a path"
            raise SpecError(f"{brief(actor)} cannot be followed: {why}")
        cell = ref._cell
        if cell not in self._followed and self._last is None:
            own = self._observer.follow(cell)
            self._followed[cell] = own, self._observer.read_one(cell, own).seconds

    def close(self) -> None:
        """Measure no more, at no cost from now on; closing it again does nothing."""
        if self._last is None:
            self._last = self.read()
            self._followed.clear()
            self._observer.measure_no_more(self._times)
