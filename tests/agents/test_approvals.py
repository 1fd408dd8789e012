"""Autonomy: risky calls wait for a person, others go on; the wait survives a crash."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callboard import Agency, Agent, Limits, ToolCall
from callboard.actors.agents.errors import UnknownApproval
from callboard.actors.agents.events import ApprovalRequested, RunEvent, ToolFinished
from callboard.actors.testing.doubles.models import Script, call
from callboard.tools import tool

from .support import add, scripted, solo, until


def deleting(log: list[str]) -> Any:
    @tool
    async def delete(path: str) -> str:
        """Delete a file."""
        log.append(path)
        return f"deleted {path}"

    return delete


async def requested(agency: Agency) -> ApprovalRequested:
    asked: asyncio.Future[ApprovalRequested] = asyncio.get_running_loop().create_future()

    def look(event: RunEvent) -> None:
        if isinstance(event, ApprovalRequested) and not asked.done():
            asked.set_result(event)

    agency.subscribe(look)
    return await asked


async def test_a_risky_call_waits_and_a_safe_one_goes_on() -> None:
    log: list[str] = []
    finished: list[RunEvent] = []
    script = Script([[call("delete", path="a"), call("add", a=1, b=2)], "done"])
    async with solo(script, tools=[deleting(log), add], autonomy="supervised") as agency:
        agency.subscribe(lambda e: finished.append(e) if isinstance(e, ToolFinished) else None)
        run = asyncio.ensure_future(agency.run("?"))
        event = await requested(agency)
        await until(lambda: finished)
        assert log == []
        assert agency.approvals == (event,)
        agency.approve(event)
        assert (await run).text == "done"
        assert not agency.approvals
    assert log == ["a"]


async def test_a_denied_call_is_told_to_the_model_with_the_reason() -> None:
    log: list[str] = []
    script = Script([call("delete", path="a"), "I will not."])
    async with solo(script, tools=[deleting(log)], autonomy="supervised") as agency:
        run = asyncio.ensure_future(agency.run("?"))
        agency.deny(await requested(agency), "it is needed")
        await run
    assert log == []
    assert "it is needed" in script.requests[1].messages[-1].text


async def test_arguments_may_be_edited_and_the_history_tells_what_ran() -> None:
    log: list[str] = []
    script = Script([call("delete", path="everything"), "done"])
    async with solo(script, tools=[deleting(log)], autonomy="supervised") as agency:
        run = asyncio.ensure_future(agency.run("?"))
        agency.approve(await requested(agency), arguments='{"path": "one"}')
        await run
    assert log == ["one"]
    assert "one" in script.requests[1].messages[-2].tool_calls[0].arguments


@pytest.mark.parametrize(("autonomy", "waits"), [("manual", True), ("supervised", False), ("autonomous", False)])
async def test_only_a_manual_agent_asks_for_safe_calls(autonomy: Any, waits: bool) -> None:
    async with solo(Script([call("add", a=1, b=2), "3"]), tools=[add], autonomy=autonomy) as agency:
        run = asyncio.ensure_future(agency.run("?"))
        if waits:
            agency.approve(await requested(agency))
        assert (await run).text == "3"


async def test_an_approval_survives_a_crash_of_its_conversation() -> None:
    log: list[str] = []
    script = Script([call("delete", path="a"), "done"])
    async with solo(script, tools=[deleting(log)], autonomy="supervised") as agency:
        run = asyncio.ensure_future(agency.run("?", conversation="c"))
        await requested(agency)
        ref = agency.system.find("agency/Solo/c") if agency.system else None
        assert ref is not None
        waiting = asyncio.ensure_future(requested(agency))
        await asyncio.sleep(0)
        ref.kill()
        agency.approve(await waiting)
        assert (await run).text == "done"
    assert log == ["a"]
    assert len(script.requests) == 2


async def test_a_conversation_that_waits_for_approval_holds_nobody_up() -> None:
    log: list[str] = []
    script = Script([call("delete", path="a"), "hello", "done"])
    async with solo(script, tools=[deleting(log)], autonomy="supervised") as agency:
        run = asyncio.ensure_future(agency.run("?"))
        event = await requested(agency)
        assert (await agency.run("hi")).text == "hello"
        agency.approve(event)
        assert (await run).text == "done"


async def test_cancelling_takes_the_approval_back_and_unknown_ones_are_refused() -> None:
    script = Script([call("delete", path="a")])
    async with Agency(Agent("A", tools=[deleting([])], autonomy="supervised"), model=scripted(script)) as agency:
        run = asyncio.ensure_future(agency.run("?"))
        event = await requested(agency)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        await until(lambda: not agency.approvals)
        with pytest.raises(UnknownApproval, match="0 wait"):
            agency.approve(event)


@pytest.mark.parametrize("autonomy", ["manual", "supervised"])
@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("ghost", "{}", "no tool is called 'ghost'"),
        ("delete", "[1]", "must be a JSON object"),
        ("delete", '{"path": "a', "not valid JSON"),
        ("delete", '"a"', "must be a JSON object"),
    ],
)
async def test_nobody_is_asked_about_a_call_that_cannot_run(
    autonomy: Any, name: str, arguments: str, told: str
) -> None:
    log: list[str] = []
    script = Script([[ToolCall("1", name, arguments)], "I see."])
    async with solo(script, tools=[deleting(log)], autonomy=autonomy, limits=Limits(seconds=5)) as agency:
        asked: list[RunEvent] = []
        agency.subscribe(lambda event: asked.append(event) if isinstance(event, ApprovalRequested) else None)
        run = asyncio.ensure_future(agency.run("?"))
        await until(lambda: run.done() or asked)
        assert not asked
        assert (await run).text == "I see."
    assert told in script.requests[1].messages[-1].text
    assert log == []
