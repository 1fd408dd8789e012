"""Routers: which worker gets a message, and that none is lost or done twice, whatever happens to workers and size."""

from __future__ import annotations

import asyncio
import enum
import subprocess
import sys
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callboard.actors import (
    Actor,
    ActorCrashed,
    ActorDead,
    AskCycle,
    AskTimeout,
    Backoff,
    Broadcast,
    ChildSpec,
    Mailbox,
    MailboxFull,
    NotAStream,
    Resize,
    Routees,
    Router,
    SpecError,
    StartFailed,
    Supervisor,
    System,
    Topics,
    by_key,
    current_send_context,
    send_context,
)
from callboard.actors.core.base.rendezvous import key_hash, slot_of
from callboard.actors.testing import Crash, Fault, InjectedCrash, Kill, Simulation, simulate, virtual_time
from tests.cli.command import offline

from .support import Echo, Events, Gate, Hold, Log, on_each_loop

drawn = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ROUTINGS: dict[str, Any] = {
    "round_robin": "round_robin",
    "least_busy": "least_busy",
    "by_key": by_key(lambda message: message[0]),
}


class Named(Actor):
    """Answers with its name and the message."""

    def on_receive(self, message: Any) -> Any:
        return self.name, message


class Small(Gate):
    mailbox_capacity = 2


async def names_of(router: Any) -> list[str]:
    return [ref.name for ref in await router.ask(Routees())]


# -- which worker ------------------------------------------------------------------------------------------------------


@on_each_loop
async def test_round_robin_takes_turns() -> None:
    async with System() as system:
        router = system.supervise(Router.spec(Named, size=3, name="pool"))
        assert [(await router.ask(i))[0] for i in range(7)] == [f"Named-{i % 3 + 1}" for i in range(7)]


@on_each_loop
async def test_least_busy_takes_the_worker_with_the_fewest_messages_waiting_or_at_work() -> None:
    async with System() as system:
        log = Log()
        router = system.supervise(Router.spec(Gate, args=(log,), size=3, routing="least_busy"))
        holds = [Hold(str(i)) for i in range(3)]
        asks = [router.ask(hold) for hold in holds]
        for hold in holds:
            await hold.begun.wait()  # each has a worker of its own
        holds[1].go.set()
        await asks[1]
        later = [Hold("a"), Hold("b")]
        asks += [router.ask(later[0])]
        await later[0].begun.wait()  # the one that was free
        holds[2].go.set()
        await asks[2]
        asks += [router.ask(later[1])]
        await later[1].begun.wait()
        for hold in [*holds, *later]:
            hold.go.set()
        assert await asyncio.gather(*asks) == ["0", "1", "2", "a", "b"]


@on_each_loop
async def test_least_busy_counts_work_beside_the_mailbox() -> None:
    class Beside(Gate):
        def on_receive(self, message: Any) -> Any:
            return self.reply_with(self.work(message))

        async def work(self, hold: Hold) -> str:
            hold.begun.set()
            await hold.go.wait()
            return self.name

    async with System() as system:
        router = system.supervise(Router.spec(Beside, size=4, routing="least_busy"))
        holds = [Hold() for _ in range(8)]
        asks = []
        for hold in holds:
            asks.append(router.ask(hold))
            await hold.begun.wait()
        for hold in holds:
            hold.go.set()
        assert set(Counter(await asyncio.gather(*asks)).values()) == {2}


@on_each_loop
async def test_the_same_key_goes_to_the_same_worker() -> None:
    async with System() as system:
        router = system.supervise(Router.spec(Named, size=5, routing=by_key(lambda m: m[0])))
        placed = defaultdict(set)
        for i in range(200):
            name, message = await router.ask((f"user-{i % 40}", i))
            placed[message[0]].add(name)
        assert all(len(names) == 1 for names in placed.values())
        assert len(set().union(*placed.values())) == 5


@given(keys=st.sets(st.text(), min_size=1), size=st.integers(1, 20))
@settings(deadline=None)
def test_one_worker_more_takes_keys_and_moves_no_other(keys: set[str], size: int) -> None:
    for key in keys:
        number = key_hash(key)
        assert slot_of(number, size + 1) in (slot_of(number, size), size)


def test_keys_are_spread_evenly_and_about_one_in_n_moves_to_one_worker_more() -> None:
    numbers = [key_hash(f"user-{i}") for i in range(10_000)]
    for size in (2, 3, 4, 7, 16):
        shares = Counter(slot_of(number, size) for number in numbers)
        assert len(shares) == size
        assert max(shares.values()) < 1.2 * len(numbers) / size, size
        assert min(shares.values()) > 0.8 * len(numbers) / size, size
        moved = sum(slot_of(number, size) != slot_of(number, size + 1) for number in numbers)
        assert 0.8 < moved * (size + 1) / len(numbers) < 1.2, size


class Colour(enum.Enum):
    RED = 1


KEYS = ["a", b"a", 1, None, uuid.UUID(int=1), Colour.RED, ("a", 1), ("a", ("1",)), (), "", ("a1",), -1]


