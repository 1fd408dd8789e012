"""Agents and tools as an MCP server, asked by the SDK's own client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx
import httpx2
import mcp
import mcp_types as types
import pytest
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp.client.streamable_http import streamable_http_client
from pydantic import BaseModel
from starlette.requests import HTTPConnection

from callboard import Agency, Agent, Caller, MemoryJournal, ToolContext, tool
from callboard.actors.agents.errors import DefinitionError
from callboard.actors.serving import serve
from callboard.providers.messages import ToolCall

from .support import Served, served, speaker

MODES = ("legacy", "2026-07-28")
TASKS = "io.modelcontextprotocol/tasks"

every_revision = pytest.mark.parametrize("mode", MODES)


def who(connection: HTTPConnection) -> Caller | None:
    name = connection.headers.get("x-user")
    if not name:
        return None
    user, _, scopes = name.partition("+")
    return Caller(user, scopes=frozenset(filter(None, scopes.split(","))))


@asynccontextmanager
async def connected(it: Served, mode: str = "2026-07-28", user: str = "", **options: Any) -> AsyncIterator[mcp.Client]:
    async with httpx2.AsyncClient(headers={"x-user": user}, timeout=60) as http:
        transport = streamable_http_client(f"{it.url}/mcp", http_client=http)
        async with mcp.Client(transport, mode=mode, **options) as client:
            yield client


@every_revision
async def test_an_agent_is_a_tool(mode: str) -> None:
    agency = Agency(Agent("Counter", description="Counts."), model=speaker())
    async with served(agency) as it, connected(it, mode) as client:
        (offered,) = (await client.list_tools()).tools
        assert (offered.name, offered.description) == ("ask_Counter", "Counts.")
        result = await client.call_tool("ask_Counter", {"message": "count"})
        assert not result.is_error
        assert result.content == [types.TextContent(text="one two three")]
        assert result.structured_content["text"] == "one two three"
        handle = await agency.handle(result.structured_content["run"])
        assert (await handle.answer()).text == "one two three"


@every_revision
async def test_a_conversation_goes_on_where_its_name_is_given(mode: str) -> None:
    script = (("one",), ("two",))
    agency = Agency(Agent("A"), model=speaker(script), journal=MemoryJournal())
    async with served(agency) as it, connected(it, mode) as client:
        first = await client.call_tool("ask_A", {"message": "count", "conversation": "c"})
        assert first.structured_content["conversation"] == "c"
        second = await client.call_tool("ask_A", {"message": "go on", "conversation": "c"})
        assert second.structured_content["text"] == "two"


class Sum(BaseModel):
    total: int


@every_revision
async def test_answers_with_a_type_are_structured(mode: str) -> None:
    agent: Agent[Any, Any] = Agent("A", output_type=Sum)
    async with served(Agency(agent, model=speaker((('{"total": 3}',),)))) as it, connected(it, mode) as client:
        (offered,) = (await client.list_tools()).tools
        assert offered.output_schema is not None
        assert offered.output_schema["properties"]["value"]["properties"]["total"]["type"] == "integer"
        result = await client.call_tool("ask_A", {"message": "add"})
        assert result.structured_content["value"] == {"total": 3}


@every_revision
async def test_published_tools_are_called_by_themselves_and_know_who_calls(mode: str) -> None:
    @tool(risk="safe")
    async def whoami(context: ToolContext[dict[str, str]], greeting: str) -> Sum:
        """Say who asks.

        Args:
            greeting: how.
        """
        context.progress(f"{greeting} {context.caller.user}", fraction=0.5)
        context.progress("nearly", fraction=1.0)
        return Sum(total=len(context.deps[context.caller.user]))

    heard: list[tuple[float, float | None, str | None]] = []

    async def told(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    agency = Agency(Agent("A"), model=speaker(), deps=lambda caller: {caller.user: "abc"})
    async with served(agency, authenticate=who, mcp_tools=[whoami]) as it, connected(it, mode, "ada") as client:
        offered = {one.name: one for one in (await client.list_tools()).tools}
        assert offered["whoami"].input_schema["properties"]["greeting"]["description"] == "how."
        assert offered["whoami"].annotations is not None
        assert offered["whoami"].annotations.destructive_hint is False
        result = await client.call_tool("whoami", {"greeting": "hi"}, progress_callback=told)
        assert result.structured_content == {"total": 3}
        assert heard == [(0.5, 1.0, "hi ada"), (1.0, 1.0, "nearly")]
        wrong = await client.call_tool("whoami", {"greeting": 5})
        assert wrong.is_error
        assert "greeting" in wrong.content[0].text  # type: ignore[union-attr]


def test_what_could_do_harm_is_not_published_for_everybody() -> None:
    @tool
    def erase(path: str) -> str:
        """Erase a file."""
        return path

    @tool(risk="safe", approval="always")
    def asked() -> str:
        """Wait."""
        return ""

    @tool(risk="safe")
    def ask_me() -> str:
        """Pretend."""
        return ""

    for wrong in ([erase], [asked], [ask_me], [5], 5, [ask_me, ask_me]):
        with pytest.raises(DefinitionError, match="mcp_tools"):
            serve(Agency(Agent("A"), model=speaker()), mcp_tools=wrong)  # type: ignore[arg-type]


@every_revision
async def test_callers_are_offered_what_their_scopes_allow(mode: str) -> None:
    @tool(scope="files")
    def erase(path: str) -> str:
        """Erase a file."""
        return f"{path} is gone"

    agency = Agency(Agent("A"), Agent("B", scope="staff"), model=speaker())
    async with served(agency, authenticate=who, mcp_tools=[erase]) as it:
        async with connected(it, mode, "ada") as client:
            assert [one.name for one in (await client.list_tools()).tools] == ["ask_A"]
            for name in ("erase", "ask_B", "ask_C", "nothing"):
                with pytest.raises(mcp.MCPError, match="there is no tool"):
                    await client.call_tool(name, {"path": "x", "message": "x"})
        async with connected(it, mode, "bob+staff,files") as client:
            assert [one.name for one in (await client.list_tools()).tools] == ["ask_A", "ask_B", "erase"]
            assert (await client.call_tool("erase", {"path": "x"})).content == [types.TextContent(text="x is gone")]


@every_revision
async def test_progress_is_told_while_a_run_goes_on(mode: str) -> None:
    @tool(risk="safe")
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    heard: list[str | None] = []

    async def told(progress: float, total: float | None, message: str | None) -> None:
        assert progress == len(heard) + 1
        heard.append(message)

    script = ((ToolCall("c", "add", '{"a": 1, "b": 2}'),), ("3",))
    async with served(Agency(Agent("A", tools=[add]), model=speaker(script))) as it, connected(it, mode) as client:
        await client.call_tool("ask_A", {"message": "add"}, progress_callback=told)
    assert heard[:2] == ["at work", "the model has answered"]
    assert "a tool has its result" in heard


@every_revision
async def test_arguments_that_are_wrong_are_told_so_that_a_model_can_mend_them(mode: str) -> None:
    async with served(Agency(Agent("A"), model=speaker())) as it, connected(it, mode) as client:
        for arguments, said in (
            ({}, "message is a text"),
            ({"message": ""}, "message is a text"),
            ({"message": 5}, "message is a text"),
            ({"message": "x", "sudo": True}, "'sudo' is no argument"),
            ({"message": "x", "conversation": 5}, "conversation is a text"),
            ({"message": "x", "conversation": "a/b"}, "conversation"),
        ):
            result = await client.call_tool("ask_A", arguments)
            assert result.is_error, arguments
            assert said in result.content[0].text  # type: ignore[union-attr]


@every_revision
async def test_a_run_that_fails_is_an_error_result_with_its_id(mode: str) -> None:
    @tool(risk="safe")
    def boom() -> str:
        """Fail."""
        raise RuntimeError("secret 12345")

    agency = Agency(Agent("A", output_type=Sum), model=speaker((("no json",),)))
    async with served(agency) as it, connected(it, mode) as client:
        result = await client.call_tool("ask_A", {"message": "x"})
        assert result.is_error
        assert "(run " in result.content[0].text  # type: ignore[union-attr]
    async with served(Agency(Agent("A"), model=speaker()), mcp_tools=[boom]) as it, connected(it, mode) as client:
        crashed = await client.call_tool("boom", {})
        assert crashed.is_error


@every_revision
async def test_a_call_that_is_cancelled_has_its_run_cancelled(mode: str) -> None:
    gates = {(0, 1): asyncio.Event()}
    agency = Agency(Agent("A"), model=speaker(gates=gates))
    started: asyncio.Queue[str] = asyncio.Queue()
    agency.subscribe(lambda event: started.put_nowait(event.run) if type(event).__name__ == "RunStarted" else None)
    async with served(agency) as it, connected(it, mode) as client:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(client.call_tool, "ask_A", {"message": "count"})
                run = await started.get()
                scope.cancel()
        with pytest.raises(Exception, match=r"cancelled by the client|its client has gone"):
            await (await agency.handle(run)).answer(30)


@every_revision
async def test_a_published_tool_that_is_cancelled_is_stopped(mode: str) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    @tool(risk="safe")
    async def wait() -> str:
        """Wait."""
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    async with served(Agency(Agent("A"), model=speaker()), mcp_tools=[wait]) as it, connected(it, mode) as client:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(client.call_tool, "wait", {})
                await begun.wait()
                scope.cancel()
        async with asyncio.timeout(30):
            await ended.wait()


@tool(risk="risky")
def erase(path: str) -> str:
    """Erase a file."""
    return f"{path} is gone"


ERASES = ((ToolCall("c", "erase", '{"path": "x"}'),), ("Done.",))


def erasing() -> Agency:
    agent = Agent("A", tools=[erase], autonomy="supervised")
    return Agency(agent, model=speaker(ERASES), journal=MemoryJournal())


@pytest.mark.parametrize(("confirm", "result"), [(True, "x is gone"), (False, "not now")])
async def test_an_approval_is_asked_of_the_person_at_the_client(confirm: bool, result: str) -> None:
    asked: list[str] = []

    async def elicit(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        asked.append(params.message)
        return types.ElicitResult(action="accept", content={"confirm": confirm, "reason": "not now"})

    agency = erasing()
    async with served(agency, authenticate=who) as it:
        async with connected(it, user="ada", elicitation_callback=elicit) as client:
            answer = await client.call_tool("ask_A", {"message": "erase x"})
            assert answer.structured_content["text"] == "Done."
        steps = (await (await agency.handle(answer.structured_content["run"])).answer()).steps
        assert asked == ['The agent A wants to call erase with {"path": "x"}.']
        assert result in steps[0].calls[0].output


async def test_a_state_that_was_tampered_with_is_refused() -> None:
    async with served(erasing(), authenticate=who) as it, connected(it, user="ada") as client:
        for state in ("none", "", "a/b"):
            with pytest.raises(mcp.MCPError, match="requestState"):
                await client.session.call_tool("ask_A", {"message": "x"}, request_state=state)


class Created(types.Result):
    result_type: Literal["task"] = "task"
    task_id: str


class Found(types.Result):
    status: str
    result: types.CallToolResult | None = None


class WithTasks(ClientExtension):
    """Waits for a task that has come in place of a result."""

    identifier = TASKS

    def claims(self) -> list[ResultClaim[Any]]:
        async def resolve(task: Created, context: ClaimContext) -> types.CallToolResult:
            request: Any = types.GetTaskRequest(params=types.GetTaskRequestParams(task_id=task.task_id))
            while True:
                found = await context.session.send_request(request, Found)
                if found.result is not None:
                    return found.result
                await asyncio.sleep(0.01)

        return [ResultClaim(result_type="task", model=Created, resolve=resolve)]


async def plain(it: Served, method: str, params: dict[str, Any], user: str = "ada", *, tasks: bool = True) -> Any:
    """What comes of a request of 2026-07-28 that no client of the SDK's knows."""
    capabilities: dict[str, Any] = {"extensions": {TASKS: {}}} if tasks else {}
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": capabilities,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    }
    headers = {
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": method,
        "accept": "application/json, text/event-stream",
        "x-user": user,
    }
    name = params.get("name") or params.get("taskId")
    if name:
        headers["mcp-name"] = name
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
    async with it.client() as client:
        answer = await client.post("/mcp", json=body, headers=headers)
        return answer.json()


