"""The raw openai SDK on its default transport, as its documentation shows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai

from .pool_load import DEADLINE, PROMPT, scenarios

SCALE = 1.0
MESSAGES: list[Any] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": PROMPT}]


class Client:
    def __init__(self, client: openai.AsyncOpenAI) -> None:
        self.client = client

    async def call(self, number: int) -> Any:
        return await self.client.chat.completions.create(model="gpt-4o", messages=MESSAGES, max_tokens=64)

    async def stream(self, number: int) -> AsyncIterator[str]:
        whole = False
        chunks: Any = await self.client.chat.completions.create(
            model="gpt-4o", messages=MESSAGES, max_tokens=64, stream=True, stream_options={"include_usage": True}
        )
        async for chunk in chunks:
            for choice in chunk.choices:
                whole = whole or choice.finish_reason is not None
                yield choice.delta.content or ""
        assert whole, "the stream ended without a finish reason"


@asynccontextmanager
async def make(urls: list[str], connections: int) -> AsyncIterator[Client]:
    import httpx2

    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    http: Any = openai.DefaultAsyncHttpxClient(limits=limits)
    async with openai.AsyncOpenAI(api_key="key", base_url=urls[0], timeout=DEADLINE, http_client=http) as client:
        yield Client(client)


SCENARIOS = scenarios(make, SCALE)
