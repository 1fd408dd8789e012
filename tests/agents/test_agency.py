"""Agencies: asking, answers, conversations in order, limits, cancellation, release."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callboard import Agency, Agent, Limits, request_context
from callboard.actors import send_context
from callboard.actors.agents.errors import (
    AgencyClosed,
    DefinitionError,
    RunCancelled,
    RunFailed,
    StepLimit,
    TimeLimit,
    UnknownAgent,
)
from callboard.actors.agents.events import RunEvent, RunFinished, TextDelta, ToolFinished
from callboard.actors.testing.doubles.models import Script, call
from callboard.providers.errors import RateLimited
from callboard.providers.messages import Request
from callboard.tools import tool

from .support import add, function, scripted, solo


async def test_an_agent_answers_with_usage_cost_and_steps() -> None:
    script = Script([call("add", a=1, b=2), "It is 3."], cost=0.25)
    async with solo(script, tools=[add]) as agency:
        answer = await agency.run("What is 1 + 2?")
    assert answer.text == "It is 3."
    assert (len(answer.steps), answer.cost, answer.usage.total_tokens) == (2, 0.5, 30)
    assert [m.role for m in script.requests[1].messages] == ["system", "user", "assistant", "tool"]
    assert script.requests[1].messages[-1].text == "3"


async def test_an_unknown_tool_and_wrong_arguments_are_told_to_the_model() -> None:
    script = Script([call("subtract", a=1), call("add", a="one", b=2), "Sorry."])
    async with solo(script, tools=[add]) as agency:
        await agency.run("?")
    unknown, wrong = script.requests[1].messages[-1], script.requests[2].messages[-1]
    assert unknown.is_error
    assert "add" in unknown.text
    assert wrong.is_error
    assert "a" in wrong.text


async def test_a_conversation_remembers_and_another_one_does_not() -> None:
    script = Script(["Hello Ann.", "Ann.", "I do not know."])
    async with solo(script) as agency:
        await agency.run("I am Ann.", conversation="one")
        await agency.run("Who am I?", conversation="one")
        await agency.run("Who am I?", conversation="two")
    assert [len(request.messages) for request in script.requests] == [2, 4, 2]


async def test_runs_of_one_conversation_are_answered_in_order_and_do_not_interleave() -> None:
    async def slow_first(request: Request) -> str:
        last = request.messages[-1].text
        for _ in range(10 if last == "0" else 1):
            await asyncio.sleep(0)
        return f"answer to {last}"

    async with solo(slow_first) as agency:
        runs = [agency.run(str(n), conversation="c") for n in range(5)]
        answers = await asyncio.gather(*runs)
    said = [m.text for m in answers[-1].messages]
    assert said == [text for n in range(5) for text in (str(n), f"answer to {n}")]


async def test_conversations_run_side_by_side() -> None:
    together = 0
    most = 0

    async def model(request: Request) -> str:
        nonlocal together, most
        together += 1
        most = max(most, together)
        for _ in range(5):
            await asyncio.sleep(0)
        together -= 1
        return "ok"

    async with solo(model) as agency:
        await asyncio.gather(*(agency.run("go", conversation=f"c{n}") for n in range(20)))
    assert most == 20


async def test_a_runaway_loop_ends_at_the_default_limit_and_keeps_what_was_done() -> None:
    def model(request: Request) -> Any:
        return call("add", f"id{len(request.messages)}", a=len(request.messages), b=1)

    async with solo(model, tools=[add]) as agency:
        with pytest.raises(StepLimit) as caught:
            await agency.run("loop")
    partial = caught.value.partial
    assert partial is not None
    assert len(partial.steps) == Limits().steps
    assert partial.usage.total_tokens == 15 * len(partial.steps)


async def test_a_run_out_of_time_ends_by_name_and_its_tool_is_stopped() -> None:
    stopped = asyncio.Event()

    @tool
    async def wait_for_ever() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return ""

    script = Script([call("wait_for_ever")])
    async with solo(script, tools=[wait_for_ever], limits=Limits(seconds=0.01)) as agency:
        with pytest.raises(TimeLimit):
            await agency.run("?")
        await stopped.wait()


async def test_a_deadline_around_the_run_is_its_time_limit() -> None:
    async def hang(request: Request) -> str:
        await asyncio.Event().wait()
        return ""

    async with solo(hang) as agency:
        with send_context(timeout=0.01), pytest.raises(TimeLimit):
            await agency.run("?")


async def test_cancelling_a_run_stops_the_provider_call_and_leaves_the_conversation_usable() -> None:
    asked, stopped = asyncio.Event(), asyncio.Event()

    async def model(request: Request) -> str:
        if request.messages[-1].text == "hang":
            asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                stopped.set()
        return "still here"

    async with solo(model) as agency:
        run = asyncio.ensure_future(agency.run("hang", conversation="c"))
        await asked.wait()
        run.cancel()
        await stopped.wait()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert (await agency.run("and now?", conversation="c")).text == "still here"


async def test_a_failed_provider_is_a_named_error_with_its_cause() -> None:
    async with solo(Script([call("add", a=1, b=1), RateLimited("slow down")]), tools=[add]) as agency:
        with pytest.raises(RunFailed, match="slow down") as caught:
            await agency.run("?")
    assert isinstance(caught.value.__cause__, RateLimited)
    assert caught.value.partial is not None
    assert len(caught.value.partial.steps) == 1


async def test_a_failing_parallel_tool_leaves_its_siblings_alone() -> None:
    @tool
    async def broken() -> str:
        raise RuntimeError("boom")

    script = Script([[call("broken"), call("add", a=2, b=2)], "done"])
    async with solo(script, tools=[broken, add]) as agency:
        assert (await agency.run("?")).text == "done"
    broken_result, sum_result = script.requests[1].messages[-2:]
    assert broken_result.is_error
    assert "boom" in broken_result.text
    assert sum_result.text == "4"


async def test_events_tell_the_run_from_start_to_finish() -> None:
    seen: list[RunEvent] = []
    async with solo(Script([call("add", a=1, b=2), "3"]), tools=[add]) as agency:
        agency.subscribe(seen.append)
        answer = await agency.run("?")
    assert [type(event).__name__ for event in seen] == [
        "RunStarted",
        "CompletionStarted",
        "CompletionFinished",
        "ToolStarted",
        "ToolFinished",
        "CompletionStarted",
        "CompletionFinished",
        "RunFinished",
    ]
    assert {event.root for event in seen} == {answer.run}
    tool_event = next(event for event in seen if isinstance(event, ToolFinished))
    assert (tool_event.tool, tool_event.content) == ("add", "3")


async def test_who_listens_to_one_run_hears_of_no_other() -> None:
    seen: list[RunEvent] = []
    async with solo(Script(["a", "b", "c"])) as agency:
        unsubscribe = agency.subscribe(seen.append, root="mine")
        await agency.run("?")
        await agency.run("?", run_id="mine")
        assert {event.root for event in seen} == {"mine"}
        unsubscribe()
        heard = len(seen)
        await agency.run("?", run_id="again")
        assert len(seen) == heard


async def test_a_subscriber_that_raises_disturbs_nobody() -> None:
    def bad(event: RunEvent) -> None:
        raise RuntimeError("subscriber")

    async with solo(Script(["fine"])) as agency:
        agency.subscribe(bad)
        assert (await agency.run("?")).text == "fine"


async def test_streaming_yields_text_and_ends_with_the_answer() -> None:
    async with solo(Script([call("add", a=1, b=2), "It is three."]), tools=[add]) as agency:
        events = [event async for event in agency.run_streaming("?")]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "It is three."
    last = events[-1]
    assert isinstance(last, RunFinished)
    assert last.answer is not None
    assert last.answer.text == "It is three."


async def test_leaving_a_stream_cancels_its_run() -> None:
    stopped = asyncio.Event()

    @tool
    async def wait_for_ever() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return ""

    async with solo(Script([call("wait_for_ever")]), tools=[wait_for_ever]) as agency:
        stream = agency.run_streaming("?")
        async for event in stream:
            if type(event).__name__ == "ToolStarted":
                await asyncio.sleep(0)
                break
        await stream.aclose()
        await stopped.wait()


async def test_tools_see_the_request_context_across_mailboxes() -> None:
    seen: list[Any] = []

    @tool
    async def who() -> str:
        seen.append(request_context())
        return "ok"

    async with solo(Script([call("who"), "done"]), tools=[who]) as agency:
        await agency.run("?", user="ann", metadata={"tenant": 7}, conversation="c")
    (context,) = seen
    assert (context.user, context.metadata["tenant"], context.agent, context.conversation) == ("ann", 7, "Solo", "c")
    assert [record.usage.total_tokens for record in context.usage] == [15, 15]


async def test_external_tools_are_returned_to_the_caller_and_their_results_taken() -> None:
    from callboard.providers.messages import Message, ToolSpec

    spec = ToolSpec("open_door", "Open the door.", {"type": "object", "properties": {}})
    script = Script([call("open_door", "7"), "It is open."])
    async with solo(script) as agency:
        answer = await agency.run("open", conversation="c", tools=[spec])
        assert [c.name for c in answer.tool_calls] == ["open_door"]
        answer = await agency.run(Message("tool", "opened", tool_call_id="7"), conversation="c", tools=[spec])
    assert answer.text == "It is open."
    assert script.requests[1].messages[-1].text == "opened"


async def test_structured_answers_come_as_their_type_after_one_repair() -> None:
    from pydantic import BaseModel

    class Point(BaseModel):
        x: int
        y: int

    script = Script(['{"x": 1}', '```json\n{"x": 1, "y": 2}\n```'])
    async with solo(script) as agency:
        answer = await agency.run("where?", output_type=Point)
    assert answer.value == Point(x=1, y=2)
    assert "y" in script.requests[1].messages[-1].text
    assert script.requests[0].response_schema is not None


async def test_stopping_ends_open_runs_in_a_named_error() -> None:
    asked = asyncio.Event()

    async def hang(request: Request) -> str:
        asked.set()
        await asyncio.Event().wait()
        return ""

    agency = solo(hang)
    await agency.start()
    run = asyncio.ensure_future(agency.run("?"))
    await asked.wait()
    await agency.stop()
    with pytest.raises((AgencyClosed, RunCancelled)):
        await run
    with pytest.raises(AgencyClosed):
        await agency.run("?")


async def test_draining_waits_for_runs_under_way() -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def model(request: Request) -> str:
        asked.set()
        await go.wait()
        return "made it"

    agency = solo(model)
    await agency.start()
    run = asyncio.ensure_future(agency.run("?"))
    await asked.wait()
    stopping = asyncio.ensure_future(agency.stop(drain=5))
    await asyncio.sleep(0)
    go.set()
    assert (await run).text == "made it"
    await stopping


async def test_what_is_described_wrongly_is_refused_with_what_would_be_right() -> None:
    with pytest.raises(DefinitionError, match="letters, digits"):
        Agent("no spaces please")
    with pytest.raises(DefinitionError, match="temprature"):
        Agent("A", settings={"temprature": 1})
    with pytest.raises(DefinitionError, match="two tools"):
        Agent("A", tools=[add, add])
    with pytest.raises(UnknownAgent, match="A, B"):
        Agency(Agent("A"), Agent("B"), flows=[("A", "C")])
    with pytest.raises(DefinitionError, match="two agents"):
        Agency(Agent("A"), Agent("A"))
    async with Agency(Agent("A"), Agent("B"), model=scripted(Script([]))) as agency:
        with pytest.raises(UnknownAgent, match="A, B"):
            await agency.run("?", agent="C")
        with pytest.raises(DefinitionError):
            await agency.run([])


async def test_an_agent_added_while_running_can_be_asked_and_handed_off_to() -> None:
    script = Script([call("SendMessage", target_agent="New", message="hi"), "I am new.", "New says hi."])
    async with Agency(Agent("Old"), flows="*", model=scripted(script)) as agency:
        await agency.add_agent(Agent("New"))
        assert (await agency.run("?")).text == "New says hi."
        with pytest.raises(DefinitionError):
            await agency.add_agent(Agent("New"))


async def test_a_released_conversation_leaves_nothing_behind() -> None:
    async with solo(lambda request: "ok") as agency:
        for n in range(50):
            await agency.run("?", conversation=f"c{n}")
            await agency.release(f"c{n}")
            await agency.run("?")
        assert agency.system is not None
        await agency.run("?", conversation="last")
        await agency.release("last")
        assert agency._runtime.journal.headers() == []
        assert not agency._runtime.register._entries
        assert [ref for ref in ("last", "c1") if agency.system.find(f"agency/Solo/{ref}")] == []


def test_an_agency_can_be_used_without_an_event_loop() -> None:
    assert solo(Script(["hello"])).process_sync("hi") == "hello"


async def test_process_sync_refuses_to_block_the_loop() -> None:
    from callboard.actors import BlockingCall

    with pytest.raises(BlockingCall):
        solo(Script(["hello"])).process_sync("hi")


async def test_instructions_may_depend_on_the_request() -> None:
    script = Script(["ok"])
    agent = Agent("A", lambda context: f"You serve {context.user}.")
    async with Agency(agent, shared_instructions="Be brief.", model=scripted(script)) as agency:
        await agency.run("?", user="ann")
    assert script.requests[0].messages[0].text == "Be brief.\n\nYou serve ann."


async def test_two_agencies_live_in_one_system() -> None:
    from callboard.actors import System

    async with System("shared") as system:
        one = Agency(Agent("A"), model=function(lambda r: "one"), system=system, name="one")
        model = system.find("model")
        assert model is None
        async with one:
            two = Agency(Agent("A"), model=system.find("model"), system=system, name="two")
            async with two:
                assert (await one.run("?")).text == (await two.run("?")).text == "one"
