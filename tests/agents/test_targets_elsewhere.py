"""Targets on other machines: asked within bounds, patiently where they have too much to do, and never given away."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from callboard import Agency, Agent, Answer, RemoteAgent, WebhookTarget, as_response, handoff
from callboard.actors.agents.errors import AgentUnavailable, DefinitionError
from callboard.actors.agents.handoffs import http_target
from callboard.actors.testing import virtual_time
from callboard.actors.testing.doubles.models import Script, call

from .support import scripted

SECRET = "s3cr3t-path-of-the-hook"


def completion(text: str = "far away") -> httpx.Response:
    return httpx.Response(200, json=dict(as_response(Answer(text, "Far", run="r"))))


def far(replies: list[httpx.Response], **options: Any) -> tuple[RemoteAgent, list[float]]:
    """A remote agent that answers these in order, and when it was asked."""
    asked: list[float] = []

    def serve(request: httpx.Request) -> httpx.Response:
        asked.append(asyncio.get_running_loop().time())
        return replies[len(asked) - 1]

    options = {"api_key": "far-key-12345678", "transport": httpx.MockTransport(serve), **options}
    return RemoteAgent("Far", "https://far.example/v1", **options), asked


@virtual_time
@pytest.mark.parametrize("status", [429, 503])
async def test_a_remote_agent_that_has_too_much_to_do_is_asked_again_when_it_says(status: int) -> None:
    remote, asked = far([httpx.Response(status, headers={"Retry-After": "7"}), httpx.Response(429), completion()])
    async with Agency(remote) as agency:
        assert (await agency.run("?")).text == "far away"
    assert [later - asked[0] for later in asked] == [0, 7, 9]


async def test_half_a_character_reaches_a_target_elsewhere_as_what_stands_for_one() -> None:
    sent: list[bytes] = []

    def serve(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        return completion() if len(sent) == 1 else httpx.Response(200, json={"text": "done"})

    transport = httpx.MockTransport(serve)
    for target in (
        RemoteAgent("Far", "https://far.example/v1", transport=transport),
        WebhookTarget("Hook", "https://far.example/hook", transport=transport),
    ):
        async with Agency(target) as agency:
            assert (await agency.run("half \ud83d, whole \ud83d\ude00")).text
    assert ["half \ufffd, whole 😀" in content.decode() for content in sent] == [True, True]


@virtual_time
async def test_a_remote_agent_that_stays_busy_is_given_up_by_name() -> None:
    remote, asked = far([httpx.Response(429, text="busy")] * http_target.ATTEMPTS)
    async with Agency(remote) as agency:
        with pytest.raises(AgentUnavailable, match="answered 429: busy"):
            await agency.run("?")
    assert len(asked) == http_target.ATTEMPTS


@virtual_time
async def test_it_is_not_waited_for_beyond_its_timeout() -> None:
    remote, asked = far([httpx.Response(429, headers={"Retry-After": "3600"}, text="tomorrow")], timeout=60.0)
    async with Agency(remote) as agency:
        before = asyncio.get_running_loop().time()
        with pytest.raises(AgentUnavailable, match="tomorrow"):
            await agency.run("?")
        assert asyncio.get_running_loop().time() - before < 60
    assert len(asked) == 1


@virtual_time
@pytest.mark.parametrize("status", [500, 503])
async def test_what_may_have_been_done_is_not_asked_for_twice(status: int) -> None:
    remote, asked = far([httpx.Response(status, text="trouble")])
    async with Agency(remote) as agency:
        with pytest.raises(AgentUnavailable, match=f"answered {status}: trouble"):
            await agency.run("?")
    assert len(asked) == 1


async def test_an_address_is_a_target_that_is_called_after_its_host() -> None:
    made = handoff("https://agents.example.com:8443/v1")
    assert (made.target, made.name) == ("agents_example_com", "delegate_to_agents_example_com")
    agents = [Agent(name, handoffs=[handoff("https://agents.example.com/v1")]) for name in ("A", "B")]
    Agency(*agents, model="offline")  # the same for both


@pytest.mark.parametrize("url", ["ftp://x/v1", "https://", "far.example/v1", "https:///v1", 7])
def test_what_is_no_address_of_the_web_is_refused(url: Any) -> None:
    for made in (lambda: RemoteAgent("Far", url), lambda: WebhookTarget("Hook", url)):
        with pytest.raises(DefinitionError, match="begins with https://"):
            made()


def test_no_key_and_no_password_stands_in_a_repr() -> None:
    remote = RemoteAgent("Far", "https://ann:hunter2@far.example/v1?key=hunter2", api_key="far-key-12345678")
    hook = WebhookTarget("Hook", f"https://hooks.example/{SECRET}", headers={"X-Key": "hunter2"})
    assert "hunter2" not in repr(remote)
    assert "far-key" not in repr(remote)
    assert repr(hook) == "<WebhookTarget Hook at hooks.example>"


# -- webhooks, on a real server ----------------------------------------------------------------------------------------


class Workflows:
    """A server of workflows, as n8n and Zapier are: what it was sent, and what it answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.reply: Callable[[BaseHTTPRequestHandler], None] = lambda handler: answer(handler, b'{"text": "done"}')
        self.url = ""


