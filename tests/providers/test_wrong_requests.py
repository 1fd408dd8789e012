"""A request that is wrong itself is nobody's failure: it is refused by name, costs nothing, and harms no other."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from callboard.actors import ActorRef, ChildSpec, System
from callboard.providers.clouds import Azure, Bedrock, Cloud, Vertex
from callboard.providers.embeddings import EmbeddingRequest
from callboard.providers.errors import InvalidRequest, ProviderOverloaded
from callboard.providers.messages import Completion, Image, Message, Request, ToolCall, ToolSpec, Usage
from callboard.providers.pool import (
    Batching,
    Budget,
    CallRecord,
    Endpoint,
    FanOut,
    GetHealth,
    GetStats,
    MemoryCache,
    Pool,
    Price,
    Requester,
    Submit,
)
from callboard.providers.provider import Provider
from callboard.providers.simulated import SimulatedProvider
from callboard.providers.spec import Kind, ProviderSpec
from callboard.providers.vendors.build import child_spec
from callboard.providers.wire.anthropic import to_payload
from tests.ids import shown

HELLO = Message("user", "hello")
LONE = "a\ud800b"
REPLACED = "letters that no text can have (lone surrogates) were replaced by \ufffd"


class Invoice(BaseModel):
    total: float


def asked(*more: Any, **fields: Any) -> Any:
    return Request((HELLO, *more), "m", max_tokens=1000, **fields)


def called(*call: Any) -> Any:
    return asked(Message("assistant", "", (ToolCall(*call),)), Message("tool", "x", tool_call_id=call[0]))


WRONG: dict[str, Any] = {
    "headers: ": asked(headers={"X-User": "ada\nlovelace"}),
    "response_schema: ": asked(response_schema=Invoice),
    "extra: ": asked(extra={"a": object()}),
    "tools[0].parameters: ": asked(tools=(ToolSpec("f", "d", Invoice),)),  # type: ignore[arg-type]
}
"""What no JSON can be made of, or no header."""
ODD: list[Any] = [
    asked(user=7),
    asked(tool_choice={"type": "auto"}, tools=(ToolSpec("f", "d", {}),)),
    asked(tools=(ToolSpec("f", None, {}),)),  # type: ignore[arg-type]
    called(None, "f", "{}"),
    called("c", "f", None),
    asked(Message("user", (Image(5),))),  # type: ignore[arg-type]
    asked(Message("assistant", "x", state="signed")),  # type: ignore[arg-type]
    asked(temperature="hot"),
]
"""What some vendors take, and others refuse."""
KINDS: dict[Kind, Cloud | None] = {
    "openai": None,
    "responses": None,
    "anthropic": None,
    "gemini": None,
    "azure": Azure(api_version="2024-10-21", deployment="d"),
    "bedrock": Bedrock(region="us-east-1"),
    "vertex": Vertex(project="p", location="us-east5"),
}


def spec_of(kind: Kind, server: SimulatedProvider, name: str = "acme") -> ProviderSpec:
    url = {"openai": server.base_url, "responses": server.base_url, "gemini": f"{server.url}/v1beta"}.get(
        kind, server.url
    )
    return ProviderSpec(name, kind, SecretStr("k"), url, models=("m",), cloud=KINDS[kind])


@asynccontextmanager
async def pool_of(kind: Kind, **options: Any) -> AsyncIterator[tuple[ActorRef[Pool], SimulatedProvider]]:
    """A pool of two endpoints at one server."""
    async with SimulatedProvider(Completion(Message("assistant", "x"), "stop", Usage(1, 1))) as server:
        specs = [spec_of(kind, server, name) for name in ("acme", "beta")]
        endpoints = [Endpoint.of(each, child_spec(each), price=Price(10.0, 1000.0)) for each in specs]
        async with System("test") as system:
            yield system.supervise(Pool.spec(endpoints, seed=1, **options)), server


async def ask(pool: ActorRef[Pool], request: Any, stream: bool = False) -> Completion:
    submitted = Submit(request, Requester(user="ada"))
    if not stream:
        whole: Completion = await pool.ask(submitted)
        return whole
    async with pool.stream(submitted) as deltas:
        last = [delta async for delta in deltas][-1].completion
    assert isinstance(last, Completion)
    return last


async def assert_nothing_came_of_it(pool: ActorRef[Pool]) -> None:
    health, stats = await pool.ask(GetHealth()), await pool.ask(GetStats())
    assert {each.state for each in health.endpoints} == {"closed"}, "a provider was blamed"
    assert not stats.bought, "a request that was never answered is an entry"
    assert not stats.spent.get("user:ada")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_wrong_request_is_refused_and_is_nobodys_failure(kind: Kind) -> None:
    async with pool_of(kind, budgets=[Budget("user", "*", 1000.0)]) as (pool, _):
        for place, request in WRONG.items():
            for stream in (False, True):
                with pytest.raises(InvalidRequest) as caught:
                    await ask(pool, request, stream)
                assert str(caught.value).startswith(place) or caught.value.status == 400, (
                    "neither the place nor a vendor"
                )
        await assert_nothing_came_of_it(pool)
        assert (await ask(pool, asked())).message.text == "x"


@pytest.mark.parametrize("kind", ["openai", "responses", "anthropic", "gemini", "bedrock"])
async def test_an_odd_request_is_answered_or_refused_and_is_nobodys_failure(kind: Kind) -> None:
    async with pool_of(kind) as (pool, _):
        for request in ODD:
            with suppress(InvalidRequest):
                await ask(pool, request)
        health, stats = await pool.ask(GetHealth()), await pool.ask(GetStats())
    assert {each.state for each in health.endpoints} == {"closed"}, "a provider was blamed"
    assert set(stats.bought) <= {"answered"}
    assert stats.pool.retries == 0


@pytest.mark.parametrize("options", [{}, {"cache": MemoryCache(), "coalesce": True}], ids=["plain", "shared"])
async def test_wrong_requests_are_refused_by_caches_and_fan_outs_too(options: Any) -> None:
    async with pool_of("openai", **options) as (pool, server):
        for request in WRONG.values():
            for message in (request, FanOut(request)):
                with pytest.raises(InvalidRequest):
                    await pool.ask(message)
        await assert_nothing_came_of_it(pool)
        assert not server.stats.requests


@pytest.mark.parametrize("kind", KINDS)
async def test_half_a_letter_is_replaced_and_noted(kind: Kind) -> None:
    async with pool_of(kind) as (pool, server):
        for stream in (False, True):
            answer = await ask(pool, Request((Message("user", LONE),), "m"), stream)
            assert REPLACED in answer.notes
            assert "a\ufffdb" in str(server.log[-1])
        assert REPLACED not in (await ask(pool, Request((Message("user", "a\U0001f600b"),), "m"))).notes


async def test_half_letters_in_embeddings_and_names_are_replaced_too() -> None:
    async with pool_of("openai") as (pool, server):
        made = await pool.ask(EmbeddingRequest([LONE, "\ud83d\ude00"], "m"))
        assert REPLACED in made.notes
        assert {"a\ufffdb", "\U0001f600"} <= set(server.log[-1][1]["input"])
        tool = ToolSpec("f", LONE, {"type": "object", "properties": {LONE: {}}})
        assert REPLACED in (await pool.ask(Request((HELLO,), "m", tools=(tool,)))).notes


def test_no_tokens_are_not_taken_for_as_many_as_the_protocol_allows() -> None:
    assert to_payload(Request((HELLO,), max_tokens=0), model="claude-sonnet-4-5")["max_tokens"] == 0


async def test_headers_that_an_sdk_does_not_send_are_refused_by_name() -> None:
    request = asked(headers={"X-City": "Köln"})
    async with pool_of("openai") as (pool, _):
        assert (await ask(pool, request)).message.text == "x"
    async with pool_of("azure") as (pool, _):
        with pytest.raises(InvalidRequest, match=r"headers: expected ASCII: (acme|beta)'s client"):
            await ask(pool, request)
        await assert_nothing_came_of_it(pool)


@pytest.mark.parametrize(
    ("field", "value"),
    [("headers", {"X": "a\nb"}), ("headers", None), ("user", 5), ("extra", {"a": object()}), ("extra", None)],
    ids=shown,
)
def test_a_wrong_request_for_embeddings_is_refused_where_it_is_made(field: str, value: Any) -> None:
    with pytest.raises(InvalidRequest, match=f"{field} of an embedding request"):
        EmbeddingRequest(["a"], "m", **{field: value})


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_a_wrong_request_in_a_batch_fails_alone(kind: Kind) -> None:
    told: list[CallRecord] = []
    async with SimulatedProvider(Completion(Message("assistant", "x"), "stop", Usage(1, 1))) as server:
        spec = replace(spec_of(kind, server), capabilities=frozenset({"stream", "batch", "tools", "schema"}))
        async with System("test") as system:
            endpoint = Endpoint.of(spec, child_spec(spec))
            batching = Batching(size=3, max_window=0.2, min_window=0.2)
            pool = system.supervise(Pool.spec([endpoint], batching=batching, on_usage=told.append))
            requests = [asked(), asked(response_schema=Invoice), asked(), Request((Message("user", LONE),), "m")]
            submitted = [Submit(each, Requester(batch=True)) for each in requests]
            first, wrong, *others = await asyncio.gather(*map(pool.ask, submitted), return_exceptions=True)
    assert isinstance(wrong, InvalidRequest)
    assert [each.notes[-1] for each in (first, *others) if isinstance(each, Completion)] == ["batched"] * 3
    assert isinstance(others[-1], Completion)
    assert REPLACED in others[-1].notes
    assert [each.outcome for each in told] == ["answered"] * 3


async def test_a_provider_refuses_what_is_wrong_in_a_batch_alone() -> None:
    from callboard.providers.provider import BatchRequest

    async with SimulatedProvider(Completion(Message("assistant", "x"), "stop", Usage(1, 1))) as server:
        spec = replace(spec_of("openai", server), capabilities=frozenset({"batch", "schema"}))
        async with System("test") as system:
            ref = system.supervise(child_spec(spec))
            made = await ref.ask(BatchRequest((asked(extra={"a": object()}), asked(), asked(response_schema=Invoice))))
    assert [type(each) for each in made.results] == [InvalidRequest, Completion, InvalidRequest]


class Confused(Provider):
    """A provider of one's own whose server can make nothing of a request, and says that as its own trouble."""

    async def complete(self, request: Request) -> Completion:
        if request.user is not None:
            raise ProviderOverloaded("internal error", status=500)
        return Completion(Message("assistant", request.model.upper()), "stop", Usage(1, 1))


