"""Work beside a mailbox, as part of an actor's incarnation, and what its end means."""

from __future__ import annotations

import contextvars
from asyncio import iscoroutine
from collections.abc import Awaitable, Callable, Coroutine
from inspect import isawaitable
from typing import Any, TypeVar

from ..base import send_context as send_contexts
from ..base.errors import ActorDead, brief
from ..base.events import Outcome
from ..base.lifecycle import Phase
from ..base.send_context import SendContext
from ..life.crash import called_off, crash_soon, interrupted, is_fatal, note, told
from ..life.ending import advance
from ..mail.cell import DEAD, Cell, describe
from ..mail.envelope import DEFERRED
from ..mail.mailbox import own_message
from ..runtime.driver import Driver
from ..runtime.runtime import handling

T = TypeVar("T")


class Job:
    """A handle on work that runs beside a mailbox."""

    __slots__ = ("_driver",)

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def cancel(self) -> None:
        """Cancel the work. Nothing comes back, unless the coroutine catches the cancellation and returns or raises."""
        self._driver.cancel_softly()

    def done(self) -> bool:
        """Whether it has ended."""
        return self._driver.coro is None


def start_job(
    cell: Cell,
    coro: Coroutine[Any, Any, Any],
    on_done: Callable[[JobDriver, Any, BaseException | None], None],
    *,
    about: Any = None,
    answering: bool = False,
    send_context: SendContext | None = None,
) -> JobDriver:
    """Run a coroutine beside a mailbox, as part of the actor's incarnation.

    Args:
        cell: of the actor.
        coro: what to run.
        on_done: told how it ended.
        about: kept with it, for ``on_done``.
        answering: whether somebody waits for it: a graceful stop lets it finish.
        send_context: what its sends carry.

    Raises:
        ActorDead: the incarnation that would own it is over.
        TypeError: it cannot be awaited.
    """
    if not iscoroutine(coro):
        if not isawaitable(coro):
            raise TypeError(
                f"{describe(cell)}: pipe() and reply_with() run a coroutine, not {brief(coro)}: is it an `async def`?"
            )
        coro = _await(coro)
    if cell.state == DEAD:
        coro.close()
        raise ActorDead(f"{describe(cell)} has stopped: nothing runs beside it any more")
    context = contextvars.copy_context()
    if handling.get() is not cell:
        context.run(handling.set, cell)
    if send_contexts.active.get() is not send_context:
        context.run(send_contexts.active.set, send_context)
    driver = JobDriver(cell.runtime, context, f"{cell.path}+job")
    driver.answering = answering
    driver.then = on_done
    driver.about = about
    driver.assign(cell, coro, _ended)
    cell.more().jobs[driver] = None
    return driver


class JobDriver(Driver):
    """Drives a job. What is done at its end, and with what, stands here: functions made for each job, around each
    other, have 800 bytes."""

    __slots__ = ("about", "then")

    about: Any
    cell: Any
    then: Callable[[JobDriver, Any, BaseException | None], None]


def _ended(job: Any, value: Any, error: BaseException | None) -> None:
    cell = job.cell
    if cell.details is not None:  # it is not dead yet
        cell.details.jobs.pop(job, None)
    try:
        job.then(job, value, error)
    except Exception as raised:  # the actor's own function, which was to make a message of the outcome
        crash_soon(cell, raised)
    job.about = None  # what it held must not wait for the garbage collector, which finds the two in a circle
    if cell.phase > Phase.RUNNING:
        advance(cell)


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable


def pipe(cell: Cell, coro: Coroutine[Any, Any, T], to_message: Callable[[Outcome[T]], Any] | None) -> Job:
    """Run a coroutine beside the mailbox; how it ended comes back as a message of the actor to itself."""
    return Job(start_job(cell, coro, _tell_itself, about=to_message, send_context=send_contexts.active.get()))


def _tell_itself(job: JobDriver, value: Any, error: BaseException | None) -> None:
    cell, to_message = job.cell, job.about
    if error is not None and is_fatal(error):
        crash_soon(cell, error)
    elif cell.phase <= Phase.RUNNING and not called_off(job, error):
        outcome = Outcome(value, error)
        own_message(cell, outcome if to_message is None else to_message(outcome))


def reply_with(cell: Cell, coro: Coroutine[Any, Any, Any]) -> Any:
    """Answer the message at work with the outcome of a coroutine that runs beside the mailbox."""
    ask = cell.current
    if ask is not None and ask.done():  # the asker has given up meanwhile
        if iscoroutine(coro):
            coro.close()
        return DEFERRED

    job = start_job(cell, coro, _answer, about=ask, answering=True, send_context=send_contexts.active.get())
    if ask is not None:
        ask.work = job
    return DEFERRED


def _answer(job: JobDriver, value: Any, error: BaseException | None) -> None:
    cell, ask = job.cell, job.about
    if ask is not None:
        if ask.work is job:
            ask.work = None
        if error is None:
            ask.answer(value)
        elif isinstance(error, Exception):
            note(cell, ask.message, error)
            ask.fail(error)
        elif is_fatal(error):
            ask.fail(told(cell, error, ask.message))
        else:
            ask.fail(interrupted(cell, error))
    if error is not None and (
        is_fatal(error) or (ask is None and isinstance(error, Exception) and cell.phase == Phase.RUNNING)
    ):
        crash_soon(cell, error)
