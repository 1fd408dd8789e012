"""The skill ``webhooks``: what is sent is signed, and comes to a server on this machine as it went out."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, cast

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard import (
    Agency,
    Agent,
    ConfigError,
    DefinitionError,
    Webhook,
    WebhookRefused,
    WebhookTarget,
    load_team,
    sign_webhook,
    verify_webhook,
)
from callboard.actors.agents.skills.builtin.webhooks import webhooks_skill
from callboard.actors.testing import Crash, Simulation, run_virtual, simulate
from callboard.actors.testing.doubles.models import Script, call
from tests.agents.support import function, results, scripted

from .support import used

SECRET = f"whsec_{base64.b64encode(b'a secret of twenty-four').decode()}"


class Receiver:
    """A server that keeps what it is sent."""

    def __init__(self, status: int = 200, answer: bytes = b'{"text": "started"}') -> None:
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.answers = [(status, answer)]


@contextmanager
def listening(receiver: Receiver) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.received.append(({name.lower(): value for name, value in self.headers.items()}, body))
            status, answer = receiver.answers[min(len(receiver.received), len(receiver.answers)) - 1]
            self.send_response(status)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *given: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook/s3cr3ts3cr3t"
        finally:
            server.shutdown()


async def test_what_is_sent_is_signed_as_others_verify_it() -> None:
    receiver = Receiver()
    with listening(receiver) as url:
        skill = webhooks_skill(Webhook("report", url, "Send a report.", SECRET, headers={"X-Key": "k"}))
        result = await used(skill, "report", data={"text": "tea — ☕", "count": 3})
    assert result.text == '{"text": "started"}'
    (headers, body), *others = receiver.received
    assert not others
    assert json.loads(body) == {"text": "tea — ☕", "count": 3}
    assert (headers["content-type"], headers["x-key"]) == ("application/json", "k")
    assert verify_webhook(SECRET, headers, body) == headers["webhook-id"] == headers["idempotency-key"]
    client = openai.OpenAI(api_key="none")
    client.webhooks.verify_signature(body.decode(), headers, secret=SECRET)
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.verify_signature(f"{body.decode()} ", headers, secret=SECRET)


async def test_the_same_call_has_the_same_id_and_another_one_another() -> None:
    receiver = Receiver()
    with listening(receiver) as url:
        skill = webhooks_skill(Webhook("report", url))
        for call_id in ("c1", "c1", "c2"):
            await used(skill, "report", call_id=call_id, data={})
        # Some vendors give each call of a run one id.
        script = Script([call("report", "call_0", data={}), call("report", "call_0", data={}), "done"])
        async with Agency(Agent("A", skills=[skill]), model=scripted(script)) as agency:
            await agency.run("?")
    ids = [headers["idempotency-key"] for headers, _ in receiver.received]
    assert ids[0] == ids[1]
    assert len(ids) == 5
    assert len(set(ids)) == 4
    assert "webhook-signature" not in receiver.received[0][0], "without a secret nothing is signed"


async def test_a_schema_says_what_it_is_told() -> None:
    receiver = Receiver()
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    with listening(receiver) as url:
        skill = webhooks_skill(Webhook("weather", url, parameters=schema))
        assert "city" in (await used(skill, "weather", town="Bern")).text
        await used(skill, "weather", city="Bern")
    assert [json.loads(body) for _, body in receiver.received] == [{"city": "Bern"}]


async def test_what_refuses_is_told_without_the_address_the_secret_or_a_key() -> None:
    receiver = Receiver(500, b"no: k3yk3yk3y s3cr3ts3cr3t")
    with listening(receiver) as url:
        webhook = Webhook("report", url, secret="secret-of-ours", headers={"X-Key": "k3yk3yk3y"})
        skill = webhooks_skill(webhook)
        refused = await used(skill, "report", data={})
    gone = await used(skill, "report", data={})
    assert "answered 500" in refused.text
    for text in (refused.text, gone.text, repr(webhook), repr(skill)):
        assert "k3yk3yk3y" not in text
        assert "secret-of-ours" not in text
    assert "s3cr3ts3cr3t" not in f"{gone.text}{webhook!r}{skill!r}"
    assert gone.is_error


def test_one_that_is_busy_is_asked_again_with_the_same_id() -> None:
    ids: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        ids.append(request.headers["webhook-id"])
        return httpx.Response(429 if len(ids) == 1 else 200, text="done")

    async def scenario() -> None:
        skill = webhooks_skill(Webhook("report", "http://x", secret=SECRET), transport=httpx.MockTransport(answer))
        assert (await used(skill, "report", data={})).text == "done"

    run_virtual(scenario())
    assert len(ids) == 2
    assert len(set(ids)) == 1


@given(st.text(min_size=1), st.text(min_size=1, max_size=20), st.binary(max_size=200), st.integers(0, 10**10))
def test_what_one_signs_the_other_verifies_and_nothing_else(secret: str, name: str, body: bytes, at: int) -> None:
    secret = f"s{secret.encode('utf-8', 'replace').decode()}"
    headers = sign_webhook(secret, name, body, now=at)
    assert verify_webhook(secret, headers, body, now=at) == name
    rotated = {**headers, "webhook-signature": f"v1,AAAA v2,x {headers['webhook-signature']}"}
    assert verify_webhook(secret, rotated, body, now=at) == name
    refused: tuple[Callable[[], object], ...] = (
        lambda: verify_webhook(f"{secret}x", headers, body, now=at),
        lambda: verify_webhook(secret, headers, body + b"x", now=at),
        lambda: verify_webhook(secret, {**headers, "webhook-id": f"{name}x"}, body, now=at),
        lambda: verify_webhook(secret, {**headers, "webhook-timestamp": str(at + 1)}, body, now=at),
        lambda: verify_webhook(secret, headers, body, now=at + 301),
        lambda: verify_webhook(secret, headers, body, now=at - 301),
        lambda: verify_webhook(secret, {**headers, "webhook-signature": "v1,ä"}, body, now=at),
        lambda: verify_webhook(secret, {**headers, "webhook-timestamp": "٣"}, body, now=at),
        lambda: verify_webhook(secret, {each: headers[each] for each in ("webhook-id",)}, body, now=at),
    )
    for wrong in refused:
        with pytest.raises(WebhookRefused):
            wrong()


@pytest.mark.parametrize(
    ("make", "problem"),
    {
        "no address": (lambda: webhooks_skill(Webhook("a", "ftp://x")), "begins with https"),
        "no name": (lambda: Webhook("a b", "http://x"), "name is 'a b'"),
        "no base64": (lambda: Webhook("a", "http://x", secret="whsec_!"), "goes on in base64; this does not"),
        "nothing": (lambda: Webhook("a", "http://x", secret="whsec_"), "has something behind whsec_"),
        "no schema": (lambda: webhooks_skill(Webhook("a", "http://x", parameters={"type": 3})), "its schema is"),
        "one name": (lambda: webhooks_skill(Webhook("a", "http://x"), Webhook("a", "http://y")), "have one name"),
        "no bytes": (lambda: sign_webhook("s", "m", cast("Any", "text")), "its bytes as they came, not of type str"),
        "no secret to verify by": (lambda: verify_webhook("", {}, b""), "there is none"),
    }.values(),
)
def test_what_is_wrong_with_one_is_said_when_it_is_made(make: Callable[[], object], problem: str) -> None:
    with pytest.raises(Exception, match=problem) as wrong:
        make()
    assert isinstance(wrong.value, ValueError), "a DefinitionError, or the tool's"
    assert isinstance(wrong.value, DefinitionError) or "schema" in str(wrong.value)


async def test_a_target_behind_a_webhook_is_asked_with_a_signature() -> None:
    receiver = Receiver()
    with listening(receiver) as url:
        target = WebhookTarget("Report", url, secret=SECRET)
        script = Script([call("SendMessage", target_agent="Report", message="tea — ☕"), "done"])
        async with Agency(Agent("A", handoffs=[target]), model=scripted(script)) as agency:
            answer = await agency.run("?")
    (headers, body), *others = receiver.received
    assert not others
    assert verify_webhook(SECRET, headers, body) == headers["idempotency-key"]
    assert json.loads(body)["task"] == "tea — ☕"
    assert [message.text for message in answer.messages if message.role == "tool"] == ["started"]
    with pytest.raises(DefinitionError, match="goes on in base64"):
        WebhookTarget("Report", url, secret="whsec_!")


def test_a_team_file_names_webhooks(tmp_path: Path) -> None:
    text = """
