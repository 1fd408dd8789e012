"""Functions for executors run on threads of their own, but one at a time, and the schedule says which.

Each call is a lane of the loop, and what it does between two *switch points* is one step of it. The loop's thread
hands it a baton and sleeps until it comes back: so there are real threads, with thread-locals and stacks of their own,
and yet never two things at once. Switch points are the start and end of a call, what `locks` stands in for (sleeping,
locks, and all that `threading` and `queue` build of them), calls into the loop, `switch`, and the lines that the
schedule chooses (`interrupts`).
"""

from __future__ import annotations

import asyncio
import heapq
import sys
import threading
from collections.abc import Callable, Iterable
from contextvars import Context
from threading import get_ident
from typing import Any, Final, NoReturn, Protocol, TypeAlias

from ...errors import Deadlock, SimulationError, StepBudgetSpent
from ..lanes.lanes import Lane, interrupts, settle
from .interrupts import Tracer
from .workers import PATIENCE, Pool, Worker, agents

DEFAULT_WORKERS: Final = 5
"""Workers of the default executor: the fewest that Python promises, whatever the machine."""
_AT_ONCE: Final = 100
"""Steps of threads at one instant while the loop sleeps: one that is always ready does not keep it from waking."""


class Abandoned(BaseException):
    """Raised in a thread at its next switch point when its run is over."""


class Holdable(Protocol):
    """What threads wait for: a lock that `locks` has made."""

    older: bool
    waiters: list[Any]
    holder: Any

    def take(self, seconds: float = 0.0) -> bool:
        """Take it if it is free, or becomes so within so many real seconds."""
        ...


Agent: TypeAlias = "ThreadCall | Threads"


def here() -> Agent | None:
    """Return who runs in this thread: a call on an executor, the loop of a run, or nobody that is simulated."""
    return agents.get(get_ident())


def switch() -> None:
    """Declare a point at which another thread may go first. Outside a simulation this does nothing."""
    if agents and (agent := agents.get(get_ident())) is not None:
        agent.point()


