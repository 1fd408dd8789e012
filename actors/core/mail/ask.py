"""How an ask ends, exactly once: a late reply, a given-up ask, one handed on and a circle of them are decided here.

An ask is its own reply future: one object instead of two, and whoever processes it settles it. What comes later goes
nowhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from threading import get_ident
from types import TracebackType
from typing import Any, Final

from ..base.errors import AskCycle, AskTimeout, CoreError, brief
from ..base.log import logger_of
from ..base.send_context import SendContext
from ..runtime.driver import Driver
from ..runtime.runtime import Receiver, Runtime
from .channel import Channel
from .future import CANCELLED, ERROR, PENDING, VALUE, Failure, Future

logger = logger_of()

NAMES: Final = 50
"""Actors of a circle that are named."""


class _AskFailure(Failure):
    """An error that an asker is told; logged if nobody has looked at it when it is forgotten."""

    __slots__ = ("_path",)

    def __init__(self, error: BaseException, traceback: TracebackType | None, path: str) -> None:
        super().__init__(error, traceback)
        self._path = path

    def __del__(self) -> None:
        if not self.seen:
            logger.error("an ask of %s failed, and its error was never retrieved: %s", self._path, brief(self.error))


class Putaside:
    """Stands for the work on an ask whose message waits to be taken up again: there is nothing to cancel."""

    def cancel_softly(self) -> None:
        """Do nothing: the ask is refused when the message is taken up again."""


PUT_ASIDE: Final = Putaside()
"""Its actor has stashed it."""

HANDED_ON: Final = Putaside()
"""It has been handed on to another actor, where it is ``ask.cell`` that tells whose it is."""


class Ask(Future[Any]):
    """A message that wants an answer, and the future of that answer.

    Args:
        cell: whom it is sent to.
        message: what is sent.
        context: the deadline and the baggage it is sent with.
        priority: lower is processed first.
    """

    __slots__ = ("cell", "message", "work")

    priority = 0
    # Seldom set: an instance's own value lies in its dict, which is made then. An ask is made for every message, and
    # each store counts; `ActorRef.ask` does not even call `__init__`.
    context: SendContext | None = None

    def __init__(self, cell: Receiver, message: Any, context: SendContext | None, priority: int = 0) -> None:
        self._state = PENDING
        self._callbacks = None
        self.cell = cell
        self.message = message
        self.work: Driver | Putaside | None = None
        if context is not None:
            self.context = context
        if priority:
            self.priority = priority

    @property
    def _runtime(self) -> Runtime:  # type: ignore[override]
        return self.cell.runtime

    def __repr__(self) -> str:
        state = ("pending", "answered", "failed", "cancelled")[self._state]
        return f"<ask {brief(self.message)} of {self.cell.place}: {state}>"

    def answer(self, value: Any) -> None:
        """Set the value unless the asker has given up: a late reply goes nowhere."""
        if self._state == PENDING:
            self._settle(VALUE, value)

    def fail(self, error: BaseException) -> None:
        """Set the error unless the asker has given up."""
        if self._state == PENDING:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self.cell.runtime.probe is None:
            self._settle(ERROR, _AskFailure(error, error.__traceback__, self.cell.path))
        else:  # which is told of every end
            failure = Failure(error, error.__traceback__)
            # A handler's own exception: what the runtime says by name, every sender may be told, and few will listen.
            if self._callbacks is None and not isinstance(error, CoreError):
                self.cell.runtime.probe.unheard_failure(f"an ask of {self.cell.path}", failure)
            self._settle(ERROR, failure)

    def failed(self) -> bool:
        """Whether it has ended in an error."""
        return self._state == ERROR

    def timed_out(self) -> bool:
        """Whether its deadline has ended it."""
        return self._state == ERROR and isinstance(self._value.error, AskTimeout)

    def cancel(self, msg: Any | None = None) -> bool:
        """Give up: the answer is no longer wanted. A handler that works on it is cancelled; a queued ask is dropped."""
        if self._state != PENDING:
            return False
        runtime = self.cell.runtime
        if not runtime.owns_this_thread() and not runtime.closed and not runtime.forked:
            runtime.post(self.cancel, msg)  # a handler, and its task, are touched on their own loop only
            return True
        self._settle(CANCELLED, msg)
        self._call_off()
        return True

    def expire(self) -> None:
        """The deadline has come."""
        if self._state == PENDING:
            self._fail(AskTimeout(f"{self.cell.place} did not answer {brief(self.message)} within its deadline"))
            self._call_off()

    def is_late(self, now: float) -> bool:
        """Whether its deadline has passed at ``now``, in the loop's seconds; then it has ended in `AskTimeout`."""
        context = self.context
        if context is None or context.deadline is None or now < context.deadline:
            return False
        self.expire()
        return True

    def _call_off(self) -> None:
        work = self.work
        if work is not None:
            work.cancel_softly()

    def __await__(self) -> Generator[Any, None, Any]:
        if self._state == PENDING:
            runtime = self.cell.runtime
            # Asking asyncio for the running loop asks the system for the process's number (180 ns on 3.11).
            if get_ident() != runtime.thread or not runtime.loop.is_running():
                yield from self._await_elsewhere()
            else:
                runtime.help()
                if self._state == PENDING:
                    asker = runtime.handling_here()
                    if asker is None:
                        self._asyncio_future_blocking = True
                        yield self
                    else:
                        asker.waiting_for = self
                        try:
                            check_cycle(asker)
                            self._asyncio_future_blocking = True
                            yield self
                        finally:
                            asker.waiting_for = None
        if self._state == VALUE:
            return self._value
        return self.result()

    __iter__ = __await__


