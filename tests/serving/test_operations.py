"""An agency's runs, approvals and conversations over HTTP, its health, and how it stops."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Mount

from callboard import Agency, Agent, Caller, Limits, serve, tool
from callboard.actors.agents.turns.records import Ended
from callboard.actors.journal import MemoryJournal
from callboard.actors.journal.store import Record
from callboard.actors.serving.operations.draining import drain
from callboard.actors.serving.server import Server
from callboard.providers.messages import ToolCall

from .support import served, speaker

SECOND = ("I ", "see.")


def who(connection: HTTPConnection) -> Caller | None:
    """``Bearer USER[@TENANT][+SCOPE]``."""
    said = connection.headers.get("authorization", "").removeprefix("Bearer ")
    user, _, scope = said.partition("+")
    user, _, tenant = user.partition("@")
    return Caller(user, tenant, frozenset({scope} if scope else ())) if user else None


def as_(user: str) -> dict[str, str]:
    return {"authorization": f"Bearer {user}"}


async def begun(client: httpx.AsyncClient, **body: Any) -> str:
    """Begin a run, and wait until it has ended or waits."""
    answer = await client.post("/agency/runs", json={"input": "go", **body})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/agency/runs/{answer.json()['id']}"
    run: str = answer.json()["id"]
    return run


async def until(client: httpx.AsyncClient, run: str, *status: str) -> Any:
    path = run if run.startswith("/") else f"/agency/runs/{run}"
    for _ in range(10_000):
        found = (await client.get(path)).json()
        if found["status"] in status:
            return found
        await asyncio.sleep(0.005)
    raise AssertionError(f"the run is {found['status']}")


async def events(client: httpx.AsyncClient, path: str, **headers: str) -> list[dict[str, str]]:
    """The server-sent events of an answer."""
    answer = await client.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    blocks = [block.splitlines() for block in answer.text.split("\n\n") if block.strip()]
    return [dict(line.split(": ", 1) for line in block if not line.startswith(":")) for block in blocks]


async def test_health_and_readiness() -> None:
    agency = Agency(Agent("A"), model=speaker())
    async with served(agency) as it, it.client() as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
        await agency.stop()
        gone = await client.get("/readyz")
        assert (gone.status_code, gone.json()) == (503, {"status": "draining"})
        assert (await client.get("/healthz")).status_code == 200


async def test_a_journal_that_cannot_be_read_is_not_ready() -> None:
    journal = MemoryJournal()
    async with served(Agency(Agent("A"), model=speaker(), journal=journal)) as it, it.client() as client:
        journal.close()
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"status": "journal unreachable"})


async def test_a_run_is_begun_looked_at_followed_and_found_over() -> None:
    async with served(Agency(Agent("A"), model=speaker())) as it, it.client() as client:
        run = await begun(client, conversation="c")
        found = await until(client, run, "ended")
        assert (found["answer"]["text"], found["error"], found["conversation"]) == ("one two three", None, "c")
        path = f"/agency/runs/{run}/events"
        seen = await events(client, path)
        assert [one["event"] for one in seen] == ["accepted", "started", "completed", "ended"]
        for index, one in enumerate(seen[:-1]):
            assert await events(client, path, **{"last-event-id": one["id"]}) == seen[index + 1 :]
        over = await client.get(path, headers={"last-event-id": seen[-1]["id"]})
        assert over.status_code == 204
        assert json.loads(seen[-1]["data"])["data"]["text"] == "one two three"


async def test_a_run_is_found_where_its_answer_says_in_a_mounted_agency_too() -> None:
    agency = Agency(Agent("A"), model=speaker())
    async with agency, served(Starlette(routes=[Mount("/agents", serve(agency))])) as it, it.client() as client:
        begun = await client.post("/agents/agency/runs", json={"input": "go", "conversation": "c"})
        assert (await until(client, begun.headers["location"], "ended"))["id"] == begun.json()["id"]
        fork = await client.post("/agents/agency/conversations/A/c/fork", json={"to": "d"})
        assert (await client.get(fork.headers["location"])).json()["id"] == "d"


async def test_a_run_that_is_cancelled_says_so() -> None:
    gates = {(0, 1): asyncio.Event()}
    async with served(Agency(Agent("A"), model=speaker(gates=gates))) as it, it.client() as client:
        run = await begun(client)
        cancelled = (await client.post(f"/agency/runs/{run}/cancel", json={"reason": "enough"})).json()
        assert (cancelled["status"], cancelled["error"]["code"]) == ("failed", "run_cancelled")
        assert "enough" in cancelled["error"]["detail"]
        again = await client.post(f"/agency/runs/{run}/cancel")
        assert again.json() == cancelled


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "where"),
    [
        ("POST", "/agency/runs", {}, 400, "missing_field", "input"),
        ("POST", "/agency/runs", {"input": 5}, 400, "invalid_field", "input"),
        ("POST", "/agency/runs", {"input": "x", "sudo": True}, 400, "unknown_field", "sudo"),
        ("GET", "/agency/runs?status=done", None, 400, "invalid_field", "status"),
        ("GET", "/agency/runs?limit=0", None, 400, "invalid_field", "limit"),
        ("GET", "/agency/runs?after=x", None, 400, "invalid_request", None),
        ("GET", "/agency/runs?user=x", None, 400, "unknown_field", "user"),
        ("POST", "/agency/runs", {"input": "x", "agent": "B"}, 404, "unknown_agent", None),
        ("POST", "/agency/runs", {"input": "x", "when_busy": "never"}, 400, "invalid_request", None),
        ("POST", "/agency/runs", {"input": "x", "conversation": "a/b"}, 400, "invalid_request", None),
        ("GET", "/agency/runs/none", None, 404, "unknown_run", None),
        ("GET", "/agency/runs/none?x=1", None, 400, "unknown_field", "x"),
        ("GET", "/agency/conversations?limit=0", None, 400, "invalid_field", "limit"),
        ("GET", "/agency/conversations?limit=-1", None, 400, "invalid_field", "limit"),
        ("GET", "/agency/conversations?limit=1&limit=2", None, 400, "invalid_field", "limit"),
        ("GET", "/agency/conversations?unfinished=perhaps", None, 400, "invalid_field", "unfinished"),
        ("DELETE", "/agency/conversations/A/%00", None, 404, "unknown_conversation", None),
        ("GET", "/agency/conversations/A/none", None, 404, "unknown_conversation", None),
        ("POST", "/agency/conversations/A/none/steer", {"input": "x"}, 404, "unknown_conversation", None),
        ("POST", "/agency/conversations/A/none/rewind", {"to": True}, 400, "invalid_field", "to"),
        ("POST", "/agency/conversations/A/none/rewind", {"to": "1"}, 400, "invalid_field", "to"),
        ("POST", "/agency/conversations/B/c/fork", {}, 404, "unknown_agent", None),
        ("POST", "/agency/approvals/none/approve", {}, 404, "unknown_approval", None),
        ("POST", "/agency/approvals/none/approve", {"arguments": "x"}, 400, "invalid_field", "arguments"),
        ("POST", "/agency/approvals/none/approve", {"limits": {"seconds": 5}}, 400, "unknown_field", "seconds"),
    ],
)
async def test_bad_input_is_a_problem(
    method: str, path: str, body: Any, status: int, code: str, where: str | None
) -> None:
    async with served(Agency(Agent("A"), model=speaker())) as it, it.client() as client:
        answer = await client.request(method, path, json=body)
        assert answer.headers["content-type"] == "application/problem+json"
        said = answer.json()
        assert (answer.status_code, said["status"], said["code"], said.get("where")) == (status, status, code, where)


async def test_strangers_see_and_change_nothing() -> None:
    gates = {(0, 1): asyncio.Event()}
    agency = Agency(Agent("A"), model=speaker(gates=gates))
    async with served(agency, authenticate=who) as it, it.client() as client:
        assert (await client.get("/agency/conversations")).status_code == 401
        client.headers.update(as_("ada@acme"))
        run = await begun(client, conversation="c")
        for stranger in ("eve@acme", "ada@other", "ada+admin"):
            client.headers.update(as_(stranger))
            listed = (await client.get("/agency/conversations")).json()
            assert listed == {"conversations": [], "next": None}
            tried: list[tuple[str, str, Any]] = [
                ("GET", f"/agency/runs/{run}", None),
                ("GET", f"/agency/runs/{run}/events", None),
                ("POST", f"/agency/runs/{run}/cancel", {}),
                ("GET", "/agency/conversations/A/c", None),
                ("DELETE", "/agency/conversations/A/c", None),
                ("POST", "/agency/conversations/A/c/fork", {}),
                ("POST", "/agency/conversations/A/c/rewind", {"to": 0}),
                ("POST", "/agency/conversations/A/c/steer", {"input": "x"}),
                ("POST", "/agency/runs", {"input": "x", "conversation": "c"}),
            ]
            for method, path, body in tried:
                answer = await client.request(method, path, json=body)
                assert answer.status_code == 403, (stranger, method, path, answer.text)
        for friend in ("ada@acme", "root@acme+admin", "desk@acme+conversations"):
            client.headers.update(as_(friend))
            listed = (await client.get("/agency/conversations")).json()
            assert [one["id"] for one in listed["conversations"]] == ["c"]
        gates[(0, 1)].set()
        assert (await until(client, run, "ended"))["answer"]["text"] == "one two three"


async def test_conversations_are_listed_read_forked_rewound_and_deleted() -> None:
    agency = Agency(Agent("A"), Agent("B"), model=speaker())
    async with served(agency, authenticate=who) as it, it.client(headers=as_("ada")) as client:
        for index in range(5):
            await until(client, await begun(client, conversation=f"c{index}"), "ended")
        await until(client, await begun(client, agent="B", conversation="c0"), "ended")
        await until(client, await begun(client, agent="B", conversation="x"), "ended")
        client.headers.update(as_("bob"))
        await until(client, await begun(client, conversation="c9"), "ended")
        client.headers.update(as_("ada"))
        names: list[str] = []
        after: str | None = ""
        while after is not None:
            page = (await client.get("/agency/conversations", params={"after": after, "limit": 2})).json()
            names += [f"{one['agent']}/{one['id']}" for one in page["conversations"]]
            after = page["next"]
        assert names == ["A/c0", "A/c1", "A/c2", "A/c3", "A/c4", "B/c0", "B/x"]
        only = (await client.get("/agency/conversations", params={"agent": "B", "unfinished": "false"})).json()
        assert [one["id"] for one in only["conversations"]] == ["c0", "x"]

        view = (await client.get("/agency/conversations/A/c0")).json()
        assert [message["content"] for message in view["messages"]] == ["go", "one two three"]
        assert (view["user"], view["status"], view["runs"][0]["answer"]) == ("ada", "idle", "one two three")
        forked = await client.post("/agency/conversations/A/c0/fork", json={"at": 1, "to": "f"})
        assert (forked.status_code, forked.headers["location"]) == (201, "/agency/conversations/A/f")
        assert len((await client.get("/agency/conversations/A/f")).json()["messages"]) == 2
        assert (await client.post("/agency/conversations/A/f/rewind", json={"to": 0})).status_code == 200
        assert (await client.get("/agency/conversations/A/f")).json()["messages"] == []
        assert (await client.post("/agency/conversations/A/c0/rewind", json={"to": 7})).status_code == 400
        assert (await client.delete("/agency/conversations/A/f")).status_code == 204
        assert (await client.get("/agency/conversations/A/f")).status_code == 404
        assert (await client.delete("/agency/conversations/A/f")).status_code == 204


async def test_runs_are_listed_for_whom_they_concern() -> None:
    gates = {(2, 1): asyncio.Event()}
    agency = Agency(Agent("A"), Agent("B"), model=speaker(gates=gates))
    async with served(agency, authenticate=who) as it, it.client() as client:
        assert (await client.get("/agency/runs")).status_code == 401
        runs = []
        for conversation, agent, user in (("c", "A", "ada"), ("c", "A", "ada"), ("d", "A", "bob"), ("e", "B", "ada")):
            client.headers.update(as_(f"{user}@acme"))
            runs.append(await begun(client, conversation=conversation, agent=agent))
            await until(client, runs[-1], "ended")
        client.headers.update(as_("ada@acme"))
        runs.append(await begun(client))
        await until(client, runs[-1], "ended")
        runs.append(await begun(client, conversation="c"))

        async def listed(**query: Any) -> list[str]:
            found: list[str] = []
            after: str | None = ""
            while after is not None:
                page = (await client.get("/agency/runs", params={**query, "limit": 2, "after": after})).json()
                found += [one["id"] for one in page["runs"]]
                after = page["next"]
            return found

        assert sorted(await listed()) == sorted([*runs[:2], *runs[3:]])
        assert await listed(agent="A", conversation="c") == [*runs[:2], runs[5]]
        assert await listed(agent="B") == [runs[3]]
        assert await listed(status="running") == [runs[5]]
        assert await listed(status="failed") == []
        (one,) = (await client.get("/agency/runs", params={"conversation": "e"})).json()["runs"]
        assert (one["agent"], one["user"], one["status"], one["steps"]) == ("B", "ada", "ended", 1)
        for stranger in ("eve@acme", "ada@other", "root+admin"):
            client.headers.update(as_(stranger))
            assert await listed() == []
        for friend in ("root@acme+admin", "desk@acme+conversations"):
            client.headers.update(as_(friend))
            assert sorted(await listed()) == sorted(runs)
        gates[(2, 1)].set()


async def test_a_run_under_way_is_steered() -> None:
    gates = {(0, 1): asyncio.Event()}
    agency = Agency(Agent("A", limits=Limits(steps=5)), model=speaker((("a", "b"), SECOND), gates))
    async with served(agency, authenticate=who) as it, it.client(headers=as_("ada")) as client:
        run = await begun(client, conversation="c")
        said = await client.post("/agency/conversations/A/c/steer", json={"input": "more"})
        assert said.status_code == 202, said.text
        gates[(0, 1)].set()
        await until(client, run, "ended")
        view = (await client.get("/agency/conversations/A/c")).json()
        assert "more" in [message["content"] for message in view["messages"]]


async def test_approvals_are_decided_by_those_who_may() -> None:
    paid: list[int] = []

    @tool
    def pay(amount: int) -> str:
        """Pay."""
        paid.append(amount)
        return "paid"

    script = ((ToolCall("c", "pay", '{"amount": 5}'),), SECOND)
    agency = Agency(Agent("A", tools=[pay], autonomy="supervised"), model=speaker(script))
    async with served(agency, authenticate=who) as it, it.client(headers=as_("ada@acme")) as client:
        for user, decision, body, result in (
            ("ada@acme", "approve", {"arguments": {"amount": 7}}, [7]),
            ("desk@acme+approvals", "approve", {}, [7, 5]),
            ("ada@acme", "deny", {"reason": "too much"}, [7, 5]),
        ):
            run = await begun(client)
            assert (await until(client, run, "waiting"))["answer"] is None
            for stranger in ("eve@acme", "ada@other", "root@other+admin"):
                assert (await client.get("/agency/approvals", headers=as_(stranger))).json() == {"approvals": []}
            waits = (await client.get("/agency/approvals", headers=as_(user))).json()["approvals"]
            assert [(one["tool"], one["arguments"], one["run"]) for one in waits] == [("pay", {"amount": 5}, run)]
            path = f"/agency/approvals/{waits[0]['id']}"
            refused = await client.post(f"{path}/approve", headers=as_("eve@acme"))
            assert refused.status_code == 403
            unfit = await client.post(f"{path}/approve", json={"arguments": {"amount": "much"}}, headers=as_(user))
            assert (unfit.status_code, unfit.json()["where"]) == (400, "arguments")
            done = await client.post(f"{path}/{decision}", json=body, headers=as_(user))
            assert done.json() == {"id": waits[0]["id"], "approved": decision == "approve"}
            assert (await client.post(f"{path}/{decision}", headers=as_(user))).status_code == 404
            assert (await until(client, run, "ended"))["answer"]["text"] == "I see."
            assert paid == result


async def test_more_is_approved_for_a_run_whose_limits_are_spent() -> None:
    @tool(risk="safe")
    def look() -> str:
        """Look."""
        return "seen"

    script = ((ToolCall("c", "look", "{}"),), SECOND)
    agency = Agency(Agent("A", tools=[look], limits=Limits(steps=1, ask=True)), model=speaker(script))
    async with served(agency, authenticate=who) as it, it.client(headers=as_("ada")) as client:
        run = await begun(client)
        await until(client, run, "waiting")
        (waits,) = (await client.get("/agency/approvals")).json()["approvals"]
        assert (waits["tool"], waits["arguments"]["limit"]) == ("", "steps")
        path = f"/agency/approvals/{waits['id']}/approve"
        assert (await client.post(path, json={"limits": {"steps": 1}})).status_code == 400
        assert (await client.post(path, json={"limits": {"steps": 5}})).status_code == 200
        assert (await until(client, run, "ended"))["answer"]["text"] == "I see."


async def test_who_said_nothing_of_themselves_decides_nothing() -> None:
    @tool
    def pay() -> str:
        """Pay."""
        return "paid"

    script = ((ToolCall("c", "pay", "{}"),), SECOND)
    agency = Agency(Agent("A", tools=[pay], autonomy="supervised"), model=speaker(script))
    async with served(agency) as it, it.client() as client:
        await until(client, await begun(client), "waiting")
        assert (await client.get("/agency/approvals")).json() == {"approvals": []}
        answer = await client.post(f"/agency/approvals/{agency.approvals[0].approval}/approve")
        assert answer.status_code == 403
        assert "not said who they are" in answer.json()["detail"]


async def test_who_asks_while_it_drains_is_told_to_connect_anew() -> None:
    gates = {(0, 1): asyncio.Event()}
    agency = Agency(Agent("A"), model=speaker(gates=gates))
    async with served(agency) as it, it.client() as client:
        run = await begun(client)
        server = it.app.state.server
        stopping = asyncio.create_task(drain(server))
        await asyncio.sleep(0)
        assert server.draining
        assert (await client.get("/readyz")).json() == {"status": "draining"}
        answer = await client.get(f"/agency/runs/{run}")
        assert (answer.json()["status"], answer.headers["connection"]) == ("running", "close")
        gates[(0, 1)].set()
        await stopping
        assert (await client.get(f"/agency/runs/{run}")).json()["code"] == "stopping"


@pytest.mark.parametrize("keeps", [True, False])
async def test_what_is_not_over_when_the_drain_is_ends_by_name_with_its_run(keeps: bool) -> None:
    gates = {(0, 1): asyncio.Event()}
    body = {"model": "A", "messages": [{"role": "user", "content": "x"}]}
    agency = Agency(Agent("A"), model=speaker(gates=gates), journal=MemoryJournal() if keeps else None)
    async with served(agency, drain=0.05) as it, it.client() as client:
        run = await begun(client)
        plain = asyncio.create_task(client.post("/v1/chat/completions", json=body))
        stream = asyncio.create_task(client.post("/v1/chat/completions", json={**body, "stream": True}))
        followed = asyncio.create_task(client.get(f"/agency/runs/{run}/events"))
        for _ in range(10_000):
            if len(await agency.conversations(unfinished=True)) == 3:
                break
            await asyncio.sleep(0.005)
        server: Server = it.app.state.server
        await drain(server)
        told = await plain
        assert (told.status_code, told.json()["error"]["code"]) == (503, "stopping")
        assert told.headers["callboard-run"]
        assert told.headers["retry-after"]
        last = (await stream).text.strip().split("\n\n")[-1]
        assert "stopping" in last
        assert "retry: 1000" in last
        assert "id:" not in last
        assert ("ask again" in last) is not keeps
        events = [line for line in (await followed).text.splitlines() if line.startswith("event: ")]
        assert events[-1] == ("event: problem" if keeps else "event: ended")


class Late(MemoryJournal):
    """Tells of a run's end a moment later, as those do that are kept in files and databases."""

    def subscribe(self, *, after: int = 0, prefix: str = "") -> Any:
        return self._late(super().subscribe(after=after, prefix=prefix))

    async def _late(self, records: AsyncIterator[Record]) -> AsyncIterator[Record]:
        async for record in records:
            if type(record.event) is Ended:
                await asyncio.sleep(0.2)
            yield record


