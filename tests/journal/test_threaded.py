"""Journals that work on threads of their own: used from any loop and any thread, and ended at any time."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from callboard.actors import Future
from callboard.actors.journal import Journal, JournalClosed, Post, Record, StreamFenced
from callboard.actors.journal.backend import Backend
from callboard.actors.journal.sqlite import SqliteJournal, backend, reading
from callboard.actors.journal.sqlite.backend import SqliteBackend
from callboard.actors.journal.threaded.handle import Handle

from .support import ROOT, Plain, kept, opened, owned, owner_of, raw


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteJournal]:
    made = opened(path)
    yield made
    made.close()


def elsewhere(function: Any, *given: Any) -> Any:
    """What a function returns on another thread."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function(*given)))
    thread.start()
    thread.join(30)
    return results[0]


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("callboard-journal")]


def test_it_is_what_the_protocols_say(journal: SqliteJournal, path: Path) -> None:
    as_journal: Journal = journal
    as_backend: Backend = SqliteBackend(path, "FULL")
    assert as_journal.worker
    as_backend.close()


# -- threads and loops -------------------------------------------------------------------------------------------------


async def test_it_may_be_made_and_closed_on_another_thread(path: Path) -> None:
    journal: SqliteJournal = await asyncio.to_thread(opened, path)
    handle = await owned(journal, "a")
    await handle.append([1])
    await asyncio.to_thread(journal.close)
    assert threads() == []
    again = opened(path)
    assert await kept(again, "a") == [1]
    again.close()


def test_one_loop_after_the_other_may_use_it(journal: SqliteJournal) -> None:
    async def use(number: int) -> list[Any]:
        handle = await owned(journal, f"s{number}")
        await handle.append([number])
        return await kept(journal, f"s{number}")

    assert [asyncio.run(use(number)) for number in range(3)] == [[0], [1], [2]]


def test_several_loops_may_use_it_at_once(journal: SqliteJournal) -> None:
    async def use(name: str) -> int:
        settled: set[int] = set()
        handle = await owned(journal, name)
        for number in range(50):
            future = handle.append([number])
            future.when_done(lambda _: settled.add(threading.get_ident()))
            await future
        assert settled == {threading.get_ident()}, "futures are settled on the loop of who asked"
        return handle.version

    results: list[int] = []
    running = [
        threading.Thread(target=lambda name=name: results.append(asyncio.run(use(name)))) for name in ("a", "b", "c")
    ]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(30)
    assert results == [50, 50, 50]


def test_a_thread_without_a_loop_may_wait_for_what_it_asks(journal: SqliteJournal) -> None:
    def use() -> list[Any]:
        handle = journal.open("a").get(timeout=30)
        assert isinstance(handle, Handle)
        future = handle.append([1])
        assert isinstance(future, Future)
        future.get(timeout=30)
        assert journal.append("b", [2]).get(timeout=30) == 1
        return [record.event for record in journal.read("a").get(timeout=30)]

    assert elsewhere(use) == [1]


def test_what_a_closed_loop_waited_for_is_written_all_the_same(journal: SqliteJournal, path: Path) -> None:
    async def leave(other: sqlite3.Connection) -> list[Any]:
        handle = await owned(journal, "a")
        other.execute("BEGIN IMMEDIATE")
        return [handle.append([1]), journal.append("b", [2]), journal.open("c")]

    with raw(path) as other:
        futures = asyncio.run(leave(other))
        other.execute("ROLLBACK")
    for future in futures:
        future.get(timeout=30)

    async def look() -> None:
        assert [await kept(journal, "a"), await kept(journal, "b")] == [[1], [2]]
        await (await owned(journal, "a")).append([3])

    asyncio.run(look())


async def test_who_gives_up_waiting_loses_nothing_but_the_answer(journal: SqliteJournal, path: Path) -> None:
    handle = await owned(journal, "a")
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        appending, opening = handle.append([1]), journal.open("b")
        appending.cancel()
        opening.cancel()
        other.execute("ROLLBACK")
    await handle.append([2])
    assert await kept(journal, "a") == [1, 2]
    await (await owned(journal, "c")).append([])
    assert [header.name for header in await journal.headers()] == ["a", "c"], "what nobody got is given back"


