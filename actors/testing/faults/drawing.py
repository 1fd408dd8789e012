"""What faults leave open, and drawing it: each run gets faults that leave nothing open.

Seeds go through the places of a fault as through a pack of cards, shuffled anew when it is used up, so that none comes
twice before all have come; several faults have a pack each. A seed's place does not depend on what ran before.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from ..trace.trace import Trace
from .faults import PHASES, Buggify, Crash, Fault, Restart

Chances: TypeAlias = "Counter[tuple[str, str]]"
"""How often there was something to strike, by what is struck (`Fault.strikes`) and whose it is."""
Waits: TypeAlias = dict[str, set[int]]
"""At which messages of each actor its handler waited."""
_LEFT_OUT = 0.25
"""In how many of its runs a fault without a number is left out."""
DRAWS = 8
"""How often what is left to chance is drawn again where all that it leads to has been run."""
_EARLY = 3
"""Of so many places by chance the earliest is taken, of a fault whose turn it is not."""
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


def places_of(fault: Fault, counts: Chances, waits: Waits, beyond: int = 0) -> list[Fault]:
    """Return what a fault may become, early ones first.

    Args:
        fault: with or without a number.
        counts: `chances` in an ordinary run.
        waits: at which messages of each actor the handler waited in an ordinary run, and may crash ``in`` it.
        beyond: at how many more than there were it may strike: another schedule may have more.
    """
    numbers = [fault.nth] if fault.nth else range(1, counts[fault.strikes, fault.target] + beyond + 1)
    found: list[Fault] = []
    for nth in numbers:
        handler_waits = isinstance(fault, Crash) and nth in waits.get(fault.target, ())
        phases = [phase for phase in PHASES if phase != "in" or handler_waits]
        found += dict.fromkeys(settle(fault, nth, phase) for phase in phases)
    return found


class Drawing:
    """Settles what the faults of a search leave open, each at all its places before at any a second time.

    Args:
        faults: those that leave nothing open stay as they are; of the others, those without a number may be left out.
        counts, waits: as for `places_of`.
    """

    def __init__(self, faults: Sequence[Fault], counts: Chances, waits: Waits) -> None:
        self._faults = faults
        self._counts = counts
        self._open = {
            index: places_of(fault, counts, waits, beyond=1)
            for index, fault in enumerate(faults)
            if not is_settled(fault) and not _is_by_chance(fault)
        }
        self._orders: dict[int, tuple[int, list[Fault | None]]] = {}
        self._tried: Counter[tuple[int, Fault | None]] = Counter()
        self._turn = 0

    def of_seed(self, seed: int, again: int = 0) -> tuple[Fault, ...]:
        """Return the faults of a seed: in as many seeds in a row as a fault has places, it is at each of them.

        Args:
            seed: which one.
            again: how often what was drawn for it was of no use.
        """
        rng = random.Random(f"{seed}:{again}")
        return self._settled({index: self._in_turn(index, seed) for index in self._open} if not again else {}, rng)

    def _in_turn(self, index: int, seed: int) -> Fault | None:
        fault, found = self._faults[index], self._open[index]
        left_out = 0 if fault.nth else max(1, round(len(found) * _LEFT_OUT / (1 - _LEFT_OUT)))
        cycle, at = divmod(seed, len(found) + left_out)
        known = self._orders.get(index)
        if known is None or known[0] != cycle:
            order = [*found, *[None] * left_out]
            random.Random(f"{index}:{cycle}").shuffle(order)
            known = self._orders[index] = cycle, order
        return known[1][at]

    def least_tried(self, seed: int, of_use: Callable[[tuple[Fault, ...]], bool]) -> tuple[Fault, ...] | None:
        """Return the faults at places that were tried least; one of them, another one each time, at the earliest of
        these, after which most is left to happen. None where nothing is of use.

        Args:
            seed: decides what is left to chance.
            of_use: whether what some faults lead to has not all been run.
        """
        rng = random.Random(~seed)
        first = self._turn % len(self._open) if self._open else 0
        self._turn += 1
        by_turns = {index: self._seldom(index) for index in self._open}
        chosen: dict[int, Fault | None] = {}
        for draw in range(len(by_turns[[*by_turns][first]]) if by_turns else DRAWS):
            for number, (index, found) in enumerate(by_turns.items()):
                if number == first:
                    chosen[index] = found[draw]
                elif rng.random() < _LEFT_OUT and not self._faults[index].nth:
                    chosen[index] = None
                else:
                    least = [each for each in found if self._tried[index, each] == self._tried[index, found[0]]]
                    chosen[index] = least[min(rng.randrange(len(least)) for _ in range(_EARLY))]
            faults = self._settled(chosen, rng)
            if of_use(faults):
                self._tried.update(chosen.items())
                return faults
        return None

    def _seldom(self, index: int) -> list[Fault | None]:
        """What a fault may become, what was tried least first, and of that what is early."""
        left_out: list[Fault | None] = [] if self._faults[index].nth else [None]
        return sorted([*left_out, *self._open[index]], key=lambda each: self._tried[index, each])

    def _settled(self, chosen: Mapping[int, Fault | None], rng: random.Random) -> tuple[Fault, ...]:
        """Return the faults as they are chosen, the others of those that leave something open by chance."""
        settled: list[Fault] = []
        for index, fault in enumerate(self._faults):
            if index in chosen:
                settled += [each for each in [chosen[index]] if each is not None]
            elif is_settled(fault):
                settled.append(fault)
            elif fault.nth is None and rng.random() < _LEFT_OUT:
                continue
            elif isinstance(fault, Buggify):
                reached = self._counts[fault.strikes, fault.target] + 1
                chance = min(fault.probability, _MOST_TIMES / reached)
                settled += [settle(fault, time) for time in range(1, reached + 1) if rng.random() < chance]
            else:
                settled.append(rng.choice(self._open[index]))
        return tuple(settled)


def _is_by_chance(fault: Fault) -> bool:
    """Whether it strikes several times in a run, each by chance."""
    return isinstance(fault, Buggify) and fault.nth is None
