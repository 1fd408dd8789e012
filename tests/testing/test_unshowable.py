"""What cannot be shown, because its ``str``, ``repr`` or ``==`` raises, costs neither report, token nor page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from callboard import Actor
from callboard.testing import Simulation, SimulationFailed, Trace, linearizable, simulate
from tests.core.support import Echo


class Unshowable(Exception):
    """Raises whatever it is asked."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __repr__(self) -> str:
        raise RuntimeError("no text")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    def __hash__(self) -> int:
        raise RuntimeError("no hash")


class Opaque:
    """No exception; raises whatever it is asked."""

    __repr__, __eq__, __hash__ = Unshowable.__repr__, Unshowable.__eq__, Unshowable.__hash__


class Fails(Actor):
    def on_receive(self, message: Exception) -> None:
        raise message


async def asks(sim: Simulation) -> None:
    await sim.system.spawn(Echo, name="echo").ask(1)


def failing(where: str, error: Exception) -> tuple[Callable[..., Any], list[Callable[[Trace], None]]]:
    """Return a scenario, and its invariants, in which something raises the error."""

    def fail(*_: object) -> Any:
        raise error

    async def in_task(*_: object) -> None:
        raise error

    async def scenario(sim: Simulation) -> None:
        if where == "scenario":
            fail()
        elif where == "ask":
            await sim.system.spawn(Fails, name="fails").ask(error)
        elif where == "ask nobody looks at":
            sim.system.spawn(Fails, name="fails").ask(error)
            await asyncio.sleep(1)
        elif where == "callback":
            asyncio.get_running_loop().call_soon(fail, error)
            await asyncio.sleep(1)
        elif where == "thread":
            await asyncio.to_thread(fail)
        elif where == "process":
            await sim.process("worker", in_task)
        elif where == "follow":
            sim.follow(sim.system.spawn(Echo, name="echo"), it=fail)

    invariants: dict[str, Any] = {"invariant": fail, "model": linearizable(fail, actor="echo")}
    if where in invariants:
        return asks, [invariants[where]]
    return scenario, []


PLACES = ("scenario", "ask", "ask nobody looks at", "callback", "thread", "process", "follow", "invariant", "model")


@pytest.mark.parametrize("where", PLACES)
def test_an_exception_that_cannot_be_shown_is_reported_with_a_token_that_replays_it(where: str) -> None:
    for error in (Unshowable(), ExceptionGroup("two", [ValueError("shown"), Unshowable()])):
        scenario, invariants = failing(where, error)
        with pytest.raises(SimulationFailed, match=r"Unshowable|repr raised RuntimeError") as caught:
            simulate(scenario, seeds=2, invariants=invariants)
        assert "trace" in caught.value.html()
        with pytest.raises(SimulationFailed):
            simulate(scenario, replay=caught.value.token, invariants=invariants)


@pytest.mark.parametrize("long", [False, True])
def test_messages_and_marks_that_cannot_be_shown_stand_in_the_report_by_their_kind(long: bool) -> None:
    async def scenario(sim: Simulation) -> None:
        value = [Opaque(), "x" * 5_000] if long else {"by name": Opaque()}
        sim.mark("kept", value=value, bare=Opaque())
        await sim.system.spawn(Echo, name="echo").ask(value)
        raise AssertionError("to see the report")

    with pytest.raises(SimulationFailed, match="<Opaque, whose repr raised RuntimeError>") as caught:
        simulate(scenario, seeds=2)
    assert "whose repr raised" in caught.value.html()
    assert caught.value.run.trace.mermaid()
    with pytest.raises(SimulationFailed, match="to see the report"):
        simulate(scenario, replay=caught.value.token)


def test_a_state_that_is_followed_and_cannot_be_compared_fails_the_run_by_name() -> None:
    async def scenario(sim: Simulation) -> None:
        echo = sim.system.spawn(Echo, name="echo")
        sim.follow(echo, it=lambda actor: Opaque())
        await echo.ask(1)

    with pytest.raises(SimulationFailed, match="a state of echo that is followed: RuntimeError"):
        simulate(scenario, seeds=1)


def test_an_interrupt_from_within_a_repr_still_ends_the_search() -> None:
    class Interrupts:
        def __repr__(self) -> str:
            raise KeyboardInterrupt

    async def scenario(sim: Simulation) -> None:
        sim.mark("kept", value=Interrupts())
        raise AssertionError

    with pytest.raises(KeyboardInterrupt):
        simulate(scenario, seeds=1)
