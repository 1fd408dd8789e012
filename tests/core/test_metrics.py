"""What a meter tells: counts are exact, times are those of the clock, and a sample stands for none not watched."""

from __future__ import annotations

import asyncio
import itertools
import math
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.actors import (
    Actor,
    ActorDead,
    ActorMetrics,
    ChildSpec,
    DeadLetter,
    Histogram,
    Mailbox,
    MailboxFull,
    Metrics,
    SpecError,
    Supervision,
    System,
    SystemClosed,
    send_context,
)
from callboard.actors.testing import run_virtual, simulate, virtual_time

from .support import Echo, Gate, Hold, on_each_loop

SHARE = 10 ** (1 / 10)
"""By how much a bucket's end may exceed what is in it."""


TIRELESS = Supervision(intensity=1_000, period=1.0)


class Worker(Actor):
    """Waits as long as the message says, or raises it."""

    mailbox_capacity = 20

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Exception):
            raise message
        if isinstance(message, float):
            return self.wait(message)
        return message

    async def wait(self, seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds


class Other(Worker):
    pass


def of(metrics: Metrics, kind: type[Actor]) -> ActorMetrics:
    """The figures of a class."""
    return metrics.classes[f"{kind.__module__}.{kind.__qualname__}"]


# -- counts ------------------------------------------------------------------------------------------------------------


@on_each_loop
async def test_messages_are_counted_by_class_and_all_together() -> None:
    async with System() as system:
        with system.measure() as meter:
            first, second, other = system.spawn(Worker), system.spawn(Worker), system.spawn(Other)
            for _ in range(250):
                first.tell("told")
                assert await second.ask("asked") == "asked"
            with send_context(timeout=5):
                assert await other.ask(0.0) == 0.0
            await first.ask("last")
            read = meter.read()
    assert of(read, Worker).processed == 501
    assert of(read, Other).processed == 1
    assert read.total.processed == 502
    assert (of(read, Worker).actors, of(read, Other).actors, read.total.actors) == (2, 1, 3)


@virtual_time
async def test_failures_restarts_and_dead_letters_are_counted() -> None:
    async with System() as system:
        with system.measure() as meter:
            worker = system.supervise(ChildSpec(Worker))
            with pytest.raises(ValueError, match="asked"):
                await worker.ask(ValueError("asked"))
            worker.tell(ValueError("told"))  # crashes it
            await worker.ask("restarted")
            given_up = worker.ask(1.0), worker.ask("never")
            await asyncio.sleep(0.5)
            for asked in given_up:
                asked.cancel()  # the one at work obeys, which is no failure; the other is a dead letter
            await worker.ask("after")
            worker.tell(5.0)
            worker.tell("never")
            await asyncio.sleep(1)
            worker.kill()  # the restarted one takes the next message up
            await worker.ask("again")
            stopped = worker.stop()
            worker.tell("too late")
            await stopped
            figures = of(meter.read(), Worker)
    assert (figures.processed, figures.failed, figures.restarts) == (8, 3, 2)
    assert figures.dead_letters == 2
    assert (figures.actors, figures.mailbox_depth, figures.at_work) == (0, 0, 0)


class Program:
    """Counts what a program sends, and what of that must be somewhere."""

    def __init__(self, system: System) -> None:
        self.sent = 0
        self.stops: list[Any] = []
        self.supervised = [system.supervise(ChildSpec(Worker)) for _ in range(2)]
        dropping = Mailbox(capacity=3, overflow="drop_oldest")
        self.actors = [*self.supervised, system.spawn(Other, mailbox=dropping), system.spawn(Other, name="mortal")]

    def tell(self, number: int, message: Any, priority: int) -> None:
        try:
            self.actors[number].tell(message, priority=priority)
        except (ActorDead, MailboxFull):
            return
        self.sent += 1

    def ask(self, number: int, message: Any, timeout: float | None) -> None:
        asked = self.actors[number].ask(message, timeout=timeout)
        self.sent += not asked.done()  # refused: nothing is processed while it is sent
        asked.add_done_callback(lambda done: done.cancelled() or done.exception())

    def check(self, metrics: Metrics) -> None:
        total = metrics.total
        found = total.processed + total.at_work + total.mailbox_depth + total.dead_letters
        stops = len([stop for stop in self.stops if not stop.done()])  # they may wait in a mailbox too
        assert self.sent <= found <= self.sent + stops
        for figures in metrics.classes.values():
            assert 0 <= figures.failed <= figures.processed
            assert 0 <= figures.mailbox_depth_max <= figures.mailbox_depth
            assert 0 <= figures.mailbox_age <= metrics.seconds
            assert 0 <= figures.at_work <= figures.actors
            # Times are told of messages that have been taken up, of none twice.
            assert figures.time_in_mailbox.count <= figures.processed + figures.at_work
            assert figures.processing_time.count <= figures.processed
            assert min((*figures.time_in_mailbox.counts, *figures.processing_time.counts)) >= 0


messages = st.sampled_from(["at once", "at once", 0.0, 0.5, 2.0, ValueError("raised")])
actors = st.integers(0, 3)
steps = st.one_of(
    st.tuples(st.just("tell"), actors, messages, st.sampled_from([0, 0, 0, -1, 1])),
    st.tuples(st.just("ask"), actors, messages, st.sampled_from([None, None, 0.0, 0.7])),
    st.tuples(st.just("burst"), actors, st.integers(2, 30)),
    st.tuples(st.just("sleep"), st.sampled_from([0.0, 0.1, 1.0])),
    st.tuples(st.just("kill"), actors),
    st.tuples(st.just("stop"), actors),
    st.tuples(st.just("read")),
)


@settings(deadline=None, max_examples=150)
@given(st.lists(steps, max_size=40), st.booleans())
def test_what_was_sent_has_been_processed_or_is_at_work_or_waits_or_is_a_dead_letter(
    program: list[Any], restless: bool
) -> None:
    async def main() -> None:
        async with System(supervision=TIRELESS) as system:
            running = Program(system)
            with system.measure() as meter:
                if restless:  # others come and go
                    system.intercept(lambda delivery: None)
                for step, *arguments in program:
                    if step == "tell":
                        running.tell(*arguments)
                    elif step == "ask":
                        running.ask(*arguments)
                    elif step == "burst":
                        for _ in range(arguments[1]):
                            running.tell(arguments[0], "at once", 0)
                    elif step == "sleep":
                        await asyncio.sleep(arguments[0])
                    elif step == "kill":
                        running.actors[arguments[0]].kill()
                    elif step == "stop":
                        running.stops.append(running.actors[arguments[0]].stop())
                    else:
                        running.check(meter.read())
                        if restless:
                            system.measure().close()
                await asyncio.sleep(200)
                read = meter.read()
                running.check(read)
                assert (read.total.mailbox_depth, read.total.at_work) == (0, 0)

    run_virtual(main())


def test_counts_hold_in_every_order_in_which_a_simulation_lets_messages_be_processed() -> None:
    async def main() -> None:
        async with System(supervision=TIRELESS) as system:
            with system.measure() as meter:
                actors = [system.supervise(ChildSpec(Worker, name=f"{n}")) for n in range(3)]
                for number in range(12):
                    actors[number % 3].tell(ValueError("no") if number % 5 == 4 else float(number % 2))
                for actor in actors:
                    await actor.ask("last")
                total = meter.read().total
                assert (total.processed, total.failed, total.restarts) == (15, 2, 2)
                assert total.processing_time.count == 15

    simulate(main, seeds=10)


# -- times -------------------------------------------------------------------------------------------------------------


@virtual_time
async def test_times_in_the_mailbox_and_at_work_are_those_of_the_clock() -> None:
    async with System() as system:
        worker = system.spawn(Worker)
        with system.measure() as meter:
            await worker.ask(1.0)
            before = meter.read()
            for seconds in (2.0, 3.0, 4.0):
                worker.tell(seconds)
            await worker.ask("last")  # waits for them all
            figures = of(meter.read().since(before), Worker)
    assert figures.processing_time.count == 4
    assert figures.processing_time.sum == 2 + 3 + 4
    assert figures.processing_time.quantile(1) == pytest.approx(4, rel=SHARE - 1)
    # What was told has come in while it was watched: 0, 2, 5 and 9 s in the mailbox.
    assert figures.time_in_mailbox.quantile(1) == pytest.approx(9, rel=SHARE - 1)
    assert figures.time_in_mailbox.sum == 0 + 2 + 5 + 9
    assert figures.seconds == 9
    assert figures.rate == pytest.approx(4 / 9)


@virtual_time
async def test_a_message_that_waited_before_it_was_measured_has_waited_at_least_since_then() -> None:
    async with System() as system:
        worker = system.spawn(Worker)
        for _ in range(3):
            worker.tell(10.0)
        await asyncio.sleep(1)
        with system.measure() as meter:
            meter.follow(worker)
            await asyncio.sleep(10)  # the second is at work
            worker.tell("known")  # at 11, and processed at 30
            await asyncio.sleep(1)
            assert of(meter.read(), Worker).time_in_mailbox.sum == 9  # from 1 to 10: its first second is not known
            await asyncio.sleep(28)
            (figures,) = meter.read().actors.values()
    assert (figures.processed, figures.time_in_mailbox.count) == (3, 3)
    assert figures.time_in_mailbox.sum == 9 + 19 + 19


@virtual_time
async def test_a_message_that_is_put_back_takes_nothing_from_the_times_of_those_behind_it() -> None:
    class Stashes(Worker):
        is_open = False

        def on_receive(self, message: Any) -> Any:
            if message == "put aside":
                return self.wait(1.0) if self.is_open else self.stash(message)
            if message == "open":
                self.is_open = True
                self.unstash_all()
            return super().on_receive(message)

    async with System() as system:
        stashes = system.spawn(Stashes)
        with system.measure() as meter:
            await stashes.ask("first")
            for _ in range(3):
                stashes.tell("put aside")
            stashes.tell(8.0)
            await asyncio.sleep(1)
            before = meter.read()
            stashes.tell("open")
            await asyncio.sleep(2)
            stashes.tell("behind")
            await asyncio.sleep(10)
            figures = of(meter.read().since(before), Stashes)
    # At 8 there are "open", which has waited for 7 s, then three put back, of which nothing is known, at 11 "behind".
    assert figures.time_in_mailbox.count == 2
    assert figures.time_in_mailbox.quantile(0) == pytest.approx(7, rel=SHARE - 1)
    assert figures.time_in_mailbox.quantile(1) == pytest.approx(8, rel=SHARE - 1)


@virtual_time
async def test_an_actor_that_waits_for_nothing_takes_no_time_on_a_virtual_clock() -> None:
    async with System() as system:
        with system.measure() as meter:
            echo = system.spawn(Echo)
            for number in range(40):
                assert await echo.ask(number) == number
            figures = of(meter.read(), Echo)
    assert (figures.processing_time.count, figures.processing_time.sum) == (40, 0.0)
    assert figures.processing_time.quantile(0.99) == 1e-6
    assert figures.time_in_mailbox.sum == 0.0


@virtual_time
async def test_the_age_of_a_mailbox_is_that_of_its_oldest_message() -> None:
    async with System() as system:
        worker, other = system.spawn(Worker), system.spawn(Worker)
        with system.measure() as meter:
            worker.tell(10.0)
            await asyncio.sleep(2)
            assert of(meter.read(), Worker).mailbox_age == 0
            worker.tell("waits")
            await asyncio.sleep(3)
            worker.tell("waits")
            other.tell(1.0)
            await asyncio.sleep(0.5)
            figures = of(meter.read(), Worker)
            assert (figures.mailbox_age, figures.mailbox_depth, figures.mailbox_depth_max) == (3.5, 2, 2)
            assert (figures.at_work, figures.processed) == (2, 0)
            await asyncio.sleep(10)
            figures = of(meter.read(), Worker)
            assert (figures.mailbox_age, figures.mailbox_depth, figures.at_work) == (0, 0, 0)


@virtual_time
async def test_a_message_that_was_there_before_is_at_least_as_old_as_the_meters_first_look_at_it() -> None:
    class Slow(Worker):
        async def on_start(self) -> None:
            await asyncio.sleep(100)

    async with System() as system:
        slow = system.spawn(Slow)
        slow.tell("waits")
        await asyncio.sleep(1)
        with system.measure() as meter:
            await asyncio.sleep(2)
            ages = [of(meter.read(), Slow).mailbox_age]
            await asyncio.sleep(4)
            ages.append(of(meter.read(), Slow).mailbox_age)
        assert ages == [2, 6]  # since it was made, and read for the first time
        slow.kill()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 1.0]), st.sampled_from([0.5, 1.0, 3.0])), max_size=40))
