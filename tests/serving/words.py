"""Asks a served agency all kinds of things, one behind the other, and tells what it answers, word by word.

``python -m tests.serving.words`` writes what it answers now into ``words.jsonl``: look at the difference.
The sentences of errors are left out, which are to get better.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from callboard import Agency, Agent, JsonSchema, MemoryJournal, serve, tool
from callboard.providers.messages import Completion, Delta, Message, Request, ToolCall, Usage

from .support import Speaker
from .test_a2a import who

WORDS = Path(__file__).with_name("words.jsonl")
SEE = {"accept": "text/event-stream"}


@tool(risk="safe")
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool(approval="always")
def pay(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"


class Words(Speaker):
    """Says what the question asks for."""

    async def _pieces(self, request: Request) -> Any:
        asked = next(one.text for one in reversed(request.messages) if one.role == "user")
        returned = request.messages[-1].role == "tool"
        call: tuple[ToolCall, ...] = ()
        text, thought = "Done.", ""
        if not returned and "add" in asked:
            text, thought, call = "Let me see.", "Hm, so.", (ToolCall("c1", "add", '{"a": 1, "b": 2}'),)
        elif not returned and "pay" in asked:
            text, call = "", (ToolCall("p1", "pay", '{"amount": 5}'),)
        elif not returned and "pick" in asked:
            text, call = "Choose.", (ToolCall("k1", "pick", '{"n": 1}'),)
        elif "json" in asked:
            text = '{"total": 3}'
        elif "fail" in asked:
            raise ValueError("it broke")
        if thought:
            yield Delta(reasoning=thought)
        if text:
            yield Delta(text)
        message = Message("assistant", text, call, reasoning=thought)
        yield Delta(
            completion=Completion(
                message, "tool_calls" if call else "stop", Usage(10, 5, 4, 3, 2), cost=0.25, model="m"
            )
        )


def agency() -> Agency:
    from callboard.actors import ChildSpec

    schema = JsonSchema({"type": "object", "properties": {"total": {"type": "integer"}}})
    agents = (
        Agent("A", description="Adds.", tools=[add, pay]),
        Agent("Typed", output_type=schema),
        Agent("Staff", scope="staff"),
    )
    return Agency(*agents, model=ChildSpec(Words, ((),), name="model"), journal=MemoryJournal())


def chat(said: Any = "add", /, **more: Any) -> dict[str, Any]:
    return {"model": "A", "messages": [{"role": "user", "content": said}], **more}


def response(said: Any = "add", /, **more: Any) -> dict[str, Any]:
    return {"model": "A", "input": said, **more}


PICK: Any = {"type": "function", "name": "pick", "parameters": {"type": "object"}}
SCHEMA: Any = {"type": "object", "properties": {"total": {"type": "integer"}}}


def asks() -> Iterator[tuple[Any, ...]]:
    """What is asked: a name for the run or response that comes of it, method, path, body and headers."""
    yield from _chat()
    yield from _responses()
    yield from _conversations()
    yield from _operations()
    yield from _others()


def _chat() -> Iterator[tuple[Any, ...]]:
    path = "/v1/chat/completions"
    yield "chat", "POST", path, chat(temperature=0.5, seed=1, strange=1, user="u")
    yield "", "GET", f"{path}/chatcmpl-$chat"
    yield "", "GET", f"{path}/$chat", None, SEE
    yield "", "GET", f"{path}/none"
    picks = {"tools": [{"type": "function", "function": {"name": "pick", "parameters": {"type": "object"}}}]}
    yield "picks", "POST", path, chat("pick", **picks, stream_options={"include_usage": True})
    yield "", "GET", f"{path}/$picks", None, SEE
    form = {"type": "json_schema", "json_schema": {"name": "sum", "schema": SCHEMA}}
    yield "typed", "POST", path, chat("json", response_format=form)
    yield "", "GET", f"{path}/$typed", None, SEE
    yield "", "GET", f"{path}/$typed"
    yield "failed", "POST", path, chat("fail")
    yield "", "POST", "/Typed/chat/completions", chat("json")
    yield "", "POST", "/Staff/chat/completions", chat()
    yield "", "POST", path, chat(callboard={"conversation": "talk"})
    yield "", "POST", path, {"messages": chat()["messages"]}
    for change in (
        {"callboard": 5},
        {"callboard": {"other": 1}},
        {"n": 2},
        {"model": "None"},
        {"stream": "yes"},
        {"stream_options": 5},
        {"stream_options": {"include_usage": "yes"}},
        {"response_format": {"type": "json_schema"}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": 5}}}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": 5, "schema": {}}}},
        {"response_format": {"type": "x"}},
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "function"}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
    ):
        yield "", "POST", path, chat(**change)
    yield "", "POST", path, chat(), {"callboard-on-disconnect": "explode"}
    yield "", "POST", path, chat(), {"last-event-id": "x:1"}
    yield "", "POST", path, chat(stream=True), {"last-event-id": "x"}
    yield "", "GET", f"{path}/$chat", None, {**SEE, "last-event-id": "other:1"}
    yield "", "PUT", path, chat()
    yield "keyed", "POST", path, chat("hello"), {"idempotency-key": "k"}
    yield "", "POST", path, chat("hello", stream=True), {"idempotency-key": "k"}
    yield "", "POST", path, chat("other"), {"idempotency-key": "k"}


def _responses() -> Iterator[tuple[Any, ...]]:
    path = "/v1/responses"
    about = {"metadata": {"a": "b"}, "instructions": "Be brief.", "temperature": 0.5, "tools": [PICK], "strange": 1}
    yield "first", "POST", path, response(**about, reasoning={"effort": "low"}, include=["reasoning.encrypted_content"])
    yield "", "GET", f"{path}/resp_$first"
    yield "", "GET", f"{path}/resp_$first?stream=true"
    yield "", "GET", f"{path}/resp_$first?stream=true&starting_after=12"
    yield "", "GET", f"{path}/resp_$first/input_items"
    yield "picked", "POST", path, response("pick", tools=[PICK], previous_response_id="resp_$first")
    yield "", "GET", f"{path}/resp_$picked?stream=true"
    result = [{"type": "function_call_output", "call_id": "k1", "output": "red"}]
    yield "then", "POST", path, response(result, tools=[PICK], previous_response_id="resp_$picked")
    yield "", "GET", f"{path}/resp_$then/input_items?limit=2&order=asc"
    yield "", "GET", f"{path}/resp_$then/input_items?limit=1&after=none"
    yield "", "GET", f"{path}/resp_$then/input_items?limit=0"
    yield "", "GET", f"{path}/resp_$then/input_items?order=up"
    form = {"format": {"type": "json_schema", "name": "sum", "schema": SCHEMA, "strict": True}, "verbosity": "low"}
    yield "typed_r", "POST", path, response("json", text=form)
    yield "", "GET", f"{path}/resp_$typed_r?stream=true"
    yield "", "POST", path, response("fail")
    yield "stored", "POST", path, response("hello", store=True)
    yield "", "GET", f"{path}/resp_$stored"
    yield "gone", "POST", path, response("hello", store=False)
    yield "", "GET", f"{path}/resp_$gone"
    yield "back", "POST", path, response("hello", background=True)
    yield "", "POST", f"{path}/resp_$first/cancel"
    yield "", "POST", f"{path}/resp_$back/cancel"
    yield "", "GET", f"{path}/resp_none"
    yield "", "GET", f"{path}/none"
    yield "", "GET", f"{path}/resp_$chat"
    yield "", "GET", f"{path}/resp_$first?stream=maybe"
    yield "", "GET", f"{path}/resp_$first?stream=true&starting_after=x"
    yield "", "GET", f"{path}/resp_$first?starting_after=1"
    parts: Any = [
        {"role": "developer", "content": "Be brief."},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Yes?"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "function_call", "call_id": "k9", "name": "pick", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "k9", "output": [{"type": "input_text", "text": "blue"}]},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "hello"},
                {"type": "input_image", "image_url": "https://a.example/x.png"},
                {"type": "input_file", "file_data": "data:application/pdf;base64,cGRm", "filename": "c.pdf"},
            ],
        },
    ]
    yield "many", "POST", path, response(parts)
    yield "", "GET", f"{path}/resp_$many/input_items?order=asc"
    wrongs: Any = (
        {"input": []},
        {"input": 5},
        {"input": [5]},
        {"input": [{"type": "x"}]},
        {"input": [{"role": "x", "content": "y"}]},
        {"input": [{"role": "user"}]},
        {"input": [{"role": "user", "content": [{"type": "x"}]}]},
        {"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
        {"input": [{"type": "function_call", "call_id": "", "name": "x", "arguments": "{}"}]},
        {"input": [{"type": "function_call", "call_id": "x", "name": "x", "arguments": 5}]},
        {"input": [{"type": "function_call_output", "call_id": "x"}]},
        {"prompt": {"id": "x"}},
        {"previous_response_id": "resp_$first", "conversation": "c"},
        {"previous_response_id": "resp_none"},
        {"previous_response_id": "$first"},
        {"background": True, "store": False},
        {"conversation": {"id": ""}},
        {"conversation": 5},
        {"callboard": {"when_busy": "x"}},
        {"callboard": 5},
        {"metadata": {"a": 5}},
        {"include": "x"},
        {"tools": [{"type": "web_search"}]},
        {"tools": 5},
        {"text": {"format": {"type": "json_schema", "schema": 5}}},
        {"text": {"format": 5}},
        {"model": "None"},
        {"model": "Staff"},
    )
    for change in wrongs:
        yield "", "POST", path, {**response(), **change}
    yield "", "POST", path, response(stream=True), {"last-event-id": "x"}
    yield "", "POST", path, response(stream=True), {"last-event-id": "$chat:3-0"}
    yield "", "DELETE", f"{path}/resp_$then"
    yield "", "GET", f"{path}/resp_$then"
    yield "", "DELETE", f"{path}/resp_none"


def _conversations() -> Iterator[tuple[Any, ...]]:
    path = "/v1/conversations"
    items = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "yes"}]
    yield "conv", "POST", path, {"metadata": {"a": "b"}, "items": items}
    yield "", "GET", f"{path}/$conv"
    yield "", "POST", f"{path}/$conv", {"metadata": {"a": "c"}}
    yield "", "GET", f"{path}/$conv/items?order=asc"
    yield "", "POST", f"{path}/$conv/items", {"items": [{"role": "user", "content": "more"}]}
    yield "", "GET", f"{path}/$conv/items?limit=1"
    yield "", "GET", f"{path}/$conv/items/none"
    yield "", "DELETE", f"{path}/$conv/items/none"
    yield "in_conv", "POST", "/v1/responses", response("add", conversation="$conv")
    yield "", "GET", f"{path}/$conv/items?order=asc"
    yield "", "GET", f"{path}/$conv/items"
    yield "", "POST", f"{path}/$conv/items", {"items": []}
    yield "", "POST", f"{path}/$conv/items", {"items": 5}
    yield "", "POST", f"{path}/$conv", {"strange": 1}
    yield "", "POST", f"{path}/$conv", {"metadata": 5}
    for wrong in ({"strange": 1}, {"metadata": 5}, {"metadata": {"a": 5}}, {"items": [{"role": "x"}]}):
        yield "", "POST", path, wrong
    yield "", "GET", f"{path}/none"
    yield "", "DELETE", f"{path}/$conv"
    yield "", "GET", f"{path}/$conv"


def _operations() -> Iterator[tuple[Any, ...]]:
    yield "", "GET", "/healthz"
    yield "", "GET", "/readyz"
    yield "run", "POST", "/agency/runs", {"agent": "A", "input": "add", "conversation": "ops"}
    yield "", "WAIT", "$run"
    yield "", "GET", "/agency/runs/$run"
    yield "", "GET", "/agency/runs/$run/events"
    yield "", "GET", "/agency/runs/$run/events", None, {"last-event-id": "x"}
    yield "", "GET", "/agency/runs/$run/events", None, {"last-event-id": "9" * 20}
    yield "", "HEAD", "/agency/runs/$run/events"
    yield "", "POST", "/agency/runs/$run/cancel"
    yield "", "GET", "/agency/runs?conversation=ops"
    yield "", "GET", "/agency/runs?limit=0"
    yield "", "GET", "/agency/runs?strange=1"
    yield "", "GET", "/agency/conversations/A/ops"
    yield "", "GET", "/agency/conversations/A/none"
    yield "", "GET", "/agency/conversations?agent=Typed"
    yield "", "GET", "/agency/conversations?unfinished=maybe"
    yield "", "GET", "/agency/conversations?limit=x"
    yield "", "POST", "/agency/conversations/A/ops/fork", {"at": 1, "to": "ops2"}
    yield "", "GET", "/agency/conversations/A/ops2"
    yield "", "POST", "/agency/conversations/A/ops/rewind", {"to": 1}
    yield "", "GET", "/agency/conversations/A/ops"
    yield "", "POST", "/agency/conversations/A/ops/rewind", {}
    yield "", "POST", "/agency/conversations/A/ops/rewind", {"to": -1}
    yield "", "POST", "/agency/conversations/A/ops/rewind", {"to": "x"}
    yield "", "POST", "/agency/conversations/A/ops/steer", {"input": "x"}
    yield "", "POST", "/agency/conversations/A/ops/steer", {"input": 5}
    yield "", "DELETE", "/agency/conversations/A/ops2"
    yield "", "GET", "/agency/conversations/A/ops2"
    yield "pays", "POST", "/agency/runs", {"input": "pay", "conversation": "till"}
    yield "", "WAIT", "$pays"
    yield "", "GET", "/agency/runs/$pays"
    yield "approval", "GET", "/agency/approvals"
    yield "", "POST", "/agency/approvals/none/approve", {}
    yield "", "POST", "/agency/approvals/$approval/approve", {"arguments": 5}
    yield "", "POST", "/agency/approvals/$approval/approve", {"arguments": {"amount": "x"}}
    yield "", "POST", "/agency/approvals/$approval/approve", {"limits": {"cost": -1}}
    yield "", "POST", "/agency/approvals/$approval/approve", {"strange": 1}
    yield "", "POST", "/agency/approvals/$approval/approve", {"arguments": {"amount": 3}}
    yield "", "WAIT", "$pays"
    yield "", "GET", "/agency/runs/$pays/events"
    yield "denied", "POST", "/agency/runs", {"input": "pay"}
    yield "", "WAIT", "$denied"
    yield "approval", "GET", "/agency/approvals"
    yield "", "POST", "/agency/approvals/$approval/deny", {"reason": "too dear"}
    yield "", "WAIT", "$denied"
    yield "", "GET", "/agency/runs/$denied/events"
    for body in ({}, {"input": 5}, {"input": "x", "agent": "None"}, {"input": "x", "when_busy": "x"}, {"strange": 1}):
        yield "", "POST", "/agency/runs", body
    yield "", "POST", "/agency/runs", {"input": "x", "conversation": "a/b"}
    yield "", "POST", "/agency/runs", {"input": "x", "webhook": "https://a.example"}
    yield "", "GET", "/agency/runs/none"


def _others() -> Iterator[tuple[Any, ...]]:
    yield "", "GET", "/agency/agents?q=adds"
    yield "", "GET", "/agency/agents?q=zebra"
    yield "", "GET", "/Typed"
    yield "", "GET", "/nothing/there"
    yield "", "GET", "/v1/nothing"
    yield "", "POST", "/healthz"
    ag_ui: Any = {"threadId": "t", "runId": "r1", "state": {}, "messages": [], "tools": [], "context": []}
    ag_ui |= {"forwardedProps": {}, "messages": [{"id": "u1", "role": "user", "content": "add"}]}
    yield "", "POST", "/ag-ui/A", ag_ui
    pays = {**ag_ui, "threadId": "t2", "messages": [{"id": "u1", "role": "user", "content": "pay"}]}
    yield "", "POST", "/ag-ui/A", pays
    wrongs: Any = ({"threadId": 5}, {"threadId": "a/b"}, {"messages": []}, {"runId": ""}, {"tools": [{"name": "add"}]})
    for wrong in wrongs:
        yield "", "POST", "/ag-ui/A", {**ag_ui, **wrong}
    mcp = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    about = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
    heads = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2026-07-28"}
    listing = {**mcp, "params": {"_meta": about}}
    yield "", "POST", "/mcp", listing, {**heads, "mcp-method": "tools/list"}
    for name, given in (("ask_A", {"message": "add"}), ("ask_Typed", {"message": "json"}), ("none", {})):
        params = {"name": name, "arguments": given, "_meta": about}
        called = {**mcp, "method": "tools/call", "params": params}
        yield "", "POST", "/mcp", called, {**heads, "mcp-method": "tools/call", "mcp-name": name}
    yield "", "POST", "/mcp", {"jsonrpc": "1.0"}, heads
    yield "", "GET", "/mcp", None, heads


_SAID = ("content-type", "location", "retry-after", "x-should-retry", "cache-control", "callboard-run")
_TIMES = re.compile(
    r'("(?:at|created|created_at|completed_at|updated_at|timestamp|expires_at|seconds|started_at|ended_at)": )[0-9.]+'
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.+]+Z?"
)
_IDS = re.compile(r"(?:key-)?(?<![0-9a-f])(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?![0-9a-f])")


def _without_sentences(told: Any) -> Any:
    if isinstance(told, list):
        return [_without_sentences(one) for one in told]
    if not isinstance(told, dict):
        return told
    wrong = "code" in told
    return {
        name: "…" if wrong and name in ("message", "detail") else _without_sentences(one) for name, one in told.items()
    }


def _plain(text: str, seen: dict[str, str]) -> str:
    text = _TIMES.sub(lambda found: f"{found[1] or ''}0", text)
    return _IDS.sub(lambda found: seen.setdefault(found[0], f"ID{len(seen)}"), text)


def _body(answer: httpx.Response) -> Any:
    kind = answer.headers.get("content-type", "")
    if kind.startswith("text/event-stream"):
        return [
            json.loads(line.removeprefix("data: ")) if line.startswith("data: {") else line
            for line in answer.text.splitlines()
            if line and not line.startswith(":")
        ]
    return answer.json() if "json" in kind and answer.content else answer.text


async def told() -> list[Any]:
    """What is answered to all that is asked."""
    made = agency()
    app = serve(made, authenticate=who)
    names: dict[str, str] = {}
    seen: dict[str, str] = {}
    found: list[Any] = []

    def named(given: Any) -> Any:
        text = json.dumps(given)
        for name in sorted(names, key=len, reverse=True):
            text = text.replace(f"${name}", names[name])
        return json.loads(text)

    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://a", headers={"x-user": "ada"}, timeout=60) as client,
    ):
        for name, method, path, *more in asks():
            body, headers = [*more, None, None][:2]
            if method == "WAIT":
                handle = await made.handle(named(path))
                while await handle.status() not in ("ended", "failed", "waiting"):  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
                continue
            options = {} if body is None else {"json": named(body)}
            answer = await client.request(method, named(path), headers=named(headers or {}), **options)
            told = _body(answer)
            if name == "approval":
                assert told["approvals"], found[-3:]
                names[name] = told["approvals"][0]["id"]
            elif name:
                id = answer.headers.get("callboard-run") or (told.get("id", "") if isinstance(told, dict) else "")
                names[name] = id.removeprefix("resp_")
            about = {one: answer.headers[one] for one in _SAID if one in answer.headers}
            asked = f"{method} {path}{'' if body is None else ' ' + json.dumps(body)}{headers or ''}"
            entry = {"asked": asked, "status": answer.status_code, "headers": about, "told": _without_sentences(told)}
            found.append(json.loads(_plain(json.dumps(entry, ensure_ascii=False), seen)))
    return found


def written(told: list[Any]) -> str:
    """As it is kept: an answer a line."""
    return "".join(json.dumps(one, ensure_ascii=False, sort_keys=True) + "\n" for one in told)


if __name__ == "__main__":
    WORDS.write_text(written(asyncio.run(told())))
