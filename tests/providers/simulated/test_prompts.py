"""Prompts at the simulated provider: those that are too long are refused, and how the others begin is cached."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.providers.errors import ContextTooLong
from callboard.providers.messages import Completion, Message, Request, ToolSpec
from callboard.providers.simulated import SimulatedProvider
from callboard.providers.simulated.prompts import LEAST, PromptCache
from callboard.providers.tokens import estimate
from callboard.providers.wire.failures import from_status

HELLO = Completion(Message("assistant", "hello there"), "stop")
LONG: Any = [{"role": "user", "content": "word " * 2_000}]


async def later(request: Request) -> Completion:
    return HELLO


async def test_what_is_longer_than_its_window_is_refused_with_both_numbers() -> None:
    async with (
        SimulatedProvider(HELLO, window=1_000) as server,
        openai.AsyncOpenAI(api_key="k", base_url=server.base_url, max_retries=0) as client,
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(model="gpt-x", messages=LONG)
        error = from_status(400, caught.value.response.content, {}, provider="p")
        await client.chat.completions.create(model="gpt-x", messages=[{"role": "user", "content": "hi"}])
    assert isinstance(error, ContextTooLong)
    assert error.allowed == 1_000
    assert error.used is not None
    assert error.used > 2_000


@pytest.mark.parametrize("answer", [HELLO, later])
async def test_the_beginning_that_an_earlier_prompt_had_is_counted_as_cached_by_every_protocol(answer: Any) -> None:
    async with SimulatedProvider(answer, prompt_cache=True) as server:
        async with openai.AsyncOpenAI(api_key="k", base_url=server.base_url, max_retries=0) as client:
            first = await client.chat.completions.create(model="gpt-x", messages=LONG)
            second = await client.chat.completions.create(
                model="gpt-x",
                messages=[*LONG, {"role": "assistant", "content": "ok"}, {"role": "user", "content": "on"}],
            )
        assert first.usage is not None
        assert second.usage is not None
        assert first.usage.prompt_tokens_details is not None
        assert second.usage.prompt_tokens_details is not None
        assert first.usage.prompt_tokens_details.cached_tokens == 0
        assert second.usage.prompt_tokens_details.cached_tokens == first.usage.prompt_tokens
        async with anthropic.AsyncAnthropic(
            api_key="k", base_url=server.url, max_retries=0, open_telemetry=False
        ) as other:
            message = await other.messages.create(model="claude-x", max_tokens=10, messages=LONG)
        assert message.usage.cache_read_input_tokens == first.usage.prompt_tokens
        assert message.usage.input_tokens == 0


MESSAGES = st.lists(
    st.builds(Message, st.sampled_from(("user", "assistant")), st.sampled_from(("a ", "b ")).map(lambda x: x * 4_000)),
    min_size=1,
    max_size=4,
).map(tuple)
TOOLS = st.sampled_from(((), (ToolSpec("look", "Looks.", {}),)))


@given(st.lists(st.builds(Request, MESSAGES, tools=TOOLS), max_size=5))
def test_what_is_cached_is_the_longest_beginning_that_an_earlier_request_has_too(requests: list[Request]) -> None:
    cache = PromptCache()
    for at, request in enumerate(requests):
        usage = cache.usage(request)
        assert usage.input_tokens == estimate(request)
        longest = 0
        for earlier in requests[:at]:
            if earlier.tools != request.tools:
                continue
            same = 0
            for one, other in zip(earlier.messages, request.messages, strict=False):
                if one != other:
                    break
                same += 1
            if same:
                longest = max(longest, estimate(Request(request.messages[:same], tools=request.tools)))
        assert usage.cache_read_tokens == (longest if longest >= LEAST else 0)
