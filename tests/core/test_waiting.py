"""Waiting for room, for a start, for an end: it keeps deadlines, names circles, and given up it leaves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.actors import (
    Actor,
    ActorRef,
    AskCycle,
    AskTimeout,
    Backoff,
    ChildSpec,
    MailboxFull,
    Supervisor,
    System,
    send_context,
)
from callboard.actors.testing import Simulation, simulate, virtual_time
from tests.core_leaks.counting import census

from .support import Events, Gate, Hold, Log, on_each_loop, run, timers

ROUNDS = 400
SLACK = 90
"""Objects that may appear in `ROUNDS` rounds all the same; one left by each round would be far above."""


class Full(Gate):
    mailbox_capacity = 1


async def filled(system: System, log: Log | None = None) -> tuple[ActorRef[Full], Hold]:
    """An actor at work on a message that the test holds, with no room for another beside the one that waits."""
    ref, hold = system.spawn(Full, log), Hold()
    ref.tell(hold)
    await hold.begun.wait()
    ref.tell("waits")
    return ref, hold


async def asked_when_there_is_room(ref: ActorRef[Any], message: Any) -> Any:
    """Ask an actor that has still to work off what fills its mailbox."""
    while True:
        try:
            return await ref.ask(message)
        except MailboxFull:
            await asyncio.sleep(0)


async def given_up(waiting: Awaitable[Any]) -> None:
    """Begin to wait, and be cancelled."""
    task = asyncio.ensure_future(waiting)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def left_by(work: Callable[[], Awaitable[None]]) -> int:
    """How many more objects are alive after many rounds of work."""
    for _ in range(20):
        await work()
    await asyncio.sleep(0)
    before = census().objects
    for _ in range(ROUNDS):
        await work()
    await asyncio.sleep(0)
    return census().objects - before


# -- leaving nothing ---------------------------------------------------------------------------------------------------


@on_each_loop
async def test_cancelled_puts_leave_nothing_behind_in_the_mailbox_they_waited_for() -> None:
    log = Log()
    async with System() as system:
        ref, hold = await filled(system, log)
        assert await left_by(lambda: given_up(ref.put("never"))) < SLACK
        hold.go.set()
        await ref.put("last")
        await ref.stop()
        assert log.of("saw") == ["waits", "last"]


@on_each_loop
async def test_puts_that_timed_out_leave_nothing_behind() -> None:
    async with System() as system:
        ref, hold = await filled(system)

        async def late() -> None:
            with send_context(timeout=0), pytest.raises(AskTimeout):
                await ref.put("never")

        async with asyncio.timeout(5):
            await late()
        assert await left_by(late) < SLACK + 100  # asyncio keeps up to a hundred cancelled timers
        hold.go.set()


@pytest.mark.parametrize("what", ["started", "terminated"])
@on_each_loop
async def test_who_waits_no_longer_for_a_start_or_an_end_is_forgotten(what: str) -> None:
    go = asyncio.Event()

    class Slow(Actor):
        async def on_start(self) -> None:
            await go.wait()

    async with System() as system:
        ref = system.spawn(Slow)
        wait = ref.started if what == "started" else ref.terminated
        assert await left_by(lambda: given_up(wait())) < SLACK
        go.set()
        assert await ref.started() is ref


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_a_group_whose_members_are_all_stopped_during_its_backoff_leaves_no_timer(strategy: Any) -> None:
    run(stopped_in_its_backoff(strategy))


async def stopped_in_its_backoff(strategy: Any) -> None:
    async with System() as system:
        events = Events(system)
        specs = [ChildSpec(Gate, name=name, backoff=Backoff(initial=1000.0)) for name in "abc"]
        top = system.supervise(Supervisor.spec(specs, name="top", strategy=strategy))
        await top.started()
        refs: list[Any] = [system.find(f"top/{name}") for name in "abc"]
        before = timers(asyncio.get_running_loop())
        refs[0].tell(ValueError("crash"))
        await events.until("crashed", "top/a")
        for ref in refs:
            await ref.stop()
        await asyncio.sleep(0)
        assert [node.children for node in system.tree()] == [()]
        assert [timer for timer in timers(asyncio.get_running_loop()) if timer not in before] == []
        assert top.has_started()


# -- deadlines ---------------------------------------------------------------------------------------------------------


@virtual_time
async def test_a_put_that_waits_for_room_ends_at_the_deadline_in_force_and_its_message_is_not_processed() -> None:
    log = Log()
    async with System() as system:
        ref, hold = await filled(system, log)
        with send_context(timeout=60), send_context(timeout=3), pytest.raises(AskTimeout, match="Full-1"):
            await ref.put("late")
        assert asyncio.get_running_loop().time() == 3
        hold.go.set()
        await ref.stop()
        assert log.of("saw") == ["waits"]


@virtual_time
async def test_a_put_to_a_full_mailbox_after_its_deadline_ends_at_once() -> None:
    async with System() as system:
        ref, hold = await filled(system)
        with send_context(timeout=1):
            await asyncio.sleep(2)
            with pytest.raises(AskTimeout):
                await ref.put("late")
        assert asyncio.get_running_loop().time() == 2
        hold.go.set()


@virtual_time
async def test_a_put_in_a_handler_inherits_the_deadline_of_the_message_at_work() -> None:
    ended: list[Any] = []

    class Passes(Actor):
        async def on_receive(self, message: ActorRef[Any]) -> None:
            try:
                await message.put("late")
            except BaseException as error:
                ended.append((type(error), asyncio.get_running_loop().time()))
                raise

    async with System() as system:
        ref, hold = await filled(system)
        with pytest.raises(AskTimeout):
            await system.spawn(Passes).ask(ref, timeout=4)
        await asyncio.sleep(1)
        assert len(ended) == 1, "the put still waits"
        assert ended[0][0] in (AskTimeout, asyncio.CancelledError)
        assert ended[0][1] == 4
        hold.go.set()


@on_each_loop
async def test_a_put_that_is_let_in_before_its_deadline_leaves_no_timer() -> None:
    log = Log()
    async with System() as system:
        ref, hold = await filled(system, log)
        with send_context(timeout=1000):
            put = asyncio.create_task(ref.put("in time"))
        await asyncio.sleep(0)
        hold.go.set()
        await put
        await ref.ask("last")
        assert log.of("saw") == ["waits", "in time", "last"]


# -- circles -----------------------------------------------------------------------------------------------------------


class Link(Actor):
    """Sends to the next of a ring when the test lets it; says whether that was found to be a circle."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.following: ActorRef[Any] | None = None

    async def on_receive(self, message: Any) -> Any:
        if isinstance(message, ActorRef):
            self.following = message
        elif isinstance(message, Hold):
            assert self.following is not None
            message.begun.set()
            await message.go.wait()
            try:
                if message.name == "put":
                    await self.following.put("put")
                else:
                    await self.following.ask("ask")
            except AskCycle as circle:
                return str(circle)
        return ""


