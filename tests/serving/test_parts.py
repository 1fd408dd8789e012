"""Pictures, sounds, documents and calls, from and to each protocol; and what is asked for word by word."""

from __future__ import annotations

import json
from typing import Any

import mcp_types as types
import pytest
from acp import helpers

from callboard import Agency, Agent, Caller, Limits, Message, Skill, handoff, http, tool
from callboard.actors.agents.runs.reading.cursor import RunText
from callboard.actors.serving.acp.content import LONGEST, as_message, as_updates, finished, kind_of, result_of, started
from callboard.actors.serving.ag_ui.events import Events
from callboard.actors.serving.ag_ui.inputs import read as read_input
from callboard.actors.serving.openai.chunks import Chunks
from callboard.actors.serving.streams import TextBegunAnew
from callboard.providers.messages import Audio, File, Image, Request, Text, ToolCall
from callboard.tools import ToolResult
from tests.durable.support import call, function, results

from .support import served, speaker
from .test_a2a import who
from .test_ag_ui import ADA, asked, events, interrupts, kinds, pay, resolved, said, shown
from .test_mcp import connected, every_revision
from .test_response_events import Said, completed, ended, record
from .test_who_asks import named

# -- the Agent Client Protocol -----------------------------------------------------------------------------------------


def test_an_editors_blocks_become_a_message() -> None:
    texts = [
        helpers.text_block("look:"),
        helpers.resource_link_block("a.txt", "file:///a.txt"),
        helpers.resource_block(helpers.embedded_text_resource("file:///b.txt", "within")),
    ]
    said = "look:\n[a.txt](file:///a.txt)\nfile:///b.txt:\nwithin"
    assert as_message(texts) == Message("user", said)
    others = [
        helpers.image_block("cG5n", "image/png"),
        helpers.audio_block("d2F2", "audio/wav"),
        helpers.resource_block(helpers.embedded_blob_resource("file:///x/c.pdf", "cGRm", mime_type="application/pdf")),
        helpers.resource_block(helpers.embedded_blob_resource("file:///x/d", "ZA==")),
    ]
    assert as_message([texts[0], *others]) == Message(
        "user",
        (
            Text("look:"),
            Image("data:image/png;base64,cG5n"),
            Audio("data:audio/wav;base64,d2F2"),
            File("data:application/pdf;base64,cGRm", "c.pdf"),
            File("data:application/octet-stream;base64,ZA==", "d"),
        ),
    )


def dumped(update: Any) -> dict[str, Any]:
    told: dict[str, Any] = update.model_dump(mode="json", by_alias=True, exclude_none=True)
    return told


def test_a_history_is_shown_to_an_editor_as_it_was() -> None:
    calls = (ToolCall("c", "read_file", '{"a": 1}'), ToolCall("d", "pay", "no json"))
    history = [
        Message("system", "secret"),
        Message("user", "hello"),
        Message("assistant", "let me see", calls, reasoning="hm"),
        Message("tool", "found", tool_call_id="c"),
        Message("tool", "broken", tool_call_id="d", is_error=True),
        Message("tool", "of nobody", tool_call_id="e"),
        Message("assistant", "", (ToolCall("c", "read_file", ""),)),
        Message("tool", "x" * (LONGEST + 1), tool_call_id="c"),
        Message("assistant", "done"),
    ]

    def text(kind: str, said: str) -> Any:
        return {"sessionUpdate": kind, "content": {"type": "text", "text": said}}

    def begun(id: str, tool: str, kind: str, given: Any) -> Any:
        about = {"sessionUpdate": "tool_call", "toolCallId": id, "title": tool, "status": "in_progress"}
        return {**about, "kind": kind, "rawInput": given}

    def over(id: str, said: str, status: str = "completed") -> Any:
        block = {"type": "content", "content": {"type": "text", "text": said}}
        return {"sessionUpdate": "tool_call_update", "toolCallId": id, "status": status, "content": [block]}

    told = [dumped(update) for update in as_updates(history, "s")]
    expected = [
        text("user_message_chunk", "hello"),
        text("agent_thought_chunk", "hm"),
        text("agent_message_chunk", "let me see"),
        begun("s:c:1", "read_file", "read", {"a": 1}),
        begun("s:d:1", "pay", "other", "no json"),
        over("s:c:1", "found"),
        over("s:d:1", "broken", "failed"),
        begun("s:c:2", "read_file", "read", {}),
        over("s:c:2", "x" * LONGEST + " …"),
        text("agent_message_chunk", "done"),
    ]
    assert [{name: one[name] for name in wanted} for one, wanted in zip(told, expected, strict=True)] == expected
    assert dumped(finished("i", "x" * LONGEST, False))["content"][0]["content"]["text"] == "x" * LONGEST
    assert dumped(started("i", "run", "{}", "pending", "Other"))["title"] == "Other: run"


