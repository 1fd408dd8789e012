"""A user's data can be erased in one call, and what is finished can be let go of by time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from callboard import EventNotReadable, MemoryJournal, Retention
from callboard.actors.agents.errors import AgencyClosed, DefinitionError, RunCancelled, UnknownConversation
from tests.durable.support import damage, stored

from .support import JOURNALS, Hold, journal_of, team, tell


@pytest.mark.parametrize("kind", JOURNALS)
async def test_erasing_a_user_takes_all_that_is_theirs_and_nothing_else(kind: str, tmp_path: Path) -> None:
    async with team(journal_of(kind, tmp_path)) as agency:
        for words, conversation, user in [
            ("hi", "a1", "ada"),
            ("bill", "a2", "ada"),
            ("more", "a2", "ada"),
            ("hi", "b", "bob"),
        ]:
            await tell(agency, words, conversation, user=user)
        await agency.fork("a1", to="a3")
        assert await agency.erase(user="ada") == 4  # a2 is Front's and Billing's
        assert [one.id for one in await agency.conversations()] == ["b"]
        for gone in ("a1", "a2", "a3"):
            with pytest.raises(UnknownConversation):
                await agency.conversation(gone)
        assert await agency.erase(user="ada") == 0
        assert len((await tell(agency, "hi", "a1", user="ada")).messages) == 2
        assert (await tell(agency, "more", "b", user="bob")).messages[0].text == "hi"
    if kind == "sqlite":
        assert not [data for data in stored(tmp_path / "journal.db") if b"take over" in data]


@pytest.mark.parametrize("kind", JOURNALS)
async def test_erasing_ends_what_is_under_way(kind: str, tmp_path: Path) -> None:
    hold = Hold()
    async with team(journal_of(kind, tmp_path), tools=[hold.tool]) as agency:
        kept = asyncio.ensure_future(agency.run("sum", conversation="c", user="ada"))
        queued = asyncio.ensure_future(agency.run("hi", conversation="c", user="ada"))
        await hold.begun.wait()
        hold.begun.clear()
        alone = asyncio.ensure_future(agency.run("sum", user="ada"))
        await hold.begun.wait()
        assert await agency.erase(user="ada") >= 1
        outcomes = await asyncio.gather(kept, queued, alone, return_exceptions=True)
        assert [type(one) for one in outcomes] == [RunCancelled] * 3
        assert await agency.conversations() == []
        assert await agency.erase(user="ada") == 0


@pytest.mark.parametrize("kind", JOURNALS)
async def test_erasing_ends_what_another_process_has_under_way(kind: str, tmp_path: Path) -> None:
    journal, hold = journal_of(kind, tmp_path), Hold()
    other = journal.as_worker() if isinstance(journal, MemoryJournal) else journal
    async with team(journal, tools=[hold.tool]) as working, team(other) as erasing:
        run = asyncio.ensure_future(working.run("sum", conversation="c", user="ada"))
        await hold.begun.wait()
        await erasing.erase(user="ada")
        assert [type(one) for one in await asyncio.gather(run, return_exceptions=True)] == [RunCancelled]
        assert await working.conversations() == []


async def test_erasing_needs_a_user_and_an_agency_that_runs() -> None:
    async with team() as agency:
        with pytest.raises(DefinitionError, match="user"):
            await agency.erase(user="")
        await tell(agency, "hi", "c")
        assert await agency.erase(user="nobody") == 0
        assert len(await agency.conversations()) == 1
    with pytest.raises(AgencyClosed):
        await team().erase(user="ada")


@pytest.mark.parametrize("kind", JOURNALS)
async def test_what_is_finished_for_long_is_let_go_of_at_the_start(kind: str, tmp_path: Path) -> None:
    journal, hold = journal_of(kind, tmp_path), Hold()

    def again() -> Any:
        return journal.as_worker() if isinstance(journal, MemoryJournal) else journal

    async with team(journal) as agency:
        await tell(agency, "hi", "old")
    async with team(again(), retention=Retention(finished=3600.0)) as agency:
        assert (await agency.conversation("old")).status == "idle"
    async with team(again(), tools=[hold.tool]) as working:
        run = asyncio.ensure_future(working.run("sum", conversation="under way"))
        await hold.begun.wait()
        async with team(again(), retention=Retention(finished=0.0)) as agency:
            for _ in range(1000):
                found = [one.id for one in await agency.conversations()]
                if "old" not in found:
                    break
                await asyncio.sleep(0.002)
            assert found == ["under way"]
        hold.go.set()
        assert (await run).text == "done: 3"


async def test_what_is_damaged_is_named_when_read_and_can_be_erased(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    async with team(journal) as agency:
        await tell(agency, "hi", "whole", user="ada")
        await tell(agency, "sum", "broken", user="ada")
    assert damage(journal, '"s1"') == 1
    async with team(journal) as agency:
        with pytest.raises(EventNotReadable, match="Front/broken"):
            await agency.conversation("broken")
        assert (await agency.conversation("whole")).status == "idle"
        assert await agency.erase(user="ada") == 2
        assert await agency.conversations() == []
