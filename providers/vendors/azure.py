"""Azure OpenAI, through OpenAI's client for it: it puts the deployment into the path and the version into the query."""

from __future__ import annotations

import asyncio
from typing import Any

from ..clouds import Azure
from ..spec import ProviderSpec
from .http import Protocolled
from .openai import OpenAIProvider
from .transport import Sdk, Transport


class AzureProvider(OpenAIProvider):
    """Chat completions and embeddings of Azure's deployments.

    Args:
        spec: of kind ``azure``, with the endpoint as its address and `Azure` as its cloud.
        client: an ``AsyncAzureOpenAI`` of one's own (for tokens of Entra ID). It is closed with the actor.
    """

    def __init__(self, spec: ProviderSpec, client: Any = None) -> None:
        super().__init__(spec, client)
        assert isinstance(spec.cloud, Azure), "a spec of this kind has it"
        self._cloud = spec.cloud

    @property
    def _is_openai(self) -> bool:
        return True

    def protocol(self, model: str) -> Protocolled:
        return self._chat

    async def connect(self) -> Transport:
        client = self._client or await asyncio.to_thread(self._make_client, self.spec.secret)
        return Sdk(self.spec.name, client)

    def _make_client(self, secret: str) -> Any:
        from openai import AsyncAzureOpenAI, Timeout

        return AsyncAzureOpenAI(
            api_key=secret,
            azure_endpoint=self.spec.base_url,
            azure_deployment=self._cloud.deployment or None,
            api_version=self._cloud.api_version,
            default_headers=dict(self.spec.headers),
            timeout=Timeout(self.spec.timeout, connect=self.spec.connect_timeout),
            max_retries=0,
        )
