"""What each step of a run touches, so far as it can be seen: mailboxes, actors, asks, tasks, marks.

Where it cannot be seen, a step counts as touching everything. What is *not* seen at all is what hangs on no object that
can be reached: a global, a class attribute, random numbers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextvars import Context
from typing import Any

from ....core.base.lifecycle import Phase
from ....core.mail.ask import Ask
from ....core.mail.cell import Cell, living
from ....core.mail.mailbox import overflow
from ....core.routers import Router
from ....core.runtime.driver import Driver
from ....core.runtime.runtime import handling
from ...loop.lanes.lanes import Lane
from ...loop.lanes.tasks import SimTask
from ...schedules.reduction import Reduction, Step
from .callbacks import callback_of, is_benign, is_internal, joins, owner_of, place_of, settled
from .objects import Objects

_ROOMY = 100
"""A mailbox that holds more is not full before as many messages have been sent."""
_STARTS = (Phase.NEW, Phase.STARTING, Phase.RUNNING)


class GivenUp(BaseException):
    """Whatever this run does next, it is equivalent to one that was."""


class Footprints:
    """Chooses the lanes of one run as a `Reduction` says, and takes down what each step touches.

    Args:
        reduction: what chooses.
        shared: whether all tasks that belong to no actor depend on each other.
    """

    def __init__(self, reduction: Reduction, *, shared: bool = False) -> None:
        self._reduction = reduction
        self._shared = shared

    def begin(self, now: Callable[[], float]) -> None:
        """A run begins.

        Args:
            now: its time, in seconds.
        """
        self._now = now
        self.steps: list[Step] = []
        self._lanes: dict[int, int] = {}
        self._kept: list[Any] = []  # what is known by its id stays alive
        self._posted: dict[int, Collection[int]] = {}
        self._joins: dict[int, set[int]] = {}
        self._joined: set[int] | None = None
        self._instants: set[float] = set()
        self._timers: dict[int, Step] = {}
        self._due: dict[float, list[Step]] = {}
        self._callbacks: set[int] = set()  # those that wait and can be seen to run
        self._turns: dict[int, deque[Collection[int]]] = {}
        self._ages: dict[int, int] = {}
        self._waits: dict[int, Collection[int]] = {}
        self._floor = 0
        self._step: Step | None = None
        self._owner: Cell | None = None
        self._overtaking = False
        """Whether the actor whose step it is may take up a message before, or instead of, one that was sent earlier."""
        self._chosen = False
        self._closed = False
        self._sent: dict[int, int] = {}
        self._systems: dict[int, Any] = {}
        self._cells: dict[Cell, tuple[Any, ...]] = {}
        self._spawned = False
        """Whether there may be actors that are not among the cells yet."""
        self._objects = Objects()
        self._client: tuple[SimTask, asyncio.Handle] | None = None

    # -- the schedule ------------------------------------------------------------------------------------------------

    def pick(self, order: list[int], lanes: dict[int, Lane]) -> int:
        """Return the index of the lane that is next."""
        for index, age in enumerate(order):
            lane = lanes[age]
            if is_internal(lane, lane.handles[0][1]):
                return index
        self._end_step()
        ready = [self._number(lanes[age]) for age in order]
        chosen = self._choose(ready)
        self._chosen = True
        return ready.index(chosen)

    def _choose(self, ready: Sequence[int]) -> int:
        chosen = self._reduction.choose(len(self.steps), ready, self.steps[-1] if self.steps else None)
        if chosen is None:
            raise GivenUp
        return chosen

    def _number(self, lane: Lane) -> int:
        number = self._lanes.get(id(lane))
        if number is None:
            number = self._lanes[id(lane)] = len(self._lanes)
            self._kept.append(lane)
        return number

    def step(self, lane: Lane, handle: asyncio.Handle) -> None:
        """A step begins."""
        if is_internal(lane, handle):
            self._carry_on(lane, handle)
            return
        self._joined = None
        self._callbacks.discard(id(handle))
        number = self._number(lane)
        if not self._chosen:
            self._end_step()
            self._choose((number,))
        self._chosen = False
        step = self._step = Step(number, floor=self._floor)
        if handle is lane.turns:
            step.after.update(self._turns[number].popleft())
        else:
            step.after.update(self._posted.get(id(handle), ()))
            step.after.update(self._ages[age] for age in self._waits.get(id(handle), ()) if age in self._ages)
        self._ages[lane.ran] = len(self.steps)
        self.steps.append(step)
        self._owner = None
        self._begin(step, lane, handle)

    def _carry_on(self, lane: Lane, handle: asyncio.Handle) -> None:
        """Something runs that belongs to the step before. What waits for several comes after all of them."""
        causes = set(self._posted.get(id(handle), ()))
        if self._step is not None:  # which may be another than its cause: a callback that stood before it
            causes.add(len(self.steps) - 1)
            self._ages[lane.ran] = len(self.steps) - 1
        callback = callback_of(handle)
        if joins(callback):
            joined = self._joins.setdefault(id(getattr(callback, "__self__", callback)), set())
            joined |= causes
            causes = joined
        self._joined = causes

    def posted(self, handle: asyncio.Handle, after: Collection[int] = (), *, shared: bool = False) -> None:
        """This step makes something ready."""
        if self._closed:
            return
        if id(handle) in self._posted:
            self._is_due(handle)
        else:
            self._cause(handle)
            task = owner_of(handle)
            if task.__class__ is SimTask and not self._objects.knows(task) and not isinstance(task.get_coro(), Driver):
                self._objects.scan(task, *_roots(task, handle))
            if shared and self._step is not None:
                # Callbacks run in the order in which they were asked for, which is seen where one has to wait.
                waits = bool(after or self._callbacks) or not is_benign(handle)
                (self._step.writes if waits else self._step.reads).add("loop")
        if shared and not is_benign(handle):
            self._callbacks.add(id(handle))
        if after:
            self._waits[id(handle)] = after

    def turn(self, lane: Lane) -> None:
        """This step gives an actor a turn."""
        cell = lane.source
        self._know(cell)
        if cell.actor is not None and not self._objects.knows(cell.actor):
            self._objects.scan(cell.actor, cell.actor)
        if not self._closed:
            self._turns.setdefault(self._number(lane), deque()).append(self._causes())

    def timer_set(self, timer: asyncio.TimerHandle) -> None:
        """This step sets a timer. Those of one instant fire in the order in which they were set."""
        if self._closed:
            return
        self._cause(timer)
        step = self._step
        when = timer.when()
        if step is None or isinstance(owner_of(timer), Cell | SimTask):
            return
        if is_benign(timer):
            if when in self._instants:  # it is behind one that can be seen to fire
                step.writes.add(("timers", when))
            return
        self._instants.add(when)
        place = place_of(timer)
        if when <= self._now():
            step.writes.add("loop")
        if place is None:
            step.writes.add(("timers", when))
        else:
            step.writes.add(("timers", when, place.path))
            step.reads.add(("timers", when))
            step.perhaps.add(("due", when))
            self._timers[id(timer)] = step

    def _is_due(self, timer: asyncio.Handle) -> None:
        """A timer is due. In which order it was set matters where another one is due at that time too."""
        step = self._timers.pop(id(timer), None)
        if step is None or not isinstance(timer, asyncio.TimerHandle):
            return
        when = timer.when()
        due = self._due.setdefault(when, [])
        if not any(step is setter for setter in due):
            due.append(step)
        for setter in due if len(due) > 1 else ():
            setter.writes.add(("due", when))
            setter.late = True

    def _cause(self, handle: asyncio.Handle) -> None:
        self._kept.append(handle)
        self._posted[id(handle)] = self._causes()
        future = settled(handle)
        if future is not None and self._step is not None:
            number = getattr(future, "number", None)
            if number is not None:
                self._step.writes.add(("future", number))
            elif self._objects.number(future) is not None:
                self._step.writes.add(("object", self._objects.number(future)))

    def _causes(self) -> Collection[int]:
        """The steps without which what runs now would not run."""
        if self._joined is not None:
            return frozenset(self._joined)
        return () if self._step is None else (len(self.steps) - 1,)

    def time_goes_on(self) -> None:
        """What comes now comes after all that was."""
        self._end_step()
        self._floor = len(self.steps)

    def task_touched(self, task: SimTask, cancels: bool) -> None:
        """A task is looked at, or cancelled."""
        if self._step is not None:
            if cancels:
                self._step.alone = True
            else:
                self._step.reads.add(("task", task.number))

    def task_awaited(self, task: SimTask) -> None:
        """Somebody wants to be told of a task's end."""
        if self._step is not None:
            self._step.writes.add(("future", task.number))

    def future_touched(self, number: int, changes: bool) -> None:
        """A future is looked at, or it is set or waited for."""
        if self._step is not None:
            (self._step.writes if changes else self._step.reads).add(("future", number))

    def close(self) -> None:
        """Take nothing down any more: the run is over."""
        if not self._closed:
            self._end_step()
            self._closed = True

    # -- what a step touches -----------------------------------------------------------------------------------------

    def _begin(self, step: Step, lane: Lane, handle: asyncio.Handle) -> None:
        source = lane.source
        if isinstance(source, Cell):
            self._of_actor(step, source)
            return
        if source.__class__ is SimTask:
            step.writes.add(("task", source.number))
            coro = source.get_coro()
            context: Context = handle._context  # type: ignore[attr-defined]
            cell: Any = coro.cell if isinstance(coro, Driver) else context.get(handling)
            if cell is not None:
                self._of_actor(step, cell)
            else:
                self._of_client(step, source, handle)
            return
        if source is not None:
            step.alone = True  # a function for an executor may touch anything
            return
        place = place_of(handle)
        if place is None:
            step.alone = True
        else:
            step.writes.add(("actor", place.path))
            owner = owner_of(handle)
            if isinstance(owner, Ask):
                step.writes.add(("ask", owner.id))  # type: ignore[attr-defined]

    def _of_actor(self, step: Step, cell: Cell) -> None:
        self._owner = cell
        path = cell.path
        step.writes.add(("actor", path))
        self._know(cell)
        parent = cell.parent
        is_routed = parent is not None and isinstance(parent.actor, Router)
        if is_routed or cell.capacity <= max(_ROOMY, 2 * len(self._sent)):
            step.writes.add(("mail", path))  # how much waits there is seen by those who send
        # Where a later message may be taken up instead of an earlier one, its sending and the taking-up can come in
        # either order, though the one made the other what it is.
        ordered = cell.queue is None or cell.queue.__class__ is deque
        self._overtaking = not ordered or overflow(cell) == "drop_oldest"
        if self._overtaking:
            step.writes.add(("mail", path))
        if isinstance(cell.actor, Router):
            step.reads.update(("mail", below.path) for below in cell.children)
        actor = cell.actor
        if actor is not None:
            self._objects.touch(step, path, actor, actor)

    def _of_client(self, step: Step, task: SimTask, handle: asyncio.Handle) -> None:
        if self._shared:
            step.writes.add("clients")
        self._client = task, handle
        self._objects.touch(step, task.label, task, *_roots(task, handle))

    def told(self, kind: str, row: dict[str, Any]) -> None:
        """Something has happened in this step."""
        step = self._step
        if kind == "spawn":
            self._spawned = True
        if step is None:
            return
        path = row.get("actor")
        if kind in ("send", "ask"):
            self._sent[row["id"]] = len(self.steps) - 1
            self._objects.sent(step, row["id"], row["sender"], row["message"])
            step.writes.add(("mail", path))
            if row.get("priority"):
                step.writes.add(("actor", path))
        elif kind == "ask_end" and row["how"] == "cancel" and self._owner is not None:
            if self._owner.waiting_for is not None:  # called off at once, for it would have closed a circle
                self._waits_for(step, self._owner, self._owner.waiting_for)
        elif kind == "recv" and row["id"] in self._sent:
            if not self._overtaking:
                step.after.add(self._sent[row["id"]])
            self._objects.received(step, row["id"], str(path))
        elif kind == "spawn":
            step.writes.add(("actor", path))
            step.writes.add(("children", str(path).rpartition("/")[0]))
        if kind == "ask_end":  # with an answer or an error, or with nothing
            self._objects.answered(step, str(path), row["sender"], row["outcome"])
        if kind in ("recv", "done", "ask_end", "dead_letter") and row.get("id"):
            step.writes.add(("ask", row["id"]))

    def mark(self) -> None:
        """A mark was put into the trace: their order is for invariants to see."""
        if self._step is not None:
            self._step.writes.add("marks")

    def look(self, id: int) -> None:
        """Somebody looked whether an ask is done."""
        if self._step is not None:
            self._step.reads.add(("ask", id))

    def full(self, path: str) -> None:
        """Somebody has a message for a mailbox in which there is no room; once one has been taken up, there is some."""
        if self._step is not None:
            self._step.writes.add(("mail", path))

    def view(self, path: str | None) -> None:
        """Somebody looks whether there is an actor at a path, or at what the system is like: then at everything."""
        if self._step is None:
            return
        if path is None:
            self._step.alone = True
            return
        names = path.split("/")
        self._step.reads.update(("children", "/".join(names[:depth])) for depth in range(len(names)))

    def everything(self) -> None:
        """The trace was looked at: the order of everything is seen."""
        if self._step is not None and asyncio._get_running_loop() is not None:
            self._step.alone = True

    # -- what has changed about actors -------------------------------------------------------------------------------

    def _know(self, cell: Cell) -> None:
        runtime = cell.runtime
        if id(runtime) not in self._systems:
            self._systems[id(runtime)] = runtime
            self._spawned = True

    def _end_step(self) -> None:
        step, self._step = self._step, None
        if step is not None:
            self._objects.end(step)
            if self._client is not None:
                self._objects.scan(self._client[0], *_roots(*self._client))
                self._client = None
        for runtime in self._systems.values() if self._spawned else ():
            for cell in living(runtime.root):
                if cell not in self._cells:
                    self._cells[cell] = ()
        self._spawned = False
        for cell, before in self._cells.items():
            idle = cell.phase, None, 0, (), cell.waiting_for
            if before == idle and not cell.queue and not cell.signals:  # as most are, of many
                continue
            now = _state(cell)
            if step is not None and before:
                self._compare(step, cell, before, now)
            self._cells[cell] = now

    def _compare(self, step: Step, cell: Cell, before: tuple[Any, ...], now: tuple[Any, ...]) -> None:
        phase, last, count, signals, waits = before
        if now[0] != phase and not (now[0] in _STARTS and phase in _STARTS):
            step.alone = True
        if now[3] != signals and cell is not self._owner:
            step.writes.add(("actor", cell.path))
        if now[1] is not None and (now[1] is not last or now[2] > count):
            step.writes.add(("mail", cell.path))
        queue = cell.queue
        if queue is not None and queue.__class__ is not deque and now[2] > count:
            step.writes.add(("actor", cell.path))  # it may be taken up before what is there
        if now[4] is not waits:
            self._waits_for(step, cell, now[4])

    def _waits_for(self, step: Step, cell: Cell, waits: Any) -> None:
        """An actor's handler waits for an answer, or does no more; a circle is looked for along all who wait."""
        step.writes.add(("waits", cell.path))
        seen = {cell}
        while waits is not None and waits.cell not in seen:
            seen.add(waits.cell)
            step.reads.add(("waits", waits.cell.path))
            waits = waits.cell.waiting_for


def _roots(task: SimTask, handle: asyncio.Handle) -> tuple[Any, ...]:
    """From where a task reaches what it can; its result is there for others."""
    context: Context = handle._context  # type: ignore[attr-defined]
    return task, task.get_coro(), *context.values()


def _state(cell: Cell) -> tuple[Any, ...]:
    queue = cell.queue
    last = queue[-1] if queue and queue.__class__ is deque else None
    count = len(queue) if queue is not None else 0
    if queue is not None and queue.__class__ is not deque and count:
        last = queue
    signals = tuple(map(id, cell.signals)) if cell.signals else ()
    return cell.phase, last, count, signals, cell.waiting_for
