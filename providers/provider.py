"""The provider actor: it decides, and the requests run beside its mailbox."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from pydantic import SecretStr

from ..actors.core.actor import Actor
from .embeddings import Asked, EmbeddingRequest, Embeddings, divided, estimated_tokens, joined
from .errors import InvalidRequest, ProviderError, ProviderOverloaded
from .gate import Gate
from .messages import Completion, Delta, Request, Usage
from .shapes import misshapen
from .spec import Capability, ProviderSpec, reduced
from .tokens import estimate, estimate_message
from .wire.quotations import quotable
from .wire.secrets import cleaned

ESTIMATED = "tokens are estimated"
"""How the note on a completion begins whose usage the vendor did not tell."""


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
class SetApiKey:
    """Tell a provider to use another key from the next request on; it answers with None."""

    api_key: SecretStr


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """Several requests for a provider with the ``batch`` capability, to be answered by one `BatchAnswer`."""

    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """The answers to a `BatchRequest`, in its order: a completion, or what went wrong with that one request."""

    results: tuple[Completion | Exception, ...]


class Provider(Actor):
    """Answers `Request` with a `Completion`, or, asked for a stream, with `Delta` values; `EmbeddingRequest` with
    `Embeddings`.

    At most ``spec.max_in_flight`` requests run at once; the others wait in the order they came. Derive from it and
    implement `complete`, `stream` where there is something to stream, and `embed` where there are embeddings. What
    takes long to import goes into a class method ``load``: a pool calls it beside the event loop before it has started.
    """

    def __init__(self, spec: ProviderSpec) -> None:
        super().__init__()
        self.spec = spec
        self._gate = Gate(spec.max_in_flight)
        self._former: set[str] = set()
        """Keys that it has used before."""

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

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Embed texts, no more than ``spec.embedding_limit`` allows in one call. Raises a `ProviderError`."""
        raise InvalidRequest(f"{self.spec.name} has no embeddings", provider=self.spec.name)

    async def count_tokens(self, request: Request) -> int:
        """Input tokens of a request, as exactly as this provider can say."""
        return estimate(request, self.spec.counter(request.model))

    async def batch(self, requests: tuple[Request, ...]) -> list[Completion | ProviderError]:
        """Answer many requests through the vendor's batch endpoint, which may take hours."""
        raise InvalidRequest(f"{self.spec.name} takes no batches", provider=self.spec.name)

    async def rotate(self, api_key: SecretStr) -> None:
        """Take another key."""
        self.spec = replace(self.spec, api_key=api_key)

    def secrets(self) -> tuple[str, ...]:
        """What must stand in no error: the keys that it sends, wherever they come from."""
        return self.spec.secrets

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Request):
            return self._streamed(message) if self.expects == "stream" else self.reply_with(self._completed(message))
        if isinstance(message, EmbeddingRequest):
            return self.reply_with(self._embedded(message))
        if isinstance(message, Supports):
            return self.spec.supports(message.capability)
        if isinstance(message, Describe):
            return Description(self.spec, self._gate.inside, self._gate.waiting)
        if isinstance(message, CountTokens):
            return self.reply_with(self._counted(message.request))
        if isinstance(message, SetApiKey):
            self._former.update(self.secrets())  # calls in flight still go out with them
            return self.reply_with(self.rotate(message.api_key))
        if isinstance(message, BatchRequest):
            return self.reply_with(self._batched(message))
        raise TypeError(
            f"{self.path} takes Request, EmbeddingRequest, BatchRequest, Supports, Describe, CountTokens or SetApiKey, "
            f"not {message!r:.80}"
        )

    async def _batched(self, message: BatchRequest) -> BatchAnswer:
        requests = message.requests
        try:
            requests = tuple(map(self.spec.completed, requests))
            able = [reduced(self.spec, request) for request in requests]
            outcomes = await self.batch(tuple(request for request, _ in able))
        except Exception as error:
            self._tell(error, *requests)
        return BatchAnswer(
            tuple(
                self._finished(request, outcome, 0.0, ignored)
                if isinstance(outcome, Completion)
                else self._told(outcome, request)
                for request, outcome, (_, ignored) in zip(requests, outcomes, able, strict=True)
            )
        )

    async def _completed(self, request: Request) -> Completion:
        clock = asyncio.get_running_loop().time
        async with self._gate:
            started = clock()
            try:
                request = self.spec.completed(request)
                able, ignored = reduced(self.spec, request)
                completion = await self.complete(able)
            except Exception as error:
                self._tell(error, request)
            return self._finished(request, completion, clock() - started, ignored)

    async def _embedded(self, request: EmbeddingRequest) -> Embeddings:
        clock = asyncio.get_running_loop().time
        latency = 0.0
        parts: list[Embeddings] = []
        for part in divided(request, self.spec.embedding_limit):
            async with self._gate:
                started = clock()
                try:
                    parts.append(await self.embed(part))
                except Exception as error:
                    self._tell(error, part)
                latency += clock() - started
        made = joined(parts, latency)
        usage, notes = made.usage, made.notes
        if not usage.total_tokens:
            usage = Usage(estimated_tokens(request))
            notes = (*notes, f"{ESTIMATED}: {self.spec.name} reported none")
        return replace(made, provider=self.spec.name, usage=usage, notes=notes, latency=latency)

    async def _streamed(self, request: Request) -> AsyncIterator[Delta]:
        clock = asyncio.get_running_loop().time
        async with self._gate:
            started = clock()
            pieces: AsyncIterator[Delta] | None = None
            try:
                request = self.spec.completed(request)
                able, ignored = reduced(self.spec, request)
                # Whoever is said not to stream is asked for the whole.
                pieces = self.stream(able) if self.spec.supports("stream") else Provider.stream(self, able)
                async for delta in pieces:
                    if delta.completion is not None:
                        whole = self._finished(request, delta.completion, clock() - started, ignored)
                        delta = replace(delta, completion=whole)
                    yield delta
            except Exception as error:
                self._tell(error, request)
            finally:
                # Not left to the garbage collector: the connection must close when the reader goes.
                close = getattr(pieces, "aclose", None)
                if close is not None:
                    await close()

    async def _counted(self, request: Request) -> int:
        try:
            request = self.spec.completed(request)
            return await self.count_tokens(request)
        except Exception as error:
            self._tell(error, request)

    def _tell(self, error: Exception, *requests: Asked) -> NoReturn:
        """Raise what `_told` says."""
        told = self._told(error, *requests)
        if told is error:
            raise error
        raise told from None

    def _told(self, error: Exception, *requests: Asked) -> Exception:
        """What whoever asked is told of a failure: without keys and prompts, which vendors quote. Of a request that is
        wrong itself it is that, whatever came of it: a vendor that could make nothing of it is not to blame."""
        unexplained = not isinstance(error, ProviderError) or isinstance(error, ProviderOverloaded)
        if unexplained and (problem := self._wrong_with(requests)):
            return InvalidRequest(problem, provider=self.spec.name)
        if isinstance(error, ProviderError):
            headers = (value for request in requests for value in request.headers.values())
            prompts = (text for request in requests for text in quotable(request))
            try:
                cleaned(error, (*self._former, *self.secrets(), *headers), prompts)
            except Exception:
                if problem := self._wrong_with(requests):
                    return InvalidRequest(problem, provider=self.spec.name)
                raise
        return error

    @staticmethod
    def _wrong_with(requests: tuple[Asked, ...]) -> str:
        # Requests for embeddings were looked at when they were made.
        asked = (each for each in requests if not isinstance(each, EmbeddingRequest))
        return next(filter(None, map(misshapen, asked)), "")

    def _finished(self, request: Request, made: Completion, latency: float, ignored: tuple[str, ...]) -> Completion:
        notes, usage = made.notes, made.usage
        if ignored:
            notes = (*notes, *ignored)
        if not usage.total_tokens:
            # Some endpoints count nothing, or only when they are not streaming; budgets and limits need a number.
            counter = self.spec.counter(request.model)
            usage = Usage(estimate(request, counter), estimate_message(made.message, counter))
            notes = (*notes, f"{ESTIMATED}: {self.spec.name} reported none")
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
            made.extra,
        )


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
