"""Faults as plain data: frozen values, so that a plan of them can be drawn, shrunk, printed and put into a token.

A fault with ``nth=None`` may strike at any message: each run draws where, and whether at all. A fault with a number
strikes there in every run, and a crash with ``when="any"`` in a phase that each run draws. A fault that struck nothing
in any schedule fails the test by name, unless it is ``optional``.

What the delivery contract promises stays promised: a message between local actors is never lost or repeated, so
`Drop` and `Duplicate` are for actors the scenario declares to be beyond a network (``sim.remote("path")``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Final, Literal, TypeAlias, get_args

from ..errors import FaultRefused
from ..loop.timing import Variation
from ..trace.checks import is_number, is_whole

PHASES: Final = ("before", "in", "after")
"""When an actor may crash, seen from the handler of a message."""
_STORE_FAULTS: Final = ("full", "locked", "unreachable", "lost")
_PROVIDER_FAULTS: Final = ("rate_limited", "overloaded", "timeout", "cut", "malformed")


class _Checked:
    """What faults have in common beside their fields."""

    __slots__ = ()

    strikes: ClassVar[str] = "recv"
    """What is counted: messages taken up (``recv``) or sent (``send``), replies, requests, crossings."""
    nth: int | None
    optional: bool

    @property
    def target(self) -> str:
        """Whose messages are counted."""
        raise NotImplementedError

    def _require(self, holds: bool, what: str) -> None:
        if not holds:
            raise FaultRefused(f"{self!r}: {what}")

    def _check(self, *names: object) -> None:
        self._require(all(isinstance(name, str) and name != "" for name in names), "it names nothing to strike")
        self._require(self.nth is None or (is_whole(self.nth) and self.nth >= 1), "nth is a number, counted from 1")
        self._require(isinstance(self.optional, bool), "optional is True or False")

    def _check_seconds(self, seconds: object) -> None:
        self._require(is_number(seconds) and seconds > 0, "seconds is a number above 0")  # type: ignore[operator]


@dataclass(frozen=True, slots=True)
class _Fault(_Checked):
    actor: str
    """The path of the actor it strikes."""
    nth: int | None = None
    """At which of its messages, from 1; None for any."""
    optional: bool = field(default=False, kw_only=True)
    """Whether it may strike nothing. One that is not optional and strikes nothing in any schedule is an error."""

    def __post_init__(self) -> None:
        self._check(self.actor)

    @property
    def target(self) -> str:
        """The actor."""
        return self.actor


@dataclass(frozen=True, slots=True)
class _Lasting(_Fault):
    seconds: float = 10.0

    def __post_init__(self) -> None:
        _Fault.__post_init__(self)
        self._check_seconds(self.seconds)


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
class Slow(_Lasting):
    """The actor takes a message up only after ``seconds``."""


@dataclass(frozen=True, slots=True)
class Pause(_Lasting):
    """An actor, or a task that is named, is suspended for ``seconds`` before one of its steps, wherever it is.

    So it is with a process whose memory is collected, or a thread that another one took the processor from: clocks and
    all others go on. ``nth`` counts its steps, in the middle of a handler too.
    """

    strikes: ClassVar[str] = "step"


@dataclass(frozen=True, slots=True)
class Delay(_Lasting):
    """A message to the actor arrives ``seconds`` later, and so do the same sender's next ones: order is kept."""

    strikes: ClassVar[str] = "send"
    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Drop(_Fault):
    """A message to a remote actor is lost."""

    strikes: ClassVar[str] = "send"


@dataclass(frozen=True, slots=True)
class Duplicate(_Fault):
    """A message to a remote actor arrives twice."""

    strikes: ClassVar[str] = "send"


@dataclass(frozen=True, slots=True)
class LoseReply(_Fault):
    """A reply of a remote actor is lost: its handler has done its work, and who asked waits for ever."""

    strikes: ClassVar[str] = "reply"


@dataclass(frozen=True, slots=True)
class DelayReply(_Lasting):
    """A reply of the actor arrives ``seconds`` later; who has given up by then does not see it."""

    strikes: ClassVar[str] = "reply"
    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Partition(_Checked):
    """The network between two sides fails for a while: messages and replies between them are lost, then it heals.

    A side is an actor and all below it, or ``client``, or another task that is named. One side at least has to be
    remote (``sim.remote("path")``).
    """

    strikes: ClassVar[str] = "crossing"
    one: str
    """The path of an actor: with all below it one side."""
    other: str
    """The other side."""
    nth: int | None = None
    """At which message or reply between the two it begins, from 1; that one is lost. None for any."""
    seconds: float = 30.0
    """How long it lasts."""
    optional: bool = field(default=False, kw_only=True)
    """Whether it may strike nothing."""

    def __post_init__(self) -> None:
        self._check(self.one, self.other)
        self._check_seconds(self.seconds)
        nested = is_below(self.one, self.other) or is_below(self.other, self.one)
        self._require(not nested, "one side is within the other")

    @property
    def target(self) -> str:
        """Both sides."""
        return f"{self.one} | {self.other}"

    def separates(self, sender: str, receiver: str) -> bool:
        """Whether a message from one path to another goes from one side to the other."""
        one, other = self.one, self.other
        if is_below(sender, one):
            return is_below(receiver, other)
        return is_below(sender, other) and is_below(receiver, one)


def is_below(path: str, side: str) -> bool:
    """Whether a path is a side's, or of an actor below it."""
    return path == side or path.startswith(f"{side}/")


