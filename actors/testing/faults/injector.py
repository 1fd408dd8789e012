"""Makes faults happen: answers the runtime's questions before each send, each turn and each provider request."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ...core.life.death import bury
from ...core.mail.ask import ProbedAsk
from ...core.mail.cell import READY
from ...core.mail.envelope import Envelope
from ...core.mail.mailbox import refuse, signal
from ..errors import FaultRefused, InjectedCrash
from .faults import (
    PHASES,
    PROCESSING,
    SENDING,
    Crash,
    Delay,
    Drop,
    Duplicate,
    Fault,
    Kill,
    ProviderFault,
    Slow,
    is_settled,
    settle,
)

if TYPE_CHECKING:
    from ..loop.loop import SimulationLoop
    from ..trace.trace import Trace

Chances: TypeAlias = "Counter[tuple[str, str]]"
Waits: TypeAlias = dict[str, set[int]]


class Injector:
    """Holds the faults of one run, all of them with a number, and strikes when their message comes.

    It is also the dispatcher of the systems in the run: each ready actor becomes a step of its own lane.

    Args:
        faults: what strikes.
        watched: what may strike in other runs: what there is for it to strike is counted.
    """

    loop: SimulationLoop
    tell: Callable[..., None]

    def __init__(self, faults: Sequence[Fault] = (), watched: Sequence[Fault] = ()) -> None:
        self.requests: dict[str, int] = {}
        """How many requests each faulty provider has had."""
        self.struck: set[Fault] = set()
        """The faults that have struck."""
        self.waits: Waits = {}
        """At which messages of each actor its handler waited, where a fault makes us look at handlers."""
        self.looks = any(isinstance(fault, PROCESSING) for fault in (*faults, *watched))
        self._sent: dict[str, int] = {}
        self.remote: set[str] = set()
        self._needs_remote = {fault.actor for fault in faults if isinstance(fault, Drop | Duplicate)}
        self.processing = _by_message(faults, PROCESSING)
        self.sending = _by_message(faults, SENDING)
        self._providers = _by_message(faults, (ProviderFault,))
        self._until: dict[tuple[str, str], float] = {}

    def _strike(self, fault: Fault, **more: Any) -> None:
        self.struck.add(fault)
        extra = {"when": fault.when} if isinstance(fault, Crash) else {}
        if isinstance(fault, Slow | Delay):
            extra = {"seconds": fault.seconds}  # type: ignore[dict-item]
        self.tell("fault", what=type(fault).__name__.lower(), actor=fault.actor, nth=fault.nth, **extra, **more)

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

    def on_send(self, envelope: Any, path: str) -> Sequence[float]:
        """Return the delays, in seconds, after which copies of a message to ``path`` arrive; none loses it."""
        nth = self._sent[path] = self._sent.get(path, 0) + 1
        pair = (envelope.sender, path)
        now = self.loop.time()
        delay = max(0.0, self._until.get(pair, 0.0) - now)
        copies = 1
        for fault in self.sending.get((path, nth), ()):
            if isinstance(fault, Delay):
                self._strike(fault)
                delay = max(delay, fault.seconds)
                self._until[pair] = now + delay
            elif path in self.remote:
                self._strike(fault, id=envelope.id)
                copies = 0 if isinstance(fault, Drop) else 2
        return (delay,) * copies

    def on_request(self, path: str) -> ProviderFault | None:
        """The fault, if any, of a provider's next request."""
        nth = self.requests[path] = self.requests.get(path, 0) + 1
        for fault in self._providers.get((path, nth), ()):
            assert isinstance(fault, ProviderFault)
            self.struck.add(fault)
            self.tell("fault", what=fault.what, actor=path, nth=nth)
            return fault
        return None

    def check_remote(self) -> None:
        """Refuse faults that the delivery contract excludes.

        Raises:
            FaultRefused: a message of a local actor was to be lost or repeated.
        """
        local = sorted(self._needs_remote - self.remote)
        if local:
            raise FaultRefused(
                f"messages to {', '.join(local)} cannot be dropped or duplicated: between local actors none is ever "
                "lost or repeated; if a network lies between, declare it with sim.remote(path)"
            )


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


def _by_message(faults: Sequence[Fault], kinds: tuple[type[Any], ...]) -> dict[tuple[str, int], list[Fault]]:
    table: dict[tuple[str, int], list[Fault]] = {}
    for fault in faults:
        if isinstance(fault, kinds) and fault.nth is not None:
            table.setdefault((fault.actor, fault.nth), []).append(fault)
    return table


def chances(trace: Trace, requests: dict[str, int]) -> Chances:
    """Count where faults could have struck in a run: messages taken up and sent, by actor, and provider requests."""
    found: Chances = Counter({("request", path): count for path, count in requests.items()})
    for _, kind, row in trace.rows:
        if kind == "spawn":
            found["recv", row["actor"]] += 0
            found["send", row["actor"]] += 0
        elif kind == "recv":
            found["recv", row["actor"]] += 1
        elif kind in ("send", "ask"):
            found["send", row["actor"]] += 1
    return found


def chance(fault: Fault) -> str:
    """What a fault strikes, as `chances` counts it: ``recv``, ``send`` or ``request``."""
    return "request" if isinstance(fault, ProviderFault) else "recv" if isinstance(fault, PROCESSING) else "send"


def place(faults: Sequence[Fault], counts: Chances, waits: Waits, rng: random.Random) -> tuple[Fault, ...]:
    """Settle what the faults leave open by chance; those without a number may be left out.

    Args:
        faults: those that leave nothing open are returned as they are.
        counts: `chances` in an ordinary run; a fault may also fall on the first one beyond.
        waits: at which messages of each actor the handler waited in an ordinary run, and may crash ``in`` it.
        rng: where the chances come from.
    """
    placed: list[Fault] = []
    for fault in faults:
        if is_settled(fault):
            placed.append(fault)
            continue
        nth = fault.nth
        if nth is None:
            if rng.random() < 0.25:
                continue
            nth = 1 + int(rng.random() * (counts[chance(fault), fault.actor] + 1))
        phases = [phase for phase in PHASES if phase != "in" or nth in waits.get(fault.actor, ())]
        placed.append(settle(fault, nth, phases[int(rng.random() * len(phases))]))
    return tuple(placed)
