"""The tree of actors: all of it once, and then what has changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from ....agents.overview.happened import Fact
from ....core.base.events import ActorState
from .reading import MOST_ACTORS, Reading

Row: TypeAlias = tuple[str, str, str, int, float, int, str]


class Actors:
    """The actors as they were read last, when each has changed last, and which have gone."""

    def __init__(self) -> None:
        self._now: dict[str, ActorState] = {}
        self._all = 0
        self._counted = 0
        """In which version their number has changed last."""
        self._crashes: Mapping[str, Fact] = {}
        self._changed: dict[str, int] = {}
        """In which version an actor has changed last; the latest stand last."""
        self._gone: dict[str, int] = {}
        """In which version an actor was there no more; the latest stand last."""
        self._known_since = 0

    def take(self, reading: Reading, version: int) -> None:
        """See `View`."""
        before, crashes = self._now, reading.happened.crashes
        now = dict(reading.actors)
        changed = self._changed
        for path, state in now.items():
            was = before.get(path)
            if was == state:
                continue
            if was is not None and was[:4] == state[:4] and was[5] == state[5] and _is_near(was[4], state[4]):
                now[path] = was  # so that small steps add up
                continue
            changed.pop(path, None)
            changed[path] = version
        for path, fact in crashes.items():
            if path in now and self._crashes.get(path) is not fact:
                changed.pop(path, None)
                changed[path] = version
        for path in before.keys() - now.keys():
            changed.pop(path, None)
            self._gone[path] = version
        for path in self._gone.keys() & now.keys():
            del self._gone[path]
        while len(self._gone) > MOST_ACTORS:
            path = next(iter(self._gone))
            self._known_since = self._gone.pop(path)
        if self._all != reading.all_actors:
            self._all, self._counted = reading.all_actors, version
        self._now, self._crashes = now, dict(crashes)

    def whole(self) -> dict[str, Any]:
        """See `View`."""
        return {"actors": [self._row(self._now[path]) for path in _in_order(self._now)], "all": self._all}

    def since(self, version: int) -> dict[str, Any] | None:
        """See `View`."""
        if version < self._known_since:
            raise LookupError(version)
        changed = [self._row(self._now[path]) for path in _later(self._changed, version)]
        gone = list(_later(self._gone, version))
        if not changed and not gone and self._counted <= version:
            return None
        return {"set": changed[::-1], "removed": gone, "all": self._all}

    def _row(self, state: ActorState) -> Row:
        path, kind, phase, waiting, age, restarts = state
        crash = self._crashes.get(path)
        return path, kind, phase, waiting, round(age, 1), restarts, "" if crash is None else crash.detail


def _is_near(before: float, now: float) -> bool:
    """Whether the age of a message need not be told again: it grows with the time, of which everybody knows."""
    return abs(now - before) < 0.5 + 0.1 * before


def _later(versions: dict[str, int], version: int) -> Iterable[str]:
    """Those of later versions, the latest first."""
    for path in reversed(versions):
        if versions[path] <= version:
            return
        yield path


def _in_order(actors: Mapping[str, ActorState]) -> Iterable[str]:
    """Paths that come level by level, each below the one above it."""
    below: dict[str, list[str]] = {}
    for path in actors:
        below.setdefault(path.rpartition("/")[0], []).append(path)
    stack = below.pop("", [])[::-1]
    while stack:
        path = stack.pop()
        yield path
        stack.extend(reversed(below.pop(path, ())))
