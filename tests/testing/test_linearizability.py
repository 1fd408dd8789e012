"""Linearizability of asks, against brute force and on actors that are right and wrong."""

from __future__ import annotations

import asyncio
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.actors import Actor, ActorRef, AskTimeout
from callboard.actors.testing import (
    Crash,
    HistoryTooLong,
    InvariantViolated,
    Simulation,
    SimulationFailed,
    Trace,
    linearizable,
    simulate,
)
from callboard.actors.testing.oracles.linearizability import Operation, is_linearizable
from tests.pages.page import Page
from tests.testing.gallery import together


def counter(state: int, message: Any) -> tuple[int, Any]:
    """Adds, and answers with what it had before; ``read`` adds nothing."""
    return (state, state) if message == "read" else (state + message, state)


def register(state: Any, message: Any) -> tuple[Any, Any]:
    """Of several registers, that of the message's key: ``(key,)`` reads, ``(key, value)`` writes."""
    return (state, state) if len(message) == 1 else (message[1], None)


# -- the search --------------------------------------------------------------------------------------------------------


def operation(message: Any, answer: Any, begin: int, end: int, known: bool = True) -> Operation:
    return Operation("client", "a", message, answer, known, begin, end, (float(begin), float(end)))


def by_brute_force(history: list[Operation]) -> bool:
    """Every choice of the operations that nobody answered, in every order that time allows."""
    open_ones = [number for number, each in enumerate(history) if not each.known]
    for choice in range(2 ** len(open_ones)):
        left_out = {number for at, number in enumerate(open_ones) if choice >> at & 1}
        chosen = [each for number, each in enumerate(history) if number not in left_out]
        for order in permutations(chosen):
            late = any(
                later.known and later.end < earlier.begin
                for at, earlier in enumerate(order)
                for later in order[at + 1 :]
            )
            if not late and _plays(order):
                return True
    return False


def _plays(order: tuple[Operation, ...]) -> bool:
    state = 0
    for each in order:
        state, answer = counter(state, each.message)
        if each.known and answer != each.answer:
            return False
    return True


@st.composite
def histories(draw: st.DrawFn) -> list[Operation]:
    count = draw(st.integers(0, 5))
    places = draw(st.permutations(range(2 * count)))
    return [
        operation(
            draw(st.sampled_from([1, 2, "read"])),
            draw(st.integers(0, 4)),
            min(places[2 * at : 2 * at + 2]),
            max(places[2 * at : 2 * at + 2]),
            draw(st.integers(0, 3)) > 0,
        )
        for at in range(count)
    ]


@given(histories())
def test_the_search_finds_an_order_exactly_where_trying_all_orders_does(history: list[Operation]) -> None:
    assert is_linearizable(history, counter, 0) == by_brute_force(history)


def test_many_operations_that_overlap_are_decided_because_states_are_remembered() -> None:
    count = 14
    history = [operation(1, number, 0, 100 + number) for number in range(count)]
    history.append(operation("read", count + 1, 200, 201))  # nothing fits, and 14! orders would have to be tried
    assert not is_linearizable(history, counter, 0)


def test_a_search_that_takes_too_long_ends_in_a_named_error() -> None:
    history = [operation(2**number, 0, 0, 100 + number, known=False) for number in range(30)]
    history.append(operation("read", -1, 200, 201))
    with pytest.raises(HistoryTooLong, match="within 5000 steps for 31 operations"):
        is_linearizable(history, counter, 0, most=5_000)


def test_a_state_that_cannot_be_hashed_is_fine() -> None:
    def log(state: list[Any], message: Any) -> tuple[list[Any], Any]:
        return [*state, message], len(state)

    assert is_linearizable([operation("a", 0, 0, 3), operation("b", 1, 1, 2)], log, [])
    assert not is_linearizable([operation("a", 0, 0, 1), operation("b", 0, 2, 3)], log, [])


def test_what_makes_no_sense_is_refused_when_the_oracle_is_made() -> None:
    with pytest.raises(TypeError, match="a model is a function"):
        linearizable({}, actor="a")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="most is a whole number above 0"):
        linearizable(counter, actor="a", most=0)
    with pytest.raises(ValueError, match="actor is the path of an actor"):
        linearizable(counter, actor=())


# -- in a simulation ---------------------------------------------------------------------------------------------------


class Fees(Actor):
    def on_receive(self, message: Any) -> int:
        return 0


class Counter(Actor):
    """Adds after having asked somebody else: at once, or to what it read before."""

    def __init__(self, fees: ActorRef[Fees], right: bool) -> None:
        super().__init__()
        self.fees, self.right, self.value = fees, right, 0

    def on_receive(self, message: Any) -> Any:
        return self.reply_with(self.add(message))

    async def add(self, message: Any) -> int:
        before = self.value
        await self.fees.ask(message)
        before = self.value if self.right else before
        if message != "read":
            self.value = before + message
        return before


def counting(right: bool) -> Any:
    async def scenario(sim: Simulation) -> None:
        ref = sim.system.spawn(Counter, sim.system.spawn(Fees, name="fees"), right, name="counter")
        await together({f"adds {number}": _ask(ref, number) for number in (1, 2, 4)})
        await ref.ask("read")

    return scenario


async def _ask(ref: ActorRef[Any], message: Any) -> None:
    await ref.ask(message)


