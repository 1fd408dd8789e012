"""One way of doing something for two kinds of callers: those that await, and those that wait in their thread.

What is done is a generator. It yields a future to have its value, or seconds to have them pass.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from threading import Thread
from typing import Any, TypeAlias, TypeVar

from ...core.mail.future import Future

T = TypeVar("T")
Steps: TypeAlias = Generator["Future[Any] | float", Any, T]


def value_of(outcome: Future[T] | T) -> Steps[T]:
    """What a call of the journal gave, or its future."""
    if isinstance(outcome, Future):
        value: T = yield outcome
        return value
    return outcome


def end_of(future: Future[Any]) -> Steps[None]:
    """Wait until somebody else's future is done, without taking it from them where this wait is given up."""
    done: Future[None] = Future()
    future.when_done(lambda _: None if done.done() else done.set())
    yield done


async def awaited(steps: Steps[T]) -> T:
    """The outcome, on an event loop."""
    try:
        wanted = next(steps)
        while True:
            try:
                value = await (asyncio.sleep(wanted, None) if isinstance(wanted, float) else wanted)
            except BaseException as error:
                wanted = steps.throw(error)
            else:
                wanted = steps.send(value)
    except StopIteration as done:
        result: T = done.value
        return result


def waited(steps: Steps[T]) -> T:
    """The outcome, in a thread, which is blocked for so long.

    On a thread whose event loop is running (in a notebook, say) that loop stands still, too. Its futures would be
    settled by the loop itself, so that another thread has to do it then.
    """
    if asyncio._get_running_loop() is None:
        return _waited(steps)
    outcome: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(_waited(steps))
        except BaseException as error:
            errors.append(error)

    thread = Thread(target=run, name="callboard-langgraph", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return outcome[0]


def _waited(steps: Steps[T]) -> T:
    try:
        wanted = next(steps)
        while True:
            try:
                value = None
                if isinstance(wanted, float):
                    time.sleep(wanted)
                else:
                    value = wanted.get()
            except BaseException as error:
                wanted = steps.throw(error)
            else:
                wanted = steps.send(value)
    except StopIteration as done:
        result: T = done.value
        return result
