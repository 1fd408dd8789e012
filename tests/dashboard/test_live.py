"""What whoever looks at an agency is sent, and that nothing is done where nobody looks."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from callboard import (
    Actor,
    Agency,
    Agent,
    ApiKeys,
    Budget,
    Caller,
    ChildSpec,
    Completion,
    Endpoint,
    MemoryJournal,
    Message,
    Node,
    Pool,
    Price,
    Quota,
    ToolCall,
    Usage,
    serve,
    tool,
)
from callboard.actors.serving.dashboard.board import board_of
from callboard.actors.serving.operations.draining import drain
from callboard.actors.testing.doubles.models import FunctionModel
from tests.agents.support import function, results, until
from tests.cli.command import offline

from .support import agency_of, looking, shown

VIEWS = ["actors", "runs", "providers", "money", "approvals", "letters"]


class Worker(Actor):
    async def on_receive(self, message: Any) -> None:
        if message == "crash":
            raise RuntimeError("a crash")
        if isinstance(message, asyncio.Event):
            await message.wait()


class Boss(Actor):
    def on_start(self) -> None:
        for number in range(3):
            self.spawn(Worker, name=f"worker-{number}")

    def on_receive(self, message: Any) -> None:
        self.spawn(Worker, name=message)


def rows(tree: tuple[Node, ...], above: str = "") -> Iterator[tuple[str, str, str, int, int]]:
    for node in tree:
        path = f"{above}{node.name}"
        yield path, node.kind, node.phase, node.waiting, node.restarts
        yield from rows(node.children, f"{path}/")


def without_ages(actors: list[Any]) -> list[tuple[Any, ...]]:
    return [(path, kind, phase, waiting, restarts) for path, kind, phase, waiting, _, restarts, _ in actors]


def tasks() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "dashboard"]


async def test_the_tree_is_told_as_it_is_and_then_what_changes_of_it() -> None:
    async with agency_of() as agency, shown(agency) as client:
        assert agency.system is not None
        boss = agency.system.spawn(Boss, name="boss")
        async with looking(client, "actors") as told:
            name, data = await told()
            assert name == "snapshot"
            assert without_ages(data["view"]["actors"]) == list(rows(agency.system.tree()))
            assert data["view"]["all"] == data["summary"]["actors"] == len(data["view"]["actors"])
            boss.tell("late")
            leaver = agency.system.find("boss/worker-1")
            assert leaver is not None
            await leaver.stop()
            name, data = await told()
            assert (name, data["view"]["removed"]) == ("change", ["boss/worker-1"])
            assert [row[:3] for row in data["view"]["set"]] == [["boss/late", "Worker", "running"]]
            name, data = await told()
            assert (name, "view" in data) == ("change", False)
            assert data["summary"]["actors"] == data["summary"]["actors"]


async def test_mailboxes_ages_restarts_and_crashes_are_in_the_tree_and_among_the_letters() -> None:
    async with agency_of() as agency, shown(agency) as client:
        assert agency.system is not None
        worker = agency.system.supervise(ChildSpec(Worker, name="worker"))
        gate = asyncio.Event()
        async with looking(client, "actors") as told, looking(client, "letters") as letters:
            await told()
            assert (await letters())[1]["view"] == {"dead_letters": 0, "last": [], "crashes": []}
            worker.tell("crash")
            for _ in range(3):
                worker.tell(gate)
            found: dict[str, Any] = {}
            while found.get("worker", [0] * 5)[4] < 0.5:  # how long the oldest has waited
                view = (await told())[1].get("view")
                found.update({row[0]: row for row in view["set"]} if view else {})
            assert found["worker"][1:4] == ["Worker", "running", 2]
            assert found["worker"][5] == 1
            assert "RuntimeError" in found["worker"][6]
            loose = agency.system.spawn(Worker, name="loose")
            for lost in (asyncio.Event(), "lost"):
                loose.tell(lost)
            await asyncio.sleep(0)
            loose.kill()
            await loose.terminated()
            view = {}
            while not view.get("dead_letters"):
                view = (await letters())[1].get("view", view)
            gate.set()
            assert [one[0] for one in view["last"]] == ["loose"] * view["dead_letters"]
            (crash,) = [one for one in view["crashes"] if one[0] == "worker"]
            assert "RuntimeError" in crash[1]
        async with looking(client, "letters") as letters:  # whoever opens another view does not lose it
            assert (await letters())[1]["view"] == view


async def test_runs_and_what_waits_for_a_person_are_told() -> None:
    @tool(risk="risky")
    def order() -> str:
        """Order."""
        return "ordered"

    def model(request: Any) -> Any:
        call = ToolCall("1", "order", '{"secret": "word"}')
        answer = Completion(Message("assistant", "", tool_calls=(call,)), "tool_calls", Usage(10, 5), cost=0.25)
        return results(request)[0] if results(request) else answer

    agency = Agency(Agent("A", "a", tools=[order], autonomy="supervised"), model=function(model))
    async with agency, shown(agency) as client:
        run = asyncio.ensure_future(agency.run("a secret word", conversation="c", user="ada", run_id="one"))
        await until(lambda: agency.approvals)
        async with looking(client, "runs") as told:
            _, data = await told()
            (row,) = data["view"]["runs"]
            assert (row["run"], row["agent"], row["conversation"], row["parent"]) == ("one", "A", "c", "")
            assert (row["status"], row["doing"], row["calls"], row["stuck"]) == ("waiting", "person", ["order"], False)
            assert (row["steps"], row["input_tokens"], row["output_tokens"], row["cost"]) == (1, 10, 5, 0.25)
            assert data["view"]["stuck_after"] > 0
            assert (data["summary"]["runs"], data["summary"]["waiting"], data["summary"]["stuck"]) == (1, 1, 0)
            assert "word" not in str(data)
        async with looking(client, "approvals") as told:
            (row,) = (await told())[1]["view"]["approvals"]
            assert (row["approval"], row["tool"]) == (agency.approvals[0].approval, "order")
            assert (row["wants"], row["may_decide"]) == ("call", True)
            agency.approve(row["approval"])
            await run
            view = {"approvals": [row]}
            while view["approvals"]:
                view = (await told())[1].get("view", view)


async def test_providers_and_money_are_told_with_their_limits_and_budgets() -> None:
    def model(request: Any) -> Completion:
        return Completion(Message("assistant", "done"), "stop", Usage(10, 5))

    one = Endpoint(
        "one", ChildSpec(FunctionModel, (model,)), price=Price(1e5, 0.0), limits=Quota(requests_per_minute=9)
    )
    pool = Pool.spec([one], budgets=[Budget("pool", "", 5.0, "day", requests=7)])
    async with agency_of(model=pool) as agency, shown(agency) as client:
        await agency.run("hello")
        async with looking(client, "providers") as told, looking(client, "money") as money:
            _, data = await told()
            (row,) = data["view"]["endpoints"]
            assert (row["pool"], row["name"], row["state"], row["available"]) == ("pool", "one", "closed", True)
            assert (row["answered"], row["failed"], row["in_flight"]) == (1, 0, 0)
            assert (row["tokens"], row["cost"]) == (15, 1.0)
            assert {limit["kind"]: (limit["used"], limit["limit"]) for limit in row["limits"]} == {
                "requests_per_minute": (1.0, 9)
            }
            assert data["view"]["pools"][0]["name"] == "pool"
            _, data = await money()
            budgets = {budget["measure"]: budget for budget in data["view"]["budgets"]}
            assert [(one["spent"], one["limit"]) for one in budgets.values()] == [(1.0, 5.0), (1, 7)]
            assert (budgets["dollars"]["name"], budgets["dollars"]["window"]) == ("pool:", "day")
            assert [one["cost"] for one in data["view"]["by"] if "agent" in one] == [1.0]
            assert data["summary"]["cost"] == 1.0
            points = data["view"]["points"]
            while len(points) < 2:
                points += (await money())[1].get("view", {"points": []})["points"]
            assert len({point[0] for point in points}) == len(points)


@pytest.mark.parametrize("view", ["", *VIEWS])
async def test_where_nobody_looks_nothing_is_done(view: str) -> None:
    async with agency_of() as agency, shown(agency) as client:
        assert agency.system is not None
        runtime = agency.system.runtime
        before = runtime.observer, bool(runtime.events), tasks()
        assert before == (None, False, [])
        async with looking(client, view) as told, looking(client, view) as other:
            _, data = await told()
            assert ("view" in data, data["every"]) == (True, 0.5)
            await other()
            assert len(tasks()) == 1, "one reading serves all"
            assert runtime.observer is not None
            assert set(data["summary"]) == {
                *("actors", "runs", "waiting", "dead_letters", "stuck", "cost", "cost_a_minute", "tokens_a_minute"),
                *("rss", "cpu", "lag"),
            }
            assert data["summary"]["rss"] > 1_000_000
        await until(lambda: (runtime.observer, bool(runtime.events), tasks()) == before)


async def test_what_is_read_takes_no_more_than_its_share_of_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callboard.actors.serving.dashboard.feed.SHARE", 1e-7)
    async with agency_of() as agency, shown(agency) as client, looking(client, "actors") as told:
        assert (await told())[1]["every"] > 10


async def test_who_looks_sees_on_when_others_look_no_more() -> None:
    async with agency_of() as agency, shown(agency):
        assert agency.system is not None
        feeds = board_of(agency, None, ()).feeds
        for view in ("runs", "letters"):
            with feeds.look("runs", 0.5, acts=False) as feed:
                await feed.later(0)
                with feeds.look(view, 0.5, acts=False):
                    pass
                assert agency.system.runtime.observer is not None
                await feed.later(feed.version)
                assert not feed.over
            assert agency.system.runtime.observer is None


async def test_how_late_the_event_loop_was_is_told() -> None:
    async with agency_of() as agency, shown(agency) as client, looking(client) as told:
        lags = []
        for _ in range(3):
            await told()
            asyncio.get_running_loop().call_soon(time.sleep, 0.6)  # longer than until the next reading is due
            lags.append((await told())[1]["summary"]["lag"])
        assert min(lags) >= 0
        assert max(lags) > 0


async def test_whoever_takes_it_slowly_is_told_the_latest_and_nothing_piles_up() -> None:
    async with agency_of() as agency, shown(agency):
        assert agency.system is not None
        board = board_of(agency, None, ())
        boss = agency.system.spawn(Boss, name="boss")
        with board.feeds.look("actors", 0.5, acts=False) as feed:
            await feed.later(0)
            seen = feed.version
            for number in range(3):
                boss.tell(f"late-{number}")
                await feed.later(feed.version)
            await feed.later(feed.version)
            _, data = feed.told(seen, 0.5)
            assert all(f"boss/late-{number}" in data for number in range(3))
            again = feed.told(seen, 0.5)
            assert again == feed.told(seen, 0.5)


async def test_whoever_looks_less_often_is_told_less_often() -> None:
    async with (
        agency_of() as agency,
        shown(agency) as client,
        looking(client, "runs", 0.5) as quick,
        looking(client, "runs", 2) as slow,
    ):
        assert (await slow())[1]["every"] == 2
        first = (await quick())[1]["at"]
        slowly = asyncio.ensure_future(slow())
        number = 0
        while not slowly.done():
            await quick()
            number += 1
        assert number >= 2
        assert slowly.result()[1]["at"] > first


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("view=none", "view"),
        ("view=actors&every=0.4", "every"),
        ("every=61", "every"),
        ("every=nan", "every"),
        ("every=x", "every"),
        ("view=actors&views=runs", "views"),
    ],
)
async def test_what_nobody_knows_is_refused(query: str, where: str) -> None:
    async with agency_of() as agency, shown(agency) as client:
        refused = await client.get(f"api/live?{query}")
        assert (refused.status_code, refused.json()["where"]) == (400, where)
        assert (await client.head("api/live")).headers["content-type"].startswith("text/event-stream")
        assert tasks() == []


async def test_too_many_are_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callboard.actors.serving.dashboard.feed.MOST_LOOKING", 1)
    async with agency_of() as agency, shown(agency) as client, looking(client) as told:
        await told()
        refused = await client.get("api/live")
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")


async def test_a_stream_ends_with_the_agency_and_with_the_server() -> None:
    async with agency_of() as agency, shown(agency) as client, looking(client, every=60) as told:
        await told()
        stopping = asyncio.ensure_future(agency.stop())
        with pytest.raises(StopAsyncIteration):
            await told()
        await stopping
        refused = await client.get("api/live")
        assert (refused.status_code, refused.json()["code"]) == (503, "stopping")
    app = serve(agency_of(), dashboard=True)
    async with shown(app) as client, looking(client, every=60) as told:
        await told()
        draining = asyncio.ensure_future(drain(app.state.server))
        with pytest.raises(StopAsyncIteration):
            await told()
        await draining


MOUNTED = """
import sys
import uvicorn
from contextlib import asynccontextmanager
from starlette.applications import Starlette
from starlette.routing import Mount
from callboard import Agency, Agent, dashboard

