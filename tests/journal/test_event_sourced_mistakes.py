"""Mistakes in actors that keep events: each is told by name, where it was made if that can be."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from callboard.actors import ActorDead, AskTimeout, ChildSpec, SpecError, StartFailed, System
from callboard.actors.journal import EventSourcedActor, JournalError, MemoryJournal
from callboard.testing import Crash, Simulation, simulate

from .late import LateJournal


class Tally(EventSourcedActor[int, Any]):
    """Keeps numbers; what it is sent says how."""

    def __init__(self, journal: Any, stream: str) -> None:
        super().__init__(journal, stream)
        self.total = 0

    def apply(self, event: int) -> None:
        self.total += event

    async def on_receive(self, message: Any) -> Any:
        match message:
            case "forgets":
                self.persist(1)  # type: ignore[unused-coroutine]  # noqa: RUF100
            case "forgets late":
                late = self.persist(1)  # noqa: F841
                await asyncio.sleep(0)
            case "forgets beside":
                return self.reply_with(self.beside())
            case "fails":
                await asyncio.gather(self.persist(1), self.fails())  # the first is made, and let go of
            case "cancels":
                cancelled = asyncio.create_task(self.persist(1))
                cancelled.cancel()
            case "closes":
                self.persist(1).close()
            case "leaves":
                self.pipe(self.persist(1), lambda outcome: "kept")
            case "at once":
                await asyncio.gather(*(self.persist(1) for _ in range(3)))
            case "keeps":
                await self.persist(1)
        return self.total

    def fails(self) -> Any:
        raise ArithmeticError("this is what went wrong")

    async def beside(self) -> int:
        self.persist(1)  # type: ignore[unused-coroutine]  # noqa: RUF100
        return self.total


class Plain(Tally):
    def on_receive(self, message: Any) -> Any:
        if message == "forgets":
            self.persist(1)  # type: ignore[unused-coroutine]  # noqa: RUF100
        elif message == "keeps":
            return self.persist(1)
        return self.total


class Called(Tally):
    async def add(self, number: int) -> int:
        self.persist(number)  # type: ignore[unused-coroutine]  # noqa: RUF100
        return self.total


forgetful = pytest.mark.filterwarnings("ignore:coroutine 'EventSourcedActor.persist' was never awaited")


# -- what it is made with ---------------------------------------------------------------------------------------------


async def refused(kind: type[EventSourcedActor[Any, Any]], *args: Any) -> str:
    """What is said of an actor that cannot be made, to whoever starts it."""
    async with System() as system:
        with pytest.raises(SpecError) as spawned:
            system.spawn(kind, *args)
        with pytest.raises(StartFailed) as supervised:
            system.supervise(ChildSpec(kind, args=args, name="a"))
        assert str(supervised.value.__cause__) == str(spawned.value)
        return str(spawned.value)


@pytest.mark.parametrize("given", ["bank.db", Path("bank.db"), None, 7], ids=["text", "path", "none", "number"])
async def test_what_is_no_journal_is_refused_where_the_actor_is_started(given: Any) -> None:
    text = await refused(Tally, given, "tally")
    assert "the journal of Tally is" in text
    assert "which is no journal: give it MemoryJournal(), SqliteJournal(path, JsonCodec(…)) or the like" in text


async def test_a_journal_and_a_stream_in_the_wrong_order_are_refused() -> None:
    text = await refused(Tally, "tally", MemoryJournal())
    assert text == "Tally is given its journal and its stream in the wrong order: the journal comes first"


@pytest.mark.parametrize("stream", ["", None, 7])
async def test_a_stream_without_a_name_is_refused(stream: Any) -> None:
    text = await refused(Tally, MemoryJournal(), stream)
    assert f"the stream of Tally is {stream!r}" in text


async def test_a_class_without_what_makes_its_state_is_refused() -> None:
    class Stateless(EventSourcedActor[int, Any]):
        pass

    class Unrestored(Tally):
        def snapshot(self) -> int:
            return self.total

    assert "Stateless has no apply()" in await refused(Stateless, MemoryJournal(), "a")
    text = await refused(Unrestored, MemoryJournal(), "a")
    assert "Unrestored has a snapshot() and no restore()" in text


async def test_a_constructor_that_does_not_say_the_journal_is_refused() -> None:
    class Mute(Tally):
        def __init__(self, journal: Any, stream: str) -> None:  # pyright: ignore
            self.total = 0

    class Below(Mute):
        pass

    class Late(Mute):
        def __init__(self, journal: Any, stream: str) -> None:
            super().__init__(journal, stream)
            EventSourcedActor.__init__(self, journal, stream)

    assert "Mute.__init__ does not say its journal" in await refused(Mute, MemoryJournal(), "a")
    assert "write super().__init__(journal, stream)" in await refused(Below, MemoryJournal(), "a")
    async with System() as system:
        assert await system.spawn(Late, MemoryJournal(), "a").ask("keeps") == 1


class NotOpened(Tally):
    async def on_start(self) -> None:
        """Does not open its stream."""


async def test_an_on_start_that_does_not_open_the_stream_is_told_of() -> None:
    async with System() as system:
        with pytest.raises(JournalError, match=r"begins with `await super\(\).on_start\(\)`"):
            await system.spawn(NotOpened, MemoryJournal(), "a").ask("keeps")


# -- persist() that nobody awaits -------------------------------------------------------------------------------------


@forgetful
@pytest.mark.parametrize(("kind", "message"), [(Tally, "forgets"), (Tally, "forgets late"), (Plain, "forgets")])
async def test_a_handler_that_has_awaited_no_persist_fails_and_the_actor_lives_on(
    kind: type[Tally], message: str
) -> None:
    async with System() as system:
        ref = system.spawn(kind, MemoryJournal(), "tally", name="tally")
        with pytest.raises(JournalError) as told:
            await ref.ask(message)
        assert f"{kind.__name__} tally has called persist() without await: those events were not kept" in str(
            told.value
        )
        assert await ref.ask("total") == 0
        await ref.ask("keeps")
        assert await ref.ask("total") == 1


@forgetful
async def test_a_method_that_a_proxy_calls_fails_likewise() -> None:
    async with System() as system:
        ref = system.spawn(Called, MemoryJournal(), "tally")
        with pytest.raises(JournalError, match="without await"):
            await ref.call(Called.add, 1)


@forgetful
@pytest.mark.parametrize("message", ["forgets", "forgets late"])
async def test_where_nobody_is_told_it_crashes(message: str) -> None:
    async with System() as system:
        crashed: list[str] = []
        system.subscribe(lambda event: crashed.append(event.detail) if event.kind == "crashed" else None)
        ref = system.supervise(ChildSpec(Tally, args=(MemoryJournal(), "tally"), name="tally"))
        ref.tell(message)
        assert await ref.ask("total") == 0
        assert len(crashed) == 1
        assert "without await" in crashed[0]


@forgetful
async def test_work_beside_the_mailbox_that_forgets_it_crashes_the_actor() -> None:
    async with System() as system:
        ref = system.spawn(Tally, MemoryJournal(), "tally")
        with suppress(ActorDead):  # the answer may have gone out before
            await ref.ask("forgets beside")
        await ref.terminated()
        with pytest.raises(ActorDead) as told:
            await ref.ask("total")
        assert "without await" in str(told.value.__cause__)


@forgetful
async def test_what_the_handler_raised_is_what_its_asker_is_told() -> None:
    async with System() as system:
        ref = system.spawn(Tally, MemoryJournal(), "tally")
        with pytest.raises(ArithmeticError, match="this is what went wrong"):
            await ref.ask("fails")
        assert await ref.ask("keeps") == 1


@pytest.mark.parametrize("late", [False, True], ids=["at once", "late"])
def test_calls_that_are_cancelled_closed_or_left_to_others_are_no_mistake(late: bool) -> None:
    async def scenario(sim: Simulation) -> None:
        journal: Any = LateJournal(MemoryJournal()) if late else MemoryJournal()
        ref = sim.system.spawn(Tally, journal, "tally")
        assert await ref.ask("cancels") == 0
        assert await ref.ask("closes") == 0
        assert await ref.ask("leaves") == 0
        assert await ref.ask("at once") in (3, 4)
        assert await ref.ask("keeps") == 5
        with pytest.raises(AskTimeout):
            await ref.ask("at once", timeout=0.0 if not late else 0.5)
        await asyncio.sleep(10)
        assert await ref.ask("total") in (5, 8)

    simulate(scenario, seeds=10)


def test_a_crash_in_the_middle_of_it_is_no_mistake() -> None:
    async def scenario(sim: Simulation) -> None:
        ref = sim.system.supervise(ChildSpec(Tally, args=(LateJournal(MemoryJournal()), "tally"), name="tally"))
        crashed: list[str] = []
        sim.system.subscribe(lambda event: crashed.append(event.detail) if event.kind == "crashed" else None)
        for _ in range(3):
            with suppress(ActorDead):
                await ref.ask("at once")
        gc.collect()
        await ref.ask("total")
        assert not [text for text in crashed if "without await" in text]

    simulate(scenario, seeds=20, faults=[Crash("tally", when="in", optional=True)])
