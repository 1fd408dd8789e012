"""Answers that are made beside the mailbox, and proxies of an actor that is between two incarnations."""

from __future__ import annotations

import asyncio
from typing import Any

import pykka
import pytest

from callboard.actors import Actor, ActorDead, ActorRef, AskTimeout, Backoff, ChildSpec, System
from callboard.actors.testing import virtual_time

from .support import Events, Log, on_each_loop

# -- a reply that the handler forgot to return -------------------------------------------------------------------------


class Forgets(Actor):
    """Begins an answer beside the mailbox, and returns nothing."""

    def __init__(self, log: Log | None = None) -> None:
        super().__init__()
        self.log = log or Log()

    def on_receive(self, message: Any) -> Any:
        match message:
            case ("def", _):
                self.reply_with(self.work(message))
            case ("async def", _):
                return self.handler(message)
            case ("late", _):
                return self.late(message)
            case ("returned", _):
                return self.reply_with(self.work(message))
        return None

    async def handler(self, message: Any) -> None:
        self.reply_with(self.work(message))

    async def late(self, message: Any) -> None:
        await asyncio.sleep(1)
        self.reply_with(self.work(message))
        await asyncio.sleep(1)

    def method(self, what: Any) -> None:
        self.reply_with(self.work(("method", what)))

    async def work(self, message: Any) -> Any:
        how, what = message
        self.log("begin", how)
        await asyncio.sleep(5)
        if isinstance(what, BaseException):
            raise what
        self.log("end", how)
        return what


WAYS = ["def", "async def", "late", "returned", "method"]


def sent(ref: ActorRef[Forgets], way: str, what: Any, timeout: float | None = None) -> Any:
    return ref.proxy().method(what) if way == "method" else ref.ask((way, what), timeout=timeout)


@pytest.mark.parametrize("way", WAYS)
@virtual_time
async def test_a_reply_that_the_handler_did_not_return_answers_all_the_same(way: str) -> None:
    async with System() as system:
        ref = system.spawn(Forgets)
        assert await sent(ref, way, "the answer") == "the answer"


@pytest.mark.parametrize("way", WAYS)
@virtual_time
async def test_a_reply_that_was_not_returned_and_failed_tells_the_asker_and_the_actor_lives(way: str) -> None:
    async with System() as system:
        ref = system.spawn(Forgets)
        with pytest.raises(ValueError, match="no answer"):
            await sent(ref, way, ValueError("no answer"))
        assert await sent(ref, way, "the answer") == "the answer"


@pytest.mark.parametrize("way", ["def", "async def", "late", "returned"])
@virtual_time
async def test_a_reply_that_was_not_returned_is_given_up_with_its_asker(way: str) -> None:
    log = Log()
    async with System() as system:
        ref = system.spawn(Forgets, log)
        with pytest.raises(AskTimeout):
            await sent(ref, way, "the answer", timeout=4)
        await asyncio.sleep(10)
        assert log.lines == [("begin", way)]


@pytest.mark.parametrize("way", WAYS)
@virtual_time
async def test_a_reply_that_was_not_returned_ends_with_its_actor(way: str) -> None:
    async with System() as system:
        ref = system.spawn(Forgets)
        ask = sent(ref, way, "the answer")
        await asyncio.sleep(3)
        ref.kill()
        with pytest.raises(ActorDead):
            await ask


@virtual_time
async def test_replies_that_were_not_returned_are_worked_on_side_by_side() -> None:
    async with System() as system:
        ref = system.spawn(Forgets)
        asks = [ref.ask(("def", number)) for number in range(10)]
        assert [await ask for ask in asks] == list(range(10))
        assert asyncio.get_running_loop().time() == 5


@pytest.mark.parametrize("way", ["def", "async def"])
@virtual_time
async def test_work_begun_for_a_told_message_and_not_returned_still_crashes_the_actor_when_it_fails(way: str) -> None:
    async with System() as system:
        events = Events(system)
        ref = system.supervise(ChildSpec(Forgets, name="forgets"))
        ref.tell((way, ValueError("nobody is told")))
        await events.until("restarted", "forgets")
        assert await ref.ask((way, "the answer")) == "the answer"


# -- proxies during a restart ------------------------------------------------------------------------------------------


class Shop(Actor):
    """Has attributes and methods, some of them only of an incarnation."""

    made = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).made += 1
        self.incarnation = type(self).made

    def on_receive(self, message: Any) -> Any:
        if message == "crash":
            raise SystemExit
        return message

    def buy(self, number: int) -> tuple[int, int]:
        return self.incarnation, number


def shop() -> ChildSpec:
    return ChildSpec(type("Shop", (Shop,), {}), name="shop", backoff=Backoff(initial=20.0))


@virtual_time
async def test_a_proxy_can_be_made_while_its_actor_waits_for_its_restart() -> None:
    async with System() as system:
        events = Events(system)
        ref = system.supervise(shop())
        ref.tell("crash")
        await events.until("crashed", "shop")
        await asyncio.sleep(1)
        assert ref.is_alive()
        proxy = ref.proxy()
        bought, incarnation = proxy.buy(3), proxy.incarnation
        assert not events.count("restarted", "shop")
        assert await bought == (2, 3)
        assert await incarnation == 2
        assert asyncio.get_running_loop().time() == 20


@virtual_time
async def test_a_proxy_made_during_a_restart_has_the_attributes_of_the_last_incarnation() -> None:
    async with System() as system:
        events = Events(system)
        ref = system.supervise(shop())
        await ref.started()
        first = ref.proxy()
        ref.tell("crash")
        await events.until("crashed", "shop")
        await asyncio.sleep(1)
        second = ref.proxy()
        assert {name for name in dir(second) if not name.startswith("_")} == {
            name for name in dir(first) if not name.startswith("_")
        }
        with pytest.raises(AttributeError):
            second.nothing  # noqa: B018
        second.incarnation = 40
        second.buy.defer(0)
        assert await second.buy(1) == (40, 1)
        assert await first.buy(2) == (40, 2)


@virtual_time
async def test_a_proxy_made_before_a_crash_is_of_use_during_and_after_the_restart() -> None:
    async with System() as system:
        events = Events(system)
        ref = system.supervise(shop())
        await ref.started()
        proxy = ref.proxy()
        ref.tell("crash")
        await events.until("crashed", "shop")
        await asyncio.sleep(1)
        assert await proxy.buy(1) == (2, 1)
        assert await proxy.buy(2) == (2, 2)


@on_each_loop
async def test_a_proxy_of_a_dead_actor_is_still_refused() -> None:
    async with System() as system:
        ref = system.spawn(Shop)
        await ref.stop()
        with pytest.raises(pykka.ActorDeadError):
            ref.proxy()
