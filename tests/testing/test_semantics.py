"""The runtime's promises, each under many schedules. The names are the sentences of the semantics page.

What the simulator checks after every run (FIFO per pair, at most once, conservation, asks resolved once, nothing after
stop, no leaks) is asserted here only by running workloads that could break it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

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
    Backoff,
    ChildSpec,
    MailboxFull,
    Outcome,
    Supervisor,
    System,
    Terminated,
    current_send_context,
)
from callboard.actors.testing import Crash, Fault, Kill, Simulation, Slow, simulate
from callboard.actors.testing.doubles.strategies import (
    MessagePlan,
    Tree,
    fault_plans,
    message_plans,
    play,
    supervision_trees,
)

drawn = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SEEDS = 60


class Log:
    """What happened, in order, shared by a scenario's actors."""

    def __init__(self) -> None:
        self.lines: list[Any] = []

    def __call__(self, *line: Any) -> None:
        self.lines.append(line if len(line) > 1 else line[0])


class Recorder(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def on_receive(self, message: Any) -> Any:
        if message == "seen":
            return list(self.seen)
        self.seen.append(message)
        return message


class Worker(Actor):
    """Answers after a few suspensions; the messages say how."""

    def __init__(self, log: Log | None = None) -> None:
        super().__init__()
        self.log = log or Log()

    async def on_receive(self, message: Any) -> Any:
        self.log("begin", message)
        if message == "fail":
            raise ValueError(message)
        if isinstance(message, float):
            await asyncio.sleep(message)
        else:
            await asyncio.sleep(0)
        self.log("end", message)
        return message


MESSAGES = st.sampled_from([1, 2, 3, "fail", 0.0, 0.1, 1.0])


# -- messages ----------------------------------------------------------------------------------------------------------


@drawn
@given(plan=message_plans(["sync", "async"], MESSAGES), faults=fault_plans(["sync", "async"], kinds=(Crash, Slow)))
def test_messages_are_in_order_processed_at_most_once_and_never_lost(
    plan: MessagePlan, faults: tuple[Fault, ...]
) -> None:
    async def scenario(sim: Simulation) -> None:
        actors: dict[str, ActorRef[Any]] = {
            "sync": sim.system.supervise(ChildSpec(Recorder, name="sync")),
            "async": sim.system.supervise(ChildSpec(Worker, name="async")),
        }
        sim.expect_dead_letters()  # more crashes than the restart intensity allows end the system
        try:
            await play(plan, actors, timeout=5.0)
        except* ActorDead:
            pass
        await asyncio.sleep(30)

    try:
        simulate(scenario, seeds=10, faults=faults)
    except AssertionError as failed:
        if "RestartLimit" not in str(failed):  # that the system stops then is its own promise
            raise


@drawn
@given(numbers=st.lists(st.integers(), max_size=8), faults=fault_plans(["worker"], kinds=(Slow,)))
def test_messages_of_one_sender_are_taken_up_in_the_order_sent(numbers: list[int], faults: tuple[Fault, ...]) -> None:
    async def scenario(sim: Simulation) -> None:
        worker = sim.system.spawn(Recorder, name="worker")
        for number in numbers:
            worker.tell(number)
            await asyncio.sleep(0)
        assert await worker.ask("seen") == numbers

    simulate(scenario, seeds=5, faults=faults)


def test_an_ask_to_a_dead_actor_fails_at_once() -> None:
    async def scenario(sim: Simulation) -> None:
        worker = sim.system.spawn(Recorder, name="worker")
        await worker.stop()
        before = sim.now
        with pytest.raises(ActorDead):
            await worker.ask(1, timeout=10)
        with pytest.raises(ActorDead):
            worker.tell(1)
        assert sim.now == before

    simulate(scenario, seeds=SEEDS)


@pytest.mark.parametrize("when", ["before", "in", "after"])
@pytest.mark.parametrize("cls", [Recorder, Worker])
def test_an_ask_whose_target_crashes_ends_in_an_error(cls: type[Actor], when: Any) -> None:
    async def scenario(sim: Simulation) -> None:
        worker = sim.system.supervise(ChildSpec(cls, name="worker"))
        if cls is Recorder and when == "in":
            assert await worker.ask(0.5) == 0.5  # a handler that never waits has no inside to crash in
            return
        with pytest.raises(ActorCrashed, match="worker"):
            await worker.ask(0.5)
        assert await worker.ask(0.25) == 0.25

    simulate(scenario, seeds=SEEDS, faults=[Crash("worker", 1, when, optional=cls is Recorder)])


def test_an_ask_whose_target_is_stopped_by_the_system_ends_in_an_error_or_an_answer() -> None:
    async def scenario(sim: Simulation) -> None:
        system = System("inner")
        await system.__aenter__()
        worker = system.spawn(Worker, name="inner")
        asks = [worker.ask(0.5) for _ in range(3)]
        await asyncio.sleep(0)
        await system.stop()
        assert all(ask.done() for ask in asks)
        for ask in asks:
            assert isinstance(ask.exception(), ActorDead) or ask.result() == 0.5

    simulate(scenario, seeds=SEEDS)


def test_a_late_reply_never_reaches_a_later_ask() -> None:
    async def scenario(sim: Simulation) -> None:
        worker = sim.system.spawn(Worker, name="worker")
        for number in range(5):
            seconds = 1.0 + number / 100
            try:
                assert await worker.ask(seconds, timeout=1.02) == seconds
            except AskTimeout:
                continue

    simulate(scenario, seeds=SEEDS, faults=[Slow("worker", seconds=0.5)])


def test_an_ask_that_times_out_cancels_the_handler_that_works_on_it() -> None:
    async def scenario(sim: Simulation) -> None:
        log = Log()
        worker = sim.system.spawn(Worker, log, name="worker")
        with pytest.raises(AskTimeout):
            await worker.ask(60.0, timeout=1)
        assert await worker.ask(0.0) == 0.0
        assert sim.now < 2
        assert ("end", 60.0) not in log.lines

    simulate(scenario, seeds=SEEDS)


def test_cancelling_an_ask_cancels_the_handler_and_the_actor_goes_on() -> None:
    async def scenario(sim: Simulation) -> None:
        worker = sim.system.spawn(Worker, name="worker")
        ask = asyncio.create_task(_ask(worker, 60.0), name="asker")
        await asyncio.sleep(1)
        ask.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ask
        assert await worker.ask(1) == 1
        assert sim.now < 2

    simulate(scenario, seeds=SEEDS)


async def _ask(ref: ActorRef[Any], message: Any, timeout: float | None = None) -> Any:
    return await ref.ask(message, timeout=timeout)


class Asker(Actor):
    """Asks the next in a ring."""

    following: ActorRef[Any]

    async def on_receive(self, message: int) -> Any:
        await asyncio.sleep(0)
        return message if message == 0 else await self.following.ask(message - 1)


@drawn
@given(size=st.integers(1, 4))
def test_an_ask_cycle_is_reported_with_names_instead_of_hanging(size: int) -> None:
    async def scenario(sim: Simulation) -> None:
        ring = [sim.system.spawn(Asker, name=f"ring{number}") for number in range(size)]
        for number, ref in enumerate(ring):
            ref.proxy().following = ring[(number + 1) % size]
        with pytest.raises(AskCycle) as caught:
            await ring[0].ask(10)
        assert all(f"ring{number}" in str(caught.value) for number in range(size))
        assert await ring[0].ask(0) == 0

    simulate(scenario, seeds=10)


def test_asks_around_a_ring_without_a_cycle_are_answered() -> None:
    async def scenario(sim: Simulation) -> None:
        ring = [sim.system.spawn(Asker, name=f"ring{number}") for number in range(4)]
        for number, ref in enumerate(ring[:-1]):
            ref.proxy().following = ring[number + 1]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_ask(ring[0], depth), name=f"asker{depth}") for depth in (3, 1, 2, 0)]
        assert [task.result() for task in tasks] == [0, 0, 0, 0]

    simulate(scenario, seeds=SEEDS)


