"""A conversation can be read as it is kept, finished or under way, here or elsewhere, without disturbing anybody."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, MemoryJournal, Request, ToolSpec, tool
from callboard.actors.agents.caller import Caller
from callboard.actors.agents.errors import DefinitionError, RunCancelled, UnknownConversation
from callboard.actors.agents.turns.history import problems
from tests.agents.support import function, until
from tests.durable.support import call, results, said

from .support import JOURNALS, Hold, journal_of, team, tell


@pytest.mark.parametrize("kind", JOURNALS)
async def test_a_view_tells_questions_steps_calls_and_answers(kind: str, tmp_path: Path) -> None:
    async with team(journal_of(kind, tmp_path)) as agency:
        first = await tell(agency, "hi", "c", caller=Caller("ada", "acme"))
        second = await tell(agency, "sum twice", "c", caller=Caller("ada", "acme"))
        view = await agency.conversation("c")
    assert (view.agent, view.id, view.status, view.owner) == ("Front", "c", "idle", None)
    assert (view.caller.user, view.caller.tenant) == ("ada", "acme")
    assert view.messages == second.messages
    assert [(run.id, run.status, run.question, run.answer) for run in view.runs] == [
        (first.run, "answered", "hi", "to hi"),
        (second.run, "answered", "sum twice", "done: 3 and 7"),
    ]
    assert [(step.number, step.run, step.message.text, step.agent) for step in view.steps] == [
        (1, first.run, "to hi", "Front"),
        (2, second.run, "", "Front"),
        (3, second.run, "done: 3 and 7", "Front"),
    ]
    assert [(one.call.name, one.result.text if one.result else "") for one in view.steps[1].calls] == [
        ("add", "3"),
        ("add", "7"),
    ]
    assert view.usage == first.usage + second.usage
    assert view.children == ()
    assert view.updated_at >= view.created_at > 0


@pytest.mark.parametrize("kind", JOURNALS)
async def test_a_run_under_way_is_seen_with_what_it_has_so_far(kind: str, tmp_path: Path) -> None:
    hold = Hold()
    async with team(journal_of(kind, tmp_path), tools=[hold.tool]) as agency:
        run = asyncio.ensure_future(agency.run("sum", conversation="c"))
        later = asyncio.ensure_future(agency.run("hi", conversation="c"))
        await hold.begun.wait()
        view = await agency.conversation("c")
        (summary,) = await agency.conversations()
        hold.go.set()
        await asyncio.gather(run, later)
        after = await agency.conversation("c")
    assert (view.status, summary.unfinished) == ("running", True)
    assert [one.status for one in view.runs][:1] == ["running"]
    assert [one.result for one in view.steps[0].calls] == [None]
    assert problems(view.messages) == []
    assert [one.status for one in after.runs] == ["answered", "answered"]
    assert len(after.steps) == 3


@pytest.mark.parametrize("kind", JOURNALS)
async def test_the_runs_of_a_conversation_say_what_they_were_asked_with(kind: str, tmp_path: Path) -> None:
    async with team(journal_of(kind, tmp_path)) as agency:
        run = asyncio.ensure_future(agency.run("erase", conversation="c", metadata={"page": 3}))
        await until(lambda: agency.approvals)
        (under_way,) = (await agency.conversation("c")).runs
        agency.deny(agency.approvals[0], "no")
        await run
        (over,) = (await agency.conversation("c")).runs
        assert under_way.metadata == over.metadata == {"page": 3}
        assert "page" not in repr(over)


@pytest.mark.parametrize("kind", JOURNALS)
async def test_a_call_that_waits_for_a_person_is_seen_with_its_approval(kind: str, tmp_path: Path) -> None:
    async with team(journal_of(kind, tmp_path)) as agency:
        run = asyncio.ensure_future(agency.run("erase", conversation="c"))
        await until(lambda: agency.approvals)
        view = await agency.conversation("c")
        assert (view.status, view.runs[0].status) == ("waiting", "waiting")
        assert view.steps[0].calls[0].approval == agency.approvals[0].approval
        agency.deny(agency.approvals[0], "no")
        await run
        (asked,) = (await agency.conversation("c")).steps[0].calls
        assert (asked.approved, asked.approval) == (False, "")


async def test_a_conversation_waits_where_one_that_it_asked_waits(tmp_path: Path) -> None:
    @tool
    async def dig(what: str) -> str:
        """Dig."""
        return what

    def model(request: Request) -> Any:
        if results(request):
            return "done"
        if said(request).endswith("dig"):
            return call("dig", "d1", what="gold")
        return call("SendMessage", "m1", target_agent="Digger", message="dig")

    front, digger = Agent("Front", "f"), Agent("Digger", "d", tools=[dig], autonomy="supervised")
    async with Agency(front, digger, flows=[(front, digger)], model=function(model), journal=tmp_path / "j") as agency:
        run = asyncio.ensure_future(agency.run("go", conversation="c"))
        await until(lambda: agency.approvals)
        view = await agency.conversation("c")
        assert view.status == "waiting"
        (child,) = view.children
        inner = await agency.conversation(child.id, agent=child.agent)
        assert inner.steps[0].calls[0].approval == agency.approvals[0].approval
        agency.approve(agency.approvals[0])
        await run
        after = await agency.conversation("c")
        assert (after.status, after.children) == ("idle", ())
        asked = after.steps[0].calls[0]
        assert asked.handoff is not None
        assert (asked.handoff.target, asked.usage.total_tokens > 0) == ("Digger", True)


@pytest.mark.parametrize("kind", JOURNALS)
async def test_a_transferred_conversation_is_followed_to_who_has_it(kind: str, tmp_path: Path) -> None:
    async with team(journal_of(kind, tmp_path)) as agency:
        answers = [await tell(agency, words, "c") for words in ("hi", "bill", "more")]
        view = await agency.conversation("c")
    assert view.owner is not None
    assert view.owner[0] == "Billing"
    assert view.messages == answers[-1].messages
    assert [(step.number, step.agent) for step in view.steps] == [
        (1, "Front"),
        (2, "Front"),
        (3, "Billing"),
        (4, "Billing"),
    ]
    assert [step.run for step in view.steps] == [answers[0].run, answers[1].run, answers[1].run, answers[2].run]
    assert [(run.answer, run.agent) for run in view.runs] == [(one.text, one.agent) for one in answers]
    assert view.usage == answers[0].usage + answers[1].usage + answers[2].usage
    assert [child.agent for child in view.children] == ["Billing"]


async def test_a_failed_run_is_seen_with_its_error_and_what_there_was() -> None:
    hold = Hold()
    async with team(tools=[hold.tool]) as agency:
        run = asyncio.ensure_future(agency.run("sum", conversation="c"))
        await hold.begun.wait()
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        view = await agency.conversation("c")
    (failed,) = view.runs
    assert (failed.status, type(failed.error)) == ("failed", RunCancelled)
    assert problems(view.messages) == []
    result = view.steps[0].calls[0].result
    assert result is not None
    assert result.is_error


async def test_calls_left_to_the_caller_have_no_result_until_it_brings_it() -> None:
    weigh = ToolSpec("weigh", "Weigh.", {"type": "object", "properties": {}})
    async with team() as agency:
        answer = await agency.run("weigh", conversation="c", tools=[weigh])
        assert [one.name for one in answer.tool_calls] == ["weigh"]
        view = await agency.conversation("c")
        assert view.steps[0].calls[0].result is None
        assert problems(view.messages) == []


@pytest.mark.parametrize("kind", JOURNALS)
async def test_reading_takes_nothing_from_who_works_on_it(kind: str, tmp_path: Path) -> None:
    journal = journal_of(kind, tmp_path)
    other = journal.as_worker() if isinstance(journal, MemoryJournal) else journal
    async with team(journal) as working, team(other) as reading:
        await tell(working, "hi", "c")
        here, there = await working.conversation("c"), await reading.conversation("c")
        assert here == there
        assert await reading.conversations() == await working.conversations()
        again = await tell(working, "sum", "c")
        assert (await reading.conversation("c")).messages == again.messages


async def test_an_unknown_conversation_is_named() -> None:
    async with team() as agency:
        with pytest.raises(UnknownConversation, match="Front has no conversation 'nowhere'"):
            await agency.conversation("nowhere")
        await tell(agency, "hi", "c")
        with pytest.raises(UnknownConversation, match="Expert has no conversation 'c'"):
            await agency.conversation("c", agent="Expert")


@pytest.mark.parametrize("kind", JOURNALS)
async def test_a_list_has_filters_and_pages_and_no_inner_conversations(kind: str, tmp_path: Path) -> None:
    async with team(journal_of(kind, tmp_path)) as agency:
        for number in range(5):
            user = "ada" if number % 2 else "bob"
            await tell(agency, "hi", f"c{number}", caller=Caller(user, "acme" if number < 2 else "other"))
        await tell(agency, "hi", "e", agent="Expert")
        await tell(agency, "bill", "t")  # makes one of Billing's
        await tell(agency, "hi", None)

        async def ids(**filters: Any) -> list[str]:
            return [one.id for one in await agency.conversations(**filters)]

        assert await ids() == ["e", "c0", "c1", "c2", "c3", "c4", "t"]
        assert await ids(agent="Expert") == ["e"]
        assert await ids(user="ada") == ["c1", "c3"]
        assert await ids(user="ada", tenant="other") == ["c3"]
        assert await ids(unfinished=True) == []
        assert await ids(limit=0) == []
        seen: list[str] = []
        after = ""
        while page := await agency.conversations(after=after, limit=2):
            seen += [one.id for one in page]
            after = page[-1].name
        assert seen == await ids()
        with pytest.raises(DefinitionError, match="limit"):
            await agency.conversations(limit=-1)


async def test_what_an_earlier_process_left_can_be_read(tmp_path: Path) -> None:
    async with team(tmp_path / "j") as agency:
        answer = await tell(agency, "sum", "c")
    other = Agency(Agent("Another", "a"), model=function(lambda request: "x"), journal=tmp_path / "j")
    async with other as later:
        view = await later.conversation("c", agent="Front")
    assert view.messages == answer.messages
