"""Whose turn it is: ready actors get their turns, one message at a time, all on one callback of the loop.

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
from asyncio.tasks import _enter_task, _leave_task, current_task
from collections import deque
from sys import getrefcount
from types import AsyncGeneratorType, CoroutineType, coroutine
from typing import Any, Final, cast

from ..base.send_context import active
from ..mail.ask import Ask, ProbedAsk, StreamAsk
from ..mail.cell import BUSY, IDLE, READY, Cell
from ..mail.envelope import DEFERRED, PYKKA_MESSAGES, STOPS, Envelope, Once
from ..mail.future import VALUE
from ..mail.mailbox import admit, refuse
from ..mail.watched import WatchedQueue
from ..runtime.driver import Driver
from ..runtime.runtime import Runtime, handling
from ..runtime.threads import NOWHERE
from .handling import answer, handled, is_unwanted, next_signal, receive, receive_carefully, settle

BATCH: Final = 100
"""Messages one actor may process before the next one has its turn."""

BUDGET: Final = 500
"""Messages processed before the loop may look at its sockets and timers again."""

HAND_OVER: Final = 5
"""What a handler that suspends takes from the budget, besides its message."""

HELPED: Final = 64
"""Times in a row that a task may be spared the wait for the loop; then it has to take it once."""

_PAUSED: Final = object()
_OPENED: Final = frozenset({Envelope, Once, ProbedAsk, StreamAsk, *PYKKA_MESSAGES})


class Leader(Driver):
    """A spare task, and the coroutine that serves all ready actors until a handler in it suspends."""

    __slots__ = ("_dispatcher", "_waiter", "item", "standby", "step")

    def __init__(self, dispatcher: Dispatcher, context: contextvars.Context, name: str) -> None:
        self.item: Any = None  # what failed, for the crash's record
        self._dispatcher = dispatcher
        self._waiter: asyncio.Future[None] | None = None
        self.standby: Any = None
        self.step: Any = None
        runtime = dispatcher.runtime
        super().__init__(runtime, context, name)

    def take(self, cell: Cell, pending: Any, on_done: Any) -> None:
        """Go on, as a follower, with what has been served so far and now waits for ``pending``."""
        self.assign(cell, self.standby, on_done)
        self.standby = self.step = None
        self.pending = pending
        self._wake()

    def retire(self) -> None:
        """End the task; it leads no more."""
        self.standby = self.step = None
        self._wake()

    def item_at_work(self) -> Any:
        """Return the item whose handler is at work: seldom asked for, so nobody keeps it but the serving frame."""
        serving = self.coro if self.standby is None else self.standby
        return serving.gi_frame.f_locals["item"]

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _idle(self) -> Any:
        if self.standby is None:
            return super()._idle()
        self._waiter = self.runtime.loop.create_future()
        self._waiter._asyncio_future_blocking = True
        return self._waiter

    def _dismissed(self) -> None:
        self._dispatcher.dismiss(self)


def _handled(leader: Driver, value: Any, error: BaseException | None) -> None:
    cell, served = cast("Cell", leader.cell), cast("Leader", leader)
    item, served.item = served.item, None  # its task may be kept, and what failed unseen is told once it is forgotten
    handled(cell, item, leader, value, error)


class Dispatcher:
    """The ready queue of one system, and who serves it.

    Args:
        runtime: whose actors.

    Attributes:
        leads: what its leaders are made of.
        batch: messages one actor may process before the next one has its turn.
    """

    leads = Leader
    batch = BATCH

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.loop = runtime.loop
        self.lane: deque[Cell] = deque()
        runtime.ready = self.lane
        runtime.scheduled = False
        runtime.schedule = self.schedule
        runtime.serve = self.serve
        runtime.help = self.help
        self.leader: Leader | None = None
        self._driving = False
        self._closed = False
        self._helped = 0
        self._left = 0

    # -- whose turn it is ------------------------------------------------------------------------------------------

    def schedule(self) -> None:
        """Have the loop call the dispatcher.

        Raises:
            SystemClosed: it never would: it is closed, or stands still while another runs in its thread.
        """
        runtime = self.runtime
        if not self.loop.is_running():
            runtime.check_reachable()
            runtime.home = NOWHERE  # until it runs again, each send is looked at
        self.loop.call_soon(self.serve, context=runtime.base_context.copy())
        runtime.scheduled = True

    def serve(self) -> None:
        """Run the ready actors, as far as the budget goes; the loop calls this."""
        self._helped = 0
        runtime = self.runtime
        runtime.passes += 1
        runtime.loop_runs()
        try:
            if self.lane:
                self._drive()
        finally:  # what has come out of it, a KeyboardInterrupt or a fault of ours, must not stop the others
            if self.lane:
                self.loop.call_soon(self.serve, context=runtime.base_context.copy())
                runtime.home = NOWHERE  # should the loop stop here, what is sent in another one's time is looked at
            else:
                runtime.scheduled = False

    def help(self) -> None:
        """Run the ready actors, for a task that would otherwise suspend.

        All of them, within the budget, not only until the task's own answer is there: whoever asks one usually asks
        the others too, and a fan-out to 100 then costs one such round instead of 100 (0.70 µs an ask, not 1.20).
        """
        if self.lane and not self._driving and self._helped < HELPED:
            self._helped += 1
            self._drive(current_task(self.loop))

    # -- the leader ------------------------------------------------------------------------------------------------

    def _drive(self, helped: asyncio.Task[Any] | None = None) -> None:
        """Step the leader until nothing is ready or the budget is spent.

        Args:
            helped: the task that is helped; its identity is laid aside for that time.
        """
        if self._closed:
            return
        runtime = self.runtime
        if helped is not None:
            _leave_task(self.loop, helped)
        self._left = BUDGET
        self._driving = True
        try:
            while True:
                leader = self.leader or self._lead(runtime.base_context.copy())
                try:
                    pending = leader.context.run(leader.step, None)
                except StopIteration:  # it has retired, see _serve
                    self.leader = None
                    leader.retire()
                except BaseException:  # interrupted between two handlers: another one leads on
                    self.leader = None
                    leader.retire()
                    raise
                else:
                    if pending is _PAUSED:
                        return
                    self._hand_over(leader, pending)
                if runtime.entered is not None:
                    self._leave()
                self._left -= HAND_OVER
                if not self.lane or self._left <= 0:
                    return
        finally:
            self._driving = False
            runtime.active = None
            if runtime.entered is not None:
                self._leave()
            if helped is not None:
                _enter_task(self.loop, helped)

    def _lead(self, context: contextvars.Context) -> Leader:
        runtime = self.runtime
        leader = self.leader = runtime.leader = self.leads(self, context, f"{runtime.name}-leader")
        leader.standby = self._serve(leader)
        leader.step = leader.standby.send
        return leader

    def _enter(self, task: asyncio.Task[Any]) -> None:
        """Take on the identity of a leader's task: a coroutine is about to run that may look for it."""
        _enter_task(self.loop, task)
        self.runtime.entered = task

    def _leave(self) -> None:
        runtime = self.runtime
        assert runtime.entered is not None
        _leave_task(self.loop, runtime.entered)
        runtime.entered = None

    def _hand_over(self, leader: Leader, pending: Any) -> None:
        """A handler has suspended: its leader's task goes on with it, as a follower."""
        runtime = self.runtime
        cell: Cell = runtime.active
        runtime.active = None
        self.leader = None
        if runtime.entered is not None:
            self._leave()
        cell.driver = leader
        if cell.current is not None:
            cell.current.work = leader
        if runtime.observer is not None:
            runtime.observer.suspended(cell, self.batch)
        if cell.details is not None:
            self._after_turn(cell)
        leader.task.set_name(cell.path)
        leader.context.run(handling.set, cell)
        leader.take(cell, pending, _handled)
        # The handler's first step may have led to its actor's end; that does not wait until it is through.
        while cell.signals is not None and callable(cell.signals[0]):
            next_signal(cell)

    def _after_turn(self, cell: Cell) -> None:
        details = cell.details
        assert details is not None
        if details.waiting:
            admit(cell)
        if details.patience is not None:
            details.patience.touch()

    def dismiss(self, leader: Leader) -> None:
        """A leader's task was cancelled: by a handler that cancelled the current task, or as the loop shuts down."""
        if leader.standby is not None:
            leader.standby.close()
            leader.standby = leader.step = None
        if self.leader is leader:
            self.leader = None

    def close(self) -> None:
        """Let the leader's task end; there will not be another."""
        self.lane.clear()
        self._closed = True
        leader = self.leader
        if leader is not None:
            self.dismiss(leader)
            leader.retire()

    @coroutine
    def _serve(self, leader: Leader) -> Any:
        """Process messages, forever, or until a handler has suspended: then to the end of that handler.

        Each kind of item has its own few lines, and what they share is not shared: this is the one place where a
        function call a message counts (60 ns of 150).
        """
        runtime = self.runtime
        lane = self.lane
        base_context = runtime.base_context
        context = leader.context
        task = leader.task
        cancelling = task.cancelling
        probe = runtime.probe
        clock = runtime.clock
        queues = runtime.queues
        batch = self.batch
        left = self._left
        known = 0
        spoiled = False
        cell: Any
        item: Any
        ask: Any
        queue: Any
        carried: Any
        message: Any
        on_receive: Any
        tally: Any = None
        result: Any
        while True:
            # 1. The next actor.
            if not lane or left <= 0:
                runtime.active = None
                # A leader that waits keeps nobody's message, answer or actor.
                cell = item = message = ask = result = queue = on_receive = carried = None
                yield _PAUSED
                left = self._left
                continue
            cell = lane.popleft()
            if cell.state != READY:
                continue
            cell.state = BUSY
            runtime.active = cell
            on_receive = cell.actor.on_receive if cell.actor is not None else None
            observer = runtime.observer
            if observer is not None:
                try:
                    tally = observer.tallies[cell.actor_class]
                except KeyError:
                    tally = observer.tally(cell.actor_class)
                if tally.taken >= tally.next:
                    observer.turn_begins(cell, tally)
                if observer.intercepting:
                    on_receive = observer.interceptors.around(cell, on_receive)
            turn = batch
            while True:
                # 2. Its next message: the first lane before the mailbox.
                queue = cell.queue
                if cell.signals is not None:
                    item = next_signal(cell)
                    if item is None:
                        if cell.state != BUSY:
                            break
                        continue
                elif queue:
                    item = queue.popleft()
                else:
                    cell.state = IDLE
                    if queue is not None:  # an idle actor keeps no queue: an empty deque has 600 bytes
                        cell.queue = None
                        if queue.__class__ is deque:
                            queues.append(queue)
                    break
                turn -= 1
                while True:
                    # 3. The handler; 4. the answer.
                    kind = item.__class__
                    if kind is Ask:
                        message = item.message
                        carried = item.context
                        if item._state:
                            if message.__class__ not in STOPS:  # a stop is not taken back
                                refuse(cell, item, "")
                                turn += 1
                                break
                        elif carried is not None and carried.deadline is not None and clock() >= carried.deadline:
                            item.expire()
                            refuse(cell, item, "")
                            turn += 1
                            break
                        cell.current = item
                        try:
                            if message.__class__ in PYKKA_MESSAGES:
                                result = receive_carefully(cell, item, message, None)
                            elif carried is None:
                                result = on_receive(message)
                            else:
                                scoped = active.set(carried)
                                try:
                                    result = on_receive(message)
                                    if result.__class__ is CoroutineType:
                                        if observer is not None:
                                            tally.turn = turn
                                        if runtime.entered is None:
                                            self._enter(task)
                                            known = getrefcount(task)
                                        result = yield from result  # type: ignore[misc]
                                finally:
                                    active.reset(scoped)
                            if result.__class__ is CoroutineType:
                                if observer is not None:
                                    tally.turn = turn
                                if runtime.entered is None:
                                    self._enter(task)
                                    known = getrefcount(task)
                                result = yield from result  # type: ignore[misc]
                        except BaseException as error:
                            if leader.killed:
                                raise
                            if self.leader is not leader:
                                leader.item = item
                                leader.report(None, error)
                                return
                            if not settle(cell, item, item, None, error):
                                break
                        else:
                            if self.leader is not leader:
                                leader.report(result, None)
                                return
                            if result is DEFERRED:
                                pass
                            elif item.work is not None or result.__class__ is AsyncGeneratorType:
                                answer(cell, item, result)
                            elif not item._state:
                                item._value = result
                                item._state = VALUE
                                if item._callbacks is not None:
                                    item._run_callbacks()
                            cell.current = None
                    else:
                        ask = None
                        try:
                            if kind not in _OPENED:
                                result = on_receive(item)
                            elif kind is Envelope and probe is None and item.message.__class__ not in PYKKA_MESSAGES:
                                scoped = active.set(item.context)
                                try:
                                    result = on_receive(item.message)
                                    if result.__class__ is CoroutineType:
                                        if observer is not None:
                                            tally.turn = turn
                                        if runtime.entered is None:
                                            self._enter(task)
                                            known = getrefcount(task)
                                        result = yield from result  # type: ignore[misc]
                                finally:
                                    active.reset(scoped)
                            elif kind in PYKKA_MESSAGES:
                                result = receive(cell, item)
                            elif kind is Envelope or kind is Once:
                                result = receive_carefully(cell, item, item.message, probe)
                            else:
                                if is_unwanted(cell, item):
                                    turn += 1
                                    break
                                cell.current = ask = item
                                result = receive_carefully(cell, item, item.message, probe)
                            if result.__class__ is CoroutineType:
                                if observer is not None:
                                    tally.turn = turn
                                if runtime.entered is None:
                                    self._enter(task)
                                    known = getrefcount(task)
                                result = yield from result  # type: ignore[misc]
                        except BaseException as error:
                            if leader.killed:
                                raise
                            if self.leader is not leader:
                                leader.item = item
                                leader.report(None, error)
                                return
                            if not settle(cell, item, ask, None, error):
                                break
                        else:
                            if self.leader is not leader:
                                leader.report(result, None)
                                return
                            if ask is not None or result.__class__ is AsyncGeneratorType:
                                answer(cell, ask, result)
                                cell.current = None
                    # 5. A context variable is set, the task is cancelled, or somebody keeps it: neither is used again.
                    if context != base_context or (
                        runtime.entered is not None and (getrefcount(task) > known or cancelling())
                    ):
                        spoiled = True
                        break
                    if not queue or cell.state != BUSY or cell.signals is not None or turn <= 0:
                        break
                    turn -= 1
                    item = queue.popleft()
                if cell.state != BUSY:
                    break
                if (spoiled and (cell.queue or cell.signals is not None)) or (turn <= 0 and cell.queue):
                    cell.state = READY
                    runtime.ready.append(cell)
                    break
            taken = batch - turn
            left -= taken or 1
            if observer is not None:
                tally.taken += taken
                if queue.__class__ is WatchedQueue:
                    observer.turn_ended(cell, tally, queue, taken)
                elif turn <= 0 and cell.queue:
                    observer.left_behind(cell)
            if cell.details is not None:
                self._after_turn(cell)
            if spoiled or context != base_context or (runtime.entered is not None and cancelling()):
                self._left = left
                return
