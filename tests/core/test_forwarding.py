"""Forwarding: another actor answers in this one's place, and whoever asked does not see the difference."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pykka
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callboard.actors import (
    Actor,
    ActorCrashed,
    ActorDead,
    ActorRef,
    AskCycle,
    AskTimeout,
    ChildSpec,
    CoreError,
    DynamicSupervisor,
    MailboxFull,
    NotAStream,
    StreamExpected,
    System,
    SystemClosed,
    current_send_context,
    send_context,
)
from callboard.actors.testing import Crash, InjectedCrash, Kill, Simulation, Slow, simulate

from .support import Echo, Events, Gate, Hold, Log, on_each_loop


class Forwards(Actor):
    """Forwards all it is sent."""

    def __init__(self, ref: Any) -> None:
        super().__init__()
        self.to = ref

    def on_receive(self, message: Any) -> Any:
        return self.forward(self.to, message)


class ForwardsLater(Forwards):
    async def on_receive(self, message: Any) -> Any:
        await asyncio.sleep(0)
        return self.forward(self.to, message)


FORWARDERS = pytest.mark.parametrize("forwards", [Forwards, ForwardsLater])


class Small(Gate):
    mailbox_capacity = 1


# -- an ask ------------------------------------------------------------------------------------------------------------


@on_each_loop
@FORWARDERS
@pytest.mark.parametrize("answer", ["hello", None, 0])
async def test_the_asker_gets_the_others_answer(forwards: Any, answer: Any) -> None:
    async with System() as system:
        forwarder = system.spawn(forwards, system.spawn(Echo))
        assert await forwarder.ask(answer) == answer
        assert await system.spawn(forwards, forwarder).ask(answer) == answer


@on_each_loop
@FORWARDERS
async def test_the_asker_gets_the_others_error_and_both_live_on(forwards: Any) -> None:
    async with System() as system:
        forwarder = system.spawn(forwards, system.spawn(Gate))
        with pytest.raises(ZeroDivisionError):
            await forwarder.ask(ZeroDivisionError())
        assert await forwarder.ask("still there") == "still there"


@on_each_loop
@FORWARDERS
async def test_an_ask_whose_receiver_crashes_ends_in_an_error_that_names_it(forwards: Any) -> None:
    async with System() as system:
        forwarder = system.spawn(forwards, system.supervise(ChildSpec(Gate, name="gate")))
        with pytest.raises(ActorCrashed, match="Gate gate crashed"):
            await forwarder.ask(SystemExit())
        assert await forwarder.ask("again") == "again"


@on_each_loop
async def test_the_other_may_answer_later_or_stash_it_first() -> None:
    class Later(Actor):
        def on_receive(self, message: Any) -> Any:
            if message == "open":
                self.unstash_all()
                self.open = True
                return None
            if not hasattr(self, "open"):
                return self.stash(message)
            return self.reply_with(self.work(message))

        async def work(self, message: int) -> int:
            await asyncio.sleep(0)
            return message * 2

    async with System() as system:
        later = system.spawn(Later)
        forwarder = system.spawn(Forwards, later)
        asks = [forwarder.ask(i) for i in range(3)]
        for _ in range(5):
            await asyncio.sleep(0)
        assert not any(ask.done() for ask in asks)
        later.tell("open")
        assert await asyncio.gather(*asks) == [0, 2, 4]


@on_each_loop
async def test_a_method_called_through_a_proxy_may_forward() -> None:
    class Front(Actor):
        def __init__(self, ref: Any) -> None:
            super().__init__()
            self._to = ref

        def fetch(self, what: str) -> Any:
            return self.forward(self._to, what)

    async with System() as system:
        front = system.spawn(Front, system.spawn(Echo))
        assert await front.proxy().fetch("page") == "page"


@on_each_loop
async def test_an_actor_may_forward_to_itself() -> None:
    class Counts(Actor):
        def on_receive(self, message: int) -> Any:
            return "done" if message == 0 else self.forward(self.ref, message - 1)

    async with System() as system:
        assert await system.spawn(Counts).ask(1000) == "done"


def test_an_ask_from_another_thread_is_forwarded() -> None:
    with System.in_thread() as system:
        forwarder = system.spawn(Forwards, system.spawn(Gate))
        assert forwarder.ask("hello").get(timeout=5) == "hello"
        with pytest.raises(KeyError):
            forwarder.ask(KeyError(), block=True)


# -- what goes along ---------------------------------------------------------------------------------------------------


@on_each_loop
@FORWARDERS
async def test_giving_an_ask_up_reaches_who_has_it_queued_or_at_work(forwards: Any) -> None:
    async with System() as system:
        log = Log()
        forwarder = system.spawn(forwards, system.spawn(Gate, log))
        hold = Hold()
        first, second = forwarder.ask(hold), forwarder.ask("queued")
        await hold.begun.wait()
        await forwarder.stop()
        second.cancel()
        first.cancel()
        await hold.cancelled.wait()
        await asyncio.sleep(0)
        assert log.lines == [("begin", "hold"), ("cancelled", "hold")]
        assert system.dead_letters.count == 1  # the one that was queued


@on_each_loop
@FORWARDERS
async def test_the_deadline_goes_along(forwards: Any) -> None:
    async with System() as system:
        forwarder = system.spawn(forwards, system.spawn(Gate, name="gate"))
        hold = Hold()
        with pytest.raises(AskTimeout, match="gate did not answer"):
            await forwarder.ask(hold, timeout=0.01)
        await hold.cancelled.wait()


@on_each_loop
async def test_carried_values_and_what_the_forwarder_adds_to_them_go_along_under_ask_and_tell() -> None:
    seen = Log()

    class Tells(Actor):
        def on_receive(self, message: Any) -> Any:
            seen(message, dict(current_send_context().baggage))

    class Adds(Forwards):
        def on_receive(self, message: Any) -> Any:
            with send_context(baggage={"by": self.name}):
                return super().on_receive(message)

    async with System() as system:
        adds = system.spawn(Adds, system.spawn(Tells), name="adds")
        with send_context(baggage={"trace": "t1"}):
            adds.tell("told")
            await adds.ask("asked")
        await adds.ask("without")
        both = {"trace": "t1", "by": "adds"}
        assert seen.lines == [("told", both), ("asked", both), ("without", {"by": "adds"})]


@on_each_loop
async def test_an_earlier_deadline_set_by_the_forwarder_holds() -> None:
    class Hurries(Forwards):
        def on_receive(self, message: Any) -> Any:
            with send_context(timeout=0.01):
                return super().on_receive(message)

    async with System() as system:
        forwarder = system.spawn(Hurries, system.spawn(Gate))
        for timeout in (None, 1000.0):
            hold = Hold()
            with pytest.raises(AskTimeout):
                await forwarder.ask(hold, timeout=timeout)
            await hold.cancelled.wait()


@on_each_loop
async def test_the_priority_of_an_ask_goes_along() -> None:
    async with System() as system:
        log = Log()
        forwarder = system.spawn(Forwards, system.spawn(Gate, log))
        hold = Hold()
        held = forwarder.ask(hold)
        await hold.begun.wait()
        low, high = forwarder.ask("low", priority=5), forwarder.ask("high", priority=-5)
        hold.go.set()
        await asyncio.gather(held, low, high)
        assert log.of("saw") == ["high", "low"]


@on_each_loop
async def test_what_is_forwarded_and_what_is_sent_beside_it_keep_their_order() -> None:
    class Both(Forwards):
        def on_receive(self, message: Any) -> Any:
            self.to.tell(("before", message))
            forwarded = self.forward(self.to, message)
            self.to.tell(("after", message))
            return forwarded

    async with System() as system:
        log = Log()
        gate = system.spawn(Gate, log)
        both = system.spawn(Both, gate)
        both.tell(1)
        await both.ask(2)
        both.tell(3)
        await both.stop()
        await gate.stop()
        assert log.of("saw") == [x for i in (1, 2, 3) for x in (("before", i), i, ("after", i))]


# -- streams -----------------------------------------------------------------------------------------------------------


class Counting(Actor):
    """Streams numbers; says how far it is, and that it has ended."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log

    async def on_receive(self, message: int) -> AsyncIterator[int]:
        try:
            for i in range(message):
                self.log("made", i)
                yield i
        finally:
            self.log("ended")


