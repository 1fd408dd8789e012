"""Runs over a WebSocket, by a client that nobody here wrote."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import pytest
from starlette.requests import HTTPConnection
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from callboard import Agency, Agent, Caller, RequestLimit, tool
from callboard.actors.agents.runs.reading.progress import RecordType
from callboard.actors.serving.realtime import session
from callboard.providers.messages import Request, ToolCall
from tests.cli.command import ROOT
from tests.durable.support import call, function, results

from .support import living, served, speaker

Told = dict[str, Any]


class Client:
    """Says and is told."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, type: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": type, **fields}))

    async def hear(self) -> Told:
        async with asyncio.timeout(60):
            told: Told = json.loads(await self.socket.recv())
        return told

    async def until(self, wanted: Callable[[Told], bool]) -> list[Told]:
        """What is told, as far as what is wanted."""
        heard = [await self.hear()]
        while not wanted(heard[-1]):
            heard.append(await self.hear())
        return heard

    async def closed(self) -> tuple[int, str]:
        with pytest.raises(ConnectionClosed) as gone:
            await self.until(lambda told: False)
        assert gone.value.rcvd is not None
        return gone.value.rcvd.code, gone.value.rcvd.reason


@asynccontextmanager
async def talking(url: str, path: str = "/realtime/A", **options: Any) -> AsyncIterator[Client]:
    async with connect(url.replace("http://", "ws://") + path, **options) as socket:
        yield Client(socket)


def ends(told: Told) -> bool:
    return bool(told.get("event") == "ended")


def is_problem(told: Told) -> bool:
    return bool(told["type"] == "problem")


def said(heard: list[Told]) -> str:
    text = ""
    for told in heard:
        if told["type"] == "text" and told["kind"] == "text":
            text = told["text"] if told.get("restarted") else text + told["text"]
        elif told.get("event") == "completed":
            text += "|"
    return text.strip("|")


def who(connection: HTTPConnection) -> Caller | None:
    """Knows everybody by the token that they give."""
    name = connection.headers.get("authorization", "").removeprefix("Bearer ")
    return Caller(name) if name and name != "revoked" else None


