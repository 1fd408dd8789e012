"""How incarnations of an actor start, crash, end and start again. The phases are those of `lifecycle`.

Ending takes several steps that may each have to wait (the handler at work, the children, the jobs, ``on_stop``). They
are written as one generator that yields where it waits; `advance` resumes it. An actor that has nothing to wait for
ends without leaving the stack, which is what makes stopping 100,000 of them a matter of a second.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from pykka.messages import _ActorStop

from .envelope import Ask
from .errors import ActorCrashed, ActorDead, StartFailed
from .events import Terminated
from .lifecycle import Phase, after
from .registry import unregister
from .worker import Worker

if TYPE_CHECKING:
    from .cell import Cell

logger = logging.getLogger("callboard")

IDLE, READY, BUSY, SUSPENDED, CLOSED, DEAD = range(6)  # as in `cell`, which imports this module
_BASE: Any = None
"""The actor base class, whose hooks do nothing and need not be called; set by `actor`, which imports this module."""


# -- starting ------------------------------------------------------------------------------------------------------


_UP = {phase: after(after(phase, "start"), "started") for phase in (Phase.NEW, Phase.RESTARTING)}
"""Where an actor without `on_start` is right after its start."""


def start(cell: Cell) -> None:
    """Start the incarnation whose actor object is in the cell."""
    if type(cell.actor).on_start is _BASE.on_start:
        cell.phase = _UP[cell.phase]
        _started(cell)
        if cell.queue or cell.signals:
            cell.state = READY
            cell.system.make_ready(cell)
        else:
            cell.state = IDLE
        return
    cell.phase = after(cell.phase, "start")
    if cell.signals is not None:
        cell.signals.appendleft(lambda: _run_on_start(cell))
        cell.state = READY
        cell.system.make_ready(cell)
    else:
        cell.state = IDLE
        cell.signal(lambda: _run_on_start(cell))


def _started(cell: Cell) -> None:
    """Tell that the incarnation is up."""
    rare = cell.rare
    if rare is not None:
        rare.since = cell.system.loop.time()
    if cell.system.observed:
        cell.system.emit("started", cell)
    if rare is not None and rare.has("settled"):
        _settle(cell)


def _run_on_start(cell: Cell) -> None:
    if cell.phase != Phase.STARTING:
        begin_ending(cell)
        return
    try:
        result = cell.actor.on_start()
    except BaseException as error:
        _after_on_start(cell, error)
        return
    if result.__class__ is CoroutineType:
        cell.state = SUSPENDED
        _run_hook(cell, result, _on_start_ended)
    else:
        _after_on_start(cell, None)


def _run_hook(cell: Cell, coro: Any, on_done: Any) -> None:
    """Run a hook's coroutine in a task of its own; the actor waits for it as for a handler."""
    context = cell.system.pristine.copy()
    context.run(cell.system.handling.set, cell)
    worker = cell.worker = Worker(cell.system, context, cell.path)
    worker.assign(cell, coro, on_done)


def _after_on_start(cell: Cell, error: BaseException | None) -> None:
    if cell.phase != Phase.STARTING:  # stopped meanwhile
        cell.more().up = error is None
        if isinstance(error, Exception) and cell.phase == Phase.STOPPING:
            logger.error("Unhandled exception in %s:", cell.ref, exc_info=error)
        if cell.more().ending is None:
            begin_ending(cell)
        else:
            advance(cell)
    elif error is not None:
        failed = StartFailed(f"{cell.path} could not start: on_start raised {error!r}")
        failed.__cause__ = error
        crash(cell, failed)
    else:
        cell.phase = after(cell.phase, "started")
        _started(cell)


def _on_start_ended(worker: Worker, value: Any, error: BaseException | None) -> None:
    cell = worker.cell
    assert cell is not None
    cell.worker = None
    _after_on_start(cell, error)
    if cell.phase == Phase.RUNNING:
        cell.state = READY
        cell.system.make_ready(cell)


# -- crashing --------------------------------------------------------------------------------------------------------


def crash(cell: Cell, error: BaseException) -> None:
    """End a failed incarnation, then let the parent decide."""
    ask, cell.current = cell.current, None
    if ask is not None:
        ask.work = None
        ask.fail(_told(cell, error))
    if isinstance(error, KeyboardInterrupt):
        cell.system.interrupt(error)
    if cell.phase > Phase.RUNNING:
        if cell.phase in (Phase.STOPPING, Phase.SUSPENDING) and cell.more().ending is None:
            begin_ending(cell)
        return
    cell.more().up = False
    rare = cell.more()
    cell.phase = after(cell.phase, "fail")
    cell.state = SUSPENDED
    rare.error = error
    rare.exit = "crash"
    logger.error("Unhandled exception in %s:", cell.ref, exc_info=error)
    if cell.system.observed:
        cell.system.emit("crashed", cell, repr(error))
    begin_ending(cell)


