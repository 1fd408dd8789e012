"""Gemini's own protocol, over aiohttp."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..embeddings import EmbeddingRequest, Embeddings
from ..messages import Completion, Request
from ..wire import gemini, gemini_embeddings
from .http import Assembling, HttpProvider, Protocolled, embeddings_headed
from .transport import Transport

BASE_URL = "https://generativelanguage.googleapis.com/v1beta"


@dataclass(frozen=True, slots=True)
class Content:
    """generateContent, and streamGenerateContent as server-sent events, of one model."""

    model: str

    @property
    def path(self) -> str:
        return gemini.path(self.model, "generateContent")

    @property
    def stream_path(self) -> str:
        return gemini.path(self.model, "streamGenerateContent") + "?alt=sse"

    def to_payload(self, request: Request, notes: list[str], *, model: str, stream: bool = False) -> dict[str, Any]:
        return gemini.to_payload(request, model=model, notes=notes)

    def from_response(self, body: Any, *, provider: str = "") -> Completion:
        return gemini.from_response(body, provider=provider)

    def assembler(self, *, provider: str = "") -> Assembling:
        return gemini.Assembler(provider=provider)


class GeminiProvider(HttpProvider):
    """Gemini's content, token counts and embeddings, in Google's own protocol."""

    def protocol(self, model: str) -> Protocolled:
        return Content(model)

    async def connect(self) -> Transport:
        return await self.direct(self._head)

    async def count_tokens(self, request: Request) -> int:
        """Input tokens as Google's own endpoint counts them; it is free of charge."""
        _, content, notes = self.prepared(request)
        model = self.spec.model_of(request)
        payload = {"generateContentRequest": {"model": gemini.named(model), **content}}
        body, _ = await self.posted(gemini.path(model, "countTokens"), payload, request.headers, notes)
        return self._counted_in(body, "totalTokens")

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        model = self.spec.model_of(request)
        payload = gemini_embeddings.to_payload(request, model=model)
        notes: list[str] = []
        path = gemini.path(model, gemini_embeddings.CALL)
        body, headers = await self.posted(path, payload, request.headers, notes)
        count, name = len(request.texts), self.spec.name
        made = gemini_embeddings.from_response(body, count=count, model=model, provider=name)
        return embeddings_headed(made, headers, notes)

    def _head(self, secret: str) -> _Head:
        key = {"x-goog-api-key": secret} if secret else {}
        return _Head(self.spec.base_url or BASE_URL, {"content-type": "application/json"}, key)


@dataclass(frozen=True, slots=True)
class _Head:
    """What a transport takes from an SDK's client, where there is none."""

    base_url: str
    default_headers: dict[str, str]
    auth_headers: dict[str, str]
