"""What may go wrong, and that what goes wrong is found."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Any

import pytest

from callboard.actors import Actor, ActorRef, ChildSpec
from callboard.actors.core.base.errors import ActorCrashed, ActorDead, AskTimeout
from callboard.testing import (
    Buggify,
    Crash,
    Deadlock,
    Delay,
    DelayReply,
    Drop,
    Duplicate,
    Fault,
    FaultRefused,
    FaultStruckNothing,
    Kill,
    LoseReply,
    Partition,
    Simulation,
    SimulationFailed,
    maybe,
    never,
    simulate,
)

from .actors import Collector, Forwarder

WRONG_TURN = never(lambda fact: fact.kind == "shown" and fact.question != fact.result, "a result to another question")


class Search(Actor):
    """A tool that takes its time."""

    def on_receive(self, message: Any) -> None:
        who, turn, question = message
        who.tell(("result", turn, question))


class Assistant(Actor):
    """Counts its turns, in memory: a result belongs to the turn of the same number."""

    def __init__(self, search: ActorRef[Any], sim: Simulation, fixed: bool) -> None:
        super().__init__()
        self.search, self.sim, self.fixed = search, sim, fixed
        self.turn: Any = 0
        self.question = ""

    def on_receive(self, message: Any) -> None:
        match message:
            case "result", turn, result:
                if turn == self.turn:
                    self.sim.mark("shown", question=self.question, result=result)
            case question:
                self.turn = (self.incarnation(), question) if self.fixed else self.turn + 1
                self.question = question
                self.search.tell((self.actor_ref, self.turn, question))

    def incarnation(self) -> int:
        """How often it has been started, which a restart does not forget."""
        return len(self.sim.trace.of("restarted"))


def two_questions(fixed: bool) -> Any:
    async def scenario(sim: Simulation) -> None:
        search = sim.system.spawn(Search, name="search")
        assistant = sim.system.supervise(ChildSpec(Assistant, args=(search, sim, fixed), name="assistant"))
        for question in ("weather", "news"):
            with contextlib.suppress(ActorCrashed):
                await assistant.ask(question)

    return scenario


@pytest.mark.parametrize("repeat", range(5))
def test_a_result_to_the_wrong_turn_after_a_restart_is_found(repeat: int) -> None:
    seeds = range(1000 * repeat, 1000 * repeat + 300)
    with pytest.raises(SimulationFailed, match="a result to another question") as caught:
        simulate(two_questions(fixed=False), seeds=seeds, faults=[Crash("assistant")], invariants=[WRONG_TURN])
    assert [fault.when for fault in caught.value.run.faults if isinstance(fault, Crash)] == ["after"]


def test_a_turn_that_a_restart_tells_apart_gets_no_result_of_another() -> None:
    simulate(two_questions(fixed=True), seeds=100, faults=[Crash("assistant")], invariants=[WRONG_TURN])


async def waits_in_its_third_message(sim: Simulation) -> None:
    class Worker(Actor):
        async def on_receive(self, message: int) -> None:
            if message == 2:
                await asyncio.sleep(1)

    worker = sim.system.supervise(ChildSpec(Worker, name="worker"))
    for number in range(4):
        with contextlib.suppress(ActorCrashed):
            await worker.ask(number)


@pytest.mark.parametrize("fault", [Crash("worker"), Crash("worker", 3)])
def test_a_crash_strikes_in_every_phase_unless_it_says_which(fault: Fault) -> None:
    phases: set[str] = set()

    async def scenario(sim: Simulation) -> None:
        await waits_in_its_third_message(sim)
        phases.update(fact.when for fact in sim.trace.of("fault"))

    assert simulate(scenario, seeds=60, faults=[fault]).ok
    assert phases == {"before", "in", "after"}


def test_the_ordinary_schedule_has_the_faults_with_a_number_and_no_others() -> None:
    struck: list[Any] = []

    async def scenario(sim: Simulation) -> None:
        await waits_in_its_third_message(sim)
        struck.extend((fact.nth, fact.when) for fact in sim.trace.of("fault"))

    simulate(scenario, seeds=0, faults=[Crash("worker", when="in"), Crash("worker", 2), Crash("worker", 4, "before")])
    assert struck == [(2, "after"), (4, "before")]


class Cashier(Actor):
    """Has the till take the money; once more if it is there before the price."""

    def __init__(self, till: ActorRef[Any]) -> None:
        super().__init__()
        self.till, self.first = till, ""

    def on_receive(self, message: str) -> None:
        self.first = self.first or message
        if self.first == "money" or message == "money":
            self.till.tell(1)


def test_a_fault_without_a_number_may_fall_on_one_message_more_than_the_ordinary_schedule_has() -> None:
    async def scenario(sim: Simulation) -> None:
        till = sim.system.supervise(ChildSpec(Collector, name="till"))
        cashier = sim.system.spawn(Cashier, till, name="cashier")
        for message in ("price", "money"):
            sim.system.spawn(Forwarder, cashier, name=message).tell(message)
        await asyncio.sleep(1)

    at_the_second = never(lambda fact: fact.kind == "fault" and fact.nth == 2, "at the second")
    with pytest.raises(SimulationFailed, match="at the second"):
        simulate(scenario, seeds=100, faults=[Crash("till", when="before")], invariants=[at_the_second])


def test_a_crash_of_any_phase_that_names_a_message_that_never_comes_struck_nothing() -> None:
    with pytest.raises(FaultStruckNothing, match=r"crash worker, message 9 .*messages taken up there: 4"):
        simulate(waits_in_its_third_message, faults=[Crash("worker", 9)])


@pytest.mark.parametrize(("actors", "ends"), [(12, r"actor11 \(0\)"), (13, r"actor11 \(0\), …")])
def test_twelve_names_that_there_are_are_told_and_that_there_are_more(actors: int, ends: str) -> None:
    async def scenario(sim: Simulation) -> None:
        for number in range(actors):
            sim.system.spawn(Collector, name=f"actor{number:02}")

    with pytest.raises(FaultStruckNothing, match=rf"no actor 'x'.*: actor00 \(0\), .*{ends}\n"):
        simulate(scenario, seeds=1, faults=[Crash("x", 1)])


# -- replies -----------------------------------------------------------------------------------------------------------


async def pays_again_when_it_hears_nothing(sim: Simulation) -> None:
    sim.remote("till")
    till = sim.system.spawn(Collector, name="till")
    for amount in (1, 2):
        try:
            await till.ask(amount, timeout=5)
        except AskTimeout:
            await till.ask(amount, timeout=5)
    amounts = till.ask("seen", timeout=60)
    with contextlib.suppress(AskTimeout):
        assert await amounts == [1, 2], "paid twice"


@pytest.mark.parametrize("fault", [LoseReply("till"), DelayReply("till", seconds=10), LoseReply("till", 2)])
def test_a_payment_is_made_twice_where_a_reply_is_lost_or_late(fault: Fault) -> None:
    with pytest.raises(SimulationFailed, match="paid twice") as caught:
        simulate(pays_again_when_it_hears_nothing, faults=[fault])
    struck = caught.value.run.faults[0]
    assert type(struck) is type(fault)
    with pytest.raises(SimulationFailed, match="paid twice"):
        simulate(pays_again_when_it_hears_nothing, faults=[fault], replay=caught.value.token)


def test_a_late_reply_arrives_and_is_told_in_the_trace() -> None:
    async def scenario(sim: Simulation) -> None:
        till = sim.system.spawn(Collector, name="till")
        assert await till.ask(1) == 1
        assert sim.now == 0
        assert await till.ask(2) == 2
        assert sim.now == 3
        assert [fact.what for fact in sim.trace.of("fault")] == ["delay reply"]

    simulate(scenario, faults=[DelayReply("till", 2, seconds=3)])


def test_an_error_is_a_reply_that_may_come_late() -> None:
    class Broken(Actor):
        def on_receive(self, message: Any) -> None:
            raise ValueError(message)

    async def scenario(sim: Simulation) -> None:
        broken = sim.system.spawn(Broken, name="broken")
        with pytest.raises(ValueError, match="x"):
            await broken.ask("x")
        assert sim.now == 3

    simulate(scenario, faults=[DelayReply("broken", 1, seconds=3)])


def test_a_reply_that_is_late_when_the_run_is_over_is_no_leak_and_no_ask_without_end() -> None:
    async def scenario(sim: Simulation) -> None:
        till = sim.system.spawn(Collector, name="till")
        asking = till.ask(1)
        await sim.idle()
        assert not asking.done()

    simulate(scenario, faults=[DelayReply("till", 1, seconds=3)])


@pytest.mark.parametrize("lost_first", [True, False])
def test_a_reply_that_is_lost_is_not_late_whichever_fault_is_named_first(lost_first: bool) -> None:
    async def scenario(sim: Simulation) -> None:
        sim.remote("till")
        till = sim.system.spawn(Collector, name="till")
        with pytest.raises(AskTimeout):
            await till.ask(1, timeout=60)

    faults: list[Fault] = [LoseReply("till", 1), DelayReply("till", 1, seconds=1)]
    assert simulate(scenario, seeds=3, faults=faults if lost_first else faults[::-1]).ok


def test_a_lost_reply_that_nobody_stops_waiting_for_is_a_deadlock_that_names_who_waits() -> None:
    async def scenario(sim: Simulation) -> None:
        sim.remote("till")
        await sim.system.spawn(Collector, name="till").ask(1)

    with pytest.raises(SimulationFailed, match="client waits for till") as caught:
        simulate(scenario, faults=[LoseReply("till")])
    assert isinstance(caught.value.run.error, Deadlock)


# -- partitions --------------------------------------------------------------------------------------------------------


class Caller(Actor):
    """Asks another actor, again and again until it answers."""

    def __init__(self, whom: ActorRef[Any]) -> None:
        super().__init__()
        self.whom = whom

    async def on_receive(self, message: Any) -> Any:
        for _ in range(10):
            with contextlib.suppress(AskTimeout):
                return await self.whom.ask(message, timeout=1)
        return "unreachable"


def test_a_partition_loses_messages_and_replies_between_two_sides_and_heals() -> None:
    lost: list[int] = []

    async def scenario(sim: Simulation) -> None:
        sim.remote("east")
        east = sim.system.spawn(Collector, name="east")
        west = sim.system.spawn(Caller, east, name="west")
        assert await west.ask(1) == 1
        assert await west.ask(2) == 2
        assert await east.ask("seen") == [1, 2]  # the client is on neither side
        assert sim.now == 4
        lost[:] = [fact.id for fact in sim.trace.of("lost")]

    simulate(scenario, faults=[Partition("west", "east", 3, seconds=3.5)])
    assert len(lost) == 4


def test_a_partition_that_begins_at_a_reply_has_the_message_taken_up_and_the_reply_lost() -> None:
    async def scenario(sim: Simulation) -> None:
        sim.remote("east")
        east = sim.system.spawn(Collector, name="east")
        west = sim.system.spawn(Caller, east, name="west")
        assert await west.ask(1) == 2
        assert await east.ask("seen") == [1, 1]

    simulate(scenario, faults=[Partition("east", "west", 2, seconds=0.5)])


def test_a_partition_does_not_reach_an_actor_whose_name_only_begins_like_a_side() -> None:
    async def scenario(sim: Simulation) -> None:
        sim.remote("east")
        sim.remote("eastern")
        east, eastern = (sim.system.spawn(Collector, name=name) for name in ("east", "eastern"))
        with pytest.raises(AskTimeout):
            await east.ask(1, timeout=1)
        assert await eastern.ask(1, timeout=1) == 1

    assert simulate(scenario, seeds=3, faults=[Partition("client", "east", 1, seconds=60)]).ok


def test_a_partition_of_any_message_is_placed_by_the_search() -> None:
    async def scenario(sim: Simulation) -> None:
        sim.remote("east")
        east = sim.system.spawn(Collector, name="east")
        west = sim.system.spawn(Caller, east, name="west")
        for number in range(3):
            await west.ask(number)
        assert await east.ask("seen") == [0, 1, 2], "taken twice"

    with pytest.raises(SimulationFailed, match="taken twice") as caught:
        simulate(scenario, faults=[Partition("west", "east", seconds=0.5)])
    assert re.search(r"partition west \| east, message [246] \(seconds=0.5\)", str(caught.value))


@pytest.mark.parametrize("seconds", [(5, 2), (2, 5)])
def test_of_two_delays_of_one_reply_the_longer_counts(seconds: tuple[float, float]) -> None:
    async def scenario(sim: Simulation) -> None:
        await sim.system.spawn(Collector, name="till").ask(1)
        assert sim.now == 5

    assert simulate(scenario, seeds=3, faults=[DelayReply("till", 1, seconds=each) for each in seconds]).ok


@pytest.mark.parametrize("fault", [LoseReply("till", 1), Partition("client", "till", 1)])
def test_between_local_actors_no_reply_is_lost_and_nothing_parted(fault: Fault) -> None:
    async def scenario(sim: Simulation) -> None:
        await sim.system.spawn(Collector, name="till").ask(1)

    with pytest.raises(FaultRefused, match=r"^(lose reply|partition).*declare it with sim.remote\(path\)$"):
        simulate(scenario, faults=[fault])


@pytest.mark.parametrize("fault", [Drop("tlil", 1), LoseReply("tlil"), Partition("client", "tlil")])
def test_a_fault_between_local_actors_whose_name_is_misspelt_names_what_there_is(fault: Fault) -> None:
    async def scenario(sim: Simulation) -> None:
        await sim.system.spawn(Collector, name="till").ask(1)

    with pytest.raises(FaultRefused, match=r"there is no actor 'tlil'. Did you mean 'till'\? There are"):
        simulate(scenario, faults=[fault])


def test_a_fault_of_a_local_actor_says_which_actors_are_declared_remote() -> None:
    async def scenario(sim: Simulation) -> None:
        sim.remote("tlil")
        await sim.system.spawn(Collector, name="till").ask(1)

    with pytest.raises(FaultRefused, match=r"sim.remote\(path\); declared are tlil"):
        simulate(scenario, faults=[Drop("till")])


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (DelayReply("tlil"), r"delay reply tlil, any reply.*there is no actor 'tlil'. Did you mean 'till'\?"),
        (DelayReply("till", 9), r"delay reply till, reply 9 .*replies there: 3"),
        (Partition("cleint", "till"), r"there is no actor 'cleint'"),
        (Partition("client", "till", 20), r"messages and replies between them there: 6"),
    ],
)
def test_a_lost_reply_or_a_partition_that_struck_nothing_is_an_error_that_says_what_there_was(
    fault: Fault, says: str
) -> None:
    with pytest.raises(FaultStruckNothing, match=says):
        simulate(pays_again_when_it_hears_nothing, faults=[fault])


@pytest.mark.parametrize(
    "make",
    [
        lambda: LoseReply(""),
        lambda: LoseReply("a", 0),
        lambda: DelayReply("a", 1, seconds=0),
        lambda: DelayReply("a", 1, seconds=float("inf")),
        lambda: Partition("a", ""),
        lambda: Partition("a", "a"),
        lambda: Partition("a", "a/b"),
        lambda: Partition("a", "b", 0),
        lambda: Partition("a", "b", 1, seconds=-1),
        lambda: Partition("a", None),  # type: ignore[arg-type]
        lambda: Buggify(""),
        lambda: Buggify("a", probability=0),
        lambda: Buggify("a", probability=2),
        lambda: Crash("a", optional="yes"),  # type: ignore[arg-type]
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(make: Any) -> None:
    with pytest.raises(FaultRefused):
        make()


# -- points in the code ------------------------------------------------------------------------------------------------


class Cache(Actor):
    """Forgets now and then, but not while somebody counts on it."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, int] = {}

    def on_receive(self, message: Any) -> Any:
        key, value = message
        if maybe("cache.evict"):
            self.kept.clear()
        if value is not None:
            self.kept[key] = value
        return self.kept.get(key)


