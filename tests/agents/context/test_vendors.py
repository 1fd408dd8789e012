"""Long conversations over the vendors' protocols: they go on, and pay for what is new."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from callboard import (
    Agency,
    Agent,
    Completion,
    ContextStrategy,
    DropToolOutput,
    KeepPriority,
    Limits,
    Message,
    ProviderSpec,
    Request,
    ToolCall,
    Usage,
    Window,
    tool,
)
from callboard.providers.simulated import SimulatedProvider
from callboard.providers.vendors.build import child_spec

from .histories import words

UNLIMITED = Limits(steps=None)
STEPS = 40


@tool(risk="safe", idempotent=True)
async def read(page: int) -> str:
    """Read a page."""
    return words(1_200, page)


def reads_on(request: Request) -> Completion:
    """A model that reads page by page, and answers after so many."""
    read = sum(message.role == "tool" for message in request.messages)
    number = int(next((m.tool_call_id for m in reversed(request.messages) if m.tool_call_id), "c0")[1:]) if read else 0
    if number >= STEPS:
        return Completion(Message("assistant", "read"), "stop", Usage(0, 5))
    call = ToolCall(f"c{number + 1}", "read", f'{{"page": {number + 1}}}')
    return Completion(Message("assistant", "", (call,)), "tool_calls", Usage(0, 20))


def spec_of(kind: Any, server: SimulatedProvider) -> Any:
    """What starts a provider that speaks a protocol with the server."""
    url = {"anthropic": server.url, "gemini": f"{server.url}/v1beta"}.get(kind, server.base_url)
    key = SecretStr("k")
    return child_spec(ProviderSpec("vendor", kind=kind, base_url=url, api_key=key, default_model="m"))


@pytest.mark.parametrize("kind", ["openai", "anthropic", "responses", "gemini"])
async def test_a_run_that_outgrows_its_model_goes_on_over_every_protocol(kind: Any) -> None:
    async with (
        SimulatedProvider(reads_on, window=6_000) as server,
        Agency(Agent("Reader", tools=[read], limits=UNLIMITED), model=spec_of(kind, server)) as agency,
    ):
        answer = await agency.run("Read all of it.")
        assert answer.text == "read"
        assert len(answer.messages) == 2 * STEPS + 2
        assert server.stats.statuses[400] >= 1
        assert server.stats.statuses[200] == STEPS + 1


@pytest.mark.parametrize(
    "strategy",
    [Window(tokens=4_000), DropToolOutput(tokens=4_000) | Window(tokens=4_000), KeepPriority(tokens=4_000)],
    ids=["window", "drop", "priority"],
)
async def test_most_of_what_is_sent_was_cached_since_what_is_shown_changes_seldom(strategy: ContextStrategy) -> None:
    async with SimulatedProvider(reads_on, prompt_cache=True) as server:
        agent = Agent("Reader", tools=[read], context=strategy, limits=UNLIMITED)
        async with Agency(agent, model=spec_of("openai", server)) as agency:
            usage = (await agency.run("Read all of it.")).usage
    assert usage.input_tokens < 4_000 * (STEPS + 1)
    assert usage.cache_read_tokens / usage.input_tokens > 0.6
