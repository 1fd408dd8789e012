"""AG-UI over HTTP: looked at by the protocol's own types, and by a validator that nobody here wrote."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from ag_ui.core import Event as AnyEvent
from ag_ui.core import RunAgentInput, UserMessage
from ag_ui_validate.pytest_plugin import assert_valid_agui, assert_valid_agui_endpoint
from pydantic import TypeAdapter

from callboard import Agency, Agent, Caller, Message, tool
from callboard.actors import Actor, ChildSpec
from callboard.actors.journal import MemoryJournal
from callboard.providers.messages import Completion, Delta, Request, ToolCall, Usage
from tests.durable.support import call, function, results

from .support import Served, living, served, speaker
from .test_who_asks import named

EVENTS: TypeAdapter[Any] = TypeAdapter(AnyEvent)
Sent = list[tuple[str, dict[str, Any]]]


def asked(text: str = "count", *, run: str = "r1", thread: str = "t", **more: Any) -> dict[str, Any]:
    """An input as the protocol's own types write it."""
    messages = more.pop("messages", None) or [UserMessage(id="u1", content=text)]
    return RunAgentInput(thread_id=thread, run_id=run, messages=messages, **more).model_dump(mode="json", by_alias=True)


async def events(
    it: Served,
    body: dict[str, Any],
    headers: dict[str, str] | None = None,
    *,
    agent: str = "A",
    most: int | None = None,
) -> Sent:
    """What is sent, each event with its id; all of them are of the protocol."""
    async with it.client() as client:
        return await events_by(client, body, headers or {}, agent=agent, until=lambda sent: len(sent) == most)


