"""An ask's future is taken by asyncio's own functions for one of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from callboard.actors import Actor, ActorRef, System


class Gate(Actor):
    """Answers with the message; holds "wait" back until it is told to open."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = asyncio.Event()

    def on_receive(self, message: Any) -> Any:
        if message == "open":
            self.opened.set()
        if message == "wait":
            return self.reply_with(self.held())
        if message == "fail":
            raise ValueError("refused")
        return message

    async def held(self) -> str:
        await self.opened.wait()
        return "let through"


@pytest.fixture
async def gate() -> AsyncIterator[ActorRef[Gate]]:
    async with System() as system:
        yield system.spawn(Gate)


async def test_gather_collects_answers_in_the_order_asked(gate: ActorRef[Gate]) -> None:
    held = gate.ask("wait")
    quick = gate.ask("quick")
    gate.tell("open")
    assert list(await asyncio.gather(held, quick)) == ["let through", "quick"]


async def test_gather_ends_when_one_of_its_asks_is_cancelled(gate: ActorRef[Gate]) -> None:
    held = gate.ask("wait")
    together = asyncio.gather(held, gate.ask("quick"))
    held.cancel("not wanted")
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(5):
            await together


async def test_gather_returns_a_cancelled_ask_among_the_results_where_it_is_asked_to(gate: ActorRef[Gate]) -> None:
    held = gate.ask("wait")
    together = asyncio.gather(held, gate.ask("fail"), gate.ask("quick"), return_exceptions=True)
    held.cancel("not wanted")
    async with asyncio.timeout(5):
        cancelled, failed, quick = await together
    assert isinstance(cancelled, asyncio.CancelledError)
    assert cancelled.args == ("not wanted",)
    assert isinstance(failed, ValueError)
    assert quick == "quick"


async def test_wait_returns_when_the_first_answer_is_there(gate: ActorRef[Gate]) -> None:
    held, quick = gate.ask("wait"), gate.ask("quick")
    done, pending = await asyncio.wait(cast(Any, {held, quick}), return_when=asyncio.FIRST_COMPLETED)
    assert done == {quick}
    assert pending == {held}
    gate.tell("open")
    assert await held == "let through"


async def test_wait_for_cancels_the_ask_when_time_is_up(gate: ActorRef[Gate]) -> None:
    held = gate.ask("wait")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(held, 0)
    assert held.cancelled()


async def test_shield_lets_the_ask_go_on_when_its_waiter_is_cancelled(gate: ActorRef[Gate]) -> None:
    held = gate.ask("wait")
    shielded = asyncio.shield(held)
    shielded.cancel()
    gate.tell("open")
    assert await held == "let through"


async def test_a_task_group_awaits_asks_made_in_its_tasks(gate: ActorRef[Gate]) -> None:
    async def ask(message: str) -> Any:
        return await gate.ask(message)

    async with asyncio.TaskGroup() as group:
        held = group.create_task(ask("wait"))
        group.create_task(ask("open"))
    assert held.result() == "let through"


async def test_as_completed_yields_answers_as_they_come(gate: ActorRef[Gate]) -> None:
    asks = [gate.ask("wait"), gate.ask("quick")]
    seen = []
    for next_one in asyncio.as_completed(asks):
        seen.append(await next_one)
        gate.tell("open")
    assert seen == ["quick", "let through"]
