"""Providers that speak JSON and server-sent events over HTTP, whatever the protocol."""

from __future__ import annotations

import asyncio
import importlib
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

from pydantic import SecretStr

from ..checks import HEADERS
from ..embeddings import Embeddings
from ..errors import ConnectionLost, InvalidRequest, ProviderError, ProviderTimeout, StreamCut, UnknownModel
from ..messages import Completion, Delta, Request
from ..provider import Provider, as_deltas
from ..shapes import unwritable
from ..wire import failures, fields
from ..wire.fitting import letters
from ..wire.limits import rate_limits
from ..wire.sse import Parser, is_sign_of_life, is_stream
from . import reading
from .reading import Pace
from .transport import Opened, Transport

_DRAIN = 0.1
"""Seconds to wait for the end of a body whose answer is complete."""
_LONGEST_HEAD = 64 * 1024
"""Bytes of blanks at the head of a body after which its content type must say what it is."""


class Assembling(Protocol):
    """Builds a completion from a stream's events; ``done`` once the last of them has come."""

    done: bool

    @property
    def finished(self) -> bool:
        """Whether a finish reason has come."""

    def feed(self, event: Any, name: str = "") -> list[Delta]:
        """Take one event."""

    def end(self) -> None:
        """Take it that the stream ended in good order, with ``[DONE]``."""

    def completion(self) -> Completion:
        """The whole; raises `StreamCut` if its finish reason is missing."""


