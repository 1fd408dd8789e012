"""One message: how it is handed to the actor, and what its end means: an answer, a crash, or an answer later."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextvars import Token
from types import AsyncGeneratorType, CoroutineType
from typing import Any

from pykka.messages import _ActorStop

from ..base.errors import StreamExpected
from ..base.lifecycle import Phase
from ..base.log import logger_of
from ..base.send_context import active
from ..life.crash import crash, ended_late, note
from ..life.death import Down
from ..life.ending import stop_gracefully
from ..mail.ask import HANDED_ON, PUT_ASIDE, Ask, StreamAsk
from ..mail.cell import IDLE, READY, Cell, describe
from ..mail.envelope import DEFERRED, PYKKA_MESSAGES, STOPS, Envelope, Mark, Once
from ..mail.future import PENDING
from ..mail.mailbox import refuse
from ..refs.watching import delivered
from ..runtime.driver import Driver
from ..runtime.parts import Probe
from ..runtime.runtime import handling
from .producing import exhaust, serve

logger = logger_of()


def next_signal(cell: Cell) -> Any:
    """Take the next of the first lane: a message for the handler, or None after a step of the actor's life."""
    signals = cell.signals
    assert signals is not None
    item = signals.popleft()
    if not signals:
        cell.signals = None
    if item.__class__ is Down:
        return delivered(cell, item)
    item()
    return None


def is_unwanted(cell: Cell, ask: Ask) -> bool:
    """Refuse an ask whose asker waits no longer, or whose deadline has passed now that it is taken up."""
    if ask._state or ask.is_late(cell.runtime.clock()):
        refuse(cell, ask, "")
        return True
    return False


def receive(cell: Cell, message: Any) -> Any:
    """Hand a message to the actor; what comes back may be a coroutine."""
    observer = cell.runtime.observer
    if message.__class__ in STOPS:
        if observer is not None:
            observer.no_message(cell)
        stop_gracefully(cell, cell.current, final=message.__class__ is _ActorStop)
        return DEFERRED
    if message.__class__ is Mark:
        return None
    handler = cell.actor._handle_receive if message.__class__ in PYKKA_MESSAGES else cell.actor.on_receive
    if observer is not None and observer.intercepting:
        handler = observer.interceptors.around(cell, handler)
    return handler(message)


async def receive_carefully(cell: Cell, item: Any, message: Any, probe: Probe | None) -> Any:
    """Process a message that carries a context, that a probe looks at, or of which only one may wait."""
    handled = handling.set(cell)
    scoped = active.set(item.context)
    try:
        if item.__class__ is Once:
            item.taken()
        if probe is not None:
            _probe_before(cell, item, message, probe)
        result = receive(cell, message)
        if result.__class__ is CoroutineType:
            result = await result
        if probe is not None:
            _probe_after(cell, item, probe)
    finally:
        active.reset(scoped)
        handling.reset(handled)
        if probe is not None and (details := cell.more()).taken is item:
            details.taken = None
    return result


def take_up(cell: Cell, item: Any, probe: Probe) -> Any:
    """`receive_carefully`, at once: a coroutine comes back only where the handler is one."""
    handled = handling.set(cell)
    scoped = active.set(item.context)
    details = cell.details or cell.more()
    details.processed = nth = details.processed + 1
    details.taken = item
    path = cell.path
    number = item.id
    waits = False
    try:
        probe.message("recv", path, item.sender, number, item.message, details.incarnation, item.priority)
        if probe.on_process is not None:
            probe.on_process(path, nth, "before")
        result = cell.actor.on_receive(item.message)
        if result.__class__ is CoroutineType:
            waits = True
            return _awaited(cell, item, result, probe, handled, scoped)
        if probe.on_process is not None:
            probe.on_process(path, nth, "after")
        probe.message("done", path, number, details.incarnation)
        return result
    finally:
        if not waits:
            active.reset(scoped)
            handling.reset(handled)
            if details.taken is item:
                details.taken = None


async def _awaited(cell: Cell, item: Any, result: Any, probe: Probe, handled: Token[Any], scoped: Token[Any]) -> Any:
    """What is left of `take_up` where the handler is a coroutine."""
    try:
        value = await result
        _probe_after(cell, item, probe)
        return value
    finally:
        active.reset(scoped)
        handling.reset(handled)
        if (details := cell.more()).taken is item:
            details.taken = None


