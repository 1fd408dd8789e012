"""Context variables: every handler starts from the context its system was started in, and leaves nothing in it."""

from __future__ import annotations

import asyncio
import decimal
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.actors import Actor, ActorRef, Backoff, ChildSpec, Outcome, System
from callboard.actors.testing import Simulation, simulate

from .support import Events, on_each_loop, run

variable: ContextVar[str] = ContextVar("variable", default="nothing")


class Looks(Actor):
    """Says what it finds in the variable, in each of the places where an actor's code runs."""

    def __init__(self, found: dict[str, str]) -> None:
        super().__init__()
        self.found = found

    async def on_start(self) -> None:
        self.found["on_start"] = variable.get()

    async def on_stop(self) -> None:
        self.found["on_stop"] = variable.get()

    def on_failure(self, *_: Any) -> None:
        self.found["on_failure"] = variable.get()

    def on_receive(self, message: Any) -> Any:
        match message:
            case "def":
                return variable.get()
            case "async def":
                return self.look()
            case "reply_with":
                return self.reply_with(self.look())
            case "pipe":
                self.answer = asyncio.get_running_loop().create_future()
                self.pipe(self.look())
                return self.reply_with(self.piped())
            case Outcome():
                self.answer.set_result(message.unwrap())
            case "stream":
                return self.items()
            case "crash":
                raise SystemExit
        return None

    async def look(self) -> str:
        await asyncio.sleep(0)
        return variable.get()

    async def piped(self) -> str:
        found: str = await self.answer
        return found

    async def items(self) -> AsyncIterator[str]:
        yield variable.get()


PLACES = ["def", "async def", "reply_with", "pipe", "stream", "proxy", "on_start", "on_stop", "on_failure"]


async def found_in(place: str, ref: ActorRef[Looks], found: dict[str, str], events: Events) -> str:
    match place:
        case "on_start":
            await ref.started()
            return found[place]
        case "on_stop":
            await ref.stop()
            return found[place]
        case "on_failure":
            ref.tell("crash")
            await events.until("crashed", ref.path)
            await events.until("started", ref.path, 2)
            return found[place]
        case "stream":
            return str(await anext(ref.stream(place)))
        case "proxy":
            return str(await ref.proxy().look())
    return str(await ref.ask(place))


@pytest.mark.parametrize("place", PLACES)
@on_each_loop
async def test_all_code_of_an_actor_sees_what_was_set_before_the_system_was_started(place: str) -> None:
    variable.set("before")
    async with System() as system:
        variable.set("after")
        events, found = Events(system), dict[str, str]()
        ref = system.supervise(ChildSpec(Looks, (found,), name="looks"))
        assert await found_in(place, ref, found, events) == "before"
        assert variable.get() == "after"


@on_each_loop
async def test_a_decimal_precision_set_before_the_system_is_that_of_its_actors() -> None:
    class Divides(Actor):
        def on_receive(self, message: decimal.Decimal) -> Any:
            return 1 / message

        async def later(self, number: decimal.Decimal) -> decimal.Decimal:
            await asyncio.sleep(0)
            return 1 / number

    with decimal.localcontext() as context:
        context.prec = 50
        third = 1 / decimal.Decimal(3)
        async with System() as system:
            ref = system.spawn(Divides)
            assert await ref.ask(decimal.Decimal(3)) == third
            assert await ref.proxy().later(decimal.Decimal(3)) == third


def test_actors_of_a_system_on_a_thread_see_what_was_set_where_it_was_started() -> None:
    async def main() -> None:
        variable.set("before")
        with System.in_thread() as system:
            ref = system.spawn(Looks, {})
            variable.set("after")
            for place in ("def", "async def", "reply_with"):
                assert ref.ask(place).get(timeout=10) == "before"

    asyncio.run(main())  # for a context of its own


@on_each_loop
async def test_two_systems_started_in_different_contexts_are_told_apart() -> None:
    variable.set("one")
    async with System() as one:
        variable.set("two")
        async with System() as two:
            asks = [system.spawn(Looks, {}).ask(place) for place in ("def", "async def") for system in (one, two)]
            assert [await ask for ask in asks] == ["one", "two", "one", "two"]


@on_each_loop
async def test_a_restarted_actor_sees_what_was_set_before_the_system_too() -> None:
    variable.set("before")
    async with System() as system:
        events, found = Events(system), dict[str, str]()
        ref = system.supervise(ChildSpec(Looks, (found,), name="a", backoff=Backoff(initial=0.001)))
        variable.set("after")
        ref.tell("crash")
        await events.until("started", "a", 2)
        assert await ref.ask("def") == "before"
        assert found["on_start"] == "before"


