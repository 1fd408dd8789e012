"""Names that an oracle goes by: one that never comes up in a search has the oracle hold whatever happens."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from .trace import Trace

Key: TypeAlias = tuple[str, str, str]
_NAMED = 12


@dataclass(frozen=True, slots=True)
class Name:
    """A name that an oracle, or the scenario, goes by.

    Args:
        oracle: who goes by it.
        noun: what it is the name of.
        name: the name.
        there: which names of the kind there are in a run.
        nothing: what is said where there is none of the kind at all; "" where that is no fault of the name's.
    """

    oracle: str
    noun: str
    name: str
    there: Callable[[Trace], Iterable[str]] = field(compare=False, repr=False)
    nothing: str = ""

    @property
    def key(self) -> Key:
        """What tells one from another, in every process."""
        return self.oracle, self.noun, self.name

    def why(self, there: Collection[str]) -> str:
        """Say that it never came up, and what did instead; "" where it has no fault."""
        if not there:
            return f"{self.oracle}: {self.nothing}" if self.nothing else ""
        known = ", ".join(map(str, sorted(there)[:_NAMED])) + (", …" if len(there) > _NAMED else "")
        return f"{self.oracle}: there is no {self.noun} {self.name!r}.{meant(self.name, there)} There are: {known}"


@dataclass(frozen=True, slots=True)
class Oracle:
    """An invariant that goes by names.

    Args:
        check: the invariant.
        names: each must come up in some run of a search.
    """

    check: Callable[[Trace], object]
    names: tuple[Name, ...]

    def __call__(self, trace: Trace) -> None:
        self.check(trace)


def meant(name: str, there: Collection[str]) -> str:
    """Return the question whether a name that there is was meant, or ""; one of an actor below others, too."""
    last = {path.rpartition("/")[2]: path for path in sorted(there, reverse=True)}
    close = difflib.get_close_matches(name, there, 1) or [last[it] for it in difflib.get_close_matches(name, last, 1)]
    return f" Did you mean {close[0]!r}?" if close else ""


def actors(trace: Trace) -> set[str]:
    """The paths of the actors that there were in a run."""
    return {row["actor"] for _, kind, row in trace.rows if kind == "spawn"}


def sides(trace: Trace) -> set[str]:
    """Whatever messages go between in a run: actors, those above them, and tasks."""
    found: set[str] = set()
    for _, kind, row in trace.rows:
        if kind in ("spawn", "send", "ask"):
            for path in (row["actor"], row.get("sender") or "client"):
                parts = path.split("/")
                found.update("/".join(parts[:count]) for count in range(1, len(parts) + 1))
    return found