async def until(it: Served, task: str, status: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            found: dict[str, Any] = (await plain(it, "tasks/get", {"taskId": task}))["result"]
            if found["status"] == status:
                return found
            await asyncio.sleep(0.01)


async def test_a_client_that_knows_tasks_is_given_one_and_finds_its_result() -> None:
    gates = {(0, 1): asyncio.Event()}
    agency = Agency(Agent("A"), model=speaker(gates=gates), journal=MemoryJournal())
    async with served(agency, authenticate=who) as it:
        call = {"name": "ask_A", "arguments": {"message": "count"}}
        made = (await plain(it, "tools/call", call))["result"]
        assert (made["resultType"], made["status"]) == ("task", "working")
        task = made["taskId"]
        assert (await plain(it, "tasks/get", {"taskId": task}, "eve"))["error"]["code"] == types.INVALID_PARAMS
        assert (await plain(it, "tasks/get", {"taskId": "none"}))["error"]["code"] == types.INVALID_PARAMS
        assert (await plain(it, "tasks/get", {"taskId": task}, tasks=False))["error"]["code"] == -32021
        gates[(0, 1)].set()
        over = await until(it, task, "completed")
        assert over["result"]["structuredContent"]["text"] == "one two three"
        assert (await plain(it, "tasks/cancel", {"taskId": task}))["result"]["resultType"] == "complete"
        assert (await until(it, task, "completed"))["result"] == over["result"]


async def test_there_is_one_page_of_tools() -> None:
    async with served(Agency(Agent("A"), model=speaker())) as it:
        assert (await plain(it, "tools/list", {"cursor": "2"}))["error"]["code"] == types.INVALID_PARAMS
        assert len((await plain(it, "tools/list", {"cursor": ""}))["result"]["tools"]) == 1


async def test_a_task_that_is_cancelled_says_so() -> None:
    gates = {(0, 1): asyncio.Event()}
    async with served(Agency(Agent("A"), model=speaker(gates=gates)), authenticate=who) as it:
        call = {"name": "ask_A", "arguments": {"message": "count"}}
        task = (await plain(it, "tools/call", call))["result"]["taskId"]
        assert "error" in await plain(it, "tasks/cancel", {"taskId": task}, "eve")
        await plain(it, "tasks/cancel", {"taskId": task})
        assert "cancelled by the client" in (await until(it, task, "cancelled"))["statusMessage"]


async def test_a_task_asks_for_what_it_needs_and_goes_on_when_told() -> None:
    async with served(erasing(), authenticate=who) as it:
        call = {"name": "ask_A", "arguments": {"message": "erase x"}}
        task = (await plain(it, "tools/call", call))["result"]["taskId"]
        waits = await until(it, task, "input_required")
        (key,) = waits["inputRequests"]
        assert waits["inputRequests"][key]["method"] == "elicitation/create"
        answered = {key: {"action": "accept", "content": {"confirm": True}}}
        assert "error" in await plain(it, "tasks/update", {"taskId": task, "inputResponses": answered}, "eve")
        unclear = [
            {key: {"action": "accept", **more}} for more in ({}, {"content": {"confirm": "true"}}, {"content": 5})
        ]
        for nothing in ({key: {"action": "cancel"}}, {"other": answered[key]}, {key: 5}, {}, *unclear):
            await plain(it, "tasks/update", {"taskId": task, "inputResponses": nothing})
            assert (await until(it, task, "input_required"))["inputRequests"] == waits["inputRequests"]
        done = await plain(it, "tasks/update", {"taskId": task, "inputResponses": answered})
        assert done["result"]["resultType"] == "complete"
        assert (await until(it, task, "completed"))["result"]["structuredContent"]["text"] == "Done."


async def test_the_sdks_client_takes_tasks_by_an_extension() -> None:
    agency = Agency(Agent("A"), model=speaker())
    async with served(agency) as it, connected(it, extensions=[WithTasks()]) as client:
        result = await client.call_tool("ask_A", {"message": "count"})
        assert result.structured_content["text"] == "one two three"


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
ACCEPT = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
PING = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}'


