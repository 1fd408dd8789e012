"""Models for tests: actors that answer `Request` as a provider does, from a script or a function."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias, cast

from ....providers.messages import Completion, Delta, Message, Request, ToolCall, Usage
from ...core.actor import Actor
from ..trace.checks import check_function

Reply: TypeAlias = "str | Completion | ToolCall | tuple[ToolCall, ...] | list[ToolCall] | Exception"
Chosen: TypeAlias = "Callable[[Request], Reply | Awaitable[Reply]]"
Later: TypeAlias = Callable[[], Coroutine[Any, Any, Completion]]


def call(name: str, id: str = "", /, **arguments: Any) -> ToolCall:
    """A tool call as a model writes it.

    Args:
        name: the tool's name.
        id: the call's id; left empty, it is numbered.
        arguments: the arguments.
    """
    return ToolCall(id, name, json.dumps(arguments))


class Script:
    """What a model says, in order, and what it was asked; shared by all incarnations of the model's actor.

    Args:
        replies: for each request a text, tool calls, a whole `Completion`, an exception to raise, or a function of
            the request that returns one of these.
        usage: tokens of each completion that is not given whole.
        cost: dollars of each such completion.

    Raises:
        TypeError: the replies are no sequence, or something among them is none.
    """

    def __init__(
        self, replies: Iterable[Reply | Chosen], *, usage: Usage | None = None, cost: float | None = None
    ) -> None:
        if isinstance(replies, str | bytes) or not isinstance(replies, Iterable):
            raise TypeError(f"replies={replies!r:.80}: they are a sequence, one for each request")
        self._replies = list(replies)
        for reply in self._replies:
            if not isinstance(reply, str | Completion | ToolCall | tuple | list | Exception) and not callable(reply):
                raise TypeError(f"replies has {reply!r:.80} in it: each is a text, tool calls, an error, or a function")
        self._usage = usage or Usage(10, 5)
        self._cost = cost
        self.requests: list[Request] = []

    @property
    def left(self) -> int:
        """How many replies have not been asked for."""
        return len(self._replies) - len(self.requests)

    def next(self, request: Request) -> Completion | Later:
        """The reply to a request, or what has to be called and awaited for it.

        Raises:
            AssertionError: the script is at its end.
        """
        number = len(self.requests)
        self.requests.append(request)
        if number >= len(self._replies):
            raise AssertionError(f"the script has {len(self._replies)} replies, and this is request {number + 1}")
        return complete(self._replies[number], request, number, self._usage, self._cost)


def complete(
    reply: Reply | Chosen, request: Request, number: int, usage: Usage, cost: float | None
) -> Completion | Later:
    """A reply as a completion, or what has to be called and awaited for it; an exception is raised.

    Not a coroutine: an actor that is killed before it answers would leave one that nobody awaited.
    """
    if callable(reply) and not isinstance(reply, Exception):
        called = getattr(type(reply), "__call__", None)  # noqa: B004
        if inspect.iscoroutinefunction(reply) or inspect.iscoroutinefunction(called):
            later = cast("Callable[[Request], Awaitable[Reply]]", reply)
            return partial(_later, later, request, number, usage, cost)
        return _completion(_checked(reply(request), reply), number, usage, cost)
    return _completion(_checked(reply, None), number, usage, cost)


async def _later(
    function: Callable[[Request], Awaitable[Reply]], request: Request, number: int, usage: Usage, cost: float | None
) -> Completion:
    return _completion(_checked(await function(request), function), number, usage, cost)


def _checked(reply: Any, function: Callable[..., Any] | None) -> Reply:
    """A reply, once it is known to be one.

    Args:
        reply: what was given.
        function: what has returned it; None where it stands in a script.

    Raises:
        TypeError: it is none; says whose it is, and what was expected.
    """
    several = isinstance(reply, tuple | list) and all(isinstance(one, ToolCall) for one in reply)
    if several or isinstance(reply, str | Completion | ToolCall | Exception):
        return cast("Reply", reply)
    name = getattr(function, "__qualname__", type(function).__name__)
    whose = "a script has" if function is None else f"the model's function {name} returned"
    forgot = "; does it `return` in every case?" if reply is None and function is not None else ""
    raise TypeError(
        f"{whose} {reply!r:.80}: expected a text, a call(…) or several, a Completion, or an exception to raise{forgot}"
    )


def _completion(reply: Reply, number: int, usage: Usage, cost: float | None) -> Completion:
    if isinstance(reply, Exception):
        raise reply
    if isinstance(reply, Completion):
        return reply
    if isinstance(reply, str):
        return Completion(Message("assistant", reply), "stop", usage, "scripted", "scripted", cost=cost)
    calls = (reply,) if isinstance(reply, ToolCall) else tuple(reply)
    named = tuple(item if item.id else replace(item, id=f"call_{number}_{index}") for index, item in enumerate(calls))
    return Completion(Message("assistant", "", named), "tool_calls", usage, "scripted", "scripted", cost=cost)


async def _in_time(seconds: float, reply: Completion | Later) -> Completion:
    await asyncio.sleep(seconds)
    return reply if isinstance(reply, Completion) else await reply()


class _TestModel(Actor):
    def on_receive(self, message: Any) -> Any:
        """Answer a request, whole or as a stream of words."""
        if self.expects == "stream":
            return self._stream(message)
        reply = self._reply(message)
        if seconds := self._takes():
            return self.reply_with(_in_time(seconds, reply))
        if isinstance(reply, Completion):
            return reply
        return self.reply_with(reply())

    def _reply(self, request: Request) -> Completion | Later:
        raise NotImplementedError

    def _takes(self) -> float:
        """The seconds that an answer takes: in a simulation, if it varies there."""
        simulation = getattr(asyncio.get_running_loop(), "simulation", None)
        timekeeper = None if simulation is None else simulation.injector.timekeeper
        return 0.0 if timekeeper is None else timekeeper.answering(self.path)

    async def _stream(self, request: Request) -> AsyncIterator[Delta]:
        reply = self._reply(request)
        if seconds := self._takes():
            await asyncio.sleep(seconds)
        completion = reply if isinstance(reply, Completion) else await reply()
        for index, word in enumerate(completion.message.text.split(" ")):
            if word:
                yield Delta(text=word if index == 0 else f" {word}")
        yield Delta(completion=completion)


class ScriptedModel(_TestModel):
    """Answers each request with the next reply of its script.

    Args:
        script: the script, or its replies.
    """

    def __init__(self, script: Script | Iterable[Reply | Chosen]) -> None:
        super().__init__()
        self.script = script if isinstance(script, Script) else Script(script)

    def _reply(self, request: Request) -> Completion | Later:
        return self.script.next(request)


class FunctionModel(_TestModel):
    """Answers each request with what a function makes of it.

    Args:
        function: takes the request; returns a text, tool calls, a `Completion` or an exception; may be
            an ``async def``.

    Where it returns something else, the run ends in `RunFailed`, which names the function.

    Raises:
        TypeError: it is no function.
    """

    def __init__(self, function: Chosen) -> None:
        super().__init__()
        check_function(function, "function", "a request")
        self._function = function
        self._count = 0

    def _reply(self, request: Request) -> Completion | Later:
        self._count += 1
        return complete(self._function, request, self._count, Usage(10, 5), None)
