"""A deterministic asyncio event loop: a virtual clock, and one decision for each step that several things could take.

What is ready is kept in *lanes*. A lane is what runs in order whatever the schedule: the steps of one task, the turns
of one actor, a call on a thread, the calls on one executor of processes. All callbacks that belong to no task share one
lane, because asyncio promises that they run first in, first out. Which lane takes the next step is the schedule's
choice, as far as `precedence` leaves it one; the oldest ready lane is always choice 0.

With ``order="asyncio"`` there is a single queue: only the schedule of a stock loop occurs, and variety comes from
faults alone. As there, what is ready when a pass begins runs before timers are looked at, and before the loop stops.

Only `asyncio.BaseEventLoop` is built upon, which has no selector: whatever needs one is refused.
"""

from __future__ import annotations

import asyncio
import heapq
from bisect import insort
from collections import deque
from collections.abc import Callable, Collection
from contextvars import Context
from typing import Any, Literal, NoReturn, TypeAlias, TypeVar, TypeVarTuple

from ..errors import Deadlock, StepBudgetSpent
from ..trace.rendering import shown
from .enclosed import Enclosed
from .lanes.lanes import Executor, ExecutorCall, Lane, Schedule, executor_call, process
from .lanes.numbering import NumberedTasks
from .lanes.precedence import Precedence
from .lanes.tasks import SimTask, Step, name_of, owner_of
from .threads.threads import Threads
from .virtual import LOOK, MOST_LOOKS, RESOLUTION, VirtualTime

Order: TypeAlias = Literal["contract", "asyncio"]
T = TypeVar("T")
Ts = TypeVarTuple("Ts")
PATIENCE = 60.0
"""Seconds for which work beside the loop alone may go on, a lease end, a post be found, until it is a deadlock."""

NOTHING_READY = "nothing is ready and no timer is set"
"""What a deadlock begins with where there is no cycle of those who wait."""
_UNDECIDED = "nothing is ready, and no timer is set but for what a person was to decide until then"


