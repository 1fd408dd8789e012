"""Whose affair it is what a function of the user's raises."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from inspect import isawaitable
from typing import Any


def is_ours(error: BaseException, task: asyncio.Task[Any] | None) -> bool:
    """Whether an exception that came out of an awaited function of the user's goes on its way: an interrupt from the
    keyboard, or the end of what awaited it. All else is a failure of the function, also a cancellation of its own: it
    has awaited something that somebody cancelled.

    Args:
        error: it.
        task: the one that awaited the function, as it was known before.
    """
    if isinstance(error, KeyboardInterrupt):
        return True
    if isinstance(error, asyncio.CancelledError):
        return task is not None and task.cancelling() > 0
    # Raised by the function, or because its coroutine is being closed: that is never done by its own task.
    return isinstance(error, GeneratorExit) and _task() is not task


async def awaited(what: str, function: Callable[..., Any], *given: Any) -> Any:
    """Call a function of the user's, and await what it returns where that can be done.

    Args:
        what: its name. A cancellation of the task that strikes in it says so: perhaps nobody else has asked for that.
        function: it.
        given: its arguments.

    Raises:
        BaseException: what it raised.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    try:
        made = function(*given)
        if isawaitable(made):
            made = await made
        if task is not None and task.cancelling() > before:
            await asyncio.sleep(0)  # the next one to wait would be struck in its place
    except asyncio.CancelledError as error:
        if is_ours(error, task) and not error.args:
            error.args = (f"the task was cancelled in {what}",)
        raise
    return made


def _task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no loop runs
        return None
