"""A cache costs no answer, whatever it does, and no caller waits long for it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from callboard.actors import ChildSpec
from callboard.actors.testing import virtual_time
from callboard.providers.embeddings import Answered
from callboard.providers.messages import Completion
from callboard.providers.pool import FREE, Endpoint, GetStats, MemoryCache, SqliteCache

from .scripted import Script, Scripted, endpoint, pool_of, request

HANGS = "hangs"


class Failing(MemoryCache):
    """Does in one of its methods what it must not.

    Args:
        method: which.
        what: what it raises or returns there; or `HANGS`.
    """

    def __init__(self, method: str, what: Any) -> None:
        super().__init__()
        self.method = method
        self.what = what
        self.asked: list[str] = []

    async def _do(self, method: str) -> Any:
        self.asked.append(method)
        if method != self.method:
            return None
        if self.what is HANGS:
            await asyncio.Event().wait()
        if isinstance(self.what, BaseException):
            raise self.what
        return self.what

    async def open(self) -> None:
        await self._do("open")

    async def close(self) -> None:
        await self._do("close")

    async def get(self, key: str) -> Answered | None:
        return await self._do("get") or await super().get(key)

    async def put(self, key: str, completion: Answered) -> None:
        await self._do("put")
        await super().put(key, completion)


WRONG = [
    *((method, what) for method in ("open", "close", "get", "put") for what in (OSError("a secret"), HANGS)),
    *((method, what) for method in ("get", "put") for what in (asyncio.CancelledError(), SystemExit())),
    ("get", "no answer"),
    ("get", 5),
]


@pytest.mark.parametrize("coalesce", [False, True])
@pytest.mark.parametrize(("method", "what"), WRONG)
@virtual_time
async def test_requests_are_answered_in_time_whatever_a_cache_does(
    method: str, what: Any, coalesce: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with pool_of(endpoint(Script("a")), cache=Failing(method, what), coalesce=coalesce) as pool:
        for _ in range(2):
            assert (await pool.ask(request(), timeout=3.0)).provider == "a"
        deltas = [delta async for delta in pool.stream(request("another"), timeout=3.0)]
        stats = await pool.ask(GetStats())
    assert deltas[-1].completion is not None
    assert (stats.pool.answered, stats.pool.failed, stats.pool.cancelled) == (3, 0, 0)
    assert caplog.records
    assert "a secret" not in caplog.text


@virtual_time
async def test_a_cache_is_waited_for_no_longer_than_a_quarter_of_its_callers_time() -> None:
    now = asyncio.get_running_loop().time
    async with pool_of(endpoint(Script("a", latency=0.25)), cache=Failing("get", HANGS)) as pool:
        assert (await pool.ask(request(), timeout=0.5)).provider == "a"
        assert now() == pytest.approx(0.125 + 0.25)


@virtual_time
async def test_nobody_waits_for_an_answer_to_be_kept() -> None:
    now = asyncio.get_running_loop().time
    async with pool_of(endpoint(Script("a", latency=0.5)), cache=Failing("put", HANGS)) as pool:
        await pool.ask(request())
        assert now() == pytest.approx(0.5)
        assert "cached" in (await pool.ask(request())).notes, "it is on its way, and found"
        [_ async for _ in pool.stream(request("another"))]
        assert now() == pytest.approx(1.0)


@virtual_time
async def test_a_cache_that_takes_too_long_is_left_alone_for_a_while() -> None:
    now = asyncio.get_running_loop().time
    cache = Failing("get", HANGS)
    async with pool_of(endpoint(Script("a", latency=0.0)), cache=cache) as pool:
        await asyncio.gather(*(pool.ask(request(str(number))) for number in range(20)))
        assert now() == pytest.approx(1.0), "all wait for it at the same time"
        await pool.ask(request())
        assert now() == pytest.approx(1.0)
        await asyncio.sleep(5)
        cache.what = None
        await pool.ask(request("anew"))
        assert "cached" in (await pool.ask(request("anew"))).notes


@virtual_time
async def test_a_cache_that_could_not_be_opened_is_opened_later() -> None:
    cache = Failing("open", OSError("locked"))
    async with pool_of(endpoint(Script("a")), cache=cache) as pool:
        for _ in range(3):
            await pool.ask(request())
        assert cache.asked == ["open"]
        cache.what = None
        await asyncio.sleep(5)
        await pool.ask(request())
        assert "cached" in (await pool.ask(request())).notes


# -- in a file ---------------------------------------------------------------------------------------------------------


def changed(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE completions SET completion = substr(completion, 1, 100)",
        "UPDATE completions SET completion = 'null'",
        "UPDATE completions SET completion = 5",
        "UPDATE completions SET completion = x'fffe'",
        "UPDATE completions SET kept = 'abc'",
    ],
)
async def test_an_entry_that_cannot_be_read_is_dropped_and_kept_anew(statement: str, tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    async with pool_of(endpoint(Script("a", latency=0.0)), cache=SqliteCache(path)) as pool:
        await pool.ask(request())
    changed(path, statement)
    async with pool_of(endpoint(Script("a", latency=0.0)), cache=SqliteCache(path)) as pool:
        noted = [(await pool.ask(request())).notes for _ in range(2)]
    assert noted == [(), ("cached",)]


async def test_a_file_whose_table_is_gone_gets_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    cache, answer = SqliteCache(path), Completion(request().messages[0], "stop")
    await cache.open()
    await cache.put("key", answer)
    changed(path, "DROP TABLE completions")
    with pytest.raises(sqlite3.Error):
        await cache.get("key")
    assert await cache.get("key") is None
    await cache.put("key", answer)
    assert await cache.get("key") == answer
    await cache.close()


async def test_a_file_that_another_process_has_locked_costs_no_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "cache.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("BEGIN EXCLUSIVE")
        with caplog.at_level(logging.WARNING, "callboard.pool"):
            async with pool_of(endpoint(Script("a", latency=0.0)), cache=SqliteCache(path)) as pool:
                for number in range(3):
                    assert (await pool.ask(request(str(number)))).provider == "a"
        other.execute("ROLLBACK")
    assert "the cache could not be opened: OperationalError" in caplog.text
    async with pool_of(endpoint(Script("a", latency=0.0)), cache=SqliteCache(path)) as pool:
        noted = [(await pool.ask(request())).notes for _ in range(2)]
    assert noted == [(), ("cached",)]


# -- what callers do with answers --------------------------------------------------------------------------------------


class WithExtra(Scripted):
    """Answers with something that can be changed, or with nothing beside the message."""

    def _answer(self, request: Any) -> Completion:
        answer = super()._answer(request)
        extra = {"logprobs": [1.0]} if request.messages[-1].text == "more" else {}
        return Completion(answer.message, "stop", answer.usage, provider="a", extra=extra)


@pytest.mark.parametrize("coalesce", [False, True])
@pytest.mark.parametrize(("text", "extra"), [("more", {"logprobs": [1.0]}), ("nothing", {})])
@virtual_time
async def test_what_a_caller_does_with_an_answer_changes_nobody_elses(text: str, extra: Any, coalesce: bool) -> None:
    one = Endpoint("a", ChildSpec(WithExtra, (Script("a"), "key")), price=FREE)
    async with pool_of(one, cache=MemoryCache(), coalesce=coalesce) as pool:
        for _ in range(3):
            for answer in await asyncio.gather(*(pool.ask(request(text)) for _ in range(2))):
                assert answer.extra == extra
                found: Any = answer.extra
                found.setdefault("logprobs", []).append(2.0)


@virtual_time
async def test_an_answer_is_found_while_it_is_written_though_an_equal_one_could_not_be() -> None:
    class Late(MemoryCache):
        """Fails in its first write, and takes long for the next."""

        puts = 0

        async def put(self, key: str, completion: Answered) -> None:
            self.puts += 1
            if self.puts == 1:
                await asyncio.sleep(0.2)
                raise OSError("full")
            await asyncio.sleep(0.8)
            await super().put(key, completion)

    script = Script("a")
    async with pool_of(endpoint(script), cache=Late()) as pool:
        await asyncio.gather(*(pool.ask(request()) for _ in range(2)))
        await asyncio.sleep(0.5)
        found = await pool.ask(request())
    assert "cached" in found.notes
    assert len(script.seen) == 2