@pytest.mark.parametrize(
    ("tool", "kind"),
    [
        ("ReadFile", "read"),
        ("write", "edit"),
        ("edit_it", "edit"),
        ("delete", "delete"),
        ("MOVE", "move"),
        ("search", "search"),
        ("find_all", "search"),
        ("grep", "search"),
        ("fetch", "fetch"),
        ("run", "execute"),
        ("shell", "execute"),
        ("pay", "other"),
    ],
)
def test_an_editor_is_told_what_kind_of_thing_a_tool_does(tool: str, kind: str) -> None:
    assert kind_of(tool) == kind


def test_what_came_of_a_call_in_the_editor_is_the_agents() -> None:
    told = result_of(ToolCall("c", "read_file", "{}"), "found", True)
    assert told == Message("tool", "found", tool_call_id="c", name="read_file", is_error=True)


# -- the Model Context Protocol ----------------------------------------------------------------------------------------


@every_revision
async def test_what_a_tool_shows_comes_as_the_protocols_blocks(mode: str) -> None:
    parts = (
        Text("see"),
        Image("data:image/png;base64,cG5n"),
        Audio("data:audio/wav;base64,d2F2"),
        File("data:application/pdf;base64,cGRm", "c.pdf"),
        File("data:;base64,ZA=="),
        File("https://a.example/x.pdf", "x.pdf"),
        Image("https://a.example/y.png"),
        File("https://a.example/z"),
        Image("data:image/png"),
    )

    @tool(risk="safe")
    def show() -> ToolResult:
        """Show."""
        return ToolResult(parts)

    async with served(Agency(Agent("A"), model=speaker()), mcp_tools=[show]) as it, connected(it, mode) as client:
        told = (await client.call_tool("show", {})).content
    assert [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in told] == [
        {"type": "text", "text": "see"},
        {"type": "image", "data": "cG5n", "mimeType": "image/png"},
        {"type": "audio", "data": "d2F2", "mimeType": "audio/wav"},
        {
            "type": "resource",
            "resource": {"uri": "file:///c.pdf", "blob": "cGRm", "mimeType": "application/pdf"},
        },
        {
            "type": "resource",
            "resource": {"uri": "file:///document", "blob": "ZA==", "mimeType": "application/octet-stream"},
        },
        {"type": "resource_link", "name": "x.pdf", "uri": "https://a.example/x.pdf"},
        {"type": "resource_link", "name": "file", "uri": "https://a.example/y.png"},
        {"type": "resource_link", "name": "file", "uri": "https://a.example/z"},
        {"type": "resource_link", "name": "file", "uri": "data:image/png"},
    ]
    assert isinstance(told[0], types.TextContent)


# -- AG-UI -------------------------------------------------------------------------------------------------------------


