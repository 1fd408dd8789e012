"""What is small and counts all the same: bounds, defaults, and what is kept of keys, tokens and bodies."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, ApiKeys, MemoryJournal, RequestLimit, ToolContext, tool
from callboard.actors.agents.errors import DefinitionError
from callboard.actors.journal.store import at_hand
from callboard.actors.serving import requests, serve
from callboard.actors.serving.operations.worker import listening_on
from callboard.providers.messages import Delta, ToolCall

from .support import served, speaker
from .test_mcp import connected, every_revision
from .test_realtime import ADA, PAYS, Told, ends, pay, talking, who

ASKED: Any = {"model": "A", "messages": [{"role": "user", "content": "count"}]}


# -- bodies ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("text/json", 200),
        ("application/x+json", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/jsonx", 415),
    ],
)
async def test_a_body_is_json_where_it_says_so(kind: str, status: int) -> None:
    async with served(Agency(Agent("A"), model=speaker())) as it, it.client() as client:
        answer = await client.post("/v1/chat/completions", content=json.dumps(ASKED), headers={"content-type": kind})
        assert answer.status_code == status
        if status == 415:
            assert answer.json()["error"]["code"] == "not_json"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
async def test_what_is_no_number_in_json_is_refused(number: str) -> None:
    async with served(Agency(Agent("A"), model=speaker())) as it, it.client() as client:
        body = json.dumps(ASKED)[:-1] + f', "temperature": {number}}}'
        answer = await client.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "not_json")


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("pieces", [1, 2])
async def test_a_body_may_have_as_many_bytes_as_it_may_and_not_one_more(more: int, pieces: int) -> None:
    body = json.dumps(ASKED).encode()
    half = len(body) // 2

    async def sent() -> Any:
        yield body[:half]
        yield body[half:]

    async with served(Agency(Agent("A"), model=speaker()), body_limit=len(body) - more) as it, it.client() as client:
        content: Any = sent() if pieces == 2 else body
        answer = await client.post(
            "/v1/chat/completions", content=content, headers={"content-type": "application/json"}
        )
        assert answer.status_code == (413 if more else 200)


async def _sent(*came: Any) -> tuple[Any, Any]:
    """What is answered to a request of which this comes, and then nothing."""
    left = list(came)
    sent: list[Any] = []

    async def receive() -> Any:
        return left.pop(0) if left else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": [], "query_string": b""}
    scope |= {"http_version": "1.1", "scheme": "http", "root_path": "", "server": ("a", 80), "client": ("b", 1)}
    app = serve(Agency(Agent("A"), model=speaker()))
    async with app.router.lifespan_context(app):
        await app(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return (sent[0]["status"], json.loads(sent[1]["body"])["error"]["code"]), headers


async def test_a_body_that_does_not_come_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "BODY_TIMEOUT", 0.01)
    told, headers = await _sent({"type": "http.request", "body": b"{", "more_body": True})
    assert told == (408, "too_slow")
    assert (headers["connection"], headers["retry-after"]) == ("close", "1")


async def test_a_body_that_ends_before_its_end_is_cut_short() -> None:
    told, _ = await _sent({"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"})
    assert told == (400, "cut_short")


# -- keys --------------------------------------------------------------------------------------------------------------


async def test_a_key_that_was_revoked_is_over_and_one_that_was_not_is_not(tmp_path: Path) -> None:
    journal = MemoryJournal()
    keys = ApiKeys(journal)
    await keys.add(user="ada", name="one")
    await keys.add(user="bob", name="two")
    assert len(await at_hand(journal.headers(prefix="callboard.keys.", unfinished=True))) == 2
    await keys.revoke("one")
    await keys.revoke("one")
    left = await at_hand(journal.headers(prefix="callboard.keys.", unfinished=True))
    assert [header.name for header in left] == ["callboard.keys.two"]
    (events,) = [
        [record.event for record in await at_hand(journal.read("callboard.keys.one"))],
    ]
    assert sum("revoked_at" in event for event in events) == 1


@pytest.mark.parametrize(
    ("name", "fits"),
    [("a", True), ("a-1", True), ("a" * 48, True), ("a" * 49, False), ("-a", False), ("A", False), ("a_b", False)],
)
async def test_a_key_has_a_short_name_of_small_letters(name: str, fits: bool) -> None:
    keys = ApiKeys(MemoryJournal())
    if fits:
        assert (await keys.add(user="ada", name=name)).startswith(f"cb_{name}_")
    else:
        with pytest.raises(DefinitionError):
            await keys.add(user="ada", name=name)


# -- a WebSocket -------------------------------------------------------------------------------------------------------


async def test_what_a_run_tells_over_a_websocket_is_word_by_word_the_same() -> None:
    agency = Agency(Agent("A", tools=[pay]), model=speaker(((Delta(reasoning="Hm."), *PAYS[0]), PAYS[1])))
    async with served(agency, authenticate=who) as it, talking(it.url, **ADA) as client:
        await client.hear()
        await client.say("ask", input="pay", conversation="c", id="q")
        heard = await client.until(lambda told: told.get("event") == "approval_asked")
        run = heard[0]["run"]
        approval = heard[-1]["data"]["approval"]
        assert heard[0] == {"type": "accepted", "id": "q", "run": run, "agent": "A", "conversation": "c"}
        about = {"type": "event", "run": run}
        for told in heard[1:]:
            if told["type"] == "event":
                assert told | about == told
                assert told.keys() == {"type", "run", "cursor", "event", "at", "data"}
            elif told["type"] == "text":
                assert told.keys() == {"type", "run", "cursor", "kind", "text"}
                assert (told["kind"], told["text"]) == ("reasoning", "Hm.")
        await client.say("approvals", id=3)
        (waits,) = [told for told in await client.until(lambda told: told.get("id") == 3) if told.get("id") == 3]
        (one,) = waits["approvals"]
        assert one.pop("expires_at") > 0
        assert one.pop("why") is not None
        assert one == {"approval": approval, "run": run, "agent": "A", "tool": "pay", "arguments": '{"amount": 5}'}
        for wrong in ({"steps": True}, {"steps": 1.5}, {"tokens": "1"}, {"cost": -1}, {"seconds": 1}):
            await client.say("approve", approval=approval, limits=wrong, id=4)
            told = (await client.until(lambda told: told.get("id") == 4))[-1]
            assert (told["type"], told["code"], told["where"], told["status"]) == (
                "problem",
                "invalid_field",
                "limits",
                400,
            )
        await client.say("approve", approval=approval, arguments={"amount": 3})
        rest = await client.until(ends)
        returned = [told["data"]["content"] for told in rest if told.get("event") == "tool_returned"]
        assert returned == ["paid 3"]
        assert rest[-1]["data"]["text"] == "done"


@pytest.mark.parametrize(
    ("id", "fits"),
    [("x" * 100, True), ("x" * 101, False), (7, True), (10**99, True), (10**100, False), (True, False), (1.5, False)],
)
async def test_the_id_of_a_message_is_short(id: Any, fits: bool) -> None:
    async with served(Agency(Agent("A"), model=speaker())) as it, talking(it.url) as client:
        await client.hear()
        await client.say("ping", id=id)
        told: Told = await client.hear()
        assert (told["type"], told.get("id")) == (("pong", id) if fits else ("problem", None))
        await client.say("ping", strange=1, id=1)
        told = await client.hear()
        assert (told["code"], told["where"], told["id"]) == ("unknown_field", "strange", 1)


async def test_a_run_that_is_told_over_a_websocket_is_answered_until_its_end() -> None:
    gates = {(0, 1): asyncio.Event()}
    limits = [RequestLimit("user", concurrent=1)]
    agency = Agency(Agent("A"), model=speaker(gates=gates))
    async with served(agency, authenticate=who, limits=limits) as it, talking(it.url, **ADA) as client:
        await client.hear()
        await client.say("ask", input="count")
        await client.until(lambda told: told["type"] == "accepted")
        await client.say("ask", input="more", id="second")
        told = (await client.until(lambda told: told.get("id") == "second"))[-1]
        assert (told["type"], told["code"]) == ("problem", "quota_exceeded")
        gates[(0, 1)].set()
        await client.until(ends)
        await client.say("ask", input="more", id="third")
        told = (await client.until(lambda told: told.get("id") == "third"))[-1]
        assert told["type"] == "accepted"
        await client.until(ends)


# -- how far it is -----------------------------------------------------------------------------------------------------


@every_revision
async def test_how_far_a_tool_is_always_grows(mode: str) -> None:
    @tool(risk="safe")
    async def work(context: ToolContext[Any]) -> str:
        """Work."""
        for text, fraction in (("a", None), ("b", None), ("", None)):
            context.progress(text, fraction=fraction)
        return "done"

    @tool(risk="safe")
    async def parts(context: ToolContext[Any]) -> str:
        """Work in parts."""
        for fraction in (0.25, None, 0.5, 0.5, 0.1):
            context.progress("x", fraction=fraction)
        return "done"

    heard: list[tuple[float, float | None, str | None]] = []

    async def told(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    agency = Agency(Agent("A"), model=speaker())
    async with served(agency, mcp_tools=[work, parts]) as it, connected(it, mode) as client:
        await client.call_tool("work", {}, progress_callback=told)
        assert heard == [(1.0, None, "a"), (2.0, None, "b"), (3.0, None, None)]
        heard.clear()
        await client.call_tool("parts", {}, progress_callback=told)
        assert [total for _, total, _ in heard] == [1.0] * 5
        at = [progress for progress, _, _ in heard]
        assert (at[0], at[2]) == (0.25, 0.5)
        assert at == sorted(set(at))
        assert at[-1] < 0.51


async def test_each_step_of_a_run_is_told_to_who_wants_to_know() -> None:
    @tool(risk="safe")
    def look() -> str:
        """Look."""
        return "seen"

    heard: list[tuple[float, str | None]] = []

    async def told(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message))

    script = ((ToolCall("c", "look", "{}"),), ("Seen.",))
    async with served(Agency(Agent("A", tools=[look]), model=speaker(script))) as it, connected(it) as client:
        await client.call_tool("ask_A", {"message": "look"}, progress_callback=told)
        said = ["at work", "the model has answered", "tools are at work", "a tool has its result"]
        assert heard[:4] == list(enumerate(said, 1))


# -- a port ------------------------------------------------------------------------------------------------------------


def test_a_port_is_listened_on_also_right_after_another_server_has_ended() -> None:
    one = listening_on("127.0.0.1", 0)
    port = one.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port)) as client:
        accepted, _ = one.accept()
        accepted.close()  # the end of the connection is the server's to remember
        assert client.recv(1) == b""
        one.close()
    again = listening_on("127.0.0.1", port)
    assert again.getsockname() == ("127.0.0.1", port)
    with again, pytest.raises(OSError, match="in use"):
        listening_on("127.0.0.1", port)
