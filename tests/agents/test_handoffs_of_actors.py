"""Any actor may hand a task to an agent: `ref.ask(Handoff(…))` is answered with an Answer, or by name why not."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import pytest

from callboard import (
    Actor,
    Agency,
    AgencyClosed,
    Agent,
    AgentError,
    Answer,
    AskTimeout,
    Caller,
    ChildSpec,
    CoreError,
    CostLimit,
    Handoff,
    HandoffCycle,
    HandoffLimits,
    HandoffRefused,
    Limits,
    Request,
    RunFailed,
    ToolContext,
    UnknownAgent,
    request_context,
    tool,
)
from callboard.actors.testing.doubles.models import Script, call

from .support import function, scripted, solo, until


class Watcher(Actor):
    """An actor of one's own: asks an agent about each thing it is told of."""

    def __init__(self, agency: Agency) -> None:
        super().__init__()
        self.agency = agency

    async def on_receive(self, message: str) -> str:
        answer = await self.agency.agent_ref("B").ask(Handoff("Watcher", "B", message))
        return f"{answer.agent}: {answer.text}"


async def test_an_actor_of_ones_own_hands_a_task_to_an_agent_and_gets_its_answer() -> None:
    def model(request: Request) -> str:
        return f"looked at {request.messages[-1].text.splitlines()[-1]}"

    async with Agency(Agent("A", "a"), Agent("B", "b"), model=function(model)) as agency:
        assert agency.system is not None
        watcher = agency.system.spawn(ChildSpec(Watcher, (agency,)))
        assert await watcher.ask("line 7") == "B: looked at line 7"
        assert not agency._runtime.register._entries
        await until(lambda: [*(h.name for h in agency._runtime.journal.headers()), *agency._runtime.unkept] == [])


async def test_the_answer_is_whole() -> None:
    async with solo(Script(["done"], cost=0.5)) as agency:
        answer = await agency.agent_ref().ask(Handoff("Cron", "Solo", "tidy up"))
    assert isinstance(answer, Answer)
    assert (answer.text, answer.cost, answer.agent) == ("done", 0.5, "Solo")


async def test_a_failed_run_is_told_by_its_name_with_what_was_done() -> None:
    async with solo(Script([RuntimeError("down")])) as agency:
        with pytest.raises(RunFailed, match="down") as told:
            await agency.agent_ref().ask(Handoff("Cron", "Solo", "tidy up"))
        assert told.value.partial is not None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Handoff("Cron", "Other", "x"), "a handoff to 'Other' was sent to the actor of Solo"),
        (Handoff("Cron", "Solo", " "), "needs a task"),
        (Handoff("", "Solo", "x"), "needs a sender"),
        (Handoff("Cron", "Solo", 7), "needs a task"),  # type: ignore[arg-type]
        (Handoff("Cron", "Solo", "x", kind="transfer"), "no conversation that Solo could take over"),
    ],
)
async def test_what_cannot_be_done_is_refused_by_name_and_disturbs_nobody(wrong: Handoff, said: str) -> None:
    async with solo(Script(["still here"])) as agency:
        with pytest.raises(HandoffRefused, match=said):
            await agency.agent_ref().ask(wrong)
        assert (await agency.run("?")).text == "still here"


async def test_an_agent_that_is_not_there_or_not_running_has_no_ref() -> None:
    agency = solo(Script([]))
    with pytest.raises(AgencyClosed):
        agency.agent_ref()
    async with agency:
        with pytest.raises(UnknownAgent, match="there are Solo"):
            agency.agent_ref("Nobody")
    with pytest.raises(AgencyClosed):
        agency.agent_ref()


async def test_an_actor_that_gives_up_cancels_the_run() -> None:
    asked, stopped = asyncio.Event(), asyncio.Event()

    async def model(request: Request) -> str:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return ""

    async with solo(model) as agency:
        with pytest.raises(AskTimeout):
            await agency.agent_ref().ask(Handoff("Cron", "Solo", "x"), timeout=0.05)
        await stopped.wait()
        await until(lambda: not agency._runtime.register._entries)


async def test_one_that_was_only_told_is_done_and_its_failure_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    script = Script(["done", RuntimeError("down"), "still here"])
    async with solo(script) as agency:
        agency.agent_ref().tell(Handoff("Cron", "Solo", "one"))
        await until(lambda: len(script.requests) == 1)
        with caplog.at_level(logging.WARNING, "callboard"):
            agency.agent_ref().tell(Handoff("Cron", "Solo", "two"))
            await until(lambda: caplog.records)
        assert (await agency.run("?")).text == "still here"
    assert "down" in caplog.text
    assert "two" not in caplog.text, "the task was logged"