def test_every_message_of_a_system_that_is_not_busy_is_timed(arrivals: list[tuple[float, float]]) -> None:
    """The mailbox is a queue with one server: how long each message waits follows from when they come."""
    waits, free = [], 1.0
    at = 1.0
    for gap, work in arrivals:
        at += gap
        waits.append(max(0.0, free - at))
        free = max(free, at) + work

    async def main() -> None:
        async with System() as system:
            worker = system.spawn(Patient)
            with system.measure() as meter:
                await worker.ask(1.0)
                before = meter.read()
                for gap, work in arrivals:
                    await asyncio.sleep(gap)
                    worker.tell(work)
                await worker.ask(0.0)
                figures = of(meter.read().since(before), Patient)
        assert figures.processing_time.count == len(arrivals) + 1
        assert figures.processing_time.sum == pytest.approx(sum(work for _, work in arrivals))
        assert figures.time_in_mailbox.sum == pytest.approx(sum(waits) + max(0.0, free - at))

    run_virtual(main())


class Patient(Worker):
    mailbox_capacity = 100


class Busy(Worker):
    mailbox_capacity = 10_000


BUSY_ENOUGH = 30
"""Actors of other classes, of which 100 messages each use up what may be watched at once."""


async def use_up_the_ration(system: System) -> None:
    others = [system.spawn(Other, mailbox=Mailbox(capacity=200)) for _ in range(BUSY_ENOUGH)]
    for other in others:
        for number in range(100):
            other.tell(number)
    for other in others:
        await other.ask("last")


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("messages", [200, 300, 3_000])
@virtual_time
async def test_the_wait_in_a_burst_is_told_whatever_else_is_measured(messages: int, busy: bool) -> None:
    async with System() as system:
        worker = system.spawn(Busy)
        with system.measure() as meter:
            if busy:
                await worker.ask("its class has been watched just now")
                await use_up_the_ration(system)
            before = meter.read()
            asked = [worker.ask(0.01) for _ in range(messages)]
            await asyncio.gather(*asked)
            figures = of(meter.read().since(before), Busy)
            await worker.ask("one more")
            one_more = of(meter.read().since(before), Busy)
    assert figures.processed == messages
    # The first is taken at once; of the rest each stands for itself, or for those just before it.
    assert messages - 2 <= figures.time_in_mailbox.count <= messages
    for q in (0.25, 0.5, 0.9, 0.99, 1):
        assert figures.time_in_mailbox.quantile(q) == pytest.approx(q * messages * 0.01, rel=0.3)
    assert figures.processing_time.count == messages
    assert one_more.time_in_mailbox.count - figures.time_in_mailbox.count <= 1