# -- mailboxes ---------------------------------------------------------------------------------------------------------


class Small(Recorder):
    mailbox_capacity = 2


def test_a_full_mailbox_refuses_a_tell_and_lets_a_put_wait() -> None:
    async def scenario(sim: Simulation) -> None:
        small = sim.system.spawn(Small, name="small")
        accepted = []
        for number in range(6):
            try:
                small.tell(number)
            except MailboxFull:
                await small.put(number)
            accepted.append(number)
        seen: list[int] | None = None
        while seen is None:
            try:
                seen = await small.ask("seen")
            except MailboxFull:
                await asyncio.sleep(0.1)
        assert seen == accepted

    simulate(scenario, seeds=SEEDS)


def test_senders_that_wait_for_room_are_let_in_one_after_another_and_none_is_lost() -> None:
    async def scenario(sim: Simulation) -> None:
        small = sim.system.spawn(Small, name="small")

        async def sender(name: str) -> None:
            for number in range(4):
                await small.put((name, number))

        async with asyncio.TaskGroup() as group:
            for name in "abc":
                group.create_task(sender(name), name=name)
        await sim.idle()
        seen = await small.ask("seen")
        assert sorted(seen) == [(name, number) for name in "abc" for number in range(4)]
        for name in "abc":
            assert [number for who, number in seen if who == name] == [0, 1, 2, 3]

    simulate(scenario, seeds=SEEDS)


