"""One request to the simulated provider and its answer, in the form of its protocol and with its fault."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ..embeddings import Answered
from ..messages import Completion, Request, Usage
from .batches import Batches
from .faults import Fault
from .forms import Form
from .http import Connection, Incoming
from .limits import Enforcer
from .prompts import counted
from .state import State

_PAGE = b"<!doctype html><html><head><title>502</title></head><body><h1>Bad gateway</h1></body></html>"


class Exchange:
    """One request and its answer."""

    __slots__ = (
        "admitted_at",
        "charged",
        "connection",
        "enforcer",
        "form",
        "id",
        "incoming",
        "open",
        "payload",
        "state",
        "stream",
    )

    def __init__(self, state: State, incoming: Incoming, connection: Connection, number: int, form: Form) -> None:
        self.state = state
        self.incoming = incoming
        self.connection = connection
        self.id = f"req_{number}"
        self.form = form
        self.payload: Mapping[str, Any] = {}
        self.stream = False
        self.enforcer: Enforcer | None = None
        self.charged = -1
        self.admitted_at = 0.0
        self.open = True

    def key(self) -> str:
        headers = self.incoming.headers
        named = (headers[name] for name in ("x-api-key", "x-goog-api-key", "api-key") if name in headers)
        return next(named, "") or headers.get("authorization", "").removeprefix("Bearer ")

    # -- answers ---------------------------------------------------------------------------------------------------

    def reply(self, status: int, body: Any) -> None:
        self.reply_body(status, dumped(body))

    def reply_body(self, status: int, body: bytes, made: Answered | None = None) -> None:
        self.close(status, made)
        self.connection.reply(status, self.headers("application/json"), body)

    def refuse(self, status: int, type: str, message: str, retry_after: float | None = None) -> None:
        self.close(status)
        headers = self.headers("application/json")
        if retry_after is not None and self.form.waits_in_headers:
            # Whole seconds, rounded up, as the standard wants, and the exact time beside it, as OpenAI sends it.
            headers += [
                ("retry-after", str(int(-(-retry_after // 1)))),
                ("retry-after-ms", f"{retry_after * 1000:.0f}"),
            ]
        self.connection.reply(status, headers, dumped(self.form.error(status, type, message, self.id, retry_after)))

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

    async def batch(self, batches: Batches, url: str) -> None:
        status, body = await batches.handle(self.incoming, url)
        self.reply_body(status, body)

    async def awaited(
        self,
        made: Awaitable[Completion],
        request: Request,
        input: Usage | None,
        fault: Fault | None,
        latency: float,
    ) -> None:
        completion = counted(await made, input)
        await self.served(
            completion if completion.model else replace(completion, model=request.model or "simulated"), fault, latency
        )

    async def served(self, made: Answered, fault: Fault | None, latency: float) -> None:
        if latency > 0:
            await asyncio.sleep(latency)
        if self.stream and isinstance(made, Completion):
            await self._streamed(made, fault)
        else:
            await self._sent(made, fault)

    async def _sent(self, completion: Answered, fault: Fault | None) -> None:
        body = dumped(self.form.whole(completion, self.id, self.payload))
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
        delay = fault.delay if fault is not None and kind == "trickle" else self.state.chunk_delay
        events = list(self.form.events(completion, self.id, self.state.chunk_size, self.payload))
        # A fault in the middle comes before the finish reason (at the earliest three events before the end), however
        # short the answer is: after it the answer would be whole.
        after = min(fault.after if fault is not None else 0, max(0, len(events) - 3))
        self.connection.begin(200, [*self.headers(self.form.stream_type), ("cache-control", "no-cache")])
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
            message = "simulated, in the middle of a stream"
            await self.connection.piece(self.form.error_event(fault.status, fault.type, message, self.id))
            self.close(200)
            self.connection.end()
        elif fault.kind == "malformed":
            await self.connection.piece(self.form.broken(event))
            self.close(200)
            self.connection.end()
        else:
            self.close(200)
            # Let out what was written; a reset in the same turn would throw it away.
            await asyncio.sleep(0.005)
            self.connection.reset()

    def headers(self, content_type: str) -> list[tuple[str, str]]:
        headers = [
            ("content-type", content_type),
            ("date", self.state.date()),
            (self.form.id_header, self.id),
        ]
        if self.enforcer is not None and self.form.limit_headers:
            now = asyncio.get_running_loop().time()
            headers += self.enforcer.headers(self.form.limit_headers, now, datetime.now(UTC).replace(microsecond=0))
        return headers

    def close(self, status: int, made: Answered | None = None) -> None:
        """Count the exchange as done; only the first call counts. Status 0 is no answer."""
        if not self.open:
            return
        self.open = False
        stats = self.state.stats
        stats.in_flight -= 1
        if status:
            stats.statuses[status] += 1
        used = made.usage.total_tokens if made is not None else 0
        stats.tokens += used
        if self.enforcer is not None and self.charged >= 0:
            self.enforcer.settle(self.charged, used, self.admitted_at, asyncio.get_running_loop().time())


def dumped(value: Any) -> bytes:
    """JSON as the vendors write it: one line, no spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
