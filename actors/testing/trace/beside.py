"""What is told beside a trace, for people, and what of both they need not read.

A library's own actors and tasks say little about a failure of somebody's code. Their events are folded, unless they
take part in its past: happened before an event of the reader's own actors and tasks in the sense of Lamport ("Time,
Clocks, and the Ordering of Events in a Distributed System", 1978), by messages and by who woke whom.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Shown: TypeAlias = tuple[int, float, str, Mapping[str, Any]]
"""An event as ``(index, time, kind, fields)``."""
_COMES = ("task", "slept")


@dataclass(frozen=True, slots=True)
class Beside:
    """What is told beside a trace.

    Args:
        events: ``(events of the trace before it, time, kind, fields)``, oldest first.
        internal: the actors and tasks that are the library's own.
        wakes: ``(events of the trace before it, who, whom)``: a step of one made a step of the other possible.
    """

    events: Sequence[Shown] = ()
    internal: frozenset[str] = frozenset()
    wakes: Sequence[tuple[int, str, str]] = ()

    def upto(self, count: int) -> Beside:
        """Return what is told beside the first ``count`` events."""
        return Beside(
            [event for event in self.events if event[0] <= count],
            self.internal,
            [wake for wake in self.wakes if wake[0] <= count],
        )


def lane(kind: str, values: Mapping[str, Any]) -> str:
    """Return who does what an event tells of."""
    if kind in ("send", "ask", "ask_end"):
        return values.get("sender") or "client"
    return str(values.get("actor") or values.get("who") or "client")


def folded(rows: Sequence[tuple[float, str, Mapping[str, Any]]], beside: Beside) -> frozenset[int]:
    """Return the indices of the events that need not be read."""
    internal = beside.internal
    if not internal:
        return frozenset()
    before: set[str] = set()  # whose earlier events are in the past of what was kept
    wanted: set[tuple[Any, Any]] = set()  # messages whose sending is
    left: set[int] = set()
    wakes = list(beside.wakes)
    for index in range(len(rows) - 1, -1, -1):
        while wakes and wakes[-1][0] > index:
            _, who, whom = wakes.pop()
            if whom not in internal or whom in before:
                before.add(who)
        _, kind, values = rows[index]
        who = lane(kind, values)
        number = values.get("system"), values.get("id")
        if who in internal and who not in before and not (kind in ("send", "ask") and number in wanted):
            left.add(index)
            continue
        before.add(who)
        if kind == "recv":
            wanted.add(number)
        elif kind == "ask_end":
            before.add(values["actor"])
    return frozenset(left)


def hidden(shown: Sequence[Shown], beside: Beside, left: frozenset[int]) -> list[bool]:
    """Return for each event, those told beside the trace too, whether it need not be read.

    That the library's tasks come and go need not be where nothing else happens between events that are folded.

    Args:
        shown: the events, in order.
        beside: of their trace.
        left: the indices of the trace's events that are folded.
    """
    found: list[bool] = []
    quiet = 0  # the events since the last one that is folded, if they are folded once the next one is
    for index, _, kind, values in shown:
        if index >= 0:
            folds = index in left
        elif lane(kind, values) in beside.internal and (kind in _COMES or values.get("how") == "ended"):
            found.append(False)
            quiet += 1 if quiet or (len(found) > 1 and found[-2]) else 0
            continue
        else:
            folds = False
        if folds and quiet:
            found[-quiet:] = [True] * quiet
        quiet = 0
        found.append(folds)
    if quiet:
        found[-quiet:] = [True] * quiet
    return found
