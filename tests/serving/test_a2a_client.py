"""Agents elsewhere that speak Agent2Agent as targets of handoffs: servers of ours, and of the SDK's own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import a2a_pb2 as pb
from starlette.applications import Starlette

from callboard import A2AAgent, Agency, Agent, Caller, handoff, tool
from callboard.actors.agents.errors import AgentError, AgentUnavailable, DefinitionError, RunCancelled, RunFailed
from callboard.providers.messages import ToolCall

from .support import listening_socket, served, speaker


def asks(target: Any, task: str = "count") -> Agency:
    """An agency whose agent hands a task to a target."""
    offered = handoff(target)
    call = ToolCall("c", offered.name, json.dumps({"message": task}))
    return Agency(Agent("Here", handoffs=[offered]), model=speaker(((call,), ("done",))))


async def outcome(target: Any, task: str = "count") -> str:
    """What the model here is told of a task."""
    async with asks(target, task) as agency:
        answer = await agency.run("go")
        return answer.steps[0].calls[0].output


async def test_an_agent_there_does_a_task_for_one_here() -> None:
    async with served(Agency(Agent("Counter"), model=speaker())) as it:
        for url in (it.url, f"{it.url}/a2a/Counter", f"{it.url}/.well-known/agent-card.json"):
            assert await outcome(A2AAgent("There", url)) == "one two three"
        target = handoff(f"a2a+{it.url}")
        assert target.target == "127_0_0_1"


async def test_what_is_typed_there_is_read_once() -> None:
    agent: Agent[Any, Any] = Agent("A", output_type=dict[str, int])
    async with served(Agency(agent, model=speaker((('{"total": 3}',),)))) as it:
        assert await outcome(A2AAgent("There", it.url)) == '{"total": 3}'


async def test_keys_reach_the_agent_there_and_no_error() -> None:
    def who(connection: Any) -> Caller | None:
        given = connection.headers.get("authorization", "")
        return Caller("here") if given == "Bearer sesame-12345" else None

    async with served(Agency(Agent("Counter"), model=speaker()), authenticate=who) as it:
        assert await outcome(A2AAgent("There", it.url, api_key="sesame-12345")) == "one two three"
        said = await outcome(A2AAgent("There", it.url, api_key="wrong-54321"))
        assert "answered 401" in said
        assert "wrong-54321" not in said + repr(A2AAgent("There", it.url, api_key="wrong-54321"))


async def test_a_task_that_asks_back_is_ended_and_its_question_is_the_answer() -> None:
    @tool(risk="risky")
    def erase(path: str) -> str:
        """Erase."""
        return path

    script = ((ToolCall("c", "erase", '{"path": "x"}'),), ("Done.",))
    there = Agency(Agent("A", tools=[erase], autonomy="supervised"), model=speaker(script))
    async with served(there, authenticate=lambda connection: Caller("here")) as it:
        said = await outcome(A2AAgent("There", it.url))
        assert said.startswith("There asks: The agent A wants to call erase")
        assert not there.approvals


async def test_a_task_whose_run_here_is_cancelled_is_cancelled_there() -> None:
    gates = {(0, 1): asyncio.Event()}
    there = Agency(Agent("A"), model=speaker(gates=gates))
    started: asyncio.Queue[str] = asyncio.Queue()
    there.subscribe(lambda event: started.put_nowait(event.run) if type(event).__name__ == "RunStarted" else None)
    async with served(there) as it, asks(A2AAgent("There", it.url)) as here:
        handle = await here.start_run("go")
        run = await started.get()
        await handle.cancel()
        with pytest.raises(RunCancelled):
            await (await there.handle(run)).answer(30)


async def test_a_task_that_takes_too_long_is_given_up() -> None:
    gates = {(0, 1): asyncio.Event()}
    there = Agency(Agent("A"), model=speaker(gates=gates))
    async with served(there) as it:
        assert "did not answer within 0.3 seconds" in await outcome(A2AAgent("There", it.url, timeout=0.3))


async def test_what_failed_there_is_a_failure_here_by_name() -> None:
    there = Agency(Agent[Any, Any]("A", output_type=dict[str, int]), model=speaker((("no json",),)))
    async with served(there) as it:
        assert "ended the task as failed" in await outcome(A2AAgent("There", it.url))


class Executor(AgentExecutor):
    """Answers as the SDK's own examples do: in two artifacts, in pieces."""

    def __init__(self, ends: str = "complete") -> None:
        self.ends = ends

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.task_id is not None
        assert context.context_id is not None
        assert context.message is not None
        task = pb.Task(id=context.task_id, context_id=context.context_id)
        task.status.state = pb.TaskState.TASK_STATE_SUBMITTED
        task.history.append(context.message)
        await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        await updater.start_work()
        for index, word in enumerate(("you ", "said: ", context.get_user_input())):
            await updater.add_artifact([pb.Part(text=word)], artifact_id="a", append=index > 0)
        await updater.add_artifact([pb.Part(text="bye")], artifact_id="b")
        await getattr(updater, self.ends)(updater.new_agent_message([pb.Part(text="so it is")]))

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.task_id is not None
        assert context.context_id is not None
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


