"""A stream in a file has one owner at a time, whatever happens to the processes that share it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from callboard.actors.journal import StreamFenced, StreamOwned
from callboard.actors.journal.backend import Acquire, Acquired, Append, KeepSnapshot, Release, Write
from callboard.actors.journal.codec import Encoded
from callboard.actors.journal.sqlite import SqliteJournal
from callboard.actors.journal.sqlite.backend import SqliteBackend

from .support import Child, kept, opened, owned, owner_of, raw

LONG = 3600.0
"""A lease that does not run out within a test."""

HOLD = """
async def main():
    journal = opened(path, lease=3600.0)
    handle = await owned(journal, "a")
    await handle.append(["of the child"], unfinished=True)
    say("owned", journal.worker)
    while await told() != "close":
        try:
            await handle.append(["late"])
            say("kept")
        except StreamFenced:
            say("fenced")
    journal.close()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteJournal]:
    made = opened(path, lease=LONG)
    yield made
    made.close()


@pytest.fixture
def other(path: Path) -> Iterator[SqliteJournal]:
    made = opened(path, lease=LONG)
    yield made
    made.close()


async def test_two_journals_in_one_process_are_two_workers(journal: SqliteJournal, other: SqliteJournal) -> None:
    assert journal.worker != other.worker
    handle = await owned(journal, "a")
    await handle.append([1])
    with pytest.raises(StreamOwned) as error:
        await owned(other, "a")
    assert (error.value.stream, error.value.owner) == ("a", journal.worker)
    assert 0 < error.value.seconds <= LONG
    released = handle.release()
    assert released is not None
    await released
    taken = await owned(other, "a")
    assert (taken.epoch, taken.events) == (2, [1])
    with pytest.raises(StreamFenced):
        await handle.append([2])


async def test_two_processes_are_two_workers(journal: SqliteJournal, path: Path) -> None:
    with Child(HOLD, path) as child:
        worker = child.line().split()[1]
        with pytest.raises(StreamOwned) as error:
            await owned(journal, "a")
        assert error.value.owner == worker == await owner_of(journal, "a")
        assert await journal.headers(abandoned=True) == []
        assert await kept(journal, "a") == ["of the child"], "reading needs no owner"
        child.tell("close")
        assert child.ended() == 0
        assert await owner_of(journal, "a") == ""
        assert (await owned(journal, "a")).events == ["of the child"]


async def test_what_a_killed_process_held_is_free_at_once(journal: SqliteJournal, path: Path) -> None:
    with Child(HOLD, path) as child:
        worker = child.line().split()[1]
        assert (path.parent / "journal.db-workers" / worker).exists()
        child.kill()
        (header,) = await journal.headers(unfinished=True, abandoned=True)
        assert (header.name, header.owner) == ("a", "")
        assert (await owned(journal, "a")).events == ["of the child"]
        assert not (path.parent / "journal.db-workers" / worker).exists(), "nothing of the dead is left"
        with raw(path) as connection:
            assert connection.execute("SELECT id FROM workers").fetchall() == [(journal.worker,)]


async def test_several_who_look_at_once_all_see_that_a_worker_is_dead(journal: SqliteJournal, path: Path) -> None:
    with Child(HOLD, path) as child:
        worker = child.line().split()[1]
        child.kill()
    with (path.parent / "journal.db-workers" / worker).open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # somebody else is just looking
        assert [header.name for header in await journal.headers(abandoned=True)] == ["a"]
        assert (await owned(journal, "a")).epoch == 2


async def test_the_store_refuses_an_owner_of_an_earlier_epoch(path: Path) -> None:
    backend = SqliteBackend(path, "NORMAL")
    backend.prepare()
    backend.heartbeat("me", LONG)
    event = Encoded("int", 1, "1")
    assert backend.write([Acquire("a", "me")]) == [Acquired(0, 1, 0)]
    assert backend.write([Append("1", "a", "me", 1, 0, (event,))]) == [1]
    assert backend.write([Acquire("a", "me")]) == [Acquired(1, 2, 0)]
    late, snapshot = Append("2", "a", "me", 1, 1, (event,)), KeepSnapshot("a", "me", 1, 1, event)
    results = backend.write([late, late._replace(keys=("k",)), snapshot, Release("a", "me", 1)])
    assert [type(result) for result in results] == [StreamFenced, StreamFenced, type(None), type(None)]
    assert backend.write([Acquire("a", "me")]) == [Acquired(1, 3, 0)]
    (header,) = backend.headers("", None, False, {}, "", None)
    assert (header.owner, header.version, backend.find("k")) == ("me", 1, None)
    backend.leave("me")
    backend.close()


