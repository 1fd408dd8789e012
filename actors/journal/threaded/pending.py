"""What waits for the journal's threads, and how it gets its outcome on the event loop that it came from."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from ...core.base.errors import ReplyAlreadySet
from ...core.mail.future import Future


class Pending:
    """A piece of work, and the future of whoever waits for it.

    Args:
        work: what is to be done.
        future: None if nobody waits.
    """

    __slots__ = ("future", "loop", "work")

    def __init__(self, work: Any, future: Future[Any] | None) -> None:
        self.work = work
        self.future = future
        self.loop = asyncio._get_running_loop()

    def goes_on(self, outcome: object) -> bool:
        """Called with what came of an `Acquire`, of a `Prune`, or of what was read, on the thread that has done it:
        whether there is more to do before it is finished."""
        return False

    def finish(self, outcome: object) -> None:
        """Settle the future with a value or an exception. On the loop it came from, if it came from one."""
        future = self.future
        if future is None or future.done():
            return
        with suppress(ReplyAlreadySet):  # given up meanwhile, on another thread
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set(outcome)


Outcome = tuple[Pending, object]


def settle(outcomes: Iterable[Outcome]) -> None:
    """Finish each on its event loop, which is woken once. What came from a plain thread is finished here and now."""
    by_loop: dict[asyncio.AbstractEventLoop | None, list[Outcome]] = {}
    for outcome in outcomes:
        by_loop.setdefault(outcome[0].loop, []).append(outcome)
    for loop, group in by_loop.items():
        if loop is not None:
            try:
                loop.call_soon_threadsafe(_finish, group)
                continue
            except RuntimeError:  # the loop is closed; another thread may wait all the same
                pass
        _finish(group)


def _finish(group: list[Outcome]) -> None:
    for pending, outcome in group:
        pending.finish(outcome)
