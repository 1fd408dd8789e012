"""Providers that speak JSON and server-sent events over HTTP, whatever the protocol."""

from __future__ import annotations

import asyncio
import json
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from pydantic import SecretStr

from ..errors import ConnectionLost, ProviderError, StreamCut, UnknownModel
from ..messages import Completion, Delta, Request
from ..provider import Provider, as_deltas
from ..wire import failures
from ..wire.limits import rate_limits
from ..wire.sse import Parser
from .transport import Direct, Transport

_DRAIN = 0.1
"""Seconds to wait for the end of a body whose answer is complete."""


class Assembling(Protocol):
    """Builds a completion from a stream's events; ``done`` once the last of them has come."""

    done: bool

    def feed(self, event: Any, name: str = "") -> list[Delta]:
        """Take one event."""

    def completion(self) -> Completion:
        """The whole; raises `StreamCut` if its finish reason is missing."""


class Protocolled(Protocol):
    """A wire mapping, bound to one provider's dialect."""

    @property
    def path(self) -> str:
        """Where requests go, below the base URL."""

    def to_payload(self, request: Request, *, model: str, stream: bool = False) -> dict[str, Any]:
        """The JSON to send."""

    def from_response(self, body: Any, *, provider: str = "") -> Completion:
        """The completion in the JSON that came."""

    def assembler(self, *, provider: str = "") -> Assembling:
        """A new assembler for one stream."""


class HttpProvider(Provider):
    """A provider that speaks JSON and server-sent events over HTTP.

    Derive from it and implement `protocol` and `connect`.
    """

    _transport: Transport | None = None

    @abstractmethod
    def protocol(self, model: str) -> Protocolled:
        """The wire mapping for a model."""

    @abstractmethod
    async def connect(self) -> Transport:
        """Open the transport with the key that `spec` has now."""

    async def on_start(self) -> None:
        self._transport = await self.connect()

    async def on_stop(self) -> None:
        await self._close()

    async def on_failure(self, *_: Any) -> None:
        await self._close()

    async def rotate(self, api_key: SecretStr) -> None:
        await super().rotate(api_key)
        if self._transport is not None:
            await self._transport.rotate(self.spec.secret)

    async def direct(self, make_client: Callable[[str], Any]) -> Transport:
        """A transport over aiohttp, with the headers of the SDK client that `make_client` makes for a key."""
        spec = self.spec
        transport = Direct(
            spec.name, make_client, spec.headers, timeout=spec.timeout, connect_timeout=spec.connect_timeout
        )
        await transport.rotate(spec.secret)
        return transport

    async def complete(self, request: Request) -> Completion:
        transport, model, protocol = self._prepared(request)
        payload = protocol.to_payload(request, model=model)
        reply = await transport.post(protocol.path, payload, request.headers)
        if reply.status >= 400:
            raise self._refused(reply.status, reply.headers, reply.body)
        completion = protocol.from_response(
            self._json(reply.status, reply.headers, reply.body), provider=self.spec.name
        )
        return self._headed(completion, reply.headers)

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        transport, model, protocol = self._prepared(request)
        payload = protocol.to_payload(request, model=model, stream=True)
        name = self.spec.name
        async with transport.open(protocol.path, payload, request.headers) as opened:
            if opened.status >= 400:
                raise self._refused(opened.status, opened.headers, await opened.read())
            if "text/event-stream" not in opened.headers.get("content-type", ""):
                # Not a stream: an error with status 200, a web page, or a server that answers whole regardless.
                whole = protocol.from_response(
                    self._json(opened.status, opened.headers, await opened.read()), provider=name
                )
                for delta in as_deltas(self._headed(whole, opened.headers)):
                    yield delta
                return
            assembler, parser = protocol.assembler(provider=name), Parser()
            chunks = opened.chunks()
            cut: ProviderError | None = None
            begun = done = False
            try:
                async for chunk in chunks:
                    for event in parser.feed(chunk):
                        if done or event.data.startswith("[DONE]"):
                            done = True
                            break
                        for delta in assembler.feed(self._event(event.data, opened.headers), event.name):
                            begun = True
                            yield delta
                        done = assembler.done
                    if done:
                        break
            except ConnectionLost as error:
                cut = error
            if cut is not None:
                # The vendor's finish reason counts, not how the connection ended after it.
                cut = (
                    StreamCut(f"{name} lost the connection in the middle of its answer", provider=name)
                    if begun
                    else cut
                )
                with suppress(StreamCut):
                    yield Delta(completion=self._headed(assembler.completion(), opened.headers))
                    return
                raise cut
            yield Delta(completion=self._headed(assembler.completion(), opened.headers))
            # What ends the body comes right behind; with it read, the connection can serve the next request.
            with suppress(TimeoutError, ProviderError):
                async with asyncio.timeout(_DRAIN):
                    async for _ in chunks:
                        pass

    def _prepared(self, request: Request) -> tuple[Transport, str, Protocolled]:
        model = self.spec.model_of(request)
        if not model:
            raise UnknownModel(
                f"{self.spec.name} has no default model: name one in the request, or set default_model",
                provider=self.spec.name,
            )
        assert self._transport is not None, "on_start has opened it"
        return self._transport, model, self.protocol(model)

    def _refused(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        return failures.from_status(status, body, headers, provider=self.spec.name, secret=self.spec.secret)

    def _json(self, status: int, headers: Mapping[str, str], body: bytes) -> Any:
        try:
            return json.loads(body)
        except ValueError:
            what = headers.get("content-type", "no content type").partition(";")[0]
        raise failures.malformed(
            f"status {status} and a body ({what}) that is not JSON",
            provider=self.spec.name,
            status=status,
            request_id=failures.request_id(headers),
        )

    def _event(self, data: str, headers: Mapping[str, str]) -> Any:
        try:
            return json.loads(data)
        except ValueError:
            pass
        raise failures.malformed(
            "an event that is not JSON", provider=self.spec.name, request_id=failures.request_id(headers)
        )

    def _headed(self, made: Completion, headers: Mapping[str, str]) -> Completion:
        return Completion(
            made.message,
            made.finish_reason,
            made.usage,
            made.model,
            made.provider,
            failures.request_id(headers) or made.request_id,
            limits=rate_limits(headers),
        )

    async def _close(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.close()