async def test_many_appends_on_the_way_are_kept_in_order(journal: SqliteJournal) -> None:
    handle = await owned(journal, "a")
    futures = [handle.append([number, -number]) for number in range(3_000)]
    assert handle.version == 6_000
    await futures[-1]
    assert all(future.done() for future in futures)
    assert await kept(journal, "a") == [sign * number for number in range(3_000) for sign in (1, -1)]


async def test_a_handle_on_a_stream_that_was_deleted_is_fenced_although_it_begins_anew(journal: SqliteJournal) -> None:
    old = await owned(journal, "a")
    await journal.delete("a")
    new = await owned(journal, "a")
    assert new.version == old.version == 0
    with pytest.raises(StreamFenced):
        await old.append(["lost"])
    await new.append(["kept"])
    assert await kept(journal, "a") == ["kept"]


async def test_what_is_too_much_for_one_transaction_goes_into_several(journal: SqliteJournal) -> None:
    handle = await owned(journal, "a")
    futures = [handle.append(["x" * 3_000_000]) for _ in range(4)]
    await asyncio.gather(*futures)
    assert [len(event) for event in await kept(journal, "a")] == [3_000_000] * 4


async def test_appends_of_many_share_commits(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    write = SqliteBackend.write

    def counted(self: SqliteBackend, batch: Any) -> Any:
        sizes.append(len(batch))
        return write(self, batch)

    monkeypatch.setattr(SqliteBackend, "write", counted)
    journal = opened(path)
    handles = await asyncio.gather(*[owned(journal, f"s{number}") for number in range(50)])
    sizes.clear()
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")  # the first is under way, and the others come meanwhile
        futures = [handle.append([1]) for handle in handles]
        other.execute("ROLLBACK")
    await asyncio.gather(*futures)
    assert max(sizes) >= 25
    journal.close()


# -- posts and subscriptions, between processes ------------------------------------------------------------------------


async def test_posts_of_another_worker_are_found(journal: SqliteJournal, path: Path) -> None:
    other = opened(path)
    await owned(journal, "mine")
    await owned(other, "theirs")
    posts: asyncio.Queue[Post] = asyncio.Queue()
    journal.on_post(posts.put_nowait)
    for stream in ("theirs", "mine", "nobody's"):
        await other.post(stream, stream)
    found = [await posts.get(), await posts.get()]
    assert [post.event for post in found] == ["mine", "nobody's"]
    other.close()  # by which the third is for whoever comes
    assert (await posts.get()).event == "theirs"
    journal.discard(found[0].id)
    handle = await owned(journal, "nobody's")
    await handle.append([1], taken=[found[1].id])
    journal.on_post(None)
    with raw(path) as connection:
        assert connection.execute("SELECT stream FROM posts").fetchall() == [("theirs",)]


async def test_a_post_is_delivered_once_although_it_is_looked_for_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "POLL", 0.001)
    looked = threading.Semaphore(0)
    posts = SqliteBackend.posts

    def counted(self: SqliteBackend, worker: str) -> Any:
        looked.release()
        return posts(self, worker)

    monkeypatch.setattr(SqliteBackend, "posts", counted)
    journal = opened(path)
    delivered: list[Any] = []
    journal.on_post(lambda post: delivered.append(post.event))
    await journal.post("a", 1)
    journal.post("b", 2)
    for _ in range(20):
        assert looked.acquire(timeout=30)  # the event loop is blocked meanwhile
    for _ in range(20):
        await asyncio.to_thread(looked.acquire)
    journal.on_post(lambda post: delivered.append(post.event))  # nor although somebody else takes them now
    for _ in range(20):
        await asyncio.to_thread(looked.acquire)
    assert delivered == [1, 2]
    journal.close()


