"""Agencies that join a cluster and leave it, at any moment."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from callboard import (
    Agency,
    AgencyClosed,
    Agent,
    ChildSpec,
    Cluster,
    ConversationBusy,
    DefinitionError,
    Handoff,
    MemoryJournal,
    System,
)
from callboard.actors.cluster.errors import CutOff, NodeUnknown
from callboard.actors.cluster.members import STREAMS
from callboard.actors.cluster.network import Network
from callboard.actors.journal.errors import JournalError
from callboard.testing import FunctionModel

from .stage import Stage, stage


def hello(request: Any) -> str:
    return "hello"


def one_of(network: Network, journal: MemoryJournal, **options: Any) -> Any:
    cluster = Cluster(None, transport=network.transport(), journal=journal.as_worker(), node="one")
    return cluster.agency(Agent("Clerk"), model=ChildSpec(FunctionModel, (hello,)), **options)


@pytest.mark.parametrize(
    "wrong",
    [
        {"journal": None},
        {"journal": 5},
        {"journal": ""},
        {"journal": "runs.sqlite"},
        {"journal": Path("runs.sqlite")},
        {"address": ""},
        {"address": 5},
        {"address": "ray://head:10001"},
        {"address": "10.0.0.1"},
        {"address": "AUTO"},
        {"journal": MemoryJournal(), "address": "auto"},
        {"namespace": ""},
        {"namespace": None},
        {"node": "two\nlines"},
        {"node": b"one"},
        {"node": "\x1b[2J"},
        {"node": "half \ud800"},
        {"lease": 0.1},
        {"lease": True},
        {"lease": float("nan")},
        {"lease": "3"},
        {"transport": 5},
    ],
    ids=lambda wrong: f"{', '.join(wrong)}-{next(iter(wrong.values()))!r:.15}",
)
def test_arguments_of_the_wrong_shape_are_refused_by_name(wrong: dict[str, Any]) -> None:
    given: dict[str, Any] = {"address": None, "journal": MemoryJournal(), **wrong}
    address = given.pop("address")
    with pytest.raises(DefinitionError, match=f"Cluster: {next(iter(wrong))}"):
        Cluster(address, **given)


@pytest.mark.parametrize(
    "address",
    ["postgresql+asyncpg://me:sk-1@db", "mysql://me:sk-1@db", " postgresql://me:sk-1@db", b"postgresql://me:sk-1@db"],
)
def test_an_address_that_is_refused_is_not_shown_for_its_password(address: Any) -> None:
    for refused in (lambda: Cluster(None, journal=address), lambda: Agency(Agent("Clerk"), journal=address)):
        with pytest.raises(DefinitionError, match="journal is") as error:
            refused()
        assert "sk-1" not in str(error.value)


async def test_an_agency_takes_no_journal_and_references_want_a_node_and_a_path() -> None:
    cluster = Cluster(None, journal=MemoryJournal())
    with pytest.raises(DefinitionError, match="journal"):
        cluster.agency(Agent("Clerk"), journal="x")
    async with stage("one", "two") as made:
        one: Any = made.nodes["one"]
        for node in (5, "", "nobody"):
            with pytest.raises(NodeUnknown):
                one.ref(node, "x")
        for path in (5, "", None):
            with pytest.raises(ValueError, match="path"):
                one.ref("two", path)
    with pytest.raises(CutOff):
        one_of(Network(), MemoryJournal()).ref("one", "x")


async def test_a_cluster_has_one_agency_at_a_time_and_a_journal_that_others_see() -> None:
    cluster = Cluster(None, journal=MemoryJournal())
    async with cluster.agency(Agent("Clerk"), model=ChildSpec(FunctionModel, (hello,))):
        other = cluster.agency(Agent("Clerk"), model=ChildSpec(FunctionModel, (hello,)))
        with pytest.raises(DefinitionError, match="another node"):
            await other.start()
    async with other:
        assert (await other.run("hi")).text == "hello"
    with pytest.raises(DefinitionError, match="Cluster: journal is in memory"):
        Cluster("auto", journal=MemoryJournal())


async def test_an_agency_that_is_started_twice_goes_on_and_says_so() -> None:
    async with stage("one", "two") as made:
        one = made.nodes["one"]
        takes_up = one._runtime.takes_up
        with pytest.raises(AgencyClosed):
            await one.start()
        assert one._runtime.takes_up == takes_up
        assert (await one.run("where", conversation=made.conversation_on("two"))).text == "it was two"
        with pytest.raises(DefinitionError):
            await one.stop(drain="long")  # type: ignore[arg-type]
        assert not one._leaving
        await one.stop()
        await one.stop()
        with pytest.raises(AgencyClosed):
            await one.start()


@pytest.mark.parametrize("own", [True, False])
async def test_an_agency_that_is_stopped_at_any_moment_of_its_start_leaves_nothing(own: bool) -> None:
    before = asyncio.all_tasks()
    for passes in range(80):
        network, journal = Network(), MemoryJournal()
        system = System("one")
        async with system:
            agency = one_of(network, journal, **({} if own else {"system": system}))
            starting = asyncio.ensure_future(agency.start())
            for _ in range(passes):
                await asyncio.sleep(0)
            async with asyncio.timeout(10):
                await agency.stop()
                await asyncio.gather(starting, return_exceptions=True)
            assert starting.exception() is None or isinstance(starting.exception(), AgencyClosed), passes
            assert not network._nodes, passes
            assert not journal.headers(prefix=STREAMS), passes
    assert asyncio.all_tasks() == before


async def test_an_agency_finds_its_way_back_however_often_it_is_cut_off(caplog: Any) -> None:
    caplog.set_level(logging.ERROR)
    made = Stage()
    async with made.agency("one") as one:
        assert one._node is not None
        transport: Any = made.network.transport
        opened = 0
        opens = one._node._transport.open

        async def open_late(node: str, receive: Any, lost: Any) -> None:
            nonlocal opened
            opened += 1
            if opened == 1:
                raise CutOff("not yet")
            if opened == 2:
                raise OSError("no room for it")
            await opens(node, receive, lost)
            if opened == 3:
                await one._node._transport.close()  # type: ignore[union-attr]
                lost()

        one._node._transport.open = open_late  # type: ignore[method-assign]
        assert transport
        await one._node._transport.close()
        one._lost()
        one._lost()
        assert (await one.run("where", conversation="c")).text == "it was one"
        async with asyncio.timeout(20):
            assert one._rejoining is not None
            await one._rejoining
        assert opened == 4
        # That it is still cut off is expected, and no fault; what a transport should not raise is one.
        assert [record.getMessage() for record in caplog.records] == ["node one is still cut off"]
        assert made.network._nodes


async def test_an_agency_that_stops_waits_for_what_is_made_elsewhere_or_lets_it_go_on_there() -> None:
    async with stage("one", "two") as made:
        one, two = made.nodes["one"], made.nodes["two"]
        conversation = made.conversation_on("two")
        waited = asyncio.ensure_future(one.run("think", conversation=conversation))
        await made.holding.wait()
        stopping = asyncio.ensure_future(one.stop(drain=10.0))
        await asyncio.sleep(0)
        made.held.set()
        await stopping
        assert (await waited).text == "thought on two"
    async with stage("one", "two") as made:
        one, two = made.nodes["one"], made.nodes["two"]
        conversation = made.conversation_on("two")
        asked = asyncio.ensure_future(one.run("think", conversation=conversation, run_id="k"))
        await made.holding.wait()
        await one.stop()
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("carry")]
        with pytest.raises(AgencyClosed):
            await asked
        made.held.set()
        assert (await two.run("think", conversation=conversation, run_id="k")).text == "thought on two"


async def test_a_run_on_another_node_is_steered_and_keeps_others_out_and_its_agent_takes_handoffs() -> None:
    async with stage("one", "two") as made:
        one, two = made.nodes["one"], made.nodes["two"]
        conversation = made.conversation_on("two")
        handle = await one.start_run("hold", conversation=conversation)
        await made.holding.wait()
        for asker in (one, two):
            with pytest.raises(ConversationBusy):
                await asker.run("where", conversation=conversation, when_busy="reject")
        await one.steer(conversation, "and be quick")
        made.held.set()
        answer = await handle
        assert [m.text for m in answer.messages if m.role == "user"] == ["hold", "and be quick"]
        ref = one.ref("two", two.agent_ref("Clerk").path)
        handed: Any = await ref.ask(Handoff("Watcher", "Clerk", "hello"))
        assert handed.text.startswith("you said From: Watcher")


async def test_that_a_node_has_died_is_logged_as_a_warning_and_that_one_has_left_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "callboard.cluster")
    async with stage("one", "two", "three") as made:
        one, two = made.nodes["one"], made.nodes["two"]
        await made.nodes["three"].stop()
        two.journal.abandon()  # type: ignore[attr-defined]
        assert one._members is not None
        await one._members.look()
        assert [node.name for node in one.nodes] == ["one"]
        said = [record.getMessage() for record in caplog.records]
        assert said == [f"node two ({two.journal.worker}) takes part no more: its lease has run out"]


async def test_a_node_that_is_about_to_leave_finishes_what_it_has_and_is_given_nothing_new() -> None:
    async with stage("one", "two") as made:
        one, two = made.nodes["one"], made.nodes["two"]
        before, new = made.conversation_on("two"), made.conversation_on("two", begins="new")
        asked = asyncio.ensure_future(one.run("think", conversation=before))
        await made.holding.wait()
        stopping = asyncio.ensure_future(two.stop(drain=10.0))
        await asyncio.sleep(0)
        assert one._members is not None
        await one._members.look()
        assert [(node.name, node.draining) for node in one.nodes] == [("one", False), ("two", True)]
        assert (await one.run("where", conversation=new)).text == "it was one"
        made.held.set()
        assert (await asked).text == "thought on two"
        await stopping
        await one._members.look()
        assert [node.name for node in one.nodes] == ["one"]


async def test_an_agency_that_cannot_see_who_takes_part_does_not_start_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    headers = MemoryJournal.headers

    def damaged(journal: MemoryJournal, **options: Any) -> Any:
        if options.get("prefix") == STREAMS:
            raise JournalError("the disk is full")
        return headers(journal, **options)

    monkeypatch.setattr(MemoryJournal, "headers", damaged)
    network = Network()
    with pytest.raises(JournalError, match="the disk is full"):
        await one_of(network, MemoryJournal()).start()
    assert not network._nodes