# -- what a handler sets -----------------------------------------------------------------------------------------------


class Sets(Actor):
    """Answers with what it found, and sets the variable as the message says: where, and to what."""

    def __init__(self, other: ActorRef[Sets] | None = None) -> None:
        super().__init__()
        self.other = other

    def on_receive(self, message: tuple[str, str]) -> Any:
        where, value = message
        match where:
            case "def":
                return self.exchange(value)
            case "async def":
                return self.suspended(value)
            case "at once":
                return self.unsuspended(value)
            case "reply_with":
                return self.reply_with(self.suspended(value))
            case "before reply_with":
                found = self.exchange(value)
                return self.reply_with(self.say(found))
            case "asks":
                return self.asks(value)
            case "fails":
                found = self.exchange(value)
                raise LookupError(found)
        return None

    def exchange(self, value: str) -> str:
        found = variable.get()
        variable.set(value)
        return found

    async def unsuspended(self, value: str) -> str:
        return self.exchange(value)

    async def suspended(self, value: str) -> str:
        found = self.exchange(value)
        await asyncio.sleep(0)
        assert variable.get() == value, "a handler sees what it has set itself"
        task = asyncio.create_task(self.unsuspended("from a task"))
        assert await task == value, "and so do the tasks it starts"
        assert variable.get() == value
        return found

    async def asks(self, value: str) -> str:
        assert self.other is not None
        found = self.exchange(value)
        for where in ("def", "at once", "async def"):
            seen = await self.other.ask((where, "set by the one that was asked"))
            assert seen == found, "who is asked sees nothing of the asker's"
            assert variable.get() == value, "nor the asker of his"
        return found

    async def say(self, found: str) -> str:
        return found


WHERE = ["def", "async def", "at once", "reply_with", "before reply_with", "asks", "fails"]
WHERE += ["proxy def", "proxy async def"]
STEPS = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(WHERE), st.booleans()), max_size=12)


async def step(refs: list[ActorRef[Sets]], index: int, where: str, value: str) -> str:
    ref = refs[index]
    if where.startswith("proxy"):
        call = ref.proxy().exchange if where == "proxy def" else ref.proxy().suspended
        return str(await call(value))
    try:
        return str(await ref.ask((where, value)))
    except LookupError as error:
        return str(error.args[0])


@settings(deadline=None, database=None, max_examples=60)
@given(steps=STEPS)
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_what_a_handler_sets_is_seen_by_nobody_else_and_not_by_the_next_message_either(
    loop: str, steps: list[tuple[int, str, bool]]
) -> None:
    async def main() -> None:
        variable.set("the system's")
        async with System() as system:
            other = system.spawn(Sets)
            refs = [system.spawn(Sets, other) for _ in range(3)]
            asks: list[asyncio.Task[str]] = []
            for number, (index, where, rest) in enumerate(steps):
                asks.append(asyncio.create_task(step(refs, index, where, f"set by {number}")))
                if rest:
                    await asyncio.sleep(0)
            found = [await ask for ask in asks]
            assert set(found) <= {"the system's"}
            assert variable.get() == "the system's"

    run(main(), loop)


@settings(deadline=None, database=None, max_examples=25)
@given(steps=STEPS)
def test_what_a_handler_sets_is_seen_by_nobody_else_under_any_schedule(steps: list[tuple[int, str, bool]]) -> None:
    async def scenario(sim: Simulation) -> None:
        other = sim.system.spawn(Sets, name="other")
        refs = [sim.system.spawn(Sets, other, name=f"sets{number}") for number in range(3)]
        found = await asyncio.gather(*(step(refs, index, where, str(n)) for n, (index, where, _) in enumerate(steps)))
        assert set(found) <= {"nothing"}

    simulate(scenario, seeds=5)


@on_each_loop
async def test_what_a_told_message_sets_is_not_seen_by_the_next_one() -> None:
    found: list[str] = []

    class Told(Actor):
        def on_receive(self, message: str) -> Any:
            found.append(variable.get())
            variable.set(message)
            return self.later() if message == "async" else None

        async def later(self) -> None:
            await asyncio.sleep(0)
            variable.set("later")

    async with System() as system:
        ref = system.spawn(Told)
        for message in ("def", "def", "async", "async", "def"):
            ref.tell(message)
        await ref.ask("last")
        assert found == ["nothing"] * 6