@asynccontextmanager
async def the_sdks(
    binding: str, executor: Executor, *, streaming: bool = True, version: str = "1.0"
) -> AsyncIterator[str]:
    """A server of the SDK's own."""

    listening = listening_socket()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    card = pb.AgentCard(
        name="Other",
        description="Another.",
        version="1",
        supported_interfaces=[pb.AgentInterface(url=f"{url}/x", protocol_binding=binding, protocol_version=version)],
        capabilities=pb.AgentCapabilities(streaming=streaming),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[pb.AgentSkill(id="a", name="a", description="a", tags=["a"])],
    )
    handler = DefaultRequestHandler(executor, InMemoryTaskStore(), card)
    routes = [*create_agent_card_routes(card)]
    if binding == "JSONRPC":
        routes += create_jsonrpc_routes(handler, "/x")
    else:
        routes += create_rest_routes(handler, path_prefix="/x")  # type: ignore[arg-type]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="warning", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not server.started:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        yield url
    finally:
        server.should_exit = True
        await task
        listening.close()


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
@pytest.mark.parametrize("streaming", [True, False])
async def test_servers_of_the_sdks_own_are_asked(binding: str, streaming: bool) -> None:
    async with the_sdks(binding, Executor(), streaming=streaming) as url:
        assert await outcome(A2AAgent("There", url), "hello") == "you said: hello\n\nbye"
    async with the_sdks(binding, Executor("reject"), streaming=streaming) as url:
        assert "ended the task as rejected: so it is" in await outcome(A2AAgent("There", url))
    async with the_sdks(binding, Executor("requires_input"), streaming=streaming) as url:
        assert await outcome(A2AAgent("There", url)) == "There asks: so it is"


async def test_an_agent_of_another_version_is_refused_by_name() -> None:
    async with the_sdks("JSONRPC", Executor(), version="0.3") as url:
        assert "no interface of version 1.0" in await outcome(A2AAgent("There", url))


INTERFACE = {"url": "https://far.test/x", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
CARD = {"supportedInterfaces": [INTERFACE]}


def far(answer: Callable[[httpx.Request], httpx.Response], card: Any = CARD, **options: Any) -> A2AAgent:
    def reached(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json=card) if isinstance(card, dict) else httpx.Response(200, text=card)
        return answer(request)

    return A2AAgent("Far", "https://far.test", transport=httpx.MockTransport(reached), **options)


def rpc(result: Any) -> Callable[[httpx.Request], httpx.Response]:
    return lambda request: httpx.Response(200, json={"jsonrpc": "2.0", "id": 1, "result": result})


def ended(text: str) -> Any:
    parts = [{"parts": [{"text": text}], "artifactId": "a"}]
    return {"task": {"id": "t", "status": {"state": "TASK_STATE_COMPLETED"}, "artifacts": parts}}


@pytest.mark.parametrize(
    ("target", "error", "said"),
    [
        (far(rpc(ended("x")), "no card"), RunFailed, "not of the protocol"),
        (far(rpc(ended("x")), "[" * 100_000), RunFailed, "not of the protocol"),
        (far(rpc(ended("x")), {}), AgentUnavailable, "no interface"),
        (far(rpc(ended("x")), {"supportedInterfaces": 5}), AgentUnavailable, "no interface"),
        (
            far(
                rpc(ended("x")),
                {"supportedInterfaces": [{**CARD["supportedInterfaces"][0], "url": "https://evil.test"}]},
            ),
            AgentUnavailable,
            "elsewhere, at evil.test",
        ),
        (far(rpc(ended("x" * 9_000_000))), AgentUnavailable, "more than"),
        (far(rpc(5)), RunFailed, "no result"),
        (far(rpc({})), RunFailed, "there is none of"),
        (far(rpc({"task": 5})), RunFailed, "task is no object"),
        (far(rpc({"task": {"id": "t"}})), RunFailed, "no state"),
        (
            far(lambda request: httpx.Response(302, headers={"location": "https://evil.test"})),
            AgentUnavailable,
            "moved",
        ),
        (
            far(lambda request: httpx.Response(500, text="secret-key-1 broke"), api_key="secret-key-1"),
            AgentUnavailable,
            "[key]",
        ),
        (
            far(lambda request: httpx.Response(200, json={"error": {"code": -32602, "message": "wrong"}})),
            AgentUnavailable,
            "refuses: wrong",
        ),
    ],
)
async def test_what_is_wrong_there_is_named(target: A2AAgent, error: type[AgentError], said: str) -> None:
    async with Agency(target) as agency:
        with pytest.raises(error) as raised:
            await agency.run("go")
        assert said in str(raised.value)
        assert "secret-key-1" not in str(raised.value)


@pytest.mark.parametrize(
    "where", ["https://evil.test?@far.test", "https://evil.test#@far.test/x", "https://evil.test:443?@far.test:443"]
)
async def test_no_spelling_of_an_address_in_a_card_leads_elsewhere(where: str) -> None:
    card = {"supportedInterfaces": [{**INTERFACE, "url": where}]}
    async with Agency(far(rpc(ended("x")), card, api_key="sesame-12345")) as agency:
        with pytest.raises(AgentUnavailable, match=r"elsewhere, at evil\.test"):
            await agency.run("go")


async def test_a_card_may_name_the_usual_port_of_its_own_host() -> None:
    card = {"supportedInterfaces": [{**INTERFACE, "url": "https://FAR.test:443/x"}]}
    async with Agency(far(rpc(ended("x")), card)) as agency:
        assert (await agency.run("go")).text == "x"


async def test_a_line_of_a_stream_that_does_not_end_is_given_up() -> None:
    sent = 0

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            nonlocal sent
            while sent < 64:
                sent += 1
                yield b"data: " + b"x" * 1_000_000

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Endless())

    async with Agency(far(answer, {**CARD, "capabilities": {"streaming": True}})) as agency:
        with pytest.raises(AgentUnavailable, match="more than"):
            await agency.run("go")
    assert sent < 12