@pytest.mark.parametrize("busy", [False, True])
@virtual_time
async def test_a_burst_to_a_handler_that_does_not_wait_is_timed(busy: bool) -> None:
    async with System() as system:
        worker = system.spawn(Busy)
        with system.measure() as meter:
            if busy:
                await worker.ask("its class has been watched just now")
                await use_up_the_ration(system)
            before = meter.read()
            for number in range(1_000):
                worker.tell(number)
            await asyncio.sleep(1)
            figures = of(meter.read().since(before), Busy)
    assert figures.processed == 1_000
    assert 900 - 64 <= figures.processing_time.count <= 1_000
    assert 900 - 64 <= figures.time_in_mailbox.count <= 1_000


@virtual_time
async def test_a_message_stands_for_none_that_was_not_watched() -> None:
    async with System() as system:
        worker = system.spawn(Busy)
        with system.measure() as meter:
            for number in range(5_000):
                await worker.ask(number)
            figures = of(meter.read(), Busy)
    assert figures.processed == 5_000
    assert 0 < figures.time_in_mailbox.count <= 200  # in no time, one after the other: no more may be watched
    assert 0 < figures.processing_time.count <= 200


@virtual_time
async def test_messages_that_are_dropped_from_a_long_mailbox_are_in_no_figure_but_the_dead_letters() -> None:
    async with System() as system:
        worker = system.spawn(Busy, mailbox=Mailbox(capacity=300, overflow="drop_oldest"))
        with system.measure() as meter:
            worker.tell(1.0)
            await asyncio.sleep(0.5)
            given_up = [worker.ask(1.0) for _ in range(200)]
            for _ in range(250):
                worker.tell("dropped or not")
            for asked in given_up:
                asked.cancel()
            await asyncio.sleep(5)
            figures = of(meter.read(), Busy)
    assert (figures.processed, figures.dead_letters) == (251, 200)
    assert figures.time_in_mailbox.count <= 251
    assert figures.time_in_mailbox.quantile(1) == pytest.approx(0.5, rel=SHARE - 1)