async def reads_what_it_wrote(sim: Simulation) -> None:
    cache = sim.system.spawn(Cache, name="cache")
    for number in range(4):
        await cache.ask(("a", number))
    assert await cache.ask(("a", None)) == 3, "forgotten"


def test_a_point_in_the_code_does_nothing_outside_of_a_simulation() -> None:
    assert maybe("cache.evict") is False


def test_a_point_in_the_code_does_nothing_where_no_fault_names_it() -> None:
    assert simulate(reads_what_it_wrote, seeds=50).ok


def test_a_point_in_the_code_strikes_where_a_fault_names_it_and_the_plan_says_when() -> None:
    with pytest.raises(SimulationFailed, match="forgotten") as caught:
        simulate(reads_what_it_wrote, faults=[Buggify("cache.evict")])
    assert caught.value.run.faults == (Buggify("cache.evict", 5),)
    assert "buggify cache.evict, time 5" in str(caught.value)
    with pytest.raises(SimulationFailed, match="forgotten"):
        simulate(reads_what_it_wrote, faults=[Buggify("cache.evict")], replay=caught.value.token)
    with pytest.raises(SimulationFailed, match="forgotten"):
        simulate(reads_what_it_wrote, seeds=0, faults=[Buggify("cache.evict", 5)])


def test_a_point_strikes_at_several_times_of_one_run() -> None:
    times = set()

    async def scenario(sim: Simulation) -> None:
        for _ in range(3):
            maybe("rare")
        times.add(tuple(fact.nth for fact in sim.trace.of("fault")))

    simulate(scenario, seeds=100, faults=[Buggify("rare", probability=0.5)])
    assert times == {(), (1,), (2,), (3,), (1, 2), (1, 3), (2, 3), (1, 2, 3)}


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Buggify("cache.evcit"), r"no point .* 'cache.evcit'. Did you mean 'cache.evict'\? .*: cache.evict \(5\)"),
        (Buggify("cache.evict", 9), r"buggify cache.evict, time 9: it was reached 5 times"),
    ],
)
def test_a_point_that_is_never_reached_fails_the_test_and_says_which_there_are(fault: Fault, says: str) -> None:
    with pytest.raises(FaultStruckNothing, match=says):
        simulate(reads_what_it_wrote, seeds=3, faults=[fault])


