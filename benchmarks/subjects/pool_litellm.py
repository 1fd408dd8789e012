"""LiteLLM's Router over the same servers, with retries, cooldowns and fallbacks as it has them by default."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import litellm  # type: ignore[import-not-found, unused-ignore]

from .pool_faults import faults
from .pool_load import DEADLINE, PROMPT, scenarios

SCALE = 0.5
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": PROMPT}]
litellm.suppress_debug_info = True
litellm.telemetry = False
logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)
logging.getLogger("LiteLLM Router").setLevel(logging.CRITICAL)


class Client:
    def __init__(self, router: Any) -> None:
        self.router = router

    async def call(self, number: int) -> Any:
        return await self.router.acompletion(model="m", messages=MESSAGES, max_tokens=64)

    async def call_model(self, number: int, model: int) -> Any:
        return await self.router.acompletion(model=("m", "small")[model], messages=MESSAGES, max_tokens=64)

    async def stream(self, number: int) -> AsyncIterator[str]:
        whole = False
        async for chunk in await self.router.acompletion(model="m", messages=MESSAGES, max_tokens=64, stream=True):
            for choice in chunk.choices:
                whole = whole or choice.finish_reason is not None
                yield choice.delta.content or ""
        assert whole, "the stream ended without a finish reason"


@asynccontextmanager
async def make(urls: list[str], connections: int) -> AsyncIterator[Client]:
    own: dict[str, Any] = {}
    if urls[-1].startswith("limits="):
        requests, tokens, *_ = urls.pop().removeprefix("limits=").split(",")  # of a second or a bucket it knows nothing
        own = {"rpm": int(requests), "tpm": int(tokens)}
    models = [
        {"model_name": name, "litellm_params": {"model": model, "api_base": url, "api_key": "key", **own}}
        for url in urls
        for name, model in (("m", "openai/gpt-4o"), ("small", "openai/gpt-4o-mini"))
    ]
    router = litellm.Router(model_list=models, num_retries=3, timeout=DEADLINE, fallbacks=[{"m": ["small"]}])
    try:
        yield Client(router)
    finally:
        await litellm.close_litellm_async_clients()


SCENARIOS = scenarios(make, SCALE) | faults(make)
