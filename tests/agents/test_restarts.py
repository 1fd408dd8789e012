"""Nothing is lost: whichever actor is killed at whichever point, the caller gets the answer, and nothing finished is
done twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from callboard import Agency, Agent, handoff
from callboard.actors.agents.errors import AgentUnavailable, RunFailed
from callboard.actors.agents.events import CompletionFinished, Resumed, RunEvent, RunFinished, ToolFinished
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Request
from callboard.tools import Tool, tool

from .support import function

WHOM = ["agency/Planner/c", "agency/Planner", "agency/Developer", "agency", "nested", "model"]


def team(log: list[str], *, idempotent: bool = True, transfer: bool = False) -> Agency:
    """A planner that delegates, a developer that calls two tools; the model is a function of what it is sent."""

    @tool(name="work", idempotent=idempotent)
    async def work(part: int) -> str:
        await asyncio.sleep(0)
        log.append(f"tool {part}")
        return f"part {part} done"

    def model(request: Request) -> Any:
        results = [m for m in request.messages if m.role == "tool"]
        who = request.messages[0].text
        log.append(f"asked {who} {len(results)}")
        if who == "plan":
            if results:
                return f"all: {results[-1].text}"
            if transfer:
                return call("transfer_to_Developer", "t1", message="over to you")
            return call("SendMessage", "h1", target_agent="Developer", message="work")
        if len(results) == 0:
            return [call("work", "w0", part=0), call("work", "w1", part=1)]
        if len(results) == 2:
            return call("work", "w2", part=2)
        return "; ".join(m.text for m in results)

    tools: list[Tool] = [work]
    developer = Agent("Developer", "dev", tools=tools)
    planner = Agent("Planner", "plan", handoffs=[handoff(developer, kind="transfer")] if transfer else [developer])
    return Agency(planner, developer, model=function(model))


async def run_killing(agency: Agency, whom: str, at: int, how: str = "kill") -> tuple[Any, list[RunEvent], int]:
    """Run, killing or stopping an actor at the at-th event. Returns the answer, the events, and how many it struck."""
    seen: list[RunEvent] = []
    killed = 0

    def kill(event: RunEvent) -> None:
        nonlocal killed
        seen.append(event)
        if len(seen) == at + 1:
            path = f"agency/Developer/{event.conversation}" if whom == "nested" else whom
            ref = agency.system.find(path) if agency.system else None
            if ref is not None:
                killed += 1
                getattr(ref, how)()

    async with agency:
        agency.subscribe(kill)
        async with asyncio.timeout(10):
            answer = await agency.run("go", conversation="c")
    return answer, seen, killed


@pytest.mark.parametrize("transfer", [False, True], ids=["delegate", "transfer"])
@pytest.mark.parametrize("whom", WHOM)
async def test_whoever_is_killed_at_whichever_event_the_answer_arrives_whole(whom: str, transfer: bool) -> None:
    log: list[str] = []
    expected, events, _ = await run_killing(team(log, transfer=transfer), "nobody", 0)
    assert "part 2 done" in expected.text
    kills = 0
    for at in range(len(events)):
        log.clear()
        answer, seen, killed = await run_killing(team(log, transfer=transfer), whom, at)
        kills += killed
        assert answer.text == expected.text, f"{whom} killed at event {at}: {type(seen[at]).__name__}"
        assert answer.chain == expected.chain
        finished = Counter(e.call_id for e in seen if isinstance(e, ToolFinished))
        assert set(finished.values()) == {1}, f"a finished tool ran again: {finished}"
        steps = Counter((e.run, e.step) for e in seen if isinstance(e, CompletionFinished))
        assert set(steps.values()) == {1}, f"a finished completion was asked for again: {steps}"
        assert answer.usage == expected.usage
    assert kills > 0, "the test killed nobody"


@pytest.mark.parametrize("transfer", [False, True], ids=["delegate", "transfer"])
@pytest.mark.parametrize("whom", [path for path in WHOM if path.count("/") == 2 or path == "nested"])
async def test_whichever_conversation_is_stopped_at_whichever_event_the_answer_arrives_whole(
    whom: str, transfer: bool
) -> None:
    log: list[str] = []
    expected, events, _ = await run_killing(team(log, transfer=transfer), "nobody", 0)
    stops = 0
    for at in range(len(events)):
        log.clear()
        answer, seen, stopped = await run_killing(team(log, transfer=transfer), whom, at, "stop")
        stops += stopped
        assert answer.text == expected.text, f"{whom} stopped at event {at}: {type(seen[at]).__name__}"
        assert answer.chain == expected.chain
        finished = Counter(e.call_id for e in seen if isinstance(e, ToolFinished))
        assert set(finished.values()) == {1}, f"a finished tool ran again: {finished}"
        assert answer.usage == expected.usage
    assert stops > 0, "the test stopped nobody"


async def test_a_tool_that_was_running_is_not_run_again_unless_it_is_idempotent() -> None:
    for idempotent in (False, True):
        log: list[str] = []
        agency = team(log, idempotent=idempotent)
        seen: list[RunEvent] = []

        def kill(event: RunEvent, agency: Agency = agency, seen: list[RunEvent] = seen) -> None:
            seen.append(event)
            if type(event).__name__ == "ToolStarted" and not any(isinstance(e, Resumed) for e in seen):
                ref = agency.system.find("agency/Developer") if agency.system else None
                assert ref is not None
                ref.kill()

        async with agency:
            agency.subscribe(kill)
            answer = await agency.run("go")
        assert ("Interrupted" in answer.text) == (not idempotent)
        assert any(isinstance(e, Resumed) for e in seen)


async def test_a_conversation_that_keeps_crashing_is_given_up_and_its_neighbours_are_not() -> None:
    async with team([]) as agency:

        def kill(event: RunEvent) -> None:
            if event.conversation == "bad" and type(event).__name__ == "CompletionStarted":
                ref = agency.system.find("agency/Planner/bad") if agency.system else None
                if ref is not None:
                    ref.kill()

        agency.subscribe(kill)
        both = await asyncio.gather(
            agency.run("go", conversation="bad"), agency.run("go", conversation="good"), return_exceptions=True
        )
    bad, good = both
    assert isinstance(bad, RunFailed)
    assert "crashed" in str(bad)
    assert not isinstance(good, BaseException)
    assert "part 2 done" in good.text


async def test_crashes_of_its_agent_do_not_count_as_those_of_a_conversation() -> None:
    log: list[str] = []
    agency = team(log)
    kills = 0

    def kill(event: RunEvent) -> None:
        nonlocal kills
        if event.agent == "Planner" and type(event).__name__ == "CompletionStarted" and kills < 6:
            ref = agency.system.find("agency/Planner") if agency.system else None
            if ref is not None:
                kills += 1
                ref.kill()

    async with agency:
        agency.subscribe(kill)
        answer = await agency.run("go", conversation="c")
    assert kills == 6
    assert "part 2 done" in answer.text


@pytest.mark.parametrize("conversation", [None, "c"])
async def test_an_agent_that_fails_for_good_ends_its_runs_in_a_named_error(conversation: str | None) -> None:
    asked = asyncio.Event()
    told: list[RunEvent] = []

    async def hang(request: Request) -> str:
        asked.set()
        await asyncio.Event().wait()
        return ""

    async with Agency(Agent("A"), model=function(hang)) as agency:
        agency.subscribe(told.append)
        run = asyncio.ensure_future(agency.run("?", conversation=conversation))
        await asked.wait()
        for _ in range(200):
            ref = agency.system.find("agency/A") if agency.system else None
            if run.done():
                break
            if ref is not None:
                ref.kill()
            await asyncio.sleep(0)
        with pytest.raises((AgentUnavailable, RunFailed)) as caught:
            async with asyncio.timeout(5):
                await run
    (finished,) = [event for event in told if isinstance(event, RunFinished)]
    assert type(finished.error) is type(caught.value)


async def test_runs_waiting_behind_a_crash_are_answered_in_order() -> None:
    order: list[str] = []

    async def model(request: Request) -> str:
        await asyncio.sleep(0)
        order.append(request.messages[-1].text)
        return request.messages[-1].text

    async with Agency(Agent("A"), model=function(model)) as agency:
        runs = [asyncio.ensure_future(agency.run(str(n), conversation="c")) for n in range(4)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        ref = agency.system.find("agency/A/c") if agency.system else None
        assert ref is not None
        ref.kill()
        answers = await asyncio.gather(*runs)
    assert [a.text for a in answers] == ["0", "1", "2", "3"]
    assert [text for n, text in enumerate(order) if text not in order[:n]] == ["0", "1", "2", "3"]


async def test_an_agent_whose_actor_was_stopped_is_unavailable_each_time_it_is_asked() -> None:
    async with Agency(Agent("A"), Agent("B"), model=function(lambda request: "hello")) as agency:
        await agency.agent_ref("A").stop()
        for _ in range(3):  # the second was waited for without end, for an actor that never came
            with pytest.raises(AgentUnavailable, match="A"):
                async with asyncio.timeout(5):
                    await agency.run("go", agent="A", conversation="c")
            await asyncio.sleep(0)
        assert (await agency.run("go", agent="B")).text == "hello"