skills:
  webhooks:
    settings:
      webhooks: [{name: report, url: "http://x/${KEY}", secret: "${KEY}"}]
agents: {A: {skills: [webhooks]}}
providers: {offline: {type: offline}}
"""
    (tmp_path / "team.yaml").write_text(text)
    (skill,) = load_team(tmp_path / "team.yaml", env={"KEY": "hunter2hunter2"}).agents["A"].skills
    assert [getattr(each, "name", "") for each in skill.tools] == ["report"]
    (tmp_path / "team.yaml").write_text(text.replace("name: report", "name: re port"))
    with pytest.raises(ConfigError) as refused:
        load_team(tmp_path / "team.yaml", env={"KEY": "hunter2hunter2"})
    assert "hunter2" not in str(refused.value)


def test_a_call_that_a_crash_interrupts_is_made_again_under_its_id() -> None:
    async def scenario(sim: Simulation) -> None:
        ids: set[str] = set()

        def answer(request: httpx.Request) -> httpx.Response:
            ids.add(request.headers["idempotency-key"])
            return httpx.Response(200, text="started")

        skill = webhooks_skill(Webhook("report", "http://x"), transport=httpx.MockTransport(answer))
        model = function(lambda request: "done" if results(request) else call("report", data={"n": 1}))
        async with Agency(Agent("A", skills=[skill]), model=model, system=sim.system) as agency:
            answered: Any = await agency.run("?", run_id="r", conversation="c")
        assert answered.text == "done"
        assert len(ids) == 1

    simulate(scenario, seeds=20, faults=[Crash("agency/A/c", when=when) for when in ("before", "after")])