# -- reading -----------------------------------------------------------------------------------------------------------


@virtual_time
async def test_two_readings_differ_by_what_happened_between_them() -> None:
    async with System() as system:
        worker = system.spawn(Worker)
        await worker.ask("before")
        with system.measure() as meter:
            await worker.ask("first")
            first = meter.read()
            await asyncio.sleep(2)
            await worker.ask("second")
            await worker.ask("third")
            second = meter.read()
            later = system.measure()  # a meter more, which has seen none of it
            await worker.ask("fourth")
            assert of(later.read(), Worker).processed == 1
            later.close()
    assert (of(first, Worker).processed, of(second, Worker).processed) == (1, 3)
    between = second.since(first)
    assert (between.seconds, of(between, Worker).seconds) == (2, 2)
    assert (of(between, Worker).processed, of(between, Worker).rate) == (2, 1)
    assert of(between, Worker).processing_time.count == 2


@virtual_time
async def test_a_meter_that_is_closed_tells_what_it_last_told() -> None:
    async with System() as system:
        worker = system.spawn(Worker)
        with system.measure() as meter:
            await worker.ask("measured")
        closed = meter.read()
        await worker.ask("not measured")
        assert meter.read() is closed
        meter.close()
        again = system.measure()
        assert of(again.read(), Worker).processed == 0
        await worker.ask("measured again")
        assert of(again.read(), Worker).processed == 1
    assert of(closed, Worker).processed == 1
    assert of(again.read(), Worker).processed == 1  # of a system that has stopped


