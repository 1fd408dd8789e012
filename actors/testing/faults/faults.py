"""Faults as plain data: frozen values, so that a plan of them can be drawn, shrunk, printed and put into a token.

A fault with ``nth=None`` may strike at any message: each run draws where, and whether at all. A fault with a number
strikes there in every run, and a crash with ``when="any"`` in a phase that each run draws. A fault that struck nothing in
any schedule fails the test by name, unless it is ``optional``.

What the delivery contract promises stays promised: a message between local actors is never lost or repeated, so
`Drop` and `Duplicate` are for actors the scenario declares to be beyond a network (``sim.remote("path")``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final, Literal, TypeAlias

from ..errors import FaultRefused

PHASES: Final = ("before", "in", "after")
"""When an actor may crash, seen from the handler of a message."""


@dataclass(frozen=True, slots=True)
class _Fault:
    actor: str
    """The path of the actor it strikes."""
    nth: int | None = None
    """At which of its messages, from 1; None for any."""
    optional: bool = field(default=False, kw_only=True)
    """Whether it may strike nothing. One that is not optional and strikes nothing in any schedule is an error."""

    def __post_init__(self) -> None:
        self._require(isinstance(self.actor, str) and self.actor != "", "it names no actor")
        self._require(self.nth is None or (_whole(self.nth) and self.nth >= 1), "nth is a number, counted from 1")

    def _require(self, holds: bool, what: str) -> None:
        if not holds:
            raise FaultRefused(f"{self!r}: {what}")


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True, slots=True)
class Crash(_Fault):
    """The actor crashes with `InjectedCrash` at a message.

    ``when``: ``before`` the handler, ``in`` it at its first suspension (a handler that never suspends is spared),
    ``after`` it, with its effects done and its answer not sent, or ``any`` of these.
    """

    when: Literal["any", "before", "in", "after"] = "any"

    def __post_init__(self) -> None:
        _Fault.__post_init__(self)
        self._require(self.when in ("any", *PHASES), "when is any, before, in or after")


@dataclass(frozen=True, slots=True)
class Kill(_Fault):
    """The actor ends for good at a message, whatever its supervisor would do: that message is not processed."""


@dataclass(frozen=True, slots=True)
class Slow(_Fault):
    """The actor takes a message up only after ``seconds``."""

    seconds: float = 10.0

    def __post_init__(self) -> None:
        _Fault.__post_init__(self)
        self._require(_seconds(self.seconds) and self.seconds > 0, "seconds is a number above 0")


@dataclass(frozen=True, slots=True)
class Delay(_Fault):
    """A message to the actor arrives ``seconds`` later, and so do the same sender's next ones: order is kept."""

    seconds: float = 1.0

    def __post_init__(self) -> None:
        _Fault.__post_init__(self)
        self._require(_seconds(self.seconds) and self.seconds > 0, "seconds is a number above 0")


@dataclass(frozen=True, slots=True)
class Drop(_Fault):
    """A message to a remote actor is lost."""


@dataclass(frozen=True, slots=True)
class Duplicate(_Fault):
    """A message to a remote actor arrives twice."""


@dataclass(frozen=True, slots=True)
class ProviderFault(_Fault):
    """A provider fails a request.

    ``what``: ``rate_limited`` (429, with ``retry_after`` seconds), ``overloaded`` (500), ``timeout`` (after
    ``seconds``), ``cut`` (the stream ends after ``after`` deltas), or ``malformed`` (the arguments of its tool calls
    are cut JSON).
    """

    what: Literal["rate_limited", "overloaded", "timeout", "cut", "malformed"] = "overloaded"
    retry_after: float | None = 1.0
    seconds: float = 30.0
    after: int = 1

    def __post_init__(self) -> None:
        _Fault.__post_init__(self)
        known = ("rate_limited", "overloaded", "timeout", "cut", "malformed")
        self._require(self.what in known, f"what is one of {', '.join(known)}")
        self._require(_seconds(self.seconds) and self.seconds >= 0, "seconds is a number from 0")
        self._require(
            self.retry_after is None or (_seconds(self.retry_after) and self.retry_after >= 0),
            "retry_after is a number from 0, or None",
        )
        self._require(_whole(self.after) and self.after >= 0, "after is a whole number from 0")


Fault: TypeAlias = Crash | Kill | Slow | Delay | Drop | Duplicate | ProviderFault
_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (Crash, Kill, Slow, Delay, Drop, Duplicate, ProviderFault)
}
PROCESSING = (Crash, Kill, Slow)
SENDING = (Delay, Drop, Duplicate)


def is_settled(fault: Fault) -> bool:
    """Whether nothing is left open: it strikes at the same place in every run."""
    return fault.nth is not None and not (isinstance(fault, Crash) and fault.when == "any")


def settle(fault: Fault, nth: int, when: str = "before") -> Fault:
    """Return the fault with nothing left open.

    Args:
        fault: with or without a number.
        nth: where it strikes if it has none.
        when: the phase of a crash where it may be any.
    """
    if fault.nth is None:
        fault = replace(fault, nth=nth)
    if isinstance(fault, Crash) and fault.when == "any":
        fault = replace(fault, when=when)  # type: ignore[arg-type]
    return fault


def is_one_of(settled: Fault, fault: Fault) -> bool:
    """Whether a settled fault is what ``fault`` may become."""
    if fault.nth is None:
        settled = replace(settled, nth=None)
    if isinstance(fault, Crash) and fault.when == "any" and isinstance(settled, Crash):
        settled = replace(settled, when="any")
    return settled == fault


def describe(fault: Fault) -> str:
    """Return the fault in words."""
    where = f"{fault.actor}, message {fault.nth}" if fault.nth else f"{fault.actor}, any message"
    extra = {f.name: getattr(fault, f.name) for f in fields(fault) if f.name not in ("actor", "nth", "optional")}
    inside = " ".join(f"{name}={value}" for name, value in extra.items())
    return f"{type(fault).__name__.lower()} {where}{' (' + inside + ')' if inside else ''}"


def to_data(fault: Fault) -> dict[str, Any]:
    """Return the fault as JSON data."""
    data = {"kind": type(fault).__name__, **asdict(fault)}
    if not fault.optional:
        del data["optional"]
    return data


def from_data(data: Mapping[str, Any]) -> Fault:
    """Return the fault of `to_data`.

    Raises:
        FaultRefused: it is no such data.
    """
    values = dict(data)
    kind = _KINDS.get(values.pop("kind", ""))
    if kind is None:
        raise FaultRefused(f"{data!r} is not a fault")
    try:
        fault: Fault = kind(**values)
    except TypeError as error:
        raise FaultRefused(f"{data!r} is not a fault: {error}") from None
    return fault
