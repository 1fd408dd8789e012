"""What the command line asks of the simulations of one test, and what is wrong with the test although it passed."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import SimulationError, TokenRefused
from ..faults.faults import Fault
from ..faults.struck import nothing
from ..trace.names import Key
from .coverage import Coverage
from .unseen import saw_nothing


@dataclass(slots=True)
class Settings:
    """What the command line asks for: more seeds than a test's own number, or one token instead of a search."""

    test: str = ""
    """The test's name for a command line; "" where pytest's plugin runs none."""
    draws: str = ""
    """The name by which a token's example finds the test again; "" where the plugin cannot have Hypothesis draw it."""
    redraws: bool = False
    """Whether Hypothesis draws the token's example in this test, and no other."""
    seeds: int | None = None
    replay: str | None = None
    refused: list[TokenRefused] = field(default_factory=list)
    replayed: bool = False
    struck: set[Fault] = field(default_factory=set)
    """The faults that struck in some example of a test whose examples Hypothesis draws."""
    unstruck: dict[Fault, tuple[int, str]] = field(default_factory=dict)
    """Those that struck nothing in some example: why, and how many chances there were, in the one with most."""
    seen: set[Key] = field(default_factory=set)
    """The names of oracles that came up in some example."""
    unseen: dict[Key, str] = field(default_factory=dict)
    """Those that came up in no schedule of some example, and what is to be said of them."""
    covered: list[Coverage] = field(default_factory=list)
    """What each simulation of the test has covered."""

    def begin(self, seeds: int | None = None, replay: str | None = None, test: str = "", draws: str = "") -> None:
        """Begin a test."""
        self.test, self.draws, self.redraws = test, draws, False
        self.seeds, self.replay, self.replayed = seeds, replay, False
        self.refused.clear()
        self.struck.clear()
        self.unstruck.clear()
        self.seen.clear()
        self.unseen.clear()
        self.covered.clear()

    def verdict(self) -> SimulationError | None:
        """What is wrong with a test that passed: its token was of no use, or a fault struck nothing in any example, or
        a name that an oracle goes by came up in none."""
        if self.refused and not self.replayed:
            return TokenRefused("; ".join(list(dict.fromkeys(map(str, self.refused)))[:3]))
        left = [(fault, why) for fault, (_, why) in self.unstruck.items() if fault not in self.struck]
        if left:
            return nothing(left, "any schedule of any example")
        unseen = [why for key, why in self.unseen.items() if key not in self.seen]
        return saw_nothing(unseen, "any schedule of any example") if unseen else None


settings = Settings()
