"""What a run came to, and after how many choices, for a search that learns."""

from __future__ import annotations

import itertools
from collections.abc import Hashable
from enum import Enum
from typing import Any

from ...trace.trace import Trace, named
from ..coverage import name_of
from .scenario import Simulation

_EXACT = 8
"""Numbers up to which each is a state of its own; beyond, those of one binary order of magnitude are alike."""


class Behaviour:
    """Takes down, beside each event of a run, how many choices had been made, and what an actor's attributes were once
    it had processed a message."""

    def begin(self, sim: Simulation) -> None:
        """Take down a run from its beginning, perhaps one that has to begin anew."""
        self._choices: list[int] = []
        self._states: dict[int, list[tuple[str, str]]] = {}
        self._cells: dict[str, Any] = {}
        rows, picks, dispatcher = sim.trace.raw, sim.loop.picks, sim.loop.callboard_dispatcher
        assert dispatcher is not None

        def append(row: tuple[Any, ...]) -> None:
            if row[1] == "done":
                cell = self._cells.get(named(row)["actor"])
                if cell is not None:
                    self._states[len(rows)] = attributes(cell.actor)
            rows.append(row)
            self._choices.append(len(picks))

        def dispatch(cell: Any) -> None:
            self._cells[cell.label] = cell
            dispatcher(cell)

        sim._append = append
        sim.loop.callboard_dispatcher = dispatch

    def seen(self, trace: Trace) -> dict[Hashable, int]:
        """Return what the run came to, each with the number of choices made by then, in order.

        That is: an actor's message after another one; a message that left an attribute at a value, or two of them; a
        mark, and a state that the scenario named. An attribute that never changed in the run tells nothing.
        """
        found: dict[Hashable, int] = {}
        last: dict[str, tuple[Any, str]] = {}
        names: dict[Any, str] = {}
        rows = trace.rows[: len(self._choices)]
        values: dict[tuple[str, str], set[str]] = {}
        for index, states in self._states.items():
            if index < len(rows):
                for name, value in states:
                    values.setdefault((rows[index][2]["actor"], name), set()).add(value)
        for index, ((_, kind, row), at) in enumerate(zip(rows, self._choices, strict=False)):
            if kind == "recv":
                actor = row["actor"]
                message = (row["sender"], name_of(row["message"]))
                names[row["id"]] = message[1]
                found.setdefault(("recv", actor, last.get(actor), message), at)
                last[actor] = message
            elif kind == "done":
                actor = row["actor"]
                changing = [each for each in self._states.get(index, ()) if len(values[actor, each[0]]) > 1]
                for state in changing:
                    found.setdefault(("done", actor, names.get(row["id"]), state), at)
                for pair in itertools.combinations(changing, 2):
                    found.setdefault(("both", actor, pair), at)
            elif kind not in _PLAIN:
                said = tuple((name, value_of(value)) for name, value in row.items() if name not in _PASSING)
                found.setdefault((kind, said), at)
        return found


_PASSING = ("id", "sender", "message")
_PLAIN = ("send", "ask", "spawn", "started", "stopped", "dead", "system_stopping", "system_stopped")


def attributes(actor: Any) -> list[tuple[str, str]]:
    """Return what can be told cheaply of an actor's attributes: small values, and how many there are of something."""
    return [(name, value) for name, item in vars(actor).items() if (value := value_of(item)) and name[:2] != "__"]


def value_of(value: Any) -> str:
    """Return a value, if it is small or a number, of a collection how large it is, and else nothing."""
    kind = value.__class__
    if value is None or kind is bool:
        return str(value)
    if kind is str:
        return name_of(value)
    if isinstance(value, Enum):
        return value.name
    try:
        if kind is int or kind is float:
            size = abs(int(value))
            return f"{'-' if value < 0 else ''}{size if size <= _EXACT else f'2**{size.bit_length()}'}"
        return f"{len(value)} items"
    except Exception:  # infinite, or without a length
        return ""