class Admission(Future[None]):
    """What a `put` waits for: that its message is let into a full mailbox.

    Args:
        cell: whose mailbox.
        context: its deadline is the waiting's.
    """

    __slots__ = ("cell", "context", "on_given_up")

    def __init__(self, cell: Receiver, context: SendContext | None) -> None:
        super().__init__(cell.runtime)
        self.cell = cell
        self.context = context
        self.on_given_up: Callable[[], None] | None = None

    def cancel(self, msg: Any | None = None) -> bool:
        """Wait no longer: the message is not sent."""
        if self._state != PENDING:
            return False
        runtime = self.cell.runtime
        if not runtime.owns_this_thread() and not runtime.closed and not runtime.forked:
            runtime.post(self.cancel, msg)
            return True
        self._settle(CANCELLED, msg)
        self._given_up()
        return True

    def expire(self) -> None:
        """The deadline has come."""
        if self._state == PENDING:
            error = AskTimeout(f"the mailbox of {self.cell.place} had no room within the deadline")
            self._settle(ERROR, Failure(error, None))
            self._given_up()

    def _given_up(self) -> None:
        if self.on_given_up is not None:
            self.on_given_up()

    def __await__(self) -> Generator[Any, None, None]:
        if self._state == PENDING:
            runtime = self.cell.runtime
            asker = runtime.handling_here() if runtime.loop is asyncio._get_running_loop() else None
            if asker is None:
                yield from super().__await__()
            else:
                asker.waiting_for = self
                try:
                    check_cycle(asker)
                    yield from super().__await__()
                finally:
                    asker.waiting_for = None
        return self.result()

    __iter__ = __await__


def check_cycle(asker: Any) -> None:
    """Refuse to wait where the one waited for waits, directly or not, for this actor.

    Raises:
        AskCycle: with the names in order.
    """
    first: Ask | Admission = asker.waiting_for
    waits: Ask | Admission | None = first
    names = [asker.place]
    while waits is not None and waits._state == PENDING:
        cell = waits.cell
        names.append(cell.place)
        if cell is asker:
            first.cancel()
            raise _cycle(names)
        waits = cell.waiting_for


def check_handing_on(ask: Ask, receiver: Receiver) -> None:
    """Refuse to hand an ask on to one who waits, directly or not, for the actor that awaits it.

    Raises:
        AskCycle: with the names in order.
    """
    waits: Ask | Admission | None = receiver.waiting_for
    names = [receiver.place]
    while waits is not None and waits._state == PENDING:
        if waits is ask:
            raise _cycle([*names, receiver.place])
        names.append(waits.cell.place)
        waits = waits.cell.waiting_for


