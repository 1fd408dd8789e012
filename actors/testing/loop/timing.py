"""Time as a choice: how long steps take, how late timers and messages are, how far clocks are apart.

Without it time passes only where nothing can run, so that a deadline that work on the processor just misses, or a lease
that is counted from the wrong moment, never shows. What varies is data: each way in which time varies in a run is a
`Variation` with a seed of its own, part of the plan like a fault, so that it is written into tokens and left out where
the failure does not need it. All is drawn by stable keys, so that leaving one thing out moves no other draw.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, TypeAlias, get_args

from ....providers.latency import Latency
from ...core.system import current
from ..errors import TimingRefused
from ..trace.checks import MOST_SECONDS, is_number
from .isolation.clocks import EPOCH
from .loop import SimulationLoop

What: TypeAlias = Literal["step", "drift", "messages", "replies", "provider", "skew"]
_WHAT: Final[tuple[What, ...]] = get_args(What)
_IN_WORDS: Final = {
    "step": "steps take time",
    "drift": "timers fire early or late",
    "messages": "messages take time",
    "replies": "replies take time",
    "provider": "models take time",
    "skew": "wall clocks are apart",
}
_LEFT_OUT: Final = 0.25
"""How often a schedule goes without one of them."""
_DENSITY: Final = (1.0, 0.3, 0.1, 0.03)
"""Which share of a run's steps takes time: many short delays and few long ones show different bugs."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What may vary about time from schedule to schedule. In the ordinary one, which runs first, nothing does.

    Args:
        step: the most a step of the loop may take, in seconds: what is due meanwhile is due before the next one.
        drift: how early or late a timer may fire, as a part of its time: 0.01 is one in a hundred.
        messages: how long a message, told or asked, is on its way. A sender's messages to one receiver stay in order.
        replies: how long a reply is. Replies of one actor to one asker stay in order.
        provider: how long `ScriptedModel` and `FunctionModel` take to answer.
        skew: how far apart, in seconds, the wall clocks of two systems may be; the first system's is right.

    Raises:
        TimingRefused: a value makes no sense, or nothing varies.
    """

    step: float = 0.0
    drift: float = 0.0
    messages: Latency | None = None
    replies: Latency | None = None
    provider: Latency | None = None
    skew: float = 0.0

    def __post_init__(self) -> None:
        for name in ("step", "drift", "skew"):
            value = getattr(self, name)
            if not is_number(value) or value < 0:
                raise TimingRefused(f"{name}={value!r:.80}: it is a number from 0 to {MOST_SECONDS:g}")
        if self.drift >= 1:
            raise TimingRefused(f"drift={self.drift!r}: a part of a timer's time, below 1")
        for name in ("messages", "replies", "provider"):
            value = getattr(self, name)
            if value is None:
                continue
            if not isinstance(value, Latency):
                raise TimingRefused(f"{name}={value!r}: it is a Latency(median, p99)")
            if not (is_number(value.median) and is_number(value.p99) and value.median > 0 and value.p99 >= 0):
                raise TimingRefused(f"{name}={value!r}: its seconds are numbers above 0")
            if 0 < value.p99 < value.median:
                raise TimingRefused(f"{name}={value!r}: p99 is below the median; leave it out where nothing is spread")
        if not self.kinds:
            raise TimingRefused(f"nothing varies: give one of {', '.join(_WHAT)}")

    @property
    def kinds(self) -> tuple[What, ...]:
        """What varies."""
        return tuple(what for what in _WHAT if getattr(self, what))

    def drawn(self, seed: int) -> tuple[Variation, ...]:
        """Return what varies in one schedule.

        Args:
            seed: the schedule's.
        """
        kept = [what for what in self.kinds if chance(seed, "varies", what) >= _LEFT_OUT]
        return tuple(Variation(what, seed) for what in kept)


@dataclass(frozen=True, slots=True)
class Variation:
    """One way in which time varies in a run: a part of its plan, beside the faults, and there as one of them.

    Args:
        what: the field of `Timing` it is.
        seed: which of the ways it may vary in.
    """

    what: What
    seed: int

    nth: int | None = field(default=1, repr=False)
    """Faults have one; this is there from the beginning on."""
    strikes: ClassVar[str] = "time"
    optional: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.what not in _WHAT or not isinstance(self.seed, int):
            raise TimingRefused(f"{self!r}: it is one of {', '.join(_WHAT)}, and a whole number")

    @property
    def target(self) -> str:
        """Whom it strikes: nobody alone."""
        return ""

    def __str__(self) -> str:
        return f"{_IN_WORDS[self.what]} ({self.what}, seed {self.seed})"


def chance(*key: object) -> float:
    """Return a number from 0 to below 1 that depends on nothing but the key, in every process."""
    text = ":".join(map(str, key)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=7).digest()) / (1 << 56)


class Timekeeper:
    """What time does in one run.

    Args:
        timing: how far time may vary.
        variations: in which ways it does.
    """

    def __init__(self, timing: Timing, variations: Sequence[Variation]) -> None:
        self._timing = timing
        self._seeds = {variation.what: variation.seed for variation in variations}
        self._counts: Counter[tuple[object, ...]] = Counter()
        self._until: dict[tuple[object, ...], float] = {}

    def keep(self, loop: SimulationLoop) -> None:
        """Have a loop's time vary."""
        if (seed := self._seeds.get("step")) is not None:
            loop.cost = self._cost(seed, loop)
        if (seed := self._seeds.get("drift")) is not None:
            loop.drift = self._drift(seed, loop)

    def _cost(self, seed: int, loop: SimulationLoop) -> Callable[[], float]:
        most = self._timing.step
        density = _DENSITY[int(chance(seed, "density") * len(_DENSITY))]

        def cost() -> float:
            lane = loop._running_lane
            drawn = chance(seed, "step", lane.label, lane.turn or loop.steps)
            return most * drawn / density if drawn < density else 0.0

        return cost

    def _drift(self, seed: int, loop: SimulationLoop) -> Callable[[], float]:
        most = self._timing.drift

        def drift() -> float:
            who = loop._running_lane.label
            return 1.0 + most * (2.0 * chance(seed, "drift", who, self._next("drift", who)) - 1.0)

        return drift

    def _next(self, *key: object) -> int:
        self._counts[key] += 1
        return self._counts[key]

    def varies(self, what: What) -> bool:
        """Whether this is one of the ways in which time varies."""
        return what in self._seeds

    def on_its_way(self, what: Literal["messages", "replies"], source: str, target: str, now: float) -> float:
        """Return the seconds that what one sends to another takes to arrive; nothing overtakes what was sent before."""
        key = (what, source, target)
        arrives = max(now + self._latency(what, source, target), self._until.get(key, 0.0))
        self._until[key] = arrives
        return arrives - now

    def answering(self, path: str) -> float:
        """Return the seconds that a model takes to answer."""
        return self._latency("provider", path)

    def _latency(self, what: Literal["messages", "replies", "provider"], *who: str) -> float:
        seed = self._seeds.get(what)
        latency: Latency | None = getattr(self._timing, what)
        if seed is None or latency is None:
            return 0.0
        key = ":".join((str(seed), what, *who, str(self._next(what, *who))))
        return latency.draw(random.Random(key))

    def wall(self, loop: SimulationLoop) -> Callable[[], float] | None:
        """Return what a wall clock shows: in each system but the first another time; None where there is one time."""
        seed = self._seeds.get("skew")
        if seed is None:
            return None
        most = self._timing.skew

        def wall() -> float:
            system: Any = current.get()
            number = getattr(None if system is None else system.runtime.probe, "number", 1)
            apart = 0.0 if number == 1 else most * (2.0 * chance(seed, "skew", number) - 1.0)
            return EPOCH + loop.time() + apart

        return wall