class ThreadCall:
    """One function handed to an executor; also what its lane is named after.

    Args:
        threads: of the loop.
        pool: which executor.
        label: names the lane.
        func, args: what to call.
        future: what is told how it ends.
    """

    __slots__ = (
        "_outcome",
        "_timer",
        "args",
        "func",
        "future",
        "label",
        "points",
        "pool",
        "threads",
        "touched",
        "waiting",
        "worker",
    )

    def __init__(
        self, threads: Threads, pool: Pool, label: str, func: Callable[..., Any], args: Any, future: Any
    ) -> None:
        self.threads = threads
        self.pool = pool
        self.label = label
        self.func = func
        self.args = args
        self.future = future
        self.worker: Worker | None = None
        self.waiting: Holdable | None = None
        self.touched = False
        """Whether it has come to a switch point."""
        self._timer: asyncio.TimerHandle | None = None
        self._outcome: tuple[Any, BaseException | None] | None = None

    @property
    def loop(self) -> Any:
        return self.threads.loop

    @property
    def lane(self) -> Lane:
        return self.threads.loop._lanes[id(self)]  # type: ignore[no-any-return]

    # -- on the loop's thread ----------------------------------------------------------------------------------

    def step(self) -> None:
        """Let it run until its next switch point."""
        if self.worker is None:
            if self.future.cancelled():
                self.pool.over(self)
                return
            self.worker = self.pool.worker()
            self.worker.call = self
        self.worker.run()
        if self._outcome is not None:
            self._over(*self._outcome)

    def _over(self, value: Any, error: BaseException | None) -> None:
        self.pool.over(self)
        if not self.touched:
            self.threads.one_step(self.lane.label)
        settle(self.future, self.label, value, error)

    def _timed_out(self) -> None:
        self._timer = None
        self.step()

    # -- in the thread -----------------------------------------------------------------------------------------

    def run(self) -> None:
        """Call the function; called by the worker, in its thread."""
        tracer = Tracer(self, self.threads.interrupts(self.lane.label))
        sys.settrace(tracer.called)
        try:
            self._outcome = self.func(*self.args), None
        except BaseException as error:
            self._outcome = None, error
        finally:
            sys.settrace(None)

    def point(self) -> None:
        """Let others go first, if the schedule wants that."""
        self.touched = True
        if self.threads.others():
            self._ready()
            self._park()

    def interrupted(self, nth: int, place: str) -> None:
        """The schedule wants it to stop before its ``nth`` point."""
        if self.threads.others():
            lane = self.lane
            self.threads.interrupted[lane.label, nth] = place
            lane.priority = None  # or those that go by priorities would let it go on at once
            self._ready()
            self._park()

    def sleep(self, seconds: float) -> None:
        """Sleep for that many virtual seconds."""
        self.touched = True
        if seconds > 0:
            self._timer = self.threads.loop.call_later(seconds, self._timed_out)
        else:
            self._ready()
        self._park()

    def wait_for(self, lock: Holdable, timeout: float) -> bool:
        """Wait until the lock can be taken, and take it. Negative: without a limit."""
        loop = self.threads.loop
        deadline = None if timeout < 0 else loop.time() + timeout
        while not lock.take():
            if deadline is not None:
                if loop.time() >= deadline:
                    return False
                self._timer = loop.call_at(deadline, self._timed_out)
            self.waiting = lock
            lock.waiters.append(self)
            try:
                self._park()
            finally:
                if self in lock.waiters:
                    lock.waiters.remove(self)
        return True

    def wake(self) -> None:
        """What it waits for may be there."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._ready()

    def _ready(self) -> None:
        self.threads.loop.call_soon(self.step, context=self.threads.context)

    def _park(self) -> None:
        worker = self.worker
        assert worker is not None
        worker.give_back()
        worker.go.acquire()
        self.waiting = None
        if self.threads.closing:
            raise Abandoned


class Threads:
    """The threads of one loop; also the loop's own side of what they share.

    Args:
        loop: whose they are.
        unwatched: a context in which `threading` makes real locks.
        begun: called when the first thread begins; says whether the run has to begin anew.
        left_held: names the older locks that are held by none of these calls, nor by anybody else at work.
    """

    label = "the loop"

    def __init__(
        self,
        loop: Any,
        unwatched: Callable[[], Any],
        begun: Callable[[], bool],
        left_held: Callable[[list[ThreadCall]], list[str]],
    ) -> None:
        self.find_name: Callable[[Any, Any], str] | None = None
        """Given a lock and the frame that waits for it, returns what the code calls it."""
        self.loop = loop
        self.unwatched = unwatched
        self._begun = begun
        self._left_held = left_held
        self.owner = get_ident()
        self.context = Context()
        self.closing = False
        self.anew = False
        """Whether this run does not count: older locks were found, and have to be stood in for from its beginning."""
        self.atomic: dict[str, None] = {}
        """The calls that ran as one step, because there was no switch point in them."""
        self.left: list[str] = []
        """The threads that did not come back, and live on."""
        self.used = False
        """Whether a function has been called on a thread."""
        self.waiting: Holdable | None = None
        self._pools: dict[int, tuple[Any, Pool]] = {}
        self._points = 0
        self._chosen: frozenset[int] | None = None
        self.interrupted: dict[tuple[str, int], str] = {}
        """Which threads were interrupted before which of their points, and where that was."""

    def submit(self, executor: Any, func: Callable[..., Any], args: tuple[Any, ...], label: str, future: Any) -> None:
        """Have a function called on a thread of the executor."""
        if not self._pools:
            self.anew = self.anew or self._begun()
            if self.anew:
                raise Abandoned("the run begins anew")
        self.used = True
        found = self._pools.get(id(executor))
        if found is None:
            default = executor is None
            most = DEFAULT_WORKERS if default else getattr(executor, "_max_workers", None)
            name = "asyncio" if default else f"executor-{len(self._pools)}"
            found = self._pools[id(executor)] = executor, Pool(self, name, most)
        pool = found[1]
        pool.submit(ThreadCall(self, pool, label, func, args, future))

    def one_step(self, label: str) -> None:
        """Take down that a call ran as one step."""
        self.atomic[label] = None

    def calls(self) -> list[ThreadCall]:
        """Return the calls that have begun and not ended."""
        return [w.call for _, pool in self._pools.values() for w in pool.workers if w.call is not None]

    def left_held(self) -> list[str]:
        """Name the locks, older than the run, that were taken and never freed, and by whom."""
        return self._left_held(self.calls())

    # -- the schedule ------------------------------------------------------------------------------------------

    def others(self) -> bool:
        """Whether anything but the thread that asks can run now."""
        loop = self.loop
        return bool(loop._order) or bool(loop._timers and loop._timers[0][0] <= loop._now)

    def interrupts(self, lane: str) -> Iterable[int]:
        """Return the points at which the schedule interrupts a thread."""
        return interrupts(self.loop.schedule, lane)

    def _oldest(self) -> Lane | None:
        """Return the thread that is ready for longest."""
        loop = self.loop
        lanes = (loop._by_age[age] for age in loop._order)
        return next((lane for lane in lanes if isinstance(lane.source, ThreadCall)), None)

    def _take(self, lane: Lane) -> None:
        """Take a thread's next step within a step of the loop's."""
        loop = self.loop
        loop.steps += 1
        if loop.steps > loop.max_steps:
            self._fail(StepBudgetSpent(f"threads did not end within {loop.steps - 1} steps: {self.blocked()}"))
        loop._name_lanes()
        handle: Any
        age, handle = lane.handles.popleft()
        loop._order.remove(age)
        del loop._by_age[age]
        lane.turn += 1
        if lane.handles:
            loop._rejoin(lane)
        if not handle._cancelled:
            handle._callback(*handle._args)

    def _advance(self, deadline: float | None) -> bool:
        """Move the clock on to the first thread's timer, but not beyond the deadline."""
        loop = self.loop
        timers = [entry for entry in loop._timers if not entry[2].cancelled() and _is_of_a_thread(entry[2])]
        first = min(timers, default=None)
        if first is None or (deadline is not None and first[0] > deadline):
            loop._now = max(loop._now, deadline or 0.0)
            return False
        loop._timers.remove(first)
        heapq.heapify(loop._timers)
        loop._now = max(loop._now, first[0])
        timer = first[2]
        timer._scheduled = False
        loop._add(timer._callback, timer)
        return True

    def _strangers(self) -> bool:
        """Whether there are threads in this process that no run has to do with."""
        ours = {worker.thread.ident for _, pool in self._pools.values() for worker in pool.workers}
        return any(it.ident not in ours and it.ident != self.owner for it in threading.enumerate())

    def _fail(self, error: SimulationError) -> NoReturn:
        self.loop.escaped = error
        raise error

    # -- the loop's own side -----------------------------------------------------------------------------------

    def point(self) -> None:
        """The loop is at a lock or a declared point: a thread may go first, if the schedule wants that."""
        if not self._pools or (ready := self._oldest()) is None:
            return
        self._points += 1
        if self._chosen is None:
            self._chosen = frozenset(self.interrupts(self.label))
        if self._points in self._chosen:
            self.interrupted[self.label, self._points] = ""
            self._take(ready)

    def wait_for(self, lock: Holdable, timeout: float) -> bool:
        """Wait on the loop's thread for a lock: it is blocked, and only threads go on."""
        deadline = None if timeout < 0 else self.loop.time() + timeout
        self.waiting = lock
        try:
            while not lock.take():
                ready = self._oldest()
                if ready is not None:
                    self._take(ready)
                elif not self._advance(deadline):
                    if deadline is not None:
                        return False
                    # A thread that was there before may free it, but hardly what this run has taken itself.
                    taken_here = lock.older and lock.holder is not None
                    if not taken_here and self._strangers() and lock.take(PATIENCE):
                        return True
                    self._fail(Deadlock(self.blocked()))
            return True
        finally:
            self.waiting = None

    def sleep(self, seconds: float) -> None:
        """Sleep on the loop's thread: it is blocked, and only threads go on."""
        loop = self.loop
        loop.steps += 1
        if loop.steps > loop.max_steps:
            loop.give_up(f"the loop sleeps without end: {loop.steps - 1} steps, {loop.time():g} virtual seconds")
        deadline, taken = loop.time() + seconds, 0
        while True:
            ready = self._oldest()
            if ready is not None and taken < _AT_ONCE:
                taken += 1
                self._take(ready)
            elif self._advance(deadline):
                taken = 0
            else:
                return

    def blocked(self) -> str:
        """Say which thread waits for what, and who holds it."""
        agents: list[Agent] = [self, *self.calls()]
        return "; ".join(
            f"{name_of(agent)} waits for {self._called(agent)} {_held(agent)}"
            for agent in agents
            if agent.waiting is not None
        )

    def _called(self, agent: Agent) -> str:
        """What an agent waits for, by the name that the code has for it, if anybody looks for names."""
        worker = agent.worker if isinstance(agent, ThreadCall) else None
        frame = sys._current_frames().get((worker.thread.ident or 0) if worker is not None else self.owner)
        found = "" if self.find_name is None or frame is None else self.find_name(agent.waiting, frame)
        return f"the {found}" if found else str(agent.waiting)

    def close(self) -> None:
        """End all threads."""
        self.closing = True
        for _, pool in self._pools.values():
            for worker in pool.workers:
                called = "" if worker.call is None else name_of(worker.call)
                worker.end()
                if worker.lost:
                    self.left.append(called)
        self._pools.clear()


def _is_of_a_thread(timer: Any) -> bool:
    return isinstance(getattr(timer._callback, "__self__", None), ThreadCall)


def name_of(agent: Any) -> str:
    """Return what an agent is called."""
    return agent.lane.label if isinstance(agent, ThreadCall) else agent.label


def _held(agent: Agent) -> str:
    holder = getattr(agent.waiting, "holder", None)
    if holder is None or holder is agent:
        return "that nobody releases"
    return f"held by {name_of(holder)}"