# -- restarts ----------------------------------------------------------------------------------------------------------


class Shared(Actor):
    """Keeps what it saw outside of the incarnation, and notices an overlap of two incarnations."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log

    async def on_start(self) -> None:
        self.log("start")
        await asyncio.sleep(0.1)
        self.log("started")

    async def on_receive(self, message: Any) -> Any:
        self.log("enter")
        await asyncio.sleep(0)
        if message == "poison":
            raise ValueError("poison")
        self.log(("saw", message))
        self.log("leave")

    async def on_failure(self, *_: Any) -> None:
        await asyncio.sleep(0.1)
        self.log("failed")

    async def on_stop(self) -> None:
        self.log("stopped")


@drawn
@given(messages=st.lists(st.sampled_from(["poison", "good"]), max_size=7), backoff=st.sampled_from([0.0, 1.0]))
def test_queued_messages_survive_a_restart_in_order_and_the_failing_one_is_not_processed_again(
    messages: list[str], backoff: float
) -> None:
    numbered = [(message if message == "poison" else (message, number)) for number, message in enumerate(messages)]
    if messages.count("poison") > 3:
        return

    async def scenario(sim: Simulation) -> None:
        log = Log()
        spec = ChildSpec(Shared, args=(log,), name="worker", backoff=Backoff(initial=backoff))
        worker = sim.system.supervise(spec)
        for message in numbered:
            worker.tell(message)
        await asyncio.sleep(60)
        seen = [line[1] for line in log.lines if isinstance(line, tuple)]
        assert seen == [message for message in numbered if message != "poison"]
        assert worker.is_alive()
        assert log.lines.count("failed") == messages.count("poison")
        assert log.lines.count("start") == messages.count("poison") + 1

    simulate(scenario, seeds=5)


def test_two_incarnations_never_overlap() -> None:
    async def scenario(sim: Simulation) -> None:
        log = Log()
        worker = sim.system.supervise(ChildSpec(Shared, args=(log,), name="worker"))
        for message in ("poison", "good", "poison", "good"):
            worker.tell(message)
        await asyncio.sleep(10)
        alive = 0
        for line in log.lines:
            alive += {"start": 1, "failed": -1, "stopped": -1}.get(line, 0)
            assert alive in (0, 1), log.lines

    simulate(scenario, seeds=SEEDS)


def test_the_ref_stays_valid_across_restarts() -> None:
    async def scenario(sim: Simulation) -> None:
        worker = sim.system.supervise(ChildSpec(Recorder, name="worker"))
        before = worker.actor_urn
        with pytest.raises(ActorCrashed):
            await worker.ask(1)
        assert await worker.ask(2) == 2
        assert sim.system.find("worker") is worker
        assert worker.actor_urn == before
        assert worker.is_alive()

    simulate(scenario, seeds=SEEDS, faults=[Crash("worker", 1)])


class Lifecycle(Actor):
    def __init__(self, log: Log, slow: float = 0.0) -> None:
        super().__init__()
        self.log = log
        self.slow = slow

    async def on_start(self) -> None:
        await asyncio.sleep(self.slow)
        self.log("start", self.path)

    async def on_stop(self) -> None:
        await asyncio.sleep(self.slow)
        self.log("stop", self.path)

    def on_receive(self, message: Any) -> Any:
        return message


@drawn
@given(tree=supervision_trees())
def test_children_stop_in_reverse_order_of_their_start(tree: Tree) -> None:
    async def scenario(sim: Simulation) -> None:
        log = Log()
        system = System("inner")
        await system.__aenter__()
        system.supervise(tree.spec(Lifecycle, log))
        await sim.idle()
        await system.stop()
        started = [path for what, path in log.lines if what == "start"]
        stopped = [path for what, path in log.lines if what == "stop"]
        assert sorted(started) == sorted(tree.leaves())
        assert stopped == list(reversed(tree.leaves()))

    simulate(scenario, seeds=5)


@drawn
@given(tree=supervision_trees(), data=st.data())
def test_a_crash_in_a_supervision_tree_leaves_every_permanent_worker_alive(tree: Tree, data: st.DataObject) -> None:
    struck = data.draw(st.sampled_from(tree.leaves()))

    async def scenario(sim: Simulation) -> None:
        sim.system.supervise(tree.spec(Recorder))
        await sim.idle()
        refs = {path: sim.system.find(path) for path in tree.leaves()}
        ref = refs[struck]
        assert ref is not None
        with pytest.raises(ActorCrashed):
            await ref.ask(1)
        await asyncio.sleep(5)
        for path in permanent(tree):
            ref = sim.system.find(path)
            assert ref is not None, f"{path} is gone"
            assert await ref.ask(2) == 2

    simulate(scenario, seeds=5, faults=[Crash(struck, 1)])


def permanent(tree: Tree, above: str = "") -> list[str]:
    path = f"{above}/{tree.name}" if above else tree.name
    if not tree.strategy:
        return [path] if tree.restart == "permanent" else []
    return [leaf for child in tree.children for leaf in permanent(child, path)]


def test_more_restarts_than_the_intensity_end_the_supervisor() -> None:
    async def scenario(sim: Simulation) -> None:
        sim.expect_dead_letters()
        spec = Supervisor.spec([ChildSpec(Worker, name="worker")], intensity=2, period=5.0, name="top")
        top: ActorRef[Any] = sim.system.spawn(_temporary(spec))
        await sim.idle()
        for _ in range(3):
            worker = sim.system.find("top/worker")
            if worker is None:
                break
            worker.tell("fail")
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)
        assert not top.is_alive()
        assert sim.system.find("top/worker") is None

    simulate(scenario, seeds=SEEDS)


def _temporary(spec: ChildSpec) -> ChildSpec:
    from dataclasses import replace

    return replace(spec, restart="temporary")


class Escaping(Actor):
    async def on_receive(self, message: Any) -> Any:
        await asyncio.sleep(0)
        raise asyncio.CancelledError if message == "cancel" else GeneratorExit


@pytest.mark.parametrize("message", ["cancel", "exit"])
def test_a_base_exception_in_one_handler_takes_no_other_actor_down(message: str) -> None:
    async def scenario(sim: Simulation) -> None:
        escaping = sim.system.supervise(ChildSpec(Escaping, name="escaping"))
        other = sim.system.spawn(Recorder, name="other")
        with pytest.raises(ActorDead):
            await escaping.ask(message)
        assert await other.ask(1) == 1
        assert escaping.is_alive()

    simulate(scenario, seeds=SEEDS)


# -- stopping ----------------------------------------------------------------------------------------------------------


class Stubborn(Actor):
    shutdown_timeout = 1.0

    async def on_receive(self, message: Any) -> Any:
        while True:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                continue


def test_a_handler_that_swallows_cancellation_cannot_hang_the_stop() -> None:
    async def scenario(sim: Simulation) -> None:
        system = System("inner")
        await system.__aenter__()
        stubborn = system.spawn(Stubborn, name="stubborn")
        ask = stubborn.ask("x")
        await asyncio.sleep(0.5)
        await system.stop()
        assert sim.now <= 10
        with pytest.raises(ActorDead):
            await ask

    simulate(scenario, seeds=SEEDS)


@pytest.mark.parametrize("backoff", [0.0, 1.0])
@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_a_stop_beats_a_pending_restart_and_is_idempotent(backoff: float, pause: float) -> None:
    async def scenario(sim: Simulation) -> None:
        sim.expect_dead_letters()
        log = Log()
        spec = ChildSpec(Shared, args=(log,), name="worker", backoff=Backoff(initial=backoff))
        worker = sim.system.supervise(spec)
        await asyncio.sleep(1)
        worker.tell("poison")
        await asyncio.sleep(pause)
        first, second = worker.stop(), worker.stop()
        await first
        await second
        assert not worker.is_alive()
        starts = log.lines.count("start")
        await asyncio.sleep(20)
        assert log.lines.count("start") == starts
        assert not await worker.stop()

    simulate(scenario, seeds=SEEDS)


def test_a_graceful_stop_processes_what_was_sent_before() -> None:
    async def scenario(sim: Simulation) -> None:
        log = Log()
        worker = sim.system.spawn(Worker, log, name="worker")
        for number in range(4):
            worker.tell(number)
        assert await worker.stop()
        assert [line for line in log.lines if line[0] == "end"] == [("end", number) for number in range(4)]

    simulate(scenario, seeds=SEEDS)


class Busy(Actor):
    """Has everything that could be left behind: timers, jobs, watches, children, deferred answers."""

    def on_start(self) -> None:
        self.schedule_every(0.3, "tick")
        self.schedule(100.0, "much later")
        self.child = self.spawn(Worker, name="child")
        self.watch(self.child)
        self.pipe(asyncio.sleep(50))

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, float):
            return self.reply_with(asyncio.sleep(message, message))
        return None


@drawn
@given(waits=st.lists(st.sampled_from([0.0, 0.3, 1.0, 80.0]), max_size=4), pause=st.sampled_from([0.0, 0.3, 0.5, 2.0]))
def test_after_the_system_has_stopped_no_task_no_timer_and_no_pending_ask_is_left(
    waits: list[float], pause: float
) -> None:
    async def scenario(sim: Simulation) -> None:
        sim.expect_dead_letters()
        system = System("inner")
        await system.__aenter__()
        busy = system.supervise(ChildSpec(Busy, name="busy"))
        asks = [busy.ask(wait) for wait in waits]
        await asyncio.sleep(pause)
        await system.stop()
        assert all(ask.done() for ask in asks)
        for ask in asks:
            ask.cancelled() or ask.exception()

    simulate(scenario, seeds=10)


def test_an_actor_that_crashes_while_it_is_stopped_ends_once() -> None:
    async def scenario(sim: Simulation) -> None:
        sim.expect_dead_letters()
        worker = sim.system.supervise(ChildSpec(Worker, name="worker"))
        worker.tell("fail")
        await worker.stop()
        assert not worker.is_alive()
        await asyncio.sleep(10)
        assert not worker.is_alive()

    run = simulate(scenario, seeds=SEEDS)
    assert len([fact for fact in run.trace.of("stopped") if fact.actor == "worker"]) == 1


def test_a_job_cancelled_before_its_first_step_still_answers_its_ask() -> None:
    async def scenario(sim: Simulation) -> None:
        system = System("inner")
        await system.__aenter__()
        busy = system.spawn(Busy, name="busy")
        ask = busy.ask(5.0)
        await sim.idle()
        await system.stop()
        assert ask.done()
        with pytest.raises(ActorDead):
            await ask

    async def at_once(sim: Simulation) -> None:
        system = System("inner")
        await system.__aenter__()
        ask = system.spawn(Busy, name="busy").ask(5.0)
        await asyncio.sleep(0)
        await system.stop()
        assert ask.done()
        with pytest.raises(ActorDead):
            await ask

    simulate(scenario, seeds=SEEDS)
    simulate(at_once, seeds=SEEDS)


# -- watching ----------------------------------------------------------------------------------------------------------


class Watcher(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.ended: list[str] = []

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Terminated):
            self.ended.append(message.ref.path)
        elif isinstance(message, ActorRef):
            self.watch(message)
            if message.is_alive():
                self.watch(message)  # watching twice changes nothing
        return list(self.ended)


@pytest.mark.parametrize("how", ["stop", "crash", "kill"])
@pytest.mark.parametrize("late", [False, True])
def test_terminated_comes_exactly_once_even_where_watching_starts_after_the_death(how: str, late: bool) -> None:
    async def end(sim: Simulation, worker: ActorRef[Any]) -> None:
        if how == "stop":
            worker.stop()
        else:
            worker.tell(1)
        await asyncio.sleep(2 if late else 0)

    async def scenario(sim: Simulation) -> None:
        watcher = sim.system.spawn(Watcher, name="watcher")
        worker = sim.system.spawn(Recorder, name="worker")
        if late:
            await end(sim, worker)
        watcher.tell(worker)
        if not late:
            await end(sim, worker)
        await asyncio.sleep(5)
        assert await watcher.ask("ended") == ["worker"]

    faults: list[Fault] = [Crash("worker", 1)] if how == "crash" else [Kill("worker", 1)] if how == "kill" else []
    simulate(scenario, seeds=SEEDS, faults=faults)


def test_a_restart_is_no_termination() -> None:
    async def scenario(sim: Simulation) -> None:
        watcher = sim.system.spawn(Watcher, name="watcher")
        worker = sim.system.supervise(ChildSpec(Recorder, name="worker"))
        await watcher.ask(worker)
        worker.tell(1)
        await asyncio.sleep(5)
        assert await watcher.ask("ended") == []

    simulate(scenario, seeds=SEEDS, faults=[Crash("worker", 1)])


# -- work beside the mailbox -------------------------------------------------------------------------------------------


class Piper(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.outcomes: list[Any] = []

    def on_receive(self, message: Any) -> Any:
        match message:
            case Outcome(value=value, error=error):
                self.outcomes.append(repr(error) if error is not None else value)
            case ("pipe", seconds):
                self.pipe(self.work(seconds))
            case "outcomes":
                return list(self.outcomes)
        return None

    async def work(self, seconds: float) -> float:
        await asyncio.sleep(seconds)
        if seconds == 0.5:
            raise ValueError("half")
        return seconds


@drawn
@given(seconds=st.lists(st.sampled_from([0.0, 0.5, 1.0]), max_size=5))
def test_piped_work_comes_back_once_as_a_message(seconds: list[float]) -> None:
    async def scenario(sim: Simulation) -> None:
        piper = sim.system.spawn(Piper, name="piper")
        for each in seconds:
            piper.tell(("pipe", each))
        await asyncio.sleep(3)
        outcomes = await piper.ask("outcomes")
        assert sorted(map(str, outcomes)) == sorted("ValueError('half')" if s == 0.5 else str(s) for s in seconds)

    simulate(scenario, seeds=5)


class Streamer(Actor):
    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log

    async def on_receive(self, message: int) -> AsyncIterator[int]:
        try:
            for number in range(message):
                self.log("made", number)
                yield number
        finally:
            self.log("closed")


def test_a_stream_is_read_in_order_and_closed_when_it_is_left() -> None:
    async def scenario(sim: Simulation) -> None:
        log = Log()
        streamer = sim.system.spawn(Streamer, log, name="streamer")
        assert [number async for number in streamer.stream(5)] == list(range(5))
        assert log.lines.count("closed") == 1
        async with streamer.stream(1000, buffer=2) as stream:
            async for number in stream:
                if number == 3:
                    break
        await sim.idle()
        assert log.lines.count("closed") == 2
        assert len(log.lines) < 30, "the producer ran ahead of its reader"

    simulate(scenario, seeds=SEEDS)


# -- deadlines ---------------------------------------------------------------------------------------------------------


class Deep(Actor):
    def __init__(self, below: ActorRef[Any] | None) -> None:
        super().__init__()
        self.below = below

    async def on_receive(self, message: Any) -> Any:
        deadline = current_send_context().deadline
        await asyncio.sleep(0.1)
        return deadline if self.below is None else await self.below.ask(message)


@drawn
@given(timeout=st.sampled_from([0.25, 5.0]), depth=st.integers(0, 3))
def test_a_deadline_is_inherited_by_nested_asks(timeout: float, depth: int) -> None:
    async def scenario(sim: Simulation) -> None:
        below: ActorRef[Any] | None = None
        for level in range(depth + 1):
            below = sim.system.spawn(Deep, below, name=f"level{level}")
        assert below is not None
        started = sim.now
        try:
            assert await below.ask("deadline", timeout=timeout) == pytest.approx(started + timeout)
        except AskTimeout:
            assert timeout < 0.1 * (depth + 1) + 1e-6
            assert sim.now == pytest.approx(started + timeout)

    simulate(scenario, seeds=5)
