"""Anthropic's models at Amazon Bedrock, through Anthropic's client for it, which signs each request."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from typing import Any

from ..clouds import Bedrock
from ..spec import ProviderSpec
from ..wire import eventstream, fields, sse
from .anthropic import AnthropicProvider
from .extras import required
from .transport import Opened, Sdk, Transport

# Errors inside a stream, by the names Anthropic has for them.
_EXCEPTIONS = {
    "throttlingException": "rate_limit_error",
    "validationException": "invalid_request_error",
    "modelTimeoutException": "timeout_error",
    "serviceUnavailableException": "overloaded_error",
}


class BedrockProvider(AnthropicProvider):
    """Anthropic's messages at Amazon Bedrock.

    With a key (``AWS_BEARER_TOKEN_BEDROCK``) nothing of Amazon's is needed. Without one requests are signed with the
    credentials that Amazon's SDK finds (the spec's profile, the environment, the machine's role), which is an extra.

    Args:
        spec: of kind ``bedrock``, with `Bedrock` as its cloud.
        client: an ``AsyncAnthropicBedrock`` of one's own. It is closed with the actor.
    """

    def __init__(self, spec: ProviderSpec, client: Any = None) -> None:
        super().__init__(spec, client)
        assert isinstance(spec.cloud, Bedrock), "a spec of this kind has it"
        self._cloud = spec.cloud

    async def connect(self) -> Transport:
        client = self._client or await asyncio.to_thread(self._make_client, self.spec.secret)
        return _BedrockSdk(self.spec.name, client)

    def _make_client(self, secret: str) -> Any:
        from anthropic import AsyncAnthropicBedrock, Timeout

        if not secret:
            required("boto3", "bedrock", self.spec.name, "or set AWS_BEARER_TOKEN_BEDROCK")
        client = AsyncAnthropicBedrock(
            api_key=secret or None,
            aws_region=self._cloud.region,
            base_url=self.spec.base_url or f"https://bedrock-runtime.{self._cloud.region}.amazonaws.com",
            default_headers=dict(self.spec.headers),
            timeout=Timeout(self.spec.timeout, connect=self.spec.connect_timeout),
            max_retries=0,
            open_telemetry=False,
        )
        if not secret:
            # The client would take a key from the environment, and refuse a profile beside it.
            client.api_key, client.aws_profile = None, self._cloud.profile or None
        return client


class _BedrockSdk(Sdk):
    async def open(self, path: str, payload: Mapping[str, Any], headers: Mapping[str, str]) -> Opened:
        opened = await super().open(path, payload, headers)
        framed = "amazon.eventstream" in opened.headers.get("content-type", "")
        return _Events(opened, self._provider) if framed else opened


class _Events:
    """A stream of Amazon's frames as the server-sent events in them."""

    def __init__(self, opened: Opened, provider: str) -> None:
        import httpx2

        self.status = opened.status
        self.headers: Mapping[str, str] = httpx2.Headers({**opened.headers, "content-type": "text/event-stream"})
        self._opened = opened
        self._parser = eventstream.Parser(provider)

    async def read(self) -> bytes:
        while chunk := await self._opened.read():
            if events := b"".join(map(_event, self._parser.feed(chunk))):
                return events
        return b""

    async def aclose(self) -> None:
        await self._opened.aclose()


def _event(frame: eventstream.Frame) -> bytes:
    kind = frame.headers.get(":exception-type") or frame.headers.get(":error-code")
    try:
        body = fields.loads(frame.payload)
        if kind:
            error = {"type": _EXCEPTIONS.get(kind, "api_error"), "message": f"{kind}: {body.get('message', '')}"}
            return sse.event({"type": "error", "error": error}, "error")
        return b"data: " + base64.b64decode(body["bytes"]) + b"\n\n"
    except (ValueError, TypeError, KeyError, AttributeError):
        return b"data: a frame without an event\n\n"  # which is refused as what is no JSON
