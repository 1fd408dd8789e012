"""What faults leave open, and drawing it: each run gets faults that leave nothing open."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from ..trace.trace import Trace
from .faults import PHASES, Buggify, Crash, Fault, Restart

Chances: TypeAlias = "Counter[tuple[str, str]]"
"""How often there was something to strike, by what is struck (`Fault.strikes`) and whose it is."""
Waits: TypeAlias = dict[str, set[int]]
"""At which messages of each actor its handler waited."""
_MOST_TIMES = 30
"""About how often a `Buggify` strikes in one run at most: each time is a deviation, which shrinking may leave out."""


def is_settled(fault: Fault) -> bool:
    """Whether nothing is left open: it strikes at the same place in every run."""
    return fault.nth is not None and not (isinstance(fault, Crash | Restart) and fault.when == "any")


def settle(fault: Fault, nth: int, when: str = "before") -> Fault:
    """Return the fault with nothing left open.

    Args:
        fault: with or without a number.
        nth: where it strikes if it has none.
        when: the phase of a crash or a restart where it may be any.
    """
    if fault.nth is None:
        fault = replace(fault, nth=nth)
    if isinstance(fault, Crash | Restart) and fault.when == "any":
        fault = replace(fault, when=when)  # type: ignore[arg-type]
    return fault


def is_one_of(settled: Fault, fault: Fault) -> bool:
    """Whether a settled fault is what ``fault`` may become."""
    if fault.nth is None:
        settled = replace(settled, nth=None)
    if isinstance(fault, Crash | Restart) and fault.when == "any" and isinstance(settled, Crash | Restart):
        settled = replace(settled, when="any")
    return settled == fault


def chances(trace: Trace, found: Chances) -> Chances:
    """Count where faults could have struck in a run.

    Args:
        trace: shows which messages were taken up and sent.
        found: what the injector counted itself; messages sent it counts only where a fault may strike them.
    """
    counts: Chances = Counter({key: count for key, count in found.items() if key[0] != "send"})
    for _, kind, row in trace.rows:
        if kind == "spawn":
            counts["recv", row["actor"]] += 0
            counts["send", row["actor"]] += 0
        elif kind == "recv":
            counts["recv", row["actor"]] += 1
        elif kind in ("send", "ask"):
            counts["send", row["actor"]] += 1
    return counts


def place(faults: Sequence[Fault], counts: Chances, waits: Waits, rng: random.Random) -> tuple[Fault, ...]:
    """Settle what the faults leave open by chance; those without a number may be left out.

    Args:
        faults: those that leave nothing open are returned as they are.
        counts: `chances` in an ordinary run; a fault may also fall on the first one beyond.
        waits: at which messages of each actor the handler waited in an ordinary run, and may crash ``in`` it.
        rng: where the chances come from.
    """
    placed: list[Fault] = []
    for fault in faults:
        if is_settled(fault):
            placed.append(fault)
            continue
        nth = fault.nth
        if nth is None:
            if rng.random() < 0.25:
                continue
            if isinstance(fault, Buggify):
                reached = counts[fault.strikes, fault.target] + 1
                chance = min(fault.probability, _MOST_TIMES / reached)
                placed += [settle(fault, time) for time in range(1, reached + 1) if rng.random() < chance]
                continue
            nth = 1 + int(rng.random() * (counts[fault.strikes, fault.target] + 1))
        handler_waits = isinstance(fault, Crash) and nth in waits.get(fault.target, ())
        phases = [phase for phase in PHASES if phase != "in" or handler_waits]
        placed.append(settle(fault, nth, phases[int(rng.random() * len(phases))]))
    return tuple(placed)
