"""The steps by which an incarnation ends: the handler at work, answers under way, children, timers and jobs, the hook.

Each of them may have to wait. They are written as one generator that yields where it waits. Whoever finds that it can
go on puts the actor on the runtime's list of endings (`advance`); the list is worked off in a loop, so that an actor's
end that leads to its parent's end, and so on, needs no more stack at depth 5,000 than at depth 1. An actor that has
nothing to wait for ends at once, which is what makes stopping 100,000 of them a matter of a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import CoroutineType
from typing import Any, Final

from ..base.behaviour import Behaviour
from ..base.lifecycle import Phase, move
from ..base.log import logger_of
from ..mail.ask import Ask
from ..mail.cell import CLOSED, SUSPENDED, Cell
from ..mail.envelope import STOPS
from ..mail.future import Failure
from ..mail.mailbox import enqueue, signal
from ..runtime.driver import Driver
from ..runtime.runtime import Runtime, handling
from .death import answer_stops, die, tell_changed, unwatch_all

logger = logger_of()
_OVER: Final = object()


# -- asking for it -----------------------------------------------------------------------------------------------------


def ask_to_stop(cell: Cell, ask: Ask) -> None:
    """Take a stop in: behind what was sent before, or, where the actor has crashed, at once: it beats the restart."""
    if cell.phase not in (Phase.FAILING, Phase.SUSPENDING, Phase.RESTARTING):
        enqueue(cell, ask)
        return
    details = cell.more()
    details.stopping.append(ask)
    if cell.phase != Phase.FAILING or details.spec is not None:
        stop(cell)


def stop_waits(cell: Cell) -> bool:
    """Whether a stop stands in the mailbox."""
    return any((item.message if isinstance(item, Ask) else item).__class__ in STOPS for item in cell.queue or ())


def stop_gracefully(cell: Cell, ask: Ask | None, *, final: bool) -> None:
    """Stop where the stop message stands in the mailbox; answers under way are finished first."""
    details = cell.more()
    if ask is not None:
        details.stopping.append(ask)
    details.graceful = True
    details.owes_on_stop = True
    if not final and details.spec is not None and details.spec.restart == "permanent":
        move(cell, "suspend")
        details.exit_reason = "normal"
    else:
        move(cell, "stop")
    begin(cell)


def stop(cell: Cell) -> None:
    """Stop for good, as the parent or the system wants it: the message at work is finished, the rest are refused."""
    phase = cell.phase
    if phase == Phase.DEAD:
        return
    details = cell.details
    if phase == Phase.STOPPING:
        if details is not None and details.graceful:
            details.graceful = False
            advance(cell)
        return
    move(cell, "stop")
    if phase == Phase.NEW:
        die(cell, "stopped")
    elif phase == Phase.RESTARTING:
        if details is not None and details.restart_timer is not None:
            details.restart_timer.cancel()
            details.restart_timer = None
        die(cell, "stopped")
    elif phase == Phase.RUNNING or phase == Phase.STARTING:
        if phase == Phase.RUNNING and type(cell.actor).on_stop is not Behaviour.on_stop:
            cell.more().owes_on_stop = True
        begin_after_handler(cell)
    elif details is not None and details.graceful:  # SUSPENDING: its own stop is overtaken by this one
        details.graceful = False
        advance(cell)
    # FAILING or SUSPENDING: the ending under way sees the new phase when it is through.


def suspend(cell: Cell) -> None:
    """End a healthy incarnation that will be started again; the mailbox waits."""
    details = cell.more()
    details.owes_on_stop = cell.phase == Phase.RUNNING
    details.exit_reason = "suspend"
    move(cell, "suspend")
    begin_after_handler(cell)


def begin_after_handler(cell: Cell) -> None:
    """End the incarnation, or, where its own handler is on the stack, as soon as that is done."""
    if cell.runtime.active is cell:
        signal(cell, lambda: begin(cell))
    else:
        begin(cell)


# -- the steps ---------------------------------------------------------------------------------------------------------


def begin(cell: Cell) -> None:
    """End the incarnation as far as it goes without waiting."""
    details = cell.details
    if details is not None and details.ending is not None:
        advance(cell)
        return
    phase = cell.phase
    # Without a child spec there will be no other incarnation to take what is sent.
    again = phase != Phase.STOPPING and details is not None and details.spec is not None
    cell.state = SUSPENDED if again else CLOSED
    # The hook that is owed, if the class has one of its own; half made actors have none.
    kind = Behaviour if cell.actor is None else type(cell.actor)
    hookless = kind.on_failure is Behaviour.on_failure if phase == Phase.FAILING else kind.on_stop is Behaviour.on_stop
    if cell.driver is None and hookless and (details is None or not details.holds_anything()):
        if phase == Phase.STOPPING:
            die(cell, "stopped")
            return
        runtime = cell.runtime
        if not runtime.ending:
            runtime.ending = True
            try:
                _over(cell)
            finally:
                runtime.ending = False
                if runtime.endings:
                    _work_off(runtime)
            return
        cell.more().ending = iter(())
    else:
        cell.more().ending = _steps(cell)
    advance(cell)


def advance(cell: Cell) -> None:
    """Go on with the ending of an incarnation, and with all that this leads to."""
    runtime = cell.runtime
    runtime.endings.append(cell)
    if not runtime.ending:
        _work_off(runtime)


def _work_off(runtime: Runtime) -> None:
    endings = runtime.endings
    runtime.ending = True
    try:
        while endings:
            cell = endings.popleft()
            details = cell.details
            if details is None or details.ending is None:
                continue
            if next(details.ending, _OVER) is _OVER and details.ending is not None:
                details.ending = None
                _over(cell)
    finally:
        runtime.ending = False
        if endings:  # interrupted
            runtime.loop.call_soon(_work_off, runtime)


def _steps(cell: Cell) -> Iterator[None]:
    details = cell.more()
    failing = cell.phase == Phase.FAILING
    # 1. The handler at work: a crash ends it at once, a stop gives it the shutdown time.
    if cell.driver is not None:
        if failing or (cell.actor is not None and cell.actor._interruptible):
            cell.driver.cancel_softly()
        yield from _driver(cell)
    # 2. Answers under way, and what the children have, if the stop was asked for in the mailbox.
    while details.graceful and details.has("jobs") and any(job.answering for job in details.jobs):
        yield
    if details.graceful and details.children:
        yield from _finish_children(cell)
    # 3. The children, the last one first.
    if details.children is not None:
        yield from stop_children(cell, details.children.latest_first(), together=details.children.together)
    # 4. Timers, jobs and watches belong to the incarnation.
    yield from _release(cell)
    # 5. The hook; it may have begun something again.
    if cell.actor is not None and (failing or details.owes_on_stop):
        yield from _hook(cell, failing)
        yield from _release(cell)


def _finish_children(cell: Cell) -> Iterator[None]:
    finish = type(cell.actor)._finish_children
    if finish is None:
        return
    run_hook(cell, finish(cell.actor), _children_finished)
    while cell.driver is not None and cell.more().graceful:
        yield
    if cell.driver is not None:  # it is not to be waited for any more
        cell.driver.cancel_softly()
        yield from _driver(cell)


def _children_finished(driver: Driver, value: Any, error: BaseException | None) -> None:
    cell: Any = driver.cell
    cell.driver = None
    if error is not None and not isinstance(error, asyncio.CancelledError):
        _hook_failed(cell, error)
    advance(cell)


def stop_children(cell: Cell, latest_first: list[Cell], *, together: bool) -> Iterator[None]:
    """Stop children of a cell, one after another or all at once, and wait until they are dead."""

    def resume() -> None:
        advance(cell)

    if together:
        for child in latest_first:
            stop(child)
    for child in latest_first:
        stop(child)
        while child.phase != Phase.DEAD:
            child.more().on_change[resume] = None
            yield


def _driver(cell: Cell) -> Iterator[None]:
    """Wait for the handler or hook at work, for as long as the actor may take to stop."""
    timer = cell.runtime.loop.call_later(cell.shutdown, _overdue, cell, cell.driver)
    try:
        while cell.driver is not None:
            yield
    finally:
        timer.cancel()


def _overdue(cell: Cell, driver: Driver | None) -> None:
    if driver is not None and cell.driver is driver:
        logger.warning("%s: the handler did not end within %s s; it is cancelled", cell.path, cell.shutdown)
        driver.task.cancel()
        driver.killer = cell.runtime.loop.call_later(min(1.0, cell.shutdown), driver.kill)


def _release(cell: Cell) -> Iterator[None]:
    details = cell.more()
    if details.patience is not None:
        details.patience.cancel()
        details.patience = None
    if details.has("timers"):
        for timer in list(details.timers):
            timer.cancel()
    if details.has("jobs"):
        for job in list(details.jobs):
            job.cancel_softly()
        while details.jobs:
            yield
    unwatch_all(cell)


def _hook(cell: Cell, failing: bool) -> Iterator[None]:
    details = cell.more()
    details.owes_on_stop = False
    actor = cell.actor
    context = cell.runtime.base_context.copy()  # whoever stops the actor is on the stack: this is not their context
    try:
        if failing:
            cause = details.error
            traceback = cause.__traceback__ if cause is not None else None
            result = context.run(actor.on_failure, type(cause), cause, traceback)
        else:
            result = context.run(actor.on_stop)
    except BaseException as error:
        _hook_failed(cell, error)
        return
    if result.__class__ is CoroutineType:
        run_hook(cell, result, _hook_ended)
        yield from _driver(cell)


def run_hook(cell: Cell, coro: Any, on_done: Any) -> None:
    """Run a hook's coroutine in a task of its own; the actor waits for it as for a handler."""
    context = cell.runtime.base_context.copy()
    context.run(handling.set, cell)
    driver = cell.driver = Driver(cell.runtime, context, f"{cell.path}+hook")
    driver.assign(cell, coro, on_done)


