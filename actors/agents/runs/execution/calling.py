"""Calling functions of the user's: whatever such a function raises is its own failure, and told by its name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ....core.base.foreign import awaited, is_ours
from ...errors import RunFailed, named


async def called(what: str, function: Callable[..., Any], *given: Any) -> Any:
    """Call a function of the user's, and await what it returns where that can be done.

    Args:
        what: its name, for the error.
        function: it.
        given: its arguments.

    Raises:
        RunFailed: it ended in what is no `Exception`: `SystemExit`, a cancellation of its own.
        Exception: what it raised.
    """
    task = asyncio.current_task()
    try:
        return await awaited(what, function, *given)
    except Exception:
        raise
    except BaseException as error:
        if is_ours(error, task):
            raise
        raise raised_by(what, error) from error


def raised_by(what: str, error: BaseException) -> RunFailed:
    """The named error of a run in which a function of the user's raised."""
    failed = RunFailed(f"{what} raised {named(error)}")
    failed.__cause__ = error
    return failed
