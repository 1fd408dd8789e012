"""What users of other frameworks suffer from does not happen here."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest

from callboard import Agency, Agent, handoff
from callboard.actors.agents.errors import AgentError
from callboard.actors.agents.turns.history import problems
from callboard.actors.testing.doubles.models import Script, call
from callboard.providers.errors import ProviderOverloaded
from callboard.providers.messages import Request
from callboard.tools import tool

from .support import add, cancelled_at, function, scripted, solo, until


def checking_model(request: Request) -> Any:
    """Delegates, then calls two tools, then answers; refuses a history that a vendor would refuse."""
    wrong = problems([m for m in request.messages if m.role != "system"])
    assert wrong == [], f"a vendor would refuse this history: {wrong}"
    last = request.messages[-1]
    if request.messages[0].text == "b":
        return "b did it" if last.role == "tool" else call("add", a=1, b=2)
    if last.role == "user":
        if last.text == "simple":
            return "still fine"
        return [call("add", "x", a=1, b=2), call("SendMessage", "y", target_agent="B", message="do it")]
    return "a did it"


def checking_team() -> Agency:
    b = Agent("B", "b", tools=[add])
    return Agency(Agent("A", "a", tools=[add], handoffs=[b]), model=function(checking_model))


async def run_and_stop_at(at: int, stream: bool) -> bool:
    """Cancel at the at-th event; whether that came before the run's end."""

    async with checking_team() as agency:
        before = asyncio.all_tasks()
        cancelled = await cancelled_at(at, agency, stream=stream)
        answer = await agency.run("simple", conversation="c")
        assert answer.text == "still fine"
        assert problems(answer.messages) == []
        await until(lambda: len(asyncio.all_tasks()) <= len(before) + 1)
        await until(lambda: [*(h.name for h in agency._runtime.journal.headers()), *agency._runtime.unkept] == ["A/c"])
        assert not agency._runtime.register._entries
    return cancelled


@pytest.mark.parametrize("stream", [False, True])
async def test_cancelled_at_any_step_a_run_leaves_a_valid_history_and_nothing_running(stream: bool) -> None:
    at, cancelled = 1, True
    while cancelled:
        async with asyncio.timeout(10):
            cancelled = await run_and_stop_at(at, stream)
        at += 1
    assert at > 10, "the test cancelled hardly anything"


async def test_a_failed_run_leaves_a_valid_history() -> None:
    script = Script([[call("add", a=1, b=2), call("add", a=3, b=4)], ProviderOverloaded("down"), "fine"])
    async with solo(script, tools=[add]) as agency:
        with pytest.raises(AgentError, match="down"):
            await agency.run("?", conversation="c")
        await agency.run("?", conversation="c")
    assert problems(script.requests[-1].messages[1:]) == []
    assert [m.role for m in script.requests[-1].messages] == ["system", "user", "assistant", "tool", "tool", "user"]


async def test_a_tool_that_hangs_does_not_hang_the_run() -> None:
    @tool(timeout=0.01)
    async def hang() -> str:
        await asyncio.Event().wait()
        return ""

    assert tool(hang.function).timeout is not None, "a tool has a timeout by default"
    script = Script([call("hang"), "went on"])
    async with solo(script, tools=[hang]) as agency:
        assert (await agency.run("?")).text == "went on"
    assert script.requests[1].messages[-1].is_error


async def test_a_sync_tool_does_not_freeze_the_loop() -> None:
    going = threading.Event()

    @tool
    def blocking() -> str:
        assert going.wait(5), "the loop stood still while the tool blocked"
        return "done"

    async with solo(Script([call("blocking"), "ok"]), tools=[blocking]) as agency:
        run = asyncio.ensure_future(agency.run("?"))
        asyncio.get_running_loop().call_later(0.01, going.set)
        assert (await run).text == "ok"


async def test_ten_thousand_runs_leave_no_memory_behind() -> None:
    b = Agent("B", "b")
    a = Agent("A", "a", tools=[add], handoffs=[b, handoff(b, kind="transfer")])

    def model(request: Request) -> Any:
        if request.messages[0].text == "a" and request.messages[-1].role == "user":
            return call("add", a=1, b=2)
        return "ok"

    async def some(agency: Agency, runs: int) -> int:
        for number in range(runs):
            if number % 10:
                await agency.run("go")
            else:
                await agency.run("go", conversation="c")
                await agency.release("c")
        gc.collect()
        return len(gc.get_objects())

    async with Agency(a, model=function(model)) as agency:
        await some(agency, 200)
        before = await some(agency, 500)
        after = await some(agency, 9500)
    assert after - before < 200, f"{after - before} objects more after 9,500 runs"


async def test_errors_are_not_swallowed_when_a_whole_team_fails() -> None:
    script = Script([call("SendMessage", target_agent="B", message="x"), ProviderOverloaded("B is down"), "B failed"])
    async with Agency(Agent("A"), Agent("B"), flows="*", model=scripted(script)) as agency:
        answer = await agency.run("?")
    assert "B is down" in answer.handoffs[0].failed
    assert "B is down" in script.requests[2].messages[-1].text


async def test_two_turns_at_once_on_one_conversation_are_both_answered_in_order() -> None:
    async def echo(request: Request) -> str:
        await asyncio.sleep(0)
        return f"to {request.messages[-1].text}"

    async with solo(echo) as agency:
        one, two = await asyncio.gather(agency.run("1", conversation="c"), agency.run("2", conversation="c"))
    assert [m.text for m in two.messages] == [*(m.text for m in one.messages), "2", "to 2"]


async def test_stopping_the_agency_stops_tools_and_leaves_no_task() -> None:
    started, stopped = asyncio.Event(), asyncio.Event()

    @tool
    async def endless() -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return ""

    before = asyncio.all_tasks()
    async with solo(Script([call("endless")]), tools=[endless]) as agency:
        run = asyncio.ensure_future(agency.run("?"))
        await started.wait()
    assert stopped.is_set()
    with pytest.raises(AgentError):
        await run
    assert asyncio.all_tasks() == before


async def test_a_killed_conversation_takes_its_tools_with_it() -> None:
    running = most = 0
    started = asyncio.Event()

    @tool(idempotent=True)
    async def slow() -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        started.set()
        try:
            await asyncio.sleep(0.01)
        finally:
            running -= 1
        return "done"

    async with solo(Script([call("slow"), "ok"]), tools=[slow]) as agency:
        run = asyncio.ensure_future(agency.run("?", conversation="c"))
        await started.wait()
        ref = agency.system.find("agency/Solo/c") if agency.system else None
        assert ref is not None
        ref.kill()
        assert (await run).text == "ok"
    assert running == 0
