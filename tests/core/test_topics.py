"""Topics: who gets what is published, in which order, and what full and dead subscribers do to others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callboard.actors import (
    Actor,
    ActorRef,
    ChildSpec,
    Publish,
    SpecError,
    Subscribe,
    System,
    Topics,
    Unsubscribe,
    current_send_context,
    send_context,
)
from callboard.actors.core.topics import Subscriptions
from callboard.actors.testing import Crash, Kill, Simulation, simulate

from .support import Echo, Gate, Hold, Log, on_each_loop


class Listener(Actor):
    """Keeps what it hears; answers with it."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Any] = []

    def on_receive(self, message: Any) -> Any:
        if message == "heard?":
            return list(self.heard)
        self.heard.append(message)
        return None


# -- who gets what -----------------------------------------------------------------------------------------------------


@on_each_loop
async def test_what_is_published_reaches_those_who_have_subscribed_and_no_others() -> None:
    async with System() as system:
        topics = system.supervise(Topics.spec())
        one, two, other = (system.spawn(Listener) for _ in range(3))
        await topics.ask(Subscribe("orders.eu", one))
        await topics.ask(Subscribe("orders.eu", two))
        await topics.ask(Subscribe("orders.us", other))
        assert await topics.ask(Publish("orders.eu", "first")) == 2
        topics.tell(Publish("orders.eu", "second"))
        assert await topics.ask(Publish("nobody", "third")) == 0
        assert await one.ask("heard?") == await two.ask("heard?") == ["first", "second"]
        assert await other.ask("heard?") == []


MATCHES = [
    ("orders", "orders", True),
    ("orders", "orders.eu", False),
    ("orders", "order", False),
    ("orders.*", "orders.eu", True),
    ("orders.*", "orders", False),
    ("orders.*", "orders.eu.new", False),
    ("*.eu", "orders.eu", True),
    ("*", "orders", True),
    ("*", "orders.eu", False),
    ("orders.**", "orders", True),
    ("orders.**", "orders.eu.new", True),
    ("orders.**", "ordersx.eu", False),
    ("**", "orders.eu.new", True),
    ("**.new", "new", True),
    ("**.new", "orders.eu.new", True),
    ("**.new", "orders.new.eu", False),
    ("a.**.z", "a.z", True),
    ("a.**.z", "a.b.c.z", True),
    ("a.*.**.z", "a.z", False),
    ("a.*.**.z", "a.b.z", True),
    ("a+b.*", "aab.c", False),
    ("a+b.*", "a+b.c", True),
]


@pytest.mark.parametrize(("pattern", "topic", "matches"), MATCHES)
def test_in_a_pattern_one_star_is_one_word_and_two_are_any_number(pattern: str, topic: str, matches: bool) -> None:
    subscriptions = Subscriptions()
    subscriptions.add(pattern, "subscriber")  # type: ignore[arg-type]  # they are kept, not called
    assert subscriptions.of(topic) == (["subscriber"] if matches else [])


def matches(pattern: list[str], topic: list[str]) -> bool:
    """The meaning of patterns, written down as simply as can be."""
    if not pattern:
        return not topic
    if pattern[0] == "**":
        return any(matches(pattern[1:], topic[i:]) for i in range(len(topic) + 1))
    return bool(topic) and pattern[0] in ("*", topic[0]) and matches(pattern[1:], topic[1:])


@settings(deadline=None)
@given(
    pattern=st.lists(st.sampled_from(["a", "b", "*", "**"]), min_size=1, max_size=4),
    topic=st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4),
)
def test_patterns_match_what_their_meaning_says(pattern: list[str], topic: list[str]) -> None:
    subscriptions = Subscriptions()
    subscriptions.add(".".join(pattern), "subscriber")  # type: ignore[arg-type]
    assert bool(subscriptions.of(".".join(topic))) == matches(pattern, topic)


@on_each_loop
async def test_a_message_that_several_subscriptions_match_arrives_once() -> None:
    async with System() as system:
        topics = system.supervise(Topics.spec())
        listener = system.spawn(Listener)
        for topic in ("a.b", "a.b", "a.*", "**"):
            await topics.ask(Subscribe(topic, listener))
        assert await topics.ask(Publish("a.b", 1)) == 1
        assert await listener.ask("heard?") == [1]


