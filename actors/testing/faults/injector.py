"""Makes faults happen: answers the runtime's questions before each send, each turn and each provider request."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...core.life.death import bury
from ...core.mail.ask import ProbedAsk
from ...core.mail.cell import READY
from ...core.mail.envelope import Envelope
from ...core.mail.mailbox import refuse, signal
from ..errors import FaultRefused, InjectedCrash
from ..loop.timing import Timekeeper, What
from ..loop.virtual import RESOLUTION
from ..trace.checks import check_text
from .drawing import Chances, Waits
from .faults import (
    PROCESSING,
    REPLYING,
    SENDING,
    Buggify,
    Crash,
    Delay,
    DelayReply,
    Drop,
    Duplicate,
    Fault,
    Kill,
    LoseReply,
    Partition,
    Pause,
    ProviderFault,
    Restart,
    Slow,
    StoreFault,
    describe,
    is_below,
    name_of,
)
from .struck import misnamed

if TYPE_CHECKING:
    from ..loop.loop import SimulationLoop


_BEHIND = 1e-6
"""Seconds by which a message is later than one that is due at this moment."""


class Injector:
    """Holds the faults of one run, all of them with a number, and strikes when their message comes.

    It is also the dispatcher of the systems in the run: each ready actor becomes a step of its own lane.

    Args:
        faults: what strikes.
        watched: what may strike in other runs: what there is for it to strike is counted.
        timekeeper: what time does, if it varies.
    """

    loop: SimulationLoop
    tell: Callable[..., None]

    def __init__(
        self, faults: Sequence[Fault] = (), watched: Sequence[Fault] = (), timekeeper: Timekeeper | None = None
    ) -> None:
        self.found: Chances = Counter()
        """What there was to strike, as far as it is counted here and not in the trace."""
        self.struck: set[Fault] = set()
        """The faults that have struck."""
        self.waits: Waits = {}
        """Where handlers waited, if a fault makes us look at them."""
        self.remote: set[str] = set()
        self.refused: Exception | None = None
        """What made no sense first, such as a fault where it was to strike: the run is no failure of the scenario's."""
        self.killed: set[Any] = set()
        """The probes of systems whose process was killed: their actors take no turn any more."""
        self._faults = faults
        self.processing = _by_message([fault for fault in faults if isinstance(fault, PROCESSING)])
        possible = (*faults, *watched)
        self.looks = _any(PROCESSING, possible)
        self.timekeeper = timekeeper
        self.on_sends = _any((*SENDING, Partition), possible) or _varies(timekeeper, "messages")
        self.on_replies = _any((*REPLYING, Partition), possible) or _varies(timekeeper, "replies")
        self.on_steps = _any((Pause,), possible)
        self.on_points = _any((Buggify,), possible)
        self.checks_remote = _any((Drop, Duplicate, LoseReply, Partition), faults)
        self._counted = _by_message([fault for fault in faults if not isinstance(fault, PROCESSING)])
        self._paused: dict[str, float] = {}
        self._pairs = {fault.target: fault for fault in possible if isinstance(fault, Partition)}
        self._parted: dict[str, float] = {}
        self._until: dict[tuple[str, str], float] = {}

    def refuse(self, why: Exception) -> None:
        """Something makes no sense; what was refused before stays the reason."""
        self.refused = self.refused or why

    def _strike(self, fault: Fault, **more: Any) -> None:
        self.struck.add(fault)
        extra: dict[str, Any] = {"when": fault.when} if isinstance(fault, Crash | Restart) else {}
        if isinstance(fault, Slow | Pause | Delay | DelayReply | Partition | StoreFault):
            extra["seconds"] = fault.seconds
        if isinstance(fault, StoreFault):
            extra["store"] = fault.what
        self.tell("fault", what=name_of(fault), actor=fault.target, nth=fault.nth, **extra, **more)

    # -- the dispatcher ----------------------------------------------------------------------------------------

    def __call__(self, cell: Any) -> None:
        """Schedule one turn of a ready actor."""
        if self.processing and self._next(cell):
            step = _BeforeMessage(self, cell)
            if cell.signals is None or step not in cell.signals:
                signal(cell, step)
        self.loop.call_turn(cell)

    def _next(self, cell: Any) -> list[Fault]:
        """What is still to strike as an actor takes up its next message."""
        nth = 1 if cell.details is None else cell.details.processed + 1
        due = self.processing.get((cell.label, nth), ())
        return [fault for fault in due if isinstance(fault, Kill | Slow) and fault not in self.struck]

    def before_message(self, cell: Any) -> bool:
        """Strike an actor that is about to take up a message; whether one has been struck."""
        due = self._next(cell)
        if not due:
            return False
        fault = due[0]
        self._strike(fault)
        if isinstance(fault, Slow):
            cell.state = READY
            self.loop.call_later(fault.seconds, cell.run_one)
        else:
            bury(cell)
        return True

    # -- the probe's questions -----------------------------------------------------------------------------------

    def on_process(self, path: str, nth: int, when: str) -> None:
        """Before, in and after the handler of an actor's ``nth`` message; may raise `InjectedCrash`."""
        if when == "in":
            self.waits.setdefault(path, set()).add(nth)
        for fault in self.processing.get((path, nth), ()):
            if isinstance(fault, Crash) and fault.when == when and fault not in self.struck:
                self._strike(fault)
                raise InjectedCrash(f"{path}, message {nth}, {when} the handler")

    def on_send(self, envelope: Any, path: str, **system: Any) -> Sequence[float]:
        """Return the delays, in seconds, after which copies of a message to ``path`` arrive; none loses it."""
        pair = (envelope.sender, path)
        now = self.loop.time()
        delay, copies = self._behind(pair, now), 1
        if self.timekeeper is not None:
            delay = max(delay, self.timekeeper.on_its_way("messages", *pair, now))
        for fault in self._due("send", path):
            if isinstance(fault, Delay):
                self._strike(fault)
                delay = max(delay, fault.seconds)
            elif path in self.remote:
                self._strike(fault, id=envelope.id, **system)
                copies = 0 if isinstance(fault, Drop) else 2
        if self._is_parted(envelope.sender, path):
            self.tell("lost", actor=path, id=envelope.id, **system)
            copies = 0
        if delay:
            self._until[pair] = now + delay
        return (delay,) * copies

    def _behind(self, pair: tuple[str, str], now: float) -> float:
        """The delay after which a message arrives behind what its sender sent before: at the moment at which that is
        due it may not have arrived yet."""
        until = self._until.get(pair, -1.0)
        if now > until:
            return 0.0
        delay = max(until - now, _BEHIND)
        return delay if now + delay >= until else delay + math.ulp(until)

    def on_reply(self, ask: Any, path: str, **system: Any) -> float | None:
        """Return the delay, in seconds, after which an actor's reply arrives; None where it is lost."""
        delay, lost = 0.0, False
        if self.timekeeper is not None:
            delay = self.timekeeper.on_its_way("replies", path, ask.sender, self.loop.time())
        for fault in self._due("reply", path):
            if isinstance(fault, DelayReply):
                self._strike(fault, id=ask.id, **system)
                delay = max(delay, fault.seconds)
            elif path in self.remote:
                self._strike(fault, id=ask.id, **system)
                lost = True
        if self._is_parted(path, ask.sender):
            self.tell("lost", actor=path, id=ask.id, what="reply", **system)
            lost = True
        return None if lost else delay

    def on_step(self, name: str) -> float:
        """Return the seconds for which an actor or a task is suspended before its next step."""
        now = self.loop.time()
        left = self._left(name, now)
        if left:  # other tasks of its own
            return left
        for fault in self._due("step", name):
            self._strike(fault)
            self._paused[name] = now + fault.seconds  # type: ignore[union-attr]
        return self._left(name, now)

    def _left(self, name: str | None, now: float) -> float:
        """The seconds for which it is suspended still; the timer of its end may come by a rounding error early."""
        left = self._paused.get(name, now) - now if name is not None else 0.0
        return left if left > RESOLUTION else 0.0

    def is_paused(self, name: str | None) -> bool:
        """Whether an actor or a task is suspended now."""
        return self._left(name, self.loop.time()) > 0

    def on_request(self, path: str) -> ProviderFault | None:
        """The fault, if any, of a provider's next request."""
        for fault in self._due("request", path):
            assert isinstance(fault, ProviderFault)
            self.struck.add(fault)
            self.tell("fault", what=fault.what, actor=path, nth=fault.nth)
            return fault
        return None

    def on_point(self, name: str) -> bool:
        """Whether a point in the code has its rare thing happen.

        Raises:
            TypeError: its name is no text.
        """
        check_text(name, "name", "what a point in the code is called, as in maybe('cache.evict')")
        if not self.on_points:
            return False
        due = self._due("point", name)
        for fault in due:
            self._strike(fault)
        return bool(due)

    def on_write(self, process: str) -> Restart | StoreFault | None:
        """The fault, if any, that strikes at a process's next write to its journal: the first of several."""
        for fault in self._due("write", process):
            assert isinstance(fault, Restart | StoreFault)
            self._strike(fault)
            return fault
        return None

    def _due(self, what: str, target: str) -> Sequence[Fault]:
        """Count something to strike; the faults that strike it."""
        nth = self.found[what, target] = self.found[what, target] + 1
        return [fault for fault in self._counted.get((target, nth), ()) if fault.strikes == what]

    def _is_parted(self, sender: str, receiver: str) -> bool:
        """Whether a message is lost between two sides."""
        now = self.loop.time()
        lost = False
        for target, sides in self._pairs.items():
            if sides.separates(sender, receiver):
                for fault in self._due("crossing", target):
                    if self._is_remote(sides.one) or self._is_remote(sides.other):
                        self._strike(fault)
                        self._parted[target] = now + fault.seconds  # type: ignore[union-attr]
                lost = lost or now < self._parted.get(target, 0.0)
        return lost

    def _is_remote(self, side: str) -> bool:
        return any(is_below(side, path) or is_below(path, side) for path in self.remote)

    def check_remote(self, counts: Chances) -> None:
        """Refuse faults that the delivery contract excludes: a message or a reply of a local actor was to be lost or
        repeated.

        Args:
            counts: what there was to strike: a name that is misspelt is no local actor's.
        """
        for fault in self._faults:
            sides = [fault.one, fault.other] if isinstance(fault, Partition) else [fault.target]
            if isinstance(fault, Drop | Duplicate | LoseReply | Partition) and not any(map(self._is_remote, sides)):
                declared = f"; declared are {', '.join(sorted(self.remote))}" if self.remote else ""
                reason = misnamed(fault, counts) or (
                    "between local actors nothing is ever lost or repeated; "
                    f"if a network lies between, declare it with sim.remote(path){declared}"
                )
                self.refuse(FaultRefused(f"{describe(fault)}: {reason}"))