@on_each_loop
@FORWARDERS
async def test_a_stream_is_no_further_ahead_than_without_a_detour(forwards: Any) -> None:
    async with System() as system:
        log = Log()
        stream = system.spawn(forwards, system.spawn(Counting, log)).stream(20, buffer=2)
        assert await anext(stream) == 0
        for _ in range(20):
            await asyncio.sleep(0)
        assert max(log.of("made")) <= 3
        assert [item async for item in stream] == list(range(1, 20))


@on_each_loop
@FORWARDERS
async def test_leaving_a_stream_ends_its_producer(forwards: Any) -> None:
    async with System() as system:
        log = Log()
        counting = system.spawn(Counting, log)
        async with system.spawn(forwards, counting).stream(1000, buffer=1) as stream:
            assert await anext(stream) == 0
        await counting.stop()
        assert log.lines[-1] == "ended"
        assert len(log.of("made")) < 10


@on_each_loop
async def test_a_stream_and_one_answer_are_told_apart_through_a_forwarder() -> None:
    async with System() as system:
        with pytest.raises(NotAStream):
            await anext(system.spawn(Forwards, system.spawn(Echo)).stream(1))
        with pytest.raises(StreamExpected):
            await system.spawn(Forwards, system.spawn(Counting, Log())).ask(1)


