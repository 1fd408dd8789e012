"""How actors share the streams of a journal: each has one holder among the actors of this process, too.

A journal knows its worker as an owner, and that is all that uses it here: whoever opens a stream a second time has it.
So it is kept here which of the worker's actors has opened it; another one waits, as for a stream of another worker. An
actor holds it until it is dead: it may be restarted meanwhile, and its next incarnation has its stream at once.
"""

from __future__ import annotations

import asyncio
import math
import os
from threading import Lock
from typing import Any, Final
from weakref import WeakValueDictionary

from ..core.actor import Actor
from ..core.base.lifecycle import Phase
from ..core.mail.cell import describe
from ..core.mail.future import Future
from .errors import JournalError, StreamOwned
from .store import Journal, Stream

POLL: Final = 0.25
"""Seconds between two looks at a stream that somebody else holds."""

_lock = Lock()  # a journal is used by systems on several threads
_holders: WeakValueDictionary[tuple[str, str], Actor[Any]] = WeakValueDictionary()
"""By worker and stream: the incarnation that has opened it last, or is about to. Its cell keeps it until there is the
next one, which `inherits` from it."""


def _forked() -> None:
    global _lock
    _lock = Lock()  # another thread of the parent may have held it
    _holders.clear()  # they live in the parent


os.register_at_fork(after_in_child=_forked)


async def hold(actor: Actor[Any], journal: Journal, name: str, timeout: float) -> Stream:
    """Open a stream for an actor, which holds it until it is dead.

    Args:
        actor: who holds it then.
        journal: where it is.
        name: the stream's.
        timeout: seconds to wait for another worker, or another actor of this process, that holds it.

    Raises:
        StreamOwned: it is still held then; says by whom.
        EventNotReadable, JournalClosed: as `Journal.open`.
    """
    worker = journal.worker
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while True:
        try:
            holder = _take(actor, worker, name)
            if holder is not None:
                raise _held(actor, holder, worker, name, timeout)
            try:
                opening = journal.open(name)
                if not isinstance(opening, Future):
                    return opening
                try:
                    await settled(opening)
                except BaseException:  # the start is broken off
                    opening.when_done(_return)
                    raise
                return opening.result()
            except BaseException:
                _forget(actor, worker, name)
                raise
        except StreamOwned:
            left = deadline - loop.time()
            if left <= 0:
                raise
            actor._interruptible = True  # its stop need not wait for this
            try:
                await asyncio.sleep(min(left, POLL))
            finally:
                actor._interruptible = False


def inherits(actor: Actor[Any], worker: str, name: str) -> None:
    """A new incarnation of an actor has been made: it holds a stream if the one before it did."""
    with _lock:
        holder = _holders.get((worker, name))
        if holder is not None and holder._cell is actor._cell:
            _holders[worker, name] = actor


def give_back(stream: Stream) -> Future[None] | None:
    """Give a stream back for whoever opens it next. Returns what `Stream.release` does."""
    try:
        return stream.release()
    except JournalError:  # the journal is closed, and has given it back
        return None


async def settled(done: Future[Any]) -> None:
    """Wait for a future; giving that up does not give the future up."""
    waiter = asyncio.get_running_loop().create_future()

    def wake(_: object) -> None:
        if not waiter.done():
            waiter.set_result(None)

    done.when_done(wake)
    await waiter


def _take(actor: Actor[Any], worker: str, name: str) -> Actor[Any] | None:
    """Have an actor hold a stream. Returns another one that does."""
    with _lock:
        holder = _holders.get((worker, name))
        if holder is not None and holder._cell is not actor._cell and _lives(holder):
            return holder
        _holders[worker, name] = actor
        return None


def _forget(actor: Actor[Any], worker: str, name: str) -> None:
    with _lock:
        if _holders.get((worker, name)) is actor:
            del _holders[worker, name]


def _lives(actor: Actor[Any]) -> bool:
    cell = actor._cell
    return cell.phase != Phase.DEAD and not cell.runtime.loop.is_closed()


def _held(actor: Actor[Any], holder: Actor[Any], worker: str, name: str, seconds: float) -> StreamOwned:
    mine, theirs = actor._cell, holder._cell
    where = "" if mine.runtime is theirs.runtime else " of another system"
    text = (
        f"{name} is held by {describe(theirs)}{where}; {describe(mine)} has waited {seconds:g} s for it, on the same "
        "journal: give each actor a stream of its own, or stop the one before the other starts"
    )
    return StreamOwned(text, name, worker, math.inf)


def _return(opening: Future[Stream]) -> None:
    if opening.exception() is None:
        give_back(opening.result())
