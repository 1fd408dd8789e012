"""What goes over the wire by Agent2Agent, word by word: cards, parts, states, errors and what is decided."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from typing import Any

import pytest
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import A2AError

from callboard import Agency, Agent, MemoryJournal, RunStarted
from callboard.actors.agents.errors import RunCancelled
from callboard.providers.messages import Audio, Delta, File, Image, Request, Text, ToolCall
from tests.durable.support import function

from .support import Served, served, speaker
from .test_a2a import State, connected, erase, erasing, says, sent, who
from .test_webhooks import allowed, receiver

HEADERS: Any = {"a2a-version": "1.0"}
AT_ONCE = pb.SendMessageConfiguration(return_immediately=True)


def plain(value: Any, *runs: str) -> Any:
    """What was sent, with names in place of ids, and without times."""
    text = json.dumps(value)
    for at, run in enumerate(runs):
        text = text.replace(run, f"ID{at}")
    text = re.sub(r'"\d{4}-\d\d-\d\dT[0-9:.]+Z"', '"THEN"', text)
    return json.loads(text)


async def rpc(it: Served, method: str, params: Any, headers: dict[str, str] | None = None, agent: str = "A") -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    async with it.client() as client:
        return (await client.post(f"/a2a/{agent}", json=body, headers={**HEADERS, **(headers or {})})).json()


def message(*parts: Any, **more: Any) -> dict[str, Any]:
    return {"message": {"messageId": "m", "role": "ROLE_USER", "parts": list(parts) or [{"text": "count"}], **more}}


@pytest.mark.parametrize("known", [True, False])
async def test_a_card_says_how_an_agent_is_asked(known: bool) -> None:
    agency = Agency(Agent("The-Front", description="Answers."), Agent("Back"), model=speaker())
    options: dict[str, Any] = {"authenticate": who} if known else {}
    async with receiver() as there:
        if known:
            options["webhooks"] = allowed(there)
        async with served(agency, **options) as it, it.client() as client:
            front = (await client.get("/a2a/The-Front/.well-known/agent-card.json")).json()
            back = (await client.get("/a2a/Back/.well-known/agent-card.json")).json()
    bearer = {
        "securitySchemes": {
            "bearer": {
                "httpAuthSecurityScheme": {"scheme": "bearer", "description": "A key or token that you were given."},
                # as it was before 1.0
                "description": "A key or token that you were given.",
                "scheme": "bearer",
                "type": "http",
            }
        },
        "securityRequirements": [{"schemes": {"bearer": {}}}],
    }
    url = f"{it.url}/a2a/The-Front"
    version = front.pop("version")
    assert version
    modes = ["text/plain", "application/json"]
    expected = {
        "name": "The-Front",
        "description": "Answers.",
        "supportedInterfaces": [
            {"url": url, "protocolBinding": binding, "protocolVersion": spoken}
            for spoken in ("1.0", "0.3")
            for binding in ("JSONRPC", "HTTP+JSON")
        ],
        "capabilities": {"streaming": True, "pushNotifications": known, "extendedAgentCard": False},
        "defaultInputModes": [*modes, "image/png", "image/jpeg", "application/pdf", "audio/wav"],
        "defaultOutputModes": modes,
        "skills": [{"id": "The-Front", "name": "The-Front", "description": "Answers.", "tags": ["agent"]}],
        **(bearer if known else {}),
    }
    # What clients of before 1.0 look for stands beside it.
    assert {name: front[name] for name in expected} == expected
    assert (back["description"], back["skills"][0]["description"]) == ("The agent Back.", "Ask Back.")


PARTS: Any = [
    ({"text": "hello"}, Text("hello"), {"text": "hello"}),
    ({"data": {"a": [1, "é"]}}, Text('{"a": [1.0, "é"]}'), {"text": '{"a": [1.0, "é"]}'}),
    (
        {"raw": base64.b64encode(b"png").decode(), "mediaType": "image/png"},
        Image("data:image/png;base64,cG5n"),
        {"raw": "cG5n", "mediaType": "image/png"},
    ),
    (
        {"raw": base64.b64encode(b"wav").decode(), "mediaType": "audio/wav"},
        Audio("data:audio/wav;base64,d2F2"),
        {"raw": "d2F2", "mediaType": "audio/wav"},
    ),
    (
        {"raw": base64.b64encode(b"pdf").decode(), "mediaType": "application/pdf", "filename": "a.pdf"},
        File("data:application/pdf;base64,cGRm", "a.pdf"),
        {"raw": "cGRm", "mediaType": "application/pdf", "filename": "a.pdf"},
    ),
    (
        {"raw": base64.b64encode(b"what").decode()},
        File("data:application/octet-stream;base64,d2hhdA=="),
        {"raw": "d2hhdA==", "mediaType": "application/octet-stream"},
    ),
    (
        {"url": "https://a.example/x.png", "mediaType": "image/png"},
        Image("https://a.example/x.png"),
        {"url": "https://a.example/x.png", "mediaType": "image/*"},
    ),
    (
        {"url": "https://a.example/x", "mediaType": "audio/wav", "filename": "x"},
        File("https://a.example/x", "x"),
        {"url": "https://a.example/x", "filename": "x"},
    ),
]


@pytest.mark.parametrize(("part", "read", "told"), PARTS)
async def test_each_kind_of_part_reaches_the_agent_and_stands_in_the_history(part: Any, read: Any, told: Any) -> None:
    seen: list[Any] = []

    async def model(request: Request) -> str:
        seen.append(request.messages[-1].content)
        return "ok"

    async with served(Agency(Agent("A"), model=function(model))) as it:
        task = (await rpc(it, "SendMessage", message({"text": "See."}, part)))["result"]["task"]
    if isinstance(read, Text):
        assert seen == [f"See.\n{read.text}"]
        assert task["history"][0]["parts"] == [{"text": f"See.\n{read.text}"}]
    else:
        assert seen == [(Text("See."), read)]
        assert task["history"][0]["parts"] == [{"text": "See."}, told]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (message({}), "message.parts[0]: give one of text, raw, url and data"),
        (message({"text": "a"}, {"url": "http://a.example"}), "message.parts[1].url begins with https://"),
        (message({"text": " "}, {"text": "\n"}), "message.parts: it says nothing: give a part with a text"),
        (message(role="ROLE_AGENT"), "message.role: what a client says is the user's: ROLE_USER"),
    ],
)
async def test_what_is_wrong_with_a_message_is_said(given: Any, said: str) -> None:
    async with served(Agency(Agent("A"), model=speaker())) as it:
        error = (await rpc(it, "SendMessage", given))["error"]
        assert (error["code"], error["message"]) == (-32602, said)


async def streamed(it: Served, params: Any, path: str = "message:stream") -> list[Any]:
    async with it.client() as client, client.stream("POST", f"/a2a/A/{path}", json=params, headers=HEADERS) as answer:
        return [json.loads(line[6:]) async for line in answer.aiter_lines() if line.startswith("data: ")]


async def test_the_events_of_a_task_are_word_by_word_those_of_the_protocol() -> None:
    script = ((Delta(reasoning="Hm."), "I look.", ToolCall("c", "erase", '{"path": "x"}')), ("It ", "is gone."))
    agency = Agency(Agent("A", tools=[erase], autonomy="autonomous"), model=speaker(script))
    async with served(agency) as it:
        events = await streamed(it, message(contextId="talk"))
        run = events[0]["task"]["id"]
        about = {"taskId": "ID0", "contextId": "talk"}

        def piece(text: str, append: bool = False, last: bool = False) -> Any:
            artifact = {
                "artifactId": "answer",
                "name": "answer",
                "parts": [{"text": text, "mediaType": "text/plain"}],
            }
            flags = {**({"append": True} if append else {}), **({"lastChunk": True} if last else {})}
            return {"artifactUpdate": {**about, "artifact": artifact, **flags}}

        def state(name: str) -> Any:
            return {"statusUpdate": {**about, "status": {"state": f"TASK_STATE_{name}", "timestamp": "THEN"}}}

        told = plain(events, run)
        task = told[0].pop("task")
        assert task["history"] == [
            {"messageId": "m", "contextId": "talk", "taskId": "ID0", "role": "ROLE_USER", "parts": [{"text": "count"}]}
        ]
        assert task["status"]["state"] in ("TASK_STATE_SUBMITTED", "TASK_STATE_WORKING")
        pieces = [event for event in told[1:] if "artifactUpdate" in event]
        # Those that come in one go are sent in one.
        assert pieces in (
            [piece("I look."), piece("It "), piece("is gone.", True), piece("", True, True)],
            [piece("I look."), piece("It is gone."), piece("", True, True)],
        )
        assert [event for event in told[1:] if "statusUpdate" in event] in (
            [state("WORKING"), state("COMPLETED")],
            [state("COMPLETED")],
        )
        assert told[-1] == state("COMPLETED")
        kept = plain((await rpc(it, "GetTask", {"id": run}))["result"], run)
        assert kept["artifacts"] == [piece("It is gone.")["artifactUpdate"]["artifact"]]
        assert (kept["id"], kept["contextId"], kept["status"]) == (
            "ID0",
            "talk",
            {"state": "TASK_STATE_COMPLETED", "timestamp": "THEN"},
        )
        # Who asks for it by the same key once more is told of the task that is over, and of nothing else.
        headers = {"idempotency-key": "k"}
        first = (await rpc(it, "SendMessage", message(), headers))["result"]["task"]
        async with it.client(headers={**HEADERS, **headers}) as client:
            again = await client.post("/a2a/A/message:stream", json=message())
            lines = [json.loads(line[6:]) for line in again.text.splitlines() if line.startswith("data: ")]
        assert lines == [{"task": first}]


async def test_how_much_of_the_history_is_told_is_for_whoever_asks_to_say() -> None:
    async with served(Agency(Agent("A"), model=speaker()), authenticate=who) as it:
        ada = {"x-user": "ada"}
        sends = {**message(contextId="c"), "configuration": {"historyLength": 0}}
        task = (await rpc(it, "SendMessage", sends, ada))["result"]["task"]
        assert "history" not in task
        async with connected(it, user="ada", streaming=False) as client:
            (late,) = await sent(client, says("more", context_id="c"))
            none = await client.list_tasks(pb.ListTasksRequest(history_length=0))
            assert [len(one.history) for one in none.tasks] == [0, 0]
            whole = await client.list_tasks(pb.ListTasksRequest())
            assert [len(one.history) for one in whole.tasks] == [1, 1]
            assert whole.page_size == 50
            one = await client.list_tasks(pb.ListTasksRequest(history_length=1, page_size=1))
            assert [len(each.history) for each in one.tasks] == [1]
            assert (one.next_page_token, one.total_size) == ("1", 2)
            since = late.task.status.timestamp
            after = await client.list_tasks(pb.ListTasksRequest(status_timestamp_after=since))
            assert not after.tasks
            since.seconds -= 86_400
            assert len((await client.list_tasks(pb.ListTasksRequest(status_timestamp_after=since))).tasks) == 2
        for wrong in ("x", "-1", "1" * 9, "²"):
            error = (await rpc(it, "ListTasks", {"pageToken": wrong}, ada))["error"]
            assert (error["code"], error["message"]) == (-32602, "pageToken: give it as it came")


async def test_tasks_are_listed_by_what_they_are_at() -> None:
    gates = {(1, 0): asyncio.Event()}
    script = ((ToolCall("c", "erase", '{"path": "x"}'),), ("Done.",))
    agency = Agency(Agent("A", tools=[erase], autonomy="supervised"), model=speaker(script, gates))
    async with served(agency, authenticate=who) as it, connected(it, user="ada", streaming=False) as client:

        async def listed(state: Any) -> list[str]:
            return [one.id for one in (await client.list_tasks(pb.ListTasksRequest(status=state))).tasks]

        waits = (await sent(client, says("erase x")))[0].task
        assert await listed(State.TASK_STATE_INPUT_REQUIRED) == [waits.id]
        assert await listed(State.TASK_STATE_WORKING) == []
        assert await listed(State.TASK_STATE_COMPLETED) == []
        await sent(client, says("yes", task_id=waits.id, configuration=AT_ONCE))
        assert await listed(State.TASK_STATE_INPUT_REQUIRED) == []
        gates[(1, 0)].set()
        await (await agency.handle(waits.id)).answer()
        assert await listed(State.TASK_STATE_COMPLETED) == [waits.id]
        async with connected(it, user="ada+", streaming=False) as same:
            assert len((await same.list_tasks(pb.ListTasksRequest())).tasks) == 1


async def test_what_waits_for_a_person_says_what_is_to_be_decided() -> None:
    async with served(erasing(), authenticate=who) as it:
        ada = {"x-user": "ada"}
        task = (await rpc(it, "SendMessage", message(contextId="talk"), ada))["result"]["task"]
        run = task["id"]
        (approval,) = task["status"]["message"]["parts"][1]["data"]["approvals"]
        assert plain(task["status"], approval, run) == {
            "state": "TASK_STATE_INPUT_REQUIRED",
            "timestamp": "THEN",
            "message": {
                "messageId": "ID1-status",
                "contextId": "talk",
                "taskId": "ID1",
                "role": "ROLE_AGENT",
                "parts": [
                    {"text": task["status"]["message"]["parts"][0]["text"]},
                    {
                        "data": {"approvals": {"ID0": {"tool": "erase", "arguments": {"path": "x"}}}},
                        "mediaType": "application/json",
                    },
                ],
            },
        }
        said = task["status"]["message"]["parts"][0]["text"]
        assert said.startswith('The agent A wants to call erase with {"path": "x"}')
        assert said.endswith('\nAnswer "approve", or say why not.')

        async def refused(*parts: Any, **more: Any) -> str:
            error = (await rpc(it, "SendMessage", message(*parts, taskId=run, **more), ada))["error"]
            assert error["code"] == -32602
            return str(error["message"])

        named = 'data: {"approvals": {id: true or false}} says what is approved'
        assert await refused({"data": {"approvals": {}}}) == named
        assert await refused({"data": {"approvals": [approval]}}) == named
        assert await refused({"data": [approval]}) == named
        assert await refused({"data": {"approvals": {"other": True}}}) == "data.approvals: other does not wait for you"
        assert await refused({"data": {"approvals": {approval: "yes"}}}) == (
            f"data.approvals.{approval} is true or false"
        )
        assert await refused({"text": " "}) == "message.parts: it says nothing: approve, or say why not"
        other = "message.contextId is not that of the task that message.taskId names"
        assert await refused({"text": "yes"}, contextId="other") == other
        no = message({"data": {"approvals": {approval: False}}}, {"text": " too dear "}, taskId=run, contextId="talk")
        done = (await rpc(it, "SendMessage", no, ada))["result"]["task"]
        assert done["status"]["state"] == "TASK_STATE_COMPLETED"
        agency = it.app.state.server.agency
        assert "too dear" in (await (await agency.handle(run)).answer()).steps[0].calls[0].output


@pytest.mark.parametrize(
    ("said", "approved"),
    [("yes", True), (" OK! ", True), ("Approved.", True), ("allow\n", True), ("yes, but not now", False)],
)
async def test_only_who_says_yes_and_nothing_else_approves(said: str, approved: bool) -> None:
    async with served(erasing(), authenticate=who) as it:
        ada = {"x-user": "ada"}
        task = (await rpc(it, "SendMessage", message(), ada))["result"]["task"]
        await rpc(it, "SendMessage", message({"text": said}, taskId=task["id"]), ada)
        answer = await (await it.app.state.server.agency.handle(task["id"])).answer()
        assert (answer.steps[0].calls[0].output == "x is gone") is approved


async def test_a_task_that_is_refused_fails_or_is_ended_says_why() -> None:
    async def model(request: Request) -> str:
        raise ValueError("broken")

    async with served(Agency(Agent("A"), model=function(model))) as it:
        failed = (await rpc(it, "SendMessage", message()))["result"]["task"]
    status = plain(failed["status"], failed["id"])
    assert status["state"] == "TASK_STATE_FAILED"
    assert (status["message"]["messageId"], status["message"]["role"]) == ("ID0-status", "ROLE_AGENT")
    assert status["message"]["parts"][1] == {"data": {"code": "run_failed"}, "mediaType": "application/json"}

    gates = {(0, 1): asyncio.Event()}
    async with served(Agency(Agent("A"), model=speaker(gates=gates))) as it:
        begun = await rpc(it, "SendMessage", {**message(), "configuration": {"returnImmediately": True}})
        run = begun["result"]["task"]["id"]
        ended = (await rpc(it, "CancelTask", {"id": run}))["result"]
        assert ended["status"]["state"] == "TASK_STATE_CANCELED"
        assert ended["status"]["message"]["parts"][1]["data"] == {"code": "run_cancelled"}
        again = (await rpc(it, "CancelTask", {"id": run}))["error"]
        assert (again["code"], again["message"]) == (-32002, f"task {run} is over")
        for method, params, said in (
            ("SubscribeToTask", {"id": run}, f"task {run} is over: get it"),
            (
                "SendMessage",
                message(taskId=run),
                f"task {run} is over: give its contextId, without a taskId, to go on with what was said",
            ),
        ):
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            async with it.client() as client:
                text = (await client.post("/a2a/A", json=body, headers=HEADERS)).text
            error = json.loads(text.removeprefix("data: ").strip())["error"]
            assert (error["code"], error["message"]) == (-32004, said)


async def test_another_ones_conversation_and_a_wrong_header_are_refused() -> None:
    async with served(Agency(Agent("A"), model=speaker()), authenticate=who) as it:
        ada, eve = {"x-user": "ada"}, {"x-user": "eve"}
        task = (await rpc(it, "SendMessage", message(), ada))["result"]["task"]
        refused = (await rpc(it, "SendMessage", message(contextId=task["contextId"]), eve))["error"]
        assert "not_allowed" in json.dumps(refused["data"])
        assert refused["code"] not in (-32602, -32001)
        wrong = await rpc(it, "SendMessage", message(), {**ada, "callboard-on-disconnect": "explode"})
        assert wrong["error"]["code"] == -32602
        assert "continue or cancel" in wrong["error"]["message"]


@pytest.mark.parametrize("wish", ["cancel", "continue"])
async def test_who_waits_for_a_task_and_leaves_has_it_ended_where_that_is_asked_for(wish: str) -> None:
    gates = {(0, 0): asyncio.Event()}
    agency = Agency(Agent("A"), model=speaker(gates=gates))
    begun: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    agency.subscribe(lambda event: begun.set_result(event.run) if isinstance(event, RunStarted) else None)
    async with served(agency) as it:
        asking = asyncio.create_task(rpc(it, "SendMessage", message(), {"callboard-on-disconnect": wish}))
        handle = await agency.handle(await begun)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        if wish == "continue":
            gates[(0, 0)].set()
            assert (await handle.answer()).text == "one two three"
        else:
            with pytest.raises(RunCancelled, match="its client has gone"):
                await handle.answer()


async def test_webhooks_of_a_task_are_few_and_are_told_that_it_waits() -> None:
    async with (
        receiver() as there,
        served(erasing(), authenticate=who, webhooks=allowed(there)) as it,
        connected(it, user="ada", streaming=False) as client,
    ):
        waits = (await sent(client, says("erase x")))[0].task
        for number in range(10):
            hook = pb.TaskPushNotificationConfig(url=there.url, task_id=waits.id, id=f"h{number}")
            hook.authentication.scheme, hook.authentication.credentials = "Bearer", "abc"
            made = await client.create_task_push_notification_config(hook)
            assert (made.authentication.scheme, made.authentication.credentials) == ("Bearer", "abc")
        with pytest.raises(A2AError, match="at most 10 webhooks: delete one"):
            await client.create_task_push_notification_config(
                pb.TaskPushNotificationConfig(url=there.url, task_id=waits.id, id="more")
            )
        listed = pb.ListTaskPushNotificationConfigsRequest(task_id=waits.id)
        assert len((await client.list_task_push_notification_configs(listed)).configs) == 10
        named = [(headers["authorization"], json.loads(body)) for headers, body in there.got]
        while not any("INPUT_REQUIRED" in json.dumps(told) for _, told in named):
            await there.until(len(there.got) + 1)
            named = [(headers["authorization"], json.loads(body)) for headers, body in there.got]
        assert {scheme for scheme, _ in named} == {"Bearer abc"}
        (told, *_) = [one for _, one in named if "INPUT_REQUIRED" in json.dumps(one)]
        assert told["statusUpdate"]["status"]["message"]["parts"] == [{"text": "It waits for a person who may decide."}]
        for number in range(10):
            gone = pb.DeleteTaskPushNotificationConfigRequest(task_id=waits.id, id=f"h{number}")
            await client.delete_task_push_notification_config(gone)
        assert not (await client.list_task_push_notification_configs(listed)).configs


async def test_two_agents_have_each_their_own_tasks_and_the_others_are_not_found() -> None:
    agency = Agency(Agent("A"), Agent("B"), model=speaker(), journal=MemoryJournal())
    async with served(agency) as it:
        task = (await rpc(it, "SendMessage", message(), agent="B"))["result"]["task"]
        assert (await rpc(it, "GetTask", {"id": task["id"]}, agent="A"))["error"]["code"] == -32001
        assert (await rpc(it, "GetTask", {"id": task["id"]}, agent="B"))["result"]["id"] == task["id"]
        assert (await rpc(it, "ListTasks", {}, agent="A"))["result"]["tasks"] == []
