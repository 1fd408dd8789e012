"""What Bedrock gets to see, and what it streams; the rest is in the contract of all providers."""

from __future__ import annotations

import base64
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from callboard.actors import ActorRef, System
from callboard.providers import errors as e
from callboard.providers.clouds import Bedrock
from callboard.providers.messages import Completion, Message, Usage
from callboard.providers.provider import CountTokens, Supports
from callboard.providers.spec import ProviderSpec
from callboard.providers.tokens import estimate
from callboard.providers.vendors.bedrock import BedrockProvider
from callboard.providers.vendors.build import child_spec
from callboard.providers.wire import anthropic, eventstream
from tests.providers.conftest import KEY
from tests.providers.vendors.recording import ASK, recording

MODEL = "eu.anthropic.claude-sonnet-4-20250514-v1:0"
SAID = Completion(Message("assistant", "hello there"), "stop", Usage(3, 2), MODEL)
ANSWER = json.dumps(anthropic.to_response(SAID, id="x")).encode()
STREAM = "application/vnd.amazon.eventstream"


def bedrock(url: str, key: str = "", **fields: Any) -> ProviderSpec:
    if not key:
        pytest.importorskip("boto3", reason="boto3 is missing: pip install 'callboard[bedrock]'")
    cloud = Bedrock(**{"region": "eu-central-1", **fields})
    secret = SecretStr(key) if key else None
    return ProviderSpec("bedrock", "bedrock", secret, url, MODEL, headers={"x-team": "blue"}, cloud=cloud)


def chunk(event: Any) -> bytes:
    body = json.dumps({"bytes": base64.b64encode(json.dumps(event).encode()).decode(), "p": "abcd"})
    return eventstream.frame(body.encode(), {":event-type": "chunk", ":message-type": "event"})


def exception(kind: str) -> bytes:
    headers = {":exception-type": kind, ":message-type": "exception"}
    return eventstream.frame(b'{"message": "because"}', headers)


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials but those of the test."""
    for name in ("AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


async def test_with_a_key_nothing_is_signed_and_the_model_stands_in_the_path() -> None:
    async with recording(ANSWER) as server, System("bedrock") as system:
        ref: ActorRef[Any] = system.spawn(child_spec(bedrock(server.url, KEY)))
        completion = await ref.ask(ASK)
        assert completion.message.text == "hello there"
        (sent,) = server.seen
        assert (sent.method, sent.path) == ("POST", f"/model/{MODEL}/invoke")
        assert sent.headers["authorization"] == f"Bearer {KEY}"
        assert sent.headers["x-team"] == "blue"
        body = json.loads(sent.body)
        assert "model" not in body
        assert "stream" not in body
        assert body["max_tokens"] == 50
        assert body["anthropic_version"], "which one, the vendor's client knows"


async def test_without_a_key_requests_are_signed_for_the_region_with_the_environments_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "dummy-secret")
    async with recording(ANSWER) as server, System("bedrock") as system:
        await system.spawn(child_spec(bedrock(server.url))).ask(ASK)
        (sent,) = server.seen
        assert_signed(sent, "AKIDENV", "dummy-secret")


async def test_a_profile_of_amazons_files_is_used_also_beside_a_key_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "credentials").write_text("[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = s2\n")
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "of-somebody-else")
    async with recording(ANSWER) as server, System("bedrock") as system:
        await system.spawn(child_spec(bedrock(server.url, profile="work"))).ask(ASK)
        assert_signed(server.seen[0], "AKIDWORK", "s2")


def assert_signed(sent: Any, access: str, secret: str) -> None:
    """Sign the same request once more, with Amazon's own signer, and compare."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    given = sent.headers["authorization"]
    assert given.startswith(f"AWS4-HMAC-SHA256 Credential={access}/"), given
    assert "/eu-central-1/bedrock/aws4_request" in given
    names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    request = AWSRequest(
        "POST", f"http://{sent.headers['host']}{sent.path}", {name: sent.headers[name] for name in names}, sent.body
    )
    request.context["timestamp"] = sent.headers["x-amz-date"]
    signer = SigV4Auth(Credentials(access, secret), "bedrock", "eu-central-1")
    wanted = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert given.endswith(f"Signature={wanted}")


@pytest.mark.parametrize("profile", ["", "nobody"])
async def test_credentials_that_are_not_found_are_a_named_error_and_nothing_is_sent(profile: str) -> None:
    async with recording(ANSWER) as server, System("bedrock") as system:
        with pytest.raises(e.AuthenticationFailed, match="bedrock found no credentials") as caught:
            # A region of its own: Anthropic's client keeps what it found for one.
            await system.spawn(child_spec(bedrock(server.url, profile=profile, region="eu-north-1"))).ask(ASK)
        assert caught.value.unsent
        assert not server.seen


async def test_a_stream_is_read_from_amazons_frames() -> None:
    events = list(anthropic.to_events(SAID, id="x", size=4))
    async with recording(b"".join(map(chunk, events)), STREAM) as server, System("bedrock") as system:
        deltas = [delta async for delta in system.spawn(child_spec(bedrock(server.url, KEY))).stream(ASK)]
        assert "".join(delta.text for delta in deltas) == "hello there"
        assert deltas[-1].completion.usage == Usage(3, 2)
        assert server.seen[0].path == f"/model/{MODEL}/invoke-with-response-stream"


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("throttlingException", e.RateLimited),
        ("validationException", e.InvalidRequest),
        ("modelTimeoutException", e.ProviderTimeout),
        ("serviceUnavailableException", e.ProviderOverloaded),
        ("internalServerException", e.ProviderOverloaded),
        ("modelStreamErrorException", e.ProviderOverloaded),
        ("somethingNewException", e.ProviderOverloaded),
    ],
)
async def test_an_exception_inside_a_stream_is_known_by_its_name(kind: str, error: type[Exception]) -> None:
    begun = chunk(next(iter(anthropic.to_events(SAID, id="x"))))
    async with recording(begun + exception(kind), STREAM) as server, System("bedrock") as system:
        with pytest.raises(error, match=f"{kind}: because") as caught:
            async for _ in system.spawn(child_spec(bedrock(server.url, KEY))).stream(ASK):
                pass
        assert type(caught.value) is error


@pytest.mark.parametrize(
    "body",
    [b"no frame at all", eventstream.frame(b"[]", {":event-type": "chunk"}), eventstream.frame(b'{"bytes": 3}', {})],
    ids=["no frame", "no object", "no bytes"],
)
async def test_a_stream_that_is_not_the_protocol_is_malformed(body: bytes) -> None:
    async with recording(body, STREAM) as server, System("bedrock") as system:
        with pytest.raises(e.MalformedResponse):
            async for _ in system.spawn(child_spec(bedrock(server.url, KEY))).stream(ASK):
                pass


async def test_tokens_are_estimated_and_there_are_no_batches() -> None:
    async with recording(ANSWER) as server, System("bedrock") as system:
        ref: ActorRef[Any] = system.spawn(child_spec(bedrock(server.url, KEY)))
        assert await ref.ask(CountTokens(ASK)) == estimate(ASK)
        assert not await ref.ask(Supports("count_tokens"))
        assert not await ref.ask(Supports("batch"))
        assert not server.seen


async def test_the_missing_extra_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = BedrockProvider(replace(bedrock("http://127.0.0.1:1", KEY), api_key=None))
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(e.ProviderError, match=r"pip install 'callboard\[bedrock\]', or set AWS_BEARER_TOKEN_BEDROCK"):
        await provider.on_start()
    await BedrockProvider(bedrock("http://127.0.0.1:1", KEY)).on_start()
