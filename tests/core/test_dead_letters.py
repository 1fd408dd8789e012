"""Who is told of dead letters: functions, actors, and the subscribers of events."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from callboard.actors import Actor, ChildSpec, DeadLetter, System
from callboard.actors.testing import virtual_time

from .support import Echo, Events, Gate, Hold, on_each_loop


class Keeps(Actor):
    """Keeps the dead letters it is told."""

    def __init__(self, kept: list[Any]) -> None:
        super().__init__()
        self.kept = kept

    def on_receive(self, message: Any) -> None:
        if isinstance(message, DeadLetter):
            self.kept.append(message.message)


async def make_dead_letters(system: System, count: int, name: str = "receiver") -> None:
    """An actor that is killed with messages in its mailbox."""
    ref, hold = system.spawn(Gate, name=name), Hold()
    ref.tell(hold)
    await hold.begun.wait()
    for number in range(count):
        ref.tell(number)
    ref.kill()
    await ref.terminated()


# -- subscribers of events ---------------------------------------------------------------------------------------------


@virtual_time
async def test_a_dead_letter_is_told_to_the_subscribers_of_events_as_it_becomes_one() -> None:
    async with System() as system:
        events = Events(system)
        await asyncio.sleep(3)
        await make_dead_letters(system, 2)
        told = [event for event in events.all if event.kind == "dead_letter"]
        assert [event.actor for event in told] == ["receiver", "receiver"]
        assert [event.time for event in told] == [3.0, 3.0]
        assert all("stopped before handling" in event.detail for event in told)
        assert [event.detail[-1] for event in told] == ["0", "1"], "the detail ends with the message"
        assert events.of("dead_letter", "stopped") == [
            ("dead_letter", "receiver"),
            ("dead_letter", "receiver"),
            ("stopped", "receiver"),
        ]


@virtual_time
async def test_a_queued_ask_that_was_given_up_is_told_as_a_dead_letter_too() -> None:
    async with System() as system:
        events, hold = Events(system), Hold()
        ref = system.spawn(Gate, name="receiver")
        ref.tell(hold)
        await hold.begun.wait()
        ref.ask("given up").cancel()
        hold.go.set()
        await ref.ask("sync")
        assert events.count("dead_letter", "receiver") == 1
        assert system.dead_letters.count == 1


@on_each_loop
async def test_the_detail_of_a_dead_letter_stays_short_however_long_the_message_is() -> None:
    async with System() as system:
        events, hold = Events(system), Hold()
        ref = system.spawn(Gate, name="receiver")
        ref.tell(hold)
        await hold.begun.wait()
        ref.tell("x" * 1_000_000)
        ref.kill()
        await ref.terminated()
        (event,) = [event for event in events.all if event.kind == "dead_letter"]
        assert len(event.detail) < 1000


@on_each_loop
async def test_who_has_ended_the_subscription_is_told_of_no_dead_letter_any_more() -> None:
    async with System() as system:
        told: list[str] = []
        end = system.subscribe(lambda event: told.append(event.kind))
        await make_dead_letters(system, 1, "first")
        end()
        await make_dead_letters(system, 1, "second")
        assert told.count("dead_letter") == 1
        assert system.dead_letters.count == 2


# -- actors as subscribers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["stop", "kill"])
@on_each_loop
async def test_an_actor_that_subscribed_to_dead_letters_and_has_died_is_dropped_with_one_log_record_at_most(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with System() as system:
        first: list[Any] = []
        second: list[Any] = []
        dead, alive = system.spawn(Keeps, first, name="dead"), system.spawn(Keeps, second, name="alive")
        end = system.dead_letters.subscribe(dead)
        system.dead_letters.subscribe(alive)
        await make_dead_letters(system, 1, "before")
        await dead.ask("sync")
        if how == "stop":
            await dead.stop()
        else:
            dead.kill()
            await dead.terminated()
        caplog.clear()
        with caplog.at_level(logging.WARNING, "callboard"):
            await make_dead_letters(system, 50, "after")
        records = [record for record in caplog.records if "subscribe" in record.getMessage() or record.exc_info]
        others = [record for record in records if "after" in record.getMessage()]  # the kill of the receiver itself
        assert len(records) - len(others) <= 1
        await alive.ask("sync")
        assert first == [0]
        assert second == [0, *range(50)]
        end()  # which has no effect any more


@on_each_loop
async def test_an_actor_that_subscribes_to_dead_letters_when_it_is_dead_disturbs_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with System() as system:
        kept: list[Any] = []
        dead = system.spawn(Echo)
        await dead.stop()
        system.dead_letters.subscribe(dead)
        system.dead_letters.subscribe(kept.append)
        await make_dead_letters(system, 20)
        assert len(kept) == 20
        assert len([record for record in caplog.records if "subscriber" in record.getMessage()]) <= 1


@on_each_loop
async def test_a_subscriber_that_dies_with_dead_letters_in_its_mailbox_does_not_go_round_in_a_circle() -> None:
    async with System() as system:
        hold = Hold()
        subscriber = system.spawn(Gate, name="subscriber")
        system.dead_letters.subscribe(subscriber)
        subscriber.tell(hold)
        await hold.begun.wait()
        await make_dead_letters(system, 10)
        subscriber.kill()
        await subscriber.terminated()
        assert system.dead_letters.count == 20, "ten, and the ten letters about them"


@on_each_loop
async def test_a_subscriber_that_is_restarted_stays_subscribed() -> None:
    async with System() as system:
        events, kept = Events(system), list[Any]()
        ref = system.supervise(ChildSpec(Keeps, (kept,), name="keeps"))
        system.dead_letters.subscribe(ref)
        ref.kill()
        await make_dead_letters(system, 3)
        await events.until("started", "keeps", 2)
        await ref.ask("sync")
        assert kept == [0, 1, 2]
