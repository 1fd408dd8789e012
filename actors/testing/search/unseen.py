"""Which names that oracles go by never came up in a search: such an oracle tests nothing, and must not look like it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..errors import OracleSawNothing
from ..trace.invariants import Invariant
from ..trace.names import Key, Name, Oracle
from .running.run import Run


class Unseen:
    """The names that have not come up yet.

    Args:
        invariants: of the search; what a scenario names itself comes with its runs.
    """

    def __init__(self, invariants: Sequence[Invariant]) -> None:
        self._names = tuple(
            name for invariant in invariants if isinstance(invariant, Oracle) for name in invariant.names
        )
        self._missed: dict[Key, tuple[Name, set[str]]] = {}
        self.seen: set[Key] = set()

    def look(self, run: Run) -> None:
        """See which come up in a run."""
        for name in (*self._names, *run.names):
            key = name.key
            if key in self.seen:
                continue
            there = set(name.there(run.trace))
            if name.name in there:
                self.seen.add(key)
            else:
                self._missed.setdefault(key, (name, set()))[1].update(there)

    def left(self) -> dict[Key, str]:
        """Return those that came up in no run, and what is to be said of them."""
        return {
            key: why for key, (name, there) in self._missed.items() if key not in self.seen and (why := name.why(there))
        }


def saw_nothing(reasons: Iterable[str], where: str) -> OracleSawNothing:
    """Return the error that names what never came up.

    Args:
        reasons: `Name.why`.
        where: in what it did not.
    """
    return OracleSawNothing("\n".join([f"held whatever happened, in {where}:", *(f"  {why}" for why in reasons)]))