@pytest.mark.parametrize(
    ("method", "headers", "body", "status", "code"),
    [
        ("GET", {}, b"", 405, -32600),
        ("DELETE", {}, b"", 405, -32600),
        ("POST", {"origin": "http://evil.example"}, b"{}", 403, -32003),
        ("POST", {"host": "evil.example", "origin": "http://evil.example"}, b"{}", 421, -32600),
        ("POST", {}, b"{", 400, -32700),
        ("POST", {}, b"[]", 400, -32600),
        ("POST", {}, b"\xff", 400, -32700),
        ("POST", {}, b"[" * 100_000, 400, -32700),
        ("POST", {}, b"[" + b"1," * 300_000 + b"1]", 413, -32600),
        ("POST", {"mcp-protocol-version": "2026-07-28"}, b"[" + b"1," * 300_000 + b"1]", 413, -32600),
        ("POST", {}, b'{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}', 400, -32600),
        ("POST", {}, b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', 400, -32600),
        ("POST", {}, b'{"jsonrpc": "2.0", "id": true, "method": "ping"}', 400, -32600),
        ("POST", {}, b'{"jsonrpc": "2.0", "id": {}, "method": "ping"}', 400, -32600),
        ("POST", {}, b'{"jsonrpc": "2.0", "id": 1, "method": 5}', 400, -32600),
        ("POST", {}, b'{"id": 1, "method": "ping"}', 400, -32600),
        ("POST", {"content-type": "text/plain"}, PING, 415, -32600),
        ("POST", {"content-type": "", "origin": "http://127.0.0.1", "host": "127.0.0.1"}, PING, 415, -32600),
        ("POST", {"mcp-protocol-version": "2026-07-28"}, b"{", 400, -32700),
        ("POST", {"mcp-protocol-version": "2026-07-28"}, b"[]", 400, -32600),
        ("POST", {"mcp-protocol-version": "2099-01-01"}, b'{"jsonrpc": "2.0", "id": 1, "method": "x"}', 400, -32602),
    ],
)
async def test_bad_requests_have_the_protocols_error_shape(
    method: str, headers: dict[str, str], body: bytes, status: int, code: int
) -> None:
    async with served(Agency(Agent("A"), model=speaker())) as it, it.client() as client:
        answer = await client.request(method, "/mcp", content=body, headers={**ACCEPT, **headers})
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]["code"] == code, answer.text