def test_a_key_has_the_same_number_in_every_process_and_differs_from_others() -> None:
    numbers = [key_hash(key) for key in KEYS]
    assert len(set(numbers)) == len(KEYS)
    code = "from tests.core.test_routers import KEYS, key_hash; print([key_hash(key) for key in KEYS])"
    for seed in ("1", "2"):
        env = {**offline(), "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == str(numbers)


# -- asks, streams, scopes ---------------------------------------------------------------------------------------------


@on_each_loop
async def test_the_workers_error_goes_to_the_asker_and_worker_and_router_live_on() -> None:
    async with System() as system:
        router = system.supervise(Router.spec(Gate, size=1))
        with pytest.raises(ZeroDivisionError):
            await router.ask(ZeroDivisionError())
        assert await router.ask("still there") == "still there"


@on_each_loop
async def test_an_ask_whose_worker_crashes_ends_in_an_error_that_names_the_worker() -> None:
    async with System() as system:
        router = system.supervise(Router.spec(Gate, size=1, name="pool"))
        with pytest.raises(ActorCrashed, match="pool/Gate-1"):
            await router.ask(SystemExit())
        assert await router.ask("again") == "again"


@on_each_loop
async def test_cancelling_an_ask_reaches_the_worker() -> None:
    async with System() as system:
        log = Log()
        router = system.supervise(Router.spec(Gate, args=(log,), size=1))
        hold, queued = Hold(), Hold("queued")
        first, second = router.ask(hold), router.ask(queued)
        await hold.begun.wait()
        second.cancel()
        first.cancel()
        await hold.cancelled.wait()
        assert await router.ask("next") == "next"
        assert log.lines == [("begin", "hold"), ("cancelled", "hold"), ("saw", "next")]


@on_each_loop
async def test_the_deadline_of_an_ask_reaches_the_worker() -> None:
    class Tells(Gate):
        async def on_receive(self, message: Any) -> Any:
            if message == "deadline":
                return current_send_context().deadline
            return await super().on_receive(message)

    async with System() as system:
        router = system.supervise(Router.spec(Tells, size=1))
        before = asyncio.get_running_loop().time()
        deadline = await router.ask("deadline", timeout=5.0)
        assert before + 5.0 <= deadline <= asyncio.get_running_loop().time() + 5.0
        hold = Hold()
        with pytest.raises(AskTimeout):
            await router.ask(hold, timeout=0.01)
        await hold.cancelled.wait()


@on_each_loop
async def test_carried_values_reach_the_worker_under_ask_and_tell() -> None:
    seen = Log()

    class Tells(Actor):
        def on_receive(self, message: Any) -> Any:
            seen(message, current_send_context().baggage.get("trace"))

    async with System() as system:
        router = system.supervise(Router.spec(Tells, size=1))
        with send_context(baggage={"trace": "t1"}):
            router.tell("told")
            await router.ask("asked")
        await router.ask("without")
        assert seen.lines == [("told", "t1"), ("asked", "t1"), ("without", None)]


@on_each_loop
async def test_the_priority_of_an_ask_counts_at_the_worker() -> None:
    async with System() as system:
        log = Log()
        router = system.supervise(Router.spec(Gate, args=(log,), size=1))
        hold = Hold()
        held = router.ask(hold)
        await hold.begun.wait()
        low, high = router.ask("low", priority=5), router.ask("high", priority=-5)
        hold.go.set()
        await asyncio.gather(held, low, high)
        assert log.of("saw") == ["high", "low"]


@on_each_loop
async def test_a_worker_may_answer_later_with_reply_with() -> None:
    class Later(Actor):
        def on_receive(self, message: Any) -> Any:
            return self.reply_with(self.work(message))

        async def work(self, message: int) -> int:
            await asyncio.sleep(0)
            return message * 2

    async with System() as system:
        router = system.supervise(Router.spec(Later, size=2))
        assert await asyncio.gather(*[router.ask(i) for i in range(5)]) == [0, 2, 4, 6, 8]


class Counting(Actor):
    """Streams numbers; says how far it is, and that it has ended."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log

    async def on_receive(self, message: int) -> AsyncIterator[int]:
        self.log("expects", self.expects)
        try:
            for i in range(message):
                self.log("made", i)
                yield i
        finally:
            self.log("ended")


@on_each_loop
async def test_a_stream_comes_from_the_worker_and_is_no_further_ahead_than_its_buffer() -> None:
    async with System() as system:
        direct, routed = Log(), Log()
        counting = system.spawn(Counting, direct)
        router = system.supervise(Router.spec(Counting, args=(routed,), size=2))
        for ref, log in ((counting, direct), (router, routed)):
            stream = ref.stream(20, buffer=2)
            assert await anext(stream) == 0
            for _ in range(20):
                await asyncio.sleep(0)
            assert max(log.of("made")) <= 3
            assert [item async for item in stream] == list(range(1, 20))
        assert routed.lines == direct.lines


@on_each_loop
async def test_leaving_a_stream_ends_its_producer_at_the_worker() -> None:
    async with System() as system:
        log = Log()
        router = system.supervise(Router.spec(Counting, args=(log,), size=1))
        async with router.stream(1000, buffer=1) as stream:
            assert await anext(stream) == 0
        await router.stop()
        assert log.lines[-1] == "ended"
        assert len(log.of("made")) < 10


@on_each_loop
async def test_a_stream_from_workers_that_answer_with_something_else_is_refused() -> None:
    async with System() as system:
        router = system.supervise(Router.spec(Echo, size=1))
        with pytest.raises(NotAStream):
            await anext(router.stream(1))
        with pytest.raises(NotAStream):
            await anext(router.stream(Broadcast(1)))


def test_a_router_is_used_from_other_threads() -> None:
    with System.in_thread() as system:
        router = system.supervise(Router.spec(Named, size=2, name="pool"))
        assert {router.ask(i).get(timeout=5)[0] for i in range(4)} == {"Named-1", "Named-2"}
        assert router.ask(Resize(3)).get(timeout=5) == 3


# -- broadcast ---------------------------------------------------------------------------------------------------------


@on_each_loop
async def test_a_broadcast_reaches_every_worker_and_answers_with_all_their_answers_in_order() -> None:
    async with System() as system:
        log = Log()
        router = system.supervise(Router.spec(Gate, args=(log,), size=3))
        router.tell(Broadcast("told"))
        assert await router.ask(Broadcast("asked")) == ("asked",) * 3
        assert Counter(log.of("saw")) == {"told": 3, "asked": 3}


@on_each_loop
async def test_a_broadcast_that_one_fails_ends_in_its_error_and_calls_the_others_off() -> None:
    hold = Hold()

    class Unlike(Gate):
        async def on_receive(self, message: Any) -> Any:
            return await super().on_receive(KeyError("no") if self.name.endswith("2") else message)

    async with System() as system:
        router = system.supervise(Router.spec(Unlike, size=2))
        with pytest.raises(KeyError):
            await router.ask(Broadcast(hold))
        assert not hold.begun.is_set() or await hold.cancelled.wait()


@on_each_loop
async def test_a_told_broadcast_waits_for_room_at_a_full_worker() -> None:
    async with System() as system:
        log = Log()
        router = system.supervise(Router.spec(Small, args=(log,), size=2))
        first, _ = await router.ask(Routees())
        hold = Hold()
        first.tell(hold)
        await hold.begun.wait()
        first.tell("a")
        first.tell("b")
        router.tell(Broadcast("all"))
        hold.go.set()
        await router.ask("behind it")
        assert Counter(log.of("saw")) == {"a": 1, "b": 1, "all": 2, "behind it": 1}


# -- full mailboxes ----------------------------------------------------------------------------------------------------


@on_each_loop
@pytest.mark.parametrize("routing", ["round_robin", "least_busy"])
async def test_a_full_worker_is_passed_over(routing: Any) -> None:
    async with System() as system:
        log = Log()
        router = system.supervise(Router.spec(Small, args=(log,), size=2, routing=routing))
        first, _ = await router.ask(Routees())
        hold = Hold()
        first.tell(hold)
        await hold.begun.wait()
        first.tell("x")
        first.tell("x")
        for i in range(8):
            assert await router.ask(i) == i
        hold.go.set()


@on_each_loop
async def test_when_all_are_full_an_ask_ends_in_mailbox_full_and_what_is_told_waits_in_the_router() -> None:
    class Narrow(Router):
        mailbox_capacity = 3

    async with System() as system:
        log = Log()
        router = system.supervise(Narrow.spec(Small, args=(log,), size=1))
        await router.started()
        hold = Hold()
        router.tell(hold)
        await hold.begun.wait()
        await router.put(1)
        await router.put(2)
        with pytest.raises(MailboxFull):
            await router.ask("asked")
        for i in range(3, 7):
            await router.put(i)
            await asyncio.sleep(0)
        with pytest.raises(MailboxFull):
            router.tell("one too many")  # the pressure has reached who sends
        hold.go.set()
        await router.stop()
        assert log.of("saw") == [1, 2, 3, 4, 5, 6]
        assert system.dead_letters.count == 0


@on_each_loop
async def test_a_message_that_waits_for_room_when_the_router_is_stopped_is_a_dead_letter() -> None:
    async with System() as system:
        router = system.supervise(Router.spec(ChildSpec(Small, shutdown=0.01), size=1, shutdown=0.01))
        await router.started()
        letters: list[Any] = []
        system.dead_letters.subscribe(lambda letter: letters.append(letter.message))
        hold = Hold()
        for message in (hold, 1, 2, 3):
            router.tell(message)
            await asyncio.sleep(0)
        await hold.begun.wait()
        await system.stop()
    assert sorted(letters) == [1, 2, 3]


@on_each_loop
@pytest.mark.parametrize("routing", ROUTINGS)
async def test_workers_that_drop_what_they_have_no_room_for_are_not_waited_for(routing: str) -> None:
    async with System() as system:
        log = Log()

        class Second(Gate):
            async def on_receive(self, message: Any) -> Any:
                return await super().on_receive(message[1])

        worker = ChildSpec(Second, (log,), mailbox=Mailbox(capacity=1, overflow="drop_oldest"))
        router = system.supervise(Router.spec(worker, size=1, routing=ROUTINGS[routing]))
        letters: list[Any] = []
        system.dead_letters.subscribe(lambda letter: letters.append(letter.message))
        hold = Hold()
        router.tell(("k", hold))
        await hold.begun.wait()
        for i in range(3):
            router.tell(("k", i))
        router.tell(Broadcast(("k", "all")))
        for size in (2, 1, 2):  # the marks of these are no messages, to be dropped
            assert await router.ask(Resize(size)) == size
        first = (await router.ask(Routees()))[0]
        first.tell(("k", 3))
        last = first.ask(("k", "last"))
        hold.go.set()
        await last
        assert log.of("saw") == ["last"]
        assert letters == [("k", what) for what in (0, 1, 2, "all", 3)]


# -- keys that cannot be had -------------------------------------------------------------------------------------------


@on_each_loop
async def test_a_message_without_a_usable_key_fails_its_asker_or_is_a_dead_letter_and_harms_no_other() -> None:
    async with System() as system:
        letters: list[Any] = []
        system.dead_letters.subscribe(letters.append)
        router = system.supervise(Router.spec(Echo, size=2, routing=by_key(lambda m: m["user"]), name="pool"))
        with pytest.raises(KeyError):
            await router.ask({})
        with pytest.raises(SpecError, match="cannot be a routing key"):
            await router.ask({"user": 1.5})
        router.tell({"no": "user"})
        assert await router.ask({"user": "a"}) == {"user": "a"}
        assert [(letter.message, letter.recipient) for letter in letters] == [({"no": "user"}, "pool")]


# -- the life of workers -----------------------------------------------------------------------------------------------


@on_each_loop
async def test_a_crashed_worker_keeps_its_messages() -> None:
    async with System() as system:
        log = Log()
        router = system.supervise(Router.spec(Gate, args=(log,), size=1))
        hold = Hold()
        router.tell(hold)
        await hold.begun.wait()
        router.tell(ValueError("crash"))
        router.tell("kept")
        hold.go.set()
        assert await router.ask("asked") == "asked"
        assert log.of("saw")[1:] == ["kept", "asked"]


@on_each_loop
async def test_more_crashes_of_workers_than_the_intensity_allows_fail_the_router() -> None:
    async with System() as system:
        events = Events(system)
        top = system.supervise(Supervisor.spec([Router.spec(Gate, size=2, intensity=1, name="pool")], name="top"))
        await top.started()
        pool = system.find("top/pool")
        assert pool is not None
        for _ in range(2):
            pool.tell(ValueError("crash"))
        await events.until("restarted", "top/pool")
        assert events.count("crashed", "top/pool/Gate-1") + events.count("crashed", "top/pool/Gate-2") == 2
        assert await pool.ask("again") == "again"


@on_each_loop
@pytest.mark.parametrize("routing", ROUTINGS)
async def test_a_worker_stopped_from_outside_is_replaced_in_its_place(routing: str) -> None:
    async with System() as system:
        router = system.supervise(Router.spec(Named, size=2, routing=ROUTINGS[routing]))
        first, second = await router.ask(Routees())
        await first.stop()
        assert await names_of(router) == ["Named-3", second.name]
        assert {(await router.ask(("k", i)))[0] for i in range(4)} <= {"Named-3", second.name}


@on_each_loop
async def test_a_router_has_started_when_its_workers_have() -> None:
    log = Log()

    class Slow(Actor):
        async def on_start(self) -> None:
            await asyncio.sleep(0)
            log(self.name)

    async with System() as system:
        await system.supervise(Router.spec(Slow, size=3)).started()
        assert sorted(log.lines) == ["Slow-1", "Slow-2", "Slow-3"]


@on_each_loop
async def test_a_stop_in_the_mailbox_has_the_workers_finish_what_was_sent_before_it() -> None:
    class Beside(Gate):
        async def on_receive(self, message: Any) -> Any:
            if message == "beside":
                return self.reply_with(self.work())
            return await super().on_receive(message)

        async def work(self) -> str:
            await asyncio.sleep(0)
            return "answered"

    async with System() as system:
        log = Log()
        router = system.supervise(Router.spec(Beside, args=(log,), size=2))
        holds = [Hold("0"), Hold("1")]
        for hold in holds:
            router.tell(hold)
        for hold in holds:
            await hold.begun.wait()
        for i in range(10):
            router.tell(i)
        beside = router.ask("beside")
        stopped = router.stop()
        behind = router.ask("behind the stop")
        for hold in holds:
            hold.go.set()
        assert await stopped
        with pytest.raises(ActorDead):
            await behind
        assert await beside == "answered"
        assert sorted(log.of("saw")) == list(range(10))
        assert system.tree() == ()


@on_each_loop
@pytest.mark.parametrize("first", ["the stop is taken up", "the worker asks"])
async def test_a_worker_that_waits_for_what_is_behind_the_routers_stop_does_not_hang_it(first: str) -> None:
    class Busy(Router):
        async def on_receive(self, message: Any) -> Any:
            if isinstance(message, Hold):
                message.begun.set()
                await message.go.wait()
                return None
            return super().on_receive(message)

    class Asks(Gate):
        async def on_receive(self, message: Any) -> Any:
            if not isinstance(message, tuple):
                return await super().on_receive(message)
            router, hold = message
            hold.begun.set()
            await hold.go.wait()
            return await router.ask("behind the stop")

    async with System() as system:
        log = Log()
        router = system.supervise(Busy.spec(ChildSpec(Asks, (log,), shutdown=0.01), size=2))
        holds = [Hold(), Hold()]
        asked = [router.ask((router, hold)) for hold in holds]
        for hold in holds:
            await hold.begun.wait()
        router.tell("one")
        router.tell("two")
        busy = Hold()
        router.tell(busy)
        await busy.begun.wait()
        stopped = router.stop()
        for go in (busy, holds[0]) if first == "the stop is taken up" else (holds[0], busy):
            go.go.set()
            await asyncio.sleep(0.01)
        holds[1].go.set()
        assert await stopped
        for ask in asked:
            with pytest.raises(ActorDead):
                await ask
        # What another worker has is finished all the same.
        assert sorted(log.of("saw")) == (["one", "two"] if first == "the stop is taken up" else ["two"])


@on_each_loop
@pytest.mark.parametrize("restarts", [False, True])
async def test_a_system_that_stops_does_not_wait_for_what_a_stop_in_the_mailbox_would(restarts: bool) -> None:
    class Ends(Router):
        def on_receive(self, message: Any) -> Any:
            if message == "end":
                self.stop()
                return None
            return super().on_receive(message)

    async with System() as system:
        log = Log()
        router = system.supervise(Ends.spec(Gate, args=(log,), size=1))
        hold = Hold()
        router.tell(hold)
        await hold.begun.wait()
        router.tell("queued")
        if restarts:  # it ends by itself, and would be started again
            router.tell("end")
        else:
            router.stop()
        await asyncio.sleep(0.01)
        asyncio.get_running_loop().call_later(0.01, hold.go.set)
        await system.stop()
        assert log.lines == [("begin", "hold"), ("end", "hold")]
        assert system.dead_letters.count == 1


@on_each_loop
async def test_a_router_that_its_system_stops_stops_its_workers_after_the_message_at_work() -> None:
    async with System() as system:
        log = Log()
        router = system.supervise(Router.spec(Gate, args=(log,), size=1))
        hold = Hold()
        router.tell(hold)
        await hold.begun.wait()
        router.tell("queued")
        asyncio.get_running_loop().call_soon(hold.go.set)
        await system.stop()
        assert log.lines == [("begin", "hold"), ("end", "hold")]
        assert system.dead_letters.count == 1


@on_each_loop
async def test_a_restarted_router_has_the_size_of_its_spec_and_new_workers() -> None:
    async with System() as system:
        router = system.supervise(Router.spec(Echo, size=2, name="pool"))
        await router.ask(Resize(5))
        router.kill()
        assert len(await router.ask(Routees())) == 2
        assert await router.ask("hello") == "hello"
        assert await router.stop()


# -- resize ------------------------------------------------------------------------------------------------------------


@on_each_loop
async def test_a_router_grows_and_shrinks() -> None:
    async with System() as system:
        router = system.supervise(Router.spec(Named, size=1, name="pool"))
        assert await router.ask(Resize(3)) == 3
        assert await names_of(router) == ["Named-1", "Named-2", "Named-3"]
        assert {(await router.ask(i))[0] for i in range(3)} == {"Named-1", "Named-2", "Named-3"}
        leaving = system.find("pool/Named-3")
        router.tell(Resize(1))
        assert await names_of(router) == ["Named-1"]
        assert leaving is not None
        await leaving.terminated()


@on_each_loop
@pytest.mark.parametrize("backoff", [0.0, 0.01])
async def test_a_worker_taken_away_finishes_what_it_has_also_when_it_crashes_meanwhile(backoff: float) -> None:
    async with System() as system:
        log = Log()
        worker = ChildSpec(Gate, (log,), name="worker", backoff=Backoff(backoff))
        router = system.supervise(Router.spec(worker, size=2, name="pool"))
        holds = [Hold("0"), Hold("1")]
        for hold in holds:
            router.tell(hold)
            await hold.begun.wait()
        for i in range(4):
            router.tell(i if i < 2 else ValueError(i))
        for i in range(4, 6):
            router.tell(i)
        leaving = system.find("pool/worker-2")
        assert await router.ask(Resize(1)) == 1
        for hold in holds:
            hold.go.set()
        assert leaving is not None
        await leaving.terminated()
        await router.stop()
        assert sorted(seen for seen in log.of("saw") if isinstance(seen, int)) == [0, 1, 4, 5]


class Warming(Actor):
    """Stashes what it is sent until it is warm, for which it needs some seconds."""

    def __init__(self, log: Log, seconds: float) -> None:
        super().__init__()
        self.log = log
        self.seconds = seconds
        self.warm = False

    def on_start(self) -> None:
        self.schedule(self.seconds, "warm")

    def on_receive(self, message: Any) -> Any:
        if message == "warm":
            self.warm = True
            self.unstash_all()
            return None
        if isinstance(message, BaseException):
            raise message
        if not self.warm:
            return self.stash(message)
        self.log("saw", message)
        return message


GOING = ["one is taken away", "the router stops", "first one, then the other", "first the other, after a restart"]


async def let_go(router: Any, how: str) -> Any:
    """Take two of three workers away, or have all stop; return what is done when that is done."""
    if how == "first the other, after a restart":
        router.tell(Broadcast(ValueError("it begins to warm up again")))
    if how != "the router stops":
        assert await router.ask(Resize(1)) == 1
    if how == "first one, then the other":
        await asyncio.sleep(1)
    if how != "one is taken away":
        await router.stop()


@virtual_time
@pytest.mark.parametrize("how", GOING)
async def test_a_worker_that_goes_first_takes_up_what_it_has_stashed(how: str) -> None:
    async with System() as system:
        log = Log()
        router = system.supervise(Router.spec(Warming, args=(log, 3.0), size=3, name="pool"))
        asks = [router.ask(i) for i in range(3)]
        for i in range(3, 6):
            router.tell(i)
        leaving = (await router.ask(Routees()))[-1]
        await let_go(router, how)
        assert await asyncio.gather(*asks) == [0, 1, 2]
        await leaving.terminated()
        assert asyncio.get_running_loop().time() == 3.0, "it is not stopped later than needed"
        await router.stop()
        assert sorted(log.of("saw")) == list(range(6))
        assert system.dead_letters.count == 0


@virtual_time
@pytest.mark.parametrize("how", GOING[:3])
async def test_what_a_worker_that_goes_has_still_stashed_after_its_shutdown_time_is_refused(how: str) -> None:
    async with System() as system:
        log = Log()
        worker = ChildSpec(Warming, (log, 100.0), shutdown=7.0, name="worker")
        router = system.supervise(Router.spec(worker, size=3, name="pool"))
        asks = [router.ask(i) for i in range(3)]
        for i in range(3, 6):
            router.tell(i)
        leaving = (await router.ask(Routees()))[-1]
        await let_go(router, how)
        with pytest.raises(ActorDead):
            await asks[2]
        assert not leaving.is_alive()
        assert asyncio.get_running_loop().time() in (7.0, 8.0), "those that stay had their time from the stop on"
        await router.stop()
        for ask in asks[:2]:
            with pytest.raises(ActorDead):
                await ask
        assert log.lines == []
        assert system.dead_letters.count == 6


@virtual_time
async def test_a_system_that_stops_does_not_wait_for_what_is_stashed() -> None:
    async with System() as system:
        router = system.supervise(Router.spec(Warming, args=(Log(), 100.0), size=2))
        router.tell("one")
        asked = router.ask("two")
        stopped = router.stop()
        await asyncio.sleep(1)
        await system.stop()
        assert await stopped
        with pytest.raises(ActorDead):
            await asked
        assert asyncio.get_running_loop().time() == 1.0


@virtual_time
async def test_as_much_may_be_stashed_by_a_worker_that_goes_as_by_any_other() -> None:
    async with System() as system:
        log = Log()
        worker = ChildSpec(Warming, (log, 3.0), mailbox=Mailbox(2), name="worker")
        router = system.supervise(Router.spec(worker, size=2, name="pool"))
        leaving = (await router.ask(Routees()))[-1]
        asks = [router.ask(i) for i in range(2)]
        await router.ask(Resize(1))
        await asyncio.sleep(1)
        late = [leaving.ask(i) for i in range(2, 4)]
        assert await asyncio.gather(*asks, late[0]) == [0, 1, 2]
        with pytest.raises(MailboxFull, match="has stashed 2 messages"):
            await late[1]
        assert system.dead_letters.count == 0


KEYED = [f"key-{i}" for i in range(1000)]


def keys_that_move(before: int, after: int) -> list[str]:
    """Keys that leave the first worker when the size changes."""
    moving = [k for k in KEYED if slot_of(key_hash(k), before) == 0 and slot_of(key_hash(k), after) != 0]
    assert moving
    return moving


@on_each_loop
async def test_a_key_that_moves_waits_until_its_worker_has_taken_up_what_it_had_and_no_other_key_does() -> None:
    async with System() as system:
        log = Log()

        class Keyed(Gate):
            async def on_receive(self, message: Any) -> Any:
                return self.name, await super().on_receive(message[1])

        router = system.supervise(Router.spec(Keyed, args=(log,), size=1, routing=by_key(lambda m: m[0]), name="pool"))
        moving = keys_that_move(1, 2)[0]
        hold = Hold()
        held = router.ask((moving, hold))
        await hold.begun.wait()
        router.tell((moving, "old"))
        await router.ask(Resize(2))
        waiting = router.ask((moving, "new"))
        cancelled = router.ask((moving, "not wanted"))
        told = router.ask((moving, "last"))
        for _ in range(10):
            await asyncio.sleep(0)
        assert log.of("saw") == []
        cancelled.cancel()
        hold.go.set()
        assert await held == ("Keyed-1", "hold")
        assert await waiting == ("Keyed-2", "new")
        assert await told == ("Keyed-2", "last")
        assert log.of("saw") == ["old", "new", "last"]
        assert await router.ask((moving, "direct")) == ("Keyed-2", "direct")
        assert system.find("pool/_Gate-1") is None


@on_each_loop
async def test_neither_a_full_worker_nor_the_deadline_of_the_resize_lets_a_key_pass_too_early() -> None:
    class Keyed(Small):
        async def on_receive(self, message: Any) -> Any:
            return await super().on_receive(message[1])

    async with System() as system:
        log = Log()
        router = system.supervise(Router.spec(Keyed, args=(log,), size=1, routing=by_key(lambda m: m[0])))
        moving = keys_that_move(1, 2)[0]
        hold = Hold()
        router.tell((moving, hold))
        await hold.begun.wait()
        router.tell((moving, "old 1"))
        router.tell((moving, "old 2"))
        await router.ask(Resize(2), timeout=0.01)
        router.tell((moving, "new"))
        with pytest.raises(AskTimeout):
            await router.ask((moving, "too late"), timeout=0.02)  # past the deadline of the resize
        hold.go.set()
        await router.ask((moving, "last"))
        assert log.of("saw") == ["old 1", "old 2", "new", "last"]


@on_each_loop
@pytest.mark.parametrize("late", [False, True])
async def test_a_worker_that_waits_for_a_key_that_waits_for_it_is_told_of_the_circle(late: bool) -> None:
    class Asks(Actor):
        async def on_receive(self, message: Any) -> Any:
            _, what = message
            if not isinstance(what, Hold):
                return what
            what.begun.set()
            await what.go.wait()
            if late:
                await asyncio.sleep(0.01)  # the gate has started
            return await router.ask((moving, "to itself"))

    async with System() as system:
        router = system.supervise(Router.spec(Asks, size=1, routing=by_key(lambda m: m[0]), name="pool"))
        moving = keys_that_move(1, 2)[0]
        hold = Hold()
        held = router.ask((moving, hold))
        await hold.begun.wait()
        resized = router.ask(Resize(2))
        hold.go.set()
        await resized
        with pytest.raises(AskCycle, match="pool/_Gate-1"):
            await held
        assert await router.ask((moving, "on")) == "on"


@on_each_loop
async def test_a_resize_that_fails_changes_nothing() -> None:
    made = iter(range(3))

    def two_at_most() -> Actor:
        if next(made) == 2:
            raise RuntimeError("no more")
        return Named()

    async with System() as system:
        router = system.supervise(Router.spec(two_at_most, size=1, name="pool"))
        with pytest.raises(StartFailed, match="no more"):
            await router.ask(Resize(3))
        assert await names_of(router) == ["two_at_most-1"]
        assert (await router.ask("on"))[1] == "on"


@on_each_loop
async def test_what_waits_at_a_gate_is_finished_by_a_stop_in_the_mailbox_and_a_deadline_is_kept_there() -> None:
    async with System() as system:
        log = Log()

        class Keyed(Gate):
            async def on_receive(self, message: Any) -> Any:
                return await super().on_receive(message[1])

        router = system.supervise(Router.spec(Keyed, args=(log,), size=1, routing=by_key(lambda m: m[0])))
        moving = keys_that_move(1, 2)[0]
        hold = Hold()
        router.tell((moving, hold))
        await hold.begun.wait()
        await router.ask(Resize(2))
        router.tell((moving, "waits"))
        with pytest.raises(AskTimeout):
            await router.ask((moving, "too late"), timeout=0.01)
        stopped = router.stop()
        hold.go.set()
        await stopped
        assert log.of("saw") == ["waits"]


# -- under every schedule ----------------------------------------------------------------------------------------------


class Books:
    """What workers took up: for conservation and order."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []

    def of_key(self, key: Any) -> list[int]:
        return [number for _, (of, number) in self.seen if of == key]


class Bookkeeper(Actor):
    """Notes a message, then works a while; at ``("crash", …)`` it crashes."""

    def __init__(self, books: Books, steps: int = 2) -> None:
        super().__init__()
        self.books = books
        self.steps = steps

    async def on_receive(self, message: Any) -> Any:
        self.books.seen.append((self.name, message))
        for _ in range(self.steps):
            await asyncio.sleep(0.1)
        if message[0] == "crash":
            raise RuntimeError("crash")
        return message


MEMBERS = ("Bookkeeper-1", "Bookkeeper-2", "_Gate-1")
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("tell"), st.sampled_from(["a", "b", "c", "d", "crash"])),
        st.tuples(st.just("ask"), st.sampled_from(["a", "b", "c", "d"])),
        st.tuples(st.just("resize"), st.integers(1, 4)),
        st.tuples(st.just("sleep"), st.sampled_from([0.0, 0.1, 1.0])),
    ),
    max_size=14,
)


