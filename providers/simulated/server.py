"""The simulated provider: routes, answers, limits and faults over `http`."""

from __future__ import annotations

import asyncio
import inspect
import json
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from ..embeddings import Answered, Asked, EmbeddingRequest, Embeddings, estimated_tokens
from ..errors import InvalidRequest
from ..latency import Latency
from ..messages import Completion, Request, Usage
from ..offline.hashing import DIMENSIONS, hashed
from ..tokens import estimate
from .batches import Batches
from .exchange import Exchange, dumped
from .faults import Fault
from .forms import Form, Route, route
from .http import Connection, Incoming, Server
from .limits import Enforcer, ServerQuota
from .prompts import PromptCache, counted, too_long
from .state import ServerStats, State

Answer: TypeAlias = Completion | Callable[[Request], Completion | Awaitable[Completion]]
_LOGGED = 1000


class SimulatedProvider:
    """A server on loopback. Use it as ``async with``; `fault`, `failure_rate`, `latency`, `answer` may be changed at
    any time, and hold for the requests that come after.

    Args:
        answer: what it answers: a completion, or a function of the request, which may be async. The offline model's
            rules by default.
        host, port: where it listens; port 0 for any that is free.
        latency: seconds before the first byte, or a distribution.
        chunk_delay: seconds between two events of a stream.
        chunk_size: characters in an event of a stream.
        fault: what goes wrong.
        failure_rate: with what probability it does, 0 to 1.
        limits: rate limits of each key, enforced.
        keys: the keys that are taken; None for any.
        window: tokens that its model takes, by our estimate; None for any number.
        prompt_cache: whether it caches how prompts begin; answers say then how many tokens they had, and how many of
            them were cached.
        seed: of the random choices.
    """

    def __init__(
        self,
        answer: Answer | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        latency: float | Latency = 0.0,
        chunk_delay: float = 0.0,
        chunk_size: int = 16,
        fault: Fault | None = None,
        failure_rate: float = 1.0,
        limits: ServerQuota | None = None,
        keys: Iterable[str] | None = None,
        window: int | None = None,
        prompt_cache: bool = False,
        seed: int = 0,
    ) -> None:
        if answer is None:
            from ..offline import complete

            answer = complete
        self.answer = answer
        self.latency = latency
        self.fault = fault
        self.failure_rate = failure_rate
        self.limits = limits
        self.window = window
        self._prompts = PromptCache() if prompt_cache else None
        self.batches = Batches(self._batched)
        self.log: deque[tuple[str, Mapping[str, Any]]] = deque(maxlen=_LOGGED)
        self._state = State(chunk_delay, chunk_size)
        self._host, self._port = host, port
        self._keys = None if keys is None else frozenset(keys)
        self._rng = random.Random(seed)
        self._script: deque[Fault | None] = deque()
        self._enforcers: dict[str, Enforcer] = {}
        self._server = Server(self._handle, self._left)
        self._encoded: tuple[Any, dict[tuple[Form, str], bytes]] = (None, {})

    # -- use -------------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The server's address: Anthropic's base URL."""
        return f"http://{self._host}:{self._port}"

    @property
    def base_url(self) -> str:
        """OpenAI's base URL."""
        return f"{self.url}/v1"

    @property
    def stats(self) -> ServerStats:
        """What it has seen."""
        return self._state.stats

    @property
    def chunk_delay(self) -> float:
        """Seconds between two events of a stream."""
        return self._state.chunk_delay

    @chunk_delay.setter
    def chunk_delay(self, seconds: float) -> None:
        self._state.chunk_delay = seconds

    @property
    def chunk_size(self) -> int:
        """Characters in an event of a stream."""
        return self._state.chunk_size

    @chunk_size.setter
    def chunk_size(self, characters: int) -> None:
        self._state.chunk_size = characters

    def script(self, *faults: Fault | None) -> None:
        """What happens to the next requests, in order: a fault, or None for a right answer. Comes before `fault`."""
        self._script.extend(faults)

    async def start(self) -> None:
        """Begin to listen; after `stop` on the same port again."""
        self._port = await self._server.listen(self._host, self._port)

    async def stop(self) -> None:
        """Reset every connection and refuse new ones, as a killed server does."""
        await self._server.close()

    async def __aenter__(self) -> SimulatedProvider:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # -- one request -----------------------------------------------------------------------------------------------

    def _handle(self, incoming: Incoming, connection: Connection) -> None:
        stats = self.stats
        stats.requests += 1
        stats.in_flight += 1
        stats.most_in_flight = max(stats.most_in_flight, stats.in_flight)
        found = route(incoming.path)
        exchange = Exchange(self._state, incoming, connection, stats.requests, found.form)
        connection.on_lost = lambda: exchange.close(0)
        if found.action == "health":
            exchange.reply(200, {"status": "ok"})
        elif self.batches.knows(incoming.path):
            if self._keys is not None and exchange.key() not in self._keys:
                exchange.refuse(401, "authentication_error", "this key is not known")
            else:
                connection.run(exchange.batch(self.batches, self.url))
        elif found.action == "models":
            exchange.reply(200, {"object": "list", "data": [{"id": "simulated", "object": "model"}]})
        elif not found.action or incoming.method != "POST" or found.query not in incoming.query:
            exchange.refuse(404, "not_found_error", f"no endpoint {incoming.method} {incoming.path}")
        else:
            self._answer_to(exchange, found)

    def _answer_to(self, exchange: Exchange, found: Route) -> None:
        key = exchange.key()
        if self._keys is not None and key not in self._keys:
            exchange.refuse(401, "authentication_error", "this key is not known")
            return
        try:
            payload = json.loads(exchange.incoming.body)
            if not isinstance(payload, dict):
                raise ValueError("expected a JSON object")
            exchange.payload = payload = found.payload(payload)
            request = exchange.form.read(payload)
        except (ValueError, TypeError, AttributeError, LookupError, InvalidRequest) as error:
            exchange.refuse(400, "invalid_request_error", str(error) or "expected a JSON object")
            return
        self.log.append((exchange.incoming.path, payload))
        if found.action == "count" and isinstance(request, Request):
            exchange.reply(200, exchange.form.counted(estimate(request)))
            return
        if isinstance(request, Request) and (refusal := too_long(request, self.window)):
            exchange.refuse(400, "invalid_request_error", refusal)
            return
        exchange.stream = bool(payload.get("stream"))
        fault = self._draw()
        if fault is not None and fault.kind in ("status", "reset", "hang", "html"):
            self._after_latency(exchange, lambda: exchange.fail(fault))
            return
        if self.limits is not None:
            loop = asyncio.get_running_loop()
            if key not in self._enforcers:
                self._enforcers[key] = Enforcer(self.limits, loop.time())
            exchange.enforcer = self._enforcers[key]
            exchange.charged = _charged(request)
            exchange.admitted_at = loop.time()
            wait = exchange.enforcer.admit(exchange.charged, exchange.admitted_at)
            if wait is not None:
                exchange.charged = -1
                exchange.refuse(429, "rate_limit_error", f"rate limit reached; try again in {wait:.3f} s", wait)
                return
        answer = self.answer
        made: Answered
        if isinstance(request, EmbeddingRequest):
            if len(request.texts) > exchange.form.largest:
                exchange.refuse(400, "invalid_request_error", f"at most {exchange.form.largest} texts in one call")
                return
            vectors = tuple(hashed(text, request.dimensions or DIMENSIONS) for text in request.texts)
            made = Embeddings(vectors, Usage(estimated_tokens(request)), request.model)
        else:
            input = None if self._prompts is None else self._prompts.usage(request)
            given = answer(request) if callable(answer) else answer
            if inspect.isawaitable(given):
                exchange.connection.run(exchange.awaited(given, request, input, fault, self._latency()))
                return
            made = counted(given, input)
        whole = made if made.model else replace(made, model=request.model or "simulated")
        if fault is None and not exchange.stream:
            body = self._body(exchange, whole)
            self._after_latency(exchange, lambda: exchange.reply_body(200, body, whole))
            return
        exchange.connection.run(exchange.served(whole, fault, self._latency()))

    async def _batched(self, path: str, payload: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """One request of a batch; faults come to it as to any, as an error status."""
        form, id = route(path).form, f"req_{self.stats.requests}"
        fault = self._draw()
        if fault is not None:
            return fault.status, form.error(fault.status, fault.type or "api_error", "simulated", id)
        try:
            request = form.read(payload)
            if not isinstance(request, Request):
                raise ValueError("expected a request for a completion")
        except (ValueError, TypeError, AttributeError, InvalidRequest) as error:
            return 400, form.error(400, "invalid_request_error", str(error), id)
        made = self.answer(request) if callable(self.answer) else self.answer
        completion = await made if inspect.isawaitable(made) else made
        named = completion if completion.model else replace(completion, model=request.model)
        return 200, form.whole(named, id, payload)

    def _after_latency(self, exchange: Exchange, action: Callable[[], None]) -> None:
        delay = self._latency()
        if delay > 0:
            exchange.connection.later(delay, action)
        else:
            action()

    def _latency(self) -> float:
        return self.latency.draw(self._rng) if isinstance(self.latency, Latency) else self.latency

    def _draw(self) -> Fault | None:
        if self._script:
            return self._script.popleft()
        if self.fault is None or (self.failure_rate < 1 and self._rng.random() >= self.failure_rate):
            return None
        return self.fault

    def _body(self, exchange: Exchange, made: Answered) -> bytes:
        """The encoded answer; a fixed one is encoded once, because benchmarks ask for it thousands of times."""
        if callable(self.answer) or isinstance(made, Embeddings) or self._prompts is not None:
            return dumped(exchange.form.whole(made, exchange.id, exchange.payload))
        if self._encoded[0] is not self.answer:
            self._encoded = (self.answer, {})
        cache = self._encoded[1]
        key = (exchange.form, made.model)
        if key not in cache:
            cache[key] = dumped(exchange.form.whole(made, exchange.id, exchange.payload))
        return cache[key]

    def _left(self) -> None:
        self.stats.disconnects += 1


def _charged(request: Asked) -> int:
    if isinstance(request, EmbeddingRequest):
        return estimated_tokens(request)
    return estimate(request) + (request.max_tokens or 0)


async def serve_forever(on_ready: Callable[[SimulatedProvider], None] | None = None, **settings: Any) -> None:
    """Run a simulated provider until cancelled; for ``callboard simulate-provider``.

    Args:
        on_ready: called once it listens, to tell its address.
        settings: those of `SimulatedProvider`.
    """
    async with SimulatedProvider(**settings) as server:
        if on_ready is not None:
            on_ready(server)
        await asyncio.Event().wait()