class SimulationLoop(NumberedTasks, VirtualTime, Enclosed):
    """An event loop that does the same thing each time it is given the same schedule.

    Args:
        schedule: chooses among the ready lanes; None takes the oldest.
        order: ``contract`` lets any lane overtake any other; ``asyncio`` runs everything first in, first out.
        max_steps: steps after which the run is given up.
    """

    simulation: Any = None
    """The `Simulation` that this loop runs, if it runs one."""
    callboard_dispatcher: Callable[[Any], object] | None = None
    """Called by systems with each actor that becomes ready; None leaves their own dispatcher in charge."""
    watch: Callable[[Lane, asyncio.Handle], object] | None = None
    """Told of each step before it is made, where lanes are chosen from."""

    @property
    def callboard_probe(self) -> Any:
        """What the next `System` that starts here tells its facts to."""
        return None if self.simulation is None else self.simulation.probe()

    def __init__(self, schedule: Schedule | None = None, *, order: Order = "contract", max_steps: int = 20_000) -> None:
        super().__init__()
        self.schedule = schedule
        self.strict = order == "asyncio"
        self.max_steps = max_steps
        self.steps = 0
        self.picks: list[int] = []
        """The choice made at each contested step: 0 is the oldest ready lane."""
        self.unhandled: list[dict[str, Any]] = []
        """What reached the exception handler."""
        self.who_waits: Callable[[], str] = str
        """Asked for a description of who waits for whom when nothing can go on."""
        self.left_to_people: Callable[[], bool] = bool
        """Asked before more than `PATIENCE` passes at once whether that is until what a person decides has expired."""
        self.threads: Threads | None = None
        """Runs the functions handed to executors on threads that interleave; without it they run inline."""
        self.cost: Callable[[], float] | None = None
        """Asked after each step how many seconds it took; None: none."""
        self.detain: Callable[[str], float] | None = None
        """Asked before each step of an actor or a task, by its name, for how many seconds it is suspended first."""
        self._order: list[int] = []
        self._by_age: dict[int, Lane] = {}
        self._shared = Lane(None)
        self._shared.label = "loop"
        self._lanes: dict[int, Lane] = {}
        self._running_lane = self._shared
        self._precedence = Precedence()
        self._clock = Lane(None)
        """Makes ready what timers are set for."""
        self._fifo: deque[asyncio.Handle] = deque()
        self.background_timers = 0
        """Timers of work beside the loop: where nothing else is set, nothing will ever happen but that."""
        self.background_steps = 0
        self._alone = (-1, 0.0)
        self._looked_in = -1
        self.silent: Collection[Any] = ()
        """Probes of systems that take no turns any more."""
        self._idle: list[asyncio.Future[None]] = []
        self._joined: Callable[[Lane], None] | None = getattr(schedule, "ready", None)
        self.set_exception_handler(lambda _, context: None if self.closing else self.unhandled.append(context))
        self.slow_callback_duration = float("inf")

    # -- what becomes ready ------------------------------------------------------------------------------------

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Add a step to the lane of the callback's owner: a task, an object with a ``label``, or else nobody."""
        if self._closed:  # type: ignore[attr-defined]
            self._check_closed()  # type: ignore[attr-defined]
        handle = Step(callback, args, self, context)
        if self._sparing:
            callback.__self__.first = handle  # type: ignore[attr-defined]
        elif not self.killed or handle._context.get(process) not in self.killed:
            self._add(callback, handle)
        return handle

    def _add(self, callback: Callable[..., Any], handle: asyncio.Handle) -> None:
        if self.strict:
            self._fifo.append(handle)
            return
        owner = getattr(callback, "__self__", None)
        free = False
        if owner is None:
            lane = self._shared
        elif owner.__class__ is SimTask:
            known: Lane | None = owner.lane
            if known is not None:
                lane = known
            else:  # the first step, asked for inside Task.__init__
                lane = owner.lane = Lane(owner)
                self._unlabelled.append(lane)
        else:
            lane = self._lanes.get(id(owner)) or self._lane_of(owner)
            # An actor's turn, or a call on an executor.
            free = lane.source is not None and not isinstance(owner, asyncio.Task)
        self._age = age = self._age + 1
        if not free and self._precedence.holds(self._running_lane, lane, age, handle):
            return
        handles = lane.handles
        handles.append((age, handle))
        if len(handles) == 1:  # `_rejoin`, where the lane is the youngest
            self._order.append(age)
            self._by_age[age] = lane
            if self._joined is not None:
                self._joined(lane)

    def _queue(self, lane: Lane, age: int, handle: asyncio.Handle) -> None:
        """Put a step that waits for no other into its lane."""
        handles = lane.handles
        handles.append((age, handle))
        if len(handles) == 1:
            self._rejoin(lane)

    def call_turn(self, cell: Any) -> None:
        """Add a turn of a ready actor to the actor's lane: ``call_soon(cell.run_one)`` with fewer questions asked."""
        lane = self._lanes.get(id(cell)) or self._lane_of(cell)
        step = lane.turns
        if step is None:
            step = lane.turns = Step(cell.runtime.run_alone, (cell,), self, None)
        if self.silent and cell.runtime.probe in self.silent:
            return
        if self.strict:
            self._fifo.append(step)
            return
        self._age = age = self._age + 1
        lane.handles.append((age, step))
        if len(lane.handles) == 1:
            self._order.append(age)
            self._by_age[age] = lane
            if self._joined is not None:
                self._joined(lane)

    def _lane_of(self, owner: Any) -> Lane:
        if not isinstance(owner, asyncio.Task) and not isinstance(getattr(owner, "label", None), str):
            return self._shared
        lane = self._lanes[id(owner)] = Lane(owner)  # the lane keeps its owner alive: the id is not used again
        self._unlabelled.append(lane)
        return lane

    # -- the scheduler -----------------------------------------------------------------------------------------

    def _run_once(self) -> None:
        """Take steps until the loop is stopped."""
        order, by_age, fifo = self._order, self._by_age, self._fifo
        shared, followers = self._shared, self._precedence.followers
        record = self.picks.append
        in_pass = 0  # steps that a stock loop would take before it looks at its timers, and whether to stop
        detain, cost, watch = self.detain, self.cost, self.watch
        while True:
            timers = self._timers
            if timers and timers[0][0] <= self._now + RESOLUTION and in_pass <= 0:
                self._fire()
            while not order and not fifo:
                if self._stopping:  # type: ignore[attr-defined]
                    return
                self._advance()
            if fifo and in_pass <= 0:
                in_pass = len(fifo)
            self.steps += 1
            if self.steps > self.max_steps:
                self.max_steps = 1 << 62  # the teardown must be able to go on
                waits = self.who_waits().removeprefix(f"{NOTHING_READY}: ").removeprefix(NOTHING_READY)
                raise StepBudgetSpent(
                    f"the scenario did not end within {self.steps - 1} steps "
                    f"({self._now:g} virtual seconds): a livelock, or raise max_steps"
                    + (f"; meanwhile {waits.strip()}" if waits else "")
                )
            if fifo:
                handle: Any = fifo.popleft()
                in_pass -= 1
                if detain is not None and self._is_detained(owner_of(handle), fifo.append, handle):
                    continue
            else:
                if self._unlabelled:
                    self._name_lanes()
                if len(order) == 1:
                    age = order.pop()
                elif self.schedule is None:
                    age = order.pop(0)
                else:
                    pick = self.schedule.pick(order, by_age)
                    record(pick)
                    age = order.pop(pick)
                lane = by_age.pop(age)
                if detain is not None and self._is_detained(lane.source, self._rejoin, lane):
                    lane.ran = age  # nothing waits for a step that is suspended
                    for held in self._precedence.ready_after(age):
                        self._queue(held.lane, held.age, held.handle)
                    continue
                self._running_lane = lane
                lane.turn += 1
                handles = lane.handles
                handle = handles.popleft()[1]
                lane.ran = age
                if lane is shared:
                    lane.made = None
                if handles:
                    self._rejoin(lane)
                if watch is not None:
                    watch(lane, handle)
                if followers:
                    for held in self._precedence.ready_after(age):
                        self._queue(held.lane, held.age, held.handle)
            if not handle._cancelled:
                # Handle._run() written out: 0.12 µs, not 0.17.
                try:
                    handle._context.run(handle._callback, *handle._args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:
                    self.call_exception_handler(
                        {
                            "message": f"exception in {shown(handle._callback)}",
                            "exception": error,
                            "handle": handle,
                        }
                    )
                if cost is not None:
                    self._now += cost()
            if self._stopping and in_pass <= 0:  # type: ignore[attr-defined]
                return

    def _is_detained(self, owner: Any, resume: Callable[[Any], None], it: Any) -> bool:
        """Whether the next step of an actor or a task is suspended; what it is then resumes in time."""
        name = name_of(owner)
        seconds = 0.0 if name is None or self.detain is None else self.detain(name)
        if seconds > 0:
            self._set(self._now + seconds, self._resume, (resume, it), None)
        return seconds > 0

    def _resume(self, resume: Callable[[Any], None], it: Any) -> None:
        resume(it)

    def _rejoin(self, lane: Lane) -> None:
        """Put a lane back among the ready ones, at the age of the first step it still has."""
        age = lane.handles[0][0]
        insort(self._order, age)
        self._by_age[age] = lane
        if self._joined is not None:
            self._joined(lane)

    def _fire(self) -> None:
        timers = self._timers
        limit = self._now + RESOLUTION
        running, self._running_lane = self._running_lane, self._clock
        while timers and timers[0][0] <= limit:
            timer = heapq.heappop(timers)[2]
            timer._scheduled = False  # type: ignore[attr-defined]
            if timer.cancelled():
                self._cancelled_timers -= 1
            else:
                self._clock.made = None  # timers are free among each other
                self._add(timer._callback, timer)  # type: ignore[attr-defined]
        self._running_lane = running

    def _advance(self) -> None:
        """Nothing is ready: wake who waits for that, or move the clock to the next timer."""
        if self._idle:
            waiting, self._idle = self._idle, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)
            return
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)[2]._scheduled = False  # type: ignore[attr-defined]
            self._cancelled_timers -= 1
        if not timers or (
            self.background_timers and len(timers) - self._cancelled_timers == self.background_timers and self._stands()
        ):
            raise Deadlock(self.who_waits() or "nothing is ready, no timer is set, and the scenario has not ended")
        if timers[0][0] - self._now > PATIENCE and self.left_to_people():
            raise Deadlock(self.who_waits().replace(NOTHING_READY, _UNDECIDED, 1))
        self._now = max(self._now, timers[0][0])
        self._fire()

    def _looked_often(self) -> None:
        if self.steps != self._looked_in:
            self._looked_in, self._looks = self.steps, 0
            return
        if self._looks > MOST_LOOKS:
            self.give_up(f"a step looked at a clock {MOST_LOOKS:,} times: it waits in a loop, and gives no way")
        self._now += LOOK

    def give_up(self, why: str) -> NoReturn:
        """End the run in the middle of a step, whatever becomes of the exception there.

        Raises:
            StepBudgetSpent: always.
        """
        self.escaped = StepBudgetSpent(why)
        raise self.escaped

    def _stands(self) -> bool:
        """Whether for `PATIENCE` nothing has run but work beside the loop."""
        steps = self.steps - self.background_steps
        if steps != self._alone[0]:
            self._alone = (steps, self._now)
        return self._now - self._alone[1] > PATIENCE

    def queued(self) -> list[asyncio.Handle]:
        """Return the steps and timers that are waiting, those too that others must run before, and who is suspended."""
        tasks = (task.lane for task in self._tasks if task.lane is not None)
        steps = [handle for lane in (self._shared, *self._lanes.values(), *tasks) for _, handle in lane.handles]
        timers: list[Any] = [entry[2] for entry in self._timers]
        suspended = [timer._args[1] for timer in timers if timer._callback == self._resume and self.strict]
        return [*steps, *self._precedence.held(), *self._fifo, *suspended, *timers]

    def actors(self) -> list[Any]:
        """Return the cells of the actors that have had a turn, but not of processes that were killed."""
        cells = [lane.source for lane in self._lanes.values() if hasattr(lane.source, "actor_class")]
        return [cell for cell in cells if not self.silent or cell.runtime.probe not in self.silent]

    async def idle(self) -> None:
        """Wait until nothing else can run without the clock moving on."""
        future = self.create_future()
        self._idle.append(future)
        await future

    # -- executors ---------------------------------------------------------------------------------------------

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Run the function on a thread that interleaves with the loop; without `threads` inline, as one step.

        With ``order="asyncio"``, and for an executor of processes, it is one step too.
        """
        self._check_closed()  # type: ignore[attr-defined]
        future = self.create_future()
        kind, name, interleaves = executor_call(executor, func)
        label = f"{kind} {name}"
        self._calls.append((label, future))
        if self.threads is not None:
            if interleaves and not self.strict:
                self.threads.submit(executor, func, args, label, future)
                return future
            self.threads.one_step(label)
        call = ExecutorCall(label, func, args, future)
        if executor is None or self.strict:
            self.call_soon(call.run)
            return future
        lane = self._lanes.get(id(executor))
        if lane is None:
            lane = self._lanes[id(executor)] = Lane(Executor(executor))
            self._unlabelled.append(lane)
        self._age += 1
        self._queue(lane, self._age, Step(call.run, (), self, None))
        return future

    # -- the end -----------------------------------------------------------------------------------------------

    def abandon(self) -> None:
        """Drop what is left without letting it act: end threads, close coroutines, forget callbacks, close the loop."""
        self.closing = True
        if self.threads is not None:
            self.threads.close()
        for task in self._tasks:
            task.lane = None  # a cycle less for the garbage collector
            if task.done():
                continue
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            coro = task.get_coro()
            try:
                if coro is not None:
                    coro.close()
            except BaseException:
                pass
        self._tasks.clear()
        self._calls.clear()
        self._order.clear()
        self._by_age.clear()
        self._fifo.clear()
        self._timers.clear()
        self._lanes.clear()
        self._shared.handles.clear()
        self.close()
