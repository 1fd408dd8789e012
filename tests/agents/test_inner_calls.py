"""Calls that a tool call makes: each is asked about, recorded and answered as one of the model's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from callboard import (
    Agency,
    Agent,
    Caller,
    GuardrailTripped,
    MemoryJournal,
    Request,
    System,
    Tool,
    ToolContext,
    guardrail,
    tool,
)
from callboard.actors.agents.errors import AgencyClosed, UnknownApproval
from callboard.actors.agents.events import ApprovalDecided, ApprovalRequested, RunEvent, ToolFinished, ToolStarted
from callboard.actors.testing import Restart, Simulation, simulate
from callboard.actors.testing.doubles.models import Script, call
from callboard.tools import ToolDefinitionError, ToolResult
from tests.durable.support import eventually

from .support import cancelled_at, each_kill, function, kill, postgres, scripted, solo, sqlite, until

SEEDS = int(os.environ.get("CALLBOARD_SCHEDULES", "4"))
"""Schedules of each; `make schedules` runs many more."""


class Shop:
    """A tool that pays for things by calls of another one, and what was paid."""

    def __init__(self, *, pause: float = 0.0, **options: Any) -> None:
        self.paid: list[str] = []

        @tool(**options)
        async def pay(what: str) -> dict[str, str]:
            """Pay for something."""
            await asyncio.sleep(pause)
            self.paid.append(what)
            return {"paid": what}

        @tool(risk="safe", resumable=True)
        async def buy(context: ToolContext[Any], *, what: list[str], at_once: bool = False) -> str:
            """Buy several things."""
            if at_once:
                results = await asyncio.gather(*[context.call(pay, {"what": one}) for one in what])
            else:
                results = [await context.call(pay, {"what": one}) for one in what]
            return " | ".join(result.text for result in results)

        self.pay: Tool = pay
        self.buy: Tool = buy

    def agency(self, *whats: str, at_once: bool = False, **options: Any) -> Agency:
        def model(request: Request) -> Any:
            bought = request.messages[-1].role == "tool"
            return "done" if bought else call("buy", "c1", what=list(whats), at_once=at_once)

        agent = Agent("Solo", tools=[self.buy], autonomy=options.pop("autonomy", "supervised"))
        return Agency(agent, model=function(model), **options)


def asked(agency: Agency) -> list[ApprovalRequested]:
    found: list[ApprovalRequested] = []
    agency.subscribe(lambda event: found.append(event) if isinstance(event, ApprovalRequested) else None)
    return found


def result(answer: Any) -> str:
    """What the outer call came to, as the model was told."""
    found: list[str] = [message.text for message in answer.messages if message.role == "tool"]
    return found[-1]


async def test_each_call_within_a_call_is_asked_about_and_the_outer_one_goes_on() -> None:
    shop = Shop()
    async with shop.agency("tea", "milk") as agency:
        waiting = asked(agency)
        run = asyncio.ensure_future(agency.run("?"))
        for number, what in enumerate(("tea", "milk"), 1):
            await until(lambda number=number: len(waiting) == number)  # type: ignore[misc]
            event = waiting[-1]
            assert (event.call_id, event.tool, event.arguments) == (f"c1/{number}", "pay", f'{{"what": "{what}"}}')
            assert agency.approvals == (event,)
            assert len(shop.paid) == number - 1
            agency.approve(event)
        answer = await run
    assert result(answer) == '{"paid":"tea"} | {"paid":"milk"}'
    assert shop.paid == ["tea", "milk"]
    assert not agency.approvals


@pytest.mark.parametrize(
    ("options", "autonomy", "waits"),
    [
        ({}, "supervised", True),
        ({}, "autonomous", False),
        ({"risk": "safe"}, "supervised", False),
        ({"approval": "always"}, "autonomous", True),
        ({"approval": "never"}, "supervised", False),
        ({"risk": "safe", "approved_by": "boss"}, "autonomous", True),
    ],
)
async def test_an_inner_call_waits_where_one_of_the_model_would(options: Any, autonomy: Any, waits: bool) -> None:
    shop = Shop(**options)
    async with shop.agency("tea", autonomy=autonomy) as agency:
        waiting = asked(agency)
        run = asyncio.ensure_future(agency.run("?"))
        if waits:
            await until(lambda: waiting)
            assert waiting[0].approvers == (frozenset({"boss"}) if "approved_by" in options else frozenset())
            agency.approve(waiting[0])
        assert result(await run) == '{"paid":"tea"}'
        assert bool(waiting) == waits


async def test_an_inner_call_that_is_denied_is_an_error_for_the_outer_one_and_arguments_may_be_changed() -> None:
    shop = Shop()
    async with shop.agency("tea", "milk") as agency:
        waiting = asked(agency)
        run = asyncio.ensure_future(agency.run("?"))
        await until(lambda: waiting)
        agency.deny(waiting[0], "there is tea")
        await until(lambda: len(waiting) == 2)
        agency.approve(waiting[1], arguments='{"what": "cream"}')
        assert result(await run) == 'Denied by a person: there is tea | {"paid":"cream"}'
    assert shop.paid == ["cream"]


async def test_nobody_is_asked_about_a_call_whose_arguments_do_not_fit() -> None:
    shop = Shop()

    @tool(risk="safe", resumable=True)
    async def wrong(context: ToolContext[Any]) -> str:
        return (await context.call(shop.pay, {"what": 3})).text

    async with solo(Script([[call("wrong", "c1")], "done"]), tools=[wrong], autonomy="supervised") as agency:
        waiting = asked(agency)
        assert "InvalidArguments" in result(await agency.run("?"))
        assert not waiting


async def test_a_tool_that_raises_where_it_should_return_a_result_is_an_error_for_the_outer_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = Shop()

    async def run(arguments: str, *, context: Any) -> ToolResult:
        raise OSError("no till")

    monkeypatch.setattr(shop.pay, "run", run)
    async with shop.agency("tea", "milk", autonomy="autonomous") as agency:
        assert result(await agency.run("?")) == "OSError: no till | OSError: no till"


async def test_calls_that_wait_at_once_are_decided_in_any_order() -> None:
    shop = Shop()
    async with shop.agency("tea", "milk", "bread", at_once=True) as agency:
        waiting = asked(agency)
        run = asyncio.ensure_future(agency.run("?"))
        await until(lambda: len(waiting) == 3)
        for event in reversed(waiting):
            agency.approve(event)
        assert result(await run) == '{"paid":"tea"} | {"paid":"milk"} | {"paid":"bread"}'
    assert shop.paid == ["bread", "milk", "tea"]


async def test_events_tell_of_inner_calls_and_the_journal_has_them_while_the_outer_one_is_open() -> None:
    shop = Shop()
    journal = MemoryJournal()
    async with shop.agency("tea", journal=journal) as agency:
        events: list[RunEvent] = []
        agency.subscribe(events.append)
        waiting = asked(agency)
        run = asyncio.ensure_future(agency.run("?", conversation="c", run_id="r"))
        await until(lambda: waiting)
        agency.approve(waiting[0])
        await run
        told = [
            (type(event).__name__, event.call_id)
            for event in events
            if isinstance(event, ToolStarted | ToolFinished | ApprovalRequested | ApprovalDecided)
        ]
        kept = [record.type async for record in (await agency.handle("r")).events()]
        assert (await agency.replay("c")).same
    assert told == [
        ("ToolStarted", "c1"),
        ("ApprovalRequested", "c1/1"),
        ("ApprovalDecided", "c1/1"),
        ("ToolStarted", "c1/1"),
        ("ToolFinished", "c1/1"),
        ("ToolFinished", "c1"),
    ]
    assert kept[kept.index("tools_started") :] == [
        *("tools_started", "inner_called", "approval_asked", "approval_decided", "tools_started", "inner_returned"),
        *("tool_returned", "completed", "ended"),
    ]


def test_no_time_passes_for_the_outer_call_while_a_person_thinks() -> None:
    async def scenario(sim: Any) -> None:
        shop = Shop()

        @tool(risk="safe", resumable=True, timeout=10)
        async def slow(context: ToolContext[Any]) -> str:
            await asyncio.sleep(6)
            told = (await asyncio.gather(context.call(shop.pay, {"what": "a"}), context.call(shop.pay, {"what": "b"})))[
                1
            ]
            await asyncio.sleep(3)
            return told.text

        script = Script([[call("slow", "c1")], "done"])
        async with Agency(
            Agent("A", tools=[slow], autonomy="supervised"), model=scripted(script), system=sim.system
        ) as agency:
            waiting = asked(agency)
            run = asyncio.ensure_future(agency.run("?"))
            await asyncio.sleep(3600)
            agency.approve(waiting[0])
            await asyncio.sleep(3600)
            agency.approve(waiting[1])
            assert result(await run) == '{"paid":"b"}'

    simulate(scenario, seeds=5)


async def test_an_outer_call_that_ends_takes_its_questions_back() -> None:
    shop = Shop()

    @tool(risk="safe", resumable=True)
    async def hasty(context: ToolContext[Any]) -> str:
        asking = asyncio.ensure_future(context.call(shop.pay, {"what": "tea"}))
        await until(lambda: waiting)
        asking.cancel()
        return "never mind"

    script = Script([[call("hasty", "c1")], "done"])
    async with Agency(Agent("A", tools=[hasty], autonomy="supervised"), model=scripted(script)) as agency:
        waiting = asked(agency)
        answer = await agency.run("?")
        assert result(answer) == "never mind"
        assert not agency.approvals
        with pytest.raises(UnknownApproval):
            agency.approve(waiting[0])
    assert not shop.paid


async def test_nobody_may_call_within_a_call_what_the_caller_may_not_use() -> None:
    shop = Shop(scope="staff", approval="never")
    for scopes, paid in ((frozenset[str](), False), (frozenset({"staff"}), True)):
        async with shop.agency("tea") as agency:
            told = result(await agency.run("?", caller=Caller("ann", scopes=scopes)))
        assert ("there is no tool named 'pay'" in told) is not paid
    assert shop.paid == ["tea"]


async def test_hooks_of_tool_calls_see_inner_calls() -> None:
    shop = Shop(approval="never")
    seen: list[str] = []

    @guardrail("toolcall")
    async def look(context: Any) -> None:
        seen.append(context.call.name)
        if context.call.name == "pay" and "poison" in context.call.arguments:
            raise ValueError("no poison")
        if context.call.name == "pay" and "milk" in context.call.arguments:
            context.result = ToolResult("no milk today")

    script = Script([call("buy", "c1", what=["tea", "milk"]), call("buy", "c2", what=["poison"])])
    async with Agency(Agent("A", tools=[shop.buy], hooks=[look]), model=scripted(script)) as agency:
        with pytest.raises(GuardrailTripped, match="no poison") as tripped:
            await agency.run("?")
    assert seen == ["buy", "pay", "pay", "buy", "pay"]
    assert tripped.value.partial is not None
    assert '{"paid":"tea"} | no milk today' in [message.text for message in tripped.value.partial.messages]
    assert shop.paid == ["tea"]


async def test_calls_may_be_made_within_inner_calls() -> None:
    shop = Shop()

    @tool(risk="safe", resumable=True)
    async def order(context: ToolContext[Any]) -> str:
        return (await context.call(shop.buy, {"what": ["tea"]})).text

    script = Script([[call("order", "c1")], "done"])
    async with Agency(Agent("A", tools=[order], autonomy="supervised"), model=scripted(script)) as agency:
        waiting = asked(agency)
        run = asyncio.ensure_future(agency.run("?"))
        await until(lambda: waiting)
        assert waiting[0].call_id == "c1/1/1"
        agency.approve(waiting[0])
        assert result(await run) == '{"paid":"tea"}'


async def test_a_tool_that_is_run_alone_makes_its_calls_at_once() -> None:
    shop = Shop()
    assert (await shop.buy.run({"what": ["tea"]}, context=ToolContext())).text == '{"paid":"tea"}'


async def test_what_is_no_tool_cannot_be_called() -> None:
    @tool(risk="safe")
    async def wrong(context: ToolContext[Any]) -> str:
        return (await context.call(print, {})).text  # type: ignore[arg-type]

    async with solo(Script([[call("wrong", "c1")], "done"]), tools=[wrong]) as agency:
        told = result(await agency.run("?"))
    assert ToolDefinitionError.__name__ in told
    assert "make it one by @tool" in told


@pytest.mark.parametrize("stream", [False, True])
async def test_cancelling_at_any_moment_ends_everything(stream: bool) -> None:
    at, ended = 0, 0
    while True:
        at += 1
        shop = Shop()
        agency = shop.agency("tea", "milk")
        async with agency:
            agency.subscribe(partial(approve, agency))
            if not await cancelled_at(at, agency, stream=stream):
                break
            ended += 1
            assert not agency.approvals
            paid = list(shop.paid)
        assert shop.paid == paid
    assert ended > 8


# -- crashes -----------------------------------------------------------------------------------------------------------


WHOM = ["agency/Solo/c", "agency/Solo", "agency"]


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("whom", WHOM)
async def test_whoever_is_killed_at_whichever_event_no_inner_call_is_made_twice(whom: str, at_once: bool) -> None:
    shops: list[Shop] = []

    def make() -> Agency:
        shops.append(Shop())
        return shops[-1].agency("tea", "milk", "bread", at_once=at_once)

    def look(answer: Any, seen: list[RunEvent]) -> None:
        shop = shops[-1]
        told = result(answer).split(" | ")
        assert len(told) == 3
        for what, text in zip(("tea", "milk", "bread"), told, strict=True):
            if text.startswith("Interrupted"):
                assert shop.paid.count(what) <= 1
            else:
                assert (text, shop.paid.count(what)) == (f'{{"paid":"{what}"}}', 1)

    await each_kill(make, whom, look, meanwhile=approve)


@pytest.mark.parametrize("whom", WHOM)
async def test_whoever_is_killed_at_whichever_event_calls_that_may_be_repeated_lose_nothing(whom: str) -> None:
    shops: list[Shop] = []

    def make() -> Agency:
        shops.append(Shop(idempotent=True))
        return shops[-1].agency("tea", "milk")

    def look(answer: Any, seen: list[RunEvent]) -> None:
        assert result(answer) == '{"paid":"tea"} | {"paid":"milk"}'
        assert set(shops[-1].paid) == {"tea", "milk"}

    await each_kill(make, whom, look, meanwhile=approve)


async def test_arguments_that_a_person_changed_count_when_the_call_is_begun_again() -> None:
    paid: list[str] = []

    @tool(idempotent=True)
    async def pay(what: str) -> str:
        paid.append(what)
        if len(paid) == 1:
            assert kill(agency, "agency/Solo/c")
            await asyncio.sleep(1000)
        return what

    @tool(risk="safe", resumable=True)
    async def buy(context: ToolContext[Any]) -> str:
        return (await context.call(pay, {"what": "milk"})).text

    script = Script([[call("buy", "c1")], "done"])
    agent = Agent("Solo", tools=[buy], autonomy="supervised")
    async with Agency(agent, model=scripted(script)) as agency:
        waiting = asked(agency)
        run = asyncio.ensure_future(agency.run("?", conversation="c"))
        await until(lambda: waiting)
        agency.approve(waiting[0], arguments='{"what": "cream"}')
        assert result(await run) == "cream"
    assert paid == ["cream", "cream"]


async def test_a_call_that_takes_another_way_when_it_is_begun_again_ends_by_name() -> None:
    shop = Shop(approval="never")
    wanted = iter(["tea", "coffee"])
    begun = asyncio.Event()

    @tool(risk="safe", resumable=True)
    async def fickle(context: ToolContext[Any]) -> str:
        await context.call(shop.pay, {"what": next(wanted)})
        begun.set()
        await asyncio.sleep(0 if len(shop.paid) > 1 else 1000)
        return "done"

    async with solo(Script([[call("fickle", "c1")], "done"]), tools=[fickle]) as agency:
        run = asyncio.ensure_future(agency.run("?", conversation="c"))
        await begun.wait()
        assert kill(agency, "agency/Solo/c")
        told = result(await run)
    assert "CallChanged" in told
    assert "where it had called pay it now makes another call of pay" in told
    assert shop.paid == ["tea"]


def test_a_call_that_is_begun_again_and_does_less_ends_by_name_and_is_not_left_hanging() -> None:
    async def scenario(sim: Any) -> None:
        begun: list[int] = []

        @tool(risk="safe", idempotent=True)
        async def wait(seconds: int) -> str:
            await asyncio.sleep(seconds)
            return "waited"

        @tool(risk="safe", resumable=True, timeout=None)
        async def fickle(context: ToolContext[Any]) -> str:
            begun.append(1)
            first = asyncio.ensure_future(context.call(wait, {"seconds": 2}))
            await asyncio.sleep(0)
            if len(begun) == 1:
                await context.call(wait, {"seconds": 1})
            await first
            await asyncio.sleep(100 if len(begun) == 1 else 0)
            return "done"

        script = Script([[call("fickle", "c1")], "done"])
        async with Agency(Agent("A", tools=[fickle]), model=scripted(script), system=sim.system) as agency:
            run = asyncio.ensure_future(agency.run("?", conversation="c"))
            await asyncio.sleep(10)
            assert kill(agency, "agency/A/c")
            assert "did not make the calls that it had made" in result(await run)

    simulate(scenario, seeds=3)


async def test_an_approval_within_a_call_waits_over_a_restart(tmp_path: Path) -> None:
    shop, path = Shop(), tmp_path / "j.db"
    async with shop.agency("tea", "milk", journal=path) as agency:
        run = asyncio.ensure_future(agency.run("?", conversation="c", run_id="r"))
        await eventually(lambda: agency.approvals, "the first question")
        agency.approve(agency.approvals[0])
        await eventually(lambda: [one for one in agency.approvals if one.call_id == "c1/2"], "the second question")
        before = agency.approvals
    with suppress(AgencyClosed):
        await run
    assert shop.paid == ["tea"]
    async with shop.agency("tea", "milk", journal=path) as agency:
        await eventually(lambda: agency.approvals, "the second question again")
        assert [one.approval for one in agency.approvals] == [one.approval for one in before]
        agency.approve(agency.approvals[0])
        assert result(await agency.run("?", conversation="c", run_id="r")) == '{"paid":"tea"} | {"paid":"milk"}'
    assert shop.paid == ["tea", "milk"]


@pytest.mark.parametrize("approved", [True, False])
async def test_an_approval_within_a_call_is_seen_and_decided_in_another_process(approved: bool) -> None:
    shop, journal = Shop(), MemoryJournal()
    async with shop.agency("tea", journal=journal) as one, shop.agency("tea", journal=journal.as_worker()) as other:
        run = asyncio.ensure_future(one.run("?", conversation="c"))
        await until(lambda: one.approvals)
        (seen,) = await other.pending_approvals()
        assert (seen.call_id, seen.tool, seen.arguments) == ("c1/1", "pay", '{"what": "tea"}')
        await (other.approve(seen, arguments='{"what": "milk"}') if approved else other.deny(seen, "no"))
        assert await other.pending_approvals() == ()
        assert result(await run) == ('{"paid":"milk"}' if approved else "Denied by a person: no")
        with pytest.raises(UnknownApproval, match="was approved" if approved else "was denied"):
            await other.deny(seen.approval)
    assert shop.paid == ["milk"] * approved


# -- processes that are killed -----------------------------------------------------------------------------------------


WRITES = 14
"""How often a process writes that buys three things."""


def bought(journal: Callable[[Simulation], Any], *, at_once: bool, **options: Any) -> Any:
    async def scenario(sim: Simulation) -> None:
        shop = Shop(pause=1.0, **options)

        async def main(system: System) -> str:
            async with shop.agency(
                "tea", "milk", "bread", at_once=at_once, journal=journal(sim), system=system
            ) as agency:
                agency.subscribe(partial(approve, agency))
                run = asyncio.ensure_future(agency.run("?", conversation="c", run_id="r"))
                while not run.done():
                    await asyncio.wait({run}, timeout=0.7)
                    for event in agency.approvals:  # those of before the restart that nobody told of again
                        approve(agency, event)
                return result(await run)

        told = (await sim.process("shop", main)).split(" | ")
        assert len(told) == 3
        for what, text in zip(("tea", "milk", "bread"), told, strict=True):
            if text.startswith("Interrupted"):
                assert shop.paid.count(what) <= 1
                assert sim.trace.of("fault")
            elif shop.pay.idempotent:
                assert text == f'{{"paid":"{what}"}}'
                assert what in shop.paid
            else:
                assert (text, shop.paid.count(what)) == (f'{{"paid":"{what}"}}', 1)

    return scenario


def approve(agency: Agency, event: RunEvent) -> None:
    if isinstance(event, ApprovalRequested):
        with suppress(UnknownApproval):  # it is asked for again, and was decided
            agency.approve(event)


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("journal", [sqlite, postgres])
def test_a_process_that_is_killed_at_any_write_makes_no_inner_call_twice(journal: Any, at_once: bool) -> None:
    simulate(bought(journal, at_once=at_once), seeds=SEEDS, faults=[Restart("shop")])


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_that_is_killed_at_each_single_write_makes_no_inner_call_twice(when: Any) -> None:
    for nth in range(1, WRITES + 1):
        simulate(bought(sqlite, at_once=True), seeds=1, faults=[Restart("shop", nth=nth, when=when)])


def test_a_process_that_is_killed_several_times_loses_no_inner_call_that_may_be_repeated() -> None:
    faults = [Restart("shop", optional=True)] * 3
    simulate(bought(sqlite, at_once=True, idempotent=True), seeds=SEEDS, faults=faults)


async def test_a_call_from_another_event_loop_is_refused_by_name() -> None:
    @tool(risk="safe")
    async def inner() -> str:
        raise AssertionError("it is not called")

    @tool(risk="safe")
    def outer(context: ToolContext) -> str:
        """Ask from a loop of its own."""

        async def ask() -> object:
            return await context.call(inner, {})

        with pytest.raises(ToolDefinitionError, match="another event loop") as refused:
            asyncio.run(ask())
        return str(refused.value)

    async with solo(Script([call("outer", "o"), "done"]), tools=[outer]) as agency:
        answer = await agency.run("go")
    assert answer.steps[0].calls[0].output.endswith("call it from the tool's own")