async def test_what_a_page_sends_beside_text_reaches_the_agent() -> None:
    seen: list[Any] = []

    async def model(request: Request) -> str:
        seen.extend(one.content for one in request.messages)
        return "ok"

    def part(kind: str, value: str, mime: str = "") -> dict[str, Any]:
        source: dict[str, Any] = {"type": "data" if mime else "url", "value": value}
        return {"type": kind, "source": {**source, **({"mimeType": mime} if mime else {})}}

    content = [
        {"type": "text", "text": "See."},
        part("image", "cG5n", "image/png"),
        part("image", "https://a.example/x.png"),
        part("document", "cGRm", "application/pdf"),
        part("document", "https://a.example/x.pdf"),
        part("audio", "d2F2", "audio/wav"),
        part("audio", "https://a.example/x.wav"),
        part("video", "bXA0", "video/mp4"),
        part("image", "file:///etc/passwd"),
        part("image", "data:image/png;base64,cG5n"),
    ]
    history: list[Any] = [
        {"id": "0", "role": "developer", "content": "Be brief."},
        {"id": "1", "role": "user", "content": [part("video", "bXA0", "video/mp4")]},
        {
            "id": "2",
            "role": "assistant",
            "toolCalls": [{"id": "c", "type": "function", "function": {"name": "pick", "arguments": "{}"}}],
        },
        {"id": "3", "role": "tool", "toolCallId": "c", "content": "no", "error": "it failed"},
        {"id": "4", "role": "assistant", "content": "Well."},
        {"id": "5", "role": "user", "content": content},
    ]
    async with served(Agency(Agent("A"), model=function(model))) as it:
        await events(it, {**asked(), "messages": history})
    assert seen[-1] == (
        Text("See."),
        Image("data:image/png;base64,cG5n"),
        Image("https://a.example/x.png"),
        File("data:application/pdf;base64,cGRm"),
        File("https://a.example/x.pdf"),
        Audio("data:audio/wav;base64,d2F2"),
        Image("data:image/png;base64,cG5n"),
    )
    assert "Be brief." in seen
    assert "Well." in seen


@tool(risk="safe")
def look() -> str:
    """Look."""
    return "seen"


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        ({"steps": 5}, 200),
        ({"steps": 5, "tokens": 100_000, "cost": 0.5}, 200),
        ({"steps": "5"}, 400),
        ({"steps": 5.5}, 400),
        ({"steps": True}, 400),
        ({"steps": -1}, 400),
        ({"cost": -0.5}, 400),
        ({"seconds": 5}, 400),
        ([5], 400),
    ],
)
async def test_a_run_that_may_use_no_more_asks_whether_it_may(limits: Any, status: int) -> None:
    script = ((ToolCall("c", "look", "{}"),), ("I see.",))
    agency = Agency(Agent("A", tools=[look], limits=Limits(steps=1, ask=True)), model=speaker(script))
    async with served(agency, authenticate=named("ada")) as it:
        _, found = await interrupts(it)
        (one,) = found
        assert one["reason"] == "callboard:limits"
        assert one["message"] == "What the run may use is spent: may it use more?"
        assert "toolCallId" not in one
        properties = one["responseSchema"]["properties"]
        assert properties["limits"]["properties"]["cost"] == {"type": "number"}
        body = resolved(found, {"approved": True, "limits": limits})
        if status == 200:
            assert said(await events(it, body, ADA)) == "I see."
        else:
            async with it.client(headers=ADA) as client:
                refused = await client.post("/ag-ui/A", json=body)
            assert (refused.status_code, refused.json()["code"]) == (400, "invalid_answer")
            assert refused.json()["where"] == "resume[0].payload.limits"


@pytest.mark.parametrize(
    "payload",
    ["yes", {"approved": 1}, {"approved": True, "editedArgs": 5}, {"approved": True, "reason": 5}, {}],
)
async def test_an_answer_that_is_none_is_refused_and_nothing_is_decided(payload: Any) -> None:
    script = ((ToolCall("p1", "pay", '{"amount": 5}'),), ("done",))
    agency = Agency(Agent("A", tools=[pay]), model=speaker(script))
    async with served(agency, authenticate=named("ada")) as it, it.client(headers=ADA) as client:
        _, found = await interrupts(it)
        (one,) = found
        assert one["message"] == "May pay be called?"
        assert one["responseSchema"]["required"] == ["approved"]
        refused = await client.post("/ag-ui/A", json=resolved(found, payload))
        told = refused.json()
        assert (refused.status_code, told["code"], told["where"]) == (400, "invalid_answer", "resume[0].payload")
        assert len(agency.approvals) == 1