@virtual_time
async def test_messages_that_wait_as_a_meter_is_closed_are_processed_in_their_order() -> None:
    seen: list[Any] = []

    class Notes(Worker):
        async def on_receive(self, message: Any) -> None:
            seen.append(message)
            await asyncio.sleep(1)

    async with System() as system:
        notes = system.spawn(Notes)
        with system.measure():
            for number in range(5):
                notes.tell(number)
            await asyncio.sleep(1.5)
        notes.tell(5)
        notes.tell("first", priority=-1)
        await notes.stop()
    assert seen == [0, 1, "first", 2, 3, 4, 5]


@virtual_time
async def test_one_actor_can_be_followed_beyond_its_death() -> None:
    async with System() as system:
        followed = system.supervise(ChildSpec(Worker, name="followed"))
        plain = system.spawn(Worker)
        with system.measure() as meter:
            followed.tell(4.0)
            await asyncio.sleep(1)
            meter.follow("followed")
            meter.follow(followed)
            for wrong, why in (("nobody", "no actor at this path"), (7, "neither a ref nor a path")):
                with pytest.raises(SpecError, match=why):
                    meter.follow(wrong)  # type: ignore[arg-type]
            for number in range(3):
                followed.tell(f"{number}")
                plain.tell("plain")
            figures = meter.read().actors["followed"]
            assert (figures.at_work, figures.processed, figures.mailbox_depth) == (1, 0, 3)
            await asyncio.sleep(5)
            followed.tell(ValueError("crash"))
            await followed.ask("last", timeout=5)
            await followed.stop()
            figures = meter.read().actors["followed"]
            assert of(meter.read(), Worker).processed == 9
        assert (figures.processed, figures.failed, figures.restarts, figures.actors) == (6, 1, 1, 0)
        assert figures.time_in_mailbox.quantile(1) == pytest.approx(3, rel=SHARE - 1)
        assert set(meter.read().actors) == {"followed"}


