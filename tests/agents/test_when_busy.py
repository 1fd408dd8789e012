"""A second message while a run of the conversation has not ended."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any, get_args

import pytest

from callboard import Agency, Agent
from callboard.actors.agents.errors import AgentError, ConversationBusy, DefinitionError, RunCancelled
from callboard.actors.agents.hooks import HookContext, hook
from callboard.actors.agents.turns.arrivals import replaced
from callboard.actors.agents.turns.records import Accepted, Ended, RunRequest, WhenBusy
from callboard.actors.agents.turns.steps import Begin
from callboard.actors.journal import MemoryJournal
from callboard.actors.testing import Crash, Simulation, simulate
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Message, Request
from callboard.tools import tool

from .held import Held, said
from .journals import journal
from .support import function, until

__all__ = ["journal"]


async def test_by_default_a_message_waits_for_its_turn(journal: Any) -> None:
    held = Held()
    async with held.agency(journal) as agency:
        first = asyncio.create_task(agency.run("hold on", conversation="c"))
        await held.begun.wait()
        second = asyncio.create_task(agency.run("second", conversation="c"))
        held.go.set()
        assert (await first).text == "heard hold on"
        assert (await second).text == "heard hold on, second"


async def test_rejecting_refuses_it_and_keeps_nothing_of_it(journal: Any) -> None:
    held = Held()
    async with held.agency(journal) as agency:
        first = asyncio.create_task(agency.run("hold on", conversation="c"))
        await held.begun.wait()
        for _ in range(2):
            with pytest.raises(ConversationBusy, match="at work"):
                await agency.run("second", conversation="c", when_busy="reject", run_id="second")
        held.go.set()
        await first
        answer = await agency.run("second", conversation="c", when_busy="reject", run_id="second")
        assert answer.text == "heard hold on, second"
        again = await agency.run("second", conversation="c", when_busy="reject", run_id="second")
        assert again.text == answer.text


async def test_interrupting_ends_the_run_under_way_and_keeps_what_it_completed(journal: Any) -> None:
    held = Held()
    async with held.agency(journal) as agency:
        first = asyncio.create_task(agency.run("hold on", conversation="c"))
        await held.begun.wait()
        second = await agency.run("second", conversation="c", when_busy="interrupt")
        with pytest.raises(RunCancelled, match="interrupted by a newer message") as caught:
            await first
        assert caught.value.partial is not None
        assert len(caught.value.partial.steps) == 1
        assert [message.role for message in second.messages] == ["user", "assistant", "tool", "user", "assistant"]
        assert second.text == "heard hold on, second"


async def test_rolling_back_takes_its_messages_out_of_the_history(journal: Any) -> None:
    held = Held()
    async with held.agency(journal) as agency:
        await agency.run("before", conversation="c")
        first = asyncio.create_task(agency.run("hold on", conversation="c"))
        await held.begun.wait()
        second = await agency.run("second", conversation="c", when_busy="rollback")
        with pytest.raises(RunCancelled, match="interrupted by a newer message") as caught:
            await first
        assert caught.value.partial is not None
        assert said(caught.value.partial.messages) == ["before", "hold on"], "the error says what was done"
        assert said(second.messages) == ["before", "second"]
        assert (await agency.run("third", conversation="c")).text == "heard before, second, third"


@pytest.mark.parametrize("mode", ["queue", "reject", "interrupt", "rollback"])
async def test_a_conversation_with_nothing_to_do_takes_any_message(mode: WhenBusy, journal: Any) -> None:
    async with Held(open=True).agency(journal) as agency:
        await agency.run("first", conversation="c", when_busy=mode)
        assert (await agency.run("second", conversation="c", when_busy=mode)).text == "heard first, second"


async def test_what_waits_for_its_turn_keeps_it_and_what_came_to_interrupt_is_overtaken(journal: Any) -> None:
    held = Held()
    async with held.agency(journal) as agency:
        first = await agency.start_run("hold on", conversation="c")
        await held.begun.wait()
        queued = await agency.start_run("hold on once more", conversation="c")
        one = await agency.start_run("one", conversation="c", when_busy="interrupt")
        with pytest.raises(RunCancelled):
            await first
        await until(lambda: held.asked == 2)
        two = await agency.start_run("two", conversation="c", when_busy="interrupt")
        for ended in (queued, one):
            with pytest.raises(RunCancelled, match="interrupted by a newer message"):
                await ended
        assert (await two).text == "heard hold on, hold on once more, two"
        assert [record.type async for record in one.events()] == ["accepted", "ended"]


async def test_an_answer_that_hooks_look_at_is_not_interrupted(journal: Any) -> None:
    looking, go = asyncio.Event(), asyncio.Event()

    @hook("finalize")
    async def look(context: HookContext) -> None:
        looking.set()
        await go.wait()

    agent = Agent("A", hooks=[look])
    async with Agency(agent, model=function(lambda request: "fine"), journal=journal) as agency:
        first = asyncio.create_task(agency.run("first", conversation="c"))
        await looking.wait()
        second = asyncio.create_task(agency.run("second", conversation="c", when_busy="rollback"))
        await asyncio.sleep(0)
        go.set()
        assert (await first).text == "fine"
        assert said((await second).messages) == ["first", "second"]


async def test_a_run_that_is_ended_while_hooks_look_at_its_end_is_taken_back_all_the_same(journal: Any) -> None:
    held = Held()
    seen: list[str] = []

    @hook("finalize")
    async def look(context: HookContext) -> None:
        await asyncio.sleep(0)
        seen.append(type(context.error).__name__)

    async with held.agency(journal, hooks=[look]) as agency:
        first = asyncio.create_task(agency.run("hold on", conversation="c"))
        await held.begun.wait()
        second = await agency.run("second", conversation="c", when_busy="rollback")
        with pytest.raises(RunCancelled):
            await first
        assert said(second.messages) == ["second"]
        assert seen == ["RunCancelled", "NoneType"]


async def test_a_transferred_conversation_is_interrupted_where_it_is_now(journal: Any) -> None:
    held = Held()
    async with held.transferring(journal) as agency:
        assert (await agency.run("first", conversation="c")).agent == "B"
        for mode, history in (
            ("interrupt", ["first", "hold on", "interrupt"]),
            ("rollback", ["first", "hold on", "interrupt", "rollback"]),
        ):
            held.begun.clear()
            first = asyncio.create_task(agency.run("hold on", conversation="c"))
            await held.begun.wait()
            with pytest.raises(ConversationBusy):
                await agency.run("rejected", conversation="c", when_busy="reject")
            answer = await agency.run(mode, conversation="c", when_busy=mode)  # type: ignore[call-overload]
            with pytest.raises(RunCancelled, match="interrupted by a newer message"):
                await first
            assert answer.text == f"heard {', '.join(history)}"


@pytest.mark.parametrize(("mode", "history"), [("interrupt", ["first", "second"]), ("rollback", ["second"])])
async def test_what_a_process_had_accepted_as_it_died_is_ended_by_the_next_one(
    mode: WhenBusy, history: list[str]
) -> None:
    kept = MemoryJournal()
    dying = kept.as_worker()
    first, second = (
        RunRequest(text, text, "A", "c", (Message("user", text),), ("A",), keyed=True, when_busy=mode)
        for text in ("first", "second")
    )
    stream = dying.open("A/c")
    stream.append((Accepted(first), Begin(None)), unfinished=True, keys=("first",))
    stream.append((Accepted(second),), keys=("second",))  # and then it was killed
    dying.abandon()
    held = Held()
    async with held.agency(kept) as agency:
        assert set(agency.resumed) == {"first", "second"}
        with pytest.raises(RunCancelled, match="interrupted by a newer message"):
            await agency.resumed["first"]
        assert said((await agency.resumed["second"]).messages) == history
        with pytest.raises(RunCancelled):
            await (await agency.handle("first"))


async def test_an_unknown_mode_is_refused() -> None:
    async with Held(open=True).agency(None) as agency:
        with pytest.raises(DefinitionError, match="queue, reject, interrupt, rollback"):
            await agency.run("x", conversation="c", when_busy="later")  # type: ignore[call-overload]


def test_who_is_replaced_by_whom() -> None:
    def run(name: str, mode: WhenBusy) -> RunRequest:
        return RunRequest(name, name, "A", "c", (), ("A",), when_busy=mode)

    queue = [run("1", "queue"), run("2", "queue"), run("3", "interrupt"), run("4", "rollback")]
    for mode in get_args(WhenBusy):
        ends = mode in ("interrupt", "rollback")
        names = [one.id for one in replaced(queue, False, run("5", mode))]
        assert names == (["1", "3", "4"] if ends else [])
        assert [one.id for one in replaced(queue, True, run("5", mode))] == (["3", "4"] if ends else [])
        assert replaced((), False, run("5", mode)) == ()


CRASHES = [
    None,
    Crash("agency", optional=True),
    Crash("agency/A", when="before", optional=True),
    Crash("agency/A", when="after", optional=True),
    Crash("agency/A/one", when="before", optional=True),
    Crash("agency/A/one", when="after", optional=True),
    Crash("model", when="before", optional=True),
]


@tool(risk="safe", idempotent=True)
async def work() -> str:
    await asyncio.sleep(0.71)
    return "worked"


def working(request: Request) -> Any:
    """A model that has each question worked on, but the last one."""
    last = request.messages[-1]
    return call("work") if last.role == "user" and last.text != "last" else f"heard {said(request.messages)[-1]}"


@pytest.mark.parametrize("crash", CRASHES, ids=lambda c: f"{c.actor}-{c.when}" if c else "no crash")
@pytest.mark.parametrize("seed", range(8))
def test_each_run_has_one_end_and_the_order_is_kept_whatever_crashes(seed: int, crash: Crash | None) -> None:
    chosen = random.Random(seed)
    modes: list[WhenBusy] = [chosen.choice(get_args(WhenBusy)) for _ in range(5)]
    pauses = [chosen.choice((0.0, 0.0, 0.33, 0.71, 1.13)) for _ in range(5)]

    async def scenario(sim: Simulation) -> None:
        kept = MemoryJournal()
        outcomes: dict[str, str] = {}

        async def ask(agency: Agency, text: str, mode: WhenBusy) -> None:
            try:
                answer = await agency.run(text, conversation="one", when_busy=mode, run_id=text)
                assert answer.text == f"heard {text}"
                outcomes[text] = "answered"
            except AgentError as error:
                outcomes[text] = type(error).__name__

        agent = Agent("A", tools=[work])
        async with Agency(agent, model=function(working), journal=kept, system=sim.system) as agency:
            tasks = []
            for number, (mode, pause) in enumerate(zip(modes, pauses, strict=True)):
                tasks.append(asyncio.ensure_future(ask(agency, str(number), mode)))
                await asyncio.sleep(pause)
            await asyncio.gather(*tasks)
            last = await agency.run("last", conversation="one")

            texts = [str(number) for number in range(5)]
            assert set(outcomes) == set(texts)
            assert set(outcomes.values()) <= {"answered", "RunCancelled", "ConversationBusy"}
            history = said(last.messages)
            assert history == sorted(history), f"the order was not kept: {history}"
            assert len(set(history)) == len(history), f"something was said twice: {history}"
            for text, outcome in outcomes.items():
                if outcome == "answered":
                    assert text in history, f"{text} was answered, and is not in the history"
                if outcome == "ConversationBusy":
                    assert text not in history
                    assert modes[int(text)] == "reject"
            if not {"interrupt", "queue"} & set(modes):
                assert all(outcomes[text] == "answered" for text in history if text != "last")
            if not {"interrupt", "rollback"} & set(modes):
                assert "RunCancelled" not in outcomes.values()
            events = [record.event for record in kept.read("A/one")]
            ends = Counter(event.run for event in events if isinstance(event, Ended))
            accepted = Counter(event.run.id for event in events if isinstance(event, Accepted))
            assert ends == accepted
            assert set(ends.values()) == {1}, f"a run ended more than once: {ends}"
            refused = {text for text in texts if outcomes[text] == "ConversationBusy"}
            assert refused.isdisjoint(accepted)

    simulate(scenario, seeds=12, faults=[crash] if crash is not None else [])


@pytest.mark.parametrize(
    "crash", [None, Crash("agency/A/one", optional=True), Crash("other/A/one", optional=True)], ids=str
)
@pytest.mark.parametrize("seed", range(6))
def test_two_workers_end_each_run_once_whoever_of_them_is_asked(seed: int, crash: Crash | None) -> None:
    chosen = random.Random(seed)
    modes: list[WhenBusy] = [chosen.choice(get_args(WhenBusy)) for _ in range(5)]
    pauses = [chosen.choice((0.0, 0.33, 0.71, 1.13)) for _ in range(5)]
    asked = [chosen.randrange(2) for _ in range(5)]

    async def scenario(sim: Simulation) -> None:
        kept = MemoryJournal()
        options: dict[str, Any] = {"system": sim.system}
        outcomes: dict[str, str] = {}

        async def ask(agency: Agency, text: str, mode: WhenBusy) -> None:
            try:
                handle = await agency.start_run(text, conversation="one", when_busy=mode, run_id=text)
                assert (await handle).text == f"heard {text}"
                outcomes[text] = "answered"
            except AgentError as error:
                outcomes[text] = type(error).__name__

        agent = Agent("A", tools=[work])
        one = Agency(agent, model=function(working), journal=kept, **options)
        async with one:
            assert one._runtime.model is not None
            two = Agency(agent, model=one._runtime.model, journal=kept.as_worker(), name="other", **options)
            async with two:
                tasks = []
                for number, (mode, pause, who) in enumerate(zip(modes, pauses, asked, strict=True)):
                    tasks.append(asyncio.ensure_future(ask((one, two)[who], str(number), mode)))
                    await asyncio.sleep(pause)
                await asyncio.gather(*tasks)
                await asyncio.sleep(0.013)  # so that nothing is due as all of it stops
                last = await two.run("last", conversation="one")

        assert set(outcomes.values()) <= {"answered", "RunCancelled", "ConversationBusy"}, outcomes
        history = said(last.messages)
        assert len(set(history)) == len(history), f"something was said twice: {history}"
        assert all(text in history for text, outcome in outcomes.items() if outcome == "answered")
        events = [record.event for record in kept.as_worker().read("A/one")]
        ends = Counter(event.run for event in events if isinstance(event, Ended))
        assert ends == Counter(event.run.id for event in events if isinstance(event, Accepted))
        assert set(ends.values()) == {1}, f"a run ended more than once: {ends}"
        assert {text for text, outcome in outcomes.items() if outcome == "ConversationBusy"}.isdisjoint(ends)

    simulate(scenario, seeds=10, faults=[crash] if crash is not None else [])


async def test_ending_a_run_that_waits_leaves_alone_whom_the_one_before_it_has_put_to_work(journal: Any) -> None:
    at_work, go = asyncio.Event(), asyncio.Event()

    async def model(request: Request) -> Any:
        if request.messages[0].text == "helper":
            at_work.set()
            await go.wait()
            return "done"
        if request.messages[-1].role == "tool":
            return request.messages[-1].text
        return call("SendMessage", "h", target_agent="Helper", message="work")

    helper = Agent("Helper", "helper")
    async with Agency(Agent("Front", handoffs=[helper]), helper, model=function(model), journal=journal) as agency:
        first = asyncio.create_task(agency.run("first", conversation="c"))
        await at_work.wait()
        waiting = await agency.start_run("second", conversation="c")
        await waiting.cancel()
        go.set()
        assert (await first).text == "done"
        with pytest.raises(RunCancelled):
            await waiting.answer()