# -- the lives of both -------------------------------------------------------------------------------------------------


@on_each_loop
@FORWARDERS
@pytest.mark.parametrize("ending", ["stop", "kill"])
async def test_the_end_of_the_forwarder_does_no_harm_to_what_it_has_forwarded(forwards: Any, ending: str) -> None:
    async with System() as system:
        forwarder = system.spawn(forwards, system.spawn(Gate))
        hold = Hold()
        asks = [forwarder.ask(hold), forwarder.ask("queued")]
        await hold.begun.wait()
        await asyncio.sleep(0.01)  # the second is forwarded too
        if ending == "stop":
            await forwarder.stop()
        else:
            forwarder.kill()
        await forwarder.terminated()
        hold.go.set()
        assert await asyncio.gather(*asks) == ["hold", "queued"]


@on_each_loop
async def test_a_dead_or_full_receiver_fails_the_ask_and_crashes_who_forwards_what_was_told() -> None:
    async with System() as system:
        events = Events(system)
        dead, small = system.spawn(Echo), system.spawn(Small)
        await dead.stop()
        hold = Hold()
        small.tell(hold)
        await hold.begun.wait()
        small.tell("full")
        for name, ref, error in (("one", dead, ActorDead), ("two", small, MailboxFull)):
            forwarder = system.spawn(Forwards, ref, name=name)
            with pytest.raises(error):
                await forwarder.ask("asked")
            assert forwarder.is_alive()
            forwarder.tell("told")
            await events.until("crashed", name)
        hold.go.set()


@on_each_loop
async def test_what_is_queued_at_a_receiver_that_stops_ends_in_actor_dead() -> None:
    async with System() as system:
        gate = system.spawn(Gate)
        forwarder = system.spawn(Forwards, gate)
        hold = Hold()
        held = forwarder.ask(hold)
        await hold.begun.wait()
        stopped = gate.stop()
        behind = forwarder.ask("behind")
        await asyncio.sleep(0)
        hold.go.set()
        assert await held == "hold"
        with pytest.raises(ActorDead):
            await behind
        await stopped


# -- what the handler does besides -------------------------------------------------------------------------------------