async def carry_out(router: Any, operations: list[tuple[str, Any]], sender: str = "") -> list[Any]:
    """One sender; each message is its key and a number that grows. Returns what was sent."""
    sent: list[Any] = []
    asks = []
    for number, (what, argument) in enumerate(operations):
        if what == "sleep":
            await asyncio.sleep(argument)
        elif what == "resize":
            router.tell(Resize(argument))
        else:
            message = (argument if argument == "crash" else sender + argument, number)
            sent.append(message)
            if what == "ask":
                asks.append((message, router.ask(message)))
            else:
                router.tell(message)
    for message, ask in asks:
        assert await ask == message
    return sent


@drawn
@given(operations=OPERATIONS, routing=st.sampled_from(sorted(ROUTINGS)))
def test_nothing_is_lost_or_done_twice_whatever_the_size_and_the_crashes(
    operations: list[tuple[str, Any]], routing: str
) -> None:
    async def scenario(sim: Simulation) -> None:
        books = Books()
        crashes = ("tell", "crash") in operations
        if crashes:  # a crash while the router stops ends its worker
            sim.expect_dead_letters()
        router = sim.system.supervise(
            Router.spec(Bookkeeper, args=(books,), size=2, routing=ROUTINGS[routing], intensity=100)
        )
        sent = await carry_out(router, operations)
        await router.stop()
        taken = Counter(message for _, message in books.seen)
        if crashes:
            assert not taken - Counter(sent)
        else:
            assert taken == Counter(sent)

    simulate(scenario, seeds=8)