@dataclass(frozen=True, slots=True)
class Buggify(_Checked):
    """A point in the code, ``maybe("cache.evict")``, has its rare thing happen."""

    strikes: ClassVar[str] = "point"
    name: str
    """The point's."""
    nth: int | None = None
    """At which time that it is reached, from 1. None: each time by chance, or not at all in a run."""
    probability: float = 0.25
    """The chance of each time."""
    optional: bool = field(default=False, kw_only=True)
    """Whether it may strike nothing."""

    def __post_init__(self) -> None:
        self._check(self.name)
        self._require(is_number(self.probability) and 0 < self.probability <= 1, "probability is above 0, at most 1")

    @property
    def target(self) -> str:
        """The point."""
        return self.name


@dataclass(frozen=True, slots=True)
class Restart(_Checked):
    """A process is killed as it writes to its journal, as by ``kill -9``, and started again.

    ``when``: ``before`` the commit; ``after`` it, but before anybody has heard of it; ``torn``: by a power cut in its
    middle, which leaves half of it on the disk (only where the journal is an SQLite file); or ``any`` of the first two.
    """

    strikes: ClassVar[str] = "write"
    process: str
    """The process's name."""
    nth: int | None = None
    """At which of its writes, from 1; None for any."""
    when: Literal["any", "before", "after", "torn"] = "any"
    seconds: float = 1.0
    """How long it is down."""
    optional: bool = field(default=False, kw_only=True)
    """Whether it may strike nothing."""

    def __post_init__(self) -> None:
        self._check(self.process)
        self._require(self.when in ("any", "before", "after", "torn"), "when is any, before, after or torn")
        self._check_seconds(self.seconds)

    @property
    def target(self) -> str:
        """The process."""
        return self.process


@dataclass(frozen=True, slots=True)
class StoreFault(_Checked):
    """A process's store fails for a while, from a write of its journal on.

    ``what``: the disk is ``full`` or the file ``locked`` (nothing can be written, no lease renewed); ``unreachable``
    (nor can anything be read); or ``lost``: the write is committed, and its answer is lost, once (not with SQLite,
    which always answers).
    """

    strikes: ClassVar[str] = "write"
    process: str
    """The process's name."""
    nth: int | None = None
    """At which of its writes, from 1; None for any."""
    what: Literal["full", "locked", "unreachable", "lost"] = "unreachable"
    seconds: float = 5.0
    """How long."""
    optional: bool = field(default=False, kw_only=True)
    """Whether it may strike nothing."""

    def __post_init__(self) -> None:
        self._check(self.process)
        self._require(self.what in _STORE_FAULTS, f"what is one of {', '.join(_STORE_FAULTS)}")
        self._check_seconds(self.seconds)

    @property
    def target(self) -> str:
        """The process."""
        return self.process


@dataclass(frozen=True, slots=True)
class ProviderFault(_Fault):
    """A provider fails a request.

    ``what``: ``rate_limited`` (429, with ``retry_after`` seconds), ``overloaded`` (500), ``timeout`` (after
    ``seconds``), ``cut`` (the stream ends after ``after`` deltas), or ``malformed`` (the arguments of its tool calls
    are cut JSON).
    """

    strikes: ClassVar[str] = "request"
    what: Literal["rate_limited", "overloaded", "timeout", "cut", "malformed"] = "overloaded"
    retry_after: float | None = 1.0
    seconds: float = 30.0
    after: int = 1

    def __post_init__(self) -> None:
        _Fault.__post_init__(self)
        self._require(self.what in _PROVIDER_FAULTS, f"what is one of {', '.join(_PROVIDER_FAULTS)}")
        self._require(is_number(self.seconds) and self.seconds >= 0, "seconds is a number from 0")
        self._require(
            self.retry_after is None or (is_number(self.retry_after) and self.retry_after >= 0),
            "retry_after is a number from 0, or None",
        )
        self._require(is_whole(self.after) and self.after >= 0, "after is a whole number from 0")


Fault: TypeAlias = (
    Crash
    | Kill
    | Slow
    | Pause
    | Delay
    | Drop
    | Duplicate
    | LoseReply
    | DelayReply
    | Partition
    | Buggify
    | Restart
    | StoreFault
    | ProviderFault
    | Variation
)
_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Fault)}
_GIVEN = tuple(kind for kind in get_args(Fault) if kind is not Variation)
PROCESSING = (Crash, Kill, Slow)
SENDING = (Delay, Drop, Duplicate)
REPLYING = (LoseReply, DelayReply)
_SHOWN = ("actor", "one", "other", "name", "process", "nth", "probability", "optional")
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")
_COUNTED = {"send": "message", "recv": "message", "crossing": "message", "point": "time"}


def check_kind(fault: object) -> None:
    """Look whether something is a fault.

    Raises:
        FaultRefused: it is none.
    """
    if type(fault) not in _GIVEN:
        raise FaultRefused(f"{fault!r} is no fault: they are {', '.join(kind.__name__ for kind in _GIVEN)}")


def describe(fault: Fault) -> str:
    """Return the fault in words."""
    if isinstance(fault, Variation):
        return str(fault)
    noun = _COUNTED.get(fault.strikes, fault.strikes)
    where = f"{fault.target}, {noun} {fault.nth}" if fault.nth else f"{fault.target}, any {noun}"
    extra = {f.name: getattr(fault, f.name) for f in fields(fault) if f.name not in _SHOWN}
    inside = " ".join(f"{name}={value}" for name, value in extra.items())
    return f"{name_of(fault)} {where}{' (' + inside + ')' if inside else ''}"


def name_of(fault: Fault) -> str:
    """Return the kind of the fault in words, as a ``fault`` event's ``what`` says it."""
    return _CAPITAL.sub(" ", type(fault).__name__).lower()


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