async def test_a_task_is_looked_at_again_where_its_server_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callboard.actors.agents.handoffs.a2a.POLL", 0.001)
    looks = iter([httpx.ConnectError("refused"), httpx.Response(502), httpx.Response(503), ended("back")["task"]])

    def answer(request: httpx.Request) -> httpx.Response:
        if json.loads(request.content)["method"] == "SendMessage":
            return rpc({"task": {"id": "t", "status": {"state": "TASK_STATE_WORKING"}}})(request)
        found = next(looks)
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, httpx.Response) else rpc(found)(request)

    async with Agency(far(answer)) as agency:
        assert (await agency.run("go")).text == "back"


async def test_whose_server_stays_away_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callboard.actors.agents.handoffs.a2a.POLL", 0.001)

    def answer(request: httpx.Request) -> httpx.Response:
        if json.loads(request.content)["method"] == "SendMessage":
            return rpc({"task": {"id": "t", "status": {"state": "TASK_STATE_WORKING"}}})(request)
        return httpx.Response(502, text="nobody there")

    async with Agency(far(answer)) as agency:
        with pytest.raises(AgentUnavailable, match="answered 502: nobody there"):
            await agency.run("go")


async def test_half_a_letter_of_an_answer_is_replaced() -> None:
    body = json.dumps({"result": ended("a\ud800b")})
    async with Agency(far(lambda request: httpx.Response(200, text=body))) as agency:
        assert (await agency.run("go")).text == "a\ufffdb"


async def test_who_is_asked_to_come_back_too_late_says_so_at_once() -> None:
    answer = httpx.Response(429, headers={"retry-after": "9999"}, text="much to do")
    async with Agency(far(lambda request: answer, timeout=60.0)) as agency:
        with pytest.raises(AgentUnavailable, match="answered 429: much to do"):
            await agency.run("go")


async def test_a_stream_that_breaks_is_gone_on_with_by_looking_at_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callboard.actors.agents.handoffs.a2a.POLL", 0.001)
    looked = iter([{"id": "t", "status": {"state": "TASK_STATE_WORKING"}}, ended("all of it")["task"]])

    class Broken(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            task = {"id": "t", "status": {"state": "TASK_STATE_WORKING"}}
            yield b"data: " + json.dumps({"result": {"task": task}}).encode() + b"\n\n"
            raise httpx.ReadError("gone")

    def answer(request: httpx.Request) -> httpx.Response:
        method = json.loads(request.content)["method"]
        if method == "SendStreamingMessage":
            return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Broken())
        assert method == "GetTask"
        return rpc(next(looked))(request)

    card = {**CARD, "capabilities": {"streaming": True}}
    async with Agency(far(answer, card)) as agency:
        assert (await agency.run("go")).text == "all of it"


def test_addresses_that_are_none_are_refused() -> None:
    for url in ("", "ftp://x", "a2a+ftp://x", 5, "https://"):
        with pytest.raises(DefinitionError):
            A2AAgent("There", url)  # type: ignore[arg-type]
