"""What the core's tests share: event loops to run on, a log of events to wait for, and a search for what was left."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from callboard.actors import Actor, Event, System

GUARD = 10.0
"""Seconds after which a test that hangs is ended. Nothing is timed by it."""


def loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loops the library is meant for."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    try:
        import uvloop
    except ImportError:
        return factories
    return {**factories, "uvloop": uvloop.new_event_loop}


LOOPS = loop_factories()


def timers(loop: asyncio.AbstractEventLoop) -> list[Any]:
    """The timers that would still fire; only asyncio's own loops can tell."""
    return [timer for timer in getattr(loop, "_scheduled", ()) if not timer.cancelled()]


def run(main: Coroutine[Any, Any, Any], loop: str = "asyncio") -> Any:
    """Run a coroutine on an ordinary loop, and find nothing left when it has ended."""
    unhandled: list[dict[str, Any]] = []

    async def guarded() -> Any:
        here = asyncio.get_running_loop()
        here.set_exception_handler(lambda _, context: unhandled.append(context))
        async with asyncio.timeout(GUARD):
            guards = timers(here)
            result = await main
            await asyncio.sleep(0)  # callbacks of what has just ended
            await asyncio.sleep(0)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"tasks left: {left}"
            assert timers(here) == guards, f"timers left: {timers(here)}"
        return result

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        result = runner.run(guarded())
        gc.collect()
    assert not unhandled, unhandled
    return result


def on_each_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Any:
    """Run an ``async def`` test on each of the loops, checked as by `run`."""

    @functools.wraps(test)
    def wrapper(loop: str, **kwargs: Any) -> None:
        run(test(**kwargs), loop)

    signature = inspect.signature(test)
    first = inspect.Parameter("loop", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    wrapper.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[first, *signature.parameters.values()]
    )
    del wrapper.__wrapped__
    return pytest.mark.parametrize("loop", sorted(LOOPS))(wrapper)


class Log:
    """What happened, in order."""

    def __init__(self) -> None:
        self.lines: list[Any] = []

    def __call__(self, *line: Any) -> None:
        self.lines.append(line if len(line) > 1 else line[0])

    def of(self, kind: str) -> list[Any]:
        """The rest of the lines that begin with a word."""
        rests = [line[1:] for line in self.lines if isinstance(line, tuple) and line[0] == kind]
        return [rest[0] if len(rest) == 1 else rest for rest in rests]


class Events:
    """A system's lifecycle events, to look at and to wait for."""

    def __init__(self, system: System) -> None:
        self.all: list[Event] = []
        self._waiting: list[tuple[str, str, int, asyncio.Future[None]]] = []
        system.subscribe(self._take)

    def _take(self, event: Event) -> None:
        self.all.append(event)
        for kind, actor, count, done in self._waiting:
            if not done.done() and self.count(kind, actor) >= count:
                done.set_result(None)

    def count(self, kind: str, actor: str) -> int:
        """How many of a kind an actor has seen."""
        return len([event for event in self.all if event.kind == kind and event.actor == actor])

    def of(self, *kinds: str) -> list[tuple[str, str]]:
        """Kind and actor, in order."""
        return [(event.kind, event.actor) for event in self.all if event.kind in kinds]

    async def until(self, kind: str, actor: str, count: int = 1) -> None:
        """Wait for the ``count``-th event of a kind of an actor."""
        if self.count(kind, actor) < count:
            done = asyncio.get_running_loop().create_future()
            self._waiting.append((kind, actor, count, done))
            await done


class Echo(Actor):
    """Answers with what it was sent."""

    def on_receive(self, message: Any) -> Any:
        return message


class Gate(Actor):
    """Says when a handler has begun, and ends it when it is told to: the test holds both events."""

    def __init__(self, log: Log | None = None) -> None:
        super().__init__()
        self.log = log or Log()

    async def on_receive(self, message: Any) -> Any:
        if isinstance(message, Hold):
            message.begun.set()
            self.log("begin", message.name)
            try:
                await message.go.wait()
            except asyncio.CancelledError:
                self.log("cancelled", message.name)
                message.cancelled.set()
                raise
            self.log("end", message.name)
            return message.name
        self.log("saw", message)
        if isinstance(message, BaseException):
            raise message
        return message


class Hold:
    """A message whose handler waits until the test lets it go."""

    def __init__(self, name: str = "hold") -> None:
        self.name = name
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.cancelled = asyncio.Event()

    def __repr__(self) -> str:
        return f"Hold({self.name!r})"
