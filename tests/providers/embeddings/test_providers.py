"""Provider actors that embed, over real HTTP."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from callboard.actors import ActorRef, System
from callboard.providers import errors as e
from callboard.providers.embeddings import EmbeddingLimit, EmbeddingRequest
from callboard.providers.messages import Completion, Message, Request, Usage
from callboard.providers.offline.hashing import hashed
from callboard.providers.provider import Describe, Provider, Supports
from callboard.providers.simulated import (
    ServerQuota,
    SimulatedProvider,
    error,
    hang,
    html,
    malformed,
    rate_limited,
    reset,
    unauthorized,
)
from callboard.providers.spec import ProviderSpec
from callboard.providers.vendors.build import child_spec
from tests.providers.conftest import KEY, anthropic_spec, openai_spec
from tests.providers.test_contract import until
from tests.providers.vendors.recording import recording

ASK = EmbeddingRequest(["tea with milk", "cake"], "text-embedding-3-small", 16)
NUMBERED = [f"text number {number}" for number in range(2500)]


def near(one: tuple[float, ...], other: tuple[float, ...]) -> Any:
    return one == pytest.approx(other, rel=1e-6, abs=1e-7)  # they travel as 32-bit floats


async def test_texts_become_vectors_with_usage_model_and_provider() -> None:
    async with SimulatedProvider(keys=[KEY]) as server, System("embed") as system:
        ref: ActorRef[Any] = system.supervise(child_spec(openai_spec(server)))
        made = await ref.ask(ASK)
        assert [near(vector, hashed(text, 16)) for vector, text in zip(made.vectors, ASK.texts, strict=True)]
        assert (made.model, made.provider) == ("text-embedding-3-small", "openai")
        assert made.usage == Usage(5), "as the server counted"
        assert made.request_id
        assert made.latency > 0
        assert await ref.ask(Supports("embeddings"))


@pytest.mark.parametrize(("openai", "encoding"), [(True, "base64"), (False, "float")])
async def test_base64_is_asked_for_where_it_is_known_to_be_understood(openai: bool, encoding: str) -> None:
    async with SimulatedProvider() as server, System("encoding") as system:
        address = f"{server.url}/api.openai.com/v1" if openai else server.base_url
        ref: ActorRef[Any] = system.supervise(child_spec(openai_spec(server, base_url=address)))
        made = await ref.ask(ASK)
        assert server.log[-1][1]["encoding_format"] == encoding
        assert near(made.vectors[0], hashed(ASK.texts[0], 16))


async def test_a_large_request_is_divided_and_comes_back_in_its_order() -> None:
    async with SimulatedProvider() as server, System("large") as system:
        ref: ActorRef[Any] = system.supervise(child_spec(openai_spec(server)))
        made = await ref.ask(EmbeddingRequest(NUMBERED, "m", 4))
        assert [len(payload["input"]) for _, payload in server.log] == [2048, 452]
        assert len(made.vectors) == 2500
        for place in (0, 2047, 2048, 2499):
            assert near(made.vectors[place], hashed(NUMBERED[place], 4))
        small = openai_spec(server, name="small", embedding_limit=EmbeddingLimit(3, 12))
        server.log.clear()
        made = await system.supervise(child_spec(small)).ask(EmbeddingRequest(["x" * 20] * 7, "m", 4))
        assert [len(payload["input"]) for _, payload in server.log] == [2, 2, 2, 1], "two texts are ten tokens"
        assert len(made.vectors) == 7


async def test_a_server_that_is_sent_too_many_refuses_by_name() -> None:
    async with SimulatedProvider() as server, System("many") as system:
        spec = openai_spec(server, embedding_limit=EmbeddingLimit(10_000))
        with pytest.raises(e.InvalidRequest, match="at most 2048 texts"):
            await system.supervise(child_spec(spec)).ask(EmbeddingRequest(NUMBERED, "m"))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (error(400), e.InvalidRequest),
        (unauthorized(), e.AuthenticationFailed),
        (rate_limited(2.5), e.RateLimited),
        (error(503), e.ProviderOverloaded),
        (reset(), e.ConnectionLost),
        (html(), e.MalformedResponse),
        (malformed(), e.MalformedResponse),
    ],
    ids=lambda value: getattr(value, "kind", None) or value.__name__,
)
async def test_every_fault_becomes_its_named_error_once(fault: Any, kind: type[e.ProviderError]) -> None:
    async with SimulatedProvider() as server, System("faults") as system:
        ref: ActorRef[Any] = system.supervise(child_spec(openai_spec(server)))
        server.script(fault)
        with pytest.raises(kind) as caught:
            await ref.ask(ASK)
        assert type(caught.value) is kind
        assert server.stats.requests == 1, "the provider does not retry: the pool does"
        assert KEY not in repr(vars(caught.value))
        assert ASK.texts[0] not in str(caught.value)
        assert len((await ref.ask(ASK)).vectors) == 2


async def test_limits_in_the_headers_are_told() -> None:
    async with SimulatedProvider(limits=ServerQuota(requests=1)) as server, System("limits") as system:
        ref: ActorRef[Any] = system.supervise(child_spec(openai_spec(server)))
        made = await ref.ask(ASK)
        assert made.limits is not None
        assert (made.limits.requests_limit, made.limits.requests_remaining) == (1, 0)
        with pytest.raises(e.RateLimited) as caught:
            await ref.ask(ASK)
        assert caught.value.retry_after is not None


async def test_a_provider_without_embeddings_says_so() -> None:
    async with SimulatedProvider() as server, System("none") as system:
        ref: ActorRef[Any] = system.supervise(child_spec(anthropic_spec(server)))
        with pytest.raises(e.InvalidRequest, match="anthropic has no embeddings"):
            await ref.ask(ASK)
        assert not await ref.ask(Supports("embeddings"))


async def test_cancelling_an_ask_leaves_nothing_in_flight() -> None:
    async with SimulatedProvider(fault=hang()) as server, System("cancel") as system, asyncio.timeout(20):
        ref: ActorRef[Any] = system.supervise(child_spec(openai_spec(server)))
        ask = asyncio.ensure_future(ref.ask(ASK))
        await until(lambda: server.stats.in_flight == 1)
        ask.cancel()
        await until(lambda: server.stats.in_flight == 0)
        assert (await ref.ask(Describe())).in_flight == 0


async def test_neither_the_key_nor_a_text_stands_in_an_error_of_a_vendor_that_quotes_them() -> None:
    secret = "the diary of somebody who trusts us, page 12"
    echo = json.dumps({"error": {"message": f"wrong: {KEY} may not embed {secret!r}", "type": "x"}}).encode()
    async with recording(echo, status=400) as server, System("echo") as system:
        spec = ProviderSpec("openai", "openai", SecretStr(KEY), server.url)
        with pytest.raises(e.InvalidRequest, match="wrong: ") as caught:
            await system.spawn(child_spec(spec)).ask(EmbeddingRequest([secret, "cake"], "m", headers={"x-k": "hush-1"}))
        shown = [str(caught.value), repr(caught.value), repr(vars(caught.value))]
        assert KEY not in " ".join(shown)
        assert "trusts us" not in " ".join(shown)


async def test_usage_that_a_vendor_does_not_tell_is_estimated_and_said_to_be() -> None:
    class Silent(Provider):
        async def complete(self, request: Request) -> Completion:
            return Completion(Message("assistant", "x"), "stop")

        async def embed(self, request: EmbeddingRequest) -> Any:
            from callboard.providers.embeddings import Embeddings

            return Embeddings(tuple((1.0,) for _ in request.texts))

    async with System("silent") as system:
        made = await system.spawn(Silent, ProviderSpec("silent", api_key=SecretStr(KEY))).ask(
            replace(ASK, texts=("x" * 40,))
        )
        assert made.usage == Usage(10), "bytes over 4"
        assert any("tokens are estimated" in note for note in made.notes)
