"""Sentences of the page of runs, each under random work, schedules and faults.

``CALLBOARD_EXAMPLES=1000`` draws more.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from typing import Any, get_args

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callboard import Agency, Agent, Answer, ApprovalRequested, Handoff, Limits, RunEvent, tool
from callboard.actors import Actor, ActorCrashed, ActorDead, ActorRef, AskTimeout, System
from callboard.actors.agents.errors import (
    AgencyClosed,
    AgentError,
    ConversationBusy,
    OutcomeUnknown,
    RunCancelled,
    StepLimit,
    TimeLimit,
    UnknownApproval,
)
from callboard.actors.agents.turns.records import WhenBusy
from callboard.actors.journal import MemoryJournal
from callboard.actors.testing import Crash, Delay, DelayReply, Fault, Restart, Simulation, Slow, StoreFault, simulate
from callboard.actors.testing.doubles.models import call
from callboard.actors.testing.doubles.strategies import fault_plans
from callboard.providers.messages import Request
from tests.agents.held import said
from tests.agents.support import function
from tests.agents.test_steering import heard_once
from tests.agents.vendors import refusals

EXAMPLES = int(os.environ.get("CALLBOARD_EXAMPLES", "5"))
drawn = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
WHOM = ("agency", "agency/A", "agency/A/c", "model")
LATE = (Slow, Delay, DelayReply)
Faults = tuple[Fault, ...]
TIMES = st.sampled_from([0.0, 0.0, 0.001, 0.3, 0.5, 0.7, 1.0, 1.5, 3.0])


def faults_on(*whom: str, kinds: Any = (Crash, *LATE), size: int = 2) -> Any:
    """Two at most: a model's third crash on one completion ends its run, as the page says elsewhere."""
    return fault_plans(list(whom), kinds=kinds, size=size)


def in_order(*whom: str) -> Any:
    """Faults that keep the order of callers: in a process what is told is in the mailbox at once, and not delayed."""
    return faults_on(*whom, kinds=(Crash, Slow, DelayReply))


def run(scenario: Any, faults: Faults = (), seeds: int = 3) -> None:
    async def flow(sim: Simulation) -> None:
        # A request, a cancel or a word is kept in the journal or the register, and is found there, too: what a slow
        # actor has not taken up in its mailbox when the agency stops is missed by nobody.
        sim.expect_dead_letters()
        await scenario(sim)

    simulate(flow, seeds=seeds, faults=faults, max_steps=100_000)


class Shop:
    """One agent that pays once for each question; what it paid for and was asked outlives its actors.

    Args:
        turns: payments for a question, each in a step of its own.
        idempotent: whether paying may be done again after a crash.
    """

    def __init__(self, turns: int = 1, *, idempotent: bool = False) -> None:
        self.turns, self.idempotent = turns, idempotent
        self.paid: Counter[str] = Counter()
        self.heard: list[list[str]] = []

    def agency(self, model: Any = None, **options: Any) -> Agency:
        @tool(risk="safe", idempotent=self.idempotent)
        async def pay(what: str) -> str:
            """Pay."""
            self.paid[what] += 1
            await asyncio.sleep(0.5)
            return f"paid {what}"

        agent = Agent("A", "You pay.", tools=[pay], **options.pop("agent", {}))
        return Agency(agent, model=model or function(self.model), **options)

    async def model(self, request: Request) -> Any:
        assert not refusals(request)
        self.heard.append(said(request.messages))
        await asyncio.sleep(0.2)
        asked = max(at for at, message in enumerate(request.messages) if message.role == "user")
        done = sum(message.role == "tool" for message in request.messages[asked:])
        text = request.messages[asked].text
        return f"answer to {text}" if done >= self.turns else call("pay", f"p{asked}-{done}", what=f"{text}/{done}")


async def outcome(waiting: Any) -> Any:
    try:
        return await waiting
    except (AgentError, ActorDead, ActorCrashed, AskTimeout) as error:
        return error


# -- order, keys -------------------------------------------------------------------------------------------------------