async def test_a_conversation_that_was_given_away_is_answered_by_the_other_agent() -> None:
    async def model(request: Request) -> Any:
        if "You are B" in request.messages[0].text:
            return "B here"
        return "And so on" if results(request) else call("transfer_to_B", "h", message="yours")

    agent = Agent("A", "You are A", handoffs=[handoff(Agent("B", "You are B"), kind="transfer")])
    body = {"model": "A", "messages": [{"role": "user", "content": "x"}], "stream": True}
    async with served(Agency(agent, model=function(model))) as it, it.client() as client:
        sent = await events(it, asked())
        assert said(sent).endswith("B here")
        assert sent[-1][1]["outcome"] == {"type": "success"}
        for index, (id, _) in enumerate(sent):
            assert shown([*sent[: index + 1], *await events(it, asked(), {"last-event-id": id})]) == shown(sent)
        whole = (await client.post("/v1/chat/completions", json={**body, "stream": False})).json()
        assert whole["choices"][0]["message"]["content"] == "B here"
        lines = (await client.post("/v1/chat/completions", json=body)).text.splitlines()
        chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
        told = "".join(one["choices"][0]["delta"].get("content") or "" for one in chunks)
        assert told == "B here"
        asking = {"model": "A", "input": "x", "stream": True}
        text = (await client.post("/v1/responses", json=asking)).text
        deltas = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
        said_there = [one["delta"] for one in deltas if one["type"] == "response.output_text.delta"]
        assert "".join(said_there) == "B here"


def events_made(*items: Any) -> list[dict[str, Any]]:
    made = Events(read_input(asked()), "run", "A", frozenset({"pick"}))
    return [event for item in items for event in made.take(item)]


USED = dict.fromkeys(
    ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"), 1
)


def spoken(text: str, **more: Any) -> Any:
    data = {"text": text, "reasoning": "", "tool_calls": [], "usage": USED, "provider": "p", "model": "m", **more}
    return record("completed", **data)


def test_what_begins_anew_is_told_by_a_snapshot() -> None:
    told = events_made(
        record("accepted", text="?"),
        record("started"),
        RunText("", "Hm", "reasoning"),
        RunText("", "Well", "reasoning", True),
        RunText("", "Once "),
        RunText("", "", "text", True),
        RunText("", "Twice", "text", True),
        spoken("Twice", reasoning="Well"),
    )
    thought, id = "run.1.reasoning", "run.1"
    snapshots = [event["messages"] for event in told if event["type"] == "MESSAGES_SNAPSHOT"]
    question = asked()["messages"][0]
    first, second, third = ([one for one in messages if one["id"] != question["id"]] for messages in snapshots)
    assert first == [{"id": thought, "role": "reasoning", "content": ""}]
    assert second == third == [{"id": id, "role": "assistant", "content": ""}]
    assert [event["delta"] for event in told if "delta" in event] == ["Hm", "Well", "Once ", "Twice"]
    only = [event["type"] for event in told if event["type"] not in ("MESSAGES_SNAPSHOT", "CUSTOM")]
    assert only == [
        "STEP_STARTED",
        "REASONING_START",
        "REASONING_MESSAGE_START",
        "REASONING_MESSAGE_CONTENT",
        "REASONING_MESSAGE_CONTENT",
        "REASONING_MESSAGE_END",
        "REASONING_END",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "STEP_FINISHED",
    ]


def test_what_a_hook_made_of_an_answer_is_told_and_all_that_was_used() -> None:
    calls = [{"id": "c", "name": "add", "arguments": ""}]
    told = events_made(
        record("accepted", text="?"),
        record("started"),
        spoken("Let me see", tool_calls=calls),
        record("completion_failed", error="x", usage=USED, cost=0.0),
        record("condensed", left_out=1, summary="", usage=USED, cost=0.0, notes=[]),
        spoken("It is 3"),
        record("ended", error=None, text="It is three", tool_calls=[]),
    )
    assert told[-2]["type"] == "MESSAGES_SNAPSHOT"
    assert [one.get("content") for one in told[-2]["messages"]][-1] == "It is three"
    unrun = next(event for event in told if event["type"] == "TOOL_CALL_RESULT")
    assert (unrun["toolCallId"], unrun["content"]) == ("c", "the call was not run")
    assert not [event for event in told if event["type"] == "TOOL_CALL_ARGS"]
    counts = {
        "inputTokens": 2,
        "outputTokens": 2,
        "cachedInputTokens": 2,
        "cacheWriteInputTokens": 2,
        "reasoningTokens": 2,
        "totalTokens": 4,
    }
    assert told[-1]["usage"] == [{"provider": "p", "model": "m", **counts}, counts]


