"""Handing the message at work on to another actor, which answers in this one's place.

It is the ask itself that moves: whoever processes it settles it, so its deadline, its priority, giving it up and a
stream's back-pressure need nobody in between, and who forwarded it may stop, or crash, without harm to it.
"""

from __future__ import annotations

from typing import Any

import pykka

from ..base.errors import AskCycle, CoreError, SystemClosed
from ..base.send_context import active
from ..mail.ask import HANDED_ON, Ask, ProbedAsk, StreamAsk, check_handing_on
from ..mail.cell import Cell
from ..mail.envelope import DEFERRED
from ..mail.mailbox import send_ask
from ..refs.bridge import ask as ask_elsewhere
from ..refs.ref import ActorRef
from .jobs import reply_with


def forward(cell: Cell, ref: ActorRef[Any] | pykka.ActorRef[Any], message: Any) -> Any:
    """Send what an actor is handling on to another; return the result from its handler.

    Raises:
        CoreError: no handler of the actor is at work here.
        ActorDead, MailboxFull: as `ActorRef.tell`, for a message that nobody waits for; an ask ends in the same error.
        SystemClosed: a stream was to come from another system.
    """
    if cell.runtime.handling_here() is not cell:
        raise CoreError(f"{cell.path}: only a handler can forward, and only the message it was given")
    ask = cell.current
    if ask is None:
        ref.tell(message)
    elif isinstance(ref, ActorRef) and ref._cell.runtime is cell.runtime:
        cell.current = None
        _hand_on(ask, ref._cell, message)
    elif isinstance(ask, StreamAsk):
        raise SystemClosed(f"{ref} lives elsewhere: a stream is read on the event loop of its system")
    else:
        reply_with(cell, _answer_of(ref, message))
    return DEFERRED


def _hand_on(ask: Ask, receiver: Cell, message: Any) -> None:
    if ask.done():  # the asker has given up meanwhile
        return
    context = active.get()
    if context is not None:  # it may be a narrower one than the ask came with
        ask.context = context
    if isinstance(ask, ProbedAsk) and receiver.runtime.probe is not None:
        ask.hand_on()
    try:
        check_handing_on(ask, receiver)
    except AskCycle as error:
        ask.work = None
        ask.fail(error)
        return
    ask.cell = receiver
    ask.message = message
    ask.work = HANDED_ON
    send_ask(receiver, ask)


async def _answer_of(ref: Any, message: Any) -> Any:
    return await ask_elsewhere(ref, message)