def _told(cell: Cell, error: BaseException) -> BaseException:
    """What the asker of the message is told."""
    if isinstance(error, ActorCrashed):
        return error
    told = ActorCrashed(f"{cell.path} crashed while it handled the message: {error!r}")
    told.__cause__ = error
    return told


def interrupted(cell: Cell, error: BaseException) -> ActorDead:
    """What an asker is told whose answer was under way when the incarnation ended."""
    rare = cell.rare
    crashed = rare is not None and rare.exit == "crash"
    kind = ActorCrashed if crashed else ActorDead
    told = kind(f"{cell.path} {'crashed' if crashed else 'stopped'} before it answered")
    told.__cause__ = error
    return told


def fail_soon(cell: Cell, error: BaseException) -> None:
    """Crash an actor from outside of its handlers, between two messages."""
    if cell.system.active is cell or cell.phase == Phase.NEW:
        cell.signal(lambda: crash(cell, error))
    else:
        crash(cell, error)


def handler_ended(cell: Cell, ask: Ask | None, value: Any, error: BaseException | None) -> None:
    """A handler has ended after its actor had begun to end."""
    cell.current = None
    if ask is not None:
        if error is None:
            cell.settle(ask, value, None)
        elif isinstance(error, Exception):
            ask.fail(error)
        else:
            ask.fail(interrupted(cell, error))
    elif isinstance(error, Exception) and cell.phase != Phase.FAILING:
        logger.error("Unhandled exception in %s:", cell.ref, exc_info=error)  # nobody else is told
    if isinstance(error, KeyboardInterrupt):
        cell.system.interrupt(error)
    if cell.more().ending is None:
        begin_ending(cell)
    else:
        advance(cell)


# -- stopping --------------------------------------------------------------------------------------------------------


def ask_to_stop(cell: Cell, ask: Ask) -> None:
    """Take a stop in: behind what was sent before, or, where the actor has crashed, at once: it beats the restart."""
    if cell.phase not in (Phase.FAILING, Phase.SUSPENDING, Phase.RESTARTING):
        cell.enqueue(ask)
        return
    rare = cell.more()
    rare.stopping.append(ask)
    if cell.phase != Phase.FAILING or rare.spec is not None:
        stop(cell)


def stop_waits(cell: Cell) -> bool:
    """Whether a stop stands in the mailbox."""
    return any((item.message if isinstance(item, Ask) else item).__class__ is _ActorStop for item in cell.queue or ())


def stop_gracefully(cell: Cell, ask: Ask | None, *, final: bool) -> None:
    """Stop where the stop message stands in the mailbox; answers under way are finished first."""
    rare = cell.more()
    if ask is not None:
        rare.stopping.append(ask)
    rare.graceful = True
    rare.up = True
    if not final and rare.spec is not None and rare.spec.restart == "permanent":
        cell.phase = after(cell.phase, "suspend")
        rare.exit = "normal"
    else:
        cell.phase = after(cell.phase, "stop")
    begin_ending(cell)


def stop(cell: Cell) -> None:
    """Stop for good, as the parent or the system wants it: the message at work is finished, the rest are refused."""
    phase = cell.phase
    if phase == Phase.DEAD:
        return
    rare = cell.rare
    if phase == Phase.STOPPING:
        if rare is not None and rare.graceful:
            rare.graceful = False
            advance(cell)
        return
    cell.phase = after(phase, "stop")
    if phase == Phase.NEW:
        _ended(cell)
    elif phase == Phase.RESTARTING:
        assert rare is not None
        if rare.restart_timer is not None:
            rare.restart_timer.cancel()
            rare.restart_timer = None
        _ended(cell)
    elif phase == Phase.RUNNING or phase == Phase.STARTING:
        if phase == Phase.RUNNING and type(cell.actor).on_stop is not _BASE.on_stop:
            cell.more().up = True
        if cell.system.active is cell:  # its own handler is on the stack: end when that is done
            cell.signal(lambda: begin_ending(cell))
        else:
            begin_ending(cell)
    # FAILING or SUSPENDING: the ending under way sees the new phase when it is through.


def suspend(cell: Cell) -> None:
    """End a healthy incarnation that will be started again; the mailbox waits."""
    cell.more().up = cell.phase == Phase.RUNNING
    cell.phase = after(cell.phase, "suspend")
    cell.more().exit = "suspend"
    if cell.system.active is cell:
        cell.signal(lambda: begin_ending(cell))
    else:
        begin_ending(cell)


