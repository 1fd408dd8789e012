"""Runs are made where their conversations live, whoever asks."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import Any

import pytest
from pydantic import BaseModel

from callboard import (
    Agent,
    ChildSpec,
    Cluster,
    Handoff,
    MemoryJournal,
    Message,
    RateLimited,
    Request,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunText,
    TextDelta,
)
from callboard.actors.agents.turns.records import RunRequest
from callboard.actors.cluster.members import STREAMS
from callboard.actors.cluster.network import Network
from callboard.actors.cluster.runs.making import Maker
from callboard.actors.cluster.runs.messages import Event, Made, Make, Recorded, Refused
from callboard.testing import FunctionModel, run_virtual

from .stage import Stage, stage


async def test_a_run_is_made_where_its_conversation_lives_and_its_answer_comes_back() -> None:
    async with stage("one", "two", "three") as made:
        for name in made.nodes:
            conversation = made.conversation_on(name)
            for asked in made.nodes.values():
                answer = await asked.run("where", conversation=conversation)
                assert (answer.text, answer.conversation) == (f"it was {name}", conversation)
        assert made.called == ["one"] * 3 + ["two"] * 3 + ["three"] * 3
        history = await made.nodes["one"].run("hello", conversation=made.conversation_on("three"))
        assert len(history.messages) > 8  # of the four runs before


async def test_text_of_a_run_on_another_node_comes_as_it_is_written() -> None:
    async with stage("one", "two") as made:
        conversation = made.conversation_on("two")
        events = [e async for e in made.nodes["one"].run_streaming("a b c", conversation=conversation)]
        assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "you said a b c"
        assert isinstance(events[-1], RunFinished)


async def test_cancelling_reaches_the_node_where_the_run_is_made() -> None:
    async with stage("one", "two") as made:
        conversation = made.conversation_on("two")
        handle = await made.nodes["one"].start_run("hold", conversation=conversation)
        await made.holding.wait()
        await handle.cancel()
        with pytest.raises(RunCancelled):
            await handle
        assert made.called == ["two"]
        answer = await made.nodes["two"].run("where", conversation=conversation)
        assert answer.text == "it was two"


async def test_a_caller_that_gives_up_ends_the_run_over_there() -> None:
    async with stage("one", "two") as made:
        conversation = made.conversation_on("two")
        task = asyncio.ensure_future(made.nodes["one"].run("hold", conversation=conversation))
        await made.holding.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        read = await made.nodes["two"].conversation(conversation, agent="Clerk")
        assert [type(run.error) for run in read.runs] == [RunCancelled]


async def test_a_run_goes_on_elsewhere_when_its_node_leaves() -> None:
    async with stage("one", "two", "three") as made:
        conversation = made.conversation_on("two")
        task = asyncio.ensure_future(made.nodes["one"].run("think", conversation=conversation))
        await made.holding.wait()
        await made.nodes["two"].stop()
        made.held.set()
        assert (await task).text in ("thought on one", "thought on three")


async def test_a_run_is_made_although_its_node_cannot_be_reached() -> None:
    async with stage("one", "two") as made:
        conversation = made.conversation_on("two")
        node = made.nodes["one"]
        made.network._timeout = 0.02
        assert node._node is not None
        node._node._patience = 0.05
        made.network.cut([node.journal.worker], [made.nodes["two"].journal.worker])
        answer = await node.run("where", conversation=conversation)
        assert answer.text == "it was one"
        assert made.called == ["one"]


async def test_a_run_that_failed_on_another_node_says_of_what() -> None:
    async with stage("one", "two") as made:
        for name in made.nodes:
            with pytest.raises(RunFailed, match="asked too much") as failed:
                await made.nodes["one"].run("too much", conversation=made.conversation_on(name))
            cause = failed.value.__cause__
            assert type(cause) is RateLimited
            assert cause.retry_after == 7.0
            assert failed.value.partial is not None


async def test_lists_of_runs_say_which_node_has_one_that_has_not_ended() -> None:
    async with stage("one", "two") as made:
        one = made.nodes["one"]
        assert [agency.node for agency in made.nodes.values()] == ["one", "two"]
        conversation = made.conversation_on("two")
        handle = await one.start_run("hold", conversation=conversation)
        await made.holding.wait()
        for agency in made.nodes.values():
            assert [(run.id, run.worker) for run in (await agency.runs()).runs] == [(handle.id, "two")]
        made.held.set()
        await handle
        assert [run.worker for run in (await one.runs()).runs] == [""]


async def test_text_of_a_background_run_on_another_node_comes_as_it_is_written() -> None:
    async with stage("one", "two") as made:
        conversation = made.conversation_on("two")
        handle = await made.nodes["one"].start_run("dictate", conversation=conversation, stream=True)
        told = []
        async for piece in handle.stream():
            if isinstance(piece, RunText):
                told.append(piece.text)
                made.held.set()
        assert told == ["you", " said dictate"]


@pytest.mark.parametrize("turn", [1, 2])
async def test_so_does_that_of_an_agent_that_the_conversation_was_transferred_to(turn: int) -> None:
    async with stage("one", "two") as made:
        one, conversation = made.nodes["one"], made.conversation_on("two")
        if turn == 2:
            assert (await one.run("hello", agent="Front", conversation=conversation)).text == "you said hello"
        handle = await one.start_run("dictate", agent="Front", conversation=conversation, stream=True)
        told = []
        async for piece in handle.stream():
            if isinstance(piece, RunText):
                told.append(piece.text)
                made.held.set()
        assert told == ["you", " said dictate"]


async def test_what_is_cancelled_at_any_moment_stays_cancelled() -> None:
    async with stage("one", "two") as made:
        one = made.nodes["one"]
        for passes in range(1, 60):
            id = f"k{passes}"
            conversation = made.conversation_on("two", begins=f"c{passes}-")
            asked = asyncio.ensure_future(one.run("hold", conversation=conversation, run_id=id))
            for _ in range(passes):
                await asyncio.sleep(0)
            assert one._runtime.register.is_open(id)
            one._runtime.register.cancel(id, "by the test")
            async with asyncio.timeout(10):
                with pytest.raises(RunCancelled, match="by the test"):
                    await asked
                for agency in made.nodes.values():
                    left = [entry.reply for entry in agency._runtime.register.open()]
                    await asyncio.gather(*left, return_exceptions=True)


def say_loads(made: Stage, seen_by: str, loads: dict[str, int]) -> None:
    """Have a node see others with these loads."""
    members = made.nodes[seen_by]._members
    assert members is not None
    by_name = {node.name: node for node in members.alive.values()}
    members.alive = {by_name[name].id: by_name[name]._replace(load=load) for name, load in loads.items()}


async def test_a_run_that_each_node_would_send_to_the_other_is_made() -> None:
    async with stage("one", "two") as made:
        say_loads(made, "one", {"one": 10, "two": 0})
        say_loads(made, "two", {"one": 0, "two": 10})
        async with asyncio.timeout(5):
            assert (await made.nodes["one"].run("where", conversation="c")).text == "it was two"


async def test_a_run_that_is_asked_for_at_two_nodes_at_once_which_see_each_other_idle_is_made_once() -> None:
    async with stage("one", "two") as made:
        say_loads(made, "one", {"one": 10, "two": 0})
        say_loads(made, "two", {"one": 0, "two": 10})
        asked = [node.run("where", conversation="c", run_id="r") for node in made.nodes.values()]
        async with asyncio.timeout(5):
            first, second = await asyncio.gather(*asked)
        assert first.text == second.text
        assert len(made.called) == 1


@pytest.mark.parametrize(("many", "seconds"), [(1, 5), (400, 20)])
def test_many_nodes_look_less_often_for_what_nobody_works_on_unless_one_goes(
    many: int, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        journal = MemoryJournal()
        looked: list[float] = []
        headers = MemoryJournal.headers

        def counted(self: MemoryJournal, **options: Any) -> Any:
            if options.get("abandoned"):
                looked.append(asyncio.get_running_loop().time())
            return headers(self, **options)

        monkeypatch.setattr(MemoryJournal, "headers", counted)
        others = [journal.as_worker() for _ in range(many)]
        for other in others:
            other.open(STREAMS + other.worker).append((), labels={"name": "other"})
        cluster = Cluster(None, journal=journal.as_worker(), node="one")
        async with cluster.agency(Agent("Clerk"), model=ChildSpec(FunctionModel, (str,))):
            await asyncio.sleep(1.0)
            looked.clear()
            await asyncio.sleep(60.0)
            assert len(looked) == 60 // seconds
            looked.clear()
            others[0].abandon()
            await asyncio.sleep(5.0)
            assert looked

    run_virtual(scenario())


async def test_what_a_node_cannot_make_is_made_where_it_can_be() -> None:
    class Where(BaseModel):
        text: str

    def where(request: Request) -> str:
        return '{"text": "here"}'

    network, journal = Network(), MemoryJournal()
    async with AsyncExitStack() as stack:
        one, two = [
            await stack.enter_async_context(
                Cluster(None, transport=network.transport(), journal=journal.as_worker(), node=name).agency(
                    *[Agent(agent) for agent in agents], model=ChildSpec(FunctionModel, (where,))
                )
            )
            for name, agents in (("one", ("Clerk", "Planner")), ("two", ("Clerk",)))
        ]
        assert one._carrier is not None
        one._carrier._place = lambda run, but: None if but else two.journal.worker
        answer = await one.run("go", output_type=Where)  # nobody else has a class of a function
        assert answer.value == Where(text="here")
        assert (await one.run("go", agent="Planner")).text == '{"text": "here"}'


def test_programs_without_a_way_to_each_other_make_what_they_are_asked_for_at_once() -> None:
    async def scenario() -> None:
        journal = MemoryJournal()
        async with AsyncExitStack() as stack:
            one, two = [
                await stack.enter_async_context(
                    Cluster(None, journal=journal.as_worker(), node=name).agency(
                        Agent("Clerk"), model=ChildSpec(FunctionModel, (lambda request, name=name: f"by {name}",))
                    )
                )
                for name in ("one", "two")
            ]
            await asyncio.sleep(3.0)
            before = asyncio.get_running_loop().time()
            for number in range(10):  # some of them would live with the other one
                assert (await one.run("go", conversation=f"a{number}")).text == "by one"
                assert (await two.run("go", conversation=f"b{number}")).text == "by two"
            assert asyncio.get_running_loop().time() - before < 1.0

    run_virtual(scenario())


async def test_a_run_on_another_node_is_answered_although_its_agent_has_failed_for_good_here() -> None:
    async with stage("one", "two") as made:
        one = made.nodes["one"]
        handle = await one.start_run("hold", conversation=made.conversation_on("two"))
        await made.holding.wait()
        await one.agent_ref("Clerk").stop()
        for _ in range(20):
            await asyncio.sleep(0)
        made.held.set()
        async with asyncio.timeout(5):
            assert (await handle).text == "it was two"


async def test_a_node_that_makes_a_run_says_once_that_it_is_recorded_then_what_happens_and_last_how_it_ended() -> None:
    async with stage("one", "two") as made:
        one, two = made.nodes["one"], made.nodes["two"]
        runs = one.ref("two", f"{two.name}.runs")
        run = RunRequest("r", "r", "Clerk", "c", (Message("user", "where"),), ("Clerk",), stream=True, keyed=True)
        for listens in (True, False):
            said = [one async for one in runs.stream(Make(run._replace(id=f"r{listens}"), True, listens, 0.0))]
            assert [type(one) for one in said if not isinstance(one, Event)] == [Recorded, Made]
            assert isinstance(said[-1], Made)
            assert any(isinstance(one, Event) for one in said) is listens
        nobody = run._replace(id="r2", agent="Nobody")
        (refused,) = [one async for one in runs.stream(Make(nobody, True, True, 0.0))]
        assert isinstance(refused, Refused)
        assert "no agent is called 'Nobody'" in refused.why
        taken = run._replace(id="rTrue", conversation="another")
        (ended,) = [one async for one in runs.stream(Make(taken, True, False, 0.0))]
        assert isinstance(ended, Made)
        assert "rTrue" in str(ended.outcome.error)
        await two.start_run("hold", conversation=made.conversation_on("two"), run_id="held")
        held = run._replace(id="held", conversation="another")
        (refused,) = [one async for one in runs.stream(Make(held, True, True, 0.0))]
        assert isinstance(refused, Refused)
        assert "held" in refused.why


async def test_a_handoff_of_an_actor_of_ones_own_is_worked_on_where_it_lives(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "callboard.cluster")
    async with stage("one", "two") as made:
        one, two = made.nodes["one"], made.nodes["two"]
        assert one._carrier is not None
        one._carrier._place = lambda run, but: None if but else two.journal.worker
        handed: Any = await one.agent_ref("Clerk").ask(Handoff("Watcher", "Clerk", "hello"))
        assert handed.text.startswith("you said From: Watcher")
        assert "was not made" not in caplog.text


async def test_a_run_is_cancelled_although_its_node_cannot_be_reached_any_more() -> None:
    async with stage("one", "two", "three") as made:
        conversation = made.conversation_on("two")
        one, two = made.nodes["one"], made.nodes["two"]
        made.network._timeout = 0.02
        assert one._node is not None
        one._node._patience = 0.05
        handle = await one.start_run("hold", conversation=conversation)
        await made.holding.wait()
        made.network.cut([one.journal.worker], [two.journal.worker])
        await handle.cancel()
        async with asyncio.timeout(20):
            with pytest.raises(RunCancelled):
                await handle
        assert made.called == ["two"]


async def test_events_of_a_run_on_another_node_are_told_by_the_clock_here() -> None:
    async with stage("one", "two") as made:
        now = made.nodes["two"]._runtime.time
        made.nodes["two"]._runtime.time = lambda: now() + 1e6
        conversation = made.conversation_on("two")
        events = [event async for event in made.nodes["one"].run_streaming("where", conversation=conversation)]
        assert len(events) > 4
        assert all(abs(event.at - now()) < 1000.0 for event in events)


async def test_the_first_node_that_is_asked_is_told_so_and_the_next_one_that_it_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, bool]] = []
    on_receive = Maker.on_receive

    def noted(self: Maker, message: Any) -> Any:
        if isinstance(message, Make):
            asked.append((message.run.id, message.first))
        return on_receive(self, message)

    monkeypatch.setattr(Maker, "on_receive", noted)
    async with stage("one", "two", "three") as made:
        two, three = made.nodes["two"], made.nodes["three"]
        assert made.nodes["one"]._carrier is not None
        made.nodes["one"]._carrier._place = lambda run, but: three.journal.worker if but else two.journal.worker
        two._runtime.register.closed = "is stopping"
        assert (await made.nodes["one"].run("where", run_id="r")).text == "it was three"
        two._runtime.register.closed = ""
        assert asked == [("r", True), ("r", False)]
