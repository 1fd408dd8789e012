"""The provider actor: it decides, and the requests run beside its mailbox."""

from __future__ import annotations

import asyncio
import json
from abc import abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pydantic import SecretStr

from ..actors.core.actor import Actor
from .errors import ConnectionLost, InvalidRequest, ProviderError, StreamCut, UnknownModel
from .messages import Completion, Delta, Request, Usage
from .spec import Capability, ProviderSpec, dropped
from .tokens import estimate, estimate_message
from .transport import Direct, Transport
from .wire import failures
from .wire.limits import rate_limits
from .wire.sse import Parser

_DRAIN = 0.1
"""Seconds to wait for the end of a body whose answer is complete."""


@dataclass(frozen=True, slots=True)
class Describe:
    """Ask a provider what it is; it answers with a `Description`."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a provider is and does at this moment."""

    spec: ProviderSpec
    in_flight: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Supports:
    """Ask a provider whether it can do something; it answers with a bool."""

    capability: Capability


@dataclass(frozen=True, slots=True)
class CountTokens:
    """Ask a provider how many input tokens a request has; it answers with an int."""

    request: Request


@dataclass(frozen=True, slots=True)
class RotateKey:
    """Tell a provider to use another key from the next request on; it answers with None."""

    api_key: SecretStr


class Provider(Actor):
    """Answers `Request` with a `Completion`, or, asked for a stream, with `Delta` values.

    At most ``spec.max_in_flight`` requests run at once; the others wait in the order they came. Derive from it and
    implement `complete`, and `stream` where there is something to stream.
    """

    def __init__(self, spec: ProviderSpec) -> None:
        super().__init__()
        self.spec = spec
        self._gate = Gate(spec.max_in_flight)

    @abstractmethod
    async def complete(self, request: Request) -> Completion:
        """Make one completion. Raises a `ProviderError`."""

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        """The pieces of one completion, the last with the whole of it; by default in as few as can be.

        Raises:
            ProviderError: also in the middle.
        """
        for delta in as_deltas(await self.complete(request)):
            yield delta

    async def count_tokens(self, request: Request) -> int:
        """Input tokens of a request, as exactly as this provider can say."""
        return estimate(request)

    async def batch(self, requests: tuple[Request, ...]) -> list[Completion | ProviderError]:
        """Answer many requests through the vendor's batch endpoint, which may take hours."""
        raise InvalidRequest(f"{self.spec.name} takes no batches", provider=self.spec.name)

    async def rotate(self, api_key: SecretStr) -> None:
        """Take another key."""
        self.spec = replace(self.spec, api_key=api_key)

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Request):
            request = self.spec.completed(message)
            if self.expects == "stream":
                return self._streamed(request)
            return self.reply_with(self._completed(request))
        if isinstance(message, Supports):
            return self.spec.supports(message.capability)
        if isinstance(message, Describe):
            return Description(self.spec, self._gate.inside, self._gate.waiting)
        if isinstance(message, CountTokens):
            return self.reply_with(self.count_tokens(self.spec.completed(message.request)))
        if isinstance(message, RotateKey):
            return self.reply_with(self.rotate(message.api_key))
        if type(message).__name__ == "BatchRequest":
            return self.reply_with(self._batched(message))
        raise TypeError(f"{self.path} takes Request, Supports, Describe, CountTokens or RotateKey, not {message!r:.80}")

    async def _batched(self, message: Any) -> Any:
        # Here and not above: the pool is built on this module.
        from .pool.control import BatchAnswer

        requests = tuple(self.spec.completed(request) for request in message.requests)
        outcomes = await self.batch(requests)
        return BatchAnswer(
            tuple(
                self._finished(request, outcome, 0.0) if isinstance(outcome, Completion) else outcome
                for request, outcome in zip(requests, outcomes, strict=True)
            )
        )

    async def _completed(self, request: Request) -> Completion:
        clock = asyncio.get_running_loop().time
        async with self._gate.room():
            started = clock()
            completion = await self.complete(request)
            return self._finished(request, completion, clock() - started)

    async def _streamed(self, request: Request) -> AsyncIterator[Delta]:
        clock = asyncio.get_running_loop().time
        async with self._gate.room():
            started = clock()
            pieces = self.stream(request)
            try:
                async for delta in pieces:
                    if delta.completion is not None:
                        whole = self._finished(request, delta.completion, clock() - started)
                        delta = replace(delta, completion=whole)
                    yield delta
            finally:
                # Not left to the garbage collector: the connection must close when the reader goes.
                close = getattr(pieces, "aclose", None)
                if close is not None:
                    await close()

    def _finished(self, request: Request, made: Completion, latency: float) -> Completion:
        notes, usage = made.notes, made.usage
        ignored = dropped(self.spec, request)
        if ignored:
            notes = (*notes, *ignored)
        if not usage.total_tokens:
            # Some endpoints count nothing, or only when they are not streaming; budgets and limits need a number.
            usage = Usage(estimate(request), estimate_message(made.message))
            notes = (*notes, f"tokens are estimated: {self.spec.name} reported none")
        # Spelt out, because dataclasses.replace costs four times as much and this runs for every request.
        return Completion(
            made.message,
            made.finish_reason,
            usage,
            made.model,
            self.spec.name,
            made.request_id,
            latency,
            made.cost,
            notes,
            made.limits,
        )


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


class Gate:
    """Lets a number of holders in at once and the others in the order they came.

    Args:
        size: how many may be inside.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._queue: deque[asyncio.Future[None]] = deque()
        self.inside = 0

    @property
    def waiting(self) -> int:
        """How many are waiting."""
        return sum(1 for waiter in self._queue if not waiter.done())

    @asynccontextmanager
    async def room(self) -> AsyncIterator[None]:
        """Wait for room, and give it back at the end."""
        if self.inside < self._size and not self._queue:
            self.inside += 1
        else:
            waiter = asyncio.get_running_loop().create_future()
            self._queue.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self._leave()  # let in and cancelled at once: the place goes to the next
                raise
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        while self._queue:
            waiter = self._queue.popleft()
            if not waiter.done():
                waiter.set_result(None)  # the place passes on, `inside` stays
                return
        self.inside -= 1


def as_deltas(completion: Completion) -> list[Delta]:
    """A whole answer in the form of a stream."""
    message = completion.message
    deltas = [Delta(reasoning=message.reasoning)] if message.reasoning else []
    if message.text:
        deltas.append(Delta(text=message.text))
    deltas += [
        Delta(tool_index=index, tool_id=call.id, tool_name=call.name, tool_arguments=call.arguments)
        for index, call in enumerate(message.tool_calls)
    ]
    return [*deltas, Delta(completion=completion)]
