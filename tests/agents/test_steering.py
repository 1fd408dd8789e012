"""Saying something to the run under way."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, handoff
from callboard.actors.agents.errors import (
    AgencyClosed,
    ConversationIdle,
    DefinitionError,
    RunCancelled,
    UnknownAgent,
    UnknownConversation,
)
from callboard.actors.agents.events import RunEvent, Steered
from callboard.actors.agents.hooks import HookContext, hook
from callboard.actors.journal import MemoryJournal
from callboard.actors.testing import Crash, Simulation, simulate
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Message, Request
from callboard.tools import tool

from .held import Held, said
from .journals import journal
from .support import function, until

__all__ = ["journal"]


async def test_the_model_hears_it_before_its_next_completion(journal: Any) -> None:
    held = Held()
    told: list[RunEvent] = []
    async with held.agency(journal) as agency:
        agency.subscribe(lambda event: told.append(event) if isinstance(event, Steered) else None)
        run = asyncio.create_task(agency.run("hold on", conversation="c"))
        await held.begun.wait()
        await agency.steer("c", "hurry up")
        await agency.steer("c", [Message("user", "and"), Message("user", "be brief")])
        held.go.set()
        answer = await run
        assert answer.text == "heard hold on, hurry up, and, be brief"
        assert [message.role for message in answer.messages] == [
            *("user", "assistant", "tool", "user", "user", "user", "assistant")
        ]
        assert [event.text for event in told if isinstance(event, Steered)] == ["hurry up", "be brief"]


async def test_an_answer_that_was_on_its_way_is_not_the_last_word(journal: Any) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def model(request: Request) -> Any:
        asked.set()
        await go.wait()
        return f"heard {', '.join(said(request.messages))}"

    async with Agency(Agent("A"), model=function(model), journal=journal) as agency:
        run = asyncio.create_task(agency.run("first", conversation="c"))
        await asked.wait()
        await agency.steer("c", "second")
        go.set()
        answer = await run
        assert answer.text == "heard first, second"
        assert len(answer.steps) == 2


async def test_it_stays_in_the_history_where_the_run_ends_before_the_model_hears_it(journal: Any) -> None:
    held = Held()
    async with held.agency(journal) as agency:
        handle = await agency.start_run("hold on", conversation="c")
        await held.begun.wait()
        await agency.steer("c", "hurry up")
        await handle.cancel()
        with pytest.raises(RunCancelled):
            await handle
        assert said((await agency.run("again", conversation="c")).messages) == ["hold on", "hurry up", "again"]


async def test_where_no_run_is_under_way_that_is_named(journal: Any) -> None:
    async with Held(open=True).agency(journal) as agency:
        with pytest.raises(UnknownConversation):
            await agency.steer("c", "hello?")
        await agency.run("first", conversation="c")
        with pytest.raises(ConversationIdle, match="no run is under way"):
            await agency.steer("c", "hello?")
        assert said((await agency.run("second", conversation="c")).messages) == ["first", "second"]
        with pytest.raises(UnknownAgent):
            await agency.steer("c", "x", agent="Nobody")
        wrong: list[Any] = [3, [], Message("assistant", "I said"), Message("tool", "x", tool_call_id="1")]
        for one in wrong:
            with pytest.raises(DefinitionError):
                await agency.steer("c", one)
        with pytest.raises(UnknownConversation):
            await agency.steer("a/b", "x")
    with pytest.raises(AgencyClosed):
        await agency.steer("c", "x")


async def test_it_comes_too_late_once_hooks_look_at_the_answer(journal: Any) -> None:
    looking, go = asyncio.Event(), asyncio.Event()

    @hook("finalize")
    async def look(context: HookContext) -> None:
        looking.set()
        await go.wait()

    async with Agency(Agent("A", hooks=[look]), model=function(lambda request: "fine"), journal=journal) as agency:
        run = asyncio.create_task(agency.run("first", conversation="c"))
        await looking.wait()
        with pytest.raises(ConversationIdle):
            await agency.steer("c", "too late")
        behind = asyncio.create_task(agency.run("second", conversation="c"))
        await until(lambda: len(agency._runtime.register.open()) == 2)
        steering = asyncio.create_task(agency.steer("c", "for the second"))
        await until(lambda: agency._runtime.posts)
        go.set()
        await steering
        await run
        assert said((await behind).messages) == ["first", "second", "for the second"]


async def test_it_waits_for_a_run_that_is_about_to_begin(journal: Any) -> None:
    looking, go = asyncio.Event(), asyncio.Event()

    @hook("connection")
    async def look(context: HookContext) -> None:
        looking.set()
        await go.wait()

    def model(request: Request) -> Any:
        return f"heard {', '.join(said(request.messages))}"

    async with Agency(Agent("A", hooks=[look]), model=function(model), journal=journal) as agency:
        run = asyncio.create_task(agency.run("first", conversation="c"))
        await looking.wait()
        steering = asyncio.create_task(agency.steer("c", "early"))
        await until(lambda: agency._runtime.posts)
        go.set()
        await steering
        assert (await run).text == "heard first, early"


async def test_a_run_that_never_begins_has_nobody_to_tell(journal: Any) -> None:
    looking, go = asyncio.Event(), asyncio.Event()

    @hook("connection")
    async def look(context: HookContext) -> None:
        looking.set()
        await go.wait()

    async with Agency(Agent("A", hooks=[look]), model=function(lambda request: "x"), journal=journal) as agency:
        handle = await agency.start_run("first", conversation="c")
        await looking.wait()
        steering = asyncio.create_task(agency.steer("c", "early"))
        await until(lambda: agency._runtime.posts)
        await handle.cancel()
        with pytest.raises(ConversationIdle):
            await steering
        with pytest.raises(RunCancelled):
            await handle
        go.set()
        assert said((await agency.run("second", conversation="c")).messages) == ["second"]


async def test_a_run_without_a_conversation_is_steered_by_its_id(journal: Any) -> None:
    held = Held()
    async with held.agency(journal) as agency:
        for start in (agency.start_run, None):
            held.go.clear()
            held.begun.clear()
            if start is not None:
                handle = await start("hold on")
                conversation, answer = handle.conversation, asyncio.ensure_future(handle.answer())
            else:
                answer = asyncio.ensure_future(agency.run("hold on"))
                await held.begun.wait()
                conversation = agency._runtime.register.open()[0].run.conversation
            await held.begun.wait()
            await agency.steer(conversation, "hurry up")
            held.go.set()
            assert (await answer).text == "heard hold on, hurry up"
            with pytest.raises((ConversationIdle, UnknownConversation)):
                await agency.steer(conversation, "too late")


async def test_a_delegate_is_told_by_its_own_conversation(journal: Any) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    @tool(risk="safe")
    async def hold() -> str:
        """Wait."""
        begun.set()
        await go.wait()
        return "held"

    def model(request: Request) -> Any:
        if request.messages[-1].role == "user" and len(said(request.messages)) == 1:
            return (
                call("SendMessage", "h", target_agent="B", message="go")
                if request.messages[0].text == "a"
                else call("hold")
            )
        return f"{request.messages[0].text}: {', '.join(said(request.messages)[1:])}"

    a, b = Agent("A", "a"), Agent("B", "b", tools=[hold])
    async with Agency(a, b, flows=[(a, b)], model=function(model), journal=journal) as agency:
        run = asyncio.create_task(agency.run("first", conversation="c"))
        await begun.wait()
        await agency.steer("c", "to A")
        deeper = next(entry.run for entry in agency._runtime.register.open() if entry.run.agent == "B")
        await agency.steer(deeper.conversation, "to B", agent="B")
        go.set()
        answer = await run
        assert answer.text == "a: to A"
        assert next(message for message in answer.messages if message.role == "tool").text == "b: to B"


async def test_a_transferred_conversation_is_told_where_it_is_now(journal: Any) -> None:
    held = Held()
    async with held.transferring(journal) as agency:
        history = ""
        for turn in ("hold on: one", "hold on: two"):  # being transferred, and transferred before
            held.begun.clear()
            held.go.clear()
            run = asyncio.create_task(agency.run(turn, conversation="c"))
            await held.begun.wait()
            await agency.steer("c", "hurry up")
            held.go.set()
            history += f"{turn}, hurry up, "
            assert (await run).text == f"heard {history[:-2]}"
        with pytest.raises(ConversationIdle):
            await agency.steer("c", "too late")


async def test_a_message_left_in_the_journal_is_heard_by_the_next_process(tmp_path: Path) -> None:
    held = Held()
    async with held.agency(tmp_path / "j.db") as agency:
        handle = await agency.start_run("hold on", conversation="c")
        await held.begun.wait()
        await agency.steer("c", "hurry up")
    async with Held(open=True).agency(tmp_path / "j.db") as agency:
        assert (await (await agency.handle(handle.id))).text == "heard hold on, hurry up"


async def test_it_is_told_to_whichever_worker_has_the_conversation() -> None:
    kept = MemoryJournal()
    held = Held()
    async with held.agency(kept) as one, Held().agency(kept.as_worker()) as two:
        run = asyncio.create_task(one.run("hold on", conversation="c"))
        await held.begun.wait()
        await two.steer("c", "from over there")
        held.go.set()
        assert (await run).text == "heard hold on, from over there"
        with pytest.raises(ConversationIdle):
            await two.steer("c", "too late")


async def test_whoever_steers_is_told_when_the_agency_stops(journal: Any) -> None:
    looking = asyncio.Event()

    @hook("connection")
    async def look(context: HookContext) -> None:
        looking.set()
        await asyncio.Event().wait()

    async with Agency(Agent("A", hooks=[look]), model=function(lambda request: "x"), journal=journal) as agency:
        await agency.start_run("first", conversation="c")
        await looking.wait()
        steering = asyncio.create_task(agency.steer("c", "early"))
        await until(lambda: agency._runtime.posts)
    with pytest.raises((AgencyClosed, ConversationIdle)):
        await steering


CRASHES = [
    None,
    Crash("agency", optional=True),
    Crash("agency/A", when="before", optional=True),
    Crash("agency/A", when="after", optional=True),
    Crash("agency/A/one", when="before", optional=True),
    Crash("agency/A/one", when="after", optional=True),
    Crash("agency/B", when="after", optional=True),
    Crash("model", when="before", optional=True),
]


def heard_once(transferring: bool) -> Any:
    async def scenario(sim: Simulation) -> None:
        @tool(risk="safe", idempotent=True)
        async def work() -> str:
            await asyncio.sleep(0.71)
            return "worked"

        def model(request: Request) -> Any:
            if request.messages[0].text == "a" and transferring:
                return call("transfer_to_B", "t", message="yours")
            results = [message for message in request.messages if message.role == "tool"]
            return call("work") if len(results) < 2 else f"heard {', '.join(said(request.messages))}"

        b = Agent("B", "b", tools=[work])
        a = Agent("A", "a", tools=[work], handoffs=[handoff(b, kind="transfer")] if transferring else [])
        heard: list[str] = []

        async def say(agency: Agency, text: str) -> None:
            try:
                await agency.steer("one", text)
                heard.append(text)
            except (ConversationIdle, UnknownConversation):
                pass

        async with Agency(a, b, model=function(model), system=sim.system) as agency:
            run = asyncio.ensure_future(agency.run("go", conversation="one"))
            saying = []
            for number in range(4):
                saying.append(asyncio.ensure_future(say(agency, str(number))))
                await asyncio.sleep(0.37)
            answer = await run
            await asyncio.gather(*saying)
            words = answer.text.removeprefix("heard ").split(", ")
            assert sorted(words) == sorted(["go", *heard]), f"it was told of {heard}, and heard {words}"

    return scenario


@pytest.mark.parametrize("crash", CRASHES, ids=lambda c: f"{c.actor}-{c.when}" if c else "no crash")
@pytest.mark.parametrize("transferring", [False, True], ids=["stays", "transferred"])
def test_what_is_said_is_heard_once_or_refused_whatever_crashes(transferring: bool, crash: Crash | None) -> None:
    simulate(heard_once(transferring), seeds=25, faults=[crash] if crash is not None else [])