def _hook_ended(driver: Driver, value: Any, error: BaseException | None) -> None:
    cell: Any = driver.cell
    cell.driver = None
    if error is not None:
        _hook_failed(cell, error)
    advance(cell)


def _hook_failed(cell: Cell, error: BaseException) -> None:
    logger.error("Unhandled exception in %s:", cell.ref, exc_info=error)
    if isinstance(error, KeyboardInterrupt):
        cell.runtime.interrupt(error)
    elif isinstance(error, Exception) and cell.runtime.probe is not None:
        hook = "on_failure" if cell.phase == Phase.FAILING else "on_stop"
        cell.runtime.probe.unheard_failure(f"{hook} of {cell.path}", Failure(error, error.__traceback__))


def _over(cell: Cell) -> None:
    """The incarnation is over: the actor is dead, or its supervisor decides."""
    if cell.phase == Phase.STOPPING:
        die(cell, "stopped")
        return
    details = cell.details or cell.more()
    move(cell, "down")
    details.previous, cell.actor = cell.actor, None
    cell.signals = None  # what was asked of this incarnation is no affair of the next one
    details.graceful = False
    if details.exit_reason == "suspend":
        tell_changed(cell)
    else:
        cell.runtime.on_down(cell)
    if details.made:
        answer_stops(cell)
