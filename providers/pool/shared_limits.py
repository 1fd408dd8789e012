"""Limits that several processes share by a journal: what each of them may use is told in a stream that nobody owns.

What a process claims, and why all claims together are never more than there is, stands in the room `sharing`. Here is
what reads and writes: about once a second while requests come, and nothing while none do.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from ...actors.journal.errors import JournalClosed, JournalError, StreamConflict, StreamOwned
from ...actors.journal.store import Journal, Record, SeesEnds
from .accounts.stream import CommonStream
from .admission.limiter import Limiter
from .admission.windows import Shared
from .dispatch.dispatcher import Dispatcher
from .memory import Memory
from .sharing.book import ALL, Book, Key

STREAM: Final = "callboard.limits"
"""How the names of the streams begin. There is one, or for a moment two."""

EVERY: Final = 1.0
"""Seconds after which is read what others have told, and told what is wanted here."""

SOON: Final = 0.25
"""Seconds in place of those while shares move."""

IDLE: Final = 60.0
"""Seconds without a request after which everything is given back until there is one."""

HURRY: Final = 0.05
"""Seconds after which more is asked for at the earliest, where somebody waits and there is more."""

PATIENCE: Final = 1.0
"""Seconds for which requests wait to hear what the shares are, before they go where nothing is shared."""

_TRIES: Final = 20
_CLOSING: Final = 5.0
"""Seconds in which what is held is to be given back at the end."""

logger = logging.getLogger("callboard.pool")


class SharedLimits:
    """Shares the configured limits of a pool's endpoints with the other processes that use the same journal.

    Args:
        memory: knows the limiters.
        journal: where shares are told; it must take plain dictionaries as events.
        dispatcher: whose requests wait for them.
    """

    def __init__(self, memory: Memory, journal: Journal, dispatcher: Dispatcher) -> None:
        self._memory = memory
        self._me = memory.participant
        self._loop = dispatcher.loop
        self._admission = dispatcher.admission
        self._queue = dispatcher.queue
        self._members = dispatcher.planner.members
        self._stream = CommonStream(journal, STREAM, self._sums)
        self._ends = journal if isinstance(journal, SeesEnds) else None
        self._read = False
        self._knows_ages = False
        self._active_at = 0.0
        self._hurry_from = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[float | None] | None = None
        self._again = False
        self._over = False
        self._troubled = False
        self._asleep = True
        self._released: asyncio.TimerHandle | None = None
        self._awake: asyncio.Event = asyncio.Event()
        memory.on_limits, memory.on_learned = self._changed, self._learned
        self._admission.on_refused = self._refused
        for limiter in self._limiters():
            limiter.on_learned = self._learned
            if limiter.shared():
                limiter.close()
        self._changed()

    # -- when ----------------------------------------------------------------------------------------------------------

    async def wake(self) -> None:
        """Wait until shares are known, or it takes too long to learn them."""
        if self._asleep and self._admission.wake is not None:
            self._wake()
            await self._awake.wait()

    async def close(self) -> None:
        """Give everything back but what was used. Nothing is sent any more from now on."""
        self._over = True
        self._memory.on_limits = self._memory.on_learned = self._admission.on_refused = None
        if self._timer is not None:
            self._timer.cancel()
        if self._released is not None:
            self._release()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING):
                if self._task is not None:
                    await self._task
                if not self._asleep:
                    await self._left()
                if self._ends is not None and self._me.seen:
                    with suppress(JournalError):
                        await self._ends.hide(self._me.process)
                        self._me.seen = False

    def _changed(self) -> None:
        """There are other limits than before."""
        if not self._asleep:
            self._beat_in(0.0)
        elif any(limiter.shared() for limiter in self._limiters()):
            self._admission.shares = True
            self._admission.wake = self._wake

    def _learned(self) -> None:
        """There is a limit that nobody had configured; nobody waits until it is shared."""
        self._admission.shares = True
        if self._asleep and self._admission.wake is None and not self._over:
            self._begin()
        self._changed()

    def _begin(self) -> None:
        self._asleep = False
        self._active_at = self._loop.time()
        self._beat_in(0.0)

    def _refused(self) -> None:
        """Somebody waits: there may be more than the share that is had here."""
        may = not self._asleep and self._task is None and self._loop.time() >= self._hurry_from
        if may and self._me.hopes(self._limits()):
            self._beat_in(0.0)

    def _wake(self) -> None:
        """Somebody wants to be sent."""
        if self._asleep and not self._over:
            self._released = self._loop.call_later(PATIENCE, self._release)
            self._begin()

    def _release(self) -> None:
        """Let go who can go."""
        if self._released is not None:
            self._released.cancel()
            self._released = None
        self._admission.wake = None
        self._awake.set()
        self._queue.pump()

    def _beat_in(self, seconds: float) -> None:
        if self._task is not None:
            self._again = True
        elif not self._over:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(seconds, self._due)

    def _due(self) -> None:
        self._timer = None
        self._task = self._loop.create_task(self._work(), name="sharing limits")
        self._task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[float | None]) -> None:
        self._task = None
        seconds = None if task.cancelled() else task.result()
        if self._again:
            self._again, seconds = False, 0.0
        if seconds is not None:
            self._beat_in(seconds)

    # -- what ----------------------------------------------------------------------------------------------------------

    async def _work(self) -> float | None:
        """Read and tell; return in how many seconds to do so again."""
        again: float | None = EVERY
        try:
            if self._idle():
                await self._sleep()
                return None
            moved = await self._beat()
            if moved:
                again = SOON
            now = self._loop.time()
            self._hurry_from = now + (HURRY if moved else EVERY)
            self._queue.bound_until = self._me.bound_until(self._limits(), now)
            self._troubled = False
        except JournalError as error:
            if not self._troubled:
                why = f"{type(error).__name__}: {error}"
                logger.warning(
                    "limits cannot be shared, so that soon nothing more is sent where there are any: %s", why
                )
            self._troubled = True
            if isinstance(error, JournalClosed):
                again = None
        self._release()
        return again

    async def _beat(self) -> bool:
        """Hear what others have told, tell what is new, and have the share that is due. Return whether some moved."""
        me = self._me
        if self._ends is not None and not me.seen:
            try:
                await self._ends.show(me.process)
                me.seen = True
            except JournalError:  # then it is as if nobody's end were seen
                self._ends = None
        await self._catch_up()
        await self._look()
        moved = False
        for _ in range(_TRIES):
            now = self._loop.time()
            limits = self._limits()
            gone = {key.endpoint for key in limits if key.endpoint not in self._members}
            event = me.next(limits, gone, self._admission.waiting, now)
            if event is None:
                me.settle(limits, now)
                self._open(limits)
                break
            try:
                await self._stream.append([event])
            except StreamConflict:
                await self._catch_up()
                continue
            except StreamOwned:  # somebody is about to begin a new stream
                return True
            me.told(limits, now, self._loop.time())
            moved = True
            knew_ages = self._knows_ages
            await self._catch_up()
            self._open(limits)
            if knew_ages or len(me.book.rows) == 1:
                break
        if self._stream.long and await self._stream.shorten():
            await self._load()
        return moved

    async def _look(self) -> None:
        """See who has ended without a word."""
        if self._ends is not None:
            others = [name for name in self._me.book.visible(self._loop.time()) if name != self._me.process]
            if others:
                self._me.book.end(await self._ends.ended(others), self._loop.time())

    async def _sleep(self) -> None:
        for limiter in self._limiters():
            if limiter.shared():
                limiter.close()
        self._admission.wake = self._wake
        self._awake.clear()
        self._asleep, self._knows_ages = True, False
        await self._left()  # who comes meanwhile waits until that is done, and then everything begins again

    async def _left(self) -> None:
        event = self._me.last(self._limits(), self._loop.time())
        for _ in range(_TRIES):
            try:
                await self._stream.append([event])
                return
            except StreamConflict:
                await self._catch_up()
            except JournalError as error:
                logger.warning("what is left of limits is not given back: %s: %s", type(error).__name__, error)
                return

    def _idle(self) -> bool:
        now = self._loop.time()
        if self._admission.waiting or self._me.is_busy(self._limits(), now):
            self._active_at = now
        return now - self._active_at >= IDLE

    async def _catch_up(self) -> None:
        records = await self._stream.news() if self._read else None
        if records is None:
            await self._load()
        else:
            self._take(records)

    async def _load(self) -> None:
        self._take(await self._stream.load())
        self._read = True

    def _take(self, records: Sequence[Record]) -> None:
        now = self._loop.time()
        for record in records:
            try:
                self._me.book.take(record.event, now, None if self._knows_ages else record.at)
            except (AttributeError, KeyError, TypeError, ValueError):
                logger.warning("the shares of limits hold what is none, which is left out: event %s", record.version)
                continue
            if not self._knows_ages and record.event.get("process") == self._me.process and self._read:
                self._knows_ages = True
                self._me.book.settle_ages(record.at, now)

    def _sums(self, events: Sequence[Any]) -> dict[str, Any]:
        now = self._loop.time()
        book = Book(dict(self._me.book.rows))
        for event in events:
            book.take(event, now)
        return book.sums(now)

    # -- whose ---------------------------------------------------------------------------------------------------------

    def _named(self) -> list[tuple[str, str, Limiter]]:
        memory = self._memory
        return [
            *((name, ALL, limiter) for name, limiter in memory.limiters.items()),
            *((name, model, kept.limiter) for name, models in memory.models.items() for model, kept in models.items()),
        ]

    def _limiters(self) -> list[Limiter]:
        return [limiter for _, _, limiter in self._named()]

    def _limits(self) -> dict[Key, Shared]:
        return {
            Key(name, model, kind): limit
            for name, model, limiter in self._named()
            for kind, limit in limiter.shared().items()
        }

    def _open(self, known: Mapping[Key, Shared]) -> None:
        """Let limiters admit again whose shares are all known; what came meanwhile is looked at next."""
        until = self._me.alive_until
        for name, model, limiter in self._named():
            shared = limiter.shared()
            if all(known.get(Key(name, model, kind)) is limit for kind, limit in shared.items()):
                limiter.open(until if shared else math.inf)
        for name, member in self._members.items():
            limit = known.get(Key(name, ALL, "requests_per_minute"))
            if limit is not None and member.gate.pacer is not None:
                member.gate.pacer.change(limit.limit)