def test_calls_within_a_call_are_waited_for_with_it() -> None:
    calls = [{"id": "c", "name": "buy", "arguments": "{}"}]
    begun = (
        record("accepted", text="?"),
        spoken("", tool_calls=calls),
        record("inner_called", call_id="c/1", tool="pay"),
        record("approval_asked", call_id="c/1", approval="a1", expires_at=60.0),
    )
    told = events_made(*begun)
    (found,) = told[-1]["outcome"]["interrupts"]
    assert (found["message"], found["toolCallId"]) == ("May pay be called?", "c/1")
    assert found["expiresAt"] == "1970-01-01T00:01:00+00:00"
    returned = record("tool_returned", call_id="c", content="", is_error=True)
    over = events_made(*begun, returned, spoken("ok"), record("ended", error=None, text="ok", tool_calls=[]))
    assert over[-1]["outcome"] == {"type": "success"}
    (result,) = [event for event in over if event["type"] == "TOOL_CALL_RESULT"]
    assert (result["messageId"], result["content"], result["role"]) == ("run.c", "", "tool")
    denied = events_made(
        record("accepted", text="?"),
        spoken("", tool_calls=calls),
        record("approval_asked", call_id="c", approval="a1", expires_at=None),
        record("approval_decided", call_id="c", approved=False, reason=""),
    )
    assert denied[-1]["content"] == "denied"
    assert ("CUSTOM", "callboard.approval_decided") in [(one["type"], one.get("name")) for one in denied]


def test_calls_of_the_agent_that_a_conversation_was_given_to_are_the_clients() -> None:
    last = {"id": "p", "name": "pick", "arguments": '{"n": 1}'}
    told = events_made(
        record("accepted", text="?"),
        spoken("", tool_calls=[{"id": "h", "name": "transfer_to_B", "arguments": "{}"}]),
        record("handoff_returned", call_id="h", content="B", is_error=False, transferred=True, usage=USED, cost=0.0),
        record("ended", error=None, text="B here", tool_calls=[last]),
    )
    assert told[-1]["outcome"] == {"type": "success", "pendingToolCallIds": ["p"]}
    assert kinds([("", event) for event in told])[-7:-1] == [
        "TOOL_CALL_START",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_END",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
    ]


# -- OpenAI's chat completions -----------------------------------------------------------------------------------------


def chunks(*items: Any, **options: Any) -> list[Any]:
    made = Chunks("r", "A", **options)
    found = [chunk for item in items for chunk in made.take(item)]
    return [json.loads(one) if isinstance(one, str) else one for one in found]


def test_chunks_are_word_by_word_those_of_the_protocol() -> None:
    def chunk(delta: Any, finish: Any = None, **more: Any) -> Any:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {
            "id": "chatcmpl-r",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "A",
            "choices": [choice],
            **more,
        }

    usage = {"usage": {**USED, "input_tokens": 9}, "cost": 0.0, "steps": 2, "seconds": 1.0}
    calls = [{"id": "p", "name": "pick", "arguments": "{}"}, {"id": "q", "name": "pick", "arguments": "[]"}]
    told = chunks(
        record("accepted", text="?"),
        record("started"),
        RunText("", "Hm", "reasoning"),
        RunText("", "One"),
        RunText("", " two"),
        completed(Said("One two")),
        record("approval_asked", call_id="c", approval="a", expires_at=None),
        record("tools_started", call_ids=["c"]),
        RunText("", "Three"),
        completed(Said("Three")),
        record("ended", error=None, text="Other", tool_calls=calls, **usage),
        include_usage=True,
    )
    assert told[:-1] == [
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "Hm"}),
        chunk({"content": "One"}),
        chunk({"content": " two"}),
        chunk({}, callboard={"event": "approval_asked", "call_id": "c", "approval": "a"}),
        chunk({}, callboard={"event": "tools_started"}),
        chunk({"content": "\n\nThree"}),
        chunk({"content": "\n\nOther"}),
        *(
            chunk(
                {
                    "tool_calls": [
                        {
                            "index": at,
                            "id": id,
                            "type": "function",
                            "function": {"name": "pick", "arguments": arguments},
                        }
                    ]
                }
            )
            for at, (id, arguments) in enumerate([("p", "{}"), ("q", "[]")])
        ),
        chunk({}, "tool_calls"),
    ]
    assert (told[-1]["choices"], told[-1]["usage"]["prompt_tokens"]) == ([], 9)
    bare = chunks(record("accepted", text="?"), ended(Said("Only")))
    assert [one["choices"][0]["delta"] for one in bare] == [
        {"role": "assistant", "content": ""},
        {"content": "Only"},
        {},
    ]
    assert bare[-1]["choices"][0]["finish_reason"] == "stop"
    assert chunks(record("ended", error="it broke")) == []


