"""Event-sourced actors: their state is the sum of what they have kept, whatever happens to them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.actors import ActorCrashed, ActorRef, AskTimeout, ChildSpec, CoreError, System
from callboard.actors.journal import (
    EventNotWritable,
    EventSourcedActor,
    Journal,
    JournalClosed,
    JournalError,
    MemoryJournal,
    StreamFenced,
)
from callboard.testing import Crash, Simulation, simulate

from .late import LateJournal
from .stores import STORES, Said, Store, settled


@dataclass(frozen=True)
class Add:
    """Adds these, all or none; answered with all that have been added."""

    items: tuple[Any, ...]
    at_once: bool = False


class Ledger(EventSourcedActor[Any, Any]):
    """Keeps a list."""

    def __init__(self, journal: Any, stream: str = "ledger") -> None:
        super().__init__(journal, stream)
        self.items: list[Any] = []
        self.restored: Any = None
        self.applied = 0

    def apply(self, event: Any) -> None:
        self.items.append(event)
        self.applied += 1

    async def on_receive(self, message: Any) -> Any:
        match message:
            case Add(items, at_once):
                if at_once:
                    await asyncio.gather(*map(self.persist, items))
                else:
                    await self.persist(*items)
            case "swallow":
                try:
                    await self.persist("swallowed")
                except JournalError as error:
                    return type(error)
            case "restored":
                return self.restored, self.applied
        return list(self.items)


class Snapshotting(Ledger):
    """Asked for a snapshot after three events."""

    snapshot_every = 3

    def snapshot(self) -> Any:
        return {"items": list(self.items)}

    def restore(self, snapshot: Any) -> None:
        self.restored = snapshot
        self.items = list(snapshot["items"])


def spec(journal: Any, kind: type[Ledger] = Ledger) -> ChildSpec[Ledger]:
    return ChildSpec(partial(kind, journal), name="ledger")


def run(scenario: Any, **more: Any) -> None:
    simulate(scenario, **{"seeds": 5, **more})


@pytest.fixture(params=["at once", "late"])
def journal(request: pytest.FixtureRequest) -> Any:
    return MemoryJournal() if request.param == "at once" else LateJournal(MemoryJournal())


def fresh(journal: Any) -> Any:
    """A journal like this one, for one run of a simulation."""
    return MemoryJournal() if isinstance(journal, MemoryJournal) else LateJournal(MemoryJournal())


def memory_of(journal: Any) -> MemoryJournal:
    return journal if isinstance(journal, MemoryJournal) else journal.kept


def kept(journal: Any) -> list[Any]:
    return [record.event for record in memory_of(journal).as_worker().read("ledger")]


async def over(journal: Any) -> None:
    if isinstance(journal, LateJournal):
        await journal.idle()


# -- keeping ----------------------------------------------------------------------------------------------------------


def test_a_crash_loses_nothing_that_was_kept(journal: Any) -> None:
    async def scenario(sim: Simulation) -> None:
        here = fresh(journal)
        ledger = sim.system.supervise(spec(here))
        assert await ledger.ask(Add((1, 2))) == [1, 2]
        ledger.kill()
        assert await ledger.ask(Add((3,))) == [1, 2, 3]
        sim.system.restart_child("ledger")
        assert await ledger.ask("items") == [1, 2, 3] == kept(here)
        await over(here)

    run(scenario)


def test_what_is_persisted_at_once_is_applied_in_the_order_it_is_kept(journal: Any) -> None:
    async def scenario(sim: Simulation) -> None:
        here = fresh(journal)
        ledger = sim.system.supervise(spec(here))
        found = await ledger.ask(Add(tuple(range(8)), at_once=True))
        assert found == kept(here)
        assert sorted(found) == list(range(8))
        await over(here)

    run(scenario, seeds=20)


def test_nothing_is_applied_before_it_is_kept_and_the_next_message_finds_it_applied() -> None:
    async def scenario(sim: Simulation) -> None:
        here = LateJournal(MemoryJournal(), seconds=5)
        ledger = sim.system.supervise(spec(here))
        asking = ledger.ask(Add((1,)))
        looking = ledger.ask("items")
        await asyncio.sleep(7)
        assert kept(here) == []
        assert not looking.done()
        assert await asking == await looking == [1]
        await over(here)

    run(scenario)


def test_an_event_whose_asker_has_given_up_is_applied_all_the_same_before_the_next_message() -> None:
    async def scenario(sim: Simulation) -> None:
        here = LateJournal(MemoryJournal(), seconds=2)
        ledger = sim.system.supervise(spec(here))
        assert await ledger.ask("items") == []
        with pytest.raises(AskTimeout):
            await ledger.ask(Add((1,)), timeout=1)
        assert await ledger.ask("restored") == (None, 1)
        assert await ledger.ask("items") == kept(here) == [1]
        await over(here)

    run(scenario)


def test_an_event_that_cannot_be_written_is_its_askers_affair() -> None:
    async def scenario(sim: Simulation) -> None:
        here = LateJournal(MemoryJournal())
        ledger = sim.system.supervise(spec(here))
        with pytest.raises(EventNotWritable):
            await ledger.ask(Add((1, object())))
        assert await ledger.ask(Add((2,))) == [2] == kept(here)
        assert await ledger.ask("restored") == (None, 1)  # the same incarnation
        await over(here)

    run(scenario)


# -- what crashes it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["asked", "told", "swallowed"])
def test_who_has_lost_its_stream_crashes_and_reads_again(journal: Any, how: str) -> None:
    async def scenario(sim: Simulation) -> None:
        here = fresh(journal)
        memory = memory_of(here)
        ledger = sim.system.supervise(spec(here))
        await ledger.ask(Add((1,)))
        crashed: list[str] = []
        sim.system.subscribe(lambda event: crashed.append(event.detail) if event.kind == "crashed" else None)
        memory.open("ledger").append([2])  # somebody of the same worker took it over
        if how == "asked":
            with pytest.raises(StreamFenced):
                await ledger.ask(Add(("lost",)))
        elif how == "told":
            ledger.tell(Add(("lost",)))
        else:
            assert await ledger.ask("swallow") is StreamFenced
        assert await ledger.ask(Add((3,))) == [1, 2, 3] == kept(here)
        assert len(crashed) == 1
        assert "StreamFenced" in crashed[0]
        await over(here)

    run(scenario)


def test_where_it_is_not_known_whether_events_were_kept_it_crashes() -> None:
    async def scenario(sim: Simulation) -> None:
        here = LateJournal(MemoryJournal())
        ledger = sim.system.spawn(Ledger, here)
        await ledger.ask(Add((1,)))
        asking = ledger.ask(Add((2,)))
        await asyncio.sleep(0.5)
        here.kept.close()
        with pytest.raises(JournalClosed):
            await asking
        await ledger.terminated()
        await over(here)

    run(scenario)


def test_an_actor_of_a_process_that_was_killed_gets_nothing_in_and_knows_it() -> None:
    async def scenario(sim: Simulation) -> None:
        journal = MemoryJournal()
        first = sim.system.spawn(Ledger, journal)
        assert await first.ask(Add((1,))) == [1]
        journal.abandon()
        second = sim.system.spawn(Ledger, journal.as_worker())
        assert await second.ask(Add((2,))) == [1, 2]
        with pytest.raises(JournalClosed):
            await first.ask(Add(("lost",)))
        await first.terminated()  # what it would answer with has gone by
        assert await second.ask("items") == [1, 2] == kept(journal)

    run(scenario)


class Faulty(Ledger):
    def apply(self, event: Any) -> None:
        super().apply(event)
        if event == "bad":
            raise ArithmeticError("cannot apply this")


def test_what_cannot_be_applied_crashes_it(journal: Any) -> None:
    async def scenario(sim: Simulation) -> None:
        here = fresh(journal)
        ledger = sim.system.spawn(Faulty, here)
        with pytest.raises(ArithmeticError):
            await ledger.ask(Add((1, "bad", 3)))
        await ledger.terminated()
        await over(here)
        assert kept(here) == [1, "bad", 3]
        await sim.system.spawn(Faulty, here).terminated()  # it cannot start either, and leaves the stream free
        await over(here)
        assert memory_of(here).as_worker().open("ledger").version == 3

    run(scenario)


class Early(Ledger):
    async def on_start(self) -> None:
        await self.persist("too early")


def test_who_persists_before_its_stream_is_open_is_told() -> None:
    async def scenario(sim: Simulation) -> None:
        ledger = sim.system.spawn(Early, MemoryJournal())
        with pytest.raises(CoreError):
            await ledger.started()

    run(scenario)


class Greeting(Ledger):
    async def on_start(self) -> None:
        await super().on_start()
        await self.persist("hello")


def test_who_overrides_on_start_persists_there(journal: Any) -> None:
    async def scenario(sim: Simulation) -> None:
        here = fresh(journal)
        ledger = sim.system.supervise(spec(here, Greeting))
        assert await ledger.ask(Add((1,))) == ["hello", 1]
        ledger.kill()
        assert await ledger.ask("items") == ["hello", 1, "hello"] == kept(here)
        await over(here)

    run(scenario)


# -- snapshots --------------------------------------------------------------------------------------------------------


def test_a_snapshot_stands_for_what_it_was_asked_for_after(journal: Any) -> None:
    async def scenario(sim: Simulation) -> None:
        here = fresh(journal)
        ledger = sim.system.supervise(spec(here, Snapshotting))
        for number in range(8):
            await ledger.ask(Add((number,)))
        ledger.kill()
        assert await ledger.ask("restored") == ({"items": [0, 1, 2, 3, 4, 5]}, 2)
        assert await ledger.ask(Add((8,))) == list(range(9)) == kept(here)
        ledger.kill()
        assert await ledger.ask("restored") == ({"items": list(range(9))}, 0)
        await over(here)

    run(scenario)


def test_a_snapshot_does_not_stand_for_events_that_are_not_applied_yet(journal: Any) -> None:
    async def scenario(sim: Simulation) -> None:
        here = fresh(journal)
        ledger = sim.system.supervise(spec(here, Snapshotting))
        found = await ledger.ask(Add(tuple(range(8)), at_once=True))
        ledger.kill()
        assert await ledger.ask("items") == found == kept(here)
        await over(here)

    run(scenario)


class Unable(Snapshotting):
    def snapshot(self) -> Any:
        raise RuntimeError("no picture today")


async def test_a_snapshot_that_cannot_be_made_is_logged_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async with System() as system:
        ledger = system.supervise(spec(MemoryJournal(), Unable))
        with caplog.at_level(logging.ERROR):
            assert await ledger.ask(Add((1, 2, 3))) == [1, 2, 3]
        assert "no snapshot of ledger at version 3" in caplog.text
        assert "no picture today" in caplog.text
        ledger.kill()
        assert await ledger.ask(Add((4,))) == [1, 2, 3, 4]


# -- whose it is ------------------------------------------------------------------------------------------------------


def test_a_start_waits_for_who_holds_the_stream(journal: Any) -> None:
    async def scenario(sim: Simulation) -> None:
        here = fresh(journal)
        memory = memory_of(here)
        other = memory.as_worker()
        handle = other.open("ledger")
        handle.append([1])
        ledger = sim.system.supervise(spec(here))
        asking = ledger.ask(Add((2,)))
        await asyncio.sleep(10)
        handle.append(["until the last moment"])
        other.abandon()
        assert await asking == [1, "until the last moment", 2]
        await over(here)

    run(scenario)


def test_a_start_that_has_waited_long_enough_says_who_holds_the_stream() -> None:
    async def scenario(sim: Simulation) -> None:
        journal = MemoryJournal()
        journal.open("ledger")
        before = asyncio.get_running_loop().time()
        ledger = sim.system.spawn(Ledger, journal.as_worker())
        crashed: list[str] = []
        sim.system.subscribe(lambda event: crashed.append(event.detail) if event.kind == "crashed" else None)
        await ledger.terminated()
        assert "StreamOwned" in crashed[0]
        assert asyncio.get_running_loop().time() - before == Ledger.takeover_timeout

    run(scenario)


@pytest.mark.parametrize("end", ["stop", "crash"])
def test_an_actor_that_has_ended_holds_its_stream_no_more(journal: Any, end: str) -> None:
    async def scenario(sim: Simulation) -> None:
        here = fresh(journal)
        memory = memory_of(here)
        ledger = sim.system.spawn(Ledger, here)
        await ledger.ask(Add((1,)))
        if end == "stop":
            await ledger.stop()
        else:
            ledger.kill()
            await ledger.terminated()
            await over(here)
        assert list(memory.as_worker().open("ledger").events) == [1]

    run(scenario)


def test_a_start_that_is_broken_off_leaves_the_stream_free() -> None:
    async def scenario(sim: Simulation) -> None:
        here = LateJournal(MemoryJournal(), seconds=3)
        ledger = sim.system.spawn(Ledger, here)
        await asyncio.sleep(1)
        ledger.kill()
        await ledger.terminated()
        await over(here)
        here.kept.as_worker().open("ledger")

    run(scenario)


# -- types ------------------------------------------------------------------------------------------------------------


def test_the_second_type_may_be_left_out() -> None:
    class One(EventSourcedActor[int]):
        def apply(self, event: int) -> None: ...

    class Two(EventSourcedActor[int, str]):
        def apply(self, event: int) -> None: ...

    assert issubclass(One, EventSourcedActor)
    assert issubclass(Two, EventSourcedActor)


# -- every store ------------------------------------------------------------------------------------------------------


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made = STORES[request.param](tmp_path)
    yield made
    made.close()


async def test_the_next_process_goes_on_where_this_one_ended(store: Store) -> None:
    async def life(journal: Journal, *events: Any) -> Any:
        async with System() as system:
            ledger: ActorRef[Ledger] = system.supervise(spec(journal, Snapshotting))
            for event in events:
                found = await ledger.ask(Add((event,)))
            ledger.kill()
            assert await ledger.ask("items") == found
            return found

    first = store.journal()
    assert await life(first, 1, Said("two"), "three", 4) == [1, Said("two"), "three", 4]
    second = store.journal()  # the first one lives on, and has given the stream back
    assert (await life(second, 5, 6))[-2:] == [5, 6]
    first.close()
    assert [record.version for record in await settled(second.read("ledger"))] == [1, 2, 3, 4, 5, 6]


# -- whatever happens -------------------------------------------------------------------------------------------------


class Client(NamedTuple):
    pauses: list[int]
    size: int
    patience: float


WHEN: list[Literal["before", "in", "after"]] = ["before", "in", "after"]

clients = st.lists(
    st.builds(
        Client,
        st.lists(st.integers(0, 3), min_size=1, max_size=4),
        st.integers(1, 3),
        st.sampled_from([0.5, 2.5, 1000.0]),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=40, deadline=None)
@given(clients=clients, late=st.sampled_from([None, 0.0, 1.0]), snapshots=st.booleans(), crashes=st.integers(0, 3))
def test_the_state_is_what_was_kept_and_nothing_acknowledged_is_lost(
    clients: list[Client], late: float | None, snapshots: bool, crashes: int
) -> None:
    async def scenario(sim: Simulation) -> None:
        memory = MemoryJournal()
        journal: Any = memory if late is None else LateJournal(memory, late)
        ledger = sim.system.supervise(spec(journal, Snapshotting if snapshots else Ledger))
        acknowledged: list[Any] = []
        sent: list[Any] = []

        async def work(number: int, client: Client) -> None:
            for turn, pause in enumerate(client.pauses):
                await asyncio.sleep(pause)
                items = tuple((number, turn, part) for part in range(client.size))
                sent.extend(items)
                try:
                    found = await ledger.ask(Add(items), timeout=client.patience)
                except (ActorCrashed, AskTimeout):
                    continue
                at = found.index(tuple(items[0]))
                assert tuple(map(tuple, found[at : at + client.size])) == items, "torn apart"
                acknowledged.extend(items)

        async with asyncio.TaskGroup() as group:
            for number, client in enumerate(clients):
                group.create_task(work(number, client))
        state = await items(ledger)
        assert state == [record.event for record in memory.read("ledger")], "not what was kept"
        assert len(set(state)) == len(state), "applied twice"
        assert set(acknowledged) <= set(state) <= set(sent)
        ledger.kill()
        assert await items(ledger) == state, "read again, it is another"
        await over(journal)

    faults = [Crash("ledger", when=when, optional=True) for when in WHEN[:crashes]]
    run(partial(_expecting, scenario), seeds=4, faults=faults)


async def items(ledger: ActorRef[Ledger]) -> list[Any]:
    """What it has, asked again where a crash strikes that ask."""
    while True:
        try:
            return await ledger.ask("items")  # type: ignore[no-any-return]
        except ActorCrashed:
            pass


async def _expecting(scenario: Any, sim: Simulation) -> None:
    sim.expect_dead_letters()  # asks that were given up while they waited
    await scenario(sim)