async def test_a_vendor_that_answers_a_wrong_request_with_its_own_trouble_is_not_blamed() -> None:
    spec = ProviderSpec("own", "offline", models=("m",), defaults={"temperature": 0.5})
    async with System("test") as system:
        pool = system.supervise(Pool.spec([Endpoint.of(spec, ChildSpec(Confused, (spec,)))]))
        for _ in range(4):
            with pytest.raises(InvalidRequest, match="user: expected a text, or None, not int"):
                await ask(pool, asked(user=7))
        await assert_nothing_came_of_it(pool)
        ref = system.supervise(ChildSpec(Confused, (spec,), name="alone"))
        with pytest.raises(InvalidRequest, match="model"):
            await ref.ask(Request((HELLO,), model=5))  # type: ignore[arg-type]
        assert (await ref.ask(asked())).message.text == "M", "it crashed of it"


async def test_litellm_is_not_asked_for_what_cannot_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []

    async def acompletion(**payload: Any) -> Any:
        sent.append(payload)
        raise asyncio.CancelledError

    stand_in = ModuleType("litellm")
    vars(stand_in).update(acompletion=acompletion)
    monkeypatch.setitem(sys.modules, "litellm", stand_in)
    spec = ProviderSpec("lite", "litellm", default_model="openai/m")
    async with System("test") as system:
        ref = system.supervise(child_spec(spec, restart="temporary"))
        for place, request in WRONG.items():
            with pytest.raises(InvalidRequest, match=place.replace("[", r"\[").replace("]", r"\]")):
                await ref.ask(request)
        assert not sent
