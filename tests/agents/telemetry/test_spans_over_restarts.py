"""Spans of runs that crash, are gone on with, in this process or another: each is told once, and none has no parent."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from callboard import Agency, Agent, ChildSpec
from callboard.actors import System
from callboard.actors.testing import Crash, Fault, Restart, Simulation, simulate
from callboard.actors.testing.doubles.models import FunctionModel, call
from callboard.actors.testing.doubles.strategies import fault_plans
from callboard.providers.messages import Completion, Message, Request, Usage
from callboard.tools import ToolError, tool
from tests.agents.support import results

from .tracing import Traces, check_times, id_of, seconds, told

EXAMPLES = int(os.environ.get("CALLBOARD_EXAMPLES", "5"))
SEEDS = int(os.environ.get("CALLBOARD_SCHEDULES", "4"))
WHOM = ["agency/A", "agency/B", "agency/A/one", "model"]


def model(request: Request) -> Any:
    done = results(request)
    if request.messages[0].text == "a":
        return f"a: {done[-1]}" if done else call("SendMessage", "h", target_agent="B", message="go")
    return " ".join(done) if done else [call("work", "w1", part=1), call("work", "w2", part=2)]


def team(traces: Traces, system: System, journal: str | None = None) -> Agency:
    @tool(idempotent=True)
    async def work(part: int) -> str:
        await asyncio.sleep(1)
        return f"part{part}"

    a, b = Agent("A", "a"), Agent("B", "b", tools=[work])
    answers = ChildSpec(FunctionModel, (model,), name="model")
    options: dict[str, Any] = {"system": system, "journal": journal, "telemetry": traces.telemetry}
    return Agency(a, b, flows=[(a, b)], model=answers, **options)


TREE = sorted(
    [
        "invoke_agent A",
        *["invoke_agent A > chat"] * 2,
        "invoke_agent A > handoff B",
        "invoke_agent A > handoff B > invoke_agent B",
        *["invoke_agent A > handoff B > invoke_agent B > chat"] * 2,
        *["invoke_agent A > handoff B > invoke_agent B > execute_tool work"] * 2,
    ]
)


async def asked(sim: Simulation) -> None:
    traces = Traces()
    async with team(traces, sim.system) as agency:
        await agency.run("go", conversation="one")
    traces.check()
    check_times(traces.spans)
    assert traces.tree() == TREE


def test_whatever_crashes_each_span_is_told_once_under_its_parent() -> None:
    simulate(asked, seeds=SEEDS)
    for actor in WHOM:
        for nth in (1, 2, 3):
            simulate(asked, seeds=SEEDS, faults=[Crash(actor, nth=nth, optional=True)])


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(fault_plans(WHOM, size=3))
def test_whatever_goes_wrong_each_span_is_told_once_under_its_parent(faults: tuple[Fault, ...]) -> None:
    simulate(asked, seeds=2, faults=faults)


async def restarted(sim: Simulation) -> None:
    traces = Traces()  # those of all starts: what a killed process has told is with the collector

    async def main(system: System) -> None:
        agency = team(traces, system, str(sim.folder / "runs.db"))
        async with agency:
            await agency.run("go", conversation="c", run_id="r")

    await sim.process("service", main)
    first = [span for span in traces.spans if span.name == "invoke_agent A"]
    assert first, "nobody has told of the run"
    ids = {span.context.span_id for span in traces.spans if span.context is not None}
    for span in traces.spans:
        assert span.parent is None or span.parent.span_id in ids, f"nobody has told of the parent of {span.name}"
        assert span.start_time is not None
        assert first[0].start_time is not None
        assert span.start_time >= first[0].start_time, f"{span.name} began before its run"
    assert set(traces.tree()) == set(TREE)
    once: dict[int, tuple[str, Any]] = {}
    for span in traces.spans:
        assert span.context is not None
        what = span.name, told(span).get("gen_ai.tool.call.id")
        assert once.setdefault(span.context.span_id, what) == what, f"{what} has the id of another span"


def test_a_process_that_is_killed_leaves_a_whole_trace() -> None:
    simulate(restarted, seeds=SEEDS, faults=[Restart("service")], max_steps=100_000)


async def restarted_with_nothing_sent(sim: Simulation) -> None:
    starts: list[Traces] = []

    async def main(system: System) -> None:
        starts.append(Traces())  # what the exporter of a killed process had is lost with it
        async with team(starts[-1], system, str(sim.folder / "runs.db")) as agency:
            await agency.run("go", conversation="c", run_id="r")

    await sim.process("service", main)
    traces = starts[-1]
    check_times(traces.spans)
    own = [span for span in traces.spans if told(span)["gen_ai.agent.name"] == "A"]
    assert sorted(span.name for span in own) == ["chat", "chat", "handoff B", "invoke_agent A"]
    traces.check()
    first = traces.named("invoke_agent A")
    for span in own:
        assert span.start_time is not None
        assert span.end_time is not None
        assert first.start_time is not None
        assert first.start_time <= span.start_time <= span.end_time


def test_what_a_killed_process_had_not_sent_is_told_by_who_goes_on_with_its_run() -> None:
    simulate(restarted_with_nothing_sent, seeds=SEEDS, faults=[Restart("service")], max_steps=100_000)
    for nth in range(1, 12):
        faults = [Restart("service", nth, optional=True)]
        simulate(restarted_with_nothing_sent, seeds=1, faults=faults, max_steps=100_000)


class Starts(SpanProcessor):
    """Keeps when spans of a name have begun."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[int | None] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        if span.name == self.name:
            self.seen.append(span.start_time)


