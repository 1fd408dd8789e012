"""The simulated provider: routes, answers, limits and faults over `http`."""

from __future__ import annotations

import asyncio
import inspect
import json
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, TypeAlias

from ..messages import Completion, Request
from ..tokens import estimate
from ..wire import anthropic, openai_chat, openai_responses, sse
from .batches import Batches
from .faults import Fault, Latency
from .http import Connection, Incoming, Server
from .limits import Enforcer, Limits

Answer: TypeAlias = Completion | Callable[[Request], Completion | Awaitable[Completion]]
_PAGE = b"<!doctype html><html><head><title>502</title></head><body><h1>Bad gateway</h1></body></html>"
_LOGGED = 1000
_ROUTES = {
    "/chat/completions": "chat",
    "/responses": "responses",
    "/messages": "anthropic",
    "/messages/count_tokens": "count",
    "/models": "models",
    "/health": "health",
}


@dataclass
class Stats:
    """What the server has seen.

    Args:
        requests: requests that came.
        statuses: answers by HTTP status; resets and hangs are not among them.
        in_flight: requests that have no answer yet.
        most_in_flight: the largest number of them.
        disconnects: clients that left before their answer was complete.
        tokens: tokens of the answers.
    """

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    in_flight: int = 0
    most_in_flight: int = 0
    disconnects: int = 0
    tokens: int = 0


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
        limits: Limits | None = None,
        keys: Iterable[str] | None = None,
        seed: int = 0,
    ) -> None:
        if answer is None:
            from ..offline import complete

            answer = complete
        self.answer = answer
        self.latency = latency
        self.chunk_delay = chunk_delay
        self.chunk_size = chunk_size
        self.fault = fault
        self.failure_rate = failure_rate
        self.limits = limits
        self.stats = Stats()
        self.batches = Batches(self._batched)
        self.log: deque[tuple[str, Mapping[str, Any]]] = deque(maxlen=_LOGGED)
        self._host, self._port = host, port
        self._keys = None if keys is None else frozenset(keys)
        self._rng = random.Random(seed)
        self._script: deque[Fault | None] = deque()
        self._enforcers: dict[str, Enforcer] = {}
        self._server = Server(self._handle, self._left)
        self._encoded: tuple[Any, dict[tuple[str, str], bytes]] = (None, {})
        self._date = ("", 0.0)

    # -- use -------------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The server's address: Anthropic's base URL."""
        return f"http://{self._host}:{self._port}"

    @property
    def base_url(self) -> str:
        """OpenAI's base URL."""
        return f"{self.url}/v1"

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
        exchange = _Exchange(self, incoming, connection, stats.requests)
        connection.on_lost = lambda: exchange.close(0)
        route = next((kind for tail, kind in _ROUTES.items() if incoming.path.endswith(tail)), "")
        exchange.protocol = (
            "anthropic" if route in ("anthropic", "count") else "responses" if route == "responses" else "chat"
        )
        if route == "health":
            exchange.reply(200, {"status": "ok"})
        elif self.batches.knows(incoming.path):
            if self._keys is not None and exchange.key() not in self._keys:
                exchange.refuse(401, "authentication_error", "this key is not known")
            else:
                connection.run(exchange.batch(self.batches))
        elif route == "models":
            exchange.reply(200, {"object": "list", "data": [{"id": "simulated", "object": "model"}]})
        elif not route or incoming.method != "POST":
            exchange.refuse(404, "not_found_error", f"no endpoint {incoming.method} {incoming.path}")
        else:
            self._answer_to(exchange, route)

    def _answer_to(self, exchange: _Exchange, route: str) -> None:
        key = exchange.key()
        if self._keys is not None and key not in self._keys:
            exchange.refuse(401, "authentication_error", "this key is not known")
            return
        try:
            payload = json.loads(exchange.incoming.body)
            if not isinstance(payload, dict):
                raise ValueError("expected a JSON object")
            request = _READERS[exchange.protocol](payload)
        except (ValueError, TypeError, AttributeError) as error:
            exchange.refuse(400, "invalid_request_error", str(error) or "expected a JSON object")
            return
        self.log.append((exchange.incoming.path, payload))
        if route == "count":
            exchange.reply(200, {"input_tokens": estimate(request)})
            return
        exchange.stream = bool(payload.get("stream"))
        exchange.usage_asked = exchange.protocol != "chat" or bool(
            (payload.get("stream_options") or {}).get("include_usage")
        )
        fault = self._draw()
        if fault is not None and fault.kind in ("status", "reset", "hang", "html"):
            self._after_latency(exchange, lambda: exchange.fail(fault))
            return
        if self.limits is not None:
            loop = asyncio.get_running_loop()
            if key not in self._enforcers:
                self._enforcers[key] = Enforcer(self.limits, loop.time())
            exchange.enforcer = self._enforcers[key]
            exchange.charged = estimate(request) + (request.max_tokens or 0)
            wait = exchange.enforcer.admit(exchange.charged, loop.time())
            if wait is not None:
                exchange.charged = -1
                exchange.refuse(429, "rate_limit_error", f"rate limit reached; try again in {wait:.3f} s", wait)
                return
        answer = self.answer
        if callable(answer):
            made = answer(request)
            if inspect.isawaitable(made):
                exchange.connection.run(exchange.awaited(made, request, fault, self._latency()))
                return
        else:
            made = answer
        completion = made if made.model else replace(made, model=request.model or "simulated")
        if fault is None and not exchange.stream:
            body = self._body(exchange, completion)
            self._after_latency(exchange, lambda: exchange.reply_body(200, body, completion))
            return
        exchange.connection.run(exchange.served(completion, fault, self._latency()))

    async def _batched(self, path: str, payload: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """One request of a batch; faults come to it as to any, as an error status."""
        protocol = "anthropic" if path.endswith("/messages") else "responses" if path.endswith("/responses") else "chat"
        shape = _Exchange.shaped(self, protocol)
        fault = self._draw()
        if fault is not None:
            return fault.status, shape.error(fault.status, fault.type or "api_error", "simulated")
        try:
            request = _READERS[protocol](payload)
        except (ValueError, TypeError, AttributeError) as error:
            return 400, shape.error(400, "invalid_request_error", str(error))
        made = self.answer(request) if callable(self.answer) else self.answer
        completion = await made if inspect.isawaitable(made) else made
        return 200, shape.whole(completion if completion.model else replace(completion, model=request.model))

    def _after_latency(self, exchange: _Exchange, action: Callable[[], None]) -> None:
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

    def _body(self, exchange: _Exchange, completion: Completion) -> bytes:
        """The encoded answer; a fixed one is encoded once, because benchmarks ask for it thousands of times."""
        if callable(self.answer):
            return _dumped(exchange.whole(completion))
        if self._encoded[0] is not self.answer:
            self._encoded = (self.answer, {})
        cache = self._encoded[1]
        key = (exchange.protocol, completion.model)
        if key not in cache:
            cache[key] = _dumped(exchange.whole(completion))
        return cache[key]

    def date(self) -> str:
        """The ``date`` header, made anew once a second."""
        now = asyncio.get_running_loop().time()
        if not self._date[0] or now - self._date[1] >= 1.0:
            self._date = (format_datetime(datetime.now(UTC), usegmt=True), now)
        return self._date[0]

    def _left(self) -> None:
        self.stats.disconnects += 1


class _Exchange:
    """One request and its answer."""

    __slots__ = (
        "charged",
        "connection",
        "enforcer",
        "id",
        "incoming",
        "open",
        "protocol",
        "server",
        "stream",
        "usage_asked",
    )

    def __init__(self, server: SimulatedProvider, incoming: Incoming, connection: Connection, number: int) -> None:
        self.server = server
        self.incoming = incoming
        self.connection = connection
        self.id = f"req_{number}"
        self.protocol = "chat"
        self.stream = False
        self.usage_asked = True
        self.enforcer: Enforcer | None = None
        self.charged = -1
        self.open = True

    @classmethod
    def shaped(cls, server: SimulatedProvider, protocol: str) -> _Exchange:
        """One without a connection, for the forms of its protocol."""
        exchange = cls.__new__(cls)
        exchange.server, exchange.protocol, exchange.id = server, protocol, f"req_{server.stats.requests}"
        return exchange

    def key(self) -> str:
        headers = self.incoming.headers
        return headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")

    # -- answers ---------------------------------------------------------------------------------------------------

    def reply(self, status: int, body: Any) -> None:
        self.reply_body(status, _dumped(body))

    def reply_body(self, status: int, body: bytes, completion: Completion | None = None) -> None:
        self.close(status, completion)
        self.connection.reply(status, self.headers("application/json"), body)

    def refuse(self, status: int, type: str, message: str, retry_after: float | None = None) -> None:
        self.close(status)
        headers = self.headers("application/json")
        if retry_after is not None:
            # Whole seconds, rounded up, as the standard wants, and the exact time beside it, as OpenAI sends it.
            headers += [
                ("retry-after", str(int(-(-retry_after // 1)))),
                ("retry-after-ms", f"{retry_after * 1000:.0f}"),
            ]
        self.connection.reply(status, headers, _dumped(self.error(status, type, message)))

    def fail(self, fault: Fault) -> None:
        if fault.kind == "status":
            self.refuse(fault.status, fault.type, f"simulated {fault.status}", fault.retry_after)
        elif fault.kind == "html":
            self.close(200)
            self.connection.reply(200, self.headers("text/html; charset=utf-8"), _PAGE)
        elif fault.kind == "reset":
            self.close(0)
            self.connection.reset()
        else:
            pass  # the connection stays as it is until the client leaves

    async def batch(self, batches: Batches) -> None:
        status, body = await batches.handle(self.incoming, self.server.url)
        self.reply_body(status, body)

    async def awaited(self, made: Awaitable[Completion], request: Request, fault: Fault | None, latency: float) -> None:
        completion = await made
        await self.served(
            completion if completion.model else replace(completion, model=request.model or "simulated"), fault, latency
        )

    async def served(self, completion: Completion, fault: Fault | None, latency: float) -> None:
        if latency > 0:
            await asyncio.sleep(latency)
        if self.stream:
            await self._streamed(completion, fault)
        else:
            await self._sent(completion, fault)

    async def _sent(self, completion: Completion, fault: Fault | None) -> None:
        body = _dumped(self.whole(completion))
        headers = self.headers("application/json")
        kind = fault.kind if fault else ""
        if fault is not None and kind == "stream_error":
            self.refuse(fault.status, fault.type, "simulated")
        elif kind == "malformed":
            self.close(200, completion)
            self.connection.reply(200, headers, body[: len(body) // 2])
        elif kind == "cut":
            self.close(200, completion)
            self.connection.partial(200, headers, body, len(body) // 2)
        elif fault is not None and kind == "trickle":
            self.connection.begin(200, headers)
            for start in range(0, len(body), 64):
                await asyncio.sleep(fault.delay)
                await self.connection.piece(body[start : start + 64])
            self.close(200, completion)
            self.connection.end()
        else:
            self.close(200, completion)
            self.connection.reply(200, headers, body)

    async def _streamed(self, completion: Completion, fault: Fault | None) -> None:
        kind = fault.kind if fault else ""
        delay = fault.delay if fault is not None and kind == "trickle" else self.server.chunk_delay
        events = list(self._events(completion))
        # A fault in the middle comes before the finish reason (at the earliest three events before the end), however
        # short the answer is: after it the answer would be whole.
        after = min(fault.after if fault is not None else 0, max(0, len(events) - 3))
        self.connection.begin(200, [*self.headers("text/event-stream; charset=utf-8"), ("cache-control", "no-cache")])
        if not delay and not kind:
            self.close(200, completion)
            await self.connection.piece(b"".join(events))
            self.connection.end()
            return
        for number, event in enumerate(events):
            if kind in ("cut", "malformed", "stream_error") and number == after:
                assert fault is not None
                await self._broken(event, fault)
                return
            if delay:
                await asyncio.sleep(delay)
            await self.connection.piece(event)
        self.close(200, completion)
        self.connection.end()

    async def _broken(self, event: bytes, fault: Fault) -> None:
        if fault.kind == "stream_error":
            error = self.error(fault.status, fault.type, "simulated, in the middle of a stream")
            if self.protocol == "responses":
                error = {
                    "type": "error",
                    "code": fault.type,
                    "message": error["error"]["message"],
                    "sequence_number": 0,
                }
            name = "error" if self.protocol != "chat" else ""
            await self.connection.piece(sse.event(error, name))
            self.close(200)
            self.connection.end()
        elif fault.kind == "malformed":
            await self.connection.piece(event[: len(event) // 2] + b"\n\n")
            self.close(200)
            self.connection.end()
        else:
            self.close(200)
            # Let out what was written; a reset in the same turn would throw it away.
            await asyncio.sleep(0.005)
            self.connection.reset()

    # -- the protocol's forms --------------------------------------------------------------------------------------

    def whole(self, completion: Completion) -> dict[str, Any]:
        if self.protocol == "anthropic":
            return anthropic.to_response(completion, id=f"msg_{self.id}")
        if self.protocol == "responses":
            return openai_responses.to_response(completion, id=f"resp_{self.id}")
        return openai_chat.to_response(completion, id=f"chatcmpl-{self.id}")

    def _events(self, completion: Completion) -> Iterable[bytes]:
        size = self.server.chunk_size
        if self.protocol == "anthropic":
            for item in anthropic.to_events(completion, id=f"msg_{self.id}", size=size):
                yield sse.event(item, item["type"])
        elif self.protocol == "responses":
            for item in openai_responses.to_events(completion, id=f"resp_{self.id}", size=size):
                yield sse.event(item, item["type"])
        else:
            for item in openai_chat.to_events(completion, id=f"chatcmpl-{self.id}", size=size):
                if item["choices"] or self.usage_asked:
                    yield sse.event(item)
            yield sse.event("[DONE]")

    def error(self, status: int, type: str, message: str) -> dict[str, Any]:
        if self.protocol == "anthropic":
            return {"type": "error", "error": {"type": type, "message": message}, "request_id": self.id}
        code = {429: "rate_limit_exceeded", 401: "invalid_api_key"}.get(status)
        form = {"rate_limit_error": "requests", "api_error": "server_error", "overloaded_error": "server_error"}
        return {"error": {"message": message, "type": form.get(type, type), "param": None, "code": code}}

    def headers(self, content_type: str) -> list[tuple[str, str]]:
        headers = [
            ("content-type", content_type),
            ("date", self.server.date()),
            ("request-id" if self.protocol == "anthropic" else "x-request-id", self.id),
        ]
        if self.enforcer is not None:
            now = asyncio.get_running_loop().time()
            headers += self.enforcer.headers(self.protocol, now, datetime.now(UTC).replace(microsecond=0))
        return headers

    def close(self, status: int, completion: Completion | None = None) -> None:
        """Count the exchange as done; only the first call counts. Status 0 is no answer."""
        if not self.open:
            return
        self.open = False
        stats = self.server.stats
        stats.in_flight -= 1
        if status:
            stats.statuses[status] += 1
        used = completion.usage.total_tokens if completion is not None else 0
        stats.tokens += used
        if self.enforcer is not None and self.charged >= 0:
            self.enforcer.settle(self.charged, used, asyncio.get_running_loop().time())


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Request]] = {
    "chat": openai_chat.from_payload,
    "responses": openai_responses.from_payload,
    "anthropic": anthropic.from_payload,
}


def _dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


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
