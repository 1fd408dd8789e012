"""Who looks at messages as they are processed: interceptors, and what counts and times them for `Meter`.

While nobody looks, `Runtime.observer` is None, and that is all the dispatcher looks at, once a turn. While actors are
measured, a turn costs it one addition to the `Tally` of the actor's class. All else is done for a sample, where times
are wanted (20 calls of Python functions for a watched turn), and where messages wait behind a handler or are left when
a turn ends, so that their age is known:

The mailbox of an actor is *watched* for a turn and on, until what has come meanwhile has been taken: its queue is
replaced by one that notes when messages come and are taken. Watches are rationed, so that a busy system spends no
greater part of its time on them; in one that is not busy every turn is watched. A mailbox in which messages are left
when a turn ends has a ration of its own, a hundred times that: it may be overloaded. A watched message stands for no
message of another watch. A handler that suspends costs so much more that each of them is timed, and that the mailbox
behind it is watched whatever the rations.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from ..base.errors import SystemClosed
from ..base.metrics import ActorMetrics, Metrics
from ..mail.cell import BUSY, CLOSED, DEAD, Cell, living
from ..mail.watched import WatchedQueue
from ..runtime.runtime import Runtime
from .intercepting import Interceptor, Interceptors
from .tally import BEHIND, NEVER, RATE, SAVED, SELDOM, Ration, Tally

CLASSES: Final = 200
"""Classes of actors that have figures of their own; what comes later is counted together, under `OTHER`."""

OTHER: Final = "other"


class Observer:
    """What one system's messages are looked at with.

    Args:
        runtime: of the system.

    Attributes:
        tallies: of the classes, by class.
        intercepting: whether there are interceptors.
    """

    __slots__ = (
        "_at_work",
        "_behind",
        "_by_label",
        "_followed",
        "_meters",
        "_ration",
        "_runtime",
        "_timers",
        "intercepting",
        "interceptors",
        "tallies",
    )

    def __init__(self, runtime: Runtime) -> None:
        self.tallies: dict[Any, Tally] = {}
        self.intercepting = False
        self.interceptors = Interceptors(lambda: runtime.clock())
        self._runtime = runtime
        self._meters = 0
        self._timers = 0  # of the meters, those for which messages are timed
        self._ration = Ration(RATE, SAVED)
        self._behind = Ration(BEHIND, BEHIND / 10)
        self._by_label: dict[str, Tally] = {}
        self._at_work: dict[Cell, float] = {}  # handlers that wait, and when they began
        self._followed: dict[Cell, Tally] = {}

    def tally(self, kind: Any) -> Tally:
        """Return the tally of a class that may have none yet."""
        tally = self.tallies.get(kind)
        if tally is None:
            label = _label(kind)
            if label not in self._by_label and len(self._by_label) >= CLASSES:
                label = OTHER
            tally = self._by_label.setdefault(label, Tally(0 if self._timers else NEVER))
            if len(self.tallies) < 2 * CLASSES:  # else asked again: classes may be made without end
                self.tallies[kind] = tally
        return tally

    def _tallies(self, cell: Cell) -> list[Tally]:
        tally, own = self.tally(cell.actor_class), self._followed.get(cell)
        return [tally] if own is None else [tally, own]

    # -- who looks -------------------------------------------------------------------------------------------------

    def intercept(self, interceptor: Interceptor) -> None:
        """Tell an interceptor of messages."""
        self.interceptors.add(interceptor)
        self._look()

    def intercept_no_more(self, interceptor: Interceptor) -> None:
        """Tell it of no more."""
        self.interceptors.remove(interceptor)
        self._look()

    def measure(self, times: bool) -> None:
        """Measure, for one meter more, which wants messages timed or not."""
        self._meters += 1
        self._timers += times
        tallies = list(self._by_label.values())
        if self._meters == 1:
            for tally in tallies:
                tally.turn = None  # of a turn that nobody looked at
        if times and self._timers == 1:
            for tally in tallies:
                tally.next = 0
        self._look()

    def measure_no_more(self, times: bool) -> None:
        """One meter less."""
        self._meters -= 1
        self._timers -= times
        if not self._timers:
            for tally in list(self._by_label.values()):
                tally.next = NEVER
        if not self._meters:
            self._followed.clear()
            self._soon(self._unwatch)
        self._look()

    def _look(self) -> None:
        self.intercepting = bool(self.interceptors)
        self._runtime.observer = self if self.intercepting or self._meters else None

    def _soon(self, do: Any, *args: Any) -> None:
        """Do something on the loop's thread between two turns."""
        runtime = self._runtime
        if not runtime.closed:
            with suppress(SystemClosed):  # its loop was closed without stopping it
                runtime.post(runtime.loop.call_soon, do, *args)

    def _unwatch(self) -> None:
        if not self._meters:
            for cell in living(self._runtime.root):
                if cell.queue.__class__ is WatchedQueue:
                    cell.queue = cell.queue.queue
            if not self.intercepting:
                self._at_work.clear()

    # -- what the dispatcher tells ---------------------------------------------------------------------------------

    def turn_begins(self, cell: Cell, tally: Tally) -> None:
        """A turn begins at which an actor of this class is to be watched."""
        queue = cell.queue
        if queue is None or queue.__class__ is deque:
            if self._allows(tally, self._runtime.clock()):
                self._watch(cell, in_turn=bool(queue))
            else:
                tally.skip()

    def left_behind(self, cell: Cell) -> None:
        """A turn of an actor that is not watched has ended with messages left: it may be overloaded, so watch it."""
        if self._meters and self._behind.allows(self._runtime.clock()):
            self._watch(cell)

    def turn_ended(self, cell: Cell, tally: Tally, watch: WatchedQueue, taken: int) -> None:
        """A turn of a watched actor has ended."""
        own = self._followed.get(cell)
        if own is not None:
            own.taken += taken
        if watch and cell.queue is watch:
            self._behind.use(taken)
            if not self._behind.allows(self._runtime.clock()):
                watch.note_no_more()
        self._note(cell, tally, own, watch)

    def suspended(self, cell: Cell, batch: int) -> None:
        """A turn of at most so many messages has ended, because the handler waits."""
        tally = self.tallies.get(cell.actor_class) or self.tally(cell.actor_class)
        if tally.turn is None:  # the turn had begun before anybody looked
            return
        taken = batch - tally.turn
        tally.turn = None
        tally.taken += taken
        tally.suspended()
        own = self._followed.get(cell)
        if own is not None:
            own.taken += taken
            own.suspended()
        watch = cell.queue
        if watch.__class__ is not WatchedQueue:
            now = self._at_work[cell] = self._runtime.clock()
            if watch:
                self._watch(cell)
            elif tally.taken >= tally.next:
                if self._allows(tally, now):
                    self._watch(cell)
                else:
                    tally.skip()
        else:
            began, watch.taken_at = watch.taken_at, None
            self._at_work[cell] = self._runtime.clock() if began is None else began
            self._note(cell, tally, own, watch)

    def resumed(self, cell: Cell, failed: bool) -> None:
        """A handler that had suspended has ended."""
        began = self._at_work.pop(cell, None)
        if began is not None:
            seconds = self._runtime.clock() - began
            self.tally(cell.actor_class).resumed(seconds, failed)
            if cell in self._followed:
                self._followed[cell].resumed(seconds, failed)

    def failed(self, cell: Cell) -> None:
        """A handler has failed that has not suspended."""
        for tally in self._tallies(cell):
            tally.failed += 1

    def no_message(self, cell: Cell) -> None:
        """What was taken up is no message of a user's, but a stop."""
        tally = self.tallies.get(cell.actor_class) or self.tally(cell.actor_class)
        tally.taken -= 1
        if cell in self._followed:
            self._followed[cell].taken -= 1
        if cell.queue.__class__ is WatchedQueue:
            cell.queue.not_handled()

    def restarted(self, cell: Cell) -> None:
        """An actor has been restarted."""
        for tally in self._tallies(cell):
            tally.restarts += 1

    def dead_letter(self, cell: Cell) -> None:
        """A message will not be processed."""
        for tally in self._tallies(cell):
            tally.dead_letters += 1
        if cell.queue.__class__ is WatchedQueue:  # what was taken up last is not timed: no handler works on it
            cell.queue.not_handled()

    # -- watching mailboxes ----------------------------------------------------------------------------------------

    def _note(self, cell: Cell, tally: Tally, own: Tally | None, watch: WatchedQueue) -> None:
        """Take in what a watch tells of a turn; watch on, or no more."""
        now = self._runtime.clock()
        waits, works = watch.turn_ended(now)
        tally.note(waits, works)
        if own is not None:
            own.note(waits, works)
        held = cell.queue
        behind = bool(held)  # such an actor is watched whatever the others are allowed
        if not behind:
            self._ration.use(max(0, len(works) - 1))  # one was, when the watch was allowed
        if held is watch and watch.has_noted():
            return
        lasts, watch.lasts = watch.lasts, False
        if lasts:
            self._ration.use(1)
        behind = behind and self._behind.allows(now)
        wanted = cell.state < CLOSED and (
            own is not None
            or (self._meters > 0 and behind)
            or (self._timers > 0 and (lasts or self._allows(tally, now)))
        )
        if held is None and wanted:
            watch.renew()
            cell.queue = watch
        elif held is watch:
            cell.queue = WatchedQueue(watch.queue, self._runtime.clock) if wanted else watch.queue

    def _watch(self, cell: Cell, *, in_turn: bool = False) -> None:
        """Watch an actor's mailbox, unless messages of several priorities wait there."""
        queue = cell.queue
        if (queue is None or queue.__class__ is deque) and cell.state < CLOSED:
            cell.queue = WatchedQueue(queue, self._runtime.clock, in_turn=in_turn)

    def _allows(self, tally: Tally, now: float) -> bool:
        rare = now - tally.watched_at >= SELDOM
        if not (self._ration.allows(now, rare=rare) and self._behind.allows(now, rare=rare)):
            return False
        tally.watched = tally.taken
        tally.watched_at = now
        self._ration.use(1)
        return True

    def _watch_waiting(self) -> None:
        """Watch the mailboxes in which messages wait, so that the next reading knows how long they do at least."""
        for cell in living(self._runtime.root):
            if cell.queue:
                self.watch_waiting(cell)

    def watch_waiting(self, cell: Cell) -> bool:
        """Watch a mailbox in which messages wait, while anybody measures. Returns whether it was not watched yet."""
        if not self._meters or cell.queue.__class__ is WatchedQueue or _in_turn(cell):
            return False
        self._watch(cell)
        return True

    # -- reading ---------------------------------------------------------------------------------------------------

    def read(self) -> Metrics:
        """Return what has been counted since the observer was made, and how things are now; from any thread."""
        runtime = self._runtime
        now = runtime.clock()
        cells: dict[Tally, list[Cell]] = {}
        for cell in living(runtime.root):
            cells.setdefault(self.tally(cell.actor_class), []).append(cell)
        if self._meters and not runtime.closed:
            with suppress(SystemClosed):  # its loop was closed without stopping it
                runtime.post(self._watch_waiting)
        tallies = list(self._by_label.items())
        return Metrics(now, now, {label: _figures(tally, cells.get(tally, ()), now) for label, tally in tallies})

    def follow(self, cell: Cell) -> Tally:
        """Count an actor by itself too, from when the loop has come to it."""
        own = Tally()
        self._runtime.post(self._follow, cell, own)
        return own

    def _follow(self, cell: Cell, own: Tally) -> None:
        if _in_turn(cell):  # what it counts would not be a whole turn
            self._runtime.loop.call_soon(self._follow, cell, own)
            return
        self._followed[cell] = own
        if cell in self._at_work:
            own.taken += 1
            own.suspended()
        if cell.state < CLOSED and cell.queue.__class__ is not WatchedQueue:
            cell.queue = WatchedQueue(cell.queue, self._runtime.clock)

    def read_one(self, cell: Cell, own: Tally) -> ActorMetrics:
        """Return the figures of an actor that is followed."""
        return _figures(own, () if cell.state == DEAD else (cell,), self._runtime.clock())


