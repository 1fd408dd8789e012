"""Interceptors: functions of a user's that are told of each message as its handler begins, and as it ends.

They look on. They cannot change a message, keep it from its handler or replace its answer: what a message becomes is
said where it is sent, or by an actor in between. So one that raises can be left out, and nothing else is different.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from threading import Lock
from types import CoroutineType
from typing import Any, NamedTuple

from ..base.errors import SpecError, brief
from ..base.log import logger_of
from ..mail.cell import Cell

logger = logger_of()


class Delivery(NamedTuple):
    """A message whose handler begins.

    Args:
        actor: the path of the actor that handles it.
        actor_class: the actor's class.
        message: what was sent; pykka's own message where a proxy or `ActorRef.call` sent it.
        is_ask: whether somebody waits for an answer.
    """

    actor: str
    actor_class: type[Any]
    message: Any
    is_ask: bool


class Handled(NamedTuple):
    """How a handler ended.

    Args:
        seconds: that it took, with all it waited for.
        error: what it raised, or None. A handler that was closed because it ignored its cancellation raises
            `GeneratorExit`.
    """

    seconds: float
    error: BaseException | None


Ended = Callable[[Handled], object]
Interceptor = Callable[[Delivery], Ended | None]
"""Called as each handler begins; what it returns, if anything, is called as that handler ends."""

_Ends = list[tuple[Interceptor, Ended]]


class Interceptors:
    """The interceptors of one system, in the order they were added.

    Args:
        clock: gives the time in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._all: tuple[Interceptor, ...] = ()
        self._changing = Lock()

    def __bool__(self) -> bool:
        return bool(self._all)

    def add(self, interceptor: Interceptor) -> None:
        """Take an interceptor in.

        Raises:
            SpecError: it is no function, or an ``async def`` one.
        """
        if not callable(interceptor) or inspect.iscoroutinefunction(interceptor):
            raise SpecError(f"{brief(interceptor)} is no interceptor: it must be a plain function of a Delivery")
        with self._changing:
            self._all = (*self._all, interceptor)

    def remove(self, interceptor: Interceptor) -> None:
        """Leave an interceptor out, if it is there; it is told the ends of the handlers it has seen begin."""
        with self._changing:
            kept = list(self._all)
            if interceptor in kept:
                kept.remove(interceptor)
            self._all = tuple(kept)

    def around(self, cell: Cell, receive: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Return what hands an actor messages as ``receive`` does, and tells the interceptors."""
        path, kind, clock = cell.path, cell.actor_class, self._clock

        def intercepted(message: Any) -> Any:
            ends = self._begin(Delivery(path, kind, message, cell.current is not None))
            if ends is None:
                return receive(message)
            began = clock()
            try:
                result = receive(message)
            except BaseException as error:
                self._end(ends, Handled(clock() - began, error))
                raise
            if result.__class__ is CoroutineType:
                return self._awaited(result, ends, began)
            self._end(ends, Handled(clock() - began, None))
            return result

        return intercepted

    async def _awaited(self, coro: Coroutine[Any, Any, Any], ends: _Ends, began: float) -> Any:
        try:
            result = await coro
        except BaseException as error:
            self._end(ends, Handled(self._clock() - began, error))
            raise
        self._end(ends, Handled(self._clock() - began, None))
        return result

    def _begin(self, delivery: Delivery) -> _Ends | None:
        ends: _Ends | None = None
        for interceptor in self._all:
            try:
                ended = interceptor(delivery)
            except KeyboardInterrupt:
                raise
            except BaseException:
                self._drop(interceptor)
            else:
                if ended is not None:
                    if ends is None:
                        ends = []
                    ends.append((interceptor, ended))
        return ends

    def _end(self, ends: _Ends, handled: Handled) -> None:
        for interceptor, ended in reversed(ends):
            try:
                ended(handled)
            except KeyboardInterrupt:
                raise
            except BaseException:
                self._drop(interceptor)

    def _drop(self, interceptor: Interceptor) -> None:
        if interceptor in self._all:
            logger.exception("%r raised; it intercepts no more messages", interceptor)
            self.remove(interceptor)