@drawn
@given(
    operations=OPERATIONS,
    faults=st.sampled_from([(), *((Crash(f"pool/{name}", optional=True),) for name in MEMBERS)]),
)
def test_nothing_is_lost_when_workers_crash_anywhere_and_are_given_the_time(
    operations: list[tuple[str, Any]], faults: tuple[Fault, ...]
) -> None:
    async def scenario(sim: Simulation) -> None:
        books = Books()
        router = sim.system.supervise(
            Router.spec(Bookkeeper, args=(books,), size=2, routing=ROUTINGS["by_key"], intensity=100, name="pool")
        )
        try:
            sent = await carry_out(router, operations)
        except (ActorCrashed, InjectedCrash):
            return
        await asyncio.sleep(60)
        struck = len([fact for fact in sim.trace if fact.kind == "fault"])
        missing = Counter(sent) - Counter(message for _, message in books.seen)
        assert missing.total() <= struck, missing
        assert not Counter(message for _, message in books.seen) - Counter(sent)

    simulate(scenario, seeds=8, faults=faults)


@pytest.mark.parametrize("when", ["before", "in", "after"])
@pytest.mark.parametrize("struck", MEMBERS)
def test_a_crash_takes_at_most_the_message_it_happened_in_and_every_keys_order_holds(struck: str, when: Any) -> None:
    async def scenario(sim: Simulation) -> None:
        books = Books()
        key = ROUTINGS["by_key"]
        router = sim.system.supervise(Router.spec(Bookkeeper, args=(books,), size=1, routing=key, name="pool"))
        moving = keys_that_move(1, 2)
        keys = [*moving[:2], *[key for key in KEYED if key not in moving][:2]]
        sent = [(key, number) for number in range(6) for key in keys]
        for message in sent:
            if message == sent[8]:
                router.tell(Resize(2))
            elif message == sent[20]:
                await asyncio.sleep(2.1)
                router.tell(Resize(1))
            router.tell(message)
        await asyncio.sleep(100)
        taken = [message for _, message in books.seen]
        faults = sim.trace.of("fault")
        assert len(sent) - len(taken) <= len(faults)
        assert len(set(taken)) == len(taken)
        for key in keys:
            assert books.of_key(key) == sorted(books.of_key(key)), key
        assert router.has_started()

    never = struck == "_Gate-1" and when == "in"  # a gate's handler does not wait
    simulate(scenario, seeds=40, faults=[Crash(f"pool/{struck}", when=when, optional=never)])


