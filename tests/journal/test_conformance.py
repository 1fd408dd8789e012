"""What every journal does, whatever it keeps its streams in: the sentences of `store.Journal` and `store.Stream`."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from callboard.actors import Future
from callboard.actors.journal import (
    EventNotReadable,
    EventNotWritable,
    Header,
    Journal,
    JournalClosed,
    KeyTaken,
    Post,
    Record,
    Retention,
    Stream,
    StreamConflict,
    StreamFenced,
    StreamOwned,
)

from .stores import GUARD, STORES, Said, Store, Unreadable, settled


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made = STORES[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture
def journal(store: Store) -> Journal:
    return store.journal()


@pytest.fixture
def other(store: Store) -> Journal:
    return store.journal()


async def opened(journal: Journal, stream: str, *events: Any, **more: Any) -> Stream:
    """An owned stream, to which these events have been added."""
    handle = await settled(journal.open(stream))
    if events or more:
        await settled(handle.append(events, **more))
    return handle


async def events(journal: Journal, stream: str) -> list[Any]:
    return [record.event for record in await settled(journal.read(stream))]


async def names(journal: Journal, **which: Any) -> list[str]:
    return [header.name for header in await settled(journal.headers(**which))]


async def header(journal: Journal, stream: str) -> Header:
    (found,) = [header for header in await settled(journal.headers(prefix=stream)) if header.name == stream]
    return found


class Inbox:
    """Posts as they are delivered to a journal."""

    def __init__(self, journal: Journal) -> None:
        self.posts: asyncio.Queue[Post] = asyncio.Queue()
        journal.on_post(self.posts.put_nowait)

    async def next(self) -> Post:
        async with asyncio.timeout(GUARD):
            return await self.posts.get()


async def taken(records: AsyncIterator[Record], count: int) -> list[Record]:
    async with asyncio.timeout(GUARD):
        return [await anext(records) for _ in range(count)]


# -- open -------------------------------------------------------------------------------------------------------------


async def test_a_stream_that_does_not_exist_is_at_version_0(journal: Journal) -> None:
    handle = await opened(journal, "a")
    assert (handle.name, handle.version, handle.snapshot, list(handle.events)) == ("a", 0, None, [])


async def test_opening_reads_what_is_kept(journal: Journal, other: Journal) -> None:
    handle = await opened(journal, "a", "one", Said("two", 2))
    await settled(handle.release())
    again = await opened(other, "a")
    assert (again.version, list(again.events)) == (2, ["one", Said("two", 2)])
    again.events = ()
    await settled(again.append(["three"]))
    assert await events(other, "a") == ["one", Said("two", 2), "three"]


async def test_a_worker_that_is_alive_keeps_what_it_has_opened(journal: Journal, other: Journal) -> None:
    handle = await opened(journal, "a", 1)
    with pytest.raises(StreamOwned, match="a") as error:
        await opened(other, "a")
    assert (error.value.stream, error.value.owner) == ("a", journal.worker)
    assert error.value.seconds > 0
    await settled(handle.append([2]))
    assert await events(other, "a") == [1, 2]


async def test_a_stream_that_is_new_takes_events_without_being_waited_for(journal: Journal, other: Journal) -> None:
    for name in ("a", "b"):  # after others have been taken over and deleted, too
        handle = journal.create(name)
        first = handle.append([1, 2])
        await settled(first)
        await settled(handle.append([3]))
        assert (handle.version, await events(other, name)) == (3, [1, 2, 3])
        with pytest.raises(StreamOwned):
            await settled(other.open(name))
        await settled(journal.open("old"))
        await settled(journal.open("old"))
        await settled(journal.delete("old"))


async def test_two_who_open_at_once_are_one_owner(journal: Journal, other: Journal) -> None:
    tried = await asyncio.gather(opened(journal, "a"), opened(other, "a"), return_exceptions=True)
    assert sorted(type(result).__name__ for result in tried if isinstance(result, Exception)) == ["StreamOwned"]


async def test_each_opening_has_a_higher_epoch_and_fences_the_handle_before(journal: Journal) -> None:
    old = await opened(journal, "a", 1)
    new = await opened(journal, "a")
    assert new.epoch > old.epoch
    assert list(new.events) == [1]
    for _ in range(2):
        with pytest.raises(StreamFenced, match="a") as error:
            await settled(old.append(["lost"], unfinished=True, labels={"x": "y"}, keys=["k"]))
        assert (error.value.stream, error.value.epoch) == ("a", old.epoch)
    await settled(new.append([2]))
    assert await events(journal, "a") == [1, 2]
    assert await settled(journal.find("k")) is None
    assert not (await header(journal, "a")).unfinished
    assert not (await header(journal, "a")).labels


async def test_what_a_fenced_handle_says_of_a_snapshot_or_release_counts_for_nothing(
    journal: Journal, other: Journal
) -> None:
    old = await opened(journal, "a", 1)
    new = await opened(journal, "a")
    old.keep_snapshot("of the old one")
    await settled(old.release())
    with pytest.raises(StreamOwned):
        await opened(other, "a")
    await settled(new.append([2]))
    again = await opened(journal, "a")
    assert (again.snapshot, list(again.events)) == (None, [1, 2])


async def test_what_cannot_be_read_harms_its_stream_alone(store: Store, journal: Journal) -> None:
    if not store.encodes:
        pytest.skip("keeps the objects themselves")
    handle = await opened(journal, "a", 1, Unreadable())
    await settled(handle.release())
    await opened(journal, "b", 2)
    with pytest.raises(EventNotReadable, match="a") as error:
        await opened(journal, "a")
    assert error.value.stream == "a"
    with pytest.raises(EventNotReadable, match="a"):
        await settled(journal.read("a"))
    assert await events(journal, "b") == [2]
    assert await names(journal) == ["a", "b"]


# -- append -----------------------------------------------------------------------------------------------------------


async def test_what_is_appended_is_kept_in_order_whether_or_not_somebody_waits(journal: Journal) -> None:
    handle = await opened(journal, "a")
    last = None
    for number in range(0, 600, 3):
        last = handle.append([number, number + 1, number + 2])
        assert handle.version == number + 3
    await settled(last)
    assert await events(journal, "a") == list(range(600))


async def test_who_gives_up_waiting_takes_nothing_back(journal: Journal) -> None:
    handle = await opened(journal, "a")
    for number in range(5):
        done = handle.append([number])
        if done is not None:
            done.cancel()
    reading = journal.read("a")
    if isinstance(reading, Future):
        reading.cancel()
    await settled(handle.append([5]))
    assert await events(journal, "a") == [0, 1, 2, 3, 4, 5]


async def test_text_comes_back_as_it_is(journal: Journal) -> None:
    odd = ["\0", "\ud800 alone", "é 𝄞 \\u0000", "'; --", {"\udc00": ["\0"]}, Said("\ud800\0")]
    handle = await opened(journal, "a", *odd)
    await settled(handle.release())
    assert list((await opened(journal, "a")).events) == odd
    assert await events(journal, "a") == odd


async def test_an_append_without_events_keeps_what_is_said_beside(journal: Journal) -> None:
    handle = await opened(journal, "a", 1)
    await settled(handle.append((), unfinished=True, labels={"user": "ada"}, keys=["k"]))
    found = await header(journal, "a")
    assert (found.version, found.unfinished, dict(found.labels)) == (1, True, {"user": "ada"})
    assert await settled(journal.find("k")) == "a"


async def test_unfinished_stays_as_it_is_where_nothing_is_said_and_labels_add_up(journal: Journal) -> None:
    handle = await opened(journal, "a", 1, unfinished=True, labels={"user": "ada", "kind": "x"})
    await settled(handle.append([2], labels={"kind": "y", "more": "z"}))
    found = await header(journal, "a")
    assert found.unfinished
    assert dict(found.labels) == {"user": "ada", "kind": "y", "more": "z"}
    await settled(handle.append([3], unfinished=False))
    assert not (await header(journal, "a")).unfinished


async def test_a_key_belongs_to_one_stream(journal: Journal, other: Journal) -> None:
    first = await opened(journal, "a", 1, keys=["k", "l"])
    await settled(first.append([2], keys=["k"]))
    second = await opened(other, "b", 1)
    with pytest.raises(KeyTaken, match="k") as error:
        await settled(second.append([2], keys=["free", "k"], unfinished=True))
    assert (error.value.key, error.value.stream) == ("k", "a")
    assert await events(journal, "b") == [1]
    assert not (await header(journal, "b")).unfinished
    assert await settled(journal.find("free")) is None
    assert await settled(other.find("k")) == await settled(other.find("l")) == "a"
    again = await opened(other, "b")
    await settled(again.append([2], keys=["free"]))
    assert await settled(journal.find("free")) == "b"


async def test_of_two_who_claim_a_key_at_once_one_gets_it(journal: Journal, other: Journal) -> None:
    first, second = await opened(journal, "a"), await opened(other, "b")
    tried = await asyncio.gather(
        settled(first.append([1], keys=["k"])), settled(second.append([1], keys=["k"])), return_exceptions=True
    )
    assert sorted(map(repr, map(type, tried))) == sorted(map(repr, (type(None), KeyTaken)))
    winner = await settled(journal.find("k"))
    assert [await events(journal, name) for name in ("a", "b")] == ([[1], []] if winner == "a" else [[], [1]])


async def test_streams_are_dropped_with_all_that_is_theirs(journal: Journal, other: Journal) -> None:
    dropped = await opened(other, "old", 1, keys=["k"])
    await settled(journal.post("old", "for nobody now"))
    handle = await opened(journal, "a")
    await settled(handle.append([1], drop=["old", "never was"], keys=["mine"]))
    assert await names(journal) == ["a"]
    assert await events(journal, "old") == []
    assert await settled(journal.find("k")) is None
    with pytest.raises(StreamFenced):
        await settled(dropped.append([2]))
    await settled(journal.post("a", "the only one"))
    assert (await Inbox(journal).next()).event == "the only one"


async def test_an_event_that_cannot_be_written_is_refused_at_once_and_harms_nothing_else(
    store: Store, journal: Journal
) -> None:
    if not store.encodes:
        pytest.skip("keeps the objects themselves")
    handle = await opened(journal, "a", 1)
    with pytest.raises(EventNotWritable):
        handle.append(["with it", object()], unfinished=True, keys=["k"])
    with pytest.raises(EventNotWritable):
        handle.keep_snapshot(object())
    with pytest.raises(ValueError, match="object"):
        journal.append("b", [object()])
    with pytest.raises(EventNotWritable):
        journal.post("b", object())
    assert handle.version == 1
    await settled(handle.append([2]))
    assert await events(journal, "a") == [1, 2]
    assert await settled(journal.find("k")) is None
    assert await names(journal) == ["a"]


# -- snapshots --------------------------------------------------------------------------------------------------------


async def test_a_snapshot_stands_for_the_events_before_it(journal: Journal, other: Journal) -> None:
    handle = await opened(journal, "a", 1, 2)
    handle.keep_snapshot(Said("1 and 2", 3))
    await settled(handle.append([3]))
    await settled(handle.release())
    again = await opened(other, "a")
    assert (again.version, again.snapshot, list(again.events)) == (3, Said("1 and 2", 3), [3])
    again.keep_snapshot({"all": 6})
    await settled(again.release())
    third = await opened(journal, "a")
    assert (third.version, third.snapshot, list(third.events)) == (3, {"all": 6}, [])
    assert await events(journal, "a") == [1, 2, 3]


async def test_a_snapshot_stands_for_what_was_appended_and_is_not_committed_yet(journal: Journal) -> None:
    handle = await opened(journal, "a")
    handle.append([1])
    handle.append([2])
    handle.keep_snapshot("both")
    last = handle.append([3])
    await settled(last)
    again = await opened(journal, "a")
    assert (again.version, again.snapshot, list(again.events)) == (3, "both", [3])


# -- release ----------------------------------------------------------------------------------------------------------


async def test_who_gives_a_stream_back_commits_what_was_appended_first(journal: Journal, other: Journal) -> None:
    handle = await opened(journal, "a")
    handle.append([1])
    await settled(handle.release())
    again = await opened(other, "a")
    assert list(again.events) == [1]
    with pytest.raises(StreamFenced):
        await settled(handle.append([2]))
    await settled(handle.release())
    await settled(again.append([3]))
    assert await events(journal, "a") == [1, 3]


async def test_what_was_given_back_has_no_owner(journal: Journal) -> None:
    handle = await opened(journal, "a", 1)
    held = await header(journal, "a")
    assert (held.owner, held.epoch) == (journal.worker, handle.epoch)
    await settled(handle.release())
    assert (await header(journal, "a")).owner == ""


# -- appending without owning -----------------------------------------------------------------------------------------


async def test_anybody_appends_to_what_nobody_owns(journal: Journal, other: Journal) -> None:
    assert await settled(journal.append("a", [1, 2])) == 2
    assert await settled(other.append("a", [3], expected=2)) == 3
    assert await settled(other.append("b", ["x"], expected=0)) == 1
    assert await events(journal, "a") == [1, 2, 3]
    assert list((await opened(journal, "a")).events) == [1, 2, 3]


@pytest.mark.parametrize("expected", [0, 1, 3])
async def test_another_version_than_the_expected_one_is_a_conflict(journal: Journal, expected: int) -> None:
    await settled(journal.append("a", [1, 2]))
    with pytest.raises(StreamConflict, match="a") as error:
        await settled(journal.append("a", ["lost"], expected=expected))
    assert (error.value.stream, error.value.expected, error.value.actual) == ("a", expected, 2)
    assert await events(journal, "a") == [1, 2]


async def test_of_those_who_expect_the_same_version_one_gets_in(journal: Journal, other: Journal) -> None:
    tried = await asyncio.gather(
        *(settled(who.append("a", [number], expected=0)) for number, who in enumerate([journal, other] * 5)),
        return_exceptions=True,
    )
    assert [result for result in tried if not isinstance(result, StreamConflict)] == [1]
    assert len(await events(journal, "a")) == 1


async def test_nobody_appends_to_what_a_worker_owns_not_even_that_worker(journal: Journal, other: Journal) -> None:
    handle = await opened(journal, "a", 1)
    for who in (journal, other):
        with pytest.raises(StreamOwned, match="a") as error:
            await settled(who.append("a", ["lost"]))
        assert error.value.owner == journal.worker
    await settled(handle.release())
    assert await settled(other.append("a", [2])) == 2


# -- read -------------------------------------------------------------------------------------------------------------


async def test_records_say_where_they_are(journal: Journal, other: Journal) -> None:
    before = time.time()
    handle = await opened(journal, "a", "x", Said("y"))
    handle.keep_snapshot("is not read")
    await settled(handle.append([3]))
    records = await settled(other.read("a"))
    assert [(record.stream, record.version, record.event) for record in records] == [
        ("a", 1, "x"),
        ("a", 2, Said("y")),
        ("a", 3, 3),
    ]
    assert [record.type for record in records] == ["json", "Said", "json"]
    assert all(dict(record.metadata) == {} for record in records)
    positions = [record.position for record in records]
    assert positions == sorted(set(positions))
    assert before - 5 < records[0].at <= records[2].at < time.time() + 5


async def test_a_part_of_a_stream_is_read(journal: Journal) -> None:
    await opened(journal, "a", *range(10))
    assert [record.event for record in await settled(journal.read("a", after=7))] == [7, 8, 9]
    part = await settled(journal.read("a", after=2, limit=3))
    assert [(record.version, record.event) for record in part] == [(3, 2), (4, 3), (5, 4)]
    assert list(await settled(journal.read("a", after=10))) == []
    assert list(await settled(journal.read("a", limit=0))) == []
    assert list(await settled(journal.read("nothing"))) == []


# -- headers and keys -------------------------------------------------------------------------------------------------


async def test_headers_say_what_is_known_of_streams(journal: Journal) -> None:
    before = time.time()
    handle = await opened(journal, "a", 1, 2, unfinished=True, labels={"user": "ada"})
    found = await header(journal, "a")
    assert found.version == 2
    assert found.epoch == handle.epoch
    assert found.owner == journal.worker
    assert found.unfinished
    assert dict(found.labels) == {"user": "ada"}
    assert before - 5 < found.created_at <= found.updated_at < time.time() + 5
    assert found.damaged == ""
    await settled(handle.append([3]))
    assert (await header(journal, "a")).created_at == found.created_at
    assert (await header(journal, "a")).updated_at >= found.updated_at


ODD_NAMES = ["", "%", "A", "A/1", "Z", "_", "a", "a%", "a/1", "a/10", "a/2", "a\\", "a_1", "aé", "b", "é", "日本", "𝄞"]


async def test_streams_come_by_name_letter_by_letter(journal: Journal) -> None:
    for name in reversed(ODD_NAMES):
        await settled(journal.append(name or "-", [1]))
    expected = sorted(name or "-" for name in ODD_NAMES)
    assert await names(journal) == expected
    paged: list[str] = []
    while page := await names(journal, after=paged[-1] if paged else "", limit=4):
        assert len(page) <= 4
        paged += page
    assert paged == expected


@pytest.mark.parametrize("prefix", ["a", "a/1", "A", "%", "_", "a\\", "a_", "é", "nothing"])
async def test_a_prefix_is_taken_literally(journal: Journal, prefix: str) -> None:
    for name in ODD_NAMES[1:]:
        await settled(journal.append(name, [1]))
    assert await names(journal, prefix=prefix) == sorted(name for name in ODD_NAMES if name.startswith(prefix))


async def test_streams_are_found_by_what_is_left_and_labels_and_owners(journal: Journal, other: Journal) -> None:
    await opened(journal, "a1", 1, unfinished=True, labels={"user": "ada", "kind": "x"})
    mine = await opened(journal, "a2", 1, unfinished=True, labels={"user": "bob"})
    await opened(other, "a3", 1, unfinished=False, labels={"user": "ada"})
    await settled(journal.append("b1", [1]))
    await settled(mine.release())
    assert await names(journal, unfinished=True) == ["a1", "a2"]
    assert await names(journal, unfinished=False) == ["a3", "b1"]
    assert await names(other, abandoned=True) == ["a2", "b1"]
    assert await names(journal, labels={"user": "ada"}) == ["a1", "a3"]
    assert await names(journal, labels={"user": "ada", "kind": "x"}) == ["a1"]
    assert await names(journal, labels={"user": "' OR 1=1"}) == []
    assert await names(journal, prefix="a", unfinished=True, abandoned=True, labels={"user": "bob"}) == ["a2"]
    other.close()
    assert await names(journal, abandoned=True) == ["a2", "a3", "b1"]


async def test_a_key_that_nobody_has_claimed_is_nobodys(journal: Journal) -> None:
    assert await settled(journal.find("k")) is None


# -- delete -----------------------------------------------------------------------------------------------------------


async def test_what_is_deleted_is_gone_with_all_that_is_its_own(journal: Journal, other: Journal) -> None:
    handle = await opened(journal, "a", 1, keys=["k"], labels={"x": "y"}, unfinished=True)
    handle.keep_snapshot("of it")
    await opened(journal, "b", 1, keys=["l"])
    await settled(journal.post("a", "gone"))
    await settled(other.delete("a", "never was"))
    assert await events(journal, "a") == []
    assert await names(journal) == ["b"]
    assert await settled(journal.find("k")) is None
    assert await settled(journal.find("l")) == "b"
    for _ in range(2):
        with pytest.raises(StreamFenced):
            await settled(handle.append([2]))
    assert await names(journal) == ["b"]
    await settled(journal.post("b", "there"))
    assert (await Inbox(journal).next()).event == "there"


async def test_the_name_of_what_was_deleted_begins_anew_and_old_handles_do_not_reach_it(journal: Journal) -> None:
    old = await opened(journal, "a", 1, labels={"x": "y"}, unfinished=True, keys=["k"])
    old.keep_snapshot("of the old one")
    await settled(journal.delete("a"))
    new = await opened(journal, "a")
    assert (new.version, new.snapshot, list(new.events)) == (0, None, [])
    with pytest.raises(StreamFenced):
        await settled(old.append(["lost"]))
    await settled(new.append([2], keys=["k"]))
    with pytest.raises(StreamFenced):
        await settled(old.append(["lost"]))
    assert await events(journal, "a") == [2]
    found = await header(journal, "a")
    assert (found.version, found.unfinished, dict(found.labels)) == (1, False, {})


async def test_what_a_handle_says_of_a_snapshot_or_release_once_its_stream_is_deleted_counts_for_nothing(
    journal: Journal,
) -> None:
    handle = await opened(journal, "a", 1)
    await settled(journal.delete("a"))
    handle.keep_snapshot("of it")
    await settled(handle.release())
    assert await names(journal) == []


# -- posts ------------------------------------------------------------------------------------------------------------


async def test_posts_reach_the_owner_of_their_stream_in_order_whoever_left_them(
    journal: Journal, other: Journal
) -> None:
    await opened(journal, "a")
    inbox = Inbox(journal)
    await settled(other.post("a", Said("one")))
    await settled(journal.post("a", "two"))
    first, second = await inbox.next(), await inbox.next()
    assert [(post.stream, post.event) for post in (first, second)] == [("a", Said("one")), ("a", "two")]
    assert first.id < second.id


async def test_posts_for_what_nobody_owns_reach_everybody_and_those_for_another_owner_do_not(
    journal: Journal, other: Journal
) -> None:
    handle = await opened(journal, "a")
    mine, others = Inbox(journal), Inbox(other)
    await settled(other.post("a", "for the owner"))
    await settled(other.post("b", "for anybody"))
    assert [(await mine.next()).event for _ in range(2)] == ["for the owner", "for anybody"]
    assert (await others.next()).event == "for anybody"
    assert others.posts.empty()
    await settled(handle.release())  # then it is anybody's
    assert (await others.next()).event == "for the owner"
    await settled(other.post("b", "the last one"))
    assert (await mine.next()).event == "the last one"  # and nothing a second time


async def test_a_post_that_was_not_taken_is_delivered_to_the_next_owner(store: Store, journal: Journal) -> None:
    handle = await opened(journal, "a")
    inbox = Inbox(journal)
    for number in range(3):
        await settled(journal.post("a", number))
    posts = [await inbox.next() for _ in range(3)]
    await settled(handle.append(["took the first"], taken=[posts[0].id]))
    journal.close()
    other = store.journal()
    again = Inbox(other)
    assert [(await again.next()) for _ in range(2)] == posts[1:]
    other.discard(posts[1].id)
    handle = await opened(other, "a")
    await settled(handle.append((), taken=[posts[2].id]))
    await settled(other.post("a", "the last one"))
    assert (await again.next()).event == "the last one"
    other.close()
    third = Inbox(store.journal())
    assert (await third.next()).event == "the last one"


async def test_what_was_left_for_a_stream_can_be_seen_by_everybody_until_it_is_taken(
    journal: Journal, other: Journal
) -> None:
    handle = await settled(journal.open("a"))
    for event in ("first", "second", "third"):
        await settled(other.post("a", event))
    await settled(other.post("b", "for another"))
    for worker in (journal, other):
        assert [post.event for post in await settled(worker.posts("a"))] == ["first", "second", "third"]
    first, second, third = await settled(other.posts("a"))
    assert first.id < second.id < third.id
    await settled(handle.append(["took the first"], taken=[first.id]))
    other.discard(third.id)
    await settled(other.post("b", "so that the discarding is done"))
    assert await settled(journal.posts("a")) == [second]
    await settled(journal.delete("a"))
    assert await settled(other.posts("a")) == []
    assert await settled(other.posts("\x00 of nobody")) == []


async def test_posts_for_a_worker_that_ends_reach_the_others(journal: Journal, other: Journal) -> None:
    await opened(journal, "a")
    mine, others = Inbox(journal), Inbox(other)
    await settled(journal.post("a", "for its owner"))
    await settled(journal.post("b", "for anybody"))
    assert [(await mine.next()).event for _ in range(2)] == ["for its owner", "for anybody"]
    assert (await others.next()).event == "for anybody"
    journal.close()
    assert (await others.next()).event == "for its owner"


async def test_an_append_that_fails_takes_no_posts(journal: Journal, other: Journal) -> None:
    old = await opened(journal, "a")
    await settled(journal.post("a", "stays"))
    post = await Inbox(journal).next()
    await opened(journal, "a")
    with pytest.raises(StreamFenced):
        await settled(old.append([1], taken=[post.id]))
    journal.close()
    assert await Inbox(other).next() == post


async def test_nothing_is_delivered_where_nobody_listens_any_more(journal: Journal, other: Journal) -> None:
    mine, others = Inbox(journal), Inbox(other)
    journal.on_post(None)
    await settled(journal.post("a", 1))
    assert (await others.next()).event == 1
    assert mine.posts.empty()


# -- subscriptions ----------------------------------------------------------------------------------------------------


async def test_a_subscriber_gets_what_is_kept_and_then_what_comes(journal: Journal, other: Journal) -> None:
    handle = await opened(journal, "a", 1, 2)
    await settled(other.append("b", [Said("three")]))
    records = other.subscribe()
    assert [(record.stream, record.version, record.event) for record in await taken(records, 3)] == [
        ("a", 1, 1),
        ("a", 2, 2),
        ("b", 1, Said("three")),
    ]
    waiting = asyncio.ensure_future(taken(records, 3))
    await asyncio.sleep(0)
    await settled(handle.append([4, 5]))
    await settled(other.append("b", [6]))
    found = await waiting
    assert [record.event for record in found] == [4, 5, 6]
    assert found[-1].position == await settled(journal.position())


async def test_a_subscriber_begins_behind_a_position_and_hears_of_its_prefix(journal: Journal) -> None:
    await opened(journal, "a%/1", 1)
    await opened(journal, "ab/1", "other")
    position = await settled(journal.position())
    records = journal.subscribe(after=position, prefix="a%/")
    everything = journal.subscribe(after=position)
    waiting = asyncio.ensure_future(taken(records, 2))
    await asyncio.sleep(0)
    for stream, event in [("ab/2", "other"), ("a%/2", 2), ("b", "other"), ("a%/3", 3)]:
        await settled(journal.append(stream, [event]))
    assert [record.event for record in await waiting] == [2, 3]
    assert [record.event for record in await taken(everything, 4)] == ["other", 2, "other", 3]


async def test_a_subscriber_hears_nothing_before_its_position(journal: Journal) -> None:
    records = journal.subscribe(after=await settled(journal.position()) + 3)
    waiting = asyncio.ensure_future(taken(records, 1))
    await asyncio.sleep(0)
    for number in range(5):
        await settled(journal.append("a", [number]))
    (record,) = await waiting
    assert record == (await settled(journal.read("a")))[record.version - 1]
    assert record.position > 3


async def test_no_subscriber_misses_what_several_workers_write_at_once(store: Store) -> None:
    journals = [store.journal() for _ in range(3)]
    heard = [asyncio.ensure_future(taken(journal.subscribe(), 3 * 700)) for journal in journals]

    async def write(number: int) -> None:
        handle = await opened(journals[number], f"s{number}")
        for event in range(0, 700, 2):
            done = handle.append([event, event + 1])
            if event % 10 == 0:
                await settled(done)
        await settled(done)

    await asyncio.gather(*map(write, range(3)))
    for records in await asyncio.gather(*heard):
        positions = [record.position for record in records]
        assert positions == sorted(set(positions))
        for number in range(3):
            assert [record.event for record in records if record.stream == f"s{number}"] == list(range(700))


async def test_a_slow_subscriber_misses_nothing(journal: Journal) -> None:
    handle = await opened(journal, "a", "first")
    records = journal.subscribe()
    assert (await taken(records, 1))[0].event == "first"
    for number in range(30):
        await settled(handle.append(range(number * 100, number * 100 + 100)))
    assert [record.event for record in await taken(records, 3000)] == list(range(3000))


async def test_a_position_is_that_of_the_last_event(journal: Journal, other: Journal) -> None:
    assert await settled(journal.position()) == 0
    await opened(journal, "a", 1, 2)
    records = await settled(journal.read("a"))
    assert records[0].position >= 1
    assert await settled(other.position()) == records[1].position


# -- prune ------------------------------------------------------------------------------------------------------------


async def test_what_is_finished_and_nobodys_is_pruned_after_its_time(journal: Journal, other: Journal) -> None:
    for name in ("done", "young"):
        await settled(journal.append(name, [1]))
    held = await opened(other, "held", 1)
    left = await opened(journal, "left", 1, unfinished=True, labels={"ephemeral": "1"})
    await settled(left.release())
    short = await opened(journal, "short", 1, labels={"ephemeral": "1"}, keys=["k"])
    await settled(short.release())
    assert await settled(journal.prune(Retention())) == 0
    assert await settled(journal.prune(Retention(finished=3600.0))) == 0
    assert await settled(journal.prune(Retention(ephemeral=None))) == 0
    assert await settled(journal.prune(Retention(ephemeral=0.0))) == 1
    assert await names(journal) == ["done", "held", "left", "young"]
    assert await settled(journal.find("k")) is None
    assert await settled(journal.prune(Retention(finished=0.0, ephemeral=0.0))) == 2
    assert await names(journal) == ["held", "left"]
    await settled(held.append([2]))
    assert await events(journal, "held") == [1, 2]


# -- close ------------------------------------------------------------------------------------------------------------


async def test_closing_commits_what_was_appended_and_gives_everything_back(journal: Journal, other: Journal) -> None:
    handle = await opened(journal, "a")
    for number in range(500):
        handle.append([number])
    journal.close()
    journal.close()
    assert await events(other, "a") == list(range(500))
    assert await names(other, abandoned=True) == ["a"]
    again = await opened(other, "a")
    assert again.epoch > handle.epoch
    assert again.version == 500


async def test_a_journal_may_be_closed_in_any_thread(journal: Journal, other: Journal) -> None:
    await opened(journal, "a", 1)
    thread = threading.Thread(target=journal.close)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert list((await opened(other, "a")).events) == [1]


CALLS: dict[str, Callable[[Journal], Any]] = {
    "open": lambda journal: journal.open("a"),
    "append": lambda journal: journal.append("a", [1]),
    "read": lambda journal: journal.read("a"),
    "headers": lambda journal: journal.headers(),
    "find": lambda journal: journal.find("k"),
    "delete": lambda journal: journal.delete("a"),
    "post": lambda journal: journal.post("a", 1),
    "position": lambda journal: journal.position(),
    "prune": lambda journal: journal.prune(Retention()),
    "subscribe": lambda journal: taken(journal.subscribe(), 1),
}


@pytest.mark.parametrize("call", CALLS)
async def test_a_closed_journal_says_so(journal: Journal, call: str) -> None:
    journal.close()

    async def calling() -> None:
        result = CALLS[call](journal)
        await (result if inspect.isawaitable(result) else settled(result))

    with pytest.raises(JournalClosed):
        await calling()


async def test_the_handles_of_a_closed_journal_say_so(journal: Journal, other: Journal) -> None:
    handle = await opened(journal, "a", 1)
    journal.close()
    await opened(other, "a")
    with pytest.raises(JournalClosed):
        handle.append([2])
    with pytest.raises(JournalClosed):
        handle.keep_snapshot(2)
    assert await events(other, "a") == [1]


async def test_a_subscription_ends_when_its_journal_is_closed(journal: Journal) -> None:
    waiting = asyncio.ensure_future(taken(journal.subscribe(), 1))
    await asyncio.sleep(0)
    journal.close()
    with pytest.raises(JournalClosed):
        await waiting


async def test_every_worker_has_a_name_of_its_own(store: Store) -> None:
    assert len({store.journal().worker for _ in range(5)}) == 5