def test_text_that_begins_anew_cannot_be_taken_back() -> None:
    start = record("accepted", text="?")
    with pytest.raises(TextBegunAnew):
        chunks(start, RunText("", "One"), RunText("", "Two", "text", True))
    with pytest.raises(TextBegunAnew):
        chunks(start, RunText("", "One"), RunText("", "Hm", "reasoning", True))
    # While only reasoning was sent, more of it does no harm.
    again = chunks(start, RunText("", "Hm", "reasoning"), RunText("", "Well", "reasoning", True))
    assert [one["choices"][0]["delta"] for one in again][1:] == [
        {"reasoning_content": "Hm"},
        {"reasoning_content": "Well"},
    ]


# -- what agents say of themselves -------------------------------------------------------------------------------------


async def test_models_and_agents_are_described_word_by_word() -> None:
    @http("/orders/{number}", "GET", "PUT", scope="staff")
    async def order(number: int) -> int:
        """An order."""
        return number

    clerk = Agent(
        "Clerk",
        description="Sells.",
        tools=[look],
        skills=[Skill("shop", description="The shop.", routes=[order])],
        owner=Caller("ada"),
        handoffs=[Agent("B", description="Helps.")],
        scope="shop",
    )
    agency = Agency(clerk, Agent("C"), model=speaker())
    async with served(agency, authenticate=who) as it:
        async with it.client(headers={"x-user": "bob+shop,staff"}) as client:
            assert (await client.get("/v1/models")).json() == {
                "object": "list",
                "data": [
                    {"id": "Clerk", "object": "model", "created": 0, "owned_by": "ada", "description": "Sells."},
                    *(
                        {"id": name, "object": "model", "created": 0, "owned_by": "callboard", "description": said}
                        for name, said in (("B", "Helps."), ("C", ""))
                    ),
                ],
            }
            told = (await client.get("/Clerk")).json()
            routes, skills, tools = told.pop("routes"), told.pop("skills"), told.pop("tools")
            assert [(one["name"], one["description"], one["methods"]) for one in routes] == [
                (routes[0]["name"], "An order.", ["GET", "PUT"])
            ]
            assert [(one["name"], one["description"]) for one in skills] == [("shop", "The shop.")]
            assert [(one["name"], one["description"], one["parameters"]["type"]) for one in tools] == [
                ("look", "Look.", "object")
            ]
            assert [one.get("target") for one in told.pop("handoffs")] == ["B"]
            assert told == {
                "name": "Clerk",
                "description": "Sells.",
                "output_type": "text",
                "intents": [],
                "endpoints": {
                    "chat_completions": "/Clerk/chat/completions",
                    "responses": "/Clerk/responses",
                    "a2a": "/a2a/Clerk",
                },
            }
            document = (await client.get("/openapi.json")).json()
            assert document["components"]["securitySchemes"] == {"bearer": {"type": "http", "scheme": "bearer"}}
            assert document["security"] == [{"bearer": []}]
            assert document["servers"] == [{"url": "/"}]
            assert set(document["paths"]["/Clerk/orders/{number}"]) == {"get", "put"}
            posts = [path for path, methods in document["paths"].items() if "post" in methods]
            for path in ("/v1/chat/completions", "/{agent}/chat/completions", "/v1/responses", "/{agent}/responses"):
                asks = document["paths"][path]["post"]
                assert path in posts
                assert asks["requestBody"]["required"] is True
                assert asks["responses"]["200"]["description"] == "As asked."
                assert asks["summary"]
            assert document["paths"]["/agency/agents"]["get"]["parameters"] == [
                {"name": "q", "in": "query", "required": False, "schema": {"type": "string"}}
            ]
            assert document["paths"]["/v1/models/{model}"]["get"]["parameters"] == [
                {"name": "model", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            ]
        async with it.client(headers={"x-user": "eve"}) as client:
            listed = (await client.get("/v1/models")).json()["data"]
            assert "Clerk" not in [one["id"] for one in listed]
            refused = await client.get("/v1/models/Clerk")
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_allowed")
            assert (await client.get("/v1/models/C")).json()["id"] == "C"