@drawn
@given(
    steps=st.lists(st.one_of(st.integers(1, 4), st.sampled_from(["send", "send", "crash", "wait"])), max_size=25),
    senders=st.integers(1, 2),
)
def test_the_order_of_each_key_holds_through_resizes_and_crashes(steps: list[Any], senders: int) -> None:
    async def scenario(sim: Simulation) -> None:
        books = Books()
        routing = ROUTINGS["by_key"]
        router = sim.system.supervise(
            Router.spec(Bookkeeper, args=(books,), size=1, routing=routing, intensity=100, name="pool")
        )
        sent: Counter[Any] = Counter()

        def send(message: Any) -> None:
            sent[message] += 1
            router.tell(message)

        async def sender(name: int) -> None:
            for number, step in enumerate(steps):
                if step == "wait":
                    await asyncio.sleep(0.1)
                elif step == "crash":
                    send(("crash", (name, number)))
                elif step != "send":
                    router.tell(Resize(step))
                for key in "abc":
                    send((f"{name}{key}", number))
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            for name in range(senders):
                group.create_task(sender(name), name=f"sender{name}")
        if "crash" in steps:
            await asyncio.sleep(200)
        else:
            await router.stop()  # with all that is on its way
        for name in range(senders):
            for key in "abc":
                numbers = books.of_key(f"{name}{key}")
                assert numbers == sorted(numbers), f"{name}{key} out of order"
        assert Counter(message for _, message in books.seen) == sent

    simulate(scenario, seeds=8)