@on_each_loop
async def test_one_subscription_is_taken_back_or_all_of_an_actors() -> None:
    async with System() as system:
        topics = system.supervise(Topics.spec())
        listener, other = system.spawn(Listener), system.spawn(Listener)
        for topic in ("a", "b", "c.*"):
            await topics.ask(Subscribe(topic, listener))
        await topics.ask(Subscribe("a", other))
        with pytest.raises(SpecError, match="is no topic"):
            Unsubscribe(listener, "a")  # type: ignore[arg-type]
        await topics.ask(Unsubscribe("a", listener))
        await topics.ask(Unsubscribe("never subscribed", listener))
        assert [await topics.ask(Publish(topic, topic)) for topic in ("a", "b", "c.d")] == [1, 1, 1]
        await topics.ask(Unsubscribe("*", listener))  # not subscribed to: it is no list of what is
        assert [await topics.ask(Publish(topic, topic)) for topic in ("b", "c.d")] == [1, 1]
        await topics.ask(Unsubscribe(None, listener))
        assert [await topics.ask(Publish(topic, topic)) for topic in ("a", "b", "c.d")] == [1, 0, 0]
        assert await listener.ask("heard?") == ["b", "c.d", "b", "c.d"]


@on_each_loop
async def test_a_message_arrives_with_the_scope_it_was_published_in() -> None:
    log = Log()

    class Tells(Actor):
        def on_receive(self, message: Any) -> None:
            log(message, current_send_context().baggage.get("trace"))

    async with System() as system:
        topics = system.supervise(Topics.spec())
        tells = system.spawn(Tells)
        await topics.ask(Subscribe("a", tells))
        with send_context(baggage={"trace": "t1"}):
            topics.tell(Publish("a", 1))
        topics.tell(Publish("a", 2))
        await topics.ask(Publish("b", 0))
        await tells.stop()
        assert log.lines == [(1, "t1"), (2, None)]


def test_a_subscriber_may_live_in_another_system() -> None:
    async def here() -> None:
        async with System() as system:
            topics = system.supervise(Topics.spec())
            with System.in_thread() as other:
                listener = other.spawn(Listener)
                await topics.ask(Subscribe("a", listener))
                await topics.ask(Publish("a", 1))
                assert await listener.ask("heard?") == [1]
            assert await topics.ask(Publish("a", 2)) == 0

    asyncio.run(here())


# -- full and dead subscribers -----------------------------------------------------------------------------------------


@on_each_loop
async def test_a_full_subscriber_holds_nobody_up_and_what_it_misses_is_a_dead_letter() -> None:
    class Small(Gate):
        mailbox_capacity = 1

    async with System() as system:
        letters: list[Any] = []
        system.dead_letters.subscribe(letters.append)
        topics = system.supervise(Topics.spec())
        small, listener = system.spawn(Small, name="small"), system.spawn(Listener)
        for ref in (small, listener):
            await topics.ask(Subscribe("a", ref))
        hold = Hold()
        await topics.ask(Publish("a", hold))
        await hold.begun.wait()
        assert [await topics.ask(Publish("a", i)) for i in range(3)] == [2, 1, 1]
        assert await listener.ask("heard?") == [hold, 0, 1, 2]
        assert [(letter.message, letter.recipient) for letter in letters] == [(1, "small"), (2, "small")]
        hold.go.set()
        await small.put("behind")
        await asyncio.sleep(0)
        assert await topics.ask(Publish("a", 3)) == 2  # it is still subscribed


@on_each_loop
async def test_a_dead_subscriber_is_forgotten() -> None:
    async with System() as system:
        table = Subscriptions()
        topics = system.spawn(Topics, table)
        one, two, dead = (system.spawn(Listener) for _ in range(3))
        await dead.stop()
        for ref in (one, two, dead):
            await topics.ask(Subscribe("a.*", ref))
        await one.stop()
        assert await topics.ask(Publish("a.b", 1)) == 1
        assert list(table) == [two]
        assert await two.ask("heard?") == [1]


@on_each_loop
async def test_a_restarted_subscriber_stays_subscribed() -> None:
    async with System() as system:
        topics = system.supervise(Topics.spec())
        listener = system.supervise(ChildSpec(Listener))
        await topics.ask(Subscribe("a", listener))
        listener.kill()
        assert await topics.ask(Publish("a", 1)) == 1
        assert await listener.ask("heard?") == [1]