async def test_a_post_is_delivered_again_when_another_worker_has_ended_before_it_took_it(
    journal: SqliteJournal, path: Path
) -> None:
    posts: asyncio.Queue[Post] = asyncio.Queue()
    journal.on_post(posts.put_nowait)
    other = opened(path)
    await journal.post("a", "look")
    assert (await posts.get()).event == "look"
    await owned(other, "a")
    await other.post("b", "a sign that it has been seen that this one is not ours any more")
    assert (await posts.get()).stream == "b"
    other.close()
    assert (await posts.get()).event == "look"


async def test_who_cannot_take_a_post_does_not_keep_the_next_from_being_delivered(journal: SqliteJournal) -> None:
    posts: asyncio.Queue[Post] = asyncio.Queue()

    def deliver(post: Post) -> None:
        posts.put_nowait(post)
        raise RuntimeError("no")

    journal.on_post(deliver)
    await journal.post("a", 1)
    await journal.post("a", 2)
    assert [(await posts.get()).event, (await posts.get()).event] == [1, 2]


async def test_a_subscriber_sees_what_several_workers_write_without_a_gap(journal: SqliteJournal, path: Path) -> None:
    others = [opened(path) for _ in range(3)]
    records = journal.subscribe(prefix="s")
    seen: list[Record] = []

    async def follow() -> None:
        while len(seen) < 600:
            seen.append(await anext(records))

    async def write(other: SqliteJournal, number: int) -> None:
        handle = await owned(other, f"s{number}")
        for event in range(200):
            await handle.append([event])
            if not event % 50:
                await other.append(f"another {number}", [event])

    await asyncio.gather(follow(), *[write(other, number) for number, other in enumerate(others)])
    assert [record.position for record in seen] == sorted({record.position for record in seen})
    for number in range(3):
        assert [record.event for record in seen if record.stream == f"s{number}"] == list(range(200))
    for other in others:
        other.close()


async def test_a_subscriber_to_a_few_events_among_very_many_gets_them_in_order(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "FEW", 10)
    for number in range(4):
        for stream in ("sb", "many", "sa"):
            await journal.append(stream, [number] if stream != "many" else [number] * 20)
    for prefix, count in (("s", 8), ("many", 80), ("", 88)):
        records = journal.subscribe(prefix=prefix)
        seen = [await anext(records) for _ in range(count)]
        assert [record.position for record in seen] == sorted({record.position for record in seen})
        assert all(record.stream.startswith(prefix) for record in seen)
        await journal.append(f"{prefix}z", ["new"])
        assert (await anext(records)).event == "new"


async def test_a_subscriber_who_is_cancelled_goes_on_where_it_was(journal: SqliteJournal) -> None:
    records = journal.subscribe()
    waiting = asyncio.ensure_future(anext(records))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await journal.append("a", [1, 2])
    assert [(await anext(records)).event, (await anext(records)).event] == [1, 2]


# -- the end -----------------------------------------------------------------------------------------------------------


async def test_closing_commits_what_was_appended_and_names_what_was_not_done(path: Path) -> None:
    journal = opened(path)
    handle = await owned(journal, "a")
    waiting = asyncio.ensure_future(anext(journal.subscribe(after=10_000)))
    await asyncio.sleep(0)
    futures = [handle.append([number]) for number in range(100)]
    journal.close()
    await asyncio.gather(*futures)
    with pytest.raises(JournalClosed):
        await waiting
    for call in (
        lambda: journal.open("a"),
        lambda: handle.append([1]),
        lambda: handle.keep_snapshot(1),
        lambda: journal.append("a", [1]),
        lambda: journal.read("a"),
        journal.headers,
        journal.position,
        journal.subscribe,
        lambda: journal.find("k"),
        lambda: journal.post("a", 1),
        lambda: journal.delete("a"),
        lambda: journal.on_post(print),
        lambda: journal.discard(1),
    ):
        with pytest.raises(JournalClosed):
            call()
    journal.on_post(None)
    assert handle.release() is None
    assert threads() == []
    again = opened(path)
    assert await kept(again, "a") == list(range(100))
    again.close()


