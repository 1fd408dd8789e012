"""What only a journal in memory does: it keeps the objects themselves, and is shared by workers of one process."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any

import pytest

from callboard.actors.journal import JournalClosed, MemoryJournal, Post, StreamFenced, StreamOwned
from callboard.testing import Simulation, simulate


def test_events_are_the_objects_that_were_appended() -> None:
    journal = MemoryJournal()
    event = object()
    journal.append("a", [event])
    assert journal.read("a")[0].event is event
    assert journal.open("a").events[0] is event


def test_workers_share_the_streams_and_each_owns_its_own() -> None:
    first = MemoryJournal()
    second = first.as_worker()
    handle = first.open("a")
    handle.append([1])
    with pytest.raises(StreamOwned):
        second.open("a")
    assert second.read("a")[0].event == 1
    assert MemoryJournal().read("a") == []


def test_streams_that_come_and_go_are_found_by_how_their_names_begin() -> None:
    journal = MemoryJournal()
    there: set[str] = set()
    for number in range(300):
        name = f"{'ab'[number % 2]}/{number * 37 % 101}"
        if name in there:
            journal.delete(name)
            there.discard(name)
        else:
            journal.append(name, [1])
            there.add(name)
        if number % 7 == 0:
            for prefix, after in (("", ""), ("a/", ""), ("a/", "a/5"), ("b/1", "b/1"), (name, "")):
                right = sorted(one for one in there if one.startswith(prefix) and one > after)
                assert [one.name for one in journal.headers(prefix=prefix, after=after)] == right
                assert [one.name for one in journal.headers(prefix=prefix, after=after, limit=2)] == right[:2]


def test_what_an_abandoned_worker_owned_is_free_at_once_and_it_gets_nothing_in() -> None:
    first = MemoryJournal()
    second = first.as_worker()
    handle = first.open("a")
    handle.append([1])
    first.abandon()
    assert [header.name for header in second.headers(abandoned=True)] == ["a"]
    again = second.open("a")
    assert again.epoch > handle.epoch
    with pytest.raises(JournalClosed):
        handle.append([2])
    assert list(second.open("a").events) == [1]


def test_a_journal_that_is_closed_has_kept_all_for_further_workers() -> None:
    journal = MemoryJournal()
    journal.open("a").append([1], keys=["k"])
    journal.close()
    again = journal.as_worker()
    assert list(again.open("a").events) == [1]
    assert again.find("k") == "a"


def test_a_stream_that_was_opened_and_left_empty_is_forgotten() -> None:
    journal = MemoryJournal()
    handle = journal.open("a")
    handle.release()
    assert journal.headers() == []
    done = handle.append([1])
    assert done is not None
    with pytest.raises(StreamFenced):
        done.result()


async def test_a_subscription_that_nobody_holds_is_forgotten() -> None:
    journal = MemoryJournal()
    journal.append("a", [1])
    records = journal.subscribe()
    assert (await anext(records)).event == 1
    gone = weakref.ref(records)
    del records
    gc.collect()
    assert gone() is None
    journal.append("a", [2])
    assert [record.event for record in journal.read("a")] == [1, 2]


async def test_one_waits_for_a_subscription_at_a_time() -> None:
    journal = MemoryJournal()
    records = journal.subscribe()
    waiting = asyncio.ensure_future(anext(records))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="somebody else waits"):
        await anext(records)
    journal.append("a", [1])
    assert (await waiting).event == 1


async def test_a_subscriber_who_gave_up_waiting_misses_nothing() -> None:
    journal = MemoryJournal()
    records = journal.subscribe()
    waiting = asyncio.ensure_future(anext(records))
    await asyncio.sleep(0)
    journal.append("a", [1])
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await anext(records)).event == 1


async def test_threads_append_at_once_and_a_subscriber_on_this_loop_hears_of_all() -> None:
    journal = MemoryJournal()
    records = journal.subscribe()

    def write(name: str) -> None:
        handle = journal.as_worker().open(name)
        for number in range(500):
            handle.append([number])

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    found = [await anext(records) for _ in range(2000)]
    for thread in threads:
        thread.join()
    assert [record.position for record in found] == list(range(1, 2001))
    for name in "abcd":
        assert [record.event for record in found if record.stream == name] == list(range(500))


def test_it_works_the_same_under_simulation() -> None:
    async def scenario(sim: Simulation) -> None:
        journal = MemoryJournal()
        other = journal.as_worker()
        posts: asyncio.Queue[Post] = asyncio.Queue()
        other.on_post(posts.put_nowait)
        handle = journal.open("a")
        heard: list[Any] = []

        async def listen() -> None:
            async for record in other.subscribe(prefix="a"):
                heard.append(record.event)
                if len(heard) == 20:
                    return

        async with asyncio.TaskGroup() as group:
            group.create_task(listen())
            for number in range(20):
                handle.append([number])
                await asyncio.sleep(number % 3)
        journal.post("b", "hello")
        assert (await posts.get()).event == "hello"
        other.on_post(None)
        assert heard == list(range(20))
        assert journal.read("a")[-1].at > journal.read("a")[0].at
        journal.abandon()
        assert list(other.open("a").events) == list(range(20))

    simulate(scenario, seeds=20)