class FullLink(Link):
    mailbox_capacity = 1


@pytest.mark.parametrize(
    "ways",
    [("put",), ("put", "put"), ("put", "ask"), ("ask", "put"), ("put", "put", "put"), ("put", "ask", "put")],
    ids="-".join,
)
@virtual_time
async def test_actors_that_wait_for_room_or_answers_of_each_other_are_told_so_by_name(ways: tuple[str, ...]) -> None:
    size = len(ways)
    async with System() as system:
        names = [f"link{number}" for number in range(size)]
        # The receiver of a put has no room, the receiver of an ask has.
        ring = [system.spawn(FullLink if ways[i - 1] == "put" else Link, names[i], name=names[i]) for i in range(size)]
        for number, ref in enumerate(ring):
            await ref.ask(ring[(number + 1) % size])
        holds = [Hold(way) for way in ways]
        ends = []
        for ref, hold in zip(ring, holds, strict=True):
            ends.append(ref.ask(hold))
            await hold.begun.wait()
            ref.tell("waits")
        for hold in holds:
            hold.go.set()
            await asyncio.sleep(0)
        said = [await end for end in ends]
        circles = [text for text in said if text]
        assert len(circles) == 1, "one of them is told, and then the others can go on"
        assert all(name in circles[0] for name in names)
        for ref in ring:
            assert await asked_when_there_is_room(ref, "alive") == ""


HOPS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=5), min_size=1, max_size=6)


@settings(deadline=None, database=None, max_examples=40)
@given(plans=HOPS, capacity=st.integers(1, 2))
def test_actors_that_put_to_each_other_never_wait_for_ever_whatever_way_the_messages_take(
    plans: list[list[int]], capacity: int
) -> None:
    async def scenario(sim: Simulation) -> None:
        began: list[list[int]] = []
        ended: list[list[int]] = []
        circles: list[list[int]] = []

        class Hop(Actor):
            mailbox_capacity = capacity

            async def on_receive(self, plan: list[int]) -> None:
                began.append(plan)
                await asyncio.sleep(0)
                if plan:
                    try:
                        await hops[plan[0]].put(plan[1:])
                    except AskCycle:
                        circles.append(plan)
                ended.append(plan)

        hops = [sim.system.spawn(Hop, name=f"hop{number}") for number in range(3)]
        await asyncio.gather(*(hops[plan[0]].put(plan[1:]) for plan in plans))
        await sim.idle()
        assert len(began) == len(ended), "a handler waits for ever"
        lost = sum(len(plan) for plan in circles)
        assert len(ended) == sum(len(plan) for plan in plans) - lost

    simulate(scenario, seeds=8)
