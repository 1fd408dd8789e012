"""The dispatcher: gives ready actors their turns, one message at a time, all on one callback of the loop.

**Leader and followers.** Messages are processed by a coroutine, `_serve`, that is stepped by hand under the identity
of a spare `asyncio.Task`, the *leader*. A ``def`` handler is called, an ``async def`` handler is awaited right there:
as long as it does not suspend, it costs no task. When it does, the whole coroutine is handed to the leader's task,
which goes on with it as a follower until that one handler has ended, and a new leader serves the other actors. (The
pattern is Schmidt et al., "Leader/Followers", PLoP 2000.) ``asyncio.current_task()``, ``timeout()`` and task groups
work from a handler's first line on.

**Helping.** A task about to wait for an answer first runs the actors that are ready, for the answer may be had here
and now: an ask then costs no pass of the event loop.

One shared queue and one callback, instead of one ``call_soon`` per actor and message, is what makes tells between
actors cheaper than bare asyncio.
"""

from __future__ import annotations

import asyncio
import contextvars
from asyncio.tasks import _enter_task, _leave_task
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from types import CoroutineType, coroutine
from typing import TYPE_CHECKING, Any, Final

from pykka.messages import _ActorStop

from .cell import BUSY, DEFERRED, IDLE, PYKKA_MESSAGES, READY, Cell
from .envelope import Ask, Envelope, ProbedAsk, StreamAsk
from .future import VALUE
from .scope import active
from .worker import Worker

if TYPE_CHECKING:
    from .system import System

BATCH: Final = 100
"""Messages one actor may process before the next one has its turn."""

BUDGET: Final = 500
"""Messages processed before the loop may look at its sockets and timers again."""

HAND_OVER: Final = 5
"""What a handler that suspends takes from the budget, besides its message."""

HELPED: Final = 64
"""Times in a row that a task may be spared the wait for the loop; then it has to take it once."""

_PAUSED: Final = object()
_OPENED: Final = frozenset({Envelope, ProbedAsk, StreamAsk, *PYKKA_MESSAGES})


@coroutine
def _pause() -> Generator[object, None, None]:
    yield _PAUSED