async def asked_before_a_kill(sim: Simulation) -> None:
    begun = Starts("approval pay")
    starts: list[Traces] = []

    async def main(system: System) -> None:
        traces = Traces()
        traces.provider.add_span_processor(begun)
        starts.append(traces)

        @tool(risk="risky")
        async def pay() -> str:
            return "paid"

        def answer(request: Request) -> Any:
            return "done" if results(request) else call("pay", "c1")

        agent = Agent("A", "a", tools=[pay], autonomy="supervised")
        answers = ChildSpec(FunctionModel, (answer,), name="model")
        options: dict[str, Any] = {"system": system, "journal": str(sim.folder / "runs.db"), "model": answers}
        async with Agency(agent, telemetry=traces.telemetry, **options) as agency:
            run = asyncio.ensure_future(agency.run("go", conversation="c", run_id="r"))
            while not run.done():
                await asyncio.sleep(10)
                for request in agency.approvals:
                    agency.approve(request.approval)
            await run

    await sim.process("service", main)
    assert len(set(begun.seen)) == 1, f"it began anew: {begun.seen}"
    spans = {span.name: span for span in starts[-1].spans if span.name != "chat"}
    assert 0 < seconds(spans["approval pay"]) <= seconds(spans["invoke_agent A"])
    starts[-1].check()


def test_an_approval_that_is_decided_after_a_restart_began_when_it_was_asked_for() -> None:
    for nth in range(1, 7):
        faults = [Restart("service", nth, optional=True)]
        simulate(asked_before_a_kill, seeds=2, faults=faults, max_steps=100_000)


LATER = {
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.request.stream",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.input.messages",
    "gen_ai.system_instructions",
}
"""What is not told from a journal."""


def shopping(request: Request) -> Any:
    """Looks at the shelf, fails, pays once a person has approved, asks a helper, and answers."""
    if "helps" in request.messages[0].text:
        said: Any = Message("assistant", "helped")
    else:
        steps = [
            (call("look", "c1"), call("broken", "c2")),
            (call("pay", "c3"),),
            (call("pay", "c4"),),
            (call("SendMessage", "c5", target_agent="B", message="help"),),
        ]
        done = {0: 0, 2: 1, 3: 2, 4: 3}.get(len(results(request)))
        said = Message("assistant", "done") if done is None else Message("assistant", "", steps[done])
    usage = Usage(100, 50, cache_read_tokens=40, cache_write_tokens=30, reasoning_tokens=20)
    why: Any = "tool_calls" if said.tool_calls else "stop"
    return Completion(said, why, usage, "m-2", "acme", request_id=f"req-{len(request.messages)}", cost=0.25)


