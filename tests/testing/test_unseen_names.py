"""A name that an oracle goes by and that never comes up tests nothing: it is an error that says what there was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import find, settings
from hypothesis import strategies as st

from callboard.actors import Actor
from callboard.testing import (
    Invariant,
    OracleSawNothing,
    Simulation,
    children_end,
    exactly_once,
    explore,
    hot,
    linearizable,
    simulate,
)


class Stock(Actor):
    def on_receive(self, message: Any) -> bool:
        return True


async def sells(sim: Simulation) -> None:
    stock = sim.system.spawn(Stock, name="stock")
    for order in (1, 2):
        await stock.ask("reserve")
        sim.mark("charged", order=order)


def says_yes(state: Any, message: Any) -> tuple[Any, bool]:
    return state, True


MISSPELT = [
    (linearizable(says_yes, actor="stok"), r"linearizable: there is no actor 'stok'. Did you mean 'stock'\?"),
    (linearizable(says_yes, actor=["stock", "stok"]), "there is no actor 'stok'"),
    (children_end("stok"), "children_end: there is no actor 'stok'.*There are: stock"),
    (exactly_once("chargd", "order"), r"no kind of event 'chargd'. Did you mean 'charged'\?"),
    (
        hot(lambda fact: False if fact.kind == "chargd" else None, longer_than=1),
        "no event says whether anything is hot",
    ),
    (
        hot(lambda fact: False if fact.kind == "charged" else None, longer_than=1, whose="ordr"),
        r"there is no field 'ordr'. Did you mean 'order'\?",
    ),
]


@pytest.mark.parametrize("search", [simulate, explore])
@pytest.mark.parametrize(("invariant", "says"), MISSPELT)
def test_an_oracle_whose_name_never_comes_up_fails_and_says_what_there_was(
    search: Callable[..., Any], invariant: Invariant, says: str
) -> None:
    with pytest.raises(OracleSawNothing, match=says):
        search(sells, invariants=[invariant])


def test_an_oracle_whose_names_come_up_in_one_schedule_holds() -> None:
    oracles = [
        linearizable(says_yes, actor="stock"),
        children_end("stock"),
        exactly_once("charged", "order"),
        exactly_once("refunded", "order", expected=lambda _: ()),
        hot(lambda fact: False if fact.kind == "charged" else None, longer_than=1, whose="order"),
        hot(lambda fact: False if fact.kind == "charged" else None, longer_than=1),
    ]
    assert simulate(sells, invariants=oracles, seeds=0).ok


def test_an_actor_declared_remote_that_there_is_not_is_an_error() -> None:
    async def scenario(sim: Simulation) -> None:
        sim.remote("stok")
        await sells(sim)

    with pytest.raises(OracleSawNothing, match=r"sim.remote: there is no actor 'stok'. Did you mean 'stock'\?"):
        simulate(scenario)


def test_what_comes_up_in_another_process_has_come_up() -> None:
    async def scenario(sim: Simulation) -> None:
        stock = sim.system.spawn(Stock, name="stock")
        answered: list[int] = []

        async def client(number: int) -> None:
            await stock.ask("reserve")
            answered.append(number)

        async with asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(client(number))
        if answered[0]:  # not so in the ordinary schedule, which runs before there are other processes
            sim.mark("charged", order=1)

    assert simulate(scenario, invariants=[exactly_once("charged", "order")], processes=2).ok
    with pytest.raises(OracleSawNothing, match="chargd"):
        simulate(scenario, invariants=[exactly_once("chargd", "order")], processes=2)


def test_a_drawn_example_may_have_nothing_of_what_an_oracle_names() -> None:
    def holds(orders: list[int]) -> bool:
        async def scenario(sim: Simulation) -> None:
            for order in orders:
                sim.mark("charged", order=order)

        return simulate(scenario, invariants=[exactly_once("charged", "order")]).ok

    few = settings(max_examples=20, database=None, deadline=None)
    assert find(st.lists(st.integers(0, 3), max_size=3, unique=True), holds, settings=few) == []
