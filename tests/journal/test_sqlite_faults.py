"""Faults of the disk and of others who use the file pass; harm to one stream is that stream's."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from callboard.actors.journal import (
    EventNotReadable,
    EventNotWritable,
    JournalClosed,
    JournalError,
    KeyTaken,
    StreamConflict,
)
from callboard.actors.journal.sqlite import SqliteJournal, backend, check
from callboard.actors.journal.threaded import healing

from .support import Child, Raw, kept, logged, opened, owned, owner_of, raw


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "BUSY", 0.01)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteJournal]:
    made = opened(path)
    yield made
    made.close()


async def test_a_lock_that_outlasts_every_timeout_is_waited_out(journal: SqliteJournal, path: Path) -> None:
    handle = await owned(journal, "a")
    with raw(path) as other, logged() as lines:
        other.execute("BEGIN IMMEDIATE")
        pending = handle.append([1], unfinished=True)
        after = handle.append([2])
        await asyncio.to_thread(lines.wait_for, "ERROR")
        assert not pending.done()
        assert await kept(journal, "a") == [], "reading goes on meanwhile"
        other.execute("ROLLBACK")
        await pending
        await after
        assert lines.levels == ["ERROR", "WARNING"], "it is said once when it begins, and once when it is over"
    assert await kept(journal, "a") == [1, 2]


async def test_closing_does_not_wait_for_ever_for_a_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healing, "GIVES_UP", 0.1)
    journal = opened(path)
    handle = await owned(journal, "a")
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        pending = handle.append([1])
        opening = journal.open("b")
        journal.close()
        with pytest.raises(JournalClosed):
            await pending
        with pytest.raises(JournalClosed):
            await opening
    again = opened(path)
    assert await kept(again, "a") == []
    assert await owner_of(again, "a") == "", "its process has let go of it"
    again.close()


async def test_reading_heals_too(journal: SqliteJournal, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await journal.append("a", [1])
    faults = [sqlite3.OperationalError("disk I/O error")] * 3
    for fault in faults:
        fault.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
    read = backend.SqliteBackend.read

    def faulty(self: backend.SqliteBackend, *given: Any) -> Any:
        if faults:
            raise faults.pop()
        return read(self, *given)

    monkeypatch.setattr(backend.SqliteBackend, "read", faulty)
    monkeypatch.setattr(healing, "FIRST_PAUSE", 0.001)
    with logged() as lines:
        assert await kept(journal, "a") == [1]
        assert lines.levels == ["ERROR", "WARNING"]


def test_a_full_disk_is_waited_out(path: Path) -> None:
    main = """
    import resource, logging
    class Handler(logging.Handler):
        def emit(self, record): loop.call_soon_threadsafe(failed.set)
    async def main():
        global loop, failed
        loop, failed = asyncio.get_running_loop(), asyncio.Event()
        logging.getLogger("callboard").addHandler(Handler())
        journal = opened(path)
        handle = await owned(journal, "a")
        await handle.append(["before"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(f"{path}-wal") + 10_000, resource.RLIM_INFINITY))
        big = handle.append(["x" * 1_000_000])
        small = handle.append(["after"])
        await failed.wait()
        say("full", big.done(), small.done())
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await small
        say("healed", big.done())
        journal.close()
    """
    with Child(main, path) as child:
        assert child.line() == "full False False"
        assert child.line() == "healed True"
        assert child.ended() == 0

    async def look() -> list[int]:
        journal = opened(path)
        found = [len(event) for event in await kept(journal, "a")]
        journal.close()
        return found

    assert asyncio.run(look()) == [6, 1_000_000, 5]


def test_a_kill_between_commits_loses_nothing_acknowledged_and_leaves_no_half_append(path: Path) -> None:
    main = """
    async def actor(journal, name):
        handle = await owned(journal, name)
        while True:
            await handle.append([1, 2, 3])
            say(name, handle.version)
    async def main():
        journal = opened(path)
        await asyncio.gather(*[actor(journal, f"s{number:02}") for number in range(50)])
    """
    acknowledged: dict[str, int] = {}
    with Child(main, path) as child:
        for count in itertools.count():
            words = child.line().split()
            if len(words) < 2:  # it has ended, perhaps in the middle of a line
                break
            acknowledged[words[0]] = int(words[1])
            if count == 2_000:
                child.kill()

    async def look() -> None:
        journal = opened(path)
        for header in await journal.headers():
            records = await journal.read(header.name)
            assert header.version >= acknowledged.get(header.name, 0), "what was acknowledged is there"
            assert header.version % 3 == 0, "an append is there as a whole, or not at all"
            assert [record.version for record in records] == list(range(1, header.version + 1))
            assert (await owned(journal, header.name)).version == header.version, "the dead hold nothing"
        journal.close()

    assert len(acknowledged) == 50
    asyncio.run(look())


async def test_a_row_that_cannot_be_read_harms_its_stream_alone(journal: SqliteJournal, path: Path) -> None:
    await journal.append("bad", [1, 2, 3])
    await journal.append("good", [1])
    with raw(path) as other:
        other.execute("UPDATE events SET data = '{' WHERE stream = 'bad' AND version = 2")
    with pytest.raises(EventNotReadable, match="event 2 of bad") as error:
        await owned(journal, "bad")
    assert error.value.stream == "bad"
    with pytest.raises(EventNotReadable, match="event 2 of bad"):
        await journal.read("bad")
    assert await owner_of(journal, "bad") == "", "who cannot read it does not hold it"
    assert (await owned(journal, "good")).events == [1]


@pytest.mark.parametrize("damage", ["CAST(x'7b22ff227d' AS TEXT)", "x'ff'", "1", "''"])
async def test_whatever_stands_in_a_row_is_an_error_by_name(journal: SqliteJournal, path: Path, damage: str) -> None:
    await journal.append("bad", ["text"])
    await journal.append("good", ["text"])
    with raw(path) as other:
        other.execute(f"UPDATE events SET data = {damage} WHERE stream = 'bad'")
    if damage == "1":  # SQLite keeps it as text: it is JSON
        assert await kept(journal, "bad") == [1]
    else:
        with pytest.raises(EventNotReadable, match="event 1 of bad"):
            await owned(journal, "bad")
    assert await kept(journal, "good") == ["text"]


async def test_an_event_that_is_missing_is_noticed(journal: SqliteJournal, path: Path) -> None:
    for number, name in enumerate(("first", "middle", "last"), 1):
        await journal.append(name, [1, 2, 3])
        with raw(path) as other:
            other.execute("DELETE FROM events WHERE stream = ? AND version = ?", (name, number))
        said = "its last event is 2" if name == "last" else f"event {number} of {name} is missing"
        with pytest.raises(EventNotReadable, match=said):
            await owned(journal, name)


async def test_a_subscriber_goes_on_behind_a_row_that_cannot_be_read(journal: SqliteJournal, path: Path) -> None:
    await journal.append("a", [1, 2, 3])
    with raw(path) as other:
        other.execute("UPDATE events SET data = '{' WHERE version = 2")
    records = journal.subscribe()
    assert (await anext(records)).event == 1
    with pytest.raises(EventNotReadable, match="event 2 of a"):
        await anext(records)
    assert (await anext(records)).event == 3


async def test_a_snapshot_that_cannot_be_read_is_passed_over(journal: SqliteJournal, path: Path) -> None:
    handle = await owned(journal, "a")
    await handle.append([1, 2])
    handle.keep_snapshot("both")
    await handle.append([3])
    with raw(path) as other:
        other.execute("UPDATE snapshots SET data = '{'")
    again = await owned(journal, "a")
    assert (again.snapshot, again.events, again.version) == (None, [1, 2, 3], 3)


async def test_a_post_that_cannot_be_read_does_not_hold_up_the_others(journal: SqliteJournal, path: Path) -> None:
    await journal.post("a", "lost")
    with raw(path) as other:
        other.execute("UPDATE posts SET data = '{'")
    await journal.post("a", "found")
    posts: asyncio.Queue[Any] = asyncio.Queue()
    with logged() as lines:
        journal.on_post(posts.put_nowait)
        assert (await posts.get()).event == "found"
        assert lines.levels == ["ERROR"]


@pytest.mark.parametrize("text", ["\ud83d", "a\x00b", "\x00", "é\u2028😀"])
async def test_any_text_is_kept_as_it_is(journal: SqliteJournal, text: str) -> None:
    handle = await owned(journal, "a")
    await handle.append([text, {text: [text]}])
    again = await owned(journal, "a")
    assert again.events == [text, {text: [text]}]


async def test_what_cannot_be_encoded_is_refused_at_once_and_harms_nothing_else(journal: SqliteJournal) -> None:
    handle = await owned(journal, "a")
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    cycle: list[Any] = []
    cycle.append(cycle)
    for event in (object(), deep, cycle, Raw('"\ud83d"'), {1j: 2}):
        with pytest.raises(EventNotWritable, match="of a") as error:
            handle.append([1, event], keys=["k"])
        assert isinstance(error.value, ValueError)
        for refused in (lambda event=event: journal.append("b", [event]), lambda event=event: journal.post("b", event)):
            with pytest.raises(EventNotWritable):
                refused()
        with pytest.raises(EventNotWritable):
            handle.keep_snapshot(event)
    while isinstance(deep, list) and deep:  # the interpreter may not be able to free it in one go
        deep = deep[0]
    await handle.append([2])
    assert await kept(journal, "a") == [2]
    assert await journal.find("k") is None
    assert [header.name for header in await journal.headers()] == ["a"]


async def test_what_the_database_refuses_harms_nothing_in_the_same_transaction(
    journal: SqliteJournal, path: Path
) -> None:
    handle, broken = await owned(journal, "a"), await owned(journal, "b")
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")  # so that all of it waits for one transaction
        before = handle.append([1])
        surrogate = journal.append("\ud83d", [1])
        too_long = broken.append([Raw("1", schema=2**70)])
        built_upon = broken.append([2])
        after = handle.append([2])
        other.execute("ROLLBACK")
    with logged():
        await before
        await after
        with pytest.raises(JournalError, match="UnicodeEncodeError"):
            await surrogate
        with pytest.raises(JournalError, match="OverflowError"):
            await too_long
        with pytest.raises(StreamConflict):
            await built_upon
    assert await kept(journal, "a") == [1, 2]
    assert await kept(journal, "b") == []
    assert await kept(journal, "\ud83d") == []
    assert await journal.find("\ud83d") is None
    assert await journal.headers(prefix="\ud83d") == []


async def test_a_refused_append_that_nothing_was_built_upon_leaves_the_handle_usable(journal: SqliteJournal) -> None:
    handle = await owned(journal, "a")
    with logged(), pytest.raises(JournalError):
        await handle.append([Raw("1", schema=2**70)])
    assert handle.version == 0
    await handle.append([1])
    assert await kept(journal, "a") == [1]


async def test_what_is_appended_and_deleted_in_one_transaction_is_gone(journal: SqliteJournal, path: Path) -> None:
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        journal.append("first", [])  # under way by itself; the others wait for it
        journal.append("a", [1, 2])
        deleted = journal.delete("a")
        other.execute("ROLLBACK")
    await deleted
    assert await kept(journal, "a") == []
    assert check(path) == []
    assert await journal.append("a", [3]) == 1


async def test_a_snapshot_of_what_was_refused_is_not_kept(journal: SqliteJournal, path: Path) -> None:
    await (await owned(journal, "b")).append([], keys=["k"])
    handle = await owned(journal, "a")
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        refused = handle.append([1], keys=["k"])
        handle.keep_snapshot("of one event")
        other.execute("ROLLBACK")
    with pytest.raises(KeyTaken):
        await refused
    await handle.append([2])
    again = await owned(journal, "a")
    assert (again.snapshot, again.events) == (None, [2])