@on_each_loop
async def test_subscriptions_outlive_a_crash_of_topics_and_the_dead_are_still_noticed() -> None:
    async with System() as system:
        spec = Topics.spec(name="topics")
        topics = system.supervise(spec)
        listener, other = system.spawn(Listener), system.spawn(Listener)
        await topics.ask(Subscribe("a", listener))
        await topics.ask(Subscribe("a", other))
        topics.kill()
        assert await topics.ask(Publish("a", 1)) == 2
        await other.stop()
        await topics.ask(Unsubscribe("b", listener))
        assert list(spec.args[0]) == [listener]


@on_each_loop
async def test_a_message_that_topics_does_not_know_is_answered_like_any_actors() -> None:
    async with System() as system:
        topics = system.supervise(Topics.spec())
        assert await topics.ask("what?") is None


# -- under every schedule ----------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    plans=st.lists(st.lists(st.sampled_from(["a", "a.b", "c"]), max_size=6), min_size=1, max_size=3),
    crash=st.booleans(),
)
def test_each_subscriber_gets_each_publishers_messages_in_order_and_each_once(
    plans: list[list[str]], crash: bool
) -> None:
    async def scenario(sim: Simulation) -> None:
        topics = sim.system.supervise(Topics.spec(name="topics"))
        patterns = {"all": "**", "below": "a.*", "one": "a"}
        refs: dict[str, ActorRef[Any]] = {name: sim.system.spawn(Listener, name=name) for name in patterns}
        for name, ref in refs.items():
            topics.tell(Subscribe(patterns[name], ref))
            topics.tell(Subscribe("a.b", ref))

        async def publisher(number: int, plan: list[str]) -> None:
            for i, topic in enumerate(plan):
                topics.tell(Publish(topic, (number, i, topic)))
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            for number, plan in enumerate(plans):
                group.create_task(publisher(number, plan), name=f"publisher{number}")
        await sim.idle()
        struck = {fact.get("nth") for fact in sim.trace if fact.kind == "fault"}
        for name, ref in refs.items():
            heard = await ref.ask("heard?")
            wanted = {"all": ("a", "a.b", "c"), "below": ("a.b",), "one": ("a", "a.b")}[name]
            for number, plan in enumerate(plans):
                sent = [(number, i, topic) for i, topic in enumerate(plan) if topic in wanted]
                got = [message for message in heard if message[0] == number]
                assert [message for message in sent if message in got] == got
                if not struck:
                    assert got == sent

    simulate(scenario, seeds=8, faults=[Crash("topics")] if crash else [])


def test_a_subscriber_that_dies_at_any_message_takes_nothing_from_the_others() -> None:
    async def scenario(sim: Simulation) -> None:
        topics = sim.system.supervise(Topics.spec(name="topics"))
        one, two = sim.system.spawn(Listener, name="one"), sim.system.spawn(Listener, name="two")
        for ref in (one, two):
            topics.tell(Subscribe("a", ref))
        for i in range(4):
            topics.tell(Publish("a", i))
            await asyncio.sleep(0)
        await sim.idle()
        assert await two.ask("heard?") == [0, 1, 2, 3]

    simulate(scenario, seeds=60, faults=[Kill("one")])


# -- arguments ---------------------------------------------------------------------------------------------------------

SOMEONE: Any = object.__new__(ActorRef)
WRONG: dict[str, Callable[[], object]] = {
    "no text": lambda: Publish(1, "m"),  # type: ignore[arg-type]
    "empty": lambda: Publish("", "m"),
    "an empty word": lambda: Publish("a..b", "m"),
    "a dot at the end": lambda: Subscribe("a.", SOMEONE),
    "publish on a pattern": lambda: Publish("a.*", "m"),
    "half a word": lambda: Subscribe("a.b*", SOMEONE),
    "three stars": lambda: Subscribe("a.***", SOMEONE),
    "no ref": lambda: Subscribe("a", "me"),  # type: ignore[arg-type]
    "a class": lambda: Subscribe("a", Echo),  # type: ignore[arg-type]
    "no ref to unsubscribe": lambda: Unsubscribe("a", None),  # type: ignore[arg-type]
    "unsubscribe half a word": lambda: Unsubscribe("a*", SOMEONE),
    "name": lambda: Topics.spec(name="a/b"),
    "shutdown": lambda: Topics.spec(shutdown=-1),
    "mailbox": lambda: Topics.spec(mailbox=10),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_argument_is_named(what: str) -> None:
    with pytest.raises(SpecError):
        WRONG[what]()