class Dispatcher:
    """The ready queue of one system, and who serves it.

    Args:
        system: whose actors.
        pristine: the context that handlers start from; what one leaves set in it, no other actor sees.
        choose: a simulated loop's own dispatcher: it is given each actor that is ready, and has `Cell.run_one` called,
            for one message, when it chooses.
    """

    def __init__(
        self, system: System, pristine: contextvars.Context, *, choose: Callable[[Cell], object] | None
    ) -> None:
        self.system = system
        self.loop = system.loop
        self.pristine = pristine
        self.lane: deque[Cell] = deque()
        self.ready: Any = self.lane if choose is None else _Chosen(choose)
        self.scheduled = choose is not None
        self.leader: Worker | None = None
        self._driving = False
        self._closed = False
        self._helped = 0
        self._left = 0
        self._batch = BATCH if choose is None else 1
        self._entered: asyncio.Task[Any] | None = None
        self._lent: asyncio.Task[Any] | None = None

    # -- whose turn it is ------------------------------------------------------------------------------------------

    def schedule(self) -> None:
        """Have the loop call the dispatcher."""
        self.scheduled = True
        self.loop.call_soon(self._turn, context=self.pristine.copy())

    def _turn(self) -> None:
        self._helped = 0
        if self.lane:
            self._drive()
        if self.lane:
            self.loop.call_soon(self._turn, context=self.pristine.copy())
        else:
            self.scheduled = False

    def run_alone(self, cell: Cell) -> None:
        """Process one message of one actor: a turn as a simulated loop schedules it."""
        if cell.state == READY:
            self.lane.append(cell)
            self._drive()

    def help(self) -> None:
        """Run the ready actors, for a task that would otherwise suspend.

        All of them, within the budget, not only until the task's own answer is there: whoever asks one usually asks
        the others too, and a fan-out to 100 then costs one such round instead of 100 (0.70 µs an ask, not 1.20).
        """
        if self.lane and not self._driving and self._helped < HELPED:
            self._helped += 1
            self._drive()

    # -- the leader ------------------------------------------------------------------------------------------------

    def _drive(self) -> None:
        """Step the leader until nothing is ready or the budget is spent."""
        if self._closed:
            return
        self._left = BUDGET
        self._driving = True
        try:
            while True:
                worker = self.leader or self._lead()
                standby: Any = worker.standby
                try:
                    pending = worker.context.run(standby.send, None)
                except StopIteration:  # it has retired, see _serve
                    self.leader = None
                    worker.retire()
                except BaseException:  # interrupted between two handlers: another one leads on
                    self.leader = None
                    worker.retire()
                    raise
                else:
                    if pending is _PAUSED:
                        return
                    self._hand_over(worker, standby, pending)
                if self._entered is not None:
                    self._leave()
                self._left -= HAND_OVER
                if not self.lane or self._left <= 0:
                    return
        finally:
            self._driving = False
            self.system.active = None
            if self._entered is not None:
                self._leave()
            if self._lent is not None:
                _enter_task(self.loop, self._lent)
                self._lent = None

    def _lead(self) -> Worker:
        worker = self.leader = Worker(self.system, self.pristine.copy(), f"{self.system.name}-leader")
        worker.standby = self._serve(worker)
        return worker

    def _enter(self, task: asyncio.Task[Any]) -> None:
        """Take on the identity of a leader's task: a coroutine is about to run that may look for it.

        Where a task is being helped, that one's identity is laid aside until the helping is over.
        """
        helped = asyncio.current_task(self.loop)
        if helped is not None:
            _leave_task(self.loop, helped)
            self._lent = helped
        _enter_task(self.loop, task)
        self._entered = task

    def _leave(self) -> None:
        assert self._entered is not None
        _leave_task(self.loop, self._entered)
        self._entered = None

    def _hand_over(self, worker: Worker, standby: Coroutine[Any, Any, None], pending: Any) -> None:
        """A handler has suspended: its worker's task goes on with it."""
        system = self.system
        cell = system.active
        assert cell is not None
        system.active = None
        self.leader = None
        cell.worker = worker
        if cell.current is not None:
            cell.current.work = worker
        if cell.rare is not None:
            cell.admit()
        worker.task.set_name(cell.path)
        worker.context.run(system.handling.set, cell)
        worker.take(cell, standby, pending, cell.handled)
        # The handler's first step may have led to its actor's end; that does not wait until it is through.
        while cell.signals is not None and callable(cell.signals[0]):
            cell.next_signal()

    def dismiss(self, worker: Worker) -> None:
        """A leader's task was cancelled: by a handler that cancelled the current task, or as the loop shuts down."""
        if worker.standby is not None:
            worker.standby.close()
            worker.standby = None
        if self.leader is worker:
            self.leader = None

    def close(self) -> None:
        """Let the leader's task end; there will not be another."""
        self.lane.clear()
        self._closed = True
        worker = self.leader
        if worker is not None:
            self.dismiss(worker)
            worker.retire()

    async def _serve(self, worker: Worker) -> None:
        """Process messages, forever, or until a handler has suspended: then to the end of that handler."""
        system = self.system
        lane = self.lane
        pristine = self.pristine
        context = worker.context
        cancelling = worker.task.cancelling
        probe = system.probe
        queues = system.queues
        batch = self._batch
        left = self._left
        while True:
            # 1. The next actor.
            if not lane or left <= 0:
                system.active = None
                await _pause()
                left = self._left
                continue
            cell = lane.popleft()
            if cell.state != READY:
                continue
            cell.state = BUSY
            system.active = cell
            receive: Any = cell.actor.on_receive if cell.actor is not None else None
            turn = batch
            while True:
                # 2. Its next message: the first lane before the mailbox.
                if cell.signals is not None:
                    item = cell.next_signal()
                    if item is None:
                        if cell.state != BUSY:
                            break
                        continue
                else:
                    queue = cell.queue
                    if not queue:
                        cell.state = IDLE
                        if queue is not None:  # an idle actor keeps no queue: an empty deque has 600 bytes
                            cell.queue = None
                            if queue.__class__ is deque:
                                queues.append(queue)
                        break
                    if turn <= 0:
                        cell.state = READY
                        self.ready.append(cell)
                        break
                    item = queue.popleft()
                turn -= 1
                # 3. The handler.
                kind = item.__class__
                ask: Ask | None = None
                try:
                    if kind is Ask:
                        message = item.message
                        if item._state and message.__class__ is not _ActorStop:  # a stop is not taken back
                            cell.refuse(item, "its asker gave up")
                            continue
                        cell.current = ask = item
                        if item.scope is None and message.__class__ not in PYKKA_MESSAGES:
                            result = receive(message)
                        else:
                            result = _carefully(cell, item, message, None)
                    elif kind not in _OPENED:
                        result = receive(item)
                    elif kind is Envelope:
                        result = _carefully(cell, item, item.message, probe)
                    elif kind in PYKKA_MESSAGES:
                        result = cell.receive(item)
                    else:
                        if item._state:
                            cell.refuse(item, "its asker gave up")
                            continue
                        cell.current = ask = item
                        result = _carefully(cell, item, item.message, probe)
                    if result.__class__ is CoroutineType:
                        if self._entered is None:
                            self._enter(worker.task)
                        result = await result
                except BaseException as error:
                    if worker.killed:
                        raise
                    if self.leader is not worker:
                        worker.report(None, error)
                        return
                    if not cell.settle(ask, None, error):
                        break
                else:
                    # 4. The answer.
                    if self.leader is not worker:
                        worker.report(result, None)
                        return
                    if ask is not None:
                        if kind is not Ask or result is DEFERRED:
                            cell.settle(ask, result, None)
                        elif not ask._state:
                            ask._value = result
                            ask._state = VALUE
                            if ask._callbacks is not None:
                                ask._run_callbacks()
                        cell.current = None
                if cell.state != BUSY:
                    break
            left -= batch - turn + 1
            if cell.rare is not None:
                cell.admit()
            # A handler left a context variable set, or has cancelled its task: neither is used again.
            if context != pristine or (self._entered is not None and cancelling()):
                self._left = left
                return


async def _carefully(cell: Cell, item: Any, message: Any, probe: Any) -> Any:
    """Process a message that carries a scope, that a probe looks at, or that is one of pykka's."""
    handling = cell.system.handling
    handled = handling.set(cell)
    scoped = active.set(item.scope)
    try:
        if probe is not None:
            cell.probe_before(item, message)
        result = cell.receive(message)
        if result.__class__ is CoroutineType:
            result = await result
        if probe is not None:
            cell.probe_after(item)
    finally:
        active.reset(scoped)
        handling.reset(handled)
    return result


class _Chosen:
    """The ready queue under a simulated loop, which chooses who is next."""

    __slots__ = ("append",)

    def __init__(self, choose: Callable[[Cell], object]) -> None:
        self.append = choose