@drawn
@given(st.lists(TIMES, min_size=1, max_size=4), in_order(*WHOM))
def test_runs_of_one_conversation_are_worked_on_one_after_the_other_in_the_order_asked(
    pauses: list[float], faults: Faults
) -> None:
    async def scenario(sim: Simulation) -> None:
        shop, order = Shop(), list[str]()

        async def one(number: int) -> None:
            order.append(str(number))
            found = await outcome(agency.run(str(number), conversation="c"))
            assert isinstance(found, Answer), repr(found)
            assert found.text == f"answer to {number}"

        async with shop.agency(system=sim.system) as agency:
            sim.watch(agency)
            tasks = []
            for number, pause in enumerate(pauses):
                tasks.append(asyncio.ensure_future(one(number)))
                await asyncio.sleep(pause)
            await asyncio.gather(*tasks)
            for heard in shop.heard:
                assert heard == order[: len(heard)], f"asked in the order {order}, a completion saw {heard}"
            assert max(shop.paid.values(), default=1) == 1, f"paid more than once: {shop.paid}"

    run(scenario, faults)


@drawn
@given(
    st.lists(st.tuples(TIMES, st.sampled_from([None, None, 0.0, 0.4, 1.0])), min_size=1, max_size=4),
    faults_on(*WHOM),
)
def test_a_run_with_a_key_is_made_once_however_often_it_is_asked_for(
    askers: list[tuple[float, float | None]], faults: Faults
) -> None:
    async def scenario(sim: Simulation) -> None:
        shop = Shop()

        async def one(pause: float, patience: float | None) -> Any:
            await asyncio.sleep(pause)
            try:
                async with asyncio.timeout(patience):
                    return await outcome(agency.run("go", conversation="c", run_id="r"))
            except TimeoutError:
                return None

        async with shop.agency(system=sim.system) as agency:
            sim.watch(agency)
            found = await asyncio.gather(*(one(*asker) for asker in askers))
            stayed = [each for each in found if each is not None]
            last = await outcome(agency.run("go", conversation="c", run_id="r"))
            told = {repr(each) if isinstance(each, Exception) else each.text for each in (*stayed, last)}
            assert len(told) == 1, f"one run had several outcomes: {told}"
            assert isinstance(last, Answer | RunCancelled)
            assert all(heard == ["go"] for heard in shop.heard)
            assert shop.paid["go/0"] <= 1

    run(scenario, faults)


# -- cancelling --------------------------------------------------------------------------------------------------------


@drawn
@given(
    st.lists(TIMES, min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 2), TIMES), min_size=1, max_size=3),
    faults_on(*WHOM),
)
def test_nothing_of_a_cancelled_run_is_carried_out_and_its_end_stays_what_it_is(
    pauses: list[float], cancels: list[tuple[int, float]], faults: Faults
) -> None:
    async def scenario(sim: Simulation) -> None:
        shop = Shop(turns=2)
        async with shop.agency(system=sim.system) as agency:
            sim.watch(agency)
            handles = []
            for number, pause in enumerate(pauses):
                handles.append(await agency.start_run(str(number), conversation="c", run_id=f"r{number}"))
                await asyncio.sleep(pause)
            for which, pause in cancels:
                await asyncio.sleep(pause)
                text = str(which % len(handles))
                handle = handles[int(text)]
                await handle.cancel()
                assert await handle.status() in ("ended", "failed")
                paid, heard = Counter(shop.paid), list(shop.heard)
                found = await outcome(handle.answer())
                assert isinstance(found, Answer | RunCancelled), repr(found)
                await asyncio.sleep(2)
                assert not [what for what in shop.paid - paid if what.startswith(text)], f"{text} was paid for"
                assert all(texts[-1] != text for texts in shop.heard[len(heard) :]), f"{text} was gone on with"
                again = await outcome((await agency.handle(handle.id)).answer())
                assert type(again) is type(found)
            ends = [await outcome(handle.answer()) for handle in handles]
            for number, end in enumerate(ends):
                if number not in {which % len(handles) for which, _ in cancels}:
                    assert isinstance(end, Answer), f"{number} was not cancelled, and ended in {end!r}"
            last = await agency.run("last", conversation="c")
            assert last.text == "answer to last"
            assert max(shop.paid.values(), default=1) == 1, f"paid more than once: {shop.paid}"

    run(scenario, faults)


# -- limits ------------------------------------------------------------------------------------------------------------


