"""What is read at once for all that a view shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ....agents.overview.happened import Happened, Rates
from ....agents.overview.overview import Waiting
from ....agents.overview.watch import PoolState
from ....agents.runs.runtime.under_way import RunUnderWay
from ....core.base.events import ActorState

MOST_ACTORS: Final = 20_000
"""Actors that are shown, those nearest to the top; of the others the number is told."""

MOST_ROWS: Final = 1_000
"""Runs, endpoints, approvals and the like that are shown; the number of all is told besides."""

STUCK_AFTER: Final = 120.0
"""Seconds without a sign of work after which a run is said to be stuck."""


@dataclass(frozen=True, slots=True)
class Reading:
    """An agency at one moment.

    Args:
        at: when, in seconds since 1970.
        actors: by their paths, level by level; none where the view does not show them.
        all_actors: how many there are.
        runs: that have not ended.
        waiting: for a person.
        pools: what they say of themselves.
        rates: what they do a minute.
        happened: crashes and dead letters.
        points: what was done a minute until now, the oldest first; see `Point`.
    """

    at: float
    actors: Mapping[str, ActorState]
    all_actors: int
    runs: Sequence[RunUnderWay]
    waiting: Sequence[Waiting]
    pools: Sequence[PoolState]
    rates: Rates
    happened: Happened
    points: Sequence[tuple[float, ...]]


class View(Protocol):
    """The figures of one view, in its latest state and how that came about."""

    def take(self, reading: Reading, version: int) -> None:
        """Take in a reading.

        Args:
            reading: it.
            version: its number; each is greater than the one before.
        """

    def whole(self) -> Any:
        """All of it, for JSON."""

    def since(self, version: int) -> Any:
        """What has changed since a version, for JSON; None for nothing.

        Raises:
            LookupError: that is not known any more.
        """


class Plain:
    """A view that is sent as a whole wherever anything of it has changed.

    Args:
        show: makes it of a reading.
    """

    def __init__(self, show: Any) -> None:
        self._show = show
        self._shown: Any = None
        self._changed = 0

    def take(self, reading: Reading, version: int) -> None:
        """See `View`."""
        shown = self._show(reading)
        if shown != self._shown:
            self._shown, self._changed = shown, version

    def whole(self) -> Any:
        """See `View`."""
        return self._shown

    def since(self, version: int) -> Any:
        """See `View`."""
        return self._shown if self._changed > version else None


def stuck_runs(runs: Sequence[RunUnderWay]) -> set[str]:
    """The ids of runs that give no sign of work: they have neither asked a model nor begun a call for `STUCK_AFTER`,
    wait for no person, and for no other run."""
    waited_for = {run.parent for run in runs}
    asks = ("person", "limits")
    return {run.run for run in runs if run.idle >= STUCK_AFTER and run.doing not in asks and run.run not in waited_for}


def finite(number: float) -> float | None:
    """A number as JSON can have it; None for one without end."""
    return number if math.isfinite(number) else None
