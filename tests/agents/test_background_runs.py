"""Runs that nobody waits for, and handles on them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Limits, ToolContext
from callboard.actors import ChildSpec, send_context
from callboard.actors.agents.errors import (
    AgencyClosed,
    ConversationBusy,
    DefinitionError,
    RunCancelled,
    RunFailed,
    StepLimit,
    UnknownAgent,
    UnknownRun,
)
from callboard.actors.agents.runs.handle import RunHandle
from callboard.actors.agents.runs.runtime import runtime as runtimes
from callboard.actors.journal import MemoryJournal
from callboard.actors.testing import Simulation, simulate
from callboard.actors.testing.doubles.models import Script, call
from callboard.providers.messages import Request
from callboard.tools import tool

from .held import Held
from .journals import journal
from .support import add, function, scripted, until

__all__ = ["journal"]


async def test_a_handle_gives_status_events_and_answer(journal: Any) -> None:
    held = Held()
    async with held.agency(journal) as agency:
        handle = await agency.start_run("hold on", conversation="c")
        await held.begun.wait()
        assert await handle.status() == "running"
        behind = await agency.start_run("then this", conversation="c")
        assert await behind.status() == "queued"
        assert (handle.agent, handle.conversation) == ("A", "c")
        held.go.set()
        answer = await handle
        assert (answer.text, answer.run) == ("heard hold on", handle.id)
        assert (await behind.answer()).text == "heard hold on, then this"
        assert [await handle.status(), await behind.status()] == ["ended", "ended"]


async def test_what_is_recorded_of_a_run_is_told_in_order_and_from_any_position(journal: Any) -> None:
    async with Agency(
        Agent("A", tools=[add]), model=scripted(Script([call("add", a=1, b=2), "3"])), journal=journal
    ) as agency:
        handle = await agency.start_run("1 + 2?")
        told = [record async for record in handle.events()]
        assert [record.type for record in told] == [
            *("accepted", "started", "completed", "tools_started", "tool_returned", "completed", "ended")
        ]
        assert [record.position for record in told] == sorted({record.position for record in told})
        assert {(record.run, record.agent, record.conversation) for record in told} == {(handle.id, "A", handle.id)}
        assert told[0].data["text"] == "1 + 2?"
        assert told[2].data["tool_calls"][0]["name"] == "add"
        assert (told[4].data["content"], told[4].data["is_error"]) == ("3", False)
        assert (told[-1].data["text"], told[-1].data["error"], told[-1].data["steps"]) == ("3", None, 2)
        for index, record in enumerate(told):
            assert [later async for later in handle.events(after=record.position)] == told[index + 1 :]


async def test_readers_that_begin_meanwhile_miss_nothing_and_see_nothing_twice(journal: Any) -> None:
    held = Held()
    async with held.agency(journal) as agency:
        handle = await agency.start_run("hold on", conversation="c")
        await agency.start_run("another, whose records are its own", conversation="c")

        async def read(after: int) -> list[Any]:
            return [record async for record in handle.events(after=after)]

        readers = [asyncio.create_task(read(0))]
        async for record in handle.events():
            readers.append(asyncio.create_task(read(record.position)))
            if record.type == "tools_started":
                held.go.set()
        first, *others = await asyncio.gather(*readers)
        assert [record.type for record in first][-1] == "ended"
        assert others == [first[index:] for index in range(1, len(others) + 1)]


async def test_a_run_is_found_again_by_its_id(journal: Any) -> None:
    held = Held()
    async with held.agency(journal) as agency:
        started = await agency.start_run("hold on", run_id="mine")
        again = await agency.handle("mine")
        waiting = asyncio.create_task(agency.run("hold on", run_id="mine"))
        asked = await agency.start_run("hold on", run_id="mine")
        held.go.set()
        answers = [await started, await again, await asked, await waiting]
        assert {(answer.text, answer.run) for answer in answers} == {("heard hold on", "mine")}
        assert (await agency.handle("mine")).id == "mine"
        assert held.asked == 2, "the run was made more than once"
        with pytest.raises(DefinitionError, match="taken"):
            await agency.start_run("something else", run_id="mine", conversation="other")


async def test_a_finished_run_is_found_by_a_later_agency(tmp_path: Path) -> None:
    async with Held(open=True).agency(tmp_path / "j.db") as agency:
        one = await agency.start_run("one")
        two = await agency.start_run("two", conversation="c")
        assert (await one).text == "heard one"
        await two
        positions = [record.position async for record in two.events()]
    async with Held(open=True).agency(tmp_path / "j.db") as agency:
        again = await agency.handle(one.id)
        assert await again.status() == "ended"
        assert await again == await one
        later = await agency.handle(two.id)
        assert [record.position async for record in later.events()] == positions
        assert (await later).text == "heard two"


async def test_a_run_whose_process_ended_goes_on_in_the_next_one(tmp_path: Path) -> None:
    held = Held()
    async with held.agency(tmp_path / "j.db") as agency:
        handle = await agency.start_run("hold on")
        await held.begun.wait()
    with pytest.raises(AgencyClosed):
        await handle
    async with Held(open=True).agency(tmp_path / "j.db") as agency:
        answer = await (await agency.handle(handle.id))
        assert answer.text.startswith("heard hold on")


async def test_cancelling_whoever_waits_leaves_the_run_alone(journal: Any) -> None:
    held = Held()
    async with held.agency(journal) as agency:
        handle = await agency.start_run("hold on")
        waiters = [asyncio.create_task(handle.answer()), asyncio.create_task(agency.run("hold on", run_id=handle.id))]
        await held.begun.wait()
        for waiter in waiters:
            waiter.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiter
        with pytest.raises(TimeoutError):
            await handle.answer(timeout=0)
        assert await handle.status() == "running"
        held.go.set()
        assert (await handle).text == "heard hold on"


def test_a_run_outlives_the_time_of_whoever_started_it() -> None:
    async def scenario(sim: Simulation) -> None:
        held = Held()
        async with held.agency(None, system=sim.system) as agency:
            with send_context(timeout=1):
                handle = await agency.start_run("hold on")
            await held.begun.wait()
            await asyncio.sleep(5)
            held.go.set()
            assert (await handle).text == "heard hold on"

    simulate(scenario, seeds=5)


async def test_a_run_is_cancelled_by_its_handle(journal: Any) -> None:
    held = Held()
    async with held.agency(journal) as agency:
        handle = await agency.start_run("hold on", conversation="c")
        behind = await agency.start_run("behind", conversation="c")
        await held.begun.wait()
        await behind.cancel()
        await handle.cancel("changed my mind")
        with pytest.raises(RunCancelled, match="changed my mind") as caught:
            await handle
        assert caught.value.partial is not None
        assert len(caught.value.partial.steps) == 1
        with pytest.raises(RunCancelled, match="before it began"):
            await behind
        assert [await handle.status(), await behind.status()] == ["failed", "failed"]
        assert [record.type async for record in behind.events()] == ["accepted", "ended"]
        await handle.cancel()  # it has ended: nothing happens
        assert held.asked == 1


async def test_what_is_cancelled_while_nobody_works_on_it_is_never_gone_on_with(tmp_path: Path) -> None:
    held = Held()
    async with held.agency(tmp_path / "j.db") as agency:
        handle = await agency.start_run("hold on", conversation="c")
        queued = await agency.start_run("queued", conversation="c")
        await held.begun.wait()
    other = Held(open=True, name="B")
    async with other.agency(tmp_path / "j.db") as agency:  # it cannot go on with a run of A, and ends it by name
        with pytest.raises(UnknownAgent):
            await (await agency.handle(queued.id))
    assert other.asked == 0
    assert handle.id != queued.id


async def test_whether_all_runs_have_ended_in_time_is_told() -> None:
    held = Held()
    async with held.agency(None) as agency:
        assert await agency.drained(0) is True
        handle = await agency.start_run("hold on")
        await held.begun.wait()
        assert await agency.drained(0) is False
        assert await agency.drained(0.01) is False
        waiting = asyncio.create_task(agency.drained(10))
        held.go.set()
        assert await waiting is True
        assert await handle.status() == "ended"


async def test_what_a_stopped_agency_has_left_is_cancelled_at_once_and_never_gone_on_with(tmp_path: Path) -> None:
    there, here = Held(), Held(open=True)
    async with here.agency(tmp_path / "j.db") as agency:
        async with there.agency(tmp_path / "j.db") as other:
            begun = await other.start_run("hold on", conversation="c")
            queued = await other.start_run("queued", conversation="c")
            await there.begun.wait()
            handles = [await agency.handle(queued.id), await agency.handle(begun.id)]
        for handle in handles:
            await handle.cancel("enough")
            assert await handle.status() == "failed"
        for handle in handles:
            with pytest.raises(RunCancelled, match="enough"):
                await handle
        view = await agency.conversation("c")
        assert (view.status, here.asked) == ("idle", 0)
        assert (await agency.run("next", conversation="c")).text == "heard hold on, next"


async def test_asking_again_for_what_has_ended_does_not_wait_for_what_is_under_way(journal: Any) -> None:
    held = Held()
    async with held.agency(journal) as agency:
        await agency.run("first", conversation="c", run_id="r1")
        handle = await agency.start_run("hold on", conversation="c")
        await held.begun.wait()
        async with asyncio.timeout(10):
            assert (await agency.run("first", conversation="c", run_id="r1")).text == "heard first"
        assert await handle.status() == "running"
        held.go.set()
        await handle


async def test_a_reader_of_many_records_learns_at_once_that_the_agency_has_stopped(journal: Any) -> None:
    @tool(risk="safe")
    async def spend(context: ToolContext) -> str:
        for _ in range(600):
            context.track_usage(0.0, "nothing")
        return "spent"

    script = Script([call("spend"), "done"])
    async with Agency(Agent("A", tools=[spend]), model=scripted(script), journal=journal) as agency:
        handle = await agency.start_run("?", run_id="r1")
        await handle
        records = handle.events()
        await anext(records)
        await agency.stop()
        for _ in range(499):  # of what had been read
            await anext(records)
        with pytest.raises(AgencyClosed):
            await anext(records)


async def test_what_cannot_be_accepted_is_refused_by_name(journal: Any) -> None:
    held = Held()
    async with held.agency(journal) as agency:
        with pytest.raises(UnknownAgent):
            await agency.start_run("x", agent="Nobody")
        with pytest.raises(DefinitionError):
            await agency.start_run([])
        await agency.start_run("hold on", conversation="c")
        with pytest.raises(ConversationBusy):
            await agency.start_run("x", conversation="c", when_busy="reject", run_id="refused")
        with pytest.raises(UnknownRun):
            await agency.handle("refused")
        held.go.set()


async def test_a_failed_run_ends_its_handle_in_the_same_error(journal: Any) -> None:
    script = Script([call("add", a=1, b=2), "fine"])
    agent = Agent("A", tools=[add], limits=Limits(steps=1))
    async with Agency(agent, model=scripted(script), journal=journal) as agency:
        handle = await agency.start_run("1 + 2?")
        for one in (handle, await agency.handle(handle.id)):
            with pytest.raises(StepLimit) as caught:
                await one
            assert caught.value.partial is not None
        assert await handle.status() == "failed"
        assert [record async for record in handle.events()][-1].data["error"].startswith("StepLimit")


def paying() -> tuple[Agent, Agent, ChildSpec[Any]]:
    """A, whose agent B pays once a person says so; each can be asked."""

    @tool(risk="risky")
    async def pay() -> str:
        """Pay."""
        return "paid"

    def model(request: Request) -> Any:
        if request.messages[-1].role == "tool":
            return request.messages[-1].text
        if request.messages[0].text == "a":
            return call("SendMessage", "h", target_agent="B", message="pay")
        return call("pay", "p")

    return Agent("A", "a"), Agent("B", "b", tools=[pay], autonomy="supervised"), function(model)


async def test_a_run_that_waits_for_a_person_says_so_also_deeper_down(journal: Any) -> None:
    a, b, model = paying()
    async with Agency(a, b, flows=[(a, b)], model=model, journal=journal) as agency:
        for agent in ("A", "B"):
            handle = await agency.start_run("go", agent=agent)
            await until(lambda: agency.approvals)
            assert await handle.status() == "waiting"
            agency.approve(agency.approvals[0])
            assert (await handle).text == "paid"


async def test_that_a_run_waits_for_a_person_is_seen_from_another_worker() -> None:
    kept = MemoryJournal()
    a, b, model = paying()
    one = Agency(a, b, flows=[(a, b)], model=model, journal=kept)
    async with one, Held().agency(kept.as_worker()) as two:
        for agent in ("A", "B"):
            handle = await one.start_run("go", agent=agent)
            await until(lambda: one.approvals)
            other = await two.handle(handle.id)
            assert await other.status() == "waiting"
            one.approve(one.approvals[0])
            assert (await other).text == "paid"


async def test_an_unknown_or_released_run_is_named(journal: Any) -> None:
    async with Held(open=True).agency(journal) as agency:
        with pytest.raises(UnknownRun, match="nobody"):
            await agency.handle("nobody")
        await agency.run("hello", conversation="c")
        handle = await agency.start_run("hello", conversation="c")
        again = await agency.handle(handle.id)
        await handle
        await agency.release("c")
        assert (await handle).text == "heard hello, hello", "the handle has the answer"
        assert (await again).text == "heard hello, hello"
        with pytest.raises(UnknownRun):
            [record async for record in again.events()]
        with pytest.raises(UnknownRun):
            await agency.handle(handle.id)


async def test_a_run_whose_conversation_is_released_ends_its_handle(journal: Any) -> None:
    held = Held()
    async with held.agency(journal) as agency:
        handle = await agency.start_run("hold on", conversation="c")
        await held.begun.wait()
        waiting = asyncio.create_task(handle.answer())
        await asyncio.sleep(0)
        await agency.release("c")
        with pytest.raises(RunCancelled, match="released"):
            await waiting


async def test_a_handle_of_an_agency_that_stopped_says_so(journal: Any) -> None:
    held = Held()
    agency = held.agency(journal)
    with pytest.raises(AgencyClosed):
        await agency.handle("x")
    with pytest.raises(AgencyClosed):
        await agency.start_run("x")
    async with agency:
        handle = await agency.start_run("hold on")
        done = await agency.start_run("quick")
        await done
        await held.begun.wait()
        reader = asyncio.create_task(_all(handle))
        waiter = asyncio.create_task(handle.answer())
        await until(lambda: agency._runtime.following._followers)
    outcome: Any = (await asyncio.gather(reader, return_exceptions=True))[0]
    assert isinstance(outcome, AgencyClosed) or outcome[-1].type == "ended"  # in memory that is still written down
    with pytest.raises((AgencyClosed, RunCancelled)):  # in memory it ends for good
        await waiter
    for ask in (handle.status, handle.cancel, lambda: agency.handle(handle.id), lambda: _all(handle)):
        with pytest.raises(AgencyClosed):
            await ask()
    assert (await done).text == "heard quick"


async def _all(handle: RunHandle) -> list[Any]:
    return [record async for record in handle.events()]


async def test_handles_go_on_while_the_agency_drains(journal: Any) -> None:
    held = Held()
    agency = held.agency(journal)
    await agency.start()
    handle = await agency.start_run("hold on")
    await held.begun.wait()
    stopping = asyncio.create_task(agency.stop(drain=60))
    await until(lambda: agency.stopping)
    assert await handle.status() == "running"
    held.go.set()
    assert (await handle).text == "heard hold on"
    await stopping


async def test_memory_keeps_no_more_than_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "KEPT", 3)
    async with Held(open=True).agency(None) as agency:
        handles = [await agency.start_run(f"number {number}") for number in range(5)]
        for handle in handles:
            await handle
        await until(lambda: len(agency._runtime._ended) == 3)
        for handle in handles[:2]:
            with pytest.raises(UnknownRun):
                await agency.handle(handle.id)
        for handle in handles[2:]:
            assert (await (await agency.handle(handle.id))).text == (await handle).text
        assert not agency._runtime.register._entries
        assert len(agency._runtime.journal.headers()) == 3  # type: ignore[arg-type]


async def test_an_outcome_that_cannot_be_kept_is_refused_before_it_is_accepted(tmp_path: Path) -> None:
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    async with Held(open=True).agency(tmp_path / "j.db") as agency:
        with pytest.raises(RunFailed, match="journal"):
            await agency.start_run("hello", metadata={"deep": deep})
        while deep != "x":  # taken apart: so deep a value cannot be freed at once
            deep = deep[0]


async def test_two_agencies_of_one_journal_share_a_run() -> None:
    journal = MemoryJournal()
    held = Held()
    async with held.agency(journal) as one, Held().agency(journal.as_worker()) as two:
        handle = await one.start_run("hold on", conversation="c")
        await held.begun.wait()
        other = await two.handle(handle.id)
        assert await other.status() == "running"
        reading = asyncio.create_task(_all(other))
        waiting = asyncio.create_task(other.answer())
        held.go.set()
        assert (await waiting).text == "heard hold on"
        assert await reading == await _all(handle)
        held.go.clear()
        held.begun.clear()
        handle = await one.start_run("hold on", conversation="c")
        await held.begun.wait()
        await (await two.handle(handle.id)).cancel("from over there")
        with pytest.raises(RunCancelled, match="from over there"):
            await handle


def test_two_agencies_that_take_one_run_id_at_the_same_time_make_one_run() -> None:
    async def scenario(sim: Simulation) -> None:
        asked: list[str] = []

        def model(request: Request) -> str:
            asked.append(request.messages[-1].text)
            return f"heard {request.messages[-1].text}"

        kept = MemoryJournal()
        one = Agency(Agent("A"), model=function(model), journal=kept, system=sim.system)
        async with one:
            assert one._runtime.model is not None
            two = Agency(
                Agent("A"), model=one._runtime.model, journal=kept.as_worker(), name="other", system=sim.system
            )
            async with two:
                answers = await asyncio.gather(
                    one.run("x", conversation="x", run_id="k"),
                    two.run("y", conversation="y", run_id="k"),
                    return_exceptions=True,
                )
                await asyncio.sleep(0.013)  # so that nothing is due as all of it stops
        refused = [one for one in answers if isinstance(one, BaseException)]
        assert [type(one) for one in refused] == [DefinitionError], answers
        won = "x" if answers[1] is refused[0] else "y"
        said = str(refused[0])  # whose it is is told where there was time to look whether that is the caller's own
        assert f"is taken by a run of A/{won};" in said or "is taken by a run of another conversation;" in said
        assert asked.count(won) == 1

    simulate(scenario, seeds=30)


def test_a_run_behind_another_learns_at_once_that_its_conversation_is_gone() -> None:
    async def scenario(sim: Simulation) -> None:
        kept = MemoryJournal()
        held = Held()
        async with held.agency(kept, system=sim.system) as agency:
            first = asyncio.ensure_future(agency.run("hold on", conversation="c"))
            await held.begun.wait()
            kept.as_worker().delete("A/c")
            began = asyncio.get_running_loop().time()
            with pytest.raises(RunCancelled, match="released, or is gone on with elsewhere"):
                await agency.start_run("second", conversation="c")
            with pytest.raises(RunCancelled, match="released, or is gone on with elsewhere"):
                await first
            assert asyncio.get_running_loop().time() - began < 1
            await asyncio.sleep(0.013)  # so that nothing is due as all of it stops

    simulate(scenario, seeds=10)


async def test_a_run_id_is_taken_by_the_conversation_that_it_was_first_asked_in(journal: Any) -> None:
    held = Held()
    async with held.agency(journal) as agency:
        first = asyncio.ensure_future(agency.run("hold on", conversation="x", run_id="k"))
        second = asyncio.ensure_future(agency.run("hold on", conversation="y", run_id="k"))
        with pytest.raises(DefinitionError, match="run id 'k' is taken by a run of A/x;"):
            await second
        held.go.set()
        assert (await first).conversation == "x"


async def test_one_whose_caller_is_cancelled_as_it_is_being_recorded_ends(tmp_path: Path) -> None:
    async with Held().agency(tmp_path / "j.db") as agency:
        starting = asyncio.ensure_future(agency.start_run("hold on", conversation="c", run_id="mine"))
        register = agency._runtime.register
        await until(lambda: (entry := register.get("mine")) is not None and entry.accepted)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        with pytest.raises(RunCancelled, match="before it was accepted"):
            await (await agency.handle("mine"))
