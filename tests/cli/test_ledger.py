"""The demo's count of messages comes from the runtime, so it must notice what goes wrong."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callboard.actors import Actor, ActorCrashed, ChildSpec, System
from callboard.actors.cli.demo.ledger import Ledger


class Struck(BaseException):
    """What makes an actor crash even under an ask."""


class Doubler(Actor):
    def on_receive(self, message: Any) -> Any:
        return message * 2


class Deaf(Actor):
    shutdown_timeout = 0.01

    def __init__(self, heard: asyncio.Event) -> None:
        super().__init__()
        self.heard = heard

    async def on_receive(self, message: Any) -> Any:
        self.heard.set()
        await asyncio.get_running_loop().create_future()


async def test_each_message_that_was_answered_is_counted_as_sent_and_answered() -> None:
    with Ledger().installed() as ledger:
        async with System() as system:
            ref = system.spawn(Doubler)
            ref.tell(5)
            assert [await ref.ask(n) for n in range(5)] == [0, 2, 4, 6, 8]
    assert (ledger.sent, ledger.asked, ledger.answered, ledger.lost) == (6, 5, 5, 0)


async def test_messages_that_an_actor_never_came_to_are_dead_letters_and_not_lost() -> None:
    heard = asyncio.Event()
    with Ledger().installed() as ledger:
        async with System() as system:
            ref = system.spawn(Deaf, heard)
            unheard = [ref.ask(n) for n in range(3)]
            await heard.wait()
        assert all(future.done() for future in unheard)
    assert (ledger.facts["recv"], ledger.facts["dead_letter"], ledger.lost) == (1, 2, 0)
    assert (ledger.answered, ledger.refused) == (0, 3)


async def test_a_told_message_that_became_a_dead_letter_is_lost_because_nobody_knows() -> None:
    heard = asyncio.Event()
    with Ledger().installed() as ledger:
        async with System() as system:
            ref = system.spawn(Deaf, heard)
            ref.tell("heard")
            ref.tell("unheard")
            await heard.wait()
    assert (ledger.facts["dead_letter"], ledger.lost) == (1, 1)


async def test_a_message_that_lies_in_a_mailbox_counts_as_lost_until_it_is_taken_up() -> None:
    with Ledger().installed() as ledger:
        async with System() as system:
            ref = system.spawn(Doubler)
            answer = ref.ask(1)
            assert ledger.lost == 1
            await answer
            assert ledger.lost == 0


async def test_a_crash_that_was_ordered_strikes_once_and_the_asker_is_told() -> None:
    with Ledger().installed() as ledger:
        async with System() as system:
            ref = system.supervise(ChildSpec(Doubler, name="doubler"))
            ledger.crash_at_next_message("doubler", Struck())
            with pytest.raises(ActorCrashed):
                await ref.ask(1)
            assert await ref.ask(2) == 4
    assert ledger.facts["crashed"] == 1
    assert ledger.facts["restarted"] == 1
    assert (ledger.asked, ledger.answered, ledger.refused, ledger.lost) == (2, 1, 1, 0)
