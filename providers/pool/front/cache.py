"""Exact caches of completions and embeddings: the same request, down to the last field, gets the answer it got before.

Kept are whole answers of the model that was asked (`worth_keeping`). A cached completion costs nothing and
says so: ``cost`` 0, ``latency`` 0, and ``cached`` among its notes.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ... import checks
from ...embeddings import Answered, Asked, Embeddings
from ...errors import InvalidRequest
from ...messages import Completion
from ..dispatch.plan import DEGRADED, DROPPED

if TYPE_CHECKING:
    from pydantic import TypeAdapter

A = TypeVar("A", bound=Completion | Embeddings)
T = TypeVar("T")

logger = logging.getLogger("callboard.pool")

TTL = 3600.0
"""Seconds a completion is kept by default: what was true an hour ago may not be now."""


def fingerprint(request: Asked) -> str:
    """Return a key that equal requests share, whatever the order of keys in their mappings.

    Raises:
        InvalidRequest: a field holds what JSON cannot say; says which.
    """
    try:
        return hashlib.sha256(_as_json(request).encode("utf-8", "surrogatepass")).hexdigest()
    except (TypeError, ValueError, RecursionError):
        problem = next((found for field in fields(request) if (found := _unsaid(request, field.name))), "it")
    raise InvalidRequest(f"{problem} cannot be written as JSON, which a cache and coalescing compare requests by")


def _as_json(value: Any) -> str:
    return json.dumps(value, default=_plain, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _unsaid(request: Asked, name: str) -> str:
    """The name of a field, with why, if JSON cannot say it."""
    try:
        _as_json(getattr(request, name))
    except (TypeError, ValueError, RecursionError) as error:
        return f"{name} of a request ({type(error).__name__})"
    return ""


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        plain = {field.name: getattr(value, field.name) for field in fields(value)}
        if plain.get("max_retries", 0) is None:
            del plain["max_retries"]  # what was kept before there was such a field has the same key
        return plain
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)


class Cache(Protocol):
    """Where completions are kept."""

    async def open(self) -> None:
        """Make it ready. May be called again after `close`."""

    async def close(self) -> None:
        """Write what is not written yet and let go of resources."""

    async def get(self, key: str) -> Answered | None:
        """Return the completion kept under ``key``, or None."""

    async def put(self, key: str, completion: Answered) -> None:
        """Keep a completion."""


def worth_keeping(answer: Answered) -> bool:
    """Return whether an answer may serve later requests: it was not cut short, refused or made of anything less."""
    whole = not isinstance(answer, Completion) or answer.finish_reason in ("stop", "tool_calls")
    return whole and not any(note.startswith((DEGRADED, DROPPED)) for note in answer.notes)


def own_copy(answer: A) -> A:
    """Return an answer that shares nothing with another caller's that can be changed."""
    if isinstance(answer, Completion):
        return replace(answer, extra=deepcopy(answer.extra))
    return answer


def as_cached(completion: Answered) -> Answered:
    """Return the completion as a cache hit is answered."""
    return replace(completion, cost=0.0, latency=0.0, notes=(*completion.notes, "cached"), limits=None)


def _lasts(kept: float, now: float, ttl: float | None) -> bool:
    """Whether what was kept then may still be answered. Of what comes from the future, as a clock was ahead, nobody
    knows how old it is."""
    return ttl is None or 0.0 <= now - kept < ttl