def test_a_message_that_is_sent_at_the_moment_at_which_a_delayed_one_is_due_comes_behind_it() -> None:
    class Sink(Actor):
        def on_receive(self, message: Any) -> None: ...

    class Sender(Actor):
        def __init__(self, sink: ActorRef[Sink]) -> None:
            super().__init__()
            self.sink = sink

        def on_receive(self, message: Any) -> None:
            self.sink.tell(message)

    async def scenario(sim: Simulation) -> None:
        sender = sim.system.spawn(Sender, sim.system.spawn(Sink, name="sink"), name="sender")
        sender.tell(1)
        await asyncio.sleep(1.0)
        sender.tell(2)
        await asyncio.sleep(5.0)

    simulate(scenario, seeds=100, faults=[Delay("sink", 1, seconds=1.0)])


async def told(sim: Simulation) -> None:
    sim.system.spawn(Collector, name="sink").tell(1)


async def told_and_stopped(sim: Simulation) -> None:
    ref = sim.system.spawn(Collector, name="sink")
    ref.tell(1)
    await ref.stop()
    sim.expect_dead_letters()


async def asked_and_given_up(sim: Simulation) -> None:
    ask = sim.system.spawn(Collector, name="sink").ask(1)
    await asyncio.sleep(0.1)
    ask.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await ask