@pytest.mark.parametrize("kind", ["APPLICATION/JSON", "application/json;charset=utf-8", ""])
async def test_what_json_is_has_several_spellings(kind: str) -> None:
    async with served(Agency(Agent("A"), model=speaker())) as it, it.client() as client:
        answer = await client.post("/mcp", content=PING, headers={**ACCEPT, "content-type": kind})
        assert answer.status_code == 200, answer.text


async def test_who_may_not_ask_is_told_so_by_http() -> None:
    async with served(Agency(Agent("A"), model=speaker()), authenticate=who) as it, it.client() as client:
        answer = await client.post("/mcp", json=INITIALIZE, headers=ACCEPT)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.json()["error"]["data"]["code"] == "unauthorized"


async def test_a_body_that_is_too_long_is_refused() -> None:
    async with served(Agency(Agent("A"), model=speaker()), body_limit=1000) as it, it.client() as client:
        answer = await client.post("/mcp", content=b"1" * 2000, headers=ACCEPT)
        assert answer.status_code == 413


async def test_a_session_of_another_cancels_nothing() -> None:
    gates = {(0, 1): asyncio.Event()}
    agency = Agency(Agent("A"), model=speaker(gates=gates))
    started: asyncio.Queue[str] = asyncio.Queue()
    agency.subscribe(lambda event: started.put_nowait(event.run) if type(event).__name__ == "RunStarted" else None)
    async with served(agency, authenticate=who) as it, it.client() as client:
        first = await client.post("/mcp", json=INITIALIZE, headers={**ACCEPT, "x-user": "ada"})
        session = first.headers["mcp-session-id"]
        call = {"name": "ask_A", "arguments": {"message": "count"}}
        body = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": call}
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
        headers = {**ACCEPT, "mcp-session-id": session, "mcp-protocol-version": "2025-11-25"}
        calling = asyncio.create_task(client.post("/mcp", json=body, headers={**headers, "x-user": "ada"}))
        run = await started.get()
        for name, value in (("x-user", "eve"), ("mcp-session-id", "other")):
            other = {**headers, "x-user": "ada", name: value}
            assert (await client.post("/mcp", json=cancel, headers=other)).status_code == 202
        gates[(0, 1)].set()
        answer = await calling
        assert "one two three" in answer.text
        assert (await (await agency.handle(run)).answer()).text == "one two three"


