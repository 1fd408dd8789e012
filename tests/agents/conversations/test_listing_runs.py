"""The runs that there are can be listed: by whom, by conversation and by how far they are, page by page, anywhere."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Caller
from callboard.actors.agents.conversations import listing
from callboard.actors.agents.errors import AgencyClosed, DefinitionError, RunFailed
from tests.agents.support import until

from .support import JOURNALS, Hold, erase, journal_of, team, tell

ADA, BOB = Caller("ada", "acme"), Caller("bob", "acme")


async def listed(agency: Agency, **wanted: Any) -> list[tuple[str, str]]:
    """Conversation and status of all runs that fit, read in pages of two."""
    found: list[tuple[str, str]] = []
    after: str | None = ""
    while after is not None:
        page = await agency.runs(**wanted, after=after, limit=2)
        assert len(page.runs) <= 2
        found += [(one.conversation, one.status) for one in page.runs]
        after = page.next
    return found


@pytest.mark.parametrize("kind", JOURNALS)
async def test_runs_are_listed_by_conversation_user_and_state(kind: str, tmp_path: Path) -> None:
    hold = Hold()
    async with team(journal_of(kind, tmp_path), tools=[hold.tool, erase]) as agency:
        for conversation, caller in (("a", ADA), ("a", ADA), ("a:1", BOB), ("b", ADA), ("b", ADA), ("b", ADA)):
            await tell(agency, "hi", conversation, caller=caller)
        under_way = asyncio.ensure_future(agency.run("sum", conversation="c", caller=BOB))
        await hold.begun.wait()
        behind = asyncio.ensure_future(agency.run("hi", conversation="c", caller=BOB))
        waits = asyncio.ensure_future(agency.run("erase", conversation="d", caller=ADA))
        await until(lambda: agency.approvals)
        started = await agency.start_run("hi", caller=ADA)
        await started

        over = [("a", "ended")] * 2 + [("a:1", "ended")] + [("b", "ended")] * 3
        assert await listed(agency, conversation="b") == over[3:]
        assert await listed(agency, status="running") == [("c", "running")]
        assert await listed(agency, status="queued") == [("c", "queued")]
        assert await listed(agency, status="waiting") == [("d", "waiting")]
        assert await listed(agency, user="bob") == [over[2], ("c", "running"), ("c", "queued")]
        for nobodys in ({"user": "eve"}, {"user": ""}, {"tenant": ""}):
            assert await listed(agency, **nobodys) == []
        mine = await listed(agency, user="ada", tenant="acme", status="ended")
        assert sorted(mine) == sorted([*over[:2], *over[3:], (started.conversation, "ended")])
        assert await listed(agency, agent="Expert") == []
        (one,) = (await agency.runs(conversation="a:1")).runs
        view = await agency.conversation("a:1")
        assert (one.id, one.agent, one.user, one.tenant) == (view.runs[0].id, "Front", "bob", "acme")
        assert (one.at, one.steps, one.usage, one.cost) == (view.runs[0].at, 1, view.usage, view.cost)
        hold.go.set()
        agency.deny(agency.approvals[0])
        await asyncio.gather(under_way, behind, waits)


async def test_runs_of_another_process_are_listed_and_so_are_those_of_one_that_is_gone(tmp_path: Path) -> None:
    hold = Hold()
    path = tmp_path / "journal.db"
    async with team(path, tools=[hold.tool]) as one, team(path) as other:
        run = await one.start_run("sum", conversation="c")
        await hold.begun.wait()
        (seen,) = (await other.runs(status="running")).runs
        assert seen.id == run.id
        hold.go.set()
        await run
    async with team(path) as later:
        assert [(one.id, one.status) for one in (await later.runs()).runs] == [(run.id, "ended")]
        handle = await later.handle(run.id)
        assert await handle.status() == "ended"


async def test_a_run_that_failed_is_listed_as_failed() -> None:
    def broken(request: Any) -> Any:
        raise RuntimeError("no")

    async with team(journal_of("memory", Path()), model=broken) as agency:
        with pytest.raises(RunFailed):
            await agency.run("hi", conversation="c")
        assert await listed(agency, status="failed") == [("c", "failed")]
        assert await listed(agency, status="ended") == []


async def test_a_page_reads_no_more_than_its_share_and_says_where_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST_READ", 3)
    async with team(journal_of("memory", Path())) as agency:
        for number in range(8):
            await tell(agency, "hi", f"c{number}")
        page = await agency.runs(status="failed")
        assert page.runs == ()
        assert page.next is not None
        assert await listed(agency, status="failed") == []
        assert await listed(agency) == [(f"c{number}", "ended") for number in range(8)]
        behind = await agency.runs(limit=1)
        await agency.release("c0")
        assert behind.next is not None
        assert [one.conversation for one in (await agency.runs(after=behind.next, limit=2)).runs] == ["c1", "c2"]


@pytest.mark.parametrize(
    "wrong",
    [{"after": "x"}, {"after": "A/c:x"}, {"limit": 0}, {"limit": True}, {"status": "idle"}, {"user": 5}, {"agent": 5}],
)
async def test_what_is_no_page_of_runs_is_refused(wrong: Any) -> None:
    async with team(journal_of("memory", Path())) as agency:
        with pytest.raises(DefinitionError):
            await agency.runs(**wrong)
    with pytest.raises(AgencyClosed):
        await agency.runs()
