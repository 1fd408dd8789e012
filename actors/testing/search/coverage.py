"""What a search has covered: how many schedules, how different they were, and what never happened in any."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol, TypeAlias

from ..faults.drawing import Chances, Waits, is_one_of, is_settled, places_of
from ..faults.faults import Fault, describe
from ..schedules.plan import Interrupt
from ..trace.trace import Trace, named, stable_repr

Edge: TypeAlias = tuple[str, str, str]
_WHOSE = ("actor", "system")
_LONGEST = 24
"""A text of more characters is data, not the name of a message."""
_MOST_TEXT, _MOST_ITEMS = 60, 8
"""How much of a text's beginning and end, and how many items, tell messages apart."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a search has covered.

    Args:
        schedules: how many were run, the ordinary one included.
        distinct: how many of them differ in a choice, or in a fault.
        orders: in how many orders the actors took up their messages: schedules that differ only otherwise are alike to
            each of them. Messages are told apart by sender and name, and several of one sender's also by content.
        exhausted: whether there is no other schedule: all have been run.
        edges: ``(actor, state, message)``: the messages taken up, and in which state. The state is what the scenario
            follows (`Simulation.follow`) or says with ``sim.mark("state", actor=…, value=…)``, or else the message
            that the actor took before.
        struck: in how many schedules each fault struck.
        places: of each fault that leaves its place open, at how many it struck, and how many are known: those of the
            ordinary schedule, and others where it struck. A crash or a restart has several at a number, one a phase.
    """

    schedules: int = 0
    distinct: int = 0
    orders: int = 0
    exhausted: bool = False
    edges: frozenset[Edge] = frozenset()
    struck: Mapping[Fault, int] = field(default_factory=dict)
    places: Mapping[Fault, tuple[int, int]] = field(default_factory=dict)

    def __str__(self) -> str:
        what = f"all {self.schedules}" if self.exhausted else str(self.schedules)
        repeated = f" ({self.distinct} distinct)" if self.distinct < self.schedules else ""
        return f"{what} {_plural(self.schedules, 'schedule')}{repeated}, {self.kinds()}"

    def kinds(self) -> str:
        """Say how different the schedules were."""
        text = f"{counted(self.orders, 'order')} of messages, {counted(len(self.edges), 'edge')}"
        if self.struck:
            text += f", {sum(map(bool, self.struck.values()))} of {len(self.struck)} faults struck"
        return text

    def faults(self) -> list[str]:
        """Return a line for each fault: in how many schedules it struck, and at how many places."""
        lines = []
        for fault, count in self.struck.items():
            at, known = self.places.get(fault, (0, 0))
            places = f", at {at} of {counted(known, 'place')}" if known else ""
            lines.append(f"{describe(fault)}: struck in {count} of {self.schedules}{places}")
        return lines


NOTHING = Coverage()


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


def counted(count: int, noun: str) -> str:
    """Return a number of things in words."""
    return f"{count} {_plural(count, noun)}"


def merged(coverages: Iterable[Coverage]) -> Coverage:
    """Return the coverage of several searches together, of different workloads as a rule."""
    several = list(coverages)
    struck: dict[Fault, int] = {}
    places: dict[Fault, tuple[int, int]] = {}
    for coverage in several:
        for fault, count in coverage.struck.items():
            struck[fault] = struck.get(fault, 0) + count
        for fault, (at, known) in coverage.places.items():
            before = places.get(fault, (0, 0))
            places[fault] = before[0] + at, before[1] + known
    return Coverage(
        sum(coverage.schedules for coverage in several),
        sum(coverage.distinct for coverage in several),
        sum(coverage.orders for coverage in several),
        bool(several) and all(coverage.exhausted for coverage in several),
        frozenset().union(*(coverage.edges for coverage in several)),
        struck,
        places,
    )


class Ran(Protocol):
    """What is wanted of a run: what happened, its choices, what it ran under, and what of that struck."""

    trace: Trace
    picks: list[int]
    faults: tuple[Fault, ...]
    interrupts: tuple[Interrupt, ...]
    struck: frozenset[Fault]


class Covered:
    """Adds up what the runs of one search cover.

    Args:
        faults: those of the search, with or without numbers.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._struck = dict.fromkeys(faults, 0)
        self._places: dict[Fault, set[Fault]] = {fault: set() for fault in faults if not is_settled(fault)}
        self._known: dict[Fault, set[Fault]] = {fault: set() for fault in self._places}
        self._schedules = 0
        self._choices: set[int] = set()
        self._orders: set[int] = set()
        self._edges: set[Edge] = set()

    def add(self, run: Ran) -> None:
        """Add a run."""
        self._schedules += 1
        self._choices.add(hash((tuple(run.picks), tuple(run.faults), tuple(run.interrupts))))
        orders, edges = edges_of(run.trace)
        self._orders.add(hash(frozenset((actor, tuple(order)) for actor, order in orders.items())))
        self._edges.update(edges)
        for fault in self._struck:
            at = {settled for settled in run.struck if is_one_of(settled, fault)}
            self._struck[fault] += bool(at)
            if fault in self._places:
                self._places[fault] |= at

    def know(self, counts: Chances, waits: Waits) -> None:
        """Take down where faults may strike in the ordinary schedule.

        Args:
            counts, waits: as for `places_of`.
        """
        for fault, known in self._known.items():
            known.update(places_of(fault, counts, waits))

    def join(self, other: Covered) -> None:
        """Add the runs of another part of the search, made in a process forked from this one."""
        self._schedules += other._schedules
        self._choices |= other._choices
        self._orders |= other._orders
        self._edges |= other._edges
        for fault, count in other._struck.items():
            self._struck[fault] += count
        for fault, at in other._places.items():
            self._places[fault] |= at

    def coverage(self, *, exhausted: bool) -> Coverage:
        """Return what has been covered so far.

        Args:
            exhausted: whether all schedules have been run.
        """
        return Coverage(
            self._schedules,
            len(self._choices),
            len(self._orders),
            exhausted,
            frozenset(self._edges),
            dict(self._struck),
            {fault: (len(at), len(at | self._known[fault])) for fault, at in self._places.items()},
        )