def test_two_routers_in_a_row_lose_nothing_and_keep_each_keys_order() -> None:
    class Second(Actor):
        def __init__(self, router: Any) -> None:
            super().__init__()
            self.router = router

        async def on_receive(self, message: Any) -> Any:
            await asyncio.sleep(0)
            return await self.router.ask(message)

    async def scenario(sim: Simulation) -> None:
        books = Books()
        key = ROUTINGS["by_key"]
        inner = sim.system.supervise(Router.spec(Bookkeeper, args=(books,), size=3, routing=key, name="inner"))
        outer = sim.system.supervise(Router.spec(Second, args=(inner,), size=2, routing=key, name="outer"))
        sent = [(f"k{i % 5}", i) for i in range(15)]
        asks = [outer.ask(message) for message in sent[:5]]
        outer.tell(Resize(4))
        inner.tell(Resize(1))
        asks += [outer.ask(message) for message in sent[5:10]]
        inner.tell(Resize(4))
        asks += [outer.ask(message) for message in sent[10:]]
        assert await asyncio.gather(*asks) == sent
        await outer.stop()
        await inner.stop()
        assert Counter(message for _, message in books.seen) == Counter(sent)
        for i in range(5):
            numbers = books.of_key(f"k{i}")
            assert numbers == sorted(numbers)

    simulate(scenario, seeds=60)