async def test_a_call_is_cancelled_also_where_the_journal_is_a_file(tmp_path: Path) -> None:
    gates = {(0, 1): asyncio.Event()}
    agency = Agency(Agent("A"), model=speaker(gates=gates), journal=str(tmp_path / "journal.db"))
    started: asyncio.Queue[str] = asyncio.Queue()
    agency.subscribe(lambda event: started.put_nowait(event.run) if type(event).__name__ == "RunStarted" else None)
    async with served(agency) as it, it.client() as client:
        call = {"name": "ask_A", "arguments": {"message": "count"}}
        body = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": call}
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
        headers = {**ACCEPT, "mcp-session-id": "s", "mcp-protocol-version": "2025-11-25"}
        calling = asyncio.create_task(client.post("/mcp", json=body, headers=headers))
        await started.get()
        assert (await client.post("/mcp", json=cancel, headers=headers)).status_code == 202
        async with asyncio.timeout(30):
            assert "cancelled by the client" in (await calling).text


async def test_a_call_that_is_cancelled_before_it_is_begun_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callboard.actors.serving.mcp.calls._LOOKS", (0.01,) * 1_000)
    gates = {(0, 1): asyncio.Event()}
    async with served(Agency(Agent("A"), model=speaker(gates=gates))) as it, it.client() as client:
        call = {"name": "ask_A", "arguments": {"message": "count"}}
        body = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": call}
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
        headers = {**ACCEPT, "mcp-session-id": "s", "mcp-protocol-version": "2025-11-25"}
        assert (await client.post("/mcp", json=cancel, headers=headers)).status_code == 202
        assert "cancelled by the client" in (await client.post("/mcp", json=body, headers=headers)).text


