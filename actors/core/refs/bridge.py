"""Asking pykka's own actors, which run on threads of their own, without blocking the loop."""

from __future__ import annotations

import asyncio
from typing import Any, overload

import pykka

from ..base import send_context as send_contexts
from ..base.errors import ActorDead, AskTimeout, ReplyAlreadySet, brief
from ..base.typed import Asked, R
from ..mail.future import Future
from .ref import ActorRef


@overload
def ask(
    ref: pykka.ActorRef[Any] | ActorRef[Any], message: Asked[Any, R], *, timeout: float | None = None
) -> Future[R]: ...


@overload
def ask(ref: pykka.ActorRef[Any] | ActorRef[Any], message: Any, *, timeout: float | None = None) -> Future[Any]: ...


def ask(ref: pykka.ActorRef[Any] | ActorRef[Any], message: Any, *, timeout: float | None = None) -> Future[Any]:
    """Ask any pykka actor, one on a thread of its own too, without blocking the loop.

    Args:
        ref: a ref of this library or of pykka.
        message: what to send.
        timeout: seconds.

    Returns:
        a future to await.
    """
    if isinstance(ref, ActorRef):
        return ref.ask(message, timeout=timeout)
    from pykka._envelope import Envelope as PykkaEnvelope

    reply: Future[Any] = _BridgeReply()
    if not ref.is_alive():
        reply.set_exception(ActorDead(f"{ref} not found"))
        return reply
    ref.actor_inbox.put(PykkaEnvelope(message, reply))
    loop = asyncio.get_running_loop() if timeout is not None else asyncio._get_running_loop()
    carried = None if loop is None else send_contexts.carried(loop.time, timeout)
    if loop is not None and carried is not None and carried.deadline is not None:
        timer = loop.call_at(carried.deadline, _expire, reply, ref, message)
        reply.add_done_callback(lambda _: timer.cancel())
    return reply


class _BridgeReply(Future[Any]):
    """The reply of another runtime's actor, which must not notice that nobody waits any more."""

    __slots__ = ()

    def set(self, value: Any = None) -> None:
        try:
            super().set(value)
        except ReplyAlreadySet:
            return

    def set_exception(self, exc_info: Any = None) -> None:
        try:
            super().set_exception(exc_info)
        except ReplyAlreadySet:
            return


def _expire(reply: Future[Any], ref: Any, message: Any) -> None:
    reply.set_exception(AskTimeout(f"{ref} did not answer {brief(message)} in time"))
