"""A probe: an actor whose mailbox a test reads."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from ...core.actor import Actor
from ...core.refs.ref import ActorRef
from ...core.system import System
from ..trace.checks import check_function

M = TypeVar("M")


class _ProbeActor(Actor):
    def __init__(self, take: Callable[[Any], Any]) -> None:
        super().__init__()
        self._take = take

    def on_receive(self, message: Any) -> Any:
        return self._take(message)


class Probe:
    """Stands where an actor would, keeps what it is sent, and lets the test look at it.

    Args:
        system: where the actor is started.
        name: the actor's name.
        answer: makes the reply to an ask from the message; by default it is None.

    Raises:
        TypeError: that is no system, or the answer no function.
    """

    def __init__(self, system: System, name: str = "probe", *, answer: Callable[[Any], Any] | None = None) -> None:
        if not isinstance(system, System):
            raise TypeError(f"system={system!r:.80}: it is the System in which the actor is started")
        check_function(answer, "answer", "a message", optional=True)
        self.answer = answer
        self.received: list[Any] = []
        """Everything received so far, oldest first."""
        self.ref: ActorRef[Any] = system.spawn(_ProbeActor, self._take, name=name)
        self._unread: deque[Any] = deque()
        self._waiting: asyncio.Future[None] | None = None

    def _take(self, message: Any) -> Any:
        self.received.append(message)
        self._unread.append(message)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
        return None if self.answer is None else self.answer(message)

    async def receive(self, kind: type[M] | tuple[type[M], ...] = object, *, timeout: float = 3.0) -> M:  # type: ignore[assignment]
        """Return the next message that has not been returned yet.

        Args:
            kind: the type it must have.
            timeout: seconds to wait for it.

        Raises:
            AssertionError: none came in time, or it is of another type.
        """
        try:
            async with asyncio.timeout(timeout):
                while not self._unread:
                    self._waiting = asyncio.get_running_loop().create_future()
                    await self._waiting
        except TimeoutError:
            raise AssertionError(f"{self.ref.path} received nothing within {timeout:g} s") from None
        message = self._unread.popleft()
        if not isinstance(message, kind):
            raise AssertionError(f"{self.ref.path} received {message!r}, which is no {kind}")
        return message

    async def silence(self, seconds: float) -> None:
        """Wait, and make sure that nothing comes meanwhile.

        Raises:
            AssertionError: something came, or is unread already.
        """
        if not self._unread:
            await asyncio.sleep(seconds)
        if self._unread:
            raise AssertionError(f"{self.ref.path} received {self._unread[0]!r}, where nothing was expected")
