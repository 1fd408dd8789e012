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

from . import life
from .cell import BUSY, DEFERRED, IDLE, READY, Cell
from .envelope import Ask, Envelope, ProbedAsk, StreamAsk
from .future import PENDING, VALUE
from .scope import active
from .worker import Worker

if TYPE_CHECKING:
    from .system import System

BATCH: Final = 100
"""Messages one actor may process before the next one has its turn."""

BUDGET: Final = 500
"""Messages processed before the loop may look at its sockets and timers again."""

HELPED: Final = 64
"""Times in a row that a task may be spared the wait for the loop; then it has to take it once."""

_PAUSED: Final = object()
_OPENED: Final = frozenset({Envelope, ProbedAsk, StreamAsk})


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
        self._helped = 0
        self._left = 0
        self._batch = BATCH if choose is None else 1
        self._until: Ask | None = None

    # -- whose turn it is ------------------------------------------------------------------------------------------

    def schedule(self) -> None:
        """Have the loop call the dispatcher."""
        self.scheduled = True
        self.loop.call_soon(self._turn, context=self.pristine.copy())

    def _turn(self) -> None:
        self._helped = 0
        if self.lane:
            self._drive(None)
        if self.lane:
            self.loop.call_soon(self._turn, context=self.pristine.copy())
        else:
            self.scheduled = False

    def run_alone(self, cell: Cell) -> None:
        """Process one message of one actor: a turn as a simulated loop schedules it."""
        if cell.state == READY:
            self.lane.append(cell)
            self._drive(None)

    def help(self, ask: Ask) -> None:
        """Run ready actors until ``ask`` is answered, for a task that would otherwise suspend."""
        if self._driving or self._helped >= HELPED or not self.lane:
            return
        task = asyncio.current_task(self.loop)
        if task is None:
            return
        self._helped += 1
        _leave_task(self.loop, task)
        try:
            self._drive(ask)
        finally:
            _enter_task(self.loop, task)

    # -- the leader ------------------------------------------------------------------------------------------------

    def _drive(self, until: Ask | None) -> None:
        """Step the leader until nothing is ready, the budget is spent, or ``until`` is answered."""
        loop = self.loop
        self._left = BUDGET
        self._until = until
        self._driving = True
        try:
            while True:
                worker = self.leader
                if worker is None:
                    worker = self.leader = Worker(self.system, self.pristine.copy(), f"{self.system.name}-leader")
                    worker.standby = self._serve(worker)
                task = worker.task
                standby = worker.standby
                assert standby is not None
                _enter_task(loop, task)
                try:
                    pending = worker.context.run(standby.send, None)
                except StopIteration:  # it has retired, see _serve
                    self.leader = None
                    worker.retire()
                else:
                    if pending is _PAUSED:
                        return
                    self._hand_over(worker, standby, pending)
                finally:
                    _leave_task(loop, task)
                if not self.lane or self._left <= 0 or (until is not None and until._state):
                    return
        finally:
            self._driving = False
            self._until = None
            self.system.active = None

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
        worker.task.set_name(cell.path)
        worker.context.run(system.handling.set, cell)
        worker.take(cell, standby, pending, cell.handled)
        if cell.phase not in life.ALIVE:  # the handler's first step has led to its actor's end
            life.begin_ending(cell)

    def close(self) -> None:
        """Let the leader's task end."""
        worker, self.leader = self.leader, None
        if worker is not None:
            if worker.standby is not None:
                worker.standby.close()
            worker.retire()

    async def _serve(self, worker: Worker) -> None:
        """Process messages, forever, or until a handler has suspended: then to the end of that handler."""
        system = self.system
        lane = self.lane
        pristine = self.pristine
        context = worker.context
        probe = system.probe
        queues = system.queues
        while True:
            until = self._until
            if not lane or self._left <= 0 or (until is not None and until._state):
                system.active = None
                await _pause()
                continue
            cell = lane.popleft()
            if cell.state != READY:
                continue
            cell.state = BUSY
            system.active = cell
            left = self._batch
            while True:
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
                        if queue is not None:
                            cell.queue = None
                            if queue.__class__ is deque and len(queues) < 1000:
                                queues.append(queue)
                        break
                    if not left:
                        cell.state = READY
                        self.ready.append(cell)
                        break
                    item = queue.popleft()
                left -= 1
                kind = item.__class__
                ask: Ask | None = None
                message = item
                if kind is Ask:
                    if item._state != PENDING:
                        cell.refuse(item, "its asker gave up")
                        continue
                    cell.current = ask = item
                    message = item.message
                elif kind in _OPENED:
                    message = item.message
                    if kind is not Envelope:
                        if item._state != PENDING:
                            cell.refuse(item, "its asker gave up")
                            continue
                        cell.current = ask = item
                try:
                    if item is not message and (item.scope is not None or (probe is not None and kind is not Ask)):
                        result = await _carefully(cell, item, message)
                    else:
                        result = cell.receive(message)
                        if result.__class__ is CoroutineType:
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
                    if self.leader is not worker:
                        worker.report(result, None)
                        return
                    if ask is not None:
                        if result is DEFERRED or kind is StreamAsk:
                            cell.settle(ask, result, None)
                        elif ask._state == PENDING:
                            if kind is Ask:
                                ask._value = result
                                ask._state = VALUE
                                if ask._callbacks is not None:
                                    ask._run_callbacks()
                            else:
                                ask._settle(VALUE, result)
                        cell.current = None
                if cell.state != BUSY:
                    break
            self._left -= self._batch - left + 1
            if cell.rare is not None:
                cell.admit()
            if context != pristine:  # a handler left a context variable set: this context is not used again
                system.active = None
                return


async def _carefully(cell: Cell, item: Any, message: Any) -> Any:
    """Process a message that carries a scope, or that a probe looks at."""
    system = cell.system
    probe = system.probe
    handled = system.handling.set(cell)
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
        system.handling.reset(handled)
    return result


class _Chosen:
    """The ready queue under a simulated loop, which chooses who is next."""

    __slots__ = ("append",)

    def __init__(self, choose: Callable[[Cell], object]) -> None:
        self.append = choose