@on_each_loop
@pytest.mark.parametrize("returned", [None, "something else"])
async def test_what_the_handler_returns_after_it_has_forwarded_counts_for_nothing(returned: Any) -> None:
    class Forgets(Forwards):
        def on_receive(self, message: Any) -> Any:
            super().on_receive(message)
            return returned

    class ForgetsLater(Forwards):
        async def on_receive(self, message: Any) -> Any:
            super().on_receive(message)
            await asyncio.sleep(0)
            return returned

    async with System() as system:
        for forgets in (Forgets, ForgetsLater):
            forwarder = system.spawn(forgets, system.spawn(Gate))
            assert await asyncio.gather(*[forwarder.ask(i) for i in range(3)]) == [0, 1, 2]


@on_each_loop
async def test_what_the_handler_raises_after_it_has_forwarded_crashes_it_for_nobody_else_is_told() -> None:
    class Fails(Forwards):
        def on_receive(self, message: Any) -> Any:
            super().on_receive(message)
            raise KeyError(message)

    async with System() as system:
        events = Events(system)
        forwarder = system.spawn(Fails, system.spawn(Echo), name="fails")
        assert await forwarder.ask("hello") == "hello"
        await events.until("crashed", "fails")


@on_each_loop
async def test_a_second_time_the_message_is_told() -> None:
    log = Log()

    class Twice(Actor):
        def __init__(self, first: Any, second: Any) -> None:
            super().__init__()
            self.first, self.second = first, second

        def on_receive(self, message: Any) -> Any:
            self.forward(self.first, message)
            return self.forward(self.second, message)

    async with System() as system:
        second = system.spawn(Gate, log)
        assert await system.spawn(Twice, system.spawn(Echo), second).ask("m") == "m"
        await second.stop()
        assert log.of("saw") == ["m"]


@on_each_loop
async def test_only_a_handler_forwards() -> None:
    class Beside(Gate):
        async def on_receive(self, message: Any) -> Any:
            if message == "beside":
                return self.reply_with(self.work())
            return await super().on_receive(message)

        async def work(self) -> None:
            self.forward(self.ref, "not mine")

    async with System() as system:
        beside = system.spawn(Beside)
        with pytest.raises(CoreError, match="only a handler"):
            await beside.ask("beside")
        assert await beside.ask("still there") == "still there"
    with pytest.raises(CoreError, match="only a handler"):
        Echo().forward(beside, "m")


# -- circles -----------------------------------------------------------------------------------------------------------