@drawn
@given(st.integers(1, 4), faults_on(*WHOM))
def test_a_run_makes_no_more_steps_than_its_limit_counted_over_all_crashes(most: int, faults: Faults) -> None:
    async def scenario(sim: Simulation) -> None:
        shop = Shop(turns=99)
        async with shop.agency(system=sim.system) as agency:
            found = await outcome(agency.run("go", conversation="c", limits=Limits(steps=most)))
            assert isinstance(found, StepLimit), repr(found)
            assert found.partial is not None
            assert len(found.partial.steps) == most
            assert len(shop.paid) <= most
            assert max(shop.paid.values(), default=1) == 1

    run(scenario, faults)


@drawn
@given(st.sampled_from([0.1, 0.5, 1.3, 4.0]), faults_on("agency", "agency/A", "agency/A/c", kinds=(Crash,)))
def test_the_seconds_of_a_run_are_counted_once_over_all_crashes(seconds: float, faults: Faults) -> None:
    async def scenario(sim: Simulation) -> None:
        shop = Shop(turns=99)
        async with shop.agency(system=sim.system) as agency:
            began = sim.now
            found = await outcome(agency.run("go", conversation="c", limits=Limits(seconds=seconds)))
            assert isinstance(found, TimeLimit), repr(found)
            assert seconds - 1e-6 <= sim.now - began <= seconds + 0.1, f"it took {sim.now - began} s"
            await asyncio.sleep(1)
            paid = shop.paid.total()
            await asyncio.sleep(10)
            assert shop.paid.total() == paid

    run(scenario, faults)


# -- a second message --------------------------------------------------------------------------------------------------


@drawn
@given(st.lists(st.tuples(st.sampled_from(get_args(WhenBusy)), TIMES), min_size=2, max_size=4), in_order(*WHOM))
def test_each_message_to_a_busy_conversation_becomes_what_its_mode_says(
    messages: list[tuple[WhenBusy, float]], faults: Faults
) -> None:
    async def scenario(sim: Simulation) -> None:
        shop, found = Shop(), dict[str, Any]()

        async def one(text: str, mode: WhenBusy) -> None:
            found[text] = await outcome(agency.run(text, conversation="c", when_busy=mode, run_id=text))

        async with shop.agency(system=sim.system) as agency:
            tasks = []
            for number, (mode, pause) in enumerate(messages):
                tasks.append(asyncio.ensure_future(one(str(number), mode)))
                await asyncio.sleep(pause)
            await asyncio.gather(*tasks)
            history = said((await agency.run("last", conversation="c")).messages)
            modes = {mode for mode, _ in messages}
            assert history == sorted(set(history)), f"not in order, or twice: {history}"
            for number, (mode, _) in enumerate(messages):
                text, end = str(number), found[str(number)]
                match end:
                    case Answer():
                        assert end.text == f"answer to {text}"
                        assert text in history
                    case ConversationBusy():
                        assert mode == "reject"
                        assert text not in history
                        assert not shop.paid[f"{text}/0"]
                    case RunCancelled():
                        assert modes & {"interrupt", "rollback"}
                        assert "interrupted by a newer message" in str(end)
                    case _:
                        raise AssertionError(f"{text} ended in {end!r}")
            assert max(shop.paid.values(), default=1) == 1, f"paid more than once: {shop.paid}"

    run(scenario, faults)


# -- approvals ---------------------------------------------------------------------------------------------------------


