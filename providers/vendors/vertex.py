"""Anthropic's models at Google's Vertex AI, through Anthropic's client for it, which fetches and renews the token."""

from __future__ import annotations

import asyncio
from typing import Any

from ..clouds import Vertex
from ..spec import ProviderSpec
from .anthropic import AnthropicProvider
from .extras import required
from .transport import Sdk, Transport


class VertexProvider(AnthropicProvider):
    """Anthropic's messages at Vertex AI.

    A key is an access token, for as long as it lasts. Without one Google's SDK, an extra, finds the application's
    default credentials and renews their token.

    Args:
        spec: of kind ``vertex``, with `Vertex` as its cloud.
        client: an ``AsyncAnthropicVertex`` of one's own. It is closed with the actor.
    """

    def __init__(self, spec: ProviderSpec, client: Any = None) -> None:
        super().__init__(spec, client)
        assert isinstance(spec.cloud, Vertex), "a spec of this kind has it"
        self._cloud = spec.cloud

    async def connect(self) -> Transport:
        client = self._client or await asyncio.to_thread(self._make_client, self.spec.secret)
        return _VertexSdk(self.spec.name, client)

    def _make_client(self, secret: str) -> Any:
        from anthropic import AsyncAnthropicVertex, Timeout

        if not secret:
            required("google.auth.transport.requests", "vertex", self.spec.name, "or give an access token as the key")
        location = self._cloud.location
        host = {"us": "aiplatform.us.rep", "eu": "aiplatform.eu.rep", "global": "aiplatform"}
        return AsyncAnthropicVertex(
            access_token=secret or None,
            project_id=self._cloud.project,
            region=location,
            base_url=self.spec.base_url or f"https://{host.get(location, f'{location}-aiplatform')}.googleapis.com/v1",
            default_headers=dict(self.spec.headers),
            timeout=Timeout(self.spec.timeout, connect=self.spec.connect_timeout),
            max_retries=0,
            open_telemetry=False,
        )


class _VertexSdk(Sdk):
    key_attribute = "access_token"