def shop(traces: Traces, system: System, journal: str) -> Agency:
    @tool(idempotent=True, risk="safe")
    async def look() -> str:
        await asyncio.sleep(1)
        return "tea"

    @tool(idempotent=True, risk="safe")
    async def broken() -> str:
        await asyncio.sleep(2)
        raise ToolError("no milk")

    @tool(idempotent=True, risk="risky")
    async def pay() -> str:
        await asyncio.sleep(3)
        return "paid"

    agents = Agent("A", "a", tools=[look, broken, pay], handoffs=["B"], autonomy="supervised"), Agent("B", "helps")
    model = ChildSpec(FunctionModel, (shopping,), name="model")
    options: dict[str, Any] = {"model": model, "system": system, "journal": journal, "telemetry": traces.telemetry}
    return Agency(*agents, **options)


async def bought(traces: Traces, system: System, journal: str) -> None:
    async with shop(traces, system, journal) as agency:
        runs = [asyncio.ensure_future(agency.run("go", conversation="c", run_id=each)) for each in ("r1", "r2")]
        while not all(run.done() for run in runs):
            await asyncio.sleep(10)
            for request in agency.approvals:
                (agency.approve if "c3" in request.call_id else agency.deny)(request.approval)
        await asyncio.gather(*runs)


STEPS = {"c1": 1, "c2": 1, "c3": 2, "c4": 3}
"""The step of each call."""


def check_order(spans: list[ReadableSpan]) -> None:
    """No completion begins before what its run did in the steps before it has ended."""
    calls = [span for span in spans if told(span).get("gen_ai.tool.call.id") in STEPS]
    for chat in (span for span in spans if span.name == "chat"):
        for each in calls:
            same = told(each)["callboard.run.id"] == told(chat)["callboard.run.id"]
            if same and STEPS[told(each)["gen_ai.tool.call.id"]] < told(chat)["callboard.step"]:
                assert each.end_time is not None
                assert chat.start_time is not None
                early = each.end_time - chat.start_time
                assert early <= 0, f"step {told(chat)['callboard.step']} begins {early} ns before {each.name} has ended"


def by_id(traces: Traces) -> dict[int, ReadableSpan]:
    return {id_of(span): span for span in traces.spans}


def test_what_is_told_from_a_journal_is_what_would_have_been_told_as_it_happened() -> None:
    wanted: list[dict[int, ReadableSpan]] = []

    async def at_once(sim: Simulation) -> None:
        traces = Traces(content=True)
        await bought(traces, sim.system, str(sim.folder / "runs.db"))
        wanted.append(by_id(traces))

    simulate(at_once, seeds=1)
    again: set[str] = set()

    async def killed(sim: Simulation) -> None:
        starts: list[Traces] = []

        async def main(system: System) -> None:
            starts.append(Traces(content=True))
            await bought(starts[-1], system, str(sim.folder / "runs.db"))

        await sim.process("service", main)
        live = {key: span for traces in starts[:-1] for key, span in by_id(traces).items()}
        for key, span in by_id(starts[-1]).items():
            if span.name.startswith("invoke_agent") or key not in wanted[0]:
                continue  # the run itself says that it was resumed
            first = wanted[0][key]
            said, usual = told(span), told(first)
            assert span.name == first.name
            assert span.kind == first.kind
            assert (span.parent and span.parent.span_id) == (first.parent and first.parent.span_id)
            assert {name: value for name, value in said.items() if usual.get(name) != value} == {}, span.name
            assert usual.keys() - said.keys() <= LATER, span.name
            if key in live:
                again.add(span.name)
        check_order(starts[-1].spans)

    for nth in range(2, 40, 2):
        simulate(killed, seeds=1, faults=[Restart("service", nth, optional=True)], max_steps=200_000)
    assert again >= {"chat", "execute_tool look", "execute_tool broken", "approval pay", "handoff B"}