async def test_the_lease_is_renewed_before_anything_is_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    heartbeat, write = SqliteBackend.heartbeat, SqliteBackend.write

    def beating(self: SqliteBackend, worker: str, lease: float) -> None:
        calls.append("heartbeat")
        heartbeat(self, worker, lease)

    def writing(self: SqliteBackend, batch: Sequence[Write]) -> list[object]:
        calls.append("write")
        return write(self, batch)

    monkeypatch.setattr(SqliteBackend, "heartbeat", beating)
    monkeypatch.setattr(SqliteBackend, "write", writing)
    journal = opened(path, lease=1e-9)  # it is always time
    for number in range(10):
        await journal.append("a", [number])
    journal.close()
    assert calls.count("write") == 10
    assert all(calls[at - 1] == "heartbeat" for at, call in enumerate(calls) if call == "write")


async def test_nothing_gets_in_of_a_process_that_was_paused_for_longer_than_its_lease(path: Path) -> None:
    main = HOLD.replace("3600.0", "0.3")
    with Child(main, path) as child:
        child.line()
        child.tell()
        assert child.line() == "kept"
        child.pause()
        journal = opened(path, lease=LONG)
        while True:
            try:
                handle = await owned(journal, "a")
            except StreamOwned as error:
                await asyncio.sleep(min(error.seconds, 0.3))  # the lease has to run out
            else:
                break
        await handle.append(["of the new owner"])
        child.tell()
        child.go_on()
        assert child.line() == "fenced"
        child.tell()
        assert child.line() == "fenced"
        await handle.append(["and more"])
        assert await kept(journal, "a") == ["of the child", "late", "of the new owner", "and more"]
        journal.close()


async def test_a_lease_is_renewed_although_the_event_loop_is_blocked(path: Path, journal: SqliteJournal) -> None:
    main = """
    async def main():
        journal = opened(path, lease=0.3)
        handle = await owned(journal, "a")
        say("owned")
        sys.stdin.readline()
        await handle.append([1])
        say("kept")
        journal.close()
    """
    with Child(main, path) as child:
        child.line()
        await asyncio.sleep(1.0)  # several leases
        with pytest.raises(StreamOwned):
            await owned(journal, "a")
        child.tell()
        assert child.line() == "kept"


async def test_a_lease_made_before_the_machine_was_started_anew_is_over(
    journal: SqliteJournal, other: SqliteJournal, path: Path
) -> None:
    handle = await owned(journal, "a")
    with raw(path) as connection:
        connection.execute("UPDATE workers SET boot = 'another start' WHERE id = ?", (journal.worker,))
    assert [header.name for header in await other.headers(abandoned=True)] == ["a"]
    await (await owned(other, "a")).append([1])
    with pytest.raises(StreamFenced):
        await handle.append([2])


async def test_a_lease_that_ends_later_than_it_could_is_over(
    journal: SqliteJournal, other: SqliteJournal, path: Path
) -> None:
    await owned(journal, "a")
    with raw(path) as connection:
        connection.execute("UPDATE workers SET until = until + 10 WHERE id = ?", (journal.worker,))
    assert (await owned(other, "a")).epoch == 2


