"""Faults as plain data: frozen values, so that a plan of them can be drawn, shrunk, printed and put into a token.

A fault with ``nth=None`` may strike at any message: each run draws where, and whether at all. A fault with a number
strikes there in every run.

What the delivery contract promises stays promised: a message between local actors is never lost or repeated, so
`Drop` and `Duplicate` are for actors the scenario declares to be beyond a network (``sim.remote("path")``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, TypeAlias

from .errors import FaultRefused


@dataclass(frozen=True, slots=True)
class _Fault:
    actor: str
    """The path of the actor it strikes."""
    nth: int | None = None
    """At which of its messages, from 1; None for any."""

    phases: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if not self.actor:
            raise FaultRefused(f"{self!r} names no actor")
        if self.nth is not None and self.nth < 1:
            raise FaultRefused(f"{self!r}: messages are counted from 1")


@dataclass(frozen=True, slots=True)
class Crash(_Fault):
    """The actor crashes with `InjectedCrash` at a message.

    ``when``: ``before`` the handler, ``in`` it at its first suspension (a handler that never suspends is spared),
    or ``after`` it, with its effects done and its answer not sent.
    """

    when: Literal["before", "in", "after"] = "before"

    def __post_init__(self) -> None:
        _Fault.__post_init__(self)
        if self.when not in ("before", "in", "after"):
            raise FaultRefused(f"{self!r}: when is before, in or after")


@dataclass(frozen=True, slots=True)
class Kill(_Fault):
    """The actor ends for good at a message, whatever its supervisor would do: that message is not processed."""


@dataclass(frozen=True, slots=True)
class Slow(_Fault):
    """The actor takes a message up only after ``seconds``."""

    seconds: float = 10.0

    def __post_init__(self) -> None:
        _Fault.__post_init__(self)
        if self.seconds <= 0:
            raise FaultRefused(f"{self!r}: seconds must be positive")


@dataclass(frozen=True, slots=True)
class Delay(_Fault):
    """A message to the actor arrives ``seconds`` later, and so do the same sender's next ones: order is kept."""

    seconds: float = 1.0

    def __post_init__(self) -> None:
        _Fault.__post_init__(self)
        if self.seconds <= 0:
            raise FaultRefused(f"{self!r}: seconds must be positive")


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
        if self.what not in ("rate_limited", "overloaded", "timeout", "cut", "malformed"):
            raise FaultRefused(f"{self!r}: {self.what!r} is not a provider fault")
        if self.after < 0 or self.seconds < 0:
            raise FaultRefused(f"{self!r}: after and seconds must not be negative")


Fault: TypeAlias = Crash | Kill | Slow | Delay | Drop | Duplicate | ProviderFault
_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (Crash, Kill, Slow, Delay, Drop, Duplicate, ProviderFault)
}
PROCESSING = (Crash, Kill, Slow)
SENDING = (Delay, Drop, Duplicate)


def describe(fault: Fault) -> str:
    """Return the fault in words."""
    where = f"{fault.actor}, message {fault.nth}" if fault.nth else f"{fault.actor}, any message"
    extra = {f.name: getattr(fault, f.name) for f in fields(fault) if f.name not in ("actor", "nth")}
    inside = " ".join(f"{name}={value}" for name, value in extra.items())
    return f"{type(fault).__name__.lower()} {where}{' (' + inside + ')' if inside else ''}"


def to_data(fault: Fault) -> dict[str, Any]:
    """Return the fault as JSON data."""
    return {"kind": type(fault).__name__, **asdict(fault)}


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