@tool(risk="safe")
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool(approval="always")
def pay(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"


ADDS = (("Let ", "me see.", ToolCall("c1", "add", '{"a": 1, "b": 2}')), ("It ", "is ", "3."))
PAYS = ((ToolCall("p1", "pay", '{"amount": 5}'),), ("done",))
ADA: Any = {"additional_headers": {"authorization": "Bearer ada"}}


@pytest.mark.parametrize("path", ["/realtime/A", "/realtime?agent=A", "/realtime"])
async def test_a_run_is_told_as_it_goes_on(path: str) -> None:
    async with served(Agency(Agent("A", tools=[add]), model=speaker(ADDS))) as it, talking(it.url, path) as client:
        assert await client.hear() == {"type": "ready", "agent": "A"}
        await client.say("ask", id=7, input="add", conversation="c")
        accepted, *heard = await client.until(ends)
        assert (accepted["type"], accepted["id"], accepted["conversation"]) == ("accepted", 7, "c")
        assert said(heard) == "Let me see.|It is 3."
        assert {one["run"] for one in heard} == {accepted["run"]}
        assert [one["event"] for one in heard if one["type"] == "event"][:2] == ["accepted", "started"]
        assert heard[-1]["data"]["text"] == "It is 3."
        for index, one in enumerate(heard[:-1]):
            await client.say("resume", run=accepted["run"], cursor=one["cursor"])
            _, *rest = await client.until(ends)
            assert said([*heard[: index + 1], *rest]) == said(heard)
            assert rest[-1] == heard[-1]
        await client.say("ping", id="x")
        assert await client.hear() == {"type": "pong", "id": "x"}


async def test_several_runs_are_told_over_one_connection() -> None:
    async with served(Agency(Agent("A"), model=speaker())) as it, talking(it.url) as client:
        await client.hear()
        for _ in range(5):
            await client.say("ask", input="count")
        await client.say("ask", input="count", key="k")
        await client.say("ask", input="count", key="k")
        ended: set[str] = set()
        while len(ended) < 6:
            ended.add((await client.until(ends))[-1]["run"])


async def test_a_run_is_steered_and_cancelled() -> None:
    seen: list[str] = []
    gate = asyncio.Event()

    @tool(risk="safe")
    async def wait() -> str:
        """Wait."""
        await gate.wait()
        return "waited"

    async def model(request: Request) -> Any:
        seen.append("".join(one.text for one in request.messages if one.role == "user"))
        return "ok" if results(request) else call("wait", "w1")

    async with served(Agency(Agent("A", tools=[wait]), model=function(model))) as it, talking(it.url) as client:
        await client.hear()
        await client.say("ask", input="begin")
        run = (await client.until(lambda told: told.get("event") == "tools_started"))[0]["run"]
        await client.say("steer", run=run, input="hurry", id=1)
        await client.until(lambda told: told.get("id") == 1)
        gate.set()
        heard = await client.until(ends)
        assert seen[-1] == "beginhurry"
        assert heard[-1]["data"]["error"] is None
        await client.say("steer", run=run, input="too late")
        assert (await client.hear())["code"] == "conversation_idle"
        gate.clear()
        await client.say("ask", input="begin")
        run = (await client.until(lambda told: told.get("event") == "tools_started"))[0]["run"]
        await client.say("cancel", run=run, reason="enough", id=2)
        heard = await client.until(ends)
        assert heard[-1]["problem"]["code"] == "run_cancelled"
        assert "enough" in heard[-1]["problem"]["detail"]


@pytest.mark.parametrize("approved", [True, False])
async def test_calls_are_decided_also_those_of_others_that_work_for_the_run(approved: bool) -> None:
    async def model(request: Request) -> Any:
        if any(spec.name == "pay" for spec in request.tools):
            return results(request)[-1] if results(request) else call("pay", "p1", amount=5)
        return results(request)[-1] if results(request) else call("SendMessage", "h", target_agent="B", message="pay")

    payer = Agent("B", tools=[pay])
    agency = Agency(Agent("A", handoffs=[payer]), payer, model=function(model))
    async with served(agency, authenticate=who) as it, talking(it.url, **ADA) as client:
        await client.hear()
        await client.say("ask", input="pay", conversation="c")
        asked = (await client.until(lambda told: told["type"] == "approval"))[-1]
        assert (asked["agent"], asked["tool"], json.loads(asked["arguments"])) == ("B", "pay", {"amount": 5})
        await client.say("approvals", id="list")
        assert (await client.until(lambda told: told.get("id") == "list"))[-1]["approvals"] == [
            {name: value for name, value in asked.items() if name != "type"}
        ]
        async with talking(it.url, additional_headers={"authorization": "Bearer eve"}) as eve:
            await eve.hear()
            await eve.say("approvals")
            assert (await eve.hear())["approvals"] == []
            for type, more in (
                ("approve", {"approval": asked["approval"]}),
                ("deny", {"approval": asked["approval"]}),
                ("cancel", {"run": asked["run"]}),
                ("steer", {"run": asked["run"], "input": "x"}),
                ("resume", {"run": asked["run"]}),
                ("leave", {"run": asked["run"]}),
                ("ask", {"input": "x", "conversation": "c"}),
            ):
                await eve.say(type, **more)
                assert (await eve.hear())["status"] == 403, type
        if approved:
            await client.say("approve", approval=asked["approval"], arguments={"amount": 3})
        else:
            await client.say("deny", approval=asked["approval"], reason="too dear")
        heard = await client.until(ends)
        assert ("paid 3" if approved else "too dear") in heard[-1]["data"]["text"]
        await client.say("approve", approval=asked["approval"])
        assert (await client.hear())["code"] == "unknown_approval"


@pytest.mark.parametrize(
    ("text", "code", "where"),
    [
        ("{", "not_json", None),
        ("[]", "not_json", None),
        ('{"a": ' + "[" * 20_000 + "]" * 20_000 + "}", "not_json", None),
        ("{}", "unknown_type", "type"),
        ('{"type": "shout", "id": 1}', "unknown_type", "type"),
        ('{"type": "ask"}', "missing_field", "input"),
        ('{"type": "ask", "input": 5}', "invalid_field", "input"),
        ('{"type": "ask", "input": ""}', None, None),
        ('{"type": "ask", "input": []}', "invalid_request", None),
        ('{"type": "ask", "input": "x", "agent": "B"}', "unknown_field", "agent"),
        ('{"type": "ask", "input": "x", "conversation": "a/b"}', "invalid_request", None),
        ('{"type": "ask", "input": "x", "on_disconnect": "explode"}', "invalid_field", "on_disconnect"),
        ('{"type": "ask", "input": "x", "tools": [5]}', "invalid_request", None),
        ('{"type": "ping", "id": {"x": 1}}', "invalid_field", "id"),
        ('{"type": "ask", "input": "x", "key": ""}', "invalid_field", "key"),
        ('{"type": "resume", "run": "nobody"}', "unknown_run", None),
        ('{"type": "resume", "run": "nobody", "cursor": "x"}', "invalid_request", None),
        ('{"type": "cancel", "run": "a/b"}', "unknown_run", None),
        ('{"type": "approve", "approval": "x"}', "unknown_approval", None),
        ('{"type": "approve", "approval": "x", "limits": {"cost": "much"}}', "invalid_field", "limits"),
        ('{"type": "approve", "approval": "x", "arguments": []}', "invalid_field", "arguments"),
        ('{"type": "deny"}', "missing_field", "approval"),
    ],
)
async def test_what_is_wrong_is_told_and_the_connection_goes_on(text: str, code: Any, where: Any) -> None:
    async with served(Agency(Agent("A"), model=speaker())) as it, talking(it.url) as client:
        await client.hear()
        await client.socket.send(text)
        if code is not None:
            told = await client.hear()
            assert (told["type"], told["code"], told.get("where")) == ("problem", code, where), told
        await client.say("ping", id="still there")
        assert (await client.until(lambda told: told["type"] == "pong"))[-1]["id"] == "still there"


async def test_what_is_no_text_or_too_long_closes_the_connection() -> None:
    async with served(Agency(Agent("A"), model=speaker()), body_limit=1000) as it:
        async with talking(it.url) as client:
            await client.socket.send(b"\x00")
            assert (await client.closed())[0] == 1003
        async with talking(it.url) as client:
            await client.say("ask", input="x" * 1000)
            assert (await client.closed())[0] == 1009
        for path, status in (("/realtime/B", 404), ("/realtime?agent=B", 404), ("/realtime/A?agent=A", 400)):
            with pytest.raises(InvalidStatus) as refused:
                async with talking(it.url, path):
                    pass
            assert refused.value.response.status_code == status


async def test_a_connection_is_told_of_so_many_runs_and_counted_by_what_it_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "MOST_RUNS", 2)
    gates = {(0, 1): asyncio.Event()}
    limits = [RequestLimit("user", "*", concurrent=3, requests=7)]
    agency = Agency(Agent("A"), model=speaker(gates=gates))
    async with served(agency, authenticate=who, limits=limits) as it, talking(it.url, **ADA) as client:
        await client.hear()
        runs = []
        for _ in range(2):
            await client.say("ask", input="count")
            runs.append((await client.until(lambda told: told["type"] == "text"))[-1]["run"])
        await client.say("ask", input="count")
        assert (await client.hear())["code"] == "too_many_runs"
        await client.say("leave", run=runs[0], id=1)
        await client.until(lambda told: told.get("id") == 1)
        await client.say("ask", input="count")
        await client.until(lambda told: told["type"] == "text")
        await client.say("ask", input="count")
        assert (await client.hear())["code"] == "too_many_runs"
        await client.say("ask", input="count")
        told = await client.hear()
        assert (told["code"], told["status"]) == ("quota_exceeded", 429)
        assert told["retry_after"] > 0
        gates[(0, 1)].set()
        assert (await agency.handle(runs[0])) is not None


