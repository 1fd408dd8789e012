"""Actors of one process that want the same stream of the same journal: one of them has it, and the others wait."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.actors import ActorCrashed, ActorDead, ActorRef, AskTimeout, ChildSpec, System
from callboard.actors.journal import EventSourcedActor, MemoryJournal, StreamOwned
from callboard.testing import Crash, Simulation, simulate

from .late import LateJournal
from .stores import STORES

AT_ONCE = 0.2
"""Virtual seconds: less than an actor waits before it looks again for a stream that another one holds."""


class Account(EventSourcedActor[int, Any]):
    """Keeps numbers, and answers with all of them."""

    takeover_timeout = 10.0

    def __init__(self, journal: Any, stream: str = "account") -> None:
        super().__init__(journal, stream)
        self.numbers: list[int] = []

    def apply(self, event: int) -> None:
        self.numbers.append(event)

    async def on_receive(self, message: Any) -> list[int]:
        if isinstance(message, int):
            await self.persist(message)
        return list(self.numbers)


def spec(journal: Any, name: str, **more: Any) -> ChildSpec[Account]:
    return ChildSpec(partial(Account, journal), name=name, **more)


def run(scenario: Any, **more: Any) -> None:
    simulate(scenario, **{"seeds": 5, **more})


@pytest.fixture(params=["at once", "late"])
def late(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "late")


def journal_of(late: bool) -> Any:
    return LateJournal(MemoryJournal(), 0.01) if late else MemoryJournal()


async def over(journal: Any) -> None:
    if isinstance(journal, LateJournal):
        await journal.idle()


def test_the_second_actor_of_a_stream_is_told_who_holds_it_and_the_first_goes_on(late: bool) -> None:
    async def scenario(sim: Simulation) -> None:
        journal = journal_of(late)
        first = sim.system.spawn(Account, journal, name="first")
        assert await first.ask(1) == [1]
        before = asyncio.get_running_loop().time()
        second = sim.system.spawn(Account, journal, name="second")
        with pytest.raises(ActorDead) as told:
            await second.ask(2)
        assert asyncio.get_running_loop().time() - before == Account.takeover_timeout
        assert told.value.__cause__ is not None
        owned = told.value.__cause__.__cause__
        assert isinstance(owned, StreamOwned)
        assert "account is held by Account first; Account second has waited 10 s for it" in str(owned)
        assert (owned.stream, owned.owner) == ("account", journal.worker)
        assert await first.ask(3) == [1, 3]
        await over(journal)

    run(scenario)


@pytest.mark.parametrize("end", ["stop", "crash", "system"])
def test_the_second_actor_has_the_stream_as_soon_as_the_first_is_dead(late: bool, end: str) -> None:
    async def scenario(sim: Simulation) -> None:
        journal = journal_of(late)
        async with System() as other:
            first = other.spawn(Account, journal, name="first")
            await first.ask(1)
            second = sim.system.supervise(spec(journal, "second"))
            asking = second.ask(2)
            await asyncio.sleep(5)
            assert not asking.done()
            if end == "stop":
                await first.stop()
            elif end == "crash":
                first.kill()
            else:
                await other.stop()
            assert await asking == [1, 2]
        await over(journal)

    run(scenario)


def test_an_actor_that_is_restarted_keeps_its_stream_whoever_waits_for_it(late: bool) -> None:
    async def scenario(sim: Simulation) -> None:
        journal = journal_of(late)
        first = sim.system.supervise(spec(journal, "first"))
        await first.ask(1)
        waiting = sim.system.spawn(Account, journal, name="waiting")
        ways: list[Callable[[], None]] = [first.kill, first.restart, lambda: sim.system.restart_child("first")]
        for number, again in enumerate(ways, 2):
            again()
            before = asyncio.get_running_loop().time()
            assert await first.ask(number) == list(range(1, number + 1))
            assert asyncio.get_running_loop().time() - before < AT_ONCE
        await waiting.terminated()
        await over(journal)

    run(scenario, seeds=30)


class Slow(Account):
    async def on_stop(self) -> None:
        await asyncio.sleep(3)
        await super().on_stop()


class Careless(Account):
    async def on_stop(self) -> None:
        """Gives nothing back."""


def test_an_actor_that_is_still_ending_holds_its_stream_until_it_has_ended() -> None:
    async def scenario(sim: Simulation) -> None:
        journal = MemoryJournal()
        first = sim.system.spawn(Slow, journal, name="first")
        await first.ask(1)
        ending = first.stop()
        second = sim.system.spawn(Account, journal, name="second")
        before = asyncio.get_running_loop().time()
        assert await second.ask(2) == [1, 2]
        assert 3 <= asyncio.get_running_loop().time() - before < 3.5
        assert await ending

    run(scenario)


def test_an_actor_that_gave_nothing_back_is_in_nobodys_way() -> None:
    async def scenario(sim: Simulation) -> None:
        journal = MemoryJournal()
        for number in range(1, 4):
            careless = sim.system.spawn(Careless, journal, name="careless")
            before = asyncio.get_running_loop().time()
            assert await careless.ask(number) == list(range(1, number + 1))
            assert asyncio.get_running_loop().time() - before < AT_ONCE
            await careless.stop()

    run(scenario)


def test_a_system_does_not_wait_for_who_waits_for_a_stream() -> None:
    async def scenario(sim: Simulation) -> None:
        journal = MemoryJournal()
        await sim.system.spawn(Account, journal, name="first").ask(1)
        async with System() as other:
            for name in NAMES:
                other.spawn(Account, journal, name=name)
            await asyncio.sleep(1)
            before = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - before < AT_ONCE

    run(scenario)


def test_streams_and_journals_of_their_own_are_in_nobodys_way() -> None:
    async def scenario(sim: Simulation) -> None:
        journal = MemoryJournal()
        refs = [
            sim.system.spawn(Account, journal, "a"),
            sim.system.spawn(Account, journal, "b"),
            sim.system.spawn(Account, MemoryJournal(), "a"),
        ]
        before = asyncio.get_running_loop().time()
        assert [await ref.ask(1) for ref in refs] == [[1]] * 3
        assert asyncio.get_running_loop().time() - before < AT_ONCE

    run(scenario)


def test_a_system_that_was_left_behind_with_its_loop_is_in_nobodys_way() -> None:
    journal = MemoryJournal()
    left: list[Any] = []

    async def forgets_to_stop() -> None:
        system = System()
        await system.__aenter__()
        left.append(system.spawn(Account, journal, name="first"))
        assert await left[0].ask(1) == [1]

    async def goes_on() -> None:
        async with System() as system:
            assert await asyncio.wait_for(system.spawn(Account, journal, name="second").ask(2), 60) == [1, 2]

    asyncio.run(forgets_to_stop())
    asyncio.run(goes_on())


@pytest.mark.parametrize("store", STORES)
async def test_so_it_is_with_every_store(tmp_path: Path, store: str) -> None:
    class Impatient(Account):
        takeover_timeout = 0.0

        def apply(self, event: Any) -> None:
            self.numbers.append(event)

    made = STORES[store](tmp_path)
    journal = made.journal()
    try:
        async with System() as system, System("other") as other:
            first = system.supervise(ChildSpec(partial(Impatient, journal), name="first"))
            assert await first.ask(1) == [1]
            second = other.spawn(Impatient, journal, name="second")
            with pytest.raises(ActorDead) as told:
                await second.ask(2)
            assert "held by Impatient first of another system; Impatient second" in str(told.value.__cause__)
            first.kill()
            assert await first.ask(3) == [1, 3]
            await first.stop()
    finally:
        journal.close()
        made.close()


# -- whatever happens -------------------------------------------------------------------------------------------------

NAMES = ("x", "y", "z")


class Step(NamedTuple):
    pause: float
    name: str
    what: Literal["ask", "kill", "restart", "stop", "spawn"]


steps = st.lists(
    st.builds(
        Step,
        st.sampled_from([0.0, 0.1, 0.25, 1.0, 4.0]),
        st.sampled_from(NAMES),
        st.sampled_from(["ask", "ask", "kill", "restart", "stop", "spawn"]),
    ),
    max_size=12,
)


class Life:
    """The actors of one stream, and what is seen of them."""

    def __init__(self, sim: Simulation, journal: Any) -> None:
        self.system = sim.system
        self.journal = journal
        self.refs: dict[str, ActorRef[Account]] = {}
        self.holder = ""
        self.number = 0
        self.answered: list[int] = []

    def spawn(self, name: str) -> None:
        ref = self.refs.get(name)
        if (ref is None or not ref.is_alive()) and self.system.find(name) is None:
            self.refs[name] = self.system.supervise(spec(self.journal, name, restart="transient"))

    async def ask(self, name: str) -> None:
        """Only who holds the stream answers, and it has all that was kept."""
        self.number += 1
        number = self.number
        try:
            found = await self.refs[name].ask(number, timeout=2)
        except (ActorDead, ActorCrashed, AskTimeout):
            return
        memory = self.journal.kept if isinstance(self.journal, LateJournal) else self.journal
        kept = [record.event for record in memory.as_worker().read("account")]
        assert found == kept[: len(found)], "made of something else than what is kept"
        assert number in found
        assert self.holder in ("", name), f"{name} answers while {self.holder} holds the stream"
        self.holder = name
        self.answered.append(number)

    def ends(self, name: str) -> None:
        if self.holder == name and not self.refs[name].is_alive():
            self.holder = ""


@settings(max_examples=40, deadline=None)
@given(steps=steps, late=st.booleans(), crashes=st.integers(0, 2))
def test_one_actor_at_a_time_has_the_stream_until_it_is_dead(steps: list[Step], late: bool, crashes: int) -> None:
    async def scenario(sim: Simulation) -> None:
        sim.expect_dead_letters()
        journal = journal_of(late)
        life = Life(sim, journal)
        failures: list[str] = []
        sim.system.subscribe(lambda event: failures.append(event.detail) if event.kind == "crashed" else None)
        life.spawn(NAMES[0])
        life.spawn(NAMES[1])
        for pause, name, what in steps:
            await asyncio.sleep(pause)
            if what == "spawn":
                life.spawn(name)
            elif name in life.refs and life.refs[name].is_alive():
                ref = life.refs[name]
                if what == "ask":
                    await life.ask(name)
                elif what == "kill":
                    ref.kill()
                elif what == "restart":
                    ref.restart()
                else:
                    await ref.stop()
            for each in life.refs:
                life.ends(each)
        assert not [text for text in failures if "StreamFenced" in text], "one took it from the other"
        memory = journal.kept if late else journal
        kept = [record.event for record in memory.as_worker().read("account")]
        assert set(life.answered) <= set(kept), "an answer was lost"
        await over(journal)

    faults = [Crash(name, when="in", optional=True) for name in NAMES[:crashes]]
    told = logging.getLogger("callboard")
    level = told.level
    told.setLevel(logging.CRITICAL)
    try:
        run(scenario, seeds=3, faults=faults)
    finally:
        told.setLevel(level)
