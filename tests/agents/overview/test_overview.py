"""What an agency does now: the runs under way, the tree, pools, approvals, crashes and dead letters."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard import (
    Actor,
    Agency,
    AgencyClosed,
    Agent,
    ChildSpec,
    Completion,
    LimitReached,
    Limits,
    Message,
    Node,
    Overview,
    Request,
    ToolCall,
    Usage,
    Watch,
    handoff,
    tool,
    watchable,
)
from callboard.actors.agents.overview.happened import Happened, Rates
from callboard.actors.agents.overview.overview import shown_actors
from callboard.actors.agents.overview.sockets import Looking, programs
from tests.agents.support import function, results, until


def calling(name: str, **arguments: Any) -> Completion:
    call = ToolCall("1", name, "{}" if not arguments else '{"message": "go"}')
    return Completion(Message("assistant", "", tool_calls=(call,)), "tool_calls", Usage(10, 5), cost=0.25)


async def test_runs_say_what_they_wait_for_and_what_they_have_taken_so_far() -> None:
    gates = {name: asyncio.Event() for name in ("model", "tool")}

    @tool(risk="safe")
    async def work() -> str:
        """Work."""
        await gates["tool"].wait()
        return "done"

    async def model(request: Request) -> Any:
        if results(request):
            await gates["model"].wait()
            return "done"
        return calling("work")

    async with Agency(Agent("A", "a", tools=[work]), model=function(model)) as agency:
        assert agency.under_way() == ()
        first = asyncio.ensure_future(agency.run("go", conversation="c", user="ada", run_id="one"))
        await until(lambda: agency.under_way() and agency.under_way()[0].doing == "tools")
        second = asyncio.ensure_future(agency.run("go", conversation="c", user="ada", run_id="two"))
        await until(lambda: len(agency.under_way()) == 2)
        at_work, queued = agency.under_way()
        assert (at_work.run, at_work.root, at_work.parent, at_work.agent) == ("one", "one", "", "A")
        assert (at_work.conversation, at_work.user, at_work.tenant) == ("c", "ada", "")
        assert (at_work.calls, at_work.steps, at_work.tokens, at_work.cost) == (("work",), 1, 15, 0.25)
        assert 0 <= at_work.idle <= at_work.seconds
        assert (queued.run, queued.doing, queued.calls, queued.steps) == ("two", "queued", (), 0)
        gates["tool"].set()
        await until(lambda: agency.under_way()[0].doing == "model")
        assert agency.under_way()[0].calls == ()
        gates["model"].set()
        await asyncio.gather(first, second)
        assert agency.under_way() == ()
    with pytest.raises(AgencyClosed):
        agency.under_way()


async def test_runs_that_agents_make_for_a_run_are_among_them() -> None:
    gate = asyncio.Event()

    async def model(request: Request) -> Any:
        if request.messages[0].text == "b":
            await gate.wait()
            return "b says"
        return results(request)[0] if results(request) else calling("delegate_to_B", message="go")

    agents = (Agent("A", "a", handoffs=[handoff("B")]), Agent("B", "b"))
    async with Agency(*agents, model=function(model)) as agency:
        run = asyncio.ensure_future(agency.run("go", run_id="one"))
        await until(lambda: len(agency.under_way()) == 2 and agency.under_way()[1].doing == "model")
        a, b = agency.under_way()
        assert (a.doing, a.calls, b.agent) == ("tools", ("delegate_to_B",), "B")
        assert (b.root, b.parent) == ("one", "one")
        gate.set()
        await run


async def test_what_waits_for_a_person_is_told_without_what_is_said() -> None:
    @tool(risk="risky")
    def order() -> str:
        """Order."""
        return "ordered"

    def model(request: Request) -> Any:
        return results(request)[0] if results(request) else calling("order")

    agent = Agent("A", "a", tools=[order], autonomy="supervised")
    async with Agency(agent, model=function(model)) as agency, asyncio.timeout(30):
        run = asyncio.ensure_future(agency.run("a secret", conversation="c"))
        await until(lambda: agency.approvals)
        with Watch(agency) as watch:
            overview = await watch.read()
            assert "a secret" not in repr(overview)
        (waiting,) = overview.waiting
        assert (waiting.agent, waiting.tool, waiting.conversation) == ("A", "order", "c")
        assert waiting.approval == agency.approvals[0].approval
        (under_way,) = overview.runs
        assert (under_way.doing, under_way.calls) == ("person", ("order",))
        agency.approve(waiting.approval)
        await run


async def test_a_run_whose_limits_are_spent_waits_for_no_call() -> None:
    @tool(risk="safe")
    def order() -> str:
        """Order."""
        return "ordered"

    agent = Agent("A", "a", tools=[order], limits=Limits(steps=1, ask=True))
    async with Agency(agent, model=function(lambda _: calling("order"))) as agency, asyncio.timeout(30):
        run = asyncio.ensure_future(agency.run("go"))
        await until(lambda: agency.approvals)
        (under_way,) = agency.under_way()
        assert under_way.doing == "limits"
        await agency.deny(agency.approvals[0])
        with pytest.raises(LimitReached):
            await run


class Fragile(Actor):
    async def on_receive(self, message: Any) -> None:
        if message == "crash":
            raise RuntimeError("a crash")
        await message.wait()


async def test_crashes_dead_letters_and_mailboxes_are_told_since_somebody_looks_on() -> None:
    async with Agency(Agent("A", "a"), model=function(lambda request: "x")) as agency:
        assert agency.system is not None
        fragile = agency.system.supervise(ChildSpec(Fragile, name="fragile"))
        with Watch(agency) as watch:
            fragile.tell("crash")
            await until(lambda: agency.system and agency.system.tree()[-1].restarts == 1)
            gate = asyncio.Event()
            for _ in range(3):
                fragile.tell(gate)
            await asyncio.sleep(0.02)
            await watch.read()
            overview = await watch.read()
            found = {actor.path: actor for actor in overview.actors}
            assert "RuntimeError" in found["fragile"].crash
            assert (found["fragile"].restarts, found["fragile"].kind, found["fragile"].depth) == (1, "Fragile", 0)
            assert found["fragile"].waiting == 2
            assert found["fragile"].age > 0
            assert found["agency/A"].depth == 1
            assert overview.all_actors == len(overview.actors) == 4
            gate.set()
            loose = agency.system.spawn(Fragile, name="loose")
            for message in (asyncio.Event(), "late"):
                loose.tell(message)
            await asyncio.sleep(0)
            loose.kill()
            await loose.terminated()
            overview = await watch.read()
            assert overview.dead_letters == len(overview.last_dead_letters) > 0
            assert all(one.startswith("loose: ") for one in overview.last_dead_letters)
        with Watch(agency) as watch:
            assert (await watch.read()).dead_letters == 0


async def test_nothing_is_measured_once_it_is_closed() -> None:
    async with Agency(Agent("A", "a"), model=function(lambda request: "x")) as agency:
        assert agency.system is not None
        watch = Watch(agency)
        assert agency.system.runtime.observer is not None
        watch.close()
        watch.close()
        assert agency.system.runtime.observer is None


async def test_pools_tell_their_endpoints_and_what_they_spend_a_minute() -> None:
    async with Agency(Agent("A", "a"), model="offline") as agency:
        with Watch(agency) as watch:
            assert (await watch.read()).endpoints[0].answered == 0
            await agency.run("hello")
            overview = await watch.read()
    (pool,), (endpoint,) = overview.pools, overview.endpoints
    assert (pool.waiting, pool.cost, overview.cost_a_minute) == (0, 0.0, 0.0)
    assert (endpoint.pool, endpoint.name, endpoint.state, endpoint.available) == (pool.name, "offline", "closed", True)
    assert (endpoint.answered, endpoint.failed) == (1, 0)
    assert endpoint.tokens > 0


def test_what_is_done_a_minute_is_of_the_last_one_and_of_no_less_than_some_seconds() -> None:
    def looked(*done: tuple[float, float]) -> float:
        """What is said at the last of some looks; each has the time, and the dollars spent until then."""
        happened = Happened()
        *_, last = [happened.a_minute(Rates(dollars, 0.0, 0.0), at).cost for at, dollars in done]
        return last

    assert looked((0, 7)) == 0, "of what was spent before anybody looked nothing is said"
    assert looked((0, 0), (10, 5)) == 30
    assert looked((0, 0), (1, 5)) == looked((0, 0), (5, 5)) == 60, "one second is none to go by"
    assert looked((0, 0), (50, 10), (70, 10)) == pytest.approx(10 * 60 / 70), "they may be of the last minute"
    assert looked((0, 0), (50, 10), (70, 10), (110, 13)) == 3
    assert looked((0, 10), (30, 2)) == 0, "a pool that began anew has not earned anything"
    often = [(at / 10, at / 10) for at in range(2_000)]
    assert looked(*often) == pytest.approx(60)


async def test_an_agency_that_does_not_run_is_not_looked_at() -> None:
    agency = Agency(Agent("A", "a"), model=function(lambda request: "x"))
    with pytest.raises(AgencyClosed, match="does not run"):
        Watch(agency)
    async with agency:
        watch = Watch(agency)
    with pytest.raises(AgencyClosed, match="has stopped"):
        await watch.read()
    watch.close()


async def test_a_pool_that_does_not_answer_is_left_out() -> None:
    async with Agency(Agent("A", "a"), model="offline") as agency:
        assert agency.pool is not None
        with Watch(agency) as watch:
            await agency.pool.stop()
            overview = await watch.read()
    assert isinstance(overview, Overview)
    assert overview.endpoints == ()


async def test_whoever_has_closed_what_they_looked_through_sees_nothing_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with Agency(Agent("A", "a"), model="offline") as agency, watchable(agency):
        assert agency.system is not None
        (path,) = programs(os.getpid())
        looking = await asyncio.to_thread(Looking, path)
        overview = await asyncio.to_thread(looking.read)
        assert (overview.process, overview.all_actors) == (os.getpid(), len(overview.actors))
        assert agency.system.runtime.observer is not None
        looking.close()
        with pytest.raises(OSError, match="ended"):
            await asyncio.to_thread(looking.read)
        await until(lambda: agency.system and agency.system.runtime.observer is None)


trees = st.recursive(
    st.builds(lambda n: Node(n, "K", "running", 0, 0, ()), st.text("ab", min_size=1, max_size=3)),
    lambda below: st.builds(
        lambda n, children: Node(n, "K", "running", 0, 0, tuple(children)),
        st.text("ab", min_size=1, max_size=3),
        st.lists(below, max_size=4),
    ),
    max_leaves=40,
)


def walked(nodes: Any, depth: int = 0) -> Any:
    for node in nodes:
        yield node.name, depth
        yield from walked(node.children, depth + 1)


@given(st.lists(trees, max_size=4), st.integers(0, 60))
def test_a_tree_is_shown_in_order_and_bounded_from_below(tree: list[Node], most: int) -> None:
    views, count = shown_actors(tree, {}, most)
    everybody = list(walked(tree))
    assert count == len(everybody)
    assert len(views) == min(most, count)
    assert sum(view.left_out for view in views) + len(views) == count or most < len(tree)
    if most >= count:
        assert [(view.path.rpartition("/")[2], view.depth) for view in views] == everybody
    shown = [view.depth for view in views]
    deepest = max(shown, default=0)
    assert all(shown.count(level) == [d for _, d in everybody].count(level) for level in range(deepest))


def test_a_deep_tree_needs_no_stack() -> None:
    node = Node("x", "K", "running", 0, 0, ())
    for _ in range(5_000):
        node = Node("x", "K", "running", 0, 0, (node,))
    views, count = shown_actors([node], {"x": "why"}, 10)
    assert (len(views), count, views[-1].left_out, views[0].crash) == (10, 5_001, 4_991, "why")
