"""Agents that work for a run spend its money and its time: it cannot lose count of them, and they cannot overspend."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from callboard import (
    Agency,
    Agent,
    ChildSpec,
    Completion,
    HandoffLimits,
    HookContext,
    Limits,
    Message,
    Request,
    Usage,
    guardrail,
    handoff,
    hook,
    tool,
)
from callboard.actors.agents.errors import (
    CostLimit,
    GuardrailTripped,
    HandoffDepth,
    LimitReached,
    RunCancelled,
    TimeLimit,
    TokenLimit,
)
from callboard.actors.agents.events import RunFinished
from callboard.testing import FunctionModel, Simulation, simulate, virtual_time

from .support import call, function, kill, outcome, results, until

SHAPES: dict[str, dict[str, tuple[str, ...]]] = {
    "one": {"A": ("B",)},
    "two": {"A": ("B", "C")},
    "nested": {"A": ("B",), "B": ("C",)},
    "two, of which one has one": {"A": ("B", "C"), "C": ("D",)},
}


def bought(*calls: Any, text: str = "", tokens: int = 15) -> Completion:
    """A completion for a dollar."""
    message = Message("assistant", text, tuple(calls))
    return Completion(message, "tool_calls" if calls else "stop", Usage(tokens - 5, 5), "m", "vendor", cost=1.0)


@tool(idempotent=True)
async def look() -> str:
    """Look."""
    return "seen"


class Team:
    """Agents that delegate as a shape says; those who have nobody to ask look once, and are stuck at what follows."""

    def __init__(self, shape: str, journal: Path | None = None, *, stuck: bool = True, **limits: Any) -> None:
        self.tree = SHAPES[shape]
        self.bought = 0
        self.stuck = 0
        self._sticks = stuck
        names = sorted({"A", *(name for names in self.tree.values() for name in names)})
        self.leaves = sum(name not in self.tree for name in names)
        agents = []
        for name in reversed(names):
            below = [handoff(name) for name in self.tree.get(name, ())]
            own = Limits(**limits) if name == "A" else Limits()
            agents.append(Agent(name, name, handoffs=below, tools=[look], limits=own))
        self.agency = Agency(*reversed(agents), model=function(self._model), journal=journal)
        self.finished: list[RunFinished] = []
        self.agency.subscribe(lambda e: self.finished.append(e) if isinstance(e, RunFinished) else None)

    async def _model(self, request: Request) -> Any:
        name = request.messages[0].text
        if not results(request):
            self.bought += 1
            below = self.tree.get(name, ())
            if below:
                return bought(*(call(f"delegate_to_{one}", one, message=one) for one in below))
            return bought(call("look", "l"))
        if name not in self.tree and self._sticks:
            self.stuck += 1
            await asyncio.Event().wait()
        self.bought += 1
        return bought(text=f"{name} is done")

    @property
    def all_stuck(self) -> bool:
        return self.stuck >= self.leaves


# -- a run that ends while others work for it --------------------------------------------------------------------------


@pytest.mark.parametrize("durable", [False, True], ids=["memory", "file"])
@pytest.mark.parametrize("how", ["cancelled", "released"])
@pytest.mark.parametrize("shape", SHAPES)
async def test_what_delegates_had_bought_is_in_the_account_of_a_run_that_is_stopped(
    tmp_path: Path, shape: str, how: str, durable: bool
) -> None:
    team = Team(shape, tmp_path / "j.db" if durable else None)
    async with team.agency as agency:
        run = asyncio.ensure_future(agency.run("?", conversation="c"))
        assert await until(lambda: team.all_stuck)
        if how == "cancelled":
            run.cancel()
            await asyncio.wait([run])
            assert await until(lambda: any(event.agent == "A" for event in team.finished))
            error: Any = next(event.error for event in team.finished if event.agent == "A")
        else:
            await agency.release("c")
            error = await outcome(run)
    assert isinstance(error, RunCancelled)
    assert error.partial is not None
    assert (error.partial.cost, error.partial.usage.total_tokens) == (team.bought, 15 * team.bought)
    stopped = {(record.sender, record.target) for record in error.partial.handoffs}
    assert stopped == {(sender, target) for sender, targets in team.tree.items() for target in targets}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("killed", ["", "agency/A/c", "agency/B", "agency"])
@virtual_time
async def test_what_delegates_had_bought_is_in_the_account_of_a_run_out_of_time_also_over_a_crash(
    shape: str, killed: str
) -> None:
    team = Team(shape, seconds=100)
    async with team.agency as agency:
        run = asyncio.ensure_future(agency.run("?", conversation="c"))
        await asyncio.sleep(10)
        assert team.all_stuck
        if killed:
            assert kill(agency, killed)
            await asyncio.sleep(10)
        await asyncio.wait([run])
        error = run.exception()
    assert isinstance(error, TimeLimit)
    assert error.partial is not None
    assert error.partial.cost == team.bought
    assert {record.target for record in error.partial.handoffs} == {one for many in team.tree.values() for one in many}


@pytest.mark.parametrize("durable", [False, True], ids=["memory", "file"])
async def test_what_the_agent_bought_that_has_the_conversation_now_is_in_the_account_of_whoever_was_asked(
    tmp_path: Path, durable: bool
) -> None:
    stuck = asyncio.Event()

    async def model(request: Request) -> Any:
        if request.messages[0].text == "A":
            return bought(call("transfer_to_B", "t", message="yours"))
        if request.messages[-1].text == "again":
            return bought(call("look", "l"))
        if results(request):
            stuck.set()
            await asyncio.Event().wait()
        return bought(text="B is here")

    b = Agent("B", "B", tools=[look])
    a = Agent("A", "A", handoffs=[handoff(b, kind="transfer")])
    async with Agency(a, b, model=function(model), journal=tmp_path / "j.db" if durable else None) as agency:
        finished: list[RunFinished] = []
        agency.subscribe(lambda event: finished.append(event) if isinstance(event, RunFinished) else None)
        assert (await agency.run("?", conversation="c")).agent == "B"
        run = asyncio.ensure_future(agency.run("again", conversation="c"))
        async with asyncio.timeout(5):
            await stuck.wait()
        run.cancel()
        await asyncio.wait([run])
        assert await until(lambda: [event for event in finished if event.agent == "A" and event.error])
        error = finished[-1].error if finished[-1].agent == "A" else next(e.error for e in finished if e.error)
    assert isinstance(error, RunCancelled)
    assert error.partial is not None
    assert (error.partial.cost, error.partial.usage.total_tokens) == (1.0, 15)


@pytest.mark.parametrize("most", [1.0, 2.0])
async def test_a_run_that_another_agent_has_the_conversation_of_may_use_what_it_may_and_not_what_the_last_one_left(
    most: float,
) -> None:
    def model(request: Request) -> Any:
        if request.messages[0].text == "A":
            return bought(call("transfer_to_B", "t", message="yours"))
        if request.messages[-1].text == "again":
            return bought(call("look", "l"))
        return bought(text="B is here")

    b = Agent("B", "B", tools=[look])
    a = Agent("A", "A", handoffs=[handoff(b, kind="transfer")])
    async with Agency(a, b, model=function(model)) as agency:
        assert (await agency.run("?", conversation="c")).cost == 2.0
        ended = await outcome(agency.run("again", conversation="c", limits=Limits(cost=most)))
    account: Any = ended.partial if isinstance(ended, CostLimit) else ended
    assert (isinstance(ended, CostLimit), account.cost) == (most == 1.0, most)


# -- what a run knows of completions that nobody got -------------------------------------------------------------------


@pytest.mark.parametrize("what", ["a handoff too many", "a guardrail on a call", "a guardrail on a handoff"])
async def test_what_others_had_bought_is_in_the_account_of_a_run_that_one_of_its_calls_ends(what: str) -> None:
    at_work, spent = asyncio.Event(), 0

    async def model(request: Request) -> Any:
        nonlocal spent
        name, asked = request.messages[0].text, not results(request)
        if name == "B" and not asked:
            at_work.set()
            await asyncio.Event().wait()
        if name == "C":
            await (at_work.wait() if depth == 1 else asyncio.Event().wait())
        spent += 1
        if name == "A" and asked:
            others = (call("delegate_to_C", "c", message="c"), call("look", "l"))
            return bought(call("delegate_to_B", "b", message="b"), *others)
        if name == "B":
            return bought(call("look", "l"))
        return bought(call("delegate_to_D", "d", message="d"))

    @guardrail("handoff")
    async def on_handoff(context: HookContext) -> None:
        assert context.handoff is not None
        if what.endswith("handoff") and context.handoff.target == "C":
            await at_work.wait()
            raise ValueError("not to C")

    @guardrail("toolcall")
    async def on_call(context: HookContext) -> None:
        if what.endswith("call"):
            await at_work.wait()
            raise ValueError("no")

    depth = 1 if what == "a handoff too many" else 16
    agents = [
        Agent("A", "A", tools=[look], handoffs=[handoff("B"), handoff("C")], hooks=[on_handoff, on_call]),
        Agent("B", "B", tools=[look]),
        Agent("C", "C", handoffs=[handoff("D")]),
        Agent("D", "D"),
    ]
    async with Agency(*agents, model=function(model), handoff_limits=HandoffLimits(depth=depth)) as agency:
        run = asyncio.ensure_future(agency.run("?"))
        await asyncio.wait({run})
        error = run.exception()
    assert isinstance(error, HandoffDepth if depth == 1 else GuardrailTripped), repr(error)
    assert error.partial is not None
    assert error.partial.cost == spent, f"{error.partial.cost} of {spent} spent"
    assert {one.target for one in error.partial.handoffs} >= {"B"}


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_completion_that_a_guardrail_refuses_was_bought_all_the_same(streamed: bool) -> None:
    @guardrail("response")
    def refuse(context: HookContext) -> None:
        raise ValueError("not this")

    agent = Agent("A", "A", hooks=[refuse])
    async with Agency(agent, model=function(lambda request: bought(text="bad"))) as agency:
        error = await outcome(_read(agency) if streamed else agency.run("?"))
    assert isinstance(error, GuardrailTripped)
    assert error.partial is not None
    assert (error.partial.cost, error.partial.usage.total_tokens) == (1.0, 15)


async def _read(agency: Agency) -> None:
    async for _ in agency.run_streaming("?"):
        pass


async def test_a_hook_cannot_change_what_a_completion_cost() -> None:
    @hook("response")
    async def redact(context: HookContext) -> None:
        context.completion = Completion(Message("assistant", "redacted"), "stop")

    async with Agency(Agent("A", "A", hooks=[redact]), model=function(lambda request: bought(text="x"))) as agency:
        answer = await agency.run("?")
    assert (answer.text, answer.cost, answer.usage.total_tokens) == ("redacted", 1.0, 15)


# -- a budget is shared along the chain --------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["cost", "tokens"])
@pytest.mark.parametrize("most", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("shape", SHAPES)
async def test_all_who_work_for_a_run_together_spend_no_more_than_it_may_and_one_completion_each(
    shape: str, most: int, what: str
) -> None:
    limits: dict[str, Any] = {what: float(most) if what == "cost" else most * 15}
    team = Team(shape, stuck=False, **limits)
    async with team.agency as agency:
        ended = await outcome(agency.run("?"))
    account: Any = ended.partial if isinstance(ended, LimitReached) else ended
    assert account.cost == team.bought
    assert team.bought <= most + max(0, team.leaves - 1), f"{team.bought} completions with a budget of {most}"
    if isinstance(ended, LimitReached):
        assert isinstance(ended, CostLimit if what == "cost" else TokenLimit)
    else:
        assert ended.text == "A is done"


async def spends_at_random(sim: Simulation) -> None:
    """A tree of agents, of which each asks others at once, a few times; the money ends somewhere in between."""
    rng = sim.system.rng
    tree = {"A": ("B", "C"), "B": ("D", "E"), "C": ("E",), "D": (), "E": ()}
    rounds = {name: rng.randint(1, 3) for name in tree}
    most = rng.randint(1, 14)
    total = 0

    async def model(request: Request) -> Any:
        nonlocal total
        name = request.messages[0].text
        await asyncio.sleep(rng.choice((0.0, 0.1, 1.0)))
        total += 1
        done = sum(1 for message in request.messages if message.role == "assistant")
        if done >= rounds[name]:
            return bought(text="done")
        below = [call(f"delegate_to_{one}", f"{one}{done}", message=f"{one} {done}") for one in tree[name]]
        return bought(*(below or [call("look", f"l{done}")]))

    agents = [
        Agent(name, name, handoffs=[handoff(one) for one in below], tools=[look], limits=Limits(cost=None, steps=50))
        for name, below in tree.items()
    ]
    system = sim.system
    async with Agency(*agents, model=ChildSpec(FunctionModel, (model,), name="model"), system=system) as agency:
        run = asyncio.ensure_future(agency.run("?", limits=Limits(cost=float(most), steps=50)))
        await asyncio.wait([run])
        error = run.exception()
    assert error is None or isinstance(error, CostLimit), repr(error)
    account: Any = run.result() if error is None else error.partial
    assert error is None or account.cost >= most
    # Whoever is over the limit stops before the next completion; those under way at that moment end.
    at_once = 4
    assert total <= most + at_once - 1, f"{total} completions with a budget of {most}"
    assert account.cost == total


def test_delegates_at_once_overspend_by_no_more_than_a_completion_each_under_any_schedule() -> None:
    simulate(spends_at_random, seeds=60)
