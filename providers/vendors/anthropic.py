"""Anthropic, on the official SDK."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import ProviderError
from ..messages import Completion, Request
from ..spec import ProviderSpec
from ..wire import anthropic
from ..wire.origin import origin_at
from .batches import anthropic_batch, ordered
from .http import Assembling, HttpProvider, Protocolled
from .transport import Sdk, Transport

_NOT_COUNTED = ("max_tokens", "temperature", "top_p", "top_k", "stop_sequences", "metadata", "stream")


@dataclass(frozen=True, slots=True)
class Messages:
    """The messages API."""

    origin: str = anthropic.ORIGIN
    path: str = anthropic.PATH
    stream_path: str = anthropic.PATH

    def to_payload(self, request: Request, notes: list[str], *, model: str, stream: bool = False) -> dict[str, Any]:
        return anthropic.to_payload(request, model=model, stream=stream, origin=self.origin, notes=notes)

    def from_response(self, body: Any, *, provider: str = "") -> Completion:
        return anthropic.from_response(body, provider=provider, origin=self.origin)

    def assembler(self, *, provider: str = "") -> Assembling:
        return anthropic.Assembler(provider=provider, origin=self.origin)


class AnthropicProvider(HttpProvider):
    """Anthropic's messages.

    Args:
        spec: endpoint and key.
        client: an ``AsyncAnthropic`` of one's own to send every request through, in place of the faster way over
            aiohttp with the headers the SDK makes. Make it with ``open_telemetry=False``, or calls are
            traced twice. It is closed with the actor.
    """

    batch_pauses: ClassVar[tuple[float, float]] = (1.0, 60.0)
    """Seconds between the first two looks at a batch, and at most between two."""

    def __init__(self, spec: ProviderSpec, client: Any = None) -> None:
        super().__init__(spec)
        self._client = client
        # Bedrock and Vertex take what Anthropic has signed, and the reverse.
        url = spec.base_url if spec.kind == "anthropic" else ""
        self._messages = Messages(origin_at(anthropic.ORIGIN, url))

    @classmethod
    def load(cls) -> None:
        super().load()
        importlib.import_module("anthropic")

    def protocol(self, model: str) -> Protocolled:
        return self._messages

    async def connect(self) -> Transport:
        if self._client is not None:
            return Sdk(self.spec.name, self._client)
        return await self.direct(self._make_client)

    async def count_tokens(self, request: Request) -> int:
        """Input tokens as Anthropic's own endpoint counts them, free of charge; estimated where it has none."""
        if not self.spec.supports("count_tokens"):
            return await super().count_tokens(request)
        _, payload, notes = self.prepared(request)
        for name in _NOT_COUNTED:
            payload.pop(name, None)
        body, _ = await self.posted(f"{anthropic.PATH}/count_tokens", payload, request.headers, notes)
        return self._counted_in(body, "input_tokens")

    async def batch(self, requests: tuple[Request, ...]) -> list[Completion | ProviderError]:
        if not self.spec.supports("batch"):
            return await super().batch(requests)
        client = self._client or self._make_client(self.spec.secret)
        try:
            return await ordered(anthropic_batch, client, self, requests)
        finally:
            if client is not self._client:
                await client.close()

    def _make_client(self, secret: str) -> Any:
        from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient

        return AsyncAnthropic(
            api_key=secret or "none",
            base_url=self.spec.base_url or "https://api.anthropic.com",
            max_retries=0,
            # A redirect would take a batch's prompts elsewhere.
            http_client=DefaultAsyncHttpxClient(follow_redirects=False),
            open_telemetry=False,
        )