async def test_an_actor_that_works_for_a_run_hands_on_for_the_same_caller_at_the_end_of_the_chain() -> None:
    seen: list[Any] = []

    @tool
    async def look() -> str:
        """Asks B by its actor."""
        return str(await agency.agent_ref("B").ask(Handoff("A", "B", "look")))

    @tool
    async def who() -> str:
        """Notes for whom it works."""
        seen.append(request_context())
        return "noted"

    b = Agent("B", "b", tools=[who])
    script = Script([call("look"), call("who"), "b done", "a done"])
    caller = Caller("ann", "acme", frozenset({"finance"}))
    async with Agency(Agent("A", "a", tools=[look]), b, model=scripted(script)) as agency:
        await agency.run("?", caller=caller, run_id="r")
    (context,) = seen
    assert (context.caller, context.chain, context.request) == (caller, ("A", "B"), "r")


@pytest.mark.parametrize("for_a_run", [True, False])
async def test_what_works_on_the_task_is_told_when_the_task_was_asked_for(for_a_run: bool) -> None:
    started: dict[str, float] = {}
    handed: list[float] = []

    @tool
    async def ask() -> str:
        """Asks B by its actor."""
        handed.append(time.time())
        return str(await agency.agent_ref("B").ask(Handoff("A", "B", "look")))

    @tool
    async def note(context: ToolContext) -> str:
        """Notes since when it is wanted."""
        started[context.agent] = context.started_at
        return "noted"

    script = Script([*([call("note"), call("ask")] if for_a_run else []), call("note"), "b done", "a done"])
    async with Agency(
        Agent("A", "a", tools=[ask, note]), Agent("B", "b", tools=[note]), model=scripted(script)
    ) as agency:
        if for_a_run:
            await agency.run("?")
        else:
            handed.append(time.time())
            await agency.agent_ref("B").ask(Handoff("Cron", "B", "look"))
    assert handed[0] <= started["B"] <= time.time()
    assert started.get("A", 0.0) < started["B"]


async def test_handoffs_by_way_of_actors_are_no_way_around_the_limits() -> None:
    @tool
    async def again() -> str:
        """Hands the task to itself, over and over."""
        context = request_context()
        assert context is not None
        return str(await agency.agent_ref("A").ask(Handoff("A", "A", f"level {len(context.chain)}")))

    def model(request: Request) -> Any:
        return call("again") if request.messages[-1].role != "tool" else request.messages[-1].text

    limits = HandoffLimits(visits=3)
    async with Agency(Agent("A", "a", tools=[again]), handoff_limits=limits, model=function(model)) as agency:
        answer = await agency.run("?")
    assert HandoffCycle.__name__ in answer.text or "stands 3 times in one chain" in answer.text


async def test_what_is_left_of_a_runs_money_bounds_what_its_tools_have_agents_do() -> None:
    @tool
    async def ask() -> str:
        """Asks B by its actor."""
        try:
            return str(await agency.agent_ref("B").ask(Handoff("A", "B", "spend")))
        except CostLimit as error:
            return f"stopped: {error}"

    @tool
    async def more() -> str:
        """Something to do."""
        return "ok"

    def model(request: Request) -> Any:
        if request.messages[0].text == "b":
            return call("more")
        return request.messages[-1].text if request.messages[-1].role == "tool" else call("ask")

    script = Script([model] * 50, cost=1.0)
    a = Agent("A", "a", tools=[ask], limits=Limits(cost=4.0))
    async with Agency(a, Agent("B", "b", tools=[more]), model=scripted(script)) as agency:
        answer = await agency.run("?")
    assert "stopped" in answer.text
    assert len(script.requests) <= 5


@pytest.mark.parametrize("journal", [True, False])
async def test_an_actor_that_waits_when_the_agency_stops_is_told_by_name(journal: bool, tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def model(request: Request) -> str:
        asked.set()
        await asyncio.Event().wait()
        return ""

    path = tmp_path / "j.db" if journal else None
    async with Agency(Agent("Solo", "s"), model=function(model), journal=path) as agency:
        waiting = asyncio.ensure_future(_outcome(agency.agent_ref().ask(Handoff("Cron", "Solo", "x"))))
        await asked.wait()
    assert isinstance(await waiting, AgencyClosed | CoreError)


async def _outcome(asked: Any) -> Any:
    try:
        return await asked
    except (AgentError, CoreError) as error:
        return error


@pytest.mark.parametrize("whom", ["agency/B", "agency"])
async def test_an_actor_that_waits_when_the_agents_actor_is_killed_is_told_by_name(whom: str) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def model(request: Request) -> str:
        asked.set()
        await go.wait()
        return "b"

    async with Agency(Agent("A"), Agent("B"), model=function(model)) as agency:
        assert agency.system is not None
        waiting = asyncio.ensure_future(_outcome(agency.agent_ref("B").ask(Handoff("Cron", "B", "x"))))
        await asked.wait()
        victim = agency.system.find(whom)
        assert victim is not None
        victim.kill()
        go.set()
        assert isinstance(await waiting, Answer | CoreError)
        await until(lambda: not agency._runtime.register._entries)
        assert (await agency.run("?", agent="B")).text == "b"


async def test_another_thread_may_ask_too() -> None:
    async with solo(Script(["from the loop"])) as agency:
        ref = agency.agent_ref()
        answer = await asyncio.to_thread(lambda: ref.ask(Handoff("Thread", "Solo", "x")).get(timeout=5))
    assert answer.text == "from the loop"