@dataclass(frozen=True, slots=True)
class _BeforeMessage:
    """A step of an actor's life that goes between its hooks and its messages: where `Kill` and `Slow` strike."""

    injector: Injector
    cell: Any

    def __call__(self) -> None:
        cell = self.cell
        if cell.driver is not None:  # a handler has suspended; there will be another turn before a message
            return
        if cell.signals is not None:  # those come first
            signal(cell, self)
            return
        if _is_message_next(cell) and self.injector.before_message(cell):
            signal(cell, self)  # where it is late, more may strike when its time has come


def _is_message_next(cell: Any) -> bool:
    """Whether an actor would take up a message now; asks that nobody waits for any more are refused, as in a turn."""
    while cell.queue:
        item = next(iter(cell.queue))
        if not isinstance(item, ProbedAsk) or not (item._state or item.is_late(cell.runtime.clock())):
            return isinstance(item, Envelope | ProbedAsk)
        refuse(cell, cell.queue.popleft(), "")
    return False


def _by_message(faults: Sequence[Fault]) -> dict[tuple[str, int], list[Fault]]:
    table: dict[tuple[str, int], list[Fault]] = {}
    for fault in faults:
        if fault.nth is not None:
            table.setdefault((fault.target, fault.nth), []).append(fault)
    return table


def _varies(timekeeper: Timekeeper | None, what: What) -> bool:
    return timekeeper is not None and timekeeper.varies(what)


def _any(kinds: tuple[type[Any], ...], faults: Sequence[Fault]) -> bool:
    return bool(faults) and any(isinstance(fault, kinds) for fault in faults)