def begin_ending(cell: Cell) -> None:
    """End the incarnation as far as it goes without waiting."""
    cell.state = CLOSED if cell.phase == Phase.STOPPING else SUSPENDED
    rare = cell.rare
    kind = type(cell.actor)
    hookless = (
        cell.actor is None  # its factory raised
        or (kind.on_failure is _BASE.on_failure if cell.phase == Phase.FAILING else kind.on_stop is _BASE.on_stop)
    )
    if cell.worker is None and hookless and (rare is None or not rare.holds_anything()):
        _ended(cell)
        return
    rare = cell.more()
    if rare.ending is None:
        rare.ending = _ending(cell)
    advance(cell)


def advance(cell: Cell) -> None:
    """Go on with the ending of an incarnation."""
    rare = cell.rare
    if rare is None or rare.ending is None or rare.ending.gi_running:
        return
    if next(rare.ending, _OVER) is _OVER:
        rare.ending = None
        _ended(cell)


_OVER = object()


def _ending(cell: Cell) -> Iterator[None]:
    rare = cell.more()
    failing = cell.phase == Phase.FAILING
    # 1. The handler at work: a crash ends it at once, a stop gives it the shutdown time.
    if cell.worker is not None:
        if failing:
            cell.worker.cancel_softly()
        yield from _worker(cell)
    # 2. Answers under way, if the stop was asked for in the mailbox.
    while rare.graceful and any(job.answering for job in rare.jobs):
        yield
    # 3. The children, the last one first.
    if rare.children is not None:
        if rare.children.together:
            for child in reversed(list(rare.children.cells)):
                stop(child)
        for child in reversed(list(rare.children.cells)):
            stop(child)
            while child.phase != Phase.DEAD:
                child.more().settled.append(lambda: advance(cell))
                yield
    # 4. Timers, jobs and watches belong to the incarnation.
    yield from _release(cell)
    # 5. The hook; it may have begun something again.
    if cell.actor is not None and (failing or rare.up):
        yield from _hook(cell, failing)
        yield from _release(cell)


def _worker(cell: Cell) -> Iterator[None]:
    """Wait for the handler or hook at work, for as long as the actor may take to stop."""
    timer = cell.system.loop.call_later(cell.shutdown, _overdue, cell, cell.worker)
    try:
        while cell.worker is not None:
            yield
    finally:
        timer.cancel()


def _release(cell: Cell) -> Iterator[None]:
    rare = cell.more()
    for handle in list(rare.timers):
        handle.cancel()
    for job in list(rare.jobs):
        job.cancel_softly()
    while rare.jobs:
        yield
    for watched in rare.watching:
        if watched.rare is not None:
            watched.rare.watched_by.pop(cell, None)
    rare.watching.clear()


def _overdue(cell: Cell, worker: Worker | None) -> None:
    if worker is not None and cell.worker is worker:
        logger.warning("%s: the handler did not end within %s s; it is cancelled", cell.path, cell.shutdown)
        worker.task.cancel()
        worker.killer = cell.system.loop.call_later(min(1.0, cell.shutdown), worker.kill)


def _hook(cell: Cell, failing: bool) -> Iterator[None]:
    rare = cell.more()
    actor = cell.actor
    context = cell.system.pristine.copy()  # whoever stops the actor is on the stack: this is not their context
    try:
        if failing:
            cause = rare.error
            traceback = cause.__traceback__ if cause is not None else None
            result = context.run(actor.on_failure, type(cause), cause, traceback)
        else:
            result = context.run(actor.on_stop)
    except BaseException as error:
        _hook_failed(cell, error)
        return
    if result.__class__ is CoroutineType:
        _run_hook(cell, result, _hook_ended)
        yield from _worker(cell)


def _hook_failed(cell: Cell, error: BaseException) -> None:
    logger.error("Unhandled exception in %s:", cell.ref, exc_info=error)
    if isinstance(error, KeyboardInterrupt):
        cell.system.interrupt(error)


def _hook_ended(worker: Worker, value: Any, error: BaseException | None) -> None:
    cell = worker.cell
    assert cell is not None
    cell.worker = None
    if error is not None:
        _hook_failed(cell, error)
    advance(cell)


def _ended(cell: Cell) -> None:
    """The incarnation is over: the actor is dead, or its supervisor decides."""
    if cell.phase == Phase.STOPPING:
        die(cell, "stopped")
        return
    rare = cell.more()
    cell.phase = after(cell.phase, "down")
    cell.actor = None
    cell.signals = None  # what was asked of this incarnation is no affair of the next one
    rare.graceful = False
    parent = cell.parent
    assert parent is not None
    if rare.exit == "suspend":
        _settle(cell)
    else:
        parent.children.down(cell, rare.error)
    if rare.has("stopping"):
        for ask in _take(rare.stopping):
            ask.answer(True)