@drawn
@given(
    st.sampled_from([1.0, 5.0]),
    st.lists(st.tuples(st.sampled_from([0.0, 0.5, 2.0, 7.0]), st.booleans()), max_size=3),
    st.booleans(),
    faults_on("agency", "agency/A", "agency/A/c", "model", kinds=(Crash,)),
)
def test_an_approval_is_decided_once_and_after_its_expiry_the_call_counts_as_denied(
    expire: float, decisions: list[tuple[float, bool]], idempotent: bool, faults: Faults
) -> None:
    async def scenario(sim: Simulation) -> None:
        shop = Shop(idempotent=idempotent)
        options: dict[str, Any] = {"agent": {"autonomy": "manual"}, "approvals_expire": expire}
        async with shop.agency(system=sim.system, **options) as agency:
            asked: dict[str, float] = {}
            taken: list[bool] = []

            async def decide(approval: str) -> None:
                for pause, yes in decisions:
                    await asyncio.sleep(pause)
                    assert yes or not shop.paid or True in taken, "it was paid, and nobody had approved"
                    late = sim.now - asked[approval] > expire
                    try:
                        agency.approve(approval) if yes else agency.deny(approval, "too much")
                    except UnknownApproval:
                        continue
                    assert not taken, "it was decided twice"
                    assert not late, "it was decided after its expiry"
                    taken.append(yes)

            def person(event: RunEvent) -> None:
                if isinstance(event, ApprovalRequested) and event.approval not in asked:
                    asked[event.approval] = sim.now
                    deciding.append(asyncio.ensure_future(decide(event.approval)))

            deciding: list[asyncio.Future[None]] = []
            agency.subscribe(person)
            found = await outcome(agency.run("go", conversation="c"))
            assert isinstance(found, Answer), repr(found)
            await asyncio.gather(*deciding)
            assert len(asked) == 1, f"a person was asked {len(asked)} times"
            assert not shop.paid or True in taken, "it was paid, and nobody had approved"
            assert shop.paid.total() <= 1 or idempotent, "paid twice"
            assert shop.paid or not taken or not taken[0] or not idempotent, "it was approved, and never paid"
            assert not agency.approvals

    run(scenario, faults)


# -- saying something to a run -----------------------------------------------------------------------------------------


@drawn
@given(
    st.booleans(),
    faults_on("agency", "agency/A", "agency/A/one", "agency/B", "agency/B/one", "model", kinds=(Crash, *LATE)),
)
def test_what_is_said_to_a_run_is_heard_once_or_refused(transferring: bool, faults: Faults) -> None:
    run(heard_once(transferring), faults, seeds=2)


# -- handing over ------------------------------------------------------------------------------------------------------


@drawn
@given(
    st.lists(st.sampled_from([None, None, 0.1, 0.5, 0.8]), min_size=1, max_size=3),
    faults_on("agency", "agency/A", "model"),
)
def test_a_task_handed_over_by_any_actor_is_answered_once_and_called_off_by_giving_up(
    patience: list[float | None], faults: Faults
) -> None:
    async def scenario(sim: Simulation) -> None:
        shop = Shop()
        async with shop.agency(system=sim.system) as agency:

            class Watcher(Actor):
                async def on_receive(self, message: tuple[str, float | None]) -> Any:
                    text, timeout = message
                    found = await outcome(agency.agent_ref("A").ask(Handoff("Watcher", "A", text), timeout=timeout))
                    return found

            watchers: list[ActorRef[Any]] = [sim.system.spawn(Watcher, name=f"w{at}") for at in range(len(patience))]
            asks = [watcher.ask((f"t{at}", patience[at])) for at, watcher in enumerate(watchers)]
            for at, found in enumerate(await asyncio.gather(*asks)):
                gone = () if patience[at] is None else (AskTimeout, RunCancelled)
                assert isinstance(found, (Answer, ActorCrashed, *gone)), repr(found)
                assert not isinstance(found, Answer) or found.text.endswith(f"\n\nt{at}")
            await asyncio.sleep(6)
            paid = shop.paid.total()
            await asyncio.sleep(60)
            assert shop.paid.total() == paid
            assert max(shop.paid.values(), default=1) == 1, f"paid more than once: {shop.paid}"

    run(scenario, faults)


# -- a graceful stop, and who opens the journal next -------------------------------------------------------------------