@pytest.mark.parametrize("flow", [told, told_and_stopped, asked_and_given_up])
def test_a_message_that_is_held_up_beyond_the_end_of_a_run_is_a_dead_letter_and_no_leak(flow: Any) -> None:
    run = simulate(flow, seeds=3, faults=[Delay("sink", 1, seconds=10)])
    assert [fact.actor for fact in run.trace.of("dead_letter")] == ["sink"]


# -- asks that come twice ----------------------------------------------------------------------------------------------


def asks_once(how: str, amounts: list[int], seen: set[int] | None = None) -> Any:
    class Payments(Actor):
        async def on_receive(self, amount: int) -> Any:
            if seen is not None and amount in seen:
                return "paid"
            if seen is not None:
                seen.add(amount)
            await asyncio.sleep(0.01)
            amounts.append(amount)
            if how == "fails":
                raise ValueError("no money")
            return self.items() if how == "streams" else "paid"

        async def items(self) -> Any:
            for item in "paid":
                yield item

    class Desk(Actor):
        def __init__(self, payments: ActorRef[Payments]) -> None:
            super().__init__()
            self.payments = payments

        def on_receive(self, amount: int) -> Any:
            return self.forward(self.payments, amount)

    async def scenario(sim: Simulation) -> None:
        amounts.clear()
        if seen is not None:
            seen.clear()
        payments = sim.system.spawn(Payments, name="payments")
        to: ActorRef[Any] = sim.system.spawn(Desk, payments, name="desk") if how == "hands on" else payments
        sim.remote("payments" if to is payments else "desk")
        if how == "streams":
            assert [item async for item in to.stream(1)] == list("paid")
        elif how == "fails":
            with pytest.raises(ValueError, match="no money"):
                await to.ask(1)
        else:
            assert await to.ask(1, timeout=5 if how == "times" else None) == "paid"
        await asyncio.sleep(1)
        assert amounts == [1], "paid twice"

    return scenario


