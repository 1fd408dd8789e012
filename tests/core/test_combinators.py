"""What `map`, `filter`, `join` and `reduce` return is a future like any other: gathered, shielded, given up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pykka
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.actors import Actor, ActorRef, Future, System, wait
from callboard.actors.testing import run_virtual, virtual_time

from .support import GUARD, Echo, Hold


class Held(Actor):
    """Answers a `Hold` with a list, beside the mailbox, when it is let go; anything else with itself."""

    def on_receive(self, message: Any) -> Any:
        return self.reply_with(self.held(message)) if isinstance(message, Hold) else message

    async def held(self, hold: Hold) -> list[int]:
        hold.begun.set()
        try:
            await hold.go.wait()
        finally:
            if not hold.go.is_set():
                hold.cancelled.set()
        return [1, 2, 3]


Combine = Callable[[Future[Any]], Future[Any]]
WAYS: dict[str, tuple[Combine, Any]] = {
    "map": (lambda ask: ask.map(sum), 6),
    "filter": (lambda ask: ask.filter(lambda value: value > 1), [2, 3]),
    "reduce": (lambda ask: ask.reduce(lambda a, b: a + b, 10), 16),
    "join": (lambda ask: ask.join(), [[1, 2, 3]]),
    "map of map": (lambda ask: ask.map(sum).map(str), "6"),
}
each_way = pytest.mark.parametrize("way", sorted(WAYS))


async def held(system: System, way: str) -> tuple[Hold, Future[Any]]:
    """A combined future whose source is at work, until the test lets it go."""
    hold = Hold()
    combined = WAYS[way][0](system.spawn(Held).ask(hold))
    await hold.begun.wait()
    return hold, combined


# -- asyncio's functions -----------------------------------------------------------------------------------------------


@each_way
@virtual_time
async def test_a_combined_answer_can_be_gathered(way: str) -> None:
    async with System() as system:
        hold, combined = await held(system, way)
        together = asyncio.gather(combined, system.spawn(Echo).ask("other"))
        hold.go.set()
        assert list(await together) == [WAYS[way][1], "other"]


@each_way
@virtual_time
async def test_a_combined_answer_can_be_waited_for_with_a_time(way: str) -> None:
    async with System() as system:
        hold, combined = await held(system, way)
        asyncio.get_running_loop().call_later(3, hold.go.set)
        assert await asyncio.wait_for(combined, 5) == WAYS[way][1]
        assert asyncio.get_running_loop().time() == 3


@each_way
@virtual_time
async def test_a_combined_answer_that_does_not_come_in_time_gives_its_source_up(way: str) -> None:
    async with System() as system:
        hold, combined = await held(system, way)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(combined, 5)
        assert asyncio.get_running_loop().time() == 5
        assert combined.cancelled()
        await hold.cancelled.wait()


@each_way
@virtual_time
async def test_a_shielded_combined_answer_goes_on_when_its_waiter_is_cancelled(way: str) -> None:
    async with System() as system:
        hold, combined = await held(system, way)
        shielded = asyncio.shield(combined)
        shielded.cancel()
        await asyncio.sleep(0)
        hold.go.set()
        assert await combined == WAYS[way][1]
        assert not hold.cancelled.is_set()


@each_way
@virtual_time
async def test_wait_tells_when_a_combined_answer_is_there(way: str) -> None:
    async with System() as system:
        hold, combined = await held(system, way)
        never_hold, never = await held(system, way)
        asyncio.get_running_loop().call_later(3, hold.go.set)
        futures: Any = {combined, never}
        done, pending = await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        assert done == {combined}
        assert pending == {never}
        assert combined.done()
        assert combined.result() == WAYS[way][1]
        never.cancel()
        await never_hold.cancelled.wait()


@virtual_time
async def test_as_completed_yields_combined_answers_as_they_come() -> None:
    async with System() as system:
        slow_hold, slow = await held(system, "map")
        seen = []
        for first in asyncio.as_completed([slow, system.spawn(Echo).ask("quick").map(str.upper)]):
            seen.append(await first)
            slow_hold.go.set()
        assert seen == ["QUICK", 6]


@each_way
@virtual_time
async def test_many_wait_for_one_combined_answer(way: str) -> None:
    async with System() as system:
        hold, combined = await held(system, way)
        waiting = [asyncio.create_task(wait(combined)) for _ in range(3)]
        together = asyncio.gather(combined, combined)
        await asyncio.sleep(0)
        hold.go.set()
        assert [await each for each in waiting] == [WAYS[way][1]] * 3
        assert list(await together) == [WAYS[way][1]] * 2


# -- giving up ---------------------------------------------------------------------------------------------------------


@each_way
@virtual_time
async def test_cancelling_a_combined_answer_gives_its_source_up(way: str) -> None:
    async with System() as system:
        hold, combined = await held(system, way)
        assert combined.cancel() is True
        assert combined.cancelled()
        assert combined.done()
        assert combined.cancel() is False
        with pytest.raises(asyncio.CancelledError):
            await combined
        await hold.cancelled.wait()


@pytest.mark.parametrize("how", ["cancel", "cancel who waits", "wait_for"])
@virtual_time
async def test_all_the_sources_of_a_join_are_given_up_with_it(how: str) -> None:
    async with System() as system:
        holds, ref = [Hold() for _ in range(3)], system.spawn(Held)
        first, *others = [ref.ask(hold) for hold in holds]
        for hold in holds:
            await hold.begun.wait()
        joined = first.join(*others).map(list)
        if how == "cancel":
            joined.cancel()
        elif how == "wait_for":
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(joined, 1)
        else:
            waiting = asyncio.create_task(wait(joined))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            assert waiting.cancelled()
        for hold in holds:
            await hold.cancelled.wait()
        assert await ref.ask("alive") == "alive"


@each_way
@virtual_time
async def test_a_combined_answer_that_is_there_cannot_be_cancelled_any_more(way: str) -> None:
    async with System() as system:
        hold, combined = await held(system, way)
        hold.go.set()
        assert await combined == WAYS[way][1]
        assert combined.cancel() is False
        assert combined.done()
        assert not combined.cancelled()
        assert await combined == WAYS[way][1]


@each_way
@virtual_time
async def test_a_gathering_that_is_cancelled_cancels_the_combined_answers_in_it(way: str) -> None:
    async with System() as system:
        hold, combined = await held(system, way)
        together = asyncio.gather(combined, combined.map(str))
        await asyncio.sleep(0)
        together.cancel()
        with pytest.raises(asyncio.CancelledError):
            await together
        await hold.cancelled.wait()


@virtual_time
async def test_a_source_that_is_cancelled_ends_what_is_combined_of_it() -> None:
    async with System() as system:
        hold, ref = Hold(), system.spawn(Held)
        source = ref.ask(hold)
        combined = source.map(sum)
        together = asyncio.gather(combined, return_exceptions=True)
        await hold.begun.wait()
        source.cancel()
        (outcome,) = await together
        assert isinstance(outcome, asyncio.CancelledError)
        assert combined.done()


@virtual_time
async def test_an_error_of_the_source_or_of_the_function_reaches_a_gathering() -> None:
    async with System() as system:
        ref = system.spawn(Echo)
        broken = ref.ask(0).map(lambda value: 1 / value)
        behind = broken.map(str)
        fine = ref.ask(1).map(str)
        outcomes = await asyncio.gather(broken, behind, fine, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ZeroDivisionError, ZeroDivisionError, str]
        assert isinstance(broken.exception(), ZeroDivisionError)


@each_way
def test_a_program_that_ends_while_somebody_waits_for_a_combined_answer_ends(way: str) -> None:
    ended: list[Any] = []

    async def main() -> str:
        system = System()
        await system.__aenter__()  # and never left: the program just ends
        _, combined = await held(system, way)

        async def waits() -> None:
            try:
                await asyncio.gather(combined, combined)
            except BaseException as error:
                ended.append(type(error))
                raise

        kept.append(asyncio.create_task(waits()))
        await asyncio.sleep(0)
        registry: Any = pykka.ActorRegistry
        for ref in registry.get_by_class(Held):
            registry.unregister(ref)
        return "done"

    def program() -> None:
        try:
            ended.append(asyncio.run(main()))
        except BaseException as error:
            ended.append(error)

    kept: list[Any] = []
    thread = threading.Thread(target=program, daemon=True)
    thread.start()
    thread.join(GUARD)
    assert not thread.is_alive(), "asyncio.run() hangs in its clean-up"
    assert ended == [asyncio.CancelledError, "done"]


# -- whatever is combined ----------------------------------------------------------------------------------------------

Plan = Any
"""A leaf (a list of numbers to ask for), or an operation and the plans it is made of."""


def flat(lists: Any) -> list[int]:
    return [number for each in lists for number in each]


def expected(plan: Plan) -> list[int]:
    match plan:
        case ("map", inner):
            return [number + 1 for number in expected(inner)]
        case ("filter", inner):
            return [number for number in expected(inner) if number % 2]
        case ("reduce", inner):
            return [sum(expected(inner))]
        case ("join", first, second):
            return expected(first) + expected(second)
    return list(plan)


def combined(plan: Plan, ref: ActorRef[Any], asks: list[Future[Any]]) -> Future[Any]:
    match plan:
        case ("map", inner):
            return combined(inner, ref, asks).map(lambda value: [number + 1 for number in value])
        case ("filter", inner):
            return combined(inner, ref, asks).filter(lambda number: number % 2 == 1)
        case ("reduce", inner):
            return combined(inner, ref, asks).reduce(lambda a, b: a + b, 0).map(lambda total: [total])
        case ("join", first, second):
            return combined(first, ref, asks).join(combined(second, ref, asks)).map(flat)
    asks.append(ref.ask(plan))
    return asks[-1]


PLANS: Any = st.recursive(
    st.lists(st.integers(0, 9), max_size=4),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["map", "filter", "reduce"]), inner),
        st.tuples(st.just("join"), inner, inner),
    ),
    max_leaves=6,
)


@settings(deadline=None, database=None, max_examples=60)
@given(plan=PLANS, how=st.sampled_from(["await", "gather", "wait_for", "shield", "wait"]))
def test_a_combination_of_any_depth_has_the_value_of_its_parts_however_it_is_waited_for(plan: Plan, how: str) -> None:
    async def main() -> Any:
        async with System() as system:
            future = combined(plan, system.spawn(Echo), [])
            match how:
                case "gather":
                    return (await asyncio.gather(future))[0]
                case "wait_for":
                    return await asyncio.wait_for(future, 5)
                case "shield":
                    return await asyncio.shield(future)
                case "wait":
                    await asyncio.wait([asyncio.ensure_future(future)])
                    return future.result()
            return await future

    assert run_virtual(main()) == expected(plan)


@settings(deadline=None, database=None, max_examples=40)
@given(plan=PLANS)
def test_cancelling_a_combination_of_any_depth_gives_up_every_ask_in_it(plan: Plan) -> None:
    class Never(Actor):
        async def on_receive(self, message: Any) -> None:
            await asyncio.Event().wait()

    async def main() -> None:
        async with System() as system:
            asks: list[Future[Any]] = []
            future = combined(plan, system.spawn(Never), asks)
            await asyncio.sleep(0)
            future.cancel()
            with pytest.raises(asyncio.CancelledError):
                await future
            await asyncio.sleep(0)
            assert all(ask.cancelled() for ask in asks)

    run_virtual(main())
