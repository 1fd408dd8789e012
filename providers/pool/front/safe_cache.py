"""A cache that costs no answer: whatever it does, requests go on, and no caller waits long for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from ....actors.core.base.send_context import current_send_context
from ...embeddings import Answered, Embeddings
from ...messages import Completion
from ..dispatch.foreign import is_own
from .cache import Cache, own_copy

PATIENCE: Final = 1.0
"""Seconds that a cache is waited for, but no more than a quarter of what is left of its caller's time."""

PAUSE: Final = 5.0
"""Seconds that a cache which could not be opened, or took too long, is left alone."""

logger = logging.getLogger("callboard.pool")


class SafeCache:
    """Reads and writes a cache for a pool. What goes wrong is logged by its class: its text may quote an answer.

    Args:
        cache: whose.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._ready = False
        self._again = 0.0
        """When it is tried again."""
        self._writing: dict[asyncio.Task[None], str] = {}
        self._written: dict[str, Answered] = {}
        """What is on its way into the cache, and is found there already."""

    async def open(self) -> None:
        """Make the cache ready; if it fails it is tried again later."""
        if await self._tried("opened", self._cache.open):
            self._ready = True
        else:
            self._again = _now() + PAUSE

    async def close(self) -> None:
        """Wait for what is being written, but not long, and close the cache."""
        if self._writing:
            await asyncio.wait(self._writing, timeout=PATIENCE)
        for task in self._writing:
            task.cancel()
        self._ready = False
        await self._tried("closed", self._cache.close)

    async def get(self, key: str) -> Answered | None:
        """Return what is kept under a key; None also where the cache fails."""
        found: Any = self._written.get(key)
        if found is None:
            if not await self._usable():
                return None
            outcome = await self._tried("read", lambda: self._cache.get(key))
            found = outcome[0] if outcome else None
        if found is None:
            return None
        if not isinstance(found, Completion | Embeddings):
            logger.warning("the cache holds %s, which is no answer", type(found).__name__)
            return None
        return own_copy(found)

    def put(self, key: str, answer: Answered) -> None:
        """Keep an answer. Nobody waits for it: it is found from now on."""
        if not self._ready or _now() < self._again:
            return
        try:
            self._written[key] = kept = own_copy(answer)
        except Exception as error:
            logger.warning("the cache could not be written: %s", type(error).__name__)
            return
        task = asyncio.get_running_loop().create_task(self._put(key, kept), name="caching an answer")
        self._writing[task] = key
        task.add_done_callback(self._put_away)

    async def _put(self, key: str, answer: Answered) -> None:
        await self._tried("written", lambda: self._cache.put(key, answer), PATIENCE)

    def _put_away(self, task: asyncio.Task[None]) -> None:
        key = self._writing.pop(task)
        if key not in self._writing.values():
            self._written.pop(key, None)

    async def _usable(self) -> bool:
        if _now() < self._again:
            return False
        if not self._ready:
            self._again = _now() + PAUSE  # one request at a time tries
            await self.open()
            if self._ready:
                self._again = 0.0
        return self._ready

    async def _tried(
        self, done: str, work: Callable[[], Awaitable[Any]], limit: float | None = None
    ) -> tuple[Any] | None:
        """Return what comes of it in time, or None where it fails."""
        try:
            async with asyncio.timeout(_patience() if limit is None else limit) as timer:
                return (await work(),)
        except BaseException as error:
            if not is_own(error):
                raise
            if timer.expired():
                self._again = _now() + PAUSE
            logger.warning("the cache could not be %s: %s", done, type(error).__name__)
            return None


def _now() -> float:
    return asyncio.get_running_loop().time()


def _patience() -> float:
    deadline = current_send_context().deadline
    return PATIENCE if deadline is None else min(PATIENCE, max(0.0, (deadline - _now()) / 4))
