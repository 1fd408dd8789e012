"""The offline model as a provider actor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from ..embeddings import EmbeddingLimit, EmbeddingRequest, Embeddings, divided, joined
from ..messages import Completion, Delta, Request
from ..provider import Provider, as_deltas
from ..spec import ProviderSpec
from ..wire.pieces import pieces
from .hashing import embed
from .model import complete

_AT_ONCE = EmbeddingLimit(texts=16)
"""Texts that are hashed before others get their turn; one of 500 letters takes 0.7 ms."""
_PIECE = 24
"""Characters of a streamed piece."""


class OfflineProvider(Provider):
    """Answers by rules, with no key and no network; see `callboard.providers.offline`."""

    def __init__(self, spec: ProviderSpec | None = None) -> None:
        super().__init__(spec or ProviderSpec("offline", "offline", default_model="offline"))

    async def complete(self, request: Request) -> Completion:
        return complete(request)

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        parts = []
        for part in divided(request, _AT_ONCE):
            parts.append(embed(part))
            await asyncio.sleep(0)
        return joined(parts, 0.0)

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        for delta in as_deltas(complete(request)):
            for piece in pieces(delta.text, _PIECE):
                yield replace(delta, text=piece)
            if not delta.text:
                yield delta
