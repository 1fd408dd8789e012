"""OpenAI, and every endpoint that copies its protocol, on the official SDK."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from typing import Any, ClassVar

from ..embeddings import EmbeddingRequest, Embeddings
from ..errors import ProviderError
from ..messages import Completion, Request
from ..spec import ProviderSpec
from ..wire import openai_chat, openai_embeddings, openai_responses
from ..wire.openai_chat import OPENAI, Dialect
from ..wire.origin import origin_at
from .batches import openai_batch, ordered
from .http import Assembling, HttpProvider, Protocolled, embeddings_headed
from .transport import Sdk, Transport

_NEEDS_RESPONSES = re.compile(r"^(o\d|gpt-\d)[\w.-]*-(pro|codex|deep-research)\b|^codex-|^computer-use")
"""Models that OpenAI serves by the responses API only: https://platform.openai.com/docs/models"""


@dataclass(frozen=True, slots=True)
class Chat:
    """Chat completions in one vendor's dialect."""

    dialect: Dialect = OPENAI
    origin: str = openai_chat.ORIGIN
    path: str = openai_chat.PATH
    stream_path: str = openai_chat.PATH

    def to_payload(self, request: Request, notes: list[str], *, model: str, stream: bool = False) -> dict[str, Any]:
        return openai_chat.to_payload(
            request, model=model, stream=stream, dialect=self.dialect, origin=self.origin, notes=notes
        )

    def from_response(self, body: Any, *, provider: str = "") -> Completion:
        return openai_chat.from_response(body, provider=provider, origin=self.origin)

    def assembler(self, *, provider: str = "") -> Assembling:
        return openai_chat.Assembler(provider=provider, origin=self.origin)


@dataclass(frozen=True, slots=True)
class Responses:
    """The responses API."""

    origin: str = openai_responses.ORIGIN
    path: str = openai_responses.PATH
    stream_path: str = openai_responses.PATH

    def to_payload(self, request: Request, notes: list[str], *, model: str, stream: bool = False) -> dict[str, Any]:
        return openai_responses.to_payload(request, model=model, stream=stream, origin=self.origin, notes=notes)

    def from_response(self, body: Any, *, provider: str = "") -> Completion:
        return openai_responses.from_response(body, provider=provider, origin=self.origin)

    def assembler(self, *, provider: str = "") -> Assembling:
        return openai_responses.Assembler(provider=provider, origin=self.origin)


class OpenAIProvider(HttpProvider):
    """OpenAI's chat completions; its Pro and Codex models, or all with kind ``responses``, by the responses API.

    Args:
        spec: endpoint and key.
        client: an ``AsyncOpenAI`` of one's own to send every request through, in place of the faster way over aiohttp
            with the headers the SDK makes. It is closed with the actor.
    """

    batch_pauses: ClassVar[tuple[float, float]] = (1.0, 60.0)
    """Seconds between the first two looks at a batch, and at most between two."""

    def __init__(self, spec: ProviderSpec, client: Any = None) -> None:
        super().__init__(spec)
        self._client = client
        url = spec.base_url or str(getattr(client, "base_url", ""))
        self._chat = Chat(spec.dialect, origin_at(openai_chat.ORIGIN, url))
        self._responses = Responses(origin_at(openai_responses.ORIGIN, url))

    @property
    def _is_openai(self) -> bool:
        return not self.spec.base_url or "api.openai.com" in self.spec.base_url

    @classmethod
    def load(cls) -> None:
        super().load()
        importlib.import_module("openai")

    def protocol(self, model: str) -> Protocolled:
        # Vendors who copy chat completions have no second API to choose.
        if self.spec.kind == "responses" or (self._is_openai and _NEEDS_RESPONSES.search(model)):
            return self._responses
        return self._chat

    async def connect(self) -> Transport:
        if self._client is not None:
            return Sdk(self.spec.name, self._client)
        return await self.direct(self._make_client)

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        # A quarter of the bytes; not every server that copies the protocol knows it.
        encoding: openai_embeddings.Encoding = "base64" if self._is_openai else "float"
        payload = openai_embeddings.to_payload(request, model=self.spec.model_of(request), encoding=encoding)
        notes: list[str] = []
        body, headers = await self.posted(openai_embeddings.PATH, payload, request.headers, notes)
        made = openai_embeddings.from_response(body, count=len(request.texts), provider=self.spec.name)
        return embeddings_headed(made, headers, notes)

    async def batch(self, requests: tuple[Request, ...]) -> list[Completion | ProviderError]:
        if not self.spec.supports("batch"):
            return await super().batch(requests)
        client = self._client or self._make_client(self.spec.secret)
        try:
            return await ordered(openai_batch, client, self, requests)
        finally:
            if client is not self._client:
                await client.close()

    def _make_client(self, secret: str) -> Any:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        # Endpoints without a key (Ollama, vLLM) still need the SDK to be given one. An address is always given, or the
        # SDK would read OPENAI_BASE_URL, which belongs to another provider than this one.
        return AsyncOpenAI(
            api_key=secret or "none",
            base_url=self.spec.base_url or "https://api.openai.com/v1",
            max_retries=0,
            # A redirect would take a batch's prompts elsewhere.
            http_client=DefaultAsyncHttpxClient(follow_redirects=False),
        )