async def test_a_stream_of_a_run_that_ends_while_it_drains_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callboard.actors.serving.operations.draining.LINGER", 0.0)
    gates = {(0, 1): asyncio.Event()}
    body = {"model": "A", "messages": [{"role": "user", "content": "x"}], "stream": True}
    async with served(Agency(Agent("A"), model=speaker(gates=gates), journal=Late())) as it, it.client() as client:
        stream = asyncio.create_task(client.post("/v1/chat/completions", json=body))
        server: Server = it.app.state.server
        for _ in range(10_000):
            if server.streams:
                break
            await asyncio.sleep(0.005)
        draining = asyncio.create_task(drain(server))
        gates[(0, 1)].set()
        assert (await stream).text.endswith("data: [DONE]\n\n")
        await draining


async def test_a_run_waiting_for_a_person_is_not_waited_for() -> None:
    @tool
    def pay() -> str:
        """Pay."""
        return "paid"

    script = ((ToolCall("c", "pay", "{}"),), SECOND)
    agency = Agency(Agent("A", tools=[pay], autonomy="supervised"), model=speaker(script), journal=MemoryJournal())
    async with served(agency, drain=600.0) as it, it.client() as client:
        await until(client, await begun(client), "waiting")
        await drain(it.app.state.server)
        assert agency.stopping


async def test_a_conversation_whose_record_is_damaged_is_not_asked_for_again(tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    begun = {"input": "hi", "conversation": "c"}
    async with served(Agency(Agent("A"), model=speaker(), journal=path)) as at, at.client() as client:
        assert (await client.post("/agency/runs", json=begun)).status_code == 202
    with closing(sqlite3.connect(path)) as database, database:
        assert database.execute("UPDATE events SET data = '{' WHERE stream = 'A/c' AND version = 1").rowcount == 1
    async with served(Agency(Agent("A"), model=speaker(), journal=path)) as at, at.client() as client:
        looked = await client.get("/agency/conversations/A/c")
        assert (looked.status_code, looked.json()["code"]) == (500, "journal_damaged")
        assert looked.headers["x-should-retry"] == "false"
        assert (await client.post("/agency/runs", json={"input": "hi", "conversation": "d"})).status_code == 202