@pytest.mark.parametrize("wish", ["cancel", "continue"])
async def test_what_becomes_of_a_run_whose_client_leaves_is_as_it_wished(wish: str) -> None:
    gates = {(0, 1): asyncio.Event()}
    agency = Agency(Agent("A"), model=speaker(gates=gates))
    async with served(agency) as it:
        async with talking(it.url) as client:
            await client.hear()
            await client.say("ask", input="count", on_disconnect=wish)
            run = (await client.until(lambda told: told["type"] == "text"))[-1]["run"]
        handle = await agency.handle(run)
        if wish == "cancel":
            with pytest.raises(Exception, match="its client has gone"):
                await handle.answer(60)
        else:
            gates[(0, 1)].set()
            assert (await handle.answer(60)).text == "one two three"


async def test_who_reads_nothing_has_nothing_piled_up_for_them() -> None:
    many = tuple(f"{number:06} " + "x" * 2_000 for number in range(3_000))
    agency = Agency(Agent("A"), model=speaker((many,)))
    async with served(agency) as it, talking(it.url, compression=None, max_queue=1, max_size=None) as slow:
        await slow.hear()
        await slow.say("ask", input="much")
        accepted = await slow.hear()
        handle = await agency.handle(accepted["run"])
        answer = await handle.answer(60)
        heard = await slow.until(ends)
        assert said(heard) == answer.text
        assert sum(one["type"] == "text" for one in heard) < len(many)