class Asks(Actor):
    """Asks another, and waits."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log

    async def on_receive(self, message: Any) -> Any:
        whom, what = message
        try:
            return await whom.ask(what)
        except AskCycle as error:
            self.log(str(error))
            raise


@on_each_loop
async def test_a_circle_through_a_forwarder_is_told_whichever_wait_began_first() -> None:
    async with System() as system:
        log = Log()
        one, two = system.spawn(Asks, log, name="one"), system.spawn(Asks, log, name="two")
        to_two = system.spawn(Forwards, two)
        with pytest.raises(AskCycle):
            await one.ask((to_two, (one, "back")))
        assert log.lines[0] == "these actors wait for each other: two → one → two"
        to_one = system.spawn(Forwards, one)
        with pytest.raises(AskCycle):
            await one.ask((to_one, "to itself"))
        assert log.lines[-1].startswith("these actors wait for each other: one → one")


@on_each_loop
async def test_an_ask_that_would_close_a_circle_is_not_forwarded() -> None:
    class Late(Forwards):
        async def on_receive(self, message: Any) -> Any:
            message.begun.set()
            await message.go.wait()
            return self.forward(self.to, message)

    async with System() as system:
        log = Log()
        one, two = system.spawn(Asks, log, name="one"), system.spawn(Asks, log, name="two")
        late = system.spawn(Late, two)
        hold = Hold()
        first = one.ask((late, hold))  # one waits for two, by way of the forwarder
        await hold.begun.wait()
        second = two.ask((one, (two, "never")))  # two waits for one
        await asyncio.sleep(0.01)
        hold.go.set()
        with pytest.raises(AskCycle, match="two → one → two"):
            await first
        with pytest.raises(AskCycle):
            await second


# -- elsewhere ---------------------------------------------------------------------------------------------------------


@on_each_loop
async def test_it_reaches_actors_of_other_systems_and_of_pykka() -> None:
    class Threading(pykka.ThreadingActor):
        def on_receive(self, message: Any) -> Any:
            if isinstance(message, BaseException):
                raise message
            return message

    threading = Threading.start()
    try:
        async with System() as system:
            with System.in_thread() as other:
                for ref in (other.spawn(Gate), threading):
                    forwarder = system.spawn(Forwards, ref)
                    forwarder.tell("told")
                    assert await forwarder.ask("asked") == "asked"
                    with pytest.raises(KeyError):
                        await forwarder.ask(KeyError())
                    with pytest.raises(SystemClosed):
                        await anext(forwarder.stream("items"))
    finally:
        await asyncio.to_thread(threading.stop)


# -- under every schedule ----------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    hops=st.integers(0, 3),
    plan=st.lists(st.sampled_from(["tell", "ask", "give up", "sleep", "in a hurry"]), max_size=10),
    struck=st.sampled_from(["", "over/hop0", "over/hop1", "worker"]),
    fault=st.sampled_from([Crash, Kill, Slow]),
)
def test_through_any_number_of_forwarders_each_message_is_taken_up_once_and_each_ask_ends_once(
    hops: int, plan: list[str], struck: str, fault: Any
) -> None:
    async def scenario(sim: Simulation) -> None:
        log = Log()

        class Worker(Actor):
            async def on_receive(self, message: Any) -> Any:
                log(message)
                await asyncio.sleep(0.1)
                return message

        if struck:
            sim.expect_dead_letters()
        ref: ActorRef[Any] = sim.system.supervise(ChildSpec(Worker, name="worker"))
        over = sim.system.supervise(DynamicSupervisor.spec(name="over", intensity=100))
        for hop in range(hops):
            ref = await over.ask(ChildSpec((Forwards, ForwardsLater)[hop % 2], (ref,), name=f"hop{hop}"))
        asks = []
        for number, what in enumerate(plan):
            if what == "sleep":
                await asyncio.sleep(0.1)
            elif what == "tell":
                try:
                    ref.tell(number)
                except ActorDead:
                    assert struck
            else:
                asks.append((number, what, ref.ask(number, timeout=0.15 if what == "in a hurry" else None)))
                if what == "give up":
                    await asyncio.sleep(0)
                    asks[-1][2].cancel()
        for number, what, ask in asks:
            try:
                assert await ask == number
            except asyncio.CancelledError:
                assert what == "give up"
            except AskTimeout:
                assert what == "in a hurry"
            except (ActorDead, InjectedCrash):
                assert struck
        await asyncio.sleep(60)
        assert log.lines == sorted(set(log.lines))
        if not struck:
            certain = {number for number, what in enumerate(plan) if what in ("tell", "ask")}
            assert certain <= set(log.lines)

    simulate(scenario, seeds=8, faults=[fault(struck, optional=True)] if struck else [])


def test_each_hand_over_is_a_message_in_the_trace_and_the_answer_goes_back_the_same_way() -> None:
    async def scenario(sim: Simulation) -> None:
        echo = sim.system.spawn(Echo, name="echo")
        first = sim.system.spawn(Forwards, echo, name="first")
        assert await first.ask("hello") == "hello"
        asked = [(fact.get("sender") or "client", fact.get("actor")) for fact in sim.trace.of("ask")]
        ended = [(fact.get("actor"), fact.get("how")) for fact in sim.trace.of("ask_end")]
        assert [to for _, to in asked] == ["first", "echo"]
        assert asked[1][0] == "first"
        assert ended == [("echo", "reply"), ("first", "reply")]

    simulate(scenario, seeds=2)