def test_round_robin_and_least_busy_share_the_work_evenly_under_every_schedule() -> None:
    for routing in ("round_robin", "least_busy"):

        async def scenario(sim: Simulation, routing: Any = routing) -> None:
            books = Books()
            router = sim.system.supervise(Router.spec(Bookkeeper, args=(books,), size=4, routing=routing))
            for i in range(20):
                router.tell(("k", i))
            await router.stop()
            shares = Counter(name for name, _ in books.seen)
            assert set(shares.values()) == {5}

        simulate(scenario, seeds=20)


@pytest.mark.parametrize("struck", ["pool", "pool/_Gate-1", "pool/Bookkeeper-1"])
def test_when_the_router_a_gate_or_a_worker_is_killed_every_ask_ends(struck: str) -> None:
    async def scenario(sim: Simulation) -> None:
        sim.expect_dead_letters()
        books = Books()
        key = ROUTINGS["by_key"]
        router = sim.system.supervise(Router.spec(Bookkeeper, args=(books,), size=1, routing=key, name="pool"))
        moving = keys_that_move(1, 2)[0]
        asks = [router.ask((moving, i)) for i in range(3)]
        asks += [router.ask(Resize(2))]
        asks += [router.ask((moving, i)) for i in range(3, 6)]
        outcomes = await asyncio.gather(*asks, return_exceptions=True)
        numbered = [(moving, i) for i in range(6)]
        for outcome, answer in zip(outcomes, [*numbered[:3], 2, *numbered[3:]], strict=True):
            assert outcome == answer or isinstance(outcome, ActorDead), outcome
        seen = books.of_key(moving)
        assert seen == sorted(set(seen))

    simulate(scenario, seeds=60, faults=[Kill(struck)])