@drawn
@given(st.lists(TIMES, min_size=1, max_size=3), TIMES, faults_on(*WHOM, kinds=(Crash, Slow)))
def test_what_is_asked_at_the_moment_of_a_stop_ends_as_asked_or_in_agency_closed_and_is_gone_on_with_next(
    pauses: list[float], stop: float, faults: Faults
) -> None:
    async def scenario(sim: Simulation) -> None:
        shop, kept = Shop(), MemoryJournal()
        model = sim.system.supervise(function(shop.model))  # which both agencies ask
        found: dict[str, Any] = {}

        async def one(text: str, pause: float) -> None:
            await asyncio.sleep(pause)
            found[text] = await outcome(agency.run(text, conversation="c", run_id=text))

        async with shop.agency(model, system=sim.system, journal=kept) as agency:
            tasks = [asyncio.ensure_future(one(f"r{number}", pause)) for number, pause in enumerate(pauses)]
            await asyncio.sleep(stop)
        await asyncio.gather(*tasks)
        for text, end in found.items():
            assert isinstance(end, Answer | AgencyClosed), f"{text} ended in {end!r}"
        async with shop.agency(model, system=sim.system, journal=kept.as_worker(), name="next") as following:
            for text, end in found.items():
                answer = await following.run(text, conversation="c", run_id=text)
                assert answer.text == f"answer to {text}"
                assert not isinstance(end, Answer) or answer.text == end.text
        assert max(shop.paid.values(), default=1) == 1, f"paid more than once: {shop.paid}"

    run(scenario, faults)


# -- handles -----------------------------------------------------------------------------------------------------------


@drawn
@given(st.integers(1, 3), st.lists(st.integers(1, 4), max_size=4), TIMES, faults_on(*WHOM))
def test_a_reader_of_events_that_goes_on_behind_what_it_has_seen_misses_nothing_and_sees_nothing_twice(
    turns: int, reads: list[int], pause: float, faults: Faults
) -> None:
    async def scenario(sim: Simulation) -> None:
        shop = Shop(turns)
        async with shop.agency(system=sim.system) as agency:
            handle = await agency.start_run("go", conversation="c", run_id="r")
            seen: list[Any] = []
            for count in (*reads, 10_000):
                await asyncio.sleep(pause)
                left = count
                events = (await agency.handle("r")).events(after=seen[-1].position if seen else 0)
                async for record in events:
                    seen.append(record)
                    left -= 1
                    if not left:
                        break
                await events.aclose()
            await handle.answer()
            whole = [record async for record in handle.events()]
            assert [record.position for record in seen] == [record.position for record in whole]
            assert seen == whole
            assert [record.type for record in whole].count("ended") == 1
            assert whole[-1].type == "ended"

    run(scenario, faults)


# -- the journal -------------------------------------------------------------------------------------------------------

STORES = {"": ("full", "locked"), "postgresql://simulated/shop": ("unreachable", "lost")}


@st.composite
def troubles(draw: st.DrawFn) -> tuple[str, Faults]:
    """A journal's address (empty for a file) and what happens to it and the process that works on it."""
    address = draw(st.sampled_from(list(STORES)))
    writes, optional = st.integers(1, 10), st.just(True)
    what, seconds = st.sampled_from(STORES[address]), st.sampled_from([1.0, 30.0])
    fails = st.builds(StoreFault, st.just("service"), writes, what, seconds, optional=optional)
    killed = st.builds(Restart, st.just("service"), writes, st.sampled_from(["before", "after"]), optional=optional)
    return address, (*draw(st.lists(fails, max_size=1)), *draw(st.lists(killed, max_size=1)))


@drawn
@given(troubles(), faults_on(*WHOM, kinds=(Crash,), size=1))
def test_a_store_that_cannot_be_written_is_waited_out_and_whoever_asks_again_is_told_the_one_outcome(
    trouble: tuple[str, Faults], crashes: Faults
) -> None:
    address, struck = trouble

    async def scenario(sim: Simulation) -> None:
        shop = Shop()
        unknown: list[OutcomeUnknown] = []

        async def main(system: System) -> str:
            async with shop.agency(system=system, journal=address or str(sim.folder / "j.db")) as agency:
                for _ in range(20):
                    found = await outcome(agency.run("go", conversation="c", run_id="r"))
                    if isinstance(found, Answer):
                        again = await agency.run("go", conversation="c", run_id="r")
                        assert again.text == found.text
                        return found.text
                    assert isinstance(found, OutcomeUnknown), repr(found)
                    unknown.append(found)
            raise AssertionError("it was never told")

        assert await sim.process("service", main) == "answer to go"
        assert shop.paid["go/0"] <= 1, "paid twice"
        assert not unknown or any(isinstance(fault, StoreFault) for fault in struck)

    run(scenario, (*struck, *crashes), seeds=2)