@pytest.mark.parametrize("jump", [1e7, -1e7])
async def test_jumps_of_the_wall_clock_do_not_matter(
    journal: SqliteJournal, other: SqliteJournal, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    handle = await owned(journal, "a")
    ordinary = time.time
    monkeypatch.setattr(time, "time", lambda: ordinary() + jump)
    with pytest.raises(StreamOwned) as error:
        await owned(other, "a")
    assert 0 < error.value.seconds <= LONG
    await handle.append([1])
    assert await owner_of(other, "a") == journal.worker


async def test_a_worker_whose_row_has_gone_registers_again(path: Path, journal: SqliteJournal) -> None:
    brief = opened(path, lease=0.3)
    handle = await owned(brief, "a")
    with raw(path) as connection:
        connection.execute("DELETE FROM workers WHERE id = ?", (brief.worker,))
        await asyncio.sleep(0.4)  # more than the lease
    await handle.append([1])
    with pytest.raises(StreamOwned):
        await owned(journal, "a")
    brief.close()


async def test_who_appends_without_owning_takes_it_from_the_dead_alone(
    journal: SqliteJournal, other: SqliteJournal, path: Path
) -> None:
    handle = await owned(journal, "a")
    await handle.append([1])
    with pytest.raises(StreamOwned):
        await other.append("a", [2])
    with raw(path) as connection:
        connection.execute("UPDATE workers SET boot = 'another start' WHERE id = ?", (journal.worker,))
    assert await other.append("a", [2], expected=1) == 2
    with pytest.raises(StreamFenced):
        await handle.append([3])


async def test_closing_gives_everything_back(path: Path, other: SqliteJournal) -> None:
    journal = opened(path, lease=LONG)
    pending = [(await owned(journal, f"s{number}")).append([number]) for number in range(100)]
    journal.close()
    await asyncio.gather(*pending)
    for number in range(100):
        assert (await owned(other, f"s{number}")).events == [number]
    with raw(path) as connection:
        assert connection.execute("SELECT id FROM workers").fetchall() == [(other.worker,)]
    assert [file.name for file in (path.parent / "journal.db-workers").iterdir()] == [other.worker]
    other.close()
    assert [file.name for file in path.parent.iterdir()] == ["journal.db"]


def test_a_forked_process_has_no_part_in_the_journal(path: Path) -> None:
    main = """
    def refused(call):
        try:
            call()
        except JournalError as error:
            return type(error).__name__
        return "allowed"
    def child(journal, handle):
        journal.close()
        return (refused(lambda: journal.open("b")), refused(lambda: handle.append([1])), refused(journal.position),
            refused(lambda: opened(path)), refused(lambda: opened(path.with_name("other.db")).close()))
    async def main():
        journal = opened(path, lease=3600.0)
        handle = await owned(journal, "a")
        await handle.append(["of the parent"])
        pid = os.fork()
        if not pid:
            say(os.getpid(), *child(journal, handle))
            del journal, handle
            import signal
            signal.pause()
        await told()
        await handle.append(["goes on"])
        say("kept")
        await told()
    """
    with Child(main, path) as child:
        pid, *refusals = child.line().split()
        assert refusals == ["JournalClosed"] * 3 + ["JournalUnavailable", "allowed"]
        child.tell()
        assert child.line() == "kept"
        child.kill()

        async def look() -> None:
            journal = opened(path, lease=LONG)
            assert (await owned(journal, "a")).events == ["of the parent", "goes on"]
            journal.close()

        try:
            asyncio.run(look())  # although the forked process is still there
        finally:
            os.kill(int(pid), signal.SIGKILL)


SHOW = """
async def main():
    journal = opened(path)
    await journal.show("of-the-child")
    say("shown")
    if await told() == "close":
        journal.close()
        say("closed")
        await told()
    if os.fork() == 0:
        signal.pause()
    say("forked")
    await told()
"""


async def test_that_a_process_has_ended_is_seen_at_once_and_not_before(path: Path) -> None:
    journal = opened(path)
    assert list(await journal.ended(["nobody"])) == ["nobody"]
    with Child("import signal\n" + SHOW, path) as child:
        assert child.line() == "shown"
        assert not await journal.ended(["of-the-child"])
        child.pause()
        assert not await journal.ended(["of-the-child"]), "it is only paused"
        child.go_on()
        child.kill()
        assert list(await journal.ended(["of-the-child"])) == ["of-the-child"]
        assert list(await journal.ended(["of-the-child"])) == ["of-the-child"], "and again"
    journal.close()


async def test_a_process_is_seen_for_longer_than_its_journal_is_open(path: Path) -> None:
    journal = opened(path)
    with Child("import signal\n" + SHOW, path) as child:
        assert child.line() == "shown"
        child.tell("close")
        assert child.line() == "closed"
        assert not await journal.ended(["of-the-child"])
        child.kill()
        assert await journal.ended(["of-the-child"])
    journal.close()


async def test_nobody_is_seen_who_hides_and_a_name_is_shown_once_more(path: Path) -> None:
    journal, other = opened(path), opened(path)
    await journal.show("a")
    await journal.show("a")
    await journal.show("b")
    assert list(await other.ended(["a", "b"])) == []
    await journal.hide("a")
    await journal.hide("never shown")
    assert list(await other.ended(["a", "b"])) == ["a"]
    await journal.show("a")
    assert list(await other.ended(["a", "b"])) == []
    await journal.hide("a")
    await journal.hide("b")
    journal.close()
    other.close()
    assert not os.path.exists(f"{path}-workers")  # noqa: ASYNC240


async def test_a_fork_does_not_stand_for_the_process_it_was_forked_from(path: Path) -> None:
    journal = opened(path)
    with Child("import signal\n" + SHOW, path) as child:
        assert child.line() == "shown"
        child.tell("fork")
        assert child.line() == "forked"
        (forked,) = child.children()
        child.kill()
        assert await journal.ended(["of-the-child"])
        os.kill(forked, signal.SIGKILL)
    journal.close()
