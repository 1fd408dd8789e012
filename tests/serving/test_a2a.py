"""Agents as servers of Agent2Agent, asked by the SDK's own client, by JSON-RPC and REST."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx
import pytest
from a2a.client import Client, ClientConfig, create_client
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import A2AError, TaskNotCancelableError, TaskNotFoundError
from google.protobuf.json_format import MessageToDict, ParseDict
from pydantic import BaseModel
from starlette.requests import HTTPConnection

from callboard import Agency, Agent, Caller, MemoryJournal, tool
from callboard.actors.serving.operations.draining import drain
from callboard.providers.messages import File, Image, Message, Text, ToolCall

from .support import Served, served, speaker

BINDINGS = ("JSONRPC", "HTTP+JSON")
State = pb.TaskState

both = pytest.mark.parametrize("binding", BINDINGS)


def who(connection: HTTPConnection) -> Caller | None:
    name = connection.headers.get("x-user")
    if not name:
        return None
    user, _, scopes = name.partition("+")
    return Caller(user, scopes=frozenset(filter(None, scopes.split(","))))


@asynccontextmanager
async def connected(
    it: Served, binding: str = "JSONRPC", agent: str = "", user: str = "", *, streaming: bool = True
) -> AsyncIterator[Client]:
    async with httpx.AsyncClient(timeout=60, headers={"x-user": user}) as http:
        config = ClientConfig(httpx_client=http, supported_protocol_bindings=[binding], streaming=streaming)
        client = await create_client(f"{it.url}/a2a/{agent}" if agent else it.url, config)
        async with client:
            yield client


def says(text: str = "count", **options: Any) -> pb.SendMessageRequest:
    configuration = options.pop("configuration", None)
    parts = options.pop("parts", [pb.Part(text=text)])
    message = pb.Message(message_id=uuid.uuid4().hex, role=pb.Role.ROLE_USER, parts=parts, **options)
    return pb.SendMessageRequest(message=message, configuration=configuration)


def closing(stream: Any) -> Any:
    return aclosing(stream)


async def sent(client: Client, request: pb.SendMessageRequest) -> list[pb.StreamResponse]:
    return [event async for event in client.send_message(request)]


def answer(task: pb.Task) -> str:
    return "".join(part.text for artifact in task.artifacts for part in artifact.parts)


def folded(events: list[pb.StreamResponse]) -> pb.Task:
    """The task as whoever has followed the stream knows it."""
    task = pb.Task()
    task.CopyFrom(events[0].task)
    for event in events[1:]:
        kind = event.WhichOneof("payload")
        if kind == "status_update":
            task.status.CopyFrom(event.status_update.status)
        elif kind == "artifact_update":
            update = event.artifact_update
            if update.append:
                task.artifacts[0].parts.extend(update.artifact.parts)
            else:
                del task.artifacts[:]
                task.artifacts.append(update.artifact)
    return task


async def test_the_first_agents_card_is_well_known_and_each_has_its_own() -> None:
    agency = Agency(Agent("Front", description="Answers."), Agent("Back", scope="staff"), model=speaker())
    async with served(agency, authenticate=who) as it, it.client() as client:
        for path in (
            "/.well-known/agent-card.json",
            "/.well-known/agent.json",
            "/a2a/Front/.well-known/agent-card.json",
        ):
            card = (await client.get(path)).json()
            assert (card["name"], card["description"]) == ("Front", "Answers.")
            assert card["supportedInterfaces"][0]["url"] == f"{it.url}/a2a/Front"
            assert card["securitySchemes"]["bearer"]["httpAuthSecurityScheme"]["scheme"] == "bearer"
        path = "/a2a/Back/.well-known/agent-card.json"
        assert (await client.get(path)).status_code == 401
        assert (await client.get(path, headers={"x-user": "eve"})).status_code == 403
        assert (await client.get(path, headers={"x-user": "bob+staff"})).json()["name"] == "Back"
        assert (await client.get("/a2a/Nobody/.well-known/agent-card.json")).status_code == 404
        first = await client.get("/.well-known/agent-card.json")
        again = await client.get("/.well-known/agent-card.json", headers={"if-none-match": first.headers["etag"]})
        assert again.status_code == 304


@both
async def test_a_message_is_answered_by_a_task_that_is_a_run(binding: str) -> None:
    agency = Agency(Agent("Counter"), model=speaker(), journal=MemoryJournal())
    async with served(agency) as it, connected(it, binding, streaming=False) as client:
        (response,) = await sent(client, says())
        task = response.task
        assert task.status.state == State.TASK_STATE_COMPLETED
        assert answer(task) == "one two three"
        assert task.history[0].parts[0].text == "count"
        assert (await (await agency.handle(task.id)).answer()).text == "one two three"
        found = await client.get_task(pb.GetTaskRequest(id=task.id))
        assert found == task


@both
async def test_a_message_is_streamed_as_it_is_said(binding: str) -> None:
    gates = {(0, 1): asyncio.Event(), (0, 2): asyncio.Event()}
    agency = Agency(Agent("Counter"), model=speaker(gates=gates))
    async with served(agency) as it, connected(it, binding) as client:
        events = []
        async for event in client.send_message(says()):
            events.append(event)
            if event.WhichOneof("payload") == "artifact_update":
                for gate in gates.values():
                    if not gate.is_set():
                        gate.set()
                        break
        pieces = [event.artifact_update for event in events if event.WhichOneof("payload") == "artifact_update"]
        assert [piece.artifact.parts[0].text for piece in pieces] == ["one ", "two ", "three", ""]
        assert pieces[-1].last_chunk
        task = folded(events)
        assert (task.status.state, answer(task)) == (State.TASK_STATE_COMPLETED, "one two three")


@both
async def test_what_is_said_beside_a_call_is_no_part_of_the_answer(binding: str) -> None:
    @tool(risk="safe")
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    script = (("Let me ", "see.", ToolCall("c", "add", '{"a": 1, "b": 2}')), ("It ", "is 3."))
    agency = Agency(Agent("A", tools=[add]), model=speaker(script))
    async with served(agency) as it, connected(it, binding) as client:
        task = folded(await sent(client, says()))
        assert answer(task) == "It is 3."
        assert answer(await client.get_task(pb.GetTaskRequest(id=task.id))) == "It is 3."


class Sum(BaseModel):
    total: int


async def test_answers_with_a_type_have_their_value_as_data() -> None:
    agent: Agent[Any, Any] = Agent("A", output_type=Sum)
    async with served(Agency(agent, model=speaker((('{"total": 3}',),)))) as it, connected(it) as client:
        task = folded(await sent(client, says()))
        assert MessageToDict(task.artifacts[0].parts[-1].data) == {"total": 3}


@both
async def test_a_context_is_a_conversation(binding: str) -> None:
    agency = Agency(Agent("A"), model=speaker((("one",), ("two",))), journal=MemoryJournal())
    async with served(agency) as it, connected(it, binding) as client:
        first = folded(await sent(client, says("a")))
        second = folded(await sent(client, says("b", context_id=first.context_id)))
        assert (answer(first), answer(second)) == ("one", "two")
        assert second.id != first.id
        view = await agency.conversation(first.context_id, agent="A")
        assert [run.id for run in view.runs] == [first.id, second.id]


@both
async def test_a_task_that_is_under_way_is_followed_by_others_and_cancelled(binding: str) -> None:
    gates = {(0, 1): asyncio.Event()}
    agency = Agency(Agent("A"), model=speaker(gates=gates))
    async with served(agency) as it, connected(it, binding) as client:
        begun = says(configuration=pb.SendMessageConfiguration(return_immediately=True))
        async with connected(it, binding, streaming=False) as other:
            (response,) = await sent(other, begun)
        task = response.task
        assert task.status.state in (State.TASK_STATE_SUBMITTED, State.TASK_STATE_WORKING)
        async with closing(client.subscribe(pb.SubscribeToTaskRequest(id=task.id))) as following:
            first = await anext(following)
            assert first.task.id == task.id
            cancelled = await client.cancel_task(pb.CancelTaskRequest(id=task.id))
            assert cancelled.status.state == State.TASK_STATE_CANCELED
            rest = [event async for event in following]
        assert rest[-1].status_update.status.state == State.TASK_STATE_CANCELED
        with pytest.raises(TaskNotCancelableError):
            await client.cancel_task(pb.CancelTaskRequest(id=task.id))
        with pytest.raises(A2AError, match="is over"):
            _ = [event async for event in client.subscribe(pb.SubscribeToTaskRequest(id=task.id))]


async def test_whoever_comes_back_to_a_task_is_given_all_that_is_said() -> None:
    gates = {(0, 2): asyncio.Event()}
    async with served(Agency(Agent("A"), model=speaker(gates=gates))) as it, connected(it) as client:
        events = []
        async with closing(client.send_message(says())) as stream:
            async for event in stream:
                events.append(event)
                if event.artifact_update.artifact.parts:
                    break
        assert answer(folded(events)) in ("one ", "one two ")
        async with closing(client.subscribe(pb.SubscribeToTaskRequest(id=events[0].task.id))) as following:
            again = [await anext(following)]
            gates[(0, 2)].set()
            again += [event async for event in following]
        assert answer(folded(again)) == "one two three"


async def events_at(client: httpx.AsyncClient, path: str, body: Any, last: str = "") -> list[tuple[str, Any]]:
    """The events of a stream, each with its id."""
    headers = {"a2a-version": "1.0", **({"last-event-id": last} if last else {})}
    answer = await client.post(f"/a2a/A{path}", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    found: list[tuple[str, Any]] = []
    for block in filter(str.strip, answer.text.replace("\r", "").split("\n\n")):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        payload = json.loads(fields["data"])
        found.append((fields.get("id", ""), ParseDict(payload.get("result", payload), pb.StreamResponse())))
    return found


@pytest.mark.parametrize("path", ["", "/message:stream"])
async def test_a_stream_that_was_cut_goes_on_behind_each_of_its_events(path: str) -> None:
    @tool(risk="safe")
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    script = (("I ", "add. ", ToolCall("c", "add", '{"a": 1, "b": 2}')), ("It ", "is ", "3."))
    agency = Agency(Agent("A", tools=[add]), model=speaker(script), journal=MemoryJournal())
    async with served(agency) as it, it.client() as client:
        body = SAYS if path else {"jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage", "params": SAYS}
        sent_ = await events_at(client, path, body)
        ids = [id for id, _ in sent_]
        assert all(ids)
        assert len(set(ids)) == len(ids)
        whole = folded([event for _, event in sent_])
        assert answer(whole) == "It is 3."
        for place, last in enumerate(ids):
            came = [event for _, event in sent_[: place + 1]]
            again = [event for _, event in await events_at(client, path, body, last)]
            task = folded([*came, *again])
            assert (task.status, answer(task), task.history) == (whole.status, answer(whole), whole.history), last
            assert not any(event.WhichOneof("payload") == "task" for event in again)
            follow = {"jsonrpc": "2.0", "id": 1, "method": "SubscribeToTask", "params": {"id": whole.id}}
            if last != ids[-1]:
                assert [event for _, event in await events_at(client, "", follow, last)] == again
        assert len(await agency.conversations()) == 1


@pytest.mark.parametrize("last", ["x", "none:1", "a/b:", "{id}:x", "{id}:99999999999999999999"])
async def test_what_is_no_events_id_is_refused(last: str) -> None:
    agency = Agency(Agent("A"), model=speaker(), journal=MemoryJournal())
    async with served(agency, authenticate=who) as it, it.client() as client:
        headers = {"a2a-version": "1.0", "x-user": "ada"}
        task = (await client.post("/a2a/A/message:send", json=SAYS, headers=headers)).json()["task"]["id"]
        headers["last-event-id"] = last.format(id=task)
        assert (await client.post("/a2a/A/message:stream", json=SAYS, headers=headers)).status_code in (400, 404)
        headers |= {"x-user": "eve", "last-event-id": f"{task}:1"}
        assert (await client.post("/a2a/A/message:stream", json=SAYS, headers=headers)).status_code == 404
        assert len(await agency.conversations()) == 1


async def test_a_client_that_leaves_ends_the_run_only_where_it_asks_for_that() -> None:
    for left, outcome in (("continue", "one two three"), ("cancel", "RunCancelled")):
        gates = {(0, 1): asyncio.Event()}
        agency = Agency(Agent("A"), model=speaker(gates=gates))
        async with served(agency, on_disconnect=left) as it, connected(it) as client:
            async with closing(client.send_message(says())) as stream:
                run = (await anext(stream)).task.id
            handle = await agency.handle(run)
            if left == "continue":
                gates[(0, 1)].set()
            try:
                said = (await handle.answer(30)).text
            except Exception as error:
                said = type(error).__name__
            assert said == outcome


@tool(risk="risky")
def erase(path: str) -> str:
    """Erase a file."""
    return f"{path} is gone"


def erasing() -> Agency:
    script = ((ToolCall("c", "erase", '{"path": "x"}'),), ("Done.",))
    agent = Agent("A", tools=[erase], autonomy="supervised")
    return Agency(agent, model=speaker(script), journal=MemoryJournal())


@both
@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize(
    ("said", "result"),
    [("Approve.", "x is gone"), ("not that one", "not that one"), ({"yes": True}, "x is gone"), ({"yes": False}, "")],
)
async def test_a_task_waits_for_whoever_has_asked_and_goes_on_as_they_say(
    binding: str, streaming: bool, said: Any, result: str
) -> None:
    agency = erasing()
    async with served(agency, authenticate=who) as it:
        async with connected(it, binding, user="ada", streaming=streaming) as client:
            waits = folded(await sent(client, says("erase x")))
            assert waits.status.state == State.TASK_STATE_INPUT_REQUIRED
            assert "wants to call erase" in waits.status.message.parts[0].text
            (approval,) = MessageToDict(waits.status.message.parts[1].data)["approvals"]
            reply = [pb.Part(text=said)] if isinstance(said, str) else [pb.Part()]
            if isinstance(said, dict):
                data = {"approvals": {approval: said["yes"]}}
                reply[0].data.struct_value.update(data)
            task = folded(await sent(client, says(task_id=waits.id, parts=reply)))
            assert (task.id, task.status.state) == (waits.id, State.TASK_STATE_COMPLETED)
            assert answer(task) == "Done."
        output = (await (await agency.handle(task.id)).answer()).steps[0].calls[0].output
        assert result in output


async def test_a_message_to_a_task_at_work_is_told_to_it() -> None:
    gates = {(0, 0): asyncio.Event()}

    @tool(risk="safe")
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    script = ((ToolCall("c", "add", '{"a": 1, "b": 2}'),), ("3",))
    agency = Agency(Agent("A", tools=[add]), model=speaker(script, gates))
    async with served(agency) as it, connected(it, streaming=False) as client:
        at_once = pb.SendMessageConfiguration(return_immediately=True)
        (begun,) = await sent(client, says("add", configuration=at_once))
        await sent(client, says("quickly", task_id=begun.task.id, configuration=at_once))
        gates[(0, 0)].set()
        handle = await agency.handle(begun.task.id)
        await handle.answer(30)
        assert [one.data["text"] for one in await handle.records() if one.type == "steered"] == ["quickly"]
        with pytest.raises(A2AError, match="is over"):
            await sent(client, says("more", task_id=begun.task.id))


@both
async def test_strangers_find_no_task(binding: str) -> None:
    gates = {(0, 1): asyncio.Event()}
    agency = Agency(Agent("A"), Agent("B"), model=speaker(gates=gates))
    async with served(agency, authenticate=who) as it:
        at_once = pb.SendMessageConfiguration(return_immediately=True)
        async with connected(it, binding, user="ada", streaming=False) as client:
            (begun,) = await sent(client, says(configuration=at_once))
            task = begun.task.id
        async with connected(it, binding, user="eve") as stranger, connected(it, binding, "B", "ada") as elsewhere:
            for client in (stranger, elsewhere):
                with pytest.raises(TaskNotFoundError):
                    await client.get_task(pb.GetTaskRequest(id=task))
                with pytest.raises(TaskNotFoundError):
                    await client.cancel_task(pb.CancelTaskRequest(id=task))
                with pytest.raises(TaskNotFoundError):
                    _ = [event async for event in client.subscribe(pb.SubscribeToTaskRequest(id=task))]
                with pytest.raises(TaskNotFoundError):
                    await sent(client, says(task_id=task))
                assert list((await client.list_tasks(pb.ListTasksRequest())).tasks) == []
            with pytest.raises(A2AError):
                await sent(stranger, says(context_id=begun.task.context_id))


@both
async def test_tasks_are_listed_page_by_page(binding: str) -> None:
    agency = Agency(Agent("A"), model=speaker(), journal=MemoryJournal())
    async with served(agency, authenticate=who) as it, connected(it, binding, user="ada", streaming=False) as client:
        made = [(await sent(client, says(str(number))))[0].task for number in range(3)]
        first = await client.list_tasks(pb.ListTasksRequest(page_size=2, include_artifacts=True))
        assert [task.id for task in first.tasks] == [made[2].id, made[1].id]
        assert (first.total_size, first.page_size) == (3, 2)
        assert answer(first.tasks[0]) == "one two three"
        rest = await client.list_tasks(pb.ListTasksRequest(page_size=2, page_token=first.next_page_token))
        assert ([task.id for task in rest.tasks], rest.next_page_token) == ([made[0].id], "")
        assert not rest.tasks[0].artifacts
        one = await client.list_tasks(pb.ListTasksRequest(context_id=made[1].context_id))
        assert [task.id for task in one.tasks] == [made[1].id]
        none = await client.list_tasks(pb.ListTasksRequest(status=State.TASK_STATE_FAILED))
        assert list(none.tasks) == []
        with pytest.raises(A2AError):
            await client.list_tasks(pb.ListTasksRequest(page_token="x"))


async def test_tasks_are_found_after_a_restart(tmp_path: Any) -> None:
    path = str(tmp_path / "journal.db")
    agencies = [Agency(Agent("A"), model=speaker(), journal=path) for _ in range(2)]
    async with served(agencies[0]) as it, connected(it, streaming=False) as client:
        (response,) = await sent(client, says())
    async with served(agencies[1]) as it, connected(it) as client:
        assert await client.get_task(pb.GetTaskRequest(id=response.task.id)) == response.task


async def test_the_same_key_makes_one_task() -> None:
    async with served(Agency(Agent("A"), model=speaker())) as it, it.client() as client:
        body = {"message": {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": "count"}]}}
        headers = {"a2a-version": "1.0", "idempotency-key": "k"}
        answers = [(await client.post("/a2a/A/message:send", json=body, headers=headers)).json() for _ in range(3)]
        assert len({one["task"]["id"] for one in answers}) == 1, answers


def rpc(method: str, params: Any, version: str = "1.0") -> dict[str, Any]:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return {"content": json.dumps(body), "headers": {"a2a-version": version, "content-type": "application/json"}}


SAYS = {"message": {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": "count"}]}}


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"content": b"{"}, 200, -32700),
        ({"content": b"\xff"}, 200, -32700),
        ({"content": b""}, 200, -32700),
        ({"content": b'{"a": ' + b"[" * 20_000 + b"]" * 20_000 + b"}"}, 200, -32700),
        ({"content": b'{"params": "\\ud800"}'}, 200, -32700),
        ({"content": b" " * 50_000}, 413, -32600),
        (rpc("Nothing", {}), 200, -32601),
        (rpc("SendMessage", {}), 200, -32602),
        (rpc("SendMessage", {"message": {"messageId": "1", "role": "ROLE_USER", "parts": []}}), 200, -32602),
        (rpc("SendMessage", {"message": {**SAYS["message"], "parts": [{"text": " "}]}}), 200, -32602),
        (rpc("SendMessage", {"message": {**SAYS["message"], "role": "ROLE_AGENT"}}), 200, -32602),
        (rpc("SendMessage", {"message": {**SAYS["message"], "contextId": "a/b"}}), 200, -32602),
        (rpc("SendMessage", {"message": {**SAYS["message"], "taskId": "none"}}), 200, -32001),
        (rpc("SendMessage", {"message": {**SAYS["message"], "parts": [{"url": "http://x"}]}}), 200, -32602),
        (rpc("SendMessage", SAYS, "2.0"), 200, -32009),
        (rpc("GetTask", {"id": "none"}), 200, -32001),
        (rpc("GetTask", {"id": "a/b"}), 200, -32001),
        (rpc("CancelTask", {"id": "none"}), 200, -32001),
        (rpc("ListTasks", {"pageSize": 1000}), 200, -32602),
        (rpc("ListTasks", {"status": "done"}), 200, -32602),
        (rpc("GetExtendedAgentCard", {}), 200, -32007),
        (rpc("CreateTaskPushNotificationConfig", {"taskId": "x", "url": "https://x"}), 200, -32003),
    ],
)
async def test_bad_input_has_the_protocols_error_shape(request_: Any, status: int, code: int) -> None:
    async with served(Agency(Agent("A"), model=speaker()), body_limit=45_000) as it, it.client() as client:
        response = await client.post("/a2a/A", **request_)
        assert (response.status_code, response.json()["error"]["code"]) == (status, code), response.text


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "message:send", b"{", 400),
        ("POST", "message:send", b"{}", 400),
        ("GET", "tasks/none", b"", 404),
        ("POST", "tasks/none:cancel", b"", 404),
        ("GET", "tasks?pageSize=x", b"", 400),
        ("GET", "tasks?status=done", b"", 400),
        ("GET", "extendedAgentCard", b"", 400),
        ("POST", "tasks/none/pushNotificationConfigs", b'{"url": "https://x"}', 400),
    ],
)
async def test_bad_input_by_rest_has_its_error_shape(method: str, path: str, body: bytes, status: int) -> None:
    async with served(Agency(Agent("A"), model=speaker())) as it, it.client() as client:
        response = await client.request(method, f"/a2a/A/{path}", content=body, headers={"a2a-version": "1.0"})
        assert (response.status_code, response.json()["error"]["code"]) == (status, status), response.text


@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_protocol_has_no_error_for_is_told_by_http(stream: bool) -> None:
    agency = Agency(Agent("A"), model=speaker(), journal=MemoryJournal())
    ours = {**SAYS["message"], "contextId": "ours"}
    method, path = ("SendStreamingMessage", "message:stream") if stream else ("SendMessage", "message:send")
    async with served(agency, authenticate=who) as it, it.client() as client:
        ada, eve = {"x-user": "ada", "a2a-version": "1.0"}, {"x-user": "eve", "a2a-version": "1.0"}
        assert (await client.post("/a2a/A/message:send", json={"message": ours}, headers=ada)).status_code == 200
        asked = rpc(method, {"message": ours})
        by_rpc = await client.post("/a2a/A", content=asked["content"], headers={**asked["headers"], **eve})
        by_rest = await client.post(f"/a2a/A/{path}", json={"message": ours}, headers=eve)
        assert (by_rpc.status_code, by_rpc.json()["error"]["code"], by_rpc.json()["id"]) == (403, -32600, 1)
        assert (by_rest.status_code, by_rest.json()["error"]["status"]) == (403, "PERMISSION_DENIED")


async def test_what_nobody_expected_is_told_by_its_kind_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*given: Any) -> Any:
        raise OSError("the secret of the house")

    async with served(Agency(Agent("A"), model=speaker())) as it, it.client() as client:
        await client.post("/a2a/A", **rpc("GetTask", {"id": "x"}))
        monkeypatch.setattr("callboard.actors.serving.a2a.handler.tasks_of", broken)
        answers = [
            await client.post("/a2a/A", **rpc("ListTasks", {})),
            await client.get("/a2a/A/tasks", headers={"a2a-version": "1.0"}),
        ]
        assert [one.status_code for one in answers] == [500, 500]
        for one in answers:
            assert "the server failed: OSError" in one.text
            assert "secret" not in one.text
    assert [record.name for record in caplog.records if record.exc_info] == ["callboard", "callboard"]


async def test_nothing_that_a_client_says_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    wrong = {"kind": "message", "messageId": "1", "role": "user", "parts": [{"kind": "x", "text": "my diary"}]}
    old = {"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": {"message": wrong}}
    new = rpc("SendMessage", {"message": {**SAYS["message"], "parts": [{"text": ["my diary"]}]}})
    async with served(Agency(Agent("A"), model=speaker())) as it, it.client() as client:
        assert "error" in (await client.post("/a2a/A", json=old)).json()
        assert "error" in (await client.post("/a2a/A", **new)).json()
        await client.post("/a2a/A/message:send", content=b'{"message": {"parts": [{"my diary": 1}]}}')
    assert not [record for record in caplog.records if record.name.startswith("a2a.")]
    assert "my diary" not in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "nothing", 404), ("GET", "tasks/x/", 404), ("PUT", "", 405), ("DELETE", "message:send", 405)],
)
async def test_where_nothing_is_there_it_is_told_as_all_else(method: str, path: str, status: int) -> None:
    async with served(Agency(Agent("A"), model=speaker())) as it, it.client() as client:
        answer = await client.request(method, f"/a2a/A/{path}".rstrip("/") if not path else f"/a2a/A/{path}")
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
        assert answer.json()["error"]["data" if not path else "details"][0]["domain"] == "callboard"
        assert (status == 404) or answer.headers["allow"]


async def test_who_asks_may_be_said_by_what_ends_the_program() -> None:
    def ends(connection: HTTPConnection) -> Caller | None:
        raise SystemExit(3)

    async with served(Agency(Agent("A"), model=speaker()), authenticate=ends) as it, it.client() as client:
        for path, headers in (("/a2a/A", {}), ("/mcp", {"accept": "application/json, text/event-stream"})):
            answer = await client.post(path, json={}, headers=headers)
            assert answer.status_code == 500
            assert "the server failed: SystemExit" in answer.json()["error"]["message"]


@pytest.mark.parametrize("media", ["text/plain,hello", "image/png;base64,x", "image", "image/png\r\nx: y", "a/b" * 200])
async def test_a_media_type_is_one(media: str) -> None:
    parts = [{"text": "see"}, {"raw": "aGk=", "mediaType": media}]
    agency = Agency(Agent("A"), model=speaker())
    async with served(agency) as it, it.client() as client:
        answer = await client.post("/a2a/A", **rpc("SendMessage", {"message": {**SAYS["message"], "parts": parts}}))
        assert answer.json()["error"]["code"] == -32602
        assert not await agency.conversations()


async def test_what_other_protocols_bring_is_listed_as_far_as_it_goes() -> None:
    agency = Agency(Agent("A"), model=speaker(), journal=MemoryJournal())
    pictures: list[Any] = [Text("half \ud800"), Image("data:image/png,no-base64"), File("data:x;base64,!", "n\ud800")]
    async with served(agency, authenticate=who) as it, it.client() as client:
        await (await agency.start_run((Message("user", tuple(pictures)),), caller=Caller("ada"))).answer(30)
        asked = rpc("ListTasks", {})
        answer = await client.post("/a2a/A", content=asked["content"], headers={**asked["headers"], "x-user": "ada"})
        (task,) = answer.json()["result"]["tasks"]
        assert task["history"][0]["parts"][0]["text"] == "half \ufffd"


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data", ""])
async def test_no_page_of_another_asks_by_what_browsers_send_unasked(kind: str) -> None:
    agency = Agency(Agent("A"), model=speaker())
    async with served(agency) as it, it.client() as client:
        headers = {"a2a-version": "1.0", "content-type": kind, "origin": "https://evil.example"}
        rpc_ = await client.post("/a2a/A", content=rpc("SendMessage", SAYS)["content"], headers=headers)
        rest = await client.post("/a2a/A/message:send", content=json.dumps(SAYS), headers=headers)
        chat = await client.post(
            "/v1/chat/completions",
            content=json.dumps({"model": "A", "messages": [{"role": "user", "content": "count"}]}),
            headers=headers,
        )
        assert [one.status_code for one in (rpc_, rest, chat)] == [415, 415, 415]
        assert rpc_.json()["error"]["code"] == -32005
        assert rest.json()["error"]["status"] == "INVALID_ARGUMENT"
        del headers["content-type"]  # a page that may ask says nothing of a body that it does not send
        assert (await client.post("/a2a/A/tasks/none:cancel", headers=headers)).status_code == 404
        assert not await agency.conversations()


async def test_who_may_not_ask_is_told_so_by_http() -> None:
    agency = Agency(Agent("A"), Agent("B", scope="staff"), model=speaker())
    async with served(agency, authenticate=who) as it, it.client() as client:
        answers = [
            await client.post("/a2a/A", **rpc("SendMessage", SAYS)),
            await client.post("/a2a/B/message:send", json=SAYS, headers={"x-user": "eve"}),
            await client.post("/a2a/C", **rpc("SendMessage", SAYS)),
        ]
        assert [(one.status_code, one.json()["error"]["status"]) for one in answers] == [
            (401, "UNAUTHENTICATED"),
            (403, "PERMISSION_DENIED"),
            (404, "NOT_FOUND"),
        ]
        assert answers[0].headers["www-authenticate"] == "Bearer"


async def test_clients_of_before_1_0_are_answered_too() -> None:
    message = {"kind": "message", "messageId": "1", "role": "user", "parts": [{"kind": "text", "text": "count"}]}
    async with served(Agency(Agent("A"), model=speaker())) as it, it.client() as client:
        body = {"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": {"message": message}}
        task = (await client.post("/a2a/A", json=body)).json()["result"]
        assert (task["kind"], task["status"]["state"]) == ("task", "completed")
        assert task["artifacts"][0]["parts"][0]["text"] == "one two three"


async def test_what_is_told_of_a_server_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "a2a.server.routes", None)
    async with served(Agency(Agent("A"), model=speaker())) as it, it.client() as client:
        for answer in (await client.get("/.well-known/agent-card.json"), await client.post("/a2a/A", json={})):
            assert answer.status_code == 501
            assert "callboard[a2a]" in answer.json()["error"]["message"]


async def test_a_stream_ends_where_the_server_stops_and_has_no_time_left() -> None:
    agency = Agency(Agent("A"), model=speaker(gates={(0, 1): asyncio.Event()}))
    async with (
        served(agency, drain=0.01) as it,
        connected(it) as client,
        closing(client.send_message(says())) as stream,
    ):
        await anext(stream)
        await drain(it.app.state.server)
        async for event in stream:
            assert event.status_update.status.state != State.TASK_STATE_COMPLETED