def test_an_update_that_is_lost_at_an_await_fits_no_order() -> None:
    with pytest.raises(SimulationFailed) as caught:
        simulate(counting(right=False), invariants=[linearizable(counter, 0, actor="counter")])
    assert isinstance(caught.value.run.error, InvariantViolated)
    assert "adds 1: 1 -> 0" in str(caught.value.run.error)
    with pytest.raises(SimulationFailed, match="fit no order"):
        simulate(
            counting(right=False),
            invariants=[linearizable(counter, 0, actor="counter")],
            replay=caught.value.token,
        )


def test_an_update_after_the_await_fits_one_in_every_schedule() -> None:
    simulate(counting(right=True), seeds=200, invariants=[linearizable(counter, 0, actor="counter")])


class Registers(Actor):
    """Writes one of its keys only after a while, though it has answered."""

    def __init__(self, late: str) -> None:
        super().__init__()
        self.late, self.values = late, dict[str, Any]()

    def on_receive(self, message: Any) -> Any:
        if len(message) == 1:
            return self.values.get(message[0])
        if message[0] == self.late:
            self.schedule(1.0, ("written", *message))
        else:
            self.values[message[-2]] = message[-1]
        return None


def test_the_smallest_key_is_shown_up_to_the_first_answer_that_fits_no_order() -> None:
    async def scenario(sim: Simulation) -> None:
        ref = sim.system.spawn(Registers, "x", name="registers")
        for number in range(3):
            await ref.ask(("y", number))
            assert await ref.ask(("y",)) == number
        await ref.ask(("x", 1))
        await ref.ask(("x",))
        await asyncio.sleep(2)
        await ref.ask(("x",))

    with pytest.raises(SimulationFailed) as caught:
        simulate(
            scenario,
            seeds=1,
            invariants=[linearizable(register, actor="registers", key=lambda message: message[0])],
        )
    lines = str(caught.value.run.error).splitlines()
    assert "registers for the key 'x' fit no order" in lines[0]
    assert [line.split("client: ")[1] for line in lines[1:]] == ["('x', 1) -> None", "('x',) -> None"]


def test_an_ask_that_timed_out_may_have_had_its_effect_or_not() -> None:
    class Slow(Actor):
        value = 0

        async def on_receive(self, message: Any) -> int:
            before = self.value
            if message != "read":
                self.value += message
                await asyncio.sleep(message)
            return before

    async def scenario(sim: Simulation) -> None:
        ref = sim.system.spawn(Slow, name="slow")
        with pytest.raises(AskTimeout):  # it had its effect
            await ref.ask(5, timeout=1)
        assert await ref.ask("read") == 5
        with pytest.raises(AskTimeout):  # never taken up: the slow one is before it
            await asyncio.gather(ref.ask(3), ref.ask(2, timeout=1))
        await asyncio.sleep(5)
        assert await ref.ask("read") == 8

    simulate(scenario, invariants=[linearizable(counter, 0, actor="slow")])


def test_an_actor_that_forgets_what_it_has_answered_in_a_restart_fits_no_order() -> None:
    class Forgetful(Actor):
        def __init__(self) -> None:
            super().__init__()
            self.value = 0

        def on_receive(self, message: Any) -> int:
            before = self.value
            self.value += 0 if message == "read" else message
            return before

    async def scenario(sim: Simulation) -> None:
        from callboard.actors import ActorCrashed, ChildSpec

        ref = sim.system.supervise(ChildSpec(Forgetful, name="forgetful"))
        for _ in range(3):
            try:
                await ref.ask(1)
            except ActorCrashed:
                await ref.ask("read")

    with pytest.raises(SimulationFailed, match="forgetful fit no order"):
        simulate(
            scenario,
            seeds=50,
            faults=[Crash("forgetful", when="before")],
            invariants=[linearizable(counter, 0, actor="forgetful")],
        )


def test_what_is_told_counts_and_what_an_actor_tells_itself_does_not() -> None:
    class Ticking(Actor):
        value = 0

        def on_receive(self, message: Any) -> Any:
            if message == "tick":
                return None
            before = self.value
            self.value += 0 if message == "read" else message
            self.ref.tell("tick")
            return before

    async def scenario(sim: Simulation) -> None:
        ref = sim.system.spawn(Ticking, name="ticking")
        ref.tell(3)
        assert await ref.ask("read") == 3

    simulate(scenario, invariants=[linearizable(counter, 0, actor="ticking")])


def test_the_pages_example_holds_for_a_stock_that_sells_what_it_has_and_not_for_one_that_looks_first() -> None:
    example = Page("actors/testing/oracles/README.md").block("python")

    class Stock(Actor):
        def __init__(self, looks_first: bool) -> None:
            super().__init__()
            self.left, self.looks_first = 3, looks_first

        def on_receive(self, message: Any) -> Any:
            return self.reply_with(self.sell())

        async def sell(self) -> bool:
            if self.left == 0:
                return False
            if self.looks_first:
                await asyncio.sleep(0)
            self.left -= 1
            return True

    def selling(looks_first: bool) -> Any:
        async def scenario(sim: Simulation) -> None:
            ref = sim.system.spawn(Stock, looks_first, name="stock")
            await together({f"customer {number}": _ask(ref, "sell") for number in range(5)})

        return scenario

    names = {"simulate": simulate, "linearizable": linearizable}
    exec(example, {**names, "scenario": selling(looks_first=False)})
    with pytest.raises(SimulationFailed, match="stock fit no order"):
        exec(example, {**names, "scenario": selling(looks_first=True)})


def test_an_empty_trace_and_an_actor_nobody_asked_are_fine() -> None:
    linearizable(counter, 0, actor="nobody")(Trace())
