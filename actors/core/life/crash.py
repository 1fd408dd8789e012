"""What a failure is: who is told of it, and the one log record it makes."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from ..base.errors import ActorCrashed, ActorDead, RestartLimit, brief
from ..base.lifecycle import Phase, move
from ..base.log import logger_of
from ..mail.ask import Ask
from ..mail.cell import CLOSED, SUSPENDED, Cell, describe
from ..mail.mailbox import signal
from ..runtime.driver import Driver
from ..runtime.runtime import Runtime
from .ending import advance, begin

logger = logger_of()

LOGGED: Final = 10
"""Crashes of one class with one type of error that are logged with their traceback, which costs 30 to 240 µs each;
after that only each tenfold count is told, until they have not come for `QUIET` seconds."""

QUIET: Final = 60.0

NOTES: Final = 10
"""Notes that one exception object may collect, which many actors may raise or pass on."""


def crash(cell: Cell, error: BaseException, message: Any = None) -> None:
    """End a failed incarnation; then its supervisor decides.

    Args:
        cell: of the actor.
        error: what it failed with.
        message: what it was handling.
    """
    ask, cell.current = cell.current, None
    if ask is not None:
        ask.work = None
        ask.fail(told(cell, error, ask.message))
        message = ask.message
    if isinstance(error, KeyboardInterrupt):
        cell.runtime.interrupt(error)
    if cell.phase > Phase.RUNNING:
        if cell.phase in (Phase.STOPPING, Phase.SUSPENDING):
            begin(cell)
        return
    move(cell, "fail")
    details = cell.details or cell.more()
    cell.state = SUSPENDED if details.spec is not None else CLOSED
    details.owes_on_stop = False
    details.error = error
    details.exit_reason = "crash"
    if logger.isEnabledFor(logging.ERROR):
        _log(cell, error, message)
    if cell.runtime.events.observed:
        cell.runtime.emit("crashed", cell.path, brief(error))
    begin(cell)


def crash_soon(cell: Cell, error: BaseException) -> None:
    """Crash an actor from outside of its handlers, between two messages."""
    if cell.runtime.active is cell or cell.phase == Phase.NEW:
        signal(cell, lambda: crash(cell, error))
    else:
        crash(cell, error)


def kill(cell: Cell) -> None:
    """Crash the incarnation at work at once, whatever it does; its supervisor decides, as after any crash."""
    if cell.phase <= Phase.RUNNING:
        driver = cell.driver
        ask = cell.current
        over = "" if ask is None else f" while it handled {_kind(ask.message)}"
        crash_soon(cell, ActorCrashed(f"{describe(cell)} was killed{over}"))
        if driver is not None:
            driver.kill()


def interrupted(cell: Cell, error: BaseException) -> ActorDead:
    """What an asker is told whose answer was under way when the incarnation ended."""
    details = cell.details
    crashed = details is not None and details.exit_reason == "crash"
    kind = ActorCrashed if crashed else ActorDead
    dead = kind(f"{describe(cell)} {'crashed' if crashed else 'stopped'} before it answered")
    dead.__cause__ = error
    return dead


def ended_late(cell: Cell, ask: Ask | None, error: BaseException | None) -> None:
    """A handler has ended with an error, or without an answer to give, after its actor had begun to end."""
    if ask is not None and error is not None:
        ask.fail(error if isinstance(error, Exception) else interrupted(cell, error))
    elif isinstance(error, Exception) and cell.phase != Phase.FAILING:
        logger.error("Unhandled exception in %s:", cell.ref, exc_info=error)  # nobody else is told
    if isinstance(error, KeyboardInterrupt):
        cell.runtime.interrupt(error)
    if cell.more().ending is None:
        begin(cell)
    else:
        advance(cell)


def note(cell: Cell, message: Any, error: BaseException) -> None:
    """Say in an exception, for who is told and for the log, where it was raised and over what."""
    text = f"raised by {describe(cell)}" + ("" if message is None else f" while it handled {_kind(message)}")
    try:
        notes = getattr(error, "__notes__", ())
        if text not in notes and len(notes) < NOTES:
            error.add_note(text)
    except Exception:  # the user's exception refuses it: it may be frozen, or have a mind of its own
        return


def is_fatal(error: BaseException | None) -> bool:
    """Whether work beside the mailbox raised what crashes an actor wherever it is raised: `SystemExit` or the like."""
    return error is not None and not isinstance(error, (Exception, asyncio.CancelledError))


def called_off(job: Driver, error: BaseException | None) -> bool:
    """Whether work ended because its actor or the end of the loop cancelled it, not by a cancellation of its own."""
    if not isinstance(error, asyncio.CancelledError) or not job.task.cancelling():
        return False
    return job.killer is not None or not job.cancelled_itself


def told(cell: Cell, error: BaseException, message: Any) -> BaseException:
    """What the asker of the message is told."""
    if isinstance(error, ActorCrashed):
        return error
    crashed = ActorCrashed(f"{describe(cell)} crashed while it handled {_kind(message)}: {brief(error)}")
    crashed.__cause__ = error
    return crashed


def _log(cell: Cell, error: BaseException, message: Any) -> None:
    runtime: Runtime = cell.runtime
    now = runtime.time()
    key = (cell.actor_class, type(error))
    count, last = runtime.crashes.get(key, (0, now))
    count = 1 if now - last > QUIET else count + 1
    if len(runtime.crashes) > 1000:  # classes and errors made while it runs
        runtime.crashes.clear()
    runtime.crashes[key] = count, now
    if count <= LOGGED:
        if isinstance(error, RestartLimit):  # whose causes were logged as they came, and are one more at each level
            logger.error("Unhandled exception in %s: %s", cell.ref, error)
            return
        note(cell, message, error)
        logger.error("Unhandled exception in %s:", cell.ref, exc_info=error)
    elif _is_tenfold(count):
        text = "Unhandled exception in %s: %s; %d like it lately, only each tenfold count is logged"
        logger.error(text, cell.ref, brief(error), count)


def _is_tenfold(count: int) -> bool:
    while count % 10 == 0:
        count //= 10
    return count == 1


def _kind(message: Any) -> str:
    return f"a message of type {type(message).__qualname__}"