def answer(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def serving() -> Iterator[Workflows]:
    workflows = Workflows()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            workflows.asked.append((self.path, dict(self.headers.items()), json.loads(body)))
            with suppress(OSError):  # the other side has hung up
                workflows.reply(self)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    workflows.url = f"http://127.0.0.1:{server.server_port}/webhook/{SECRET}"
    try:
        yield workflows
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Ticket(BaseModel):
    title: str
    urgent: bool


async def test_a_webhook_is_sent_the_task_and_who_asks_and_answers_in_the_agents_place() -> None:
    with serving() as workflows:
        hook = WebhookTarget("Tickets", workflows.url, headers={"X-Key": "key-of-the-hook"}, description="Files them.")
        a = Agent("A", "a", handoffs=[handoff(hook, input_type=Ticket)])
        arguments = {"message": "file it", "context": "for the printer", "input": {"title": "Ink", "urgent": True}}
        script = Script([call("delegate_to_Tickets", **arguments), "filed"])
        async with Agency(a, model=scripted(script)) as agency:
            answered = await agency.run("?", user="ann@example.com")
    assert (answered.text, answered.chain) == ("filed", ("A → Tickets",))
    assert script.requests[1].messages[-1].text == "done"
    ((path, headers, body),) = workflows.asked
    assert path == f"/webhook/{SECRET}"
    assert headers["X-Key"] == "key-of-the-hook"
    assert headers["Idempotency-Key"] == body["run"]
    assert {name: body[name] for name in ("task", "context", "input", "sender")} == {
        "task": "file it",
        "context": "for the printer",
        "input": {"title": "Ink", "urgent": True},
        "sender": "A",
    }
    assert "ann@example.com" not in str(workflows.asked)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"text": "in a field"}', "in a field"),
        (b'[{"text": "the one item"}]', "the one item"),
        (b'"a JSON text"', "a JSON text"),
        (b"plain text", "plain text"),
        (b'{"status": "success"}', '{"status": "success"}'),
        (b"", ""),
    ],
)
async def test_what_a_webhook_answers_is_its_text_or_its_body(body: bytes, text: str) -> None:
    with serving() as workflows:
        workflows.reply = lambda handler: answer(handler, body)
        async with Agency(WebhookTarget("Hook", workflows.url)) as agency:
            assert (await agency.run("?")).text == text


async def failing(workflows: Workflows, **options: Any) -> str:
    async with Agency(WebhookTarget("Hook", workflows.url, headers={"X-Key": "key-of-the-hook"}, **options)) as agency:
        with pytest.raises(AgentUnavailable) as told:
            await agency.run("?")
    return str(told.value)


async def test_a_webhook_that_redirects_is_not_followed() -> None:
    with serving() as workflows:
        workflows.reply = lambda handler: answer(handler, b"", 302, Location="http://127.0.0.1:1/elsewhere")
        assert "redirects are not followed" in await failing(workflows)
        assert len(workflows.asked) == 1


async def test_a_webhook_that_refuses_is_told_without_the_secrets_that_it_echoes() -> None:
    with serving() as workflows:
        workflows.reply = lambda handler: answer(
            handler, f"not found: {workflows.url} with key-of-the-hook".encode(), 404
        )
        told = await failing(workflows)
    assert "Hook at 127.0.0.1 answered 404: not found" in told
    assert SECRET not in told
    assert "key-of-the-hook" not in told


async def test_a_webhook_that_says_too_much_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_target, "LARGEST", 1000)
    with serving() as workflows:
        workflows.reply = lambda handler: answer(handler, b"x" * 1001)
        assert "answered more than 1000 bytes" in await failing(workflows)


async def test_a_webhook_that_never_answers_is_given_up_in_its_time() -> None:
    go = threading.Event()
    with serving() as workflows:

        def hang(handler: BaseHTTPRequestHandler) -> None:
            go.wait(5)

        workflows.reply = hang
        assert "did not answer within 0.1 seconds" in await failing(workflows, timeout=0.1)
        go.set()


async def test_a_webhook_where_nobody_listens_is_told_by_name_without_its_address() -> None:
    with serving() as workflows:
        pass
    told = await failing(workflows)
    assert "Hook at 127.0.0.1 ConnectError" in told
    assert SECRET not in told


async def test_a_webhook_that_has_too_much_to_do_is_asked_again_under_the_same_key() -> None:
    with serving() as workflows:
        workflows.reply = lambda handler: (
            answer(handler, b"busy", 429, Retry_After="0")
            if len(workflows.asked) < 3
            else answer(handler, b'{"text": "done"}')
        )
        async with Agency(WebhookTarget("Hook", workflows.url)) as agency:
            assert (await agency.run("?")).text == "done"
    assert len({headers["Idempotency-Key"] for _, headers, _ in workflows.asked}) == 1
    assert len(workflows.asked) == 3


async def test_cancelling_a_run_closes_the_connection_to_its_webhook() -> None:
    begun, go = threading.Event(), threading.Event()
    hung_up: list[bytes] = []

    def hang(handler: BaseHTTPRequestHandler) -> None:
        begun.set()
        hung_up.append(handler.connection.recv(1))  # empty once the other side has closed it
        go.set()

    with serving() as workflows:
        workflows.reply = hang
        async with Agency(WebhookTarget("Hook", workflows.url)) as agency:
            run = asyncio.ensure_future(agency.run("?"))
            await asyncio.to_thread(begun.wait, 5)
            run.cancel()
            await asyncio.wait([run])
            assert await asyncio.to_thread(go.wait, 5)
    assert hung_up == [b""]
