"""What Vertex AI gets to see, and where its tokens come from; the rest is in the contract of all providers."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from callboard.actors import ActorRef, System
from callboard.providers import errors as e
from callboard.providers.clouds import Vertex
from callboard.providers.messages import Completion, Message, Usage
from callboard.providers.provider import CountTokens, SetApiKey
from callboard.providers.spec import ProviderSpec
from callboard.providers.vendors.build import child_spec
from callboard.providers.vendors.vertex import VertexProvider
from callboard.providers.wire import anthropic
from tests.providers.conftest import KEY
from tests.providers.vendors.recording import ASK, Recorder, recording

MODEL = "claude-sonnet-4@20250514"
ANSWER = json.dumps(
    anthropic.to_response(Completion(Message("assistant", "hi"), "stop", Usage(3, 2), MODEL), id="x")
).encode()
PARENT = "/v1/projects/my-project/locations/us-east5/publishers/anthropic/models"


def vertex(url: str, key: str = "") -> ProviderSpec:
    if not key:
        reason = "google-auth is missing: pip install 'callboard[vertex]'"
        pytest.importorskip("google.auth.transport.requests", reason=reason)
    secret = SecretStr(key) if key else None
    cloud = Vertex("my-project", "us-east5")
    return ProviderSpec("vertex", "vertex", secret, f"{url}/v1", MODEL, headers={"x-team": "blue"}, cloud=cloud)


@pytest.fixture
async def tokens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Recorder]:
    """Google's token endpoint, and a service account that knows it."""
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    from cryptography.hazmat.primitives import serialization

    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    body = json.dumps({"access_token": "token-1", "expires_in": 3600, "token_type": "Bearer"})
    async with recording(body.encode()) as server:
        account = {
            "type": "service_account",
            "project_id": "another-project",
            "private_key_id": "k",
            "private_key": private.decode(),
            "client_email": "robot@another-project.iam.gserviceaccount.com",
            "token_uri": f"{server.url}/token",
        }
        (tmp_path / "account.json").write_text(json.dumps(account))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
        yield server


async def test_the_model_project_and_location_stand_in_the_path() -> None:
    async with recording(ANSWER) as server, System("vertex") as system:
        ref: ActorRef[Any] = system.spawn(child_spec(vertex(server.url, KEY)))
        assert (await ref.ask(ASK)).message.text == "hi"
        (sent,) = server.seen
        assert (sent.method, sent.path) == ("POST", f"{PARENT}/{MODEL}:rawPredict")
        assert sent.headers["authorization"] == f"Bearer {KEY}"
        assert sent.headers["x-team"] == "blue"
        body = json.loads(sent.body)
        assert "model" not in body
        assert body["max_tokens"] == 50
        assert body["anthropic_version"], "which one, the vendor's client knows"


async def test_a_stream_has_a_path_of_its_own() -> None:
    said = Completion(Message("assistant", "hello"), "stop", Usage(3, 2), MODEL)
    events = b"".join(
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode())
        for event in anthropic.to_events(said, id="x", size=2)
    )
    async with recording(events, "text/event-stream") as server, System("vertex") as system:
        deltas = [delta async for delta in system.spawn(child_spec(vertex(server.url, KEY))).stream(ASK)]
        assert "".join(delta.text for delta in deltas) == "hello"
        assert server.seen[0].path == f"{PARENT}/{MODEL}:streamRawPredict"
        assert json.loads(server.seen[0].body)["stream"] is True


async def test_tokens_of_a_request_are_counted_by_google() -> None:
    async with recording(b'{"input_tokens": 17}') as server, System("vertex") as system:
        assert await system.spawn(child_spec(vertex(server.url, KEY))).ask(CountTokens(ASK)) == 17
        assert server.seen[0].path == f"{PARENT}/count-tokens:rawPredict"
        assert json.loads(server.seen[0].body)["model"] == MODEL


async def test_without_a_key_the_applications_default_credentials_bring_a_token_once(tokens: Recorder) -> None:
    async with recording(ANSWER) as server, System("vertex") as system:
        ref: ActorRef[Any] = system.spawn(child_spec(vertex(server.url)))
        await ref.ask(ASK)
        await ref.ask(ASK)
        assert [sent.headers["authorization"] for sent in server.seen] == ["Bearer token-1"] * 2
        assert server.seen[0].path.startswith(PARENT), "the project is the spec's, not the account's"
        assert [sent.path for sent in tokens.seen] == ["/token"], "it is fetched once, for as long as it lasts"


async def test_credentials_that_google_refuses_are_a_named_error_and_nothing_is_sent(tokens: Recorder) -> None:
    tokens.answers = [(400, "application/json", b'{"error": "invalid_grant", "error_description": "revoked"}')]
    async with recording(ANSWER) as server, System("vertex") as system:
        with pytest.raises(e.AuthenticationFailed, match=r"vertex found no credentials .*revoked") as caught:
            await system.spawn(child_spec(vertex(server.url))).ask(ASK)
        assert caught.value.unsent
        assert not server.seen


async def test_credentials_that_are_not_there_are_a_named_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing.json"))
    async with recording(ANSWER) as server, System("vertex") as system:
        with pytest.raises(e.AuthenticationFailed, match="vertex found no credentials"):
            await system.spawn(child_spec(vertex(server.url))).ask(ASK)


async def test_a_new_access_token_is_used_from_the_next_request_on() -> None:
    async with recording(ANSWER) as server, System("vertex") as system:
        ref: ActorRef[Any] = system.spawn(child_spec(vertex(server.url, "old")))
        await ref.ask(ASK)
        await ref.ask(SetApiKey(SecretStr("new")))
        await ref.ask(ASK)
        assert [sent.headers["authorization"] for sent in server.seen] == ["Bearer old", "Bearer new"]


async def test_the_missing_extra_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = VertexProvider(replace(vertex("http://127.0.0.1:1", KEY), api_key=None))
    monkeypatch.setitem(sys.modules, "google.auth.transport.requests", None)
    with pytest.raises(e.ProviderError, match=r"vertex needs google.*pip install 'callboard\[vertex\]', or give"):
        await provider.on_start()
    await VertexProvider(vertex("http://127.0.0.1:1", KEY)).on_start()


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("us-east5", "us-east5-aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
async def test_the_location_decides_the_address(location: str, host: str) -> None:
    spec = ProviderSpec("vertex", "vertex", SecretStr(KEY), cloud=Vertex("p", location))
    provider = VertexProvider(spec)
    client = provider._make_client(KEY)
    assert client.base_url.host == host
    await client.close()