def _cycle(names: list[str]) -> AskCycle:
    if len(names) > NAMES:
        names[NAMES // 2 : -NAMES // 2] = [f"… {len(names) - NAMES} more …"]
    return AskCycle(f"these actors wait for each other: {' → '.join(names)}")


class ProbedAsk(Ask):
    """An ask in a system with a probe, which is told how it ended."""

    __slots__ = ("handed_on", "id", "replied", "sender")

    is_copy = False
    """Whether a network has brought it twice: it is processed like the first, and its answer goes nowhere."""

    def __init__(self, cell: Receiver, message: Any, context: SendContext | None, priority: int = 0) -> None:
        self._state = PENDING  # Ask.__init__, written out
        self._callbacks = None
        self.cell = cell
        self.message = message
        self.work = None
        if context is not None:
            self.context = context
        if priority:
            self.priority = priority
        self.id = 0  # until it is sent
        self.sender = ""
        self.handed_on: tuple[tuple[str, int, str], ...] = ()  # by whom before: path, id, sender
        self.replied = False  # and the reply is still on its way, or lost

    def copy(self) -> ProbedAsk:
        """Return what a network brings when it brings the ask a second time."""
        made = type(self)(self.cell, self.message, self.context, self.priority)
        made.id, made.sender, made.handed_on, made.is_copy = self.id, self.sender, self.handed_on, True
        return made

    def answer(self, value: Any) -> None:
        if self._state != PENDING:
            return
        cell = self.cell
        runtime = cell.runtime
        if (self.replied or runtime.probe is None or runtime.probe.on_reply is not None) and not self._arrives(
            VALUE, value
        ):
            return
        self._value = value  # as the dispatcher sets it
        self._state = VALUE
        callbacks = self._callbacks
        if callbacks.__class__ is tuple and callbacks[0] is runtime.loop and runtime.start_task is not None:
            self._callbacks = None  # there is one thread
            runtime.loop.call_soon(callbacks[1], self, context=callbacks[2])
        elif callbacks is not None:
            self._run_callbacks()
        self._ended("reply", value)

    def fail(self, error: BaseException) -> None:
        if self._state == PENDING and self._arrives(ERROR, Failure(error, error.__traceback__)):
            self._fail(error)

    def _arrives(self, state: int, value: Any) -> bool:
        """Whether a reply is there at once: a probe may hold it up, or lose it. A second one goes nowhere."""
        if self.replied or self.is_copy:
            return self.is_copy
        probe = self.cell.runtime.probe
        delay = 0.0 if probe is None or probe.on_reply is None or not self.id else probe.on_reply(self, self.cell.path)
        if delay == 0.0:
            return True
        self.replied = True
        if delay is not None:
            self.cell.runtime.loop.call_later(delay, self._arrive, state, value)
        return False

    def _fail(self, error: BaseException) -> None:
        if self.is_copy:  # there is nobody who could have looked
            self._settle(ERROR, Failure(error, error.__traceback__))
        else:
            super()._fail(error)

    def _arrive(self, state: int, value: Any) -> None:
        if self._state == PENDING:
            self._settle(state, value)

    def __hash__(self) -> int:
        return self.handed_on[0][1] if self.handed_on else self.id  # sets of asks iterate alike in every run

    def __eq__(self, other: object) -> bool:
        return self is other

    def _settle(self, state: int, value: Any) -> None:
        super()._settle(state, value)
        how, outcome = "reply", value
        if state == CANCELLED:
            how, outcome = "cancel", None
        elif state == ERROR:
            outcome = value.error
            how = "timeout" if isinstance(outcome, AskTimeout) else "error"
        self._ended(how, outcome)

    def _ended(self, how: str, outcome: Any) -> None:
        probe = self.cell.runtime.probe
        if probe is None:
            return
        earlier = self.handed_on
        if self.is_copy:  # how the ask ended is what its asker was told
            if not earlier:
                return
            earlier = earlier[1:]
        if self.id:
            probe.message("ask_end", self.cell.path, self.id, how, self.sender, outcome)
        if earlier:
            for path, id, sender in reversed(earlier):
                if id:  # else it was refused before it was sent
                    probe.message("ask_end", path, id, how, sender, outcome)

    def done(self) -> bool:
        """Whether there is a value, an error, or it was cancelled."""
        self._looked_at()
        return super().done()

    def cancel(self, msg: Any | None = None) -> bool:
        """See `Ask.cancel`."""
        self._looked_at()
        return super().cancel(msg)

    def _looked_at(self) -> None:
        probe = self.cell.runtime.probe
        if probe is not None and probe.on_look is not None:
            probe.on_look(self.id)

    def hand_on(self) -> None:
        """What is sent next is a message of its own."""
        self.handed_on = (*self.handed_on, (self.cell.path, self.id, self.sender))
        self.id = 0


class StreamAsk(ProbedAsk):
    """A request whose answer is a stream of items; the future is done when the stream has begun."""

    __slots__ = ("channel",)

    channel: Channel

    def copy(self) -> StreamAsk:
        """See `ProbedAsk.copy`; nobody reads what it is answered."""
        made = super().copy()
        assert isinstance(made, StreamAsk)
        made.channel = Channel(self.channel.size)
        return made

    def _arrives(self, state: int, value: Any) -> bool:
        return True  # the items are the reply; that they begin is not held up
