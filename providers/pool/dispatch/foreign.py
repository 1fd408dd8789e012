"""What code of somebody else's raises: functions, caches and providers that a pool is given.

A `CancelledError` or `SystemExit` of theirs would look as if the pool itself were to end.
"""

from __future__ import annotations

import asyncio


def is_cancelled() -> bool:
    """Return whether the running task itself is asked to end, not only what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def is_own(error: BaseException) -> bool:
    """Return whether what awaited code has raised is its own failure, and nobody asks who called it to end."""
    if isinstance(error, asyncio.CancelledError):
        return not is_cancelled()
    return isinstance(error, Exception | SystemExit)