async def events_by(
    client: httpx.AsyncClient,
    body: dict[str, Any],
    headers: dict[str, str],
    *,
    agent: str = "A",
    until: Callable[[Sent], bool] = lambda sent: False,
) -> Sent:
    sent: Sent = []
    async with client.stream("POST", f"/ag-ui/{agent}", json=body, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        id = ""
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                id = value
            elif name == "data":
                EVENTS.validate_json(value)
                sent.append((id, json.loads(value)))
                if until(sent):
                    return sent
    return sent


def whole(sent: Sent) -> list[dict[str, Any]]:
    """The events of a whole run: the validator has nothing against them."""
    only = [event for _, event in sent]
    assert_valid_agui(only, max_warnings=0)
    return only


def kinds(sent: Sent) -> list[str]:
    return [event["type"] for _, event in sent]


def shown(sent: Sent, before: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """The messages as a client has them after these events."""
    messages = list(before or [])

    def of(id: str) -> dict[str, Any]:
        return next(one for one in messages if one["id"] == id)

    for _, event in sent:
        kind, id = event["type"], event.get("messageId", "")
        if kind == "TEXT_MESSAGE_START":
            messages.append({"id": id, "role": "assistant", "content": ""})
        elif kind == "TEXT_MESSAGE_CONTENT":
            of(id)["content"] += event["delta"]
        elif kind == "TOOL_CALL_START":
            parent = event["parentMessageId"]
            if parent not in [one["id"] for one in messages]:
                messages.append({"id": parent, "role": "assistant"})
            call = {"id": event["toolCallId"], "type": "function"}
            of(parent).setdefault("toolCalls", []).append(
                {**call, "function": {"name": event["toolCallName"], "arguments": ""}}
            )
        elif kind == "TOOL_CALL_ARGS":
            for one in messages:
                for call in one.get("toolCalls", ()):
                    if call["id"] == event["toolCallId"]:
                        call["function"]["arguments"] += event["delta"]
        elif kind == "TOOL_CALL_RESULT":
            messages.append({"id": id, "role": "tool", "toolCallId": event["toolCallId"], "content": event["content"]})
        elif kind == "MESSAGES_SNAPSHOT":
            new = {one["id"]: dict(one) for one in event["messages"]}
            messages = [new.pop(one["id"]) for one in messages if one["id"] in new] + list(new.values())
    return messages


def said(sent: Sent) -> str:
    return "|".join(one.get("content", "") for one in shown(sent) if one["role"] == "assistant")


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


async def test_a_run_is_sent_as_the_protocols_events() -> None:
    async with served(Agency(Agent("A", tools=[add]), model=speaker(ADDS))) as it:
        sent = await events(it, asked())
        whole(sent)
        assert kinds(sent)[:4] == ["RUN_STARTED", "STEP_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT"]
        assert said(sent) == "Let me see.|It is 3."
        (call,) = shown(sent)[0]["toolCalls"]
        assert call["function"] == {"name": "add", "arguments": '{"a": 1, "b": 2}'}
        assert shown(sent)[1]["content"] == "3"
        last = sent[-1][1]
        assert (last["threadId"], last["runId"], last["outcome"]) == ("t", "r1", {"type": "success"})
        assert last["usage"] == [{"inputTokens": 14, "outputTokens": 10, "totalTokens": 24}]


async def test_the_validator_has_nothing_against_the_endpoint() -> None:
    async with served(Agency(Agent("A", tools=[add]), model=speaker(ADDS))) as it:
        await assert_valid_agui_endpoint(f"{it.url}/ag-ui/A", max_warnings=0)


async def test_what_a_model_thinks_is_told_apart() -> None:
    async def model(request: Request) -> Completion:
        return Completion(Message("assistant", "yes", reasoning="hm"), "stop", Usage(1, 1))

    async with served(Agency(Agent("A"), model=function(model))) as it:
        sent = await events(it, asked())
        whole(sent)
        thought = [event for _, event in sent if event["type"] == "REASONING_MESSAGE_CONTENT"]
        assert [event["delta"] for event in thought] == ["hm"]


async def test_a_stream_that_was_cut_goes_on_behind_any_event() -> None:
    agency = Agency(Agent("A", tools=[add]), model=speaker(ADDS), journal=MemoryJournal())
    async with served(agency) as it:
        first = await events(it, asked())
        again = await events(it, asked())  # the same run, and not another one
        assert again == first
        for index, (id, _) in enumerate(first):
            rest = await events(it, asked(), {"last-event-id": id})
            together = [*first[: index + 1], *rest]
            if index + 1 < len(first):
                whole(together)
            assert shown(together) == shown(first)
            for cut, (again_id, _) in enumerate(rest):  # and behind any event of what it goes on with
                whole([*together[: index + 2 + cut], *await events(it, asked(), {"last-event-id": again_id})])


async def test_only_what_is_new_of_a_history_is_asked() -> None:
    seen: list[Any] = []

    async def model(request: Request) -> str:
        seen.append([(one.role, one.text) for one in request.messages if one.role != "system"])
        return f"answer {len(seen)}"

    async with served(Agency(Agent("A"), model=function(model))) as it:
        first = asked("one")
        history = shown(await events(it, first), first["messages"])
        second = {**first, "runId": "r2", "messages": [*history, {"id": "u2", "role": "user", "content": "two"}]}
        await events(it, second)
        assert seen[-1] == [("user", "one"), ("assistant", "answer 1"), ("user", "two")]
        # A client that has lost the answer, and one that sends what is new only.
        lost = [*history[:1], {"id": "u3", "role": "user", "content": "three"}]
        await events(it, {**first, "runId": "r3", "messages": lost})
        assert seen[-1][-1] == ("user", "three")
        assert len(seen[-1]) == 5
        await events(it, {**first, "runId": "r4", "messages": [{"id": "x", "role": "user", "content": "four"}]})
        assert len(seen[-1]) == 7
        # A client that gives other ids than it was given.
        other = [
            {"id": f"o{number}", "role": role, "content": text}
            for number, (role, text) in enumerate(
                [
                    ("user", "x"),
                    ("assistant", "y"),
                    ("user", "z"),
                    ("assistant", "w"),
                    ("user", "five"),
                    ("user", "six"),
                ]
            )
        ]
        await events(it, {**first, "runId": "r6", "messages": other})
        assert seen[-1][-2:] == [("user", "five"), ("user", "six")]
        assert not {"x", "y", "z", "w"} & {text for _, text in seen[-1]}
        # Asked once more what was answered before.
        await events(it, {**second, "runId": "r5"})
        assert seen[-1] == [("user", "one"), ("assistant", "answer 1"), ("user", "two")]


async def test_a_history_of_somewhere_else_is_taken_over() -> None:
    seen: list[Any] = []

    async def model(request: Request) -> str:
        seen.append([(one.role, one.text) for one in request.messages if one.role != "system"])
        return "ok"

    history: list[Any] = [
        {"id": "1", "role": "user", "content": "a"},
        {"id": "2", "role": "assistant", "content": "b"},
        {"id": "3", "role": "activity", "activityType": "x", "content": {}},
        {"id": "4", "role": "reasoning", "content": "private"},
        {"id": "5", "role": "hologram", "content": "of the future"},
        {"id": "6", "role": "user", "content": [{"type": "text", "text": "c"}, {"type": "smell", "value": "d"}]},
    ]
    async with served(Agency(Agent("A"), model=function(model))) as it:
        await events(it, {"threadId": "t", "runId": "r", "messages": history, "newField": 5})
        assert seen == [[("user", "a"), ("assistant", "b"), ("user", "c")]]


async def test_context_is_told_once_and_state_reaches_tools() -> None:
    seen: list[Any] = []

    async def model(request: Request) -> str:
        seen.append([one.text for one in request.messages if "city" in one.text])
        return "ok"

    context = [{"description": "city", "value": "Oslo"}]
    agency = Agency(Agent("A"), model=function(model))
    async with served(agency) as it:
        body = {**asked(), "context": context, "state": {"page": 3}, "forwardedProps": {"x": None}}
        sent = await events(it, body)
        await events(it, {**asked("more", run="r2"), "context": context})
        assert [len(one) for one in seen] == [1, 1]
        handle = await agency.handle(sent[0][0].rpartition(":")[0])
        about = (await handle.metadata())["ag_ui"]
        assert (about["state"], about["forwardedProps"]) == ({"page": 3}, {"x": None})


async def test_a_tool_of_the_client_is_run_by_the_client() -> None:
    script = ((ToolCall("c1", "pick", '{"n": 1}'), ToolCall("c2", "add", '{"a": 1, "b": 2}')), ("picked",))
    offered = [{"name": "pick", "description": "Pick one."}]
    async with served(Agency(Agent("A", tools=[add]), model=speaker(script))) as it:
        body = {**asked(), "tools": offered}
        sent = await events(it, body)
        last = whole(sent)[-1]
        assert last["outcome"] == {"type": "success", "pendingToolCallIds": ["c1"]}
        assert [event["toolCallId"] for event in whole(sent) if event["type"] == "TOOL_CALL_RESULT"] == ["c2"]
        history = shown(sent, body["messages"])
        result = {"id": "x", "role": "tool", "toolCallId": "c1", "content": "the red one"}
        rest = await events(it, {**body, "runId": "r2", "messages": [*history, result]})
        whole(rest)
        assert said(rest) == "picked"


ADA: Any = {"x-user": "ada"}


async def interrupts(it: Served, **options: Any) -> tuple[Sent, list[dict[str, Any]]]:
    sent = await events(it, asked(), **{"headers": ADA, **options})
    outcome = whole(sent)[-1]["outcome"]
    assert outcome["type"] == "interrupt"
    return sent, outcome["interrupts"]


def resolved(found: list[dict[str, Any]], payload: Any, run: str = "r2", **more: Any) -> dict[str, Any]:
    entries = [{"interruptId": one["id"], "status": "resolved", "payload": payload} for one in found]
    return {**asked(run=run), "resume": entries, **more}


@pytest.mark.parametrize(
    ("payload", "result"),
    [
        (True, "paid 5"),
        ({"approved": True}, "paid 5"),
        ({"approved": True, "editedArgs": {"amount": 3}}, "paid 3"),
        ({"approved": False, "reason": "too dear"}, "too dear"),
        (None, "nobody wanted"),
    ],
)
async def test_a_run_that_waits_for_a_person_ends_and_its_answer_begins_the_next(payload: Any, result: str) -> None:
    async with served(Agency(Agent("A", tools=[pay]), model=speaker(PAYS)), authenticate=named("ada")) as it:
        sent, found = await interrupts(it)
        (one,) = found
        assert (one["reason"], one["toolCallId"]) == ("tool_call", "p1")
        assert "expiresAt" in one
        assert "MESSAGES_SNAPSHOT" in kinds(sent)
        body = resolved(found, payload)
        if payload is None:
            body["resume"][0] = {"interruptId": one["id"], "status": "cancelled"}
        rest = await events(it, body, ADA)
        both = [*whole(sent), *(event for _, event in rest)]
        assert_valid_agui(both, severity_overrides={"AGUI207": "off"}, max_warnings=0)
        assert both[-1]["runId"] == "r2"
        returned = [event for event in both if event["type"] == "TOOL_CALL_RESULT"]
        assert len(returned) == 1
        assert result in returned[0]["content"]
        assert said(rest) == "done"
        for index, (id, _) in enumerate(rest):  # answered once, read as often as one likes
            again = await events(it, body, {**ADA, "last-event-id": id})
            assert shown([*rest[: index + 1], *again]) == shown(rest)
        assert await events(it, body, ADA) == rest
        assert shown(await events(it, asked(), ADA)) == shown(sent)


async def test_an_answer_is_to_one_interrupt_that_was_asked_and_says_nothing_else() -> None:
    agency = Agency(Agent("A", tools=[pay]), model=speaker(PAYS))
    async with served(agency, authenticate=named("ada")) as it, it.client(headers=ADA) as client:
        _, found = await interrupts(it)
        good = resolved(found, True)["resume"][0]
        run, cursor, approval = good["interruptId"].rsplit(":", 2)
        no = {"approved": False}
        typo = {"approved": True, "editArgs": {"amount": 1}}
        wrong = [
            ([good, good], 400, "invalid_answer"),
            ([good, {**good, "payload": no}], 400, "invalid_answer"),
            ([good, {**good, "interruptId": "x"}], 404, "unknown_interrupt"),
            ([good, {**good, "interruptId": f"{run}:{cursor}:other"}], 404, "unknown_interrupt"),
            ([good, {**good, "interruptId": f"other:{cursor}:{approval}"}], 400, "invalid_answer"),
            ([{**good, "interruptId": f"{run}:999999:{approval}"}], 404, "unknown_interrupt"),
            ([{**good, "payload": typo}], 400, "invalid_answer"),
            ([{**good, "payload": {"approved": True, "editedArgs": {"nope": 1}}}], 400, "invalid_arguments"),
        ]
        for entries, status, code in wrong:
            answer = await client.post("/ag-ui/A", json={**asked(run="r2"), "resume": entries})
            assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
            assert answer.json()["where"].startswith("resume[")
        assert len(agency.approvals) == 1
        assert said(await events(it, resolved(found, True), ADA)) == "done"
        late = await client.post("/ag-ui/A", json=resolved(found, no))
        assert (late.status_code, late.json()["code"]) == (409, "already_decided")
        assert said(await events(it, resolved(found, True), ADA)) == "done"  # the same, as often as one likes


async def test_several_interrupts_are_answered_together() -> None:
    script = ((ToolCall("p1", "pay", '{"amount": 1}'), ToolCall("p2", "pay", '{"amount": 2}')), ("done",))
    agency = Agency(Agent("A", tools=[pay]), model=speaker(script))
    async with served(agency, authenticate=named("ada")) as it:
        sent, found = await interrupts(it)
        assert [one["toolCallId"] for one in found] == ["p1", "p2"]
        async with it.client(headers=ADA) as client:
            part = await client.post("/ag-ui/A", json=resolved(found[:1], True))
            assert (part.status_code, part.json()["code"]) == (400, "interrupt_open")
            new = await client.post("/ag-ui/A", json=asked("something else", run="r9"))
            assert (new.status_code, new.json()["code"]) == (409, "interrupt_open")
            wrong = await client.post("/ag-ui/A", json=resolved(found, {"approved": "yes"}))
            assert (wrong.status_code, wrong.json()["where"]) == (400, "resume[0].payload")
        body = resolved(found, True)
        body["resume"][1]["payload"] = {"approved": True, "editedArgs": {"nope": 1}}
        async with it.client(headers=ADA) as client:
            unfit = await client.post("/ag-ui/A", json=body)
            assert (unfit.status_code, unfit.json()["where"]) == (400, "resume[1].payload.editedArgs")
        assert len(agency.approvals) == 2  # nothing is half done
        body["resume"][1]["payload"] = {"approved": False}
        rest = await events(it, body, ADA)
        returned = [event["content"] for _, event in rest if event["type"] == "TOOL_CALL_RESULT"]
        assert "paid 1" in returned
        assert "paid 2" not in returned
        assert said(rest) == "done"
        assert kinds([*sent, *rest]).count("RUN_FINISHED") == 2


async def test_what_another_agent_asks_a_person_interrupts_too() -> None:
    async def model(request: Request) -> Any:
        if any(spec.name == "pay" for spec in request.tools):
            return "done" if results(request) else call("pay", "p1", amount=5)
        return "all done" if results(request) else call("SendMessage", "h1", target_agent="Payer", message="pay")

    front = Agent("A", handoffs=[Agent("Payer", tools=[pay])])
    async with served(Agency(front, model=function(model)), authenticate=named("ada")) as it:
        sent, found = await interrupts(it)
        (one,) = found
        assert one["reason"] == "confirmation"
        assert one["metadata"]["callboard"]["agent"] == "Payer"
        rest = await events(it, resolved(found, True), ADA)
        assert said(rest) == "all done"
        assert ("CUSTOM", "callboard.handoff_returned") in [(e["type"], e.get("name")) for _, e in rest]
        assert shown([*sent, *rest])[-2]["content"] == "done"
        assert await events(it, resolved(found, True), ADA) == rest


async def test_a_run_that_is_cancelled_is_told_so_and_one_that_fails_too() -> None:
    gates = {(0, 1): asyncio.Event()}
    agency = Agency(Agent("A"), Agent("B"), model=speaker(gates=gates))
    async with served(agency) as it:
        reading = asyncio.ensure_future(events(it, asked()))
        run = (await events(it, asked(), most=3))[0][0].rpartition(":")[0]
        await (await agency.handle(run)).cancel()
        sent = await reading
        assert whole(sent)[-1]["outcome"] == {"type": "cancelled"}
        for index, (id, _) in enumerate(sent[:-1]):
            whole([*sent[: index + 1], *await events(it, asked(), {"last-event-id": id})])

    async def model(request: Request) -> str:
        raise ValueError("the secret is 42")

    async with served(Agency(Agent("A"), model=function(model))) as it:
        sent = await events(it, asked())
        assert_valid_agui([event for _, event in sent])
        assert sent[-1][1]["type"] == "RUN_ERROR"
        assert sent[-1][1]["code"]
        assert await events(it, asked(), {"last-event-id": sent[0][0]}) == sent[1:]


class Breaking(Actor):
    """A model that fails in the middle of what it says."""

    def on_receive(self, message: Request) -> Any:
        return self._pieces()

    async def _pieces(self) -> AsyncIterator[Delta]:
        yield Delta("half a sen")
        raise ValueError("broken")


async def test_what_was_said_of_a_completion_that_failed_is_taken_back() -> None:
    async with served(Agency(Agent("A"), model=ChildSpec(Breaking, (), name="model"))) as it:
        sent = await events(it, asked())
        assert_valid_agui([event for _, event in sent], max_warnings=0)
        assert (said(sent), sent[-1][1]["type"]) == ("", "RUN_ERROR")
        assert "usage" not in sent[-1][1]
        for index, (id, _) in enumerate(sent):
            both = [*sent[: index + 1], *await events(it, asked(), {"last-event-id": id})]
            assert_valid_agui([event for _, event in both], max_warnings=0)
            assert said(both) == ""


async def test_a_run_whose_client_leaves_is_cancelled_where_that_is_asked_for_but_not_by_an_interrupt() -> None:
    headers = {**ADA, "callboard-on-disconnect": "cancel"}
    agency = Agency(Agent("A", tools=[pay]), model=speaker(PAYS))
    async with served(agency, authenticate=named("ada")) as it:
        _, found = await interrupts(it, headers=headers)
        assert said(await events(it, resolved(found, True), headers)) == "done"


@pytest.mark.parametrize(
    ("body", "status", "code", "where"),
    [
        (b"{", 400, "not_json", None),
        (b"{}", 400, "invalid_request", "threadId"),
        (json.dumps({**asked(), "threadId": 5}).encode(), 400, "invalid_request", "threadId"),
        (json.dumps({**asked(), "threadId": "a/b"}).encode(), 400, "invalid_request", "threadId"),
        (json.dumps({**asked(), "messages": []}).encode(), 400, "nothing_new", "messages"),
        (json.dumps({**asked(), "messages": [{"role": "user"}]}).encode(), 400, "invalid_request", "messages[0].id"),
        (
            json.dumps({**asked(), "messages": [{"id": "1", "role": "user", "content": [{"type": "text"}]}]}).encode(),
            400,
            "invalid_request",
            "messages[0].content[0].text",
        ),
        (
            json.dumps({**asked(), "messages": [{"id": "1", "role": "assistant", "content": "x"}]}).encode(),
            400,
            "nothing_new",
            "messages",
        ),
        (
            json.dumps({**asked(), "tools": [{"name": "add", "description": "x"}]}).encode(),
            400,
            "invalid_request",
            None,
        ),
        (
            json.dumps({**asked(), "resume": [{"interruptId": "nobody:5:x", "status": "cancelled"}]}).encode(),
            404,
            "unknown_interrupt",
            "resume",
        ),
        (
            json.dumps({**asked(), "resume": [{"interruptId": "of nobody", "status": "cancelled"}]}).encode(),
            404,
            "unknown_interrupt",
            "resume[0].interruptId",
        ),
        (b"1" * 2000, 413, "too_large", None),
    ],
)
async def test_bad_input_is_refused_before_anything_runs(body: bytes, status: int, code: str, where: Any) -> None:
    agency = Agency(Agent("A", tools=[add]), model=speaker())
    begun: list[Any] = []
    agency.subscribe(begun.append)
    async with served(agency, body_limit=1500) as it, it.client() as client:
        answer = await client.post("/ag-ui/A", content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert (answer.json()["type"], answer.json().get("where")) == ("RUN_ERROR", where)
        assert (await client.post("/ag-ui/B", json=asked())).status_code == 404
        assert not begun
        for wrong in ("x", "x:y:z", ":1", "run:1", "other:1+999999999"):
            answer = await client.post("/ag-ui/A", json=asked(), headers={"last-event-id": wrong})
            assert answer.status_code in (400, 404)
        assert not begun


async def test_strangers_are_refused() -> None:
    agency = Agency(Agent("A", tools=[pay]), Agent("B"), model=speaker(PAYS))
    async with served(agency, authenticate=[named("ada"), named("eve")]) as it, it.client() as client:
        ada, eve = {"x-user": "ada"}, {"x-user": "eve"}
        assert (await client.post("/ag-ui/A", json=asked())).status_code == 401
        sent, found = await interrupts(it, headers=ada)
        for body, headers in (
            (asked("mine", run="r7"), eve),
            (resolved(found, True), eve),
            (asked(), {**eve, "last-event-id": sent[0][0]}),
        ):
            answer = await client.post("/ag-ui/A", json=body, headers=headers)
            assert (answer.status_code, answer.json()["type"]) == (403, "RUN_ERROR"), answer.text
        assert len(agency.approvals) == 1
        other = await client.post("/ag-ui/A", json=resolved(found, True, thread="u") | {"threadId": "u"}, headers=ada)
        assert other.status_code == 400
        reused = await client.post("/ag-ui/A", json=asked("another"), headers=ada)
        assert (reused.status_code, reused.json()["code"]) == (422, "run_id_reused")
        assert said(await events(it, resolved(found, True), ada)) == "done"
        assert not agency.approvals
        assert Caller("ada") == (await agency.conversation("t", agent="A")).caller


BEARER: Any = {"authorization": "Bearer ada"}


async def test_a_stream_survives_the_death_of_its_server_and_takes_back_what_was_not_said(tmp_path: Path) -> None:
    body = asked("wait")
    async with living(tmp_path / "j.db", 1) as (address, process):
        async with httpx.AsyncClient(base_url=f"http://{address}", timeout=60) as client:
            begun = await events_by(client, body, BEARER, until=lambda sent: said(sent) == "life 1 ")
        process.kill()
        await process.wait()
    async with (
        living(tmp_path / "j.db", 2) as (address, _),
        httpx.AsyncClient(base_url=f"http://{address}", timeout=60) as client,
    ):
        rest = await events_by(client, body, {**BEARER, "last-event-id": begun[-1][0]})
        both = [*begun, *rest]
        whole(both)
        assert said(both) == "life 2 says it"
        ids = [event["messageId"] for _, event in both if event["type"].startswith("TEXT_MESSAGE")]
        assert len(set(ids)) == 1
        for index, (id, _) in enumerate(both):
            again = await events_by(client, body, {**BEARER, "last-event-id": id})
            assert said([*both[: index + 1], *again]) == "life 2 says it"
        assert said(await events_by(client, body, BEARER)) == "life 2 says it"


async def test_an_interrupt_is_answered_in_another_life_of_the_server(tmp_path: Path) -> None:
    async with (
        living(tmp_path / "j.db", 1) as (address, process),
        httpx.AsyncClient(base_url=f"http://{address}", timeout=60) as client,
    ):
        sent = await events_by(client, asked("pay"), BEARER)
        process.kill()
        await process.wait()
    found = whole(sent)[-1]["outcome"]["interrupts"]
    async with (
        living(tmp_path / "j.db", 2) as (address, _),
        httpx.AsyncClient(base_url=f"http://{address}", timeout=60) as client,
    ):
        rest = await events_by(client, resolved(found, True), BEARER)
        assert said(rest) == "life 2 says it"
        assert [e["content"] for _, e in rest if e["type"] == "TOOL_CALL_RESULT"] == ["paid 5 in life 2"]