# -- arguments ---------------------------------------------------------------------------------------------------------

WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "size 0": (lambda: Router.spec(Echo, size=0), "size is 0"),
    "size -1": (lambda: Resize(-1), "size is -1"),
    "size True": (lambda: Resize(True), "size is True"),
    "size text": (lambda: Router.spec(Echo, size="4"), "size is '4'"),  # type: ignore[arg-type]
    "size float": (lambda: Resize(2.0), "size is 2.0"),  # type: ignore[arg-type]
    "routing": (lambda: Router.spec(Echo, size=1, routing="random"), "'random' is not one of"),  # type: ignore[arg-type]
    "routing, a function": (lambda: Router.spec(Echo, size=1, routing=len), "not one of"),  # type: ignore[arg-type]
    "key": (lambda: by_key("user"), "by_key takes a function"),  # type: ignore[arg-type]
    "worker": (lambda: Router.spec("Echo", size=1), "cannot be called"),  # type: ignore[arg-type]
    "worker, no actor": (lambda: Router.spec(dict, size=1), "not <class 'dict'>"),  # type: ignore[arg-type]
    "temporary": (lambda: Router.spec(ChildSpec(Echo, restart="temporary"), size=1), "permanent, not 'temporary'"),
    "arguments twice": (lambda: Router.spec(ChildSpec(Echo), args=(1,), size=1), "holds its arguments itself"),
    "intensity": (lambda: Router.spec(Echo, size=1, intensity=-1), "intensity"),
    "shutdown": (lambda: Router.spec(Echo, size=1, shutdown=-1), "shutdown"),
    "restart": (lambda: Router.spec(Echo, size=1, restart="often"), "restart"),  # type: ignore[arg-type]
    "name": (lambda: Router.spec(Echo, size=1, name="a/b"), "cannot name an actor"),
    "mailbox": (lambda: Router.spec(Echo, size=1, mailbox=10), "mailbox is 10"),  # type: ignore[arg-type]
    "key of no type": (lambda: key_hash(1.5), "1.5 cannot be a routing key"),
    "key in a tuple": (lambda: key_hash(("a", [])), "cannot be a routing key"),
}


@pytest.mark.parametrize(
    "make",
    [
        lambda mailbox: Router.spec(Echo, size=1, mailbox=mailbox),
        lambda mailbox: Topics.spec(mailbox=mailbox),
        lambda mailbox: Supervisor.spec(mailbox=mailbox),
    ],
)
@on_each_loop
async def test_what_has_a_spec_of_its_own_may_have_its_mailbox_bounded(make: Callable[[Mailbox], ChildSpec]) -> None:
    async with System() as system:
        ref = system.supervise(make(Mailbox(2)))
        for i in range(2):
            ref.tell(i)
        with pytest.raises(MailboxFull):
            ref.tell(2)


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_argument_is_named(what: str) -> None:
    make, said = WRONG[what]
    with pytest.raises(SpecError, match=said.replace("(", r"\(")):
        make()


@on_each_loop
async def test_a_factory_that_makes_no_actor_fails_the_router() -> None:
    async with System() as system:
        router = system.supervise(Router.spec(lambda: None, size=1, restart="temporary"))  # type: ignore[arg-type, return-value]
        with pytest.raises(ActorDead, match="the factory of Router-1/<lambda>-1 returned"):
            await router.started()


def test_a_router_may_be_spawned_without_a_spec() -> None:
    async def scenario(sim: Simulation) -> None:
        router = sim.system.spawn(Router, Echo, size=2)
        assert await router.ask("hello") == "hello"
        with pytest.raises(SpecError):
            sim.system.spawn(Router, Echo, size=0)
        with pytest.raises(StartFailed):
            sim.system.supervise(ChildSpec(Router, (Echo,), {"size": 0}))

    simulate(scenario, seeds=2)
