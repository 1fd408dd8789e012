"""What a user reads the figures of a system with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any

from ..base.metrics import ActorMetrics, Metrics
from ..mail.cell import Cell
from ..refs.ref import ActorRef
from .observing import Observer
from .tally import Tally


class Meter:
    """Measures a system from when it is made until it is closed; `System.measure` makes one.

    It is read from any thread.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._followed: dict[Cell, tuple[Tally, float]] = {}
        self._last: Metrics | None = None
        observer.measure()
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

    def follow(self, ref: ActorRef[Any]) -> None:
        """Count one actor by itself too, from now on; its figures are in `Metrics.actors`, also after its death."""
        cell = ref._cell
        if cell not in self._followed and self._last is None:
            own = self._observer.follow(cell)
            self._followed[cell] = own, self._observer.read_one(cell, own).seconds

    def close(self) -> None:
        """Measure no more, at no cost from now on; closing it again does nothing."""
        if self._last is None:
            self._last = self.read()
            self._followed.clear()
            self._observer.measure_no_more()