@pytest.mark.parametrize("how", ["asks", "times", "fails", "hands on", "streams"])
def test_an_ask_that_comes_twice_is_processed_twice_and_answered_once(how: str) -> None:
    amounts: list[int] = []
    fault = Duplicate("desk" if how == "hands on" else "payments", 1)
    with pytest.raises(SimulationFailed, match="paid twice") as caught:
        simulate(asks_once(how, amounts), faults=[fault])
    assert amounts == [1, 1]
    assert [fact.reason for fact in caught.value.run.trace.of("dead_letter")] == []
    with pytest.raises(SimulationFailed, match="paid twice"):
        simulate(asks_once(how, amounts), faults=[fault], replay=caught.value.token)


def test_an_actor_that_knows_what_it_has_done_stands_an_ask_that_comes_twice() -> None:
    run = simulate(asks_once("asks", [], set()), faults=[Duplicate("payments")], seeds=50)
    assert len(run.trace.of("ask_end")) == 1


class Patient(Actor):
    async def on_receive(self, message: object) -> object:
        await asyncio.sleep(1)
        return message


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (Kill("patient", 2), "with another fault: kill patient, message 2"),
        (Crash("patient", 2, when="before"), r"with another fault: crash patient, message 2 \(when=before\)"),
    ],
)
def test_a_fault_whose_message_another_fault_has_ended_says_so(other: Crash | Kill, says: str) -> None:
    async def scenario(sim: Simulation) -> None:
        patient = sim.system.supervise(ChildSpec(Patient, name="patient"))
        for number in range(3):
            with contextlib.suppress(ActorDead):
                await patient.ask(number)

    with pytest.raises(FaultStruckNothing, match=r"crash patient, message 2 \(when=after\): .*" + says):
        simulate(scenario, seeds=3, faults=[Crash("patient", 2, when="after"), other])