def _take(items: list[Any]) -> list[Any]:
    taken = items[:]
    items.clear()
    return taken


def die(cell: Cell, reason: str) -> None:
    """Nothing of this actor will run again: settle all that waits for it."""
    if cell.phase == Phase.DEAD:
        return
    if cell.phase != Phase.STOPPING:
        cell.phase = after(cell.phase, "stop")
    cell.phase = after(cell.phase, "ended")
    cell.state = DEAD
    cell.system.forget(cell)
    unregister(cell.ref)
    cell.actor = None
    cell.signals = None
    queue, cell.queue = cell.queue, None
    rare = cell.rare
    # A ref's text makes its URN, which costs more than the rest of this: only if somebody is to be told.
    why = f"{cell.ref} stopped before handling the message" if queue or (rare is not None and rare.waiting) else ""
    for item in queue or ():
        cell.refuse(item, why)
    if cell.parent is not None:
        cell.parent.children.remove(cell)
    if cell.system.observed:
        cell.system.emit("stopped", cell, reason)
    if rare is None:
        return
    rare.ending = None
    rare.exit = reason  # for those who begin to watch it now
    for _, admitted in rare.waiting or ():
        if not admitted.done():
            admitted.set_exception(ActorDead(why))
    rare.waiting = None
    if rare.has("watched_by"):
        for watcher in list(rare.watched_by):
            _tell_terminated(watcher, cell, reason)
        rare.watched_by.clear()
    if rare.has("stopping"):
        for ask in _take(rare.stopping):
            ask.answer(True)
    _settle(cell)


def _tell_terminated(watcher: Cell, cell: Cell, reason: str) -> None:
    def deliver() -> None:
        if watcher.rare is not None and cell in watcher.rare.watching:
            watcher.signal(Terminated(cell.ref, reason))

    if watcher.system is cell.system:
        deliver()
    else:
        watcher.system.post(deliver)


def _settle(cell: Cell) -> None:
    rare = cell.rare
    if rare is not None and rare.has("settled"):
        for callback in _take(rare.settled):
            callback()


# -- starting again --------------------------------------------------------------------------------------------------


def restart(cell: Cell) -> None:
    """Put a new actor into the cell and start it."""
    rare = cell.more()
    rare.restart_timer = None
    if cell.phase != Phase.RESTARTING:
        return
    spec = rare.spec
    parent = cell.parent
    assert spec is not None
    assert parent is not None
    if parent.phase > Phase.RUNNING:
        die(cell, "stopped: its parent is stopping")
        return
    rare.incarnation += 1
    rare.error = None
    rare.exit = ""
    rare.up = False
    if rare.children is not None:
        rare.children.intensity = None  # this incarnation's children begin with a clean record
    try:
        cell.system.build(cell, spec.factory, spec.args, spec.kwargs)
    except BaseException as error:
        failed = StartFailed(f"{cell.path} could not start: its factory raised {error!r}")
        failed.__cause__ = error
        cell.actor = None  # half made: it has no hooks to call
        cell.phase = after(cell.phase, "start")
        crash(cell, failed)
        return
    if cell.system.observed:
        cell.system.emit("restarted", cell, f"incarnation {rare.incarnation}")
    start(cell)


# -- killing ---------------------------------------------------------------------------------------------------------


def kill(cell: Cell) -> None:
    """Crash the incarnation at work at once, whatever it does; its supervisor decides, as after any crash."""
    if cell.phase <= Phase.RUNNING:
        worker = cell.worker
        fail_soon(cell, ActorCrashed(f"{cell.path} was killed"))
        if worker is not None:
            worker.kill()


def bury(cell: Cell) -> None:
    """End an actor and its children now, without their hooks: the last resort when the time to stop is over."""
    if cell.phase == Phase.DEAD:
        return
    rare = cell.rare
    if rare is not None:
        rare.ending = None
        if rare.restart_timer is not None:
            rare.restart_timer.cancel()
            rare.restart_timer = None
    ask, cell.current = cell.current, None
    if ask is not None:
        ask.work = None
        ask.fail(ActorDead(f"{cell.path} was killed before it answered"))
    worker, cell.worker = cell.worker, None
    if worker is not None:
        worker.on_done = None
        worker.kill()
    discard(cell)
    die(cell, "killed: it did not stop in time")


def discard(cell: Cell) -> None:
    """End the children, timers and jobs of an actor that is not to be waited for."""
    rare = cell.rare
    if rare is not None:
        for handle in list(rare.timers):
            handle.cancel()
        for job in list(rare.jobs):
            job.kill()
        rare.jobs.clear()
        if rare.children is not None:
            for child in reversed(list(rare.children.cells)):
                bury(child)