async def test_closing_twice_and_from_several_threads_is_fine(path: Path) -> None:
    journal = opened(path)
    handle = await owned(journal, "a")
    pending = handle.append([1])
    await asyncio.gather(*[asyncio.to_thread(journal.close) for _ in range(5)])
    journal.close()
    await pending
    assert threads() == []


def test_what_is_appended_while_another_thread_closes_is_kept_or_refused(path: Path) -> None:
    for number in range(30):
        journal = opened(path)
        name = f"s{number}"
        outcomes: list[Any] = []
        begun = threading.Event()

        def write(
            journal: SqliteJournal = journal,
            outcomes: list[Any] = outcomes,
            name: str = name,
            begun: threading.Event = begun,
        ) -> None:
            try:
                while True:
                    outcomes.append(journal.append(name, [1]))
                    begun.set()
            except JournalClosed:
                return

        thread = threading.Thread(target=write)
        thread.start()
        begun.wait(30)
        journal.close()
        thread.join(30)
        done = 0
        for future in outcomes:
            try:
                done = max(done, future.get(timeout=30))
            except JournalClosed:
                continue
        with raw(path) as connection:
            assert connection.execute("SELECT version FROM streams WHERE name = ?", (name,)).fetchall() == [(done,)]


@pytest.mark.parametrize("ask", [lambda journal: journal.append("a", [1]), lambda journal: journal.read("a")])
def test_a_callback_on_a_thread_of_the_journal_may_close_it(
    path: Path, ask: Callable[[SqliteJournal], Future[Any]]
) -> None:
    journal = opened(path)
    closed = threading.Event()

    def close(_: object) -> None:
        journal.close()
        closed.set()

    ask(journal).when_done(close)
    assert closed.wait(30)
    for thread in threading.enumerate():
        if thread.name.startswith("callboard-journal"):
            thread.join(30)
    assert threads() == []


def python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program as its author would while looking for mistakes."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


IMPORTS = """
import asyncio, gc, sys
from tests.journal.support import opened, kept, owned
"""


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise SystemExit(3)", "del journal; gc.collect()"])
async def test_an_interpreter_that_ends_without_closing_commits_and_gives_back(path: Path, end: str) -> None:
    program = IMPORTS + textwrap.dedent(
        f"""
        journal = opened(sys.argv[1])
        async def main():
            handle = await owned(journal, "a")
            await handle.append([1])
            handle.append([2])
        asyncio.run(main())
        {end}
        """
    )
    ended = await asyncio.to_thread(python, program, str(path))
    assert (ended.returncode, ended.stderr) == (3 if "3" in end else 0, "")
    journal = opened(path)
    assert await kept(journal, "a") == [1, 2]
    assert await owner_of(journal, "a") == ""
    journal.close()
    assert [file.name for file in listing(path.parent)] == ["journal.db"]


def listing(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


async def test_nothing_is_left_open(path: Path) -> None:
    """On Python 3.13 a connection that is not closed is a `ResourceWarning`."""
    program = IMPORTS + textwrap.dedent(
        """
        from callboard.actors.journal import JournalUnavailable
        from callboard.actors.journal.sqlite import check, repair, vacuum
        async def main():
            journal = opened(sys.argv[1])
            await (await owned(journal, "a")).append([1])
            journal.close()
            journal.close()
            for look in (check, repair, vacuum):
                look(sys.argv[1])
            for broken in (sys.argv[1] + ".text", "/"):
                try:
                    opened(broken)
                except JournalUnavailable:
                    continue
                raise AssertionError(broken)
        open(sys.argv[1] + ".text", "w").close()
        with open(sys.argv[1] + ".text", "w") as file:
            file.write("no database " * 500)
        asyncio.run(main())
        gc.collect()
        """
    )
    ended = await asyncio.to_thread(python, program, str(path))
    assert (ended.returncode, ended.stderr) == (0, "")


def test_what_cannot_be_opened_leaves_no_thread(tmp_path: Path) -> None:
    from callboard.actors.journal import JournalUnavailable

    with pytest.raises(JournalUnavailable):
        SqliteJournal(tmp_path, Plain())
    assert threads() == []