async def test_an_agency_that_stops_closes_connections_so_that_they_come_back() -> None:
    gates = {(0, 1): asyncio.Event()}
    agency = Agency(Agent("A"), model=speaker(gates=gates))
    async with served(agency) as it, talking(it.url) as client:
        await client.hear()
        await client.say("ask", input="count")
        await client.until(lambda told: told["type"] == "text")
        stopping = asyncio.ensure_future(agency.stop())
        heard = await client.until(lambda told: is_problem(told) or ends(told))
        await stopping
        assert heard[-1]["code"] == "stopping"
        assert "ask again" in heard[-1]["detail"]  # nothing of it is kept
        assert (await client.closed())[0] == 1012


async def test_what_is_asked_of_an_agency_that_has_stopped_closes_the_connection() -> None:
    agency = Agency(Agent("A"), model=speaker())
    async with served(agency) as it, talking(it.url) as client:
        await client.hear()
        await agency.stop()
        await client.say("ask", input="count", id=1)
        told = await client.hear()
        assert (told["code"], told["id"]) == ("stopping", 1)
        assert (await client.closed())[0] == 1012


def test_the_page_names_all_events() -> None:
    page = (ROOT / "actors/serving/realtime/README.md").read_text()
    rows = page.partition("## Events")[2].partition("\n## ")[0].splitlines()
    named = {name for row in rows if row.startswith("| `") for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named - {"event"} == set(get_args(RecordType))


async def test_a_run_is_told_on_after_the_death_of_its_server(tmp_path: Path) -> None:
    async with living(tmp_path / "j.db", 1) as (address, process), talking(f"ws://{address}", **ADA) as client:
        await client.hear()
        await client.say("ask", input="wait", conversation="c")
        accepted, *begun = await client.until(lambda told: told["type"] == "text")
        process.kill()
        await process.wait()
    assert said(begun) == "life 1 "
    async with living(tmp_path / "j.db", 2) as (address, _), talking(f"ws://{address}", **ADA) as client:
        await client.hear()
        await client.say("resume", run=accepted["run"], cursor=begun[-1]["cursor"])
        again, *rest = await client.until(ends)
        assert (again["type"], again["conversation"]) == ("accepted", "c")
        assert said([*begun, *rest]) == "life 2 says it"
        cursors = [one["cursor"] for one in [*begun, *rest]]
        assert len(set(cursors)) == len(cursors)


async def test_an_approval_is_decided_in_another_life_of_the_server(tmp_path: Path) -> None:
    async with living(tmp_path / "j.db", 1) as (address, process), talking(f"ws://{address}", **ADA) as client:
        await client.hear()
        await client.say("ask", input="pay")
        heard = await client.until(lambda told: told.get("event") == "approval_asked")
        process.kill()
        await process.wait()
    async with living(tmp_path / "j.db", 2) as (address, _), talking(f"ws://{address}", **ADA) as client:
        await client.hear()
        await client.say("resume", run=heard[-1]["run"], cursor=heard[-1]["cursor"])
        await client.say("approve", approval=heard[-1]["data"]["approval"])
        rest = await client.until(ends)
        (returned,) = [one["data"]["content"] for one in rest if one.get("event") == "tool_returned"]
        assert returned == "paid 5 in life 2"
