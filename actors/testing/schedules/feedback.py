"""Schedules that learn: those that came to something new are gone back to, and gone on from in other ways.

After Wolff, Shi, Duck, Mathur and Roychoudhury, "Greybox Fuzzing for Concurrency Testing", ASPLOS 2024, with what
actors take up in place of reads-from pairs; more effort for what was seen rarely after Böhme, Pham and Roychoudhury,
"Coverage-based Greybox Fuzzing as Markov Chain", CCS 2016; and the way back to where something was new before going on
by chance after Ecoffet, Huizinga, Lehman, Stanley and Clune, "First return, then explore", Nature 590, 2021.

By chance alone, a bug behind five states that each take one in eight needs 8⁵ schedules; where each state can be told
from the others it needs about 5 · 8.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..loop.lanes.lanes import Schedule
from . import sampling
from .plan import Prefix

_FIRST = 8
"""Schedules that start afresh before any is gone back to: what chance finds soon is found as soon as by chance."""
_FRESH = 0.1
"""How many of the later ones start afresh."""
_PROMPT = 0.7
"""How many of those that part from an earlier run go on with what was sent first."""
_BACK = (0, 0, 1, 2, 4, 8)
"""How many choices before the new thing to go back to: what it led to may have been sent already."""
_RARITY = 2
"""Something that came up in twice as many runs is gone back to a fourth as often. With a half as often, most runs go
back to what has been gone on from in many ways already."""
_ELSEWHERE = 0.5
"""How many of those that go back have the faults that leave their place open at other places."""


@dataclass(slots=True)
class _Known:
    """Something that was seen: the run that came to it with the fewest choices, and how many runs came to it."""

    picks: Sequence[int]
    at: int
    faults: Any
    runs: int = 0


class Feedback:
    """What the runs so far have come to, and the next schedules to try."""

    def __init__(self) -> None:
        self._known: dict[Hashable, _Known] = {}
        self._runs = 0

    def learn(self, seen: Mapping[Hashable, int], picks: Sequence[int], faults: Any) -> None:
        """Take down a run.

        Args:
            seen: what it came to, each with the number of choices made until then, in order.
            picks: all its choices.
            faults: its faults.
        """
        self._runs += 1
        for what, at in seen.items():
            if len(picks) - at < 2:  # too late to go on from there in another way
                continue
            known = self._known.get(what)
            if known is None:
                known = self._known[what] = _Known(picks, at, faults)
            elif at < known.at:
                known.picks, known.at, known.faults = picks, at, faults
            known.runs += 1

    def schedule(self, seed: int) -> tuple[Schedule, Any]:
        """Return the next schedule to try, and the faults it goes with; None has new ones drawn.

        Args:
            seed: decides what is left to chance.
        """
        rng = random.Random(f"feedback:{seed}")
        fresh = sampling.schedule("feedback", seed)
        if self._runs < _FIRST or not self._known or rng.random() < _FRESH:
            return fresh, None
        every = list(self._known.values())
        known = rng.choices(every, [known.runs**-_RARITY for known in every])[0]
        faults = None if rng.random() < _ELSEWHERE else known.faults
        if rng.random() < _PROMPT:
            fresh = sampling.Prompt(rng)
        return Prefix(known.picks[: max(0, known.at - rng.choice(_BACK))], fresh), faults
