"""Provider actors that do as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from callboard.actors import Actor, ActorRef, ChildSpec, System
from callboard.providers.errors import ProviderOverloaded, RateLimited
from callboard.providers.messages import Completion, Delta, FinishReason, Message, RateLimits, Request, Usage
from callboard.providers.pool import FREE, Endpoint, Pool

Behaviour = Callable[["Script", Request], Exception | None]


@dataclass
class Script:
    """What a scripted provider does, and what it saw. Lives outside the actor, so it survives its crashes."""

    name: str = "a"
    latency: float = 0.05
    failure: Behaviour = lambda _script, _request: None
    usage: Usage = field(default_factory=lambda: Usage(10, 5))
    text: str = ""
    finish: FinishReason = "stop"
    model: str = ""
    hang: bool = False
    crash: bool = False
    cut_after: int | None = None
    deltas: int = 3
    pieces: tuple[Delta, ...] = ()
    pause: float = 0.0
    seen: list[tuple[float, Request]] = field(default_factory=list)
    in_flight: int = 0
    most: int = 0
    cancelled: int = 0
    started: int = 0
    keys: list[str] = field(default_factory=list)

    def headers(self) -> RateLimits | None:
        """What it says of its limits."""
        return None

    @property
    def times(self) -> list[float]:
        return [time for time, _ in self.seen]


def fails(error: Callable[[], Exception]) -> Behaviour:
    """Always fail."""
    return lambda _script, _request: error()


def fails_until(time: float, error: Callable[[], Exception]) -> Behaviour:
    """Fail until the loop's time."""
    return lambda _script, _request: error() if asyncio.get_running_loop().time() < time else None


def limited() -> RateLimited:
    """The refusal that names a second after which to come back."""
    return RateLimited("429", status=429, retry_after=1.0)


def overloaded() -> ProviderOverloaded:
    """The refusal of a provider that has too much to do."""
    return ProviderOverloaded("529", status=529)


def fails_as(numbers: Iterable[int], *errors: Callable[[], Exception]) -> Behaviour:
    """Fail as the numbers say, one for each request, whoever is asked: 1 with the first error; with none do not."""
    left = iter(numbers)

    def behave(_script: Script, _request: Request) -> Exception | None:
        number = next(left, 0)
        return errors[number - 1]() if 1 <= number <= len(errors) else None

    return behave


class Scripted(Actor):
    """Answers as its script says."""

    def __init__(self, script: Script, api_key: str) -> None:
        super().__init__()
        self.script = script
        self.key = api_key
        script.started += 1

    def on_receive(self, message: Any) -> Any:
        assert isinstance(message, Request)
        if self.script.crash:
            raise SystemExit("crashed on purpose")
        if self.expects == "stream":
            return self._stream(message)
        return self.reply_with(self._complete(message))

    async def _work(self, request: Request) -> None:
        script = self.script
        script.seen.append((asyncio.get_running_loop().time(), request))
        script.keys.append(self.key)
        script.in_flight += 1
        script.most = max(script.most, script.in_flight)
        try:
            if script.hang:
                await asyncio.Event().wait()
            await asyncio.sleep(script.latency)
            error = script.failure(script, request)
            if error is not None:
                raise error
        except asyncio.CancelledError:
            script.cancelled += 1
            raise
        finally:
            script.in_flight -= 1

    def _answer(self, request: Request) -> Completion:
        text = self.script.text or f"{self.script.name}: {request.messages[-1].text}"
        model = self.script.model or request.model
        script = self.script
        return Completion(
            Message("assistant", text), script.finish, script.usage, model, script.name, limits=script.headers()
        )

    async def _complete(self, request: Request) -> Completion:
        await self._work(request)
        return self._answer(request)

    async def _stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        await self._work(request)
        pieces = self.script.pieces or tuple(Delta(text=str(index)) for index in range(self.script.deltas))
        for index, piece in enumerate(pieces):
            if self.script.cut_after == index:
                return
            await asyncio.sleep(self.script.pause)
            yield piece
        yield Delta(completion=self._answer(request))


def endpoint(script: Script, **options: Any) -> Endpoint:
    """An endpoint served by a scripted provider; its actor takes the key as ``api_key``."""
    options.setdefault("price", FREE)
    return Endpoint(script.name, ChildSpec(Scripted, (script,), {"api_key": "first"}), **options)


def request(text: str = "hello", **options: Any) -> Request:
    """A request with one user message."""
    return Request((Message("user", text),), **options)


@asynccontextmanager
async def pool_of(*endpoints: Endpoint, **options: Any) -> AsyncIterator[ActorRef[Pool]]:
    """A pool of these endpoints in a system of its own."""
    async with System("test") as system:
        yield system.supervise(Pool.spec(endpoints, seed=1, **options))
