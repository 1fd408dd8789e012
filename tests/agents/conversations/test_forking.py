"""A conversation can be forked at any step and rewound to any: what comes of it is valid, and the original stays."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard import Agency, MemoryJournal, ToolSpec
from callboard.actors.agents.caller import Caller
from callboard.actors.agents.errors import AgencyClosed, ConversationBusy, DefinitionError, UnknownConversation
from callboard.actors.agents.turns.history import problems

from .support import ACTS, JOURNALS, Hold, journal_of, team, tell

WEIGH = ToolSpec("weigh", "Weigh.", {"type": "object", "properties": {}})


async def told(agency: Agency, acts: list[str]) -> None:
    """A conversation ``c`` in which all of this was said."""
    for act in acts:
        await tell(agency, act, "c", tools=[WEIGH] if act == "weigh" else ())


@given(st.lists(st.sampled_from(ACTS), min_size=1, max_size=5))
@settings(deadline=None, max_examples=40)
def test_a_fork_at_any_step_is_valid_and_goes_on_and_the_original_stays(acts: list[str]) -> None:
    async def check() -> None:
        async with team() as agency:
            await told(agency, acts)
            before = await agency.conversation("c")
            for at in (None, *range(len(before.steps) + 1)):
                forked = await agency.fork("c", at=at)
                view = await agency.conversation(forked)
                assert problems(view.messages) == []
                assert len(view.steps) == (len(before.steps) if at is None else at)
                assert [(one.number, one.message) for one in view.steps] == [
                    (one.number, one.message) for one in before.steps[: len(view.steps)]
                ]
                answer = await tell(agency, "hi", forked)
                assert answer.text == "to hi"
                if view.owner is None:
                    # of a call that waits for the caller it is said later what became of it
                    shown = zip(answer.messages, view.messages, strict=False)
                    assert all(now == then for now, then in shown if then.role != "tool" or not then.is_error)
                    assert len(answer.messages) >= len(view.messages)
                assert problems(answer.messages) == []
                again = await agency.conversation(forked)
                assert [one.number for one in again.steps] == list(range(1, len(view.steps) + 2))
            assert await agency.conversation("c") == before

    asyncio.run(check())


@given(st.lists(st.sampled_from([act for act in ACTS if act != "bill"]), min_size=1, max_size=5), st.data())
@settings(deadline=None, max_examples=40)
def test_rewinding_to_any_step_leaves_what_a_fork_there_has(acts: list[str], data: st.DataObject) -> None:
    async def check() -> None:
        journal = MemoryJournal()
        async with team(journal) as agency:
            await told(agency, acts)
            before = await agency.conversation("c")
            to = data.draw(st.integers(0, len(before.steps)))
            fork = await agency.conversation(await agency.fork("c", at=to))
            await agency.rewind("c", to=to)
            view = await agency.conversation("c")
            assert view.messages == fork.messages
            assert problems(view.messages) == []
            assert view.steps == before.steps[:to]
            assert view.cost == before.cost
            assert view.usage == before.usage
            assert [run.id for run in view.runs] == [run.id for run in before.runs]
        # What was rewound stays in the log, and a new incarnation reads it the same way.
        async with team(journal.as_worker()) as later:
            assert await later.conversation("c") == view
            answer = await tell(later, "sum", "c")
            assert answer.text == "done: 3"
            kept = answer.messages[: len(view.messages)]  # calls left to the caller have got another result
            assert [(one.role, one.tool_calls) for one in kept] == [(one.role, one.tool_calls) for one in view.messages]
            assert [one.number for one in (await later.conversation("c")).steps] == list(range(1, to + 3))

    asyncio.run(check())


@pytest.mark.parametrize("kind", JOURNALS)
async def test_a_fork_has_the_callers_labels_and_the_id_it_was_given(kind: str, tmp_path: Path) -> None:
    async with team(journal_of(kind, tmp_path)) as agency:
        await tell(agency, "hi", "c", caller=Caller("ada", "acme"))
        assert await agency.fork("c", to="mine") == "mine"
        view = await agency.conversation("mine")
        assert (view.caller.user, view.caller.tenant) == ("ada", "acme")
        assert [one.id for one in await agency.conversations(user="ada")] == ["c", "mine"]
        assert view.usage.total_tokens == 0  # that was paid in the other one


@pytest.mark.parametrize("kind", JOURNALS)
async def test_a_fork_of_a_transferred_conversation_is_whose_the_step_was(kind: str, tmp_path: Path) -> None:
    async with team(journal_of(kind, tmp_path)) as agency:
        for words in ("hi", "bill", "more"):
            await tell(agency, words, "c")
        before = await agency.conversation("c")
        assert before.owner is not None
        early, late, whole = [await agency.fork("c", at=at) for at in (1, 3, None)]
        answers = [await tell(agency, "go on", forked) for forked in (early, late, whole)]
        assert [answer.agent for answer in answers] == ["Front", "Billing", "Billing"]
        assert "more" in [message.text for message in answers[2].messages]
        assert "more" not in [message.text for message in answers[1].messages]
        assert await agency.conversation("c") == before
        await agency.release(late)
        with pytest.raises(UnknownConversation):
            await agency.conversation(late)
        assert (await agency.conversation(whole)).owner is not None
        await tell(agency, "still here", "c")


async def test_a_fork_that_cannot_be_is_refused_and_makes_nothing() -> None:
    async with team() as agency:
        await tell(agency, "hi", "c")
        await tell(agency, "hi", "taken")
        for at in (2, -1, True):
            with pytest.raises(DefinitionError, match="no step"):
                await agency.fork("c", at=at)
        for to in ("taken", "c", "a/b", ""):
            with pytest.raises(DefinitionError):
                await agency.fork("c", to=to)
        with pytest.raises(UnknownConversation):
            await agency.fork("nowhere")
        assert [one.id for one in await agency.conversations()] == ["c", "taken"]
    with pytest.raises(AgencyClosed):
        await team().fork("c")


async def test_a_conversation_under_way_is_forked_as_it_is_and_not_rewound() -> None:
    hold = Hold()
    async with team(tools=[hold.tool]) as agency:
        await tell(agency, "hi", "c")
        run = asyncio.ensure_future(agency.run("sum", conversation="c"))
        await hold.begun.wait()
        view = await agency.conversation(await agency.fork("c"))
        assert problems(view.messages) == []
        assert len(view.steps) == 2
        with pytest.raises(ConversationBusy, match="under way"):
            await agency.rewind("c", to=1)
        hold.go.set()
        assert (await run).text == "done: 3"


@pytest.mark.parametrize("kind", JOURNALS)
async def test_a_conversation_is_rewound_whether_it_is_in_memory_or_not(kind: str, tmp_path: Path) -> None:
    journal = journal_of(kind, tmp_path)
    async with team(journal) as agency:
        for words in ("hi", "sum", "more"):
            await tell(agency, words, "c")
        await agency.rewind("c", to=3)
        assert [run.rewound for run in (await agency.conversation("c")).runs] == [False, False, True]
    async with team(journal.as_worker() if isinstance(journal, MemoryJournal) else journal) as later:
        await later.rewind("c", to=1)
        view = await later.conversation("c")
        assert [message.text for message in view.messages] == ["hi", "to hi"]
        assert [run.rewound for run in view.runs] == [False, True, True]
        await later.rewind("c", to=0)
        assert (await later.conversation("c")).messages == ()
        assert len((await tell(later, "hi", "c")).messages) == 2


async def test_a_rewind_that_cannot_be_is_refused() -> None:
    async with team() as agency:
        await tell(agency, "hi", "c")
        await tell(agency, "bill", "c")
        await tell(agency, "more", "c")
        with pytest.raises(DefinitionError, match="no step 9"):
            await agency.rewind("c", to=9)
        with pytest.raises(DefinitionError, match="transferred to Billing"):
            await agency.rewind("c", to=1)
        await agency.rewind("c", to=3)
        view = await agency.conversation("c")
        assert [step.agent for step in view.steps] == ["Front", "Front", "Billing"]
        assert (await tell(agency, "and now", "c")).agent == "Billing"


@pytest.mark.parametrize("kind", JOURNALS)
async def test_another_process_that_has_it_idle_lets_go_for_a_rewind(kind: str, tmp_path: Path) -> None:
    journal = journal_of(kind, tmp_path)
    other = journal.as_worker() if isinstance(journal, MemoryJournal) else journal
    async with team(journal) as holding, team(other) as rewinding:
        await tell(holding, "hi", "c")
        await tell(holding, "more", "c")
        await rewinding.rewind("c", to=1)
        assert [message.text for message in (await holding.conversation("c")).messages] == ["hi", "to hi"]
        assert len((await tell(holding, "sum", "c")).messages) == 6