class MemoryCache:
    """The latest completions, in this process.

    Args:
        size: how many are kept; the least recently used is dropped.
        ttl: seconds one is kept; None for no limit.
        clock: seconds; by default the running loop's.
    """

    def __init__(self, size: int = 1_000, ttl: float | None = TTL, clock: Callable[[], float] | None = None) -> None:
        checks.look("size", size, checks.COUNT)
        checks.look("ttl", ttl, checks.SOME_SECONDS.or_none("for ever"))
        self._size = size
        self._ttl = ttl
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, Answered]] = OrderedDict()

    def _now(self) -> float:
        return asyncio.get_running_loop().time() if self._clock is None else self._clock()

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do: a restarted pool finds what was kept."""

    async def get(self, key: str) -> Answered | None:
        """See `Cache.get`."""
        found = self._kept.get(key)
        if found is None:
            return None
        kept_at, completion = found
        if not _lasts(kept_at, self._now(), self._ttl):
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return completion

    async def put(self, key: str, completion: Answered) -> None:
        """See `Cache.put`."""
        self._kept[key] = (self._now(), completion)
        self._kept.move_to_end(key)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)


class SqliteCache:
    """Completions in a SQLite file, for as long as the file lives. One thread does all its reading and writing.

    Args:
        path: the file; made if it is not there.
        ttl: seconds one is kept; None for no limit.
        clock: seconds since any fixed moment that outlives the process; the wall clock by default, because the loop's
            time starts anew with every process.
    """

    def __init__(self, path: str | Path, ttl: float | None = TTL, clock: Callable[[], float] = time.time) -> None:
        checks.look("ttl", ttl, checks.SOME_SECONDS.or_none("for ever"))
        self._path = str(path)
        self._ttl = ttl
        self._clock = clock
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the file.

        Raises:
            sqlite3.Error: it cannot be opened, or is not a database.
        """
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="callboard-cache")
        await self._run(self._open)

    async def close(self) -> None:
        """Close the file."""
        if self._thread is not None:
            await self._run(self._shut)
            self._thread.shutdown(wait=False)
            self._thread = None

    async def get(self, key: str) -> Answered | None:
        """See `Cache.get`. Raises `sqlite3.Error`; the file is opened anew then, when it is next used."""
        return await self._run(lambda: self._get(key, self._clock()))

    async def put(self, key: str, completion: Answered) -> None:
        """See `Cache.put`. Raises as `get`."""
        await self._run(lambda: self._put(key, completion, self._clock()))

    async def _run(self, work: Callable[[], T]) -> T:
        def guarded() -> T:
            try:
                return work()
            except sqlite3.Error:
                self._shut()
                raise

        return await asyncio.get_running_loop().run_in_executor(self._thread, guarded)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            # Only ever used by the one thread, and under a simulated loop by the loop's own.
            how: dict[str, Any] = {"isolation_level": None, "check_same_thread": False}
            self._connection = sqlite3.connect(self._path, timeout=_LOCKED, **how)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")  # a power cut may cost the last answers, no more
            self._connection.execute(_TABLE)
            if self._ttl is not None:
                now = self._clock()
                over = "DELETE FROM completions WHERE kept <= ? OR kept > ?"
                self._connection.execute(over, (now - self._ttl, now))
        return self._connection

    def _shut(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _get(self, key: str, now: float) -> Answered | None:
        connection = self._open()
        row = connection.execute("SELECT kept, completion FROM completions WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        try:
            if _lasts(row[0], now, self._ttl):
                return _codec().validate_json(row[1])
        except (ValueError, TypeError):
            logger.warning("an entry of the cache cannot be read, and is dropped")
        connection.execute("DELETE FROM completions WHERE key = ?", (key,))
        return None

    def _put(self, key: str, completion: Answered, now: float) -> None:
        text = _codec().dump_json(completion).decode()
        self._open().execute("INSERT OR REPLACE INTO completions VALUES (?, ?, ?)", (key, now, text))


_LOCKED = 0.25
"""Seconds that another process is waited for that writes the file."""

_TABLE = "CREATE TABLE IF NOT EXISTS completions (key TEXT PRIMARY KEY, kept REAL NOT NULL, completion TEXT NOT NULL)"
_adapter: TypeAdapter[Answered] | None = None


def _codec() -> TypeAdapter[Answered]:
    global _adapter
    if _adapter is None:
        from pydantic import TypeAdapter

        _adapter = TypeAdapter(Answered)
    return _adapter
