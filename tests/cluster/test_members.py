"""Who takes part, as the journal knows it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callboard import Future, MemoryJournal
from callboard.actors.cluster.members import GRACE, STREAMS, Members, NodeInfo, info, interval, labels_of
from callboard.actors.journal.errors import JournalError
from callboard.actors.journal.store import Header
from callboard.testing import run_virtual


class Told:
    """A node, and what it was told of others."""

    def __init__(self, journal: MemoryJournal, name: str) -> None:
        self.journal = journal.as_worker()
        self.me = NodeInfo(self.journal.worker, name, ("Clerk", "Planner"), 0, False, "1.0", 0.0)
        self.heard: list[str] = []
        self.members = Members(self.journal, self._labels, self._joined, self._left, every=1000.0)

    def _labels(self) -> dict[str, str]:
        return labels_of(self.me)

    def _joined(self, node: NodeInfo) -> None:
        self.heard.append(f"+{node.name}")

    def _left(self, node: NodeInfo, why: str) -> None:
        self.heard.append(f"-{node.name}: {why}")


class Slow:
    """A journal that cannot be reached for a while.

    Args:
        journal: behind it.
    """

    def __init__(self, journal: MemoryJournal) -> None:
        self._journal = journal
        self.away: Future[Any] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    def headers(self, prefix: str) -> Any:
        return self._journal.headers(prefix=prefix) if self.away is None else self.away


async def test_a_node_hears_of_those_who_join_leave_and_die() -> None:
    journal = MemoryJournal()
    one, two, three = (Told(journal, name) for name in ("one", "two", "three"))
    await one.members.join()
    assert one.heard == ["+one"]
    await two.members.join()
    await three.members.join()
    assert two.heard == ["+one", "+two"] or two.heard == ["+two", "+one"]
    await one.members.look()
    await two.members.leave()
    three.journal.abandon()
    await one.members.look()
    assert sorted(one.heard[1:3]) == ["+three", "+two"]
    assert sorted(one.heard[3:]) == ["-three: its lease has run out", "-two: it has left"]
    assert list(one.members.alive) == [one.journal.worker]
    await one.members.leave()


async def test_what_a_node_says_of_itself_is_told_and_what_it_does_not_say_harms_nobody() -> None:
    journal = MemoryJournal()
    one, two = Told(journal, "one"), Told(journal, "two")
    await one.members.join()
    await two.members.join()
    two.me = two.me._replace(load=7, draining=True)
    two.members.say()
    await one.members.look()
    seen = one.members.alive[two.journal.worker]
    assert seen == two.me._replace(since=seen.since)
    assert seen.waits == 0.0
    newer = journal.as_worker()
    newer.open(STREAMS + newer.worker).append((), labels={"load": "many"})
    await one.members.look()
    strange = one.members.alive[newer.worker]
    assert (strange.name, strange.load, strange.draining) == (newer.worker, 0, False)
    await one.members.leave()
    await two.members.leave()


async def test_a_node_that_has_not_said_its_name_yet_is_not_there_yet() -> None:
    journal = MemoryJournal()
    one, two = Told(journal, "one"), Told(journal, "two")
    await one.members.join()
    stream = two.journal.open(STREAMS + two.journal.worker)
    await one.members.look()
    assert one.heard == ["+one"]
    stream.append((), labels=labels_of(two.me))
    await one.members.look()
    assert one.heard == ["+one", "+two"]
    await one.members.leave()


@pytest.mark.parametrize(
    "labels", [5, None, [], ["name"], {"name": 5}, {"agents": None}, {"load": [], "waits": {}}, {"waits": "9" * 400}]
)
def test_a_row_that_is_damaged_is_a_node_of_which_nothing_is_known(labels: Any) -> None:
    header = Header(f"{STREAMS}id", 1, 1, "owner", True, labels, 5.0, 5.0)
    assert info("id", header) == NodeInfo("id", "id", ("",), 0, False, "", 5.0, 0.0)


async def test_what_has_been_said_is_not_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = MemoryJournal()
    one = Told(journal, "one")
    stream = type(one.journal.open("another"))
    append, written = stream.append, []

    def counted(self: Any, events: Any, **options: Any) -> Any:
        written.append(options["labels"])
        return append(self, events, **options)

    monkeypatch.setattr(stream, "append", counted)
    await one.members.join()
    assert written.pop() == labels_of(one.me)
    for changed in ({"load": 7}, {"draining": True}):
        one.me = one.me._replace(**changed)
        for _ in range(3):
            one.members.say()
        assert [set(labels) for labels in written] == [set(changed)]
        written.clear()
    await one.members.leave()
    one.me = one.me._replace(load=8)
    one.members.say()
    assert not written


def test_leases_that_ran_out_while_the_store_was_away_end_nobody_who_comes_back_soon() -> None:
    async def scenario() -> None:
        journal = MemoryJournal()
        one, two, three, four = (Told(journal, name) for name in ("one", "two", "three", "four"))
        store: Any = Slow(one.journal)
        one.members = Members(store, one._labels, one._joined, one._left)
        for node in (two, three, four, one):
            await node.members.join()
        store.away = Future()
        await asyncio.sleep(10.0)
        three.journal.abandon()
        await four.members.leave()
        away, store.away = store.away, None
        away.set([header._replace(owner="") for header in one.journal.headers(prefix=STREAMS)])
        await asyncio.sleep(GRACE - 0.5)
        assert {two.journal.worker, three.journal.worker} < set(one.members.alive)
        assert one.heard[4:] == ["-four: it has left"]
        await asyncio.sleep(2.0)
        assert one.heard[5:] == ["-three: its lease has run out"]
        await one.members.leave()
        await two.members.leave()

    run_virtual(scenario())


@pytest.mark.parametrize(("nodes", "looks"), [(3, 20), (100, 20), (400, 5)])
def test_many_nodes_look_less_often_so_that_what_is_read_grows_with_their_number(nodes: int, looks: int) -> None:
    async def scenario() -> None:
        journal = MemoryJournal()
        for _ in range(nodes - 1):
            other = journal.as_worker()
            other.open(STREAMS + other.worker).append((), labels={"name": "other"})
        one = Told(journal, "one")
        one.members = Members(one.journal, one._labels, one._joined, one._left)
        seen: list[float] = []
        look = one.members.look

        async def counted() -> None:
            seen.append(asyncio.get_running_loop().time())
            await look()

        one.members.look = counted  # type: ignore[method-assign]
        await one.members.join()
        await asyncio.sleep(20.5)
        assert len(seen) - 1 == looks
        await one.members.leave()

    run_virtual(scenario())


def test_the_time_between_two_looks_grows_from_a_hundred_nodes_on() -> None:
    assert [interval(1.0, nodes) for nodes in (0, 1, 100, 150, 1000)] == [1.0, 1.0, 1.0, 1.5, 10.0]


async def test_a_node_that_was_forgotten_takes_part_again() -> None:
    journal = MemoryJournal()
    one, two = Told(journal, "one"), Told(journal, "two")
    await one.members.join()
    await two.members.join()
    await one.members.look()
    journal.forget(STREAMS + two.journal.worker)  # as others do with one that was away for long
    await one.members.look()
    assert list(one.members.alive) == [one.journal.worker]
    await two.members.look()
    await one.members.look()
    assert one.heard == ["+one", "+two", "-two: it has left", "+two"]
    two.me = two.me._replace(load=3)
    two.members.say()
    await one.members.look()
    assert one.members.alive[two.journal.worker].load == 3
    await one.members.leave()
    await two.members.leave()


async def test_a_node_whose_own_row_cannot_be_written_again_sees_who_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(self: MemoryJournal, name: str) -> Any:
        raise JournalError("its last event is another")

    journal = MemoryJournal()
    one, two = Told(journal, "one"), Told(journal, "two")
    await one.members.join()
    await two.members.join()
    journal.forget(STREAMS + one.journal.worker)
    monkeypatch.setattr(MemoryJournal, "open", damaged)
    with pytest.raises(JournalError):
        await one.members.look()
    assert one.heard == ["+one", "+two", "-one: it has left"]
    await one.members.leave()
    await two.members.leave()


def test_that_who_takes_part_cannot_be_seen_is_said_once_until_it_can(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        one = Told(MemoryJournal(), "one")
        one.members = Members(one.journal, one._labels, one._joined, one._left)
        await one.members.join()
        for times in (1, 2):
            with monkeypatch.context() as patch:
                patch.setattr(MemoryJournal, "headers", damaged)
                await asyncio.sleep(5.0)
            await asyncio.sleep(5.0)
            assert [record.message for record in caplog.records] == [
                "who takes part cannot be seen: the disk is full"
            ] * times
        await one.members.leave()

    def damaged(journal: MemoryJournal, **options: Any) -> Any:
        raise JournalError("the disk is full")

    run_virtual(scenario())