class Protocolled(Protocol):
    """A wire mapping, bound to one provider's dialect."""

    @property
    def path(self) -> str:
        """Where requests go, below the base URL."""

    @property
    def stream_path(self) -> str:
        """Where requests for a stream go."""

    def to_payload(self, request: Request, notes: list[str], *, model: str, stream: bool = False) -> dict[str, Any]:
        """The JSON to send; `notes` takes what had to be changed."""

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

    @classmethod
    def load(cls) -> None:
        """Import what takes long; it is called beside the event loop."""
        importlib.import_module(f"{__package__}.direct")

    async def on_start(self) -> None:
        self._interruptible = True  # an import goes on in its thread, and nothing is open until there is a transport
        await asyncio.to_thread(self.load)
        self._transport = await self.connect()
        self._interruptible = False

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
        from .direct import Direct  # aiohttp, which `load` has imported

        transport = Direct(
            spec.name, make_client, spec.headers, timeout=spec.timeout, connect_timeout=spec.connect_timeout
        )
        await transport.rotate(spec.secret)
        return transport

    async def complete(self, request: Request) -> Completion:
        protocol, payload, notes = self.prepared(request)
        body, headers = await self.posted(protocol.path, payload, request.headers, notes)
        return self._headed(protocol.from_response(body, provider=self.spec.name), headers, notes)

    async def posted(
        self, path: str, payload: Mapping[str, Any], headers: Mapping[str, str], notes: list[str]
    ) -> tuple[Any, Mapping[str, str]]:
        """Send JSON to the vendor; returns the JSON and the headers of its answer. Raises a `ProviderError`.

        Args:
            path: where to, below the base URL.
            payload, headers: what.
            notes: takes what had to be changed.
        """
        begun = False
        try:
            async with asyncio.timeout(self.spec.total_timeout):
                opened = await self._open(path, payload, headers, notes)
                begun = True
                try:
                    if not 200 <= opened.status < 300:
                        raise await self._refused(opened, self._pace())
                    body = await reading.whole(opened, self._pace(), provider=self.spec.name)
                finally:
                    await opened.aclose()
            return self._json(opened, body), opened.headers
        except ProviderError as error:
            error.begun = begun
            raise
        except TimeoutError:
            late = reading.overdue(self.spec.name, self.spec.total_timeout)
        late.begun = begun
        raise late

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        protocol, payload, notes = self.prepared(request, stream=True)
        name = self.spec.name
        pace = self._pace()
        opened, head, body = await self._answered(pace, protocol.stream_path, payload, request.headers, notes)
        try:
            if body is not None:
                whole = protocol.from_response(self._json(opened, body), provider=name)
                for delta in as_deltas(self._headed(whole, opened.headers, notes)):
                    yield delta
                return
            assembler, parser = protocol.assembler(provider=name), Parser()
            chunk = head
            cut: ProviderError | None = None
            begun = done = goes_on = False
            until = 0.0
            try:
                while chunk:
                    pace.came(len(chunk))
                    heard = False
                    for event in parser.feed(chunk):
                        if event.data.startswith("[DONE]"):
                            assembler.end()
                            done = True
                        if done:
                            break
                        payload = self._event(event.data, opened.headers)
                        if not heard and not is_sign_of_life(event.name, payload):
                            heard = True
                            pace.heard()
                        finished = assembler.finished
                        for delta in assembler.feed(payload, event.name):
                            begun, goes_on = True, finished
                            yield delta
                        done = assembler.done
                    if done:
                        break
                    pace.check()
                    pace.waits()
                    # A vendor that says something behind its finish reason gives one with every piece.
                    if not assembler.finished or goes_on:
                        chunk = await opened.read()
                        continue
                    until = until or asyncio.get_running_loop().time() + reading.AFTERWARDS
                    async with asyncio.timeout_at(until):
                        chunk = await opened.read()
            except (ConnectionLost, ProviderTimeout) as error:
                cut = error
            except TimeoutError:
                pass  # the answer is there, and nothing more comes
            if cut is not None:
                # The vendor's finish reason counts, not how the connection ended after it.
                if begun and isinstance(cut, ConnectionLost):
                    cut = StreamCut(f"{name} lost the connection in the middle of its answer", provider=name)
                with suppress(StreamCut):
                    yield Delta(completion=self._headed(assembler.completion(), opened.headers, notes))
                    return
                raise cut
            yield Delta(completion=self._headed(assembler.completion(), opened.headers, notes))
            # What ends the body comes right behind; with it read, the connection can serve the next request.
            with suppress(TimeoutError, ProviderError):
                async with asyncio.timeout(_DRAIN):
                    while await opened.read():
                        pass
        finally:
            await opened.aclose()

    @property
    def _opened(self) -> Transport:
        assert self._transport is not None, "on_start has opened it"
        return self._transport

    async def _open(
        self, path: str, payload: Mapping[str, Any], headers: Mapping[str, str], notes: list[str]
    ) -> Opened:
        """Send, with what cannot stand in a text replaced; found out by trying, since nearly all texts are well."""
        if headers and not HEADERS.fits(headers):  # an SDK's client would call it a lost connection
            raise InvalidRequest(f"headers: expected {HEADERS.text}", provider=self.spec.name)
        try:
            return await self._opened.open(path, payload, headers)
        except UnicodeEncodeError:  # nothing has been sent
            pass
        notes.append(letters.REPLACED)
        return await self._opened.open(path, letters.mended(payload), headers)

    def prepared(self, request: Request, *, stream: bool = False) -> tuple[Protocolled, dict[str, Any], list[str]]:
        """The protocol of a request's model, the JSON to send, and notes on what had to be changed.

        Raises:
            InvalidRequest: no JSON can be made of it; says where that lies.
            UnknownModel: it names no model, and there is no default.
        """
        model = self.spec.model_of(request)
        if not model:
            raise UnknownModel(
                f"{self.spec.name} has no default model: name one in the request, or set default_model",
                provider=self.spec.name,
            )
        protocol = self.protocol(model)
        notes: list[str] = []
        try:
            return protocol, protocol.to_payload(request, notes, model=model, stream=stream), notes
        except ProviderError:
            raise
        except Exception as error:
            problem = unwritable(request, error, self.spec.name)
        raise problem

    def _pace(self) -> Pace:
        spec = self.spec
        return Pace(spec.timeout, spec.total_timeout, asyncio.get_running_loop().time, provider=spec.name)

    async def _refused(self, opened: Opened, pace: Pace) -> ProviderError:
        return failures.from_status(
            opened.status,
            await reading.refusal(opened, pace),
            opened.headers,
            provider=self.spec.name,
            now=datetime.now(UTC),
        )

    async def _answered(
        self, pace: Pace, path: str, payload: Mapping[str, Any], headers: Mapping[str, str], notes: list[str]
    ) -> tuple[Opened, bytes, bytes | None]:
        """Ask for a stream. What the answer is shows in how it begins: a type in its header may be wrong, and a web
        page, an error with status 200, or an answer from a server that does not stream come whole.

        Returns:
            the response, what was read of its body to see that it is a stream, and, if it is none, the whole body.
        """
        try:
            async with asyncio.timeout(self.spec.total_timeout):
                opened = await self._open(path, payload, headers, notes)
                try:
                    return opened, *await self._begun(opened, pace)
                except BaseException:
                    await opened.aclose()
                    raise
        except TimeoutError:
            pass
        raise reading.overdue(self.spec.name, self.spec.total_timeout)

    async def _begun(self, opened: Opened, pace: Pace) -> tuple[bytes, bytes | None]:
        pace.waits()
        if not 200 <= opened.status < 300:
            raise await self._refused(opened, pace)
        head, streamed = b"", None
        while streamed is None and len(head) <= _LONGEST_HEAD and (chunk := await opened.read()):
            pace.read(chunk)
            head += chunk
            streamed = is_stream(head)
        if streamed is None:
            streamed = "text/event-stream" in opened.headers.get("content-type", "")
        return head, None if streamed else await reading.whole(opened, pace, head, provider=self.spec.name)

    def _json(self, opened: Opened, body: bytes) -> Any:
        try:
            return fields.loads(body)
        except ValueError:
            what = opened.headers.get("content-type", "no content type").partition(";")[0]
        raise failures.malformed(
            f"status {opened.status} and a body ({what}) that is not JSON",
            provider=self.spec.name,
            status=opened.status,
            request_id=failures.request_id(opened.headers),
        )

    def _event(self, data: str, headers: Mapping[str, str]) -> Any:
        try:
            return fields.loads(data)
        except ValueError:
            pass
        raise failures.malformed(
            "an event that is not JSON", provider=self.spec.name, request_id=failures.request_id(headers)
        )

    def _headed(self, made: Completion, headers: Mapping[str, str], notes: list[str]) -> Completion:
        return Completion(
            made.message,
            made.finish_reason,
            made.usage,
            made.model,
            made.provider,
            failures.request_id(headers) or made.request_id,
            notes=(*notes, *made.notes),
            limits=rate_limits(headers),
            extra=made.extra,
        )

    def _counted_in(self, body: Any, name: str) -> int:
        """The count of tokens that a vendor's own endpoint answered, under `name`. Raises `MalformedResponse`."""
        return failures.read_by(_count, body, name, provider=self.spec.name)

    async def _close(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.close()


def embeddings_headed(made: Embeddings, headers: Mapping[str, str], notes: list[str]) -> Embeddings:
    """Embeddings with what their response's headers say, and what had to be changed."""
    request_id = failures.request_id(headers) or made.request_id
    return replace(made, request_id=request_id, limits=rate_limits(headers), notes=(*notes, *made.notes))


def _count(body: Any, name: str) -> int:
    found = fields.mapping(body, "the body").get(name)
    if found is None:
        raise fields.WrongField(f"a count without {name}")
    return fields.count(found, name)
