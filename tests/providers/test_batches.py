"""Batches through the vendors' own endpoints and SDKs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callboard.actors import ActorRef, System
from callboard.providers import errors as e
from callboard.providers.messages import Completion, Message, Request
from callboard.providers.provider import BatchRequest
from callboard.providers.simulated import SimulatedProvider, error
from callboard.providers.spec import CAPABILITIES
from callboard.providers.vendors.anthropic import AnthropicProvider
from callboard.providers.vendors.openai import OpenAIProvider
from tests.providers.conftest import anthropic_spec, openai_spec


class QuickOpenAI(OpenAIProvider):
    batch_pauses = (0.001, 0.01)


class QuickAnthropic(AnthropicProvider):
    batch_pauses = (0.001, 0.01)


def shout(request: Request) -> Completion:
    return Completion(Message("assistant", request.messages[-1].text.upper()), "stop")


def requests(*texts: str) -> tuple[Request, ...]:
    return tuple(Request((Message("user", text),)) for text in texts)


def spawn(kind: str, server: SimulatedProvider, system: System) -> ActorRef[Any]:
    if kind == "anthropic":
        return system.spawn(QuickAnthropic, anthropic_spec(server, capabilities=CAPABILITIES["anthropic"]))
    able = CAPABILITIES["openai"]
    return system.spawn(QuickOpenAI, openai_spec(server, kind=kind, capabilities=able))


@pytest.mark.parametrize("kind", ["openai", "responses", "anthropic"])
async def test_a_batch_is_answered_in_the_order_of_its_requests_each_failure_by_itself(kind: str) -> None:
    async with SimulatedProvider(shout) as server, System("batch") as system, asyncio.timeout(30):
        server.batches.looks = 3
        server.script(None, error(400), None)
        answer = await spawn(kind, server, system).ask(BatchRequest(requests("one", "two", "three")))
        first, second, third = answer.results
        assert (first.message.text, third.message.text) == ("ONE", "THREE")
        assert isinstance(second, e.InvalidRequest)
        assert first.provider == kind.replace("responses", "openai")


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_a_batch_nobody_waits_for_is_called_off(kind: str) -> None:
    async with SimulatedProvider(shout) as server, System("batch") as system, asyncio.timeout(30):
        server.batches.looks = 10**9
        ask = asyncio.ensure_future(spawn(kind, server, system).ask(BatchRequest(requests("one"))))
        while server.stats.requests < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        ask.cancel()
        while not server.batches.cancelled:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_a_refused_batch_is_a_named_error_and_a_copied_protocol_takes_none() -> None:
    async with SimulatedProvider(shout, keys=["other"]) as server, System("batch") as system, asyncio.timeout(30):
        for kind in ("openai", "anthropic"):
            with pytest.raises(e.AuthenticationFailed):
                await spawn(kind, server, system).ask(BatchRequest(requests("one")))
        plain = system.spawn(QuickOpenAI, openai_spec(server))
        with pytest.raises(e.InvalidRequest, match="no batches"):
            await plain.ask(BatchRequest(requests("one")))
