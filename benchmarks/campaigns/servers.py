"""Three simulated providers that fail by a plan, and the pool in front of them.

What goes wrong is a function of the seed, the provider and the number of the request, so the server's `script` says it
and its ``answer`` knows it: each completion is entered in the books with the fault that it met. Every completion has a
model name of its own (``a-17``), by which it is found again where the provider's actor has received it and where a run
has reported it.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from callboard import Backoff, ChildSpec, Completion, Delta, Request
from callboard.providers.pool import Budget, Endpoint, Hedge, Pool, Price, RetryPolicy
from callboard.providers.simulated import Fault, Latency, SimulatedProvider, parse_fault
from callboard.providers.spec import ProviderSpec
from callboard.providers.vendors.openai import OpenAIProvider

from .plans import Step, complete

MODEL = "soak"
NAMES = ("a", "b", "c")
BLOCK = 1_000
OUTAGE = 10
FAULTS = ("503", "500", "429:0.3", "reset", "cut", "hang", "malformed", "html", "trickle:0.02", "stream_error")
BROKEN = ("cut", "malformed", "stream_error")
"""Faults at which a completion was made, and did not arrive whole."""
PRICE = Price(1.0, 1.0)
"""A dollar for a million tokens of either kind: money and tokens are the same number, booked by different ways."""


@dataclass(slots=True, eq=False)
class Bought:
    """One completion that a provider made."""

    id: str
    step: Step | None
    tokens: int
    fault: str
    began: float
    ended: float
    received: bool = False
    reported: bool = False


class Books:
    """Told of each completion; see `ledger`."""

    def bought(self, bought: Bought) -> None:
        raise NotImplementedError

    def received(self, id: str) -> None:
        raise NotImplementedError


class _Made:
    """An answer on its way: awaited by the server, or never, when the client has left before."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self._answer = answer

    def __await__(self) -> Generator[Any, None, Completion]:
        made: Generator[Any, None, Completion] = self._answer().__await__()
        return made


class Faulty:
    """A simulated provider that fails by the plan.

    Args:
        name: of the provider.
        seed: of its faults and latencies.
        books: told of each completion made.
    """

    def __init__(self, name: str, seed: int, books: Books) -> None:
        self.name = name
        self.server = SimulatedProvider(self._answer, seed=seed)
        self._seed = seed
        self._books = books
        self._planned: deque[Fault | None] = deque()
        self._first = 0  # the number of the request that `_planned` begins with
        self._latency = Latency(0.02, 0.08)

    async def start(self) -> None:
        self.plan_ahead()
        await self.server.start()

    def plan_ahead(self) -> None:
        """Keep the server's script longer than what may come before the next look at it."""
        seen = self.server.stats.requests
        while self._first < seen - 1:
            self._planned.popleft()
            self._first += 1
        while self._first + len(self._planned) < seen + BLOCK:
            block = self._block((self._first + len(self._planned)) // BLOCK)
            self._planned.extend(block)
            self.server.script(*block)

    def _block(self, number: int) -> list[Fault | None]:
        """The faults of `BLOCK` requests: a few here and there, and an outage somewhere. An outage is short: while the
        breaker is open, a probe now and then is all that leads out of it."""
        rng = random.Random(f"{self._seed} {self.name} {number}")
        block = [parse_fault(rng.choice(FAULTS)) if rng.random() < 0.003 else None for _ in range(BLOCK)]
        kind, rate, at = rng.choice(FAULTS), rng.uniform(0.3, 1.0), rng.randrange(BLOCK - OUTAGE)
        for place in range(at, at + OUTAGE):
            block[place] = parse_fault(kind) if rng.random() < rate else None
        return block

    def _answer(self, request: Request) -> Any:
        number = self.server.stats.requests - 1  # this request is counted already
        fault = self._planned[number - self._first]
        self.plan_ahead()
        delay = self._latency.draw(random.Random(f"{self._seed} {self.name} {number} latency"))
        kind = "" if fault is None else fault.kind
        refused = kind == "stream_error" and not self.server.log[-1][1].get("stream")  # then its status is answered
        return _Made(lambda: self._made(request, number, kind, delay, refused))

    async def _made(self, request: Request, number: int, fault: str, delay: float, refused: bool) -> Completion:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.sleep(delay)  # a client that leaves meanwhile is not served
        step, completion = complete(request, f"{self.name}-{number}")
        if not refused:
            tokens = completion.usage.total_tokens
            self._books.bought(Bought(completion.model, step, tokens, fault, began, loop.time()))
        return completion


class Counted(OpenAIProvider):
    """The provider's actor, which says what has arrived whole."""

    def __init__(self, spec: ProviderSpec, received: Callable[[str], object]) -> None:
        super().__init__(spec)
        self._received = received

    async def complete(self, request: Request) -> Completion:
        completion = await super().complete(request)
        self._received(completion.model)
        return completion

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        async with aclosing(super().stream(request)) as deltas:  # type: ignore[type-var]
            async for delta in deltas:
                if delta.completion is not None:
                    self._received(delta.completion.model)
                yield delta


def pool_spec(servers: list[Faulty], books: Books, seed: int) -> ChildSpec:
    """The pool over the servers, with everything on."""
    endpoints = []
    for faulty in servers:
        spec = ProviderSpec(
            faulty.name, api_key=SecretStr("key"), base_url=faulty.server.base_url, models=(MODEL,), max_in_flight=64
        )
        backoff = Backoff(initial=0.1, maximum=1.0, jitter=0.2)
        child = ChildSpec(Counted, (spec, books.received), name=faulty.name, backoff=backoff)
        retry = RetryPolicy(attempt_timeout=2.0)
        endpoints.append(Endpoint.of(spec, child, price=PRICE, retry=retry))
    budgets = [Budget("pool", "", 1e9)]
    return Pool.spec(endpoints, hedge=Hedge(), budgets=budgets, probe_interval=2.0, queue_timeout=10.0, seed=seed)
