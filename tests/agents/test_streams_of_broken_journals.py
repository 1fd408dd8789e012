"""Who follows a run where its journal fails: they are told by name, and do not wait for ever."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callboard.actors.agents.errors import AgencyClosed
from callboard.actors.agents.runs.reading import following
from callboard.actors.agents.runs.reading.bell import Bell
from callboard.actors.agents.runs.reading.following import Following
from callboard.actors.journal import MemoryJournal
from callboard.actors.journal.errors import EventNotReadable, JournalClosed, JournalError
from callboard.actors.journal.store import at_hand


class Broken(MemoryJournal):
    """A journal whose subscriptions tell what they are given, and raise what is an error."""

    def __init__(self) -> None:
        super().__init__()
        self.tells: asyncio.Queue[Any] = asyncio.Queue()
        self.reads_fail: Exception | None = None

    def subscribe(self, *, after: int = 0, prefix: str = "") -> Any:
        return Told(self)

    def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> Any:
        if self.reads_fail is not None:
            raise self.reads_fail
        return super().read(stream, after=after, limit=limit)


class Told:
    """Iterates over what comes, also behind an error."""

    def __init__(self, journal: Broken) -> None:
        self.journal = journal

    def __aiter__(self) -> Told:
        return self

    async def __anext__(self) -> Any:
        given = await self.journal.tells.get()
        if isinstance(given, Exception):
            raise given
        return given


@pytest.fixture
def journal() -> Broken:
    made = Broken()
    for name in ("A/c", "A/d"):
        made.append(name, [1, 2])
    return made


@pytest.fixture
def opened() -> Following:
    made = Following()
    made.closed = ""
    return made


async def taken(follower: Any) -> list[int]:
    return [record.version for record in await follower.take()]


async def test_an_event_that_cannot_be_read_ends_those_who_follow_its_stream(
    journal: Broken, opened: Following
) -> None:
    bells = Bell(), Bell()
    one = await opened.begin(journal, "A/c", bells[0])
    other = await opened.begin(journal, "A/d", bells[1], after=1)
    assert (await taken(one), await taken(other)) == ([1, 2], [2])
    journal.tells.put_nowait(EventNotReadable("cannot be decoded", "A/c"))
    await bells[0].wait()
    with pytest.raises(EventNotReadable, match="cannot be decoded"):
        await one.take()
    journal.append("A/d", [3])
    (record,) = [one for one in await at_hand(journal.read("A/d")) if one.version == 3]
    journal.tells.put_nowait(record)
    await bells[1].wait()
    assert await taken(other) == [3]
    for follower in (one, other):
        follower.close()


async def test_a_journal_that_fails_or_is_closed_ends_all(journal: Broken, opened: Following) -> None:
    followers = [await opened.begin(journal, name, Bell()) for name in ("A/c", "A/d")]
    for follower in followers:
        assert await taken(follower) == [1, 2]
    bell = Bell()
    late = await opened.begin(journal, "A/c", bell)
    await taken(late)
    journal.tells.put_nowait(JournalError("the disk is full"))
    await bell.wait()
    for follower in (*followers, late):
        with pytest.raises(JournalError, match="the disk is full"):
            await follower.take()
    # Who comes then begins to read anew.
    again = Bell()
    new = await opened.begin(journal, "A/d", again)
    assert await taken(new) == [1, 2]
    journal.tells.put_nowait(JournalClosed("closed"))
    await again.wait()
    with pytest.raises(AgencyClosed, match="has lost its journal"):
        await new.take()
    with pytest.raises(AgencyClosed, match="has lost its journal"):
        opened.check()


async def test_a_journal_that_is_closed_as_it_is_read_is_the_end_of_the_agency(
    journal: Broken, opened: Following
) -> None:
    follower = await opened.begin(journal, "A/c", Bell())
    journal.reads_fail = JournalClosed("closed")
    with pytest.raises(JournalClosed):
        await follower.take()
    opened.close("has stopped")
    with pytest.raises(AgencyClosed, match="has stopped"):
        await follower.take()


async def test_what_is_deleted_is_missed_now_and_then(
    journal: Broken, opened: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LOOK", 0.001)
    bells = Bell(), Bell()
    gone = await opened.begin(journal, "A/c", bells[0])
    stays = await opened.begin(journal, "A/d", bells[1])
    assert (await taken(gone), await taken(stays)) == ([1, 2], [1, 2])
    journal.reads_fail = JournalError("for a while")
    await asyncio.sleep(0.01)
    assert (gone.gone, stays.gone) == (False, False)
    journal.reads_fail = None
    journal.delete("A/c")
    await bells[0].wait()
    assert (gone.gone, stays.gone) == (True, False)
    assert await taken(gone) == []
    for follower in (gone, stays):
        follower.close()


async def test_who_is_slow_is_given_all_and_nothing_twice(
    journal: Broken, opened: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PAGE", 3)
    bell = Bell()
    follower = await opened.begin(journal, "A/c", bell)
    assert await taken(follower) == [1, 2]
    journal.append("A/c", list(range(3, 13)))
    for record in await at_hand(journal.read("A/c")):
        follower.give(record)  # those that it has are among them
    found: list[int] = []
    while some := await taken(follower):
        assert len(some) <= 3
        found += some
    assert found == list(range(3, 13))
    journal.append("A/c", [13, 14, 15])
    last = (await at_hand(journal.read("A/c")))[-1]
    follower.give(last)  # those before it were not given
    found = []
    while some := await taken(follower):
        found += some
    assert found == [13, 14, 15]