def settle(cell: Cell, item: Any, ask: Ask | None, value: Any, error: BaseException | None) -> bool:
    """A handler has ended: answer, or crash. False if that ends the turn.

    pykka's rule: an exception under an ask is the asker's affair and the actor lives on; one that nobody is told
    about, or that is no `Exception`, crashes the actor.
    """
    if ask is not None and (ask.work is PUT_ASIDE or ask.cell is not cell):
        ask = None  # stashed, or handed on: it is answered later, or by another
    observer = cell.runtime.observer
    if observer is not None and cell.runtime.active is cell and error is not None and not _obeyed(ask, error):
        observer.failed(cell)
    if error is None:
        answer(cell, ask, value)
    elif ask is not None and isinstance(error, Exception):
        note(cell, ask.message, error)
        if logger.isEnabledFor(logging.INFO):
            logger.info("Exception returned from %s to caller:", cell.ref, exc_info=error)
        ask.fail(error)
    elif _obeyed(ask, error):
        pass
    else:
        crash(cell, error, item.message if isinstance(item, (Envelope, Ask)) else item)
        return False
    cell.current = None
    return True


def _obeyed(ask: Ask | None, error: BaseException | None) -> bool:
    """Whether the asker gave up, and the handler obeyed."""
    return ask is not None and ask._state != PENDING and isinstance(error, asyncio.CancelledError)


def answer(cell: Cell, ask: Ask | None, value: Any) -> None:
    """Give a handler's value to who asked; a stream of items is iterated beside the mailbox."""
    if value is DEFERRED or (ask is not None and (ask.work is PUT_ASIDE or ask.cell is not cell)):
        return
    if isinstance(ask, StreamAsk):
        serve(cell, ask, value)
    elif value.__class__ is AsyncGeneratorType:
        if ask is None:
            exhaust(cell, value)
        else:
            ask.fail(
                StreamExpected(
                    f"{describe(cell)} answers with a stream of items: read it with ref.stream(), not ask; a handler"
                    " that answers both looks at self.expects"
                )
            )
    elif ask is not None and (value is not None or ask.work is None or ask.work is HANDED_ON):
        # else `reply_with` answers it
        ask.answer(value)


def handled(cell: Cell, item: Any, driver: Driver, value: Any, error: BaseException | None) -> None:
    """A handler that had suspended has ended."""
    cell.driver = None
    ask = cell.current
    if cell.runtime.observer is not None:
        cell.runtime.observer.resumed(cell, error is not None and not _obeyed(ask, error))
    if ask is not None and ask.work is driver:  # not a job that the handler has left the answer to
        ask.work = None
    if cell.phase > Phase.RUNNING:
        cell.current = None
        if error is None:
            answer(cell, ask, value)
        ended_late(cell, ask, error)
    elif settle(cell, item, ask, value, error):
        cell.state = READY
        queue = cell.queue
        if (
            queue
            or cell.signals is not None
            or (details := cell.details) is None
            or details.waiting
            or details.patience
        ):
            cell.runtime.make_ready(cell)
        else:  # no turn in which there is nothing to do
            cell.state = IDLE
            cell.queue = None
            if queue.__class__ is deque:
                cell.runtime.queues.append(queue)


# -- the probe (simulation) --------------------------------------------------------------------------------------------


def _probe_before(cell: Cell, item: Any, message: Any, probe: Probe) -> None:
    """Tell the probe that a message is about to be processed; it may raise to crash the actor."""
    details = cell.more()
    details.processed += 1
    details.taken = item
    path = cell.path
    probe.message("recv", path, item.sender, item.id, message, details.incarnation, item.priority)
    if probe.on_process is not None:
        probe.on_process(path, details.processed, "before")


def _probe_after(cell: Cell, item: Any, probe: Probe) -> None:
    """Tell the probe that a message has been processed; it may raise to crash the actor."""
    details = cell.more()
    path = cell.path
    if probe.on_process is not None:
        probe.on_process(path, details.processed, "after")
    probe.message("done", path, item.id, details.incarnation)