@on_each_loop
async def test_an_actor_follows_itself_from_the_end_of_its_turn() -> None:
    class Selfish(Actor):
        def on_receive(self, message: Any) -> Any:
            if message == "follow":
                meter.follow(self.ref)
            return message

    async with System() as system:
        with system.measure() as meter:
            selfish = system.spawn(Selfish, name="selfish")
            await selfish.ask("follow")
            await asyncio.sleep(0)
            for number in range(300):
                selfish.tell(number) if number % 2 else await selfish.ask(number)
            await selfish.ask("last")
            assert meter.read().actors["selfish"].processed == 301


@on_each_loop
async def test_measuring_that_begins_in_a_handler_counts_from_the_turns_that_follow() -> None:
    meters = []

    class Measures(Gate):
        async def on_receive(self, message: Any) -> Any:
            if message == "measure":
                meters.append(self.system.measure())
            return await super().on_receive(message)

    async with System() as system:
        measures = system.spawn(Measures)
        hold = Hold()
        measures.tell("measure")
        measures.tell(hold)
        await hold.begun.wait()
        hold.go.set()
        await measures.ask("counted")
        assert of(meters[0].read(), Measures).at_work == 0
        before = of(meters[0].read(), Measures).processed
        await measures.ask("counted")
        assert of(meters[0].read(), Measures).processed == before + 1
        meters[0].close()


def test_a_meter_is_made_and_read_from_any_thread() -> None:
    reads: list[Metrics] = []
    with System.in_thread() as system:
        echo = system.spawn(Echo)
        with system.measure() as meter:
            meter.follow(echo)
            reader = threading.Thread(target=lambda: reads.extend(meter.read() for _ in range(50)))
            reader.start()
            for number in range(200):
                assert echo.ask(number).get(timeout=10) == number
            reader.join()
            reads.append(meter.read())
            assert of(reads[-1], Echo).processed == 200
            assert reads[-1].actors[echo.path].processed == 200
    counts = [of(read, Echo).processed for read in reads if read.classes]
    assert counts == sorted(counts)
    with pytest.raises(SystemClosed):
        system.measure()
    with pytest.raises(SystemClosed):
        system.intercept(lambda delivery: None)
    with pytest.raises(SystemClosed):
        System().measure()


@virtual_time
async def test_more_classes_than_200_are_counted_together() -> None:
    async with System() as system:
        with system.measure() as meter:
            for number in range(230):
                await system.spawn(type(f"Kind{number}", (Worker,), {})).ask("one")
            read = meter.read()
    assert len(read.classes) == 201
    assert read.classes["other"].processed == 30
    assert read.total.processed == 230


@virtual_time
async def test_actors_hear_of_dead_letters_and_events_as_without_a_meter() -> None:
    letters: list[DeadLetter] = []
    async with System() as system:
        system.dead_letters.subscribe(letters.append)
        with system.measure():
            worker = system.spawn(Worker, mailbox=Mailbox(capacity=2, overflow="drop_oldest"))
            await worker.ask("watched from here on")
            for number in range(5):
                worker.tell(number)
            await worker.ask("last")
    assert [letter.message for letter in letters] == [0, 1, 2, 3]


