"""The journal in PostgreSQL as its users see it: faults healed, news from others, nothing of the password."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from callboard.actors.journal import (
    EventNotWritable,
    JournalClosed,
    JournalUnavailable,
    Post,
    StreamConflict,
    StreamFenced,
    StreamOwned,
)
from callboard.actors.journal.postgres import PostgresJournal, backend, check
from callboard.actors.journal.threaded import healing
from tests.postgres import Server

from .postgres_worker import Plain

Opener = Callable[..., PostgresJournal]
GUARD = 30.0
"""Seconds after which a test that hangs is ended."""


@pytest.fixture
def opened(postgres: Server, schema: str) -> Iterator[Opener]:
    made: list[PostgresJournal] = []

    def open_one(*, url: str = postgres.url, lease: float = 60.0) -> PostgresJournal:
        made.append(PostgresJournal(url, Plain(), schema=schema, lease=lease))
        return made[-1]

    yield open_one
    for journal in made:
        journal.close()


async def test_what_was_appended_is_there_for_the_next_owner(opened: Opener) -> None:
    first, second = opened(), opened()
    stream: Any = await first.open("a")
    assert (stream.epoch, stream.version, stream.snapshot, list(stream.events)) == (1, 0, None, [])
    stream.append([{"n": 1}, "two"], unfinished=True)
    stream.keep_snapshot("so far")
    await stream.append([3], keys=["k"], labels={"user": "u"})
    with pytest.raises(StreamOwned):
        await second.open("a")
    first.close()
    again: Any = await second.open("a")
    assert (again.epoch, again.version, again.snapshot, list(again.events)) == (2, 3, "so far", [3])
    assert [record.event for record in await second.read("a")] == [{"n": 1}, "two", 3]
    (header,) = await second.headers(unfinished=True, labels={"user": "u"})
    assert (header.name, header.owner, await second.find("k")) == ("a", second.worker, "a")


async def test_a_stream_that_is_new_takes_events_although_others_have_been_deleted(opened: Opener) -> None:
    journal = opened()
    for name in ("a", "b"):
        handle: Any = journal.create(name)
        handle.append([1])
        await handle.append([2])
        assert [record.event for record in await journal.read(name)] == [1, 2]
        await journal.open("old")
        await journal.open("old")
        await journal.delete("old")


async def test_many_appends_under_way_are_kept_in_order(opened: Opener) -> None:
    journal = opened()
    streams: list[Any] = [await journal.open(f"s{number}") for number in range(50)]
    under_way = [stream.append([turn]) for turn in range(20) for stream in streams]
    await asyncio.gather(*under_way)
    for stream in streams:
        assert [record.event for record in await journal.read(stream.name)] == list(range(20))


async def test_what_the_server_cannot_keep_fails_alone(opened: Opener) -> None:
    journal = opened()
    stream: Any = await journal.open("a")
    results = await asyncio.gather(
        stream.append(["half \ud83d, nul \0"]),
        journal.append("nul\0", [1]),
        journal.append("b", [2]),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [type(None), EventNotWritable, int]
    assert [record.event for record in await journal.read("a")] == ["half \ud83d, nul \0"]


async def test_killed_sessions_and_a_server_that_goes_down_lose_and_double_nothing(
    opened: Opener, postgres: Server, schema: str, caplog: pytest.LogCaptureFixture
) -> None:
    journal = opened()
    streams: list[Any] = [await journal.open(f"s{number}") for number in range(5)]
    over = asyncio.Event()

    async def work(stream: Any) -> int:
        while not over.is_set():
            await stream.append([stream.version])
            await journal.append("shared", [f"{stream.name} {stream.version}"])
        return int(stream.version)

    async with asyncio.timeout(GUARD):
        working = [asyncio.create_task(work(stream)) for stream in streams]
        for _ in range(10):
            await asyncio.to_thread(postgres.kill_backends, schema)
            await journal.append("kills", ["one more"])
        with postgres.down():
            assert not any(task.done() for task in working)
        await journal.append("kills", ["the whole server"])
        over.set()
        versions = await asyncio.gather(*working)
        for stream, version in zip(streams, versions, strict=True):
            assert [record.event for record in await journal.read(stream.name)] == list(range(version))
        shared = [record.event for record in await journal.read("shared")]
        assert len(shared) == len(set(shared)) == sum(versions)
        assert len(await journal.read("kills")) == 11
    assert check(postgres.url, Plain(), schema=schema) == []
    assert "that is over" in caplog.text


async def test_a_subscriber_and_an_inbox_are_told_of_what_other_workers_commit(
    opened: Opener, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "POLL", 1_000.0)  # nothing is found by looking
    here, there = opened(), opened()
    await there.append("a", [0])
    seen = here.subscribe(prefix="a")
    posts: asyncio.Queue[Post] = asyncio.Queue()
    here.on_post(posts.put_nowait)
    async with asyncio.timeout(GUARD):
        assert (await anext(seen)).event == 0
        for number in range(1, 4):
            waiting = asyncio.ensure_future(anext(seen))
            await there.append("other", [number])
            await there.append("ab", [number])
            assert (await waiting).event == number
        await there.post("a", "hello")
        assert (await posts.get())[1:] == ("a", "hello")
        owned: Any = await there.open("owned")
        await there.post("owned", "for its owner")
        await there.post("a", "for all")
        assert (await posts.get()).event == "for all"
        await owned.append([1])
        there.close()
        assert (await posts.get()).event == "for its owner"
        waiting = asyncio.ensure_future(anext(seen))
        assert await asyncio.to_thread(postgres.kill_backends, "LISTEN") == 1
        await opened().append("a", ["while nobody listened"])
        assert (await waiting).event == "while nobody listened"


async def test_a_stream_that_is_opened_anew_or_deleted_fences_older_handles(opened: Opener) -> None:
    journal = opened()
    old: Any = await journal.open("a")
    new: Any = await journal.open("a")
    await new.append([1])
    with pytest.raises(StreamFenced):
        await old.append(["old"])
    await journal.delete("a")
    with pytest.raises(StreamFenced):
        await new.append([2])
    with pytest.raises(StreamConflict):
        await journal.append("a", [3], expected=1)
    assert await journal.read("a") == []


async def test_closing_commits_what_nobody_waited_for(opened: Opener) -> None:
    journal = opened()
    stream: Any = await journal.open("a")
    under_way = [stream.append([number]) for number in range(500)]
    journal.close()
    journal.close()
    await asyncio.gather(*under_way)
    with pytest.raises(JournalClosed):
        stream.append([1])
    other: Any = await opened().open("a")
    assert list(other.events) == list(range(500))


async def test_closing_gives_up_on_a_server_that_stays_away(
    opened: Opener, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(healing, "GIVES_UP", 0.5)
    journal = opened()
    stream: Any = await journal.open("a")
    with postgres.down():
        waiting = stream.append([1])
        await asyncio.to_thread(journal.close)
        with pytest.raises(JournalClosed):
            await waiting
    assert await opened().read("a") == []


async def test_neither_errors_nor_logs_nor_representations_hold_the_password(
    postgres: Server, schema: str, opened: Opener, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(healing, "GIVES_UP", 0.5)
    caplog.set_level(logging.DEBUG)
    url = postgres.url.replace("postgres:@", "postgres:open-sesame@")
    with pytest.raises(JournalUnavailable) as refused:
        PostgresJournal(url.replace("/postgres?", "/nowhere?"), Plain(), schema=schema)
    assert "nowhere" in str(refused.value)
    journal = opened(url=url)
    with postgres.down():
        waiting = journal.append("a", [1])
        await asyncio.sleep(0)
        journal.close()
        with pytest.raises(JournalClosed) as closed:
            await waiting
    text = f"{refused.value!r} {closed.value!r} {journal!r} {caplog.text}"
    assert "postgresql://postgres@" in text
    assert "sesame" not in text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
async def test_a_forked_process_cannot_use_it_and_ends_nothing_of_it(opened: Opener) -> None:
    journal = opened()
    stream: Any = await journal.open("a")
    await stream.append([1])
    child = os.fork()
    if child == 0:
        try:
            stream.append([2])
        except JournalClosed:
            journal.close()
            del journal, stream
            os._exit(7)
        os._exit(1)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
    await stream.append([3])
    assert [record.event for record in await journal.read("a")] == [1, 3]


def test_the_driver_is_loaded_when_a_journal_is_opened_and_not_before() -> None:
    code = "import sys, callboard.actors.journal.postgres; print([name for name in sys.modules if 'psycopg' in name])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("missing", ["psycopg", "psycopg_pool"])
def test_a_missing_driver_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(JournalUnavailable, match=r"pip install 'callboard\[postgres\]'"):
        PostgresJournal("postgresql://me@host/callboard", Plain())