agency = Agency(Agent("Helper"), model="offline")

@asynccontextmanager
async def lifespan(app):
    async with agency:
        yield

app = Starlette(routes=[Mount("/board", dashboard(agency))], lifespan=lifespan)
uvicorn.run(app, fd=int(sys.argv[1]), log_level="warning")
"""


def test_a_program_into_which_it_is_mounted_ends_as_ever_although_somebody_looks(tmp_path: Path) -> None:
    key = "a key that somebody knows"
    env = {**offline(), "CALLBOARD_DASHBOARD_KEY": key}
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number = listening.fileno()
        command = [sys.executable, "-c", MOUNTED, str(number)]
        program = subprocess.Popen(command, cwd=tmp_path, env=env, pass_fds=[number])
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/board/api/live?every=60"
    try:
        with httpx.stream("GET", url, headers={"authorization": f"Bearer {key}"}, timeout=60) as answer:
            lines = answer.iter_lines()
            assert next(lines) == "event: snapshot"
            os.kill(program.pid, signal.SIGTERM)
            assert [line for line in lines if line.startswith("event")] == []
        assert program.wait(timeout=60) == -signal.SIGTERM
    finally:
        program.kill()
        program.wait()


async def until_it_ends(following: Any) -> None:
    with suppress(StopAsyncIteration):
        while True:
            await following()


async def test_a_stream_ends_when_its_key_is_revoked() -> None:
    keys = ApiKeys(MemoryJournal())
    key = await keys.add(user="ada", scopes=["admin"], name="ada")
    async with shown(agency_of(), authenticate=keys) as client:
        client.headers["authorization"] = f"Bearer {key}"
        async with looking(client, "actors") as following:
            for _ in range(3):
                await following()
            await keys.revoke("ada")
            await until_it_ends(following)
        assert (await client.get("api/live")).status_code == 401


async def test_a_stream_ends_when_whoever_looks_may_do_less_than_before() -> None:
    scopes = {"admin"}
    async with shown(agency_of(), authenticate=lambda _: Caller("ada", scopes=frozenset(scopes))) as client:
        async with looking(client, "approvals") as following:
            await following()
            scopes.symmetric_difference_update(("admin", "metrics"))
            await until_it_ends(following)
        async with looking(client, "approvals") as following:
            await following()