# -- histograms --------------------------------------------------------------------------------------------------------

counts = st.lists(st.integers(0, 5), min_size=len(Histogram().counts), max_size=len(Histogram().counts)).map(tuple)


@given(counts, counts)
def test_histograms_that_are_added_can_be_taken_away_again(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    first, second = Histogram(one, 1.5), Histogram(other, 0.25)
    both = first + second
    assert both.count == first.count + second.count
    assert both - second == first


@given(counts.filter(any), st.floats(0, 1))
def test_a_quantile_is_the_end_of_the_bucket_up_to_which_that_share_lies(held: tuple[int, ...], q: float) -> None:
    histogram = Histogram(held)
    value = histogram.quantile(q)
    upto = sum(count for count, bound in zip(held, (*histogram.bounds, math.inf), strict=True) if bound <= value)
    below = sum(count for count, bound in zip(held, (*histogram.bounds, math.inf), strict=True) if bound < value)
    assert below < max(1, math.ceil(q * histogram.count)) <= upto


def test_a_histogram_of_nothing_has_no_mean_and_no_quantile() -> None:
    assert math.isnan(Histogram().mean)
    assert math.isnan(Histogram().quantile(0.5))
    with pytest.raises(ValueError, match="share"):
        Histogram().quantile(95)
    assert math.isnan(ActorMetrics().rate)


def test_the_buckets_go_from_a_microsecond_to_a_thousand_seconds_by_ten_in_each_power_of_ten() -> None:
    bounds = Histogram().bounds
    assert (bounds[0], bounds[-1], len(bounds)) == (1e-6, 1e3, 91)
    assert all(after / before == pytest.approx(SHARE, rel=0.01) for before, after in itertools.pairwise(bounds))


# -- counts alone ------------------------------------------------------------------------------------------------------


@virtual_time
async def test_a_meter_that_wants_no_times_counts_and_times_no_handler_that_does_not_wait() -> None:
    async with System() as system:
        with system.measure(times=False) as meter:
            worker = system.spawn(Worker)
            for _ in range(250):
                await worker.ask("asked")
            await worker.ask(2.0)
            with pytest.raises(ValueError, match="asked"):
                await worker.ask(ValueError("asked"))
            figures = of(meter.read(), Worker)
    assert (figures.processed, figures.failed) == (252, 1)
    assert (figures.processing_time.count, figures.processing_time.sum) == (1, 2.0)
    assert figures.time_in_mailbox.count == 0


@virtual_time
async def test_a_meter_that_wants_no_times_knows_how_old_a_mailbox_is_behind_a_handler_that_waits() -> None:
    async with System() as system:
        with system.measure(times=False) as meter:
            worker, later = system.spawn(Worker), system.spawn(Other)
            for wait in (5.0, 0.0):
                worker.tell(wait)
            later.tell(5.0)
            await asyncio.sleep(1)
            later.tell("waits")
            assert of(meter.read(), Worker).mailbox_age == 1.0
            assert of(meter.read(), Other).mailbox_age == 0.0  # nobody has looked at it yet
            await asyncio.sleep(1)
            assert of(meter.read(), Other).mailbox_age == 1.0


@virtual_time
async def test_times_are_taken_as_long_as_a_meter_wants_them_whatever_others_want() -> None:
    async with System() as system:
        worker = system.spawn(Worker)
        with system.measure(times=False) as counts:
            with system.measure() as times:
                await worker.ask("timed")
                assert of(times.read(), Worker).processing_time.count == 1
            await worker.ask("counted")
            await worker.ask("counted")
            figures = of(counts.read(), Worker)
    assert figures.processed == 3
    assert figures.processing_time.count <= 2  # the one after the last that was timed may be watched still


async def test_whether_times_are_wanted_is_true_or_false() -> None:
    async with System() as system:
        with pytest.raises(SpecError, match="times is 'no'; it is True or False"):
            system.measure(times="no")  # type: ignore[arg-type]