def _figures(tally: Tally, cells: Sequence[Cell], now: float) -> ActorMetrics:
    depth = deepest = 0
    age = 0.0
    for cell in cells:
        waiting = len(cell.queue or ())
        depth += waiting
        deepest = max(deepest, waiting)
        age = max(age, oldest(cell, now))
    return ActorMetrics(
        actors=len(cells),
        mailbox_depth=depth,
        mailbox_depth_max=deepest,
        mailbox_age=age,
        at_work=tally.at_work,
        processed=tally.taken - tally.at_work,
        failed=tally.failed,
        dead_letters=tally.dead_letters,
        restarts=tally.restarts,
        time_in_mailbox=tally.waits.read(),
        processing_time=tally.works.read(),
        seconds=now,
    )


def oldest(cell: Cell, now: float) -> float:
    """Seconds that the oldest message of a mailbox has waited, at least; 0 where none waits, or nobody has looked."""
    queue = cell.queue
    if not queue or queue.__class__ is not WatchedQueue:
        return 0.0
    since: float | None = queue.oldest()
    return 0.0 if since is None else now - since


def _in_turn(cell: Cell) -> bool:
    """Whether the dispatcher holds the actor's queue now."""
    return cell.state == BUSY and cell.driver is None


def _label(kind: Any) -> str:
    named = kind if hasattr(kind, "__qualname__") else type(kind)  # before it is built, an actor may be a factory
    return f"{named.__module__}.{named.__qualname__}"
