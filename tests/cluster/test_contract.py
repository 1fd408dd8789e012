"""What the core's page says of references to other nodes, as far as no other test shows it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from callboard import Actor, ActorDead, ActorRef, AskTimeout, ChildSpec, Returns, handles
from callboard.actors.cluster.errors import MessageNotPortable, NodeGone

from .test_refs import Add, Counter, Hang, Listener, Watch, two


@dataclass(frozen=True)
class AskBack(Returns[int]):
    """Ask an actor to ask in turn."""

    others: tuple[ActorRef[Any], ...]


@dataclass(frozen=True)
class Handed(Returns[int]):
    """Have somebody else answer."""

    to: ActorRef[Any]
    amount: int


class Asking(Actor):
    @handles(AskBack)
    async def ask_back(self, message: AskBack) -> int:
        first, *others = message.others
        return await first.ask(AskBack(tuple(others)) if others else Add(1), timeout=0.05)

    @handles(Handed)
    def hand_on(self, message: Handed) -> Any:
        return self.forward(message.to, Add(message.amount))


async def test_a_circle_of_asks_over_nodes_is_ended_by_its_deadline() -> None:
    async with two() as (a, b):
        here = a.system.spawn(Asking, name="here")
        b.system.spawn(Asking, name="there")
        with pytest.raises(AskTimeout):
            await here.ask(AskBack((a.ref("two", "there"), here)), timeout=0.1)


async def test_an_ask_is_forwarded_to_another_node() -> None:
    async with two() as (a, b):
        b.system.spawn(Counter, name="counter")
        here = a.system.spawn(Asking, name="here")
        assert await here.ask(Handed(a.ref("two", "counter"), 3)) == 3


async def test_what_cannot_be_sent_was_not_done() -> None:
    async with two() as (a, b):
        b.system.spawn(Counter, name="counter")
        ref = a.ref("two", "counter")
        with pytest.raises(MessageNotPortable):
            await ref.ask(Add(lambda: 1))  # type: ignore[arg-type]
        assert await ref.ask(Add(1)) == 1


async def test_a_restart_is_no_end_and_stopping_a_reference_ends_nothing_over_there() -> None:
    async with two() as (a, b):
        counter = b.system.supervise(ChildSpec(Counter, name="counter"))
        ref = a.ref("two", "counter")
        heard: asyncio.Queue[Any] = asyncio.Queue()
        listener: ActorRef[Any] = a.system.spawn(Listener, heard, name="listener")
        listener.tell(Watch(ref))
        assert await ref.ask(Add(1)) == 1
        counter.restart()
        assert await ref.ask(Add(1)) == 1  # a new incarnation, behind the same reference
        assert heard.empty()
        await ref.stop()
        assert (await heard.get()).ref is ref
        assert counter.is_alive()
        with pytest.raises(ActorDead):
            await ref.ask(Add(1))
        assert await a.ref("two", "counter").ask(Add(1)) == 2


async def test_a_node_that_is_gone_is_an_actor_that_is_dead() -> None:
    async with two() as (a, b):
        b.system.spawn(Counter, name="counter")
        ref = a.ref("two", "counter")
        asked = ref.ask(Hang())
        await ref.ask(Add(1))
        a.left("b", "it has left")
        with pytest.raises(NodeGone) as raised:
            await asked
        assert isinstance(raised.value, ActorDead)