def edges_of(trace: Trace) -> tuple[dict[str, list[str]], set[Edge]]:
    """Return whose messages each actor took up, and which, by turns and in order; and the edges of the messages.

    Where several of one sender have the same name, as those of its jobs, each is known by its content.
    """
    first: dict[tuple[str, str, str], tuple[int, Any]] = {}
    states: dict[str, str] = {}
    declared: set[str] = set()
    orders: dict[str, list[str]] = {}
    edges: set[Edge] = set()
    for row in trace.raw:
        kind = row[1]
        if kind == "recv":
            if len(row) == 3:
                fields = row[2]
                actor, sender, content = fields["actor"], fields["sender"], fields["message"]
            else:  # no dict is made of it, because every run of a search is looked at
                _, _, actor, sender, _, content, _, _ = row
            message = name_of(content)
            if (order := orders.get(actor)) is None:
                order = orders[actor] = []
            place = len(order) + 1, content
            elder, other = first.setdefault((actor, sender, message), place)
            if elder != place[0]:
                order[elder] = inside(other)
            order += sender, (message if elder == place[0] else inside(content))
            edges.add((actor, states.get(actor, ""), message))
            if actor not in declared:
                states[actor] = message
        elif kind == "state" and "actor" in (fields := named(row)):
            actor = fields["actor"]
            declared.add(actor)
            said = [f"{name}={stable_repr(value)}" for name, value in fields.items() if name not in _WHOSE]
            states[actor] = stable_repr(fields["value"]) if len(said) == 1 and "value" in fields else " ".join(said)
    return orders, edges


def inside(value: Any, depth: int = 3) -> str:
    """Return what is in a message, as far as it is the same in every run: of large ones the beginning."""
    kind = value.__class__
    if kind is str:
        return value if len(value) <= _MOST_TEXT else f"{value[:_MOST_TEXT]} {value[-_MOST_TEXT:]} {len(value)}"
    if kind is int:
        return str(value % (1 << 61))
    if kind is float or kind is bool or value is None:
        return repr(value)
    if isinstance(value, Enum):
        return value.name
    name = str(kind.__name__)
    if depth and isinstance(value, tuple | list):
        items: Iterable[Any] = value[:_MOST_ITEMS]
    elif depth and kind is dict:
        items = itertools.islice(itertools.chain.from_iterable(value.items()), _MOST_ITEMS)
    elif depth and hasattr(kind, "__dataclass_fields__"):
        items = (getattr(value, field, None) for field in itertools.islice(kind.__dataclass_fields__, _MOST_ITEMS))
    else:
        return name
    return f"{name}({', '.join([inside(item, depth - 1) for item in items])})"


def name_of(message: Any) -> str:
    """Return what a message is called: its class, or what it says if that is a word."""
    kind = message.__class__
    if kind is tuple and message:
        message = message[0]
        kind = message.__class__
    if kind is str:
        return message if len(message) <= _LONGEST else "str"
    if isinstance(message, Enum):
        return message.name
    return str(kind.__name__)