async def test_an_id_that_is_used_again_is_given_no_other_answer() -> None:
    agency = Agency(Agent("A"), Agent("B"), model=speaker(), journal=MemoryJournal())
    async with served(agency) as it, it.client() as client:
        headers = {**ACCEPT, "mcp-session-id": "s", "mcp-protocol-version": "2025-11-25"}
        texts = []
        for agent, message in (("A", "one"), ("A", "one"), ("A", "two"), ("B", "one")):
            call = {"name": f"ask_{agent}", "arguments": {"message": message}}
            body = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": call}
            texts.append((await client.post("/mcp", json=body, headers=headers)).text)
        assert texts[0] == texts[1]
        assert "had this id" in texts[2]
        assert "is taken by a run of A" in texts[3]
        assert len(await agency.conversations()) == 1


@every_revision
async def test_half_a_letter_of_a_tools_is_replaced(mode: str) -> None:
    @tool(risk="safe")
    def half() -> str:
        """Half a letter."""
        return "a\ud800b"

    async with served(Agency(Agent("A"), model=speaker()), mcp_tools=[half]) as it, connected(it, mode) as client:
        result = await client.call_tool("half", {})
        assert isinstance(result.content[0], types.TextContent)
        assert result.content[0].text == "a\ufffdb"


async def test_an_agency_of_another_event_loop_is_not_asked(tmp_path: Path) -> None:
    agency = Agency(Agent("A"), model=speaker())
    app = serve(agency)
    async with agency:

        def elsewhere() -> tuple[int, dict[str, Any]]:
            async def ask() -> tuple[int, dict[str, Any]]:
                over = httpx.ASGITransport(app)
                async with httpx.AsyncClient(transport=over, base_url="http://127.0.0.1") as client:
                    answer = await client.post("/mcp", content=PING, headers=ACCEPT)
                    return answer.status_code, answer.json()

            return asyncio.run(ask())

        status, body = await asyncio.to_thread(elsewhere)
    assert (status, body["error"]["data"]["code"]) == (500, "other_event_loop")


async def test_what_is_told_of_a_server_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "mcp", None)
    async with served(Agency(Agent("A"), model=speaker())) as it, it.client() as client:
        answer = await client.post("/mcp", json=INITIALIZE, headers=ACCEPT)
        assert answer.status_code == 501
        assert "callboard[mcp]" in answer.json()["error"]["message"]
