"""The figures of an agency, read as long as somebody looks: one reading serves all who look at the same view.

Nothing is kept, measured or run while nobody looks, but the points of the curve of money and what was heard of crashes
and dead letters before, both bounded: whoever opens another view closes the one that they had.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Final

from ...agents.agency import Agency
from ...agents.conversations.past import Pasts
from ...agents.errors import AgencyClosed
from ...agents.overview.happened import Happened, Rates
from ...agents.overview.watch import PoolState, Watch
from ..answers import written
from ..operations.draining import on_signals
from ..problems import refuse
from .figures import plain
from .figures.actors import Actors
from .figures.money import MOST_POINTS, Money
from .figures.reading import MOST_ACTORS, Plain, Reading, View
from .figures.summary import Summary

SHARE: Final = 0.02
"""Of a core that the readings of a view may take: what takes more is read less often."""

SOON: Final = 1.0
"""Seconds between two looks at whether all is over, at most; and between two points of the curve, at least."""

MOST_LOOKING: Final = 100
"""Streams at once."""

VIEWS: Final[dict[str, Callable[[bool], View]]] = {
    "": lambda acts: Plain(plain.nothing),
    "actors": lambda acts: Actors(),
    "runs": lambda acts: Plain(plain.runs),
    "providers": lambda acts: Plain(plain.providers),
    "money": lambda acts: Money(),
    "approvals": lambda acts: Plain(partial(plain.approvals, may_decide=acts)),
    "letters": lambda acts: Plain(plain.letters),
}
"""What each view is made by; it is told whether those who look may act."""

logger = logging.getLogger("callboard")


class Feeds:
    """All that is read of an agency for those who look now.

    Args:
        agency: it.
        leaving: says whether all is over.
    """

    def __init__(self, agency: Agency, leaving: Callable[[], bool]) -> None:
        self.agency = agency
        self.leaving = leaving
        self.summary = Summary()
        self._happened = Happened()
        self._points: deque[tuple[float, ...]] = deque(maxlen=MOST_POINTS)
        self._feeds: dict[tuple[str, bool], Feed] = {}
        self._pasts = Pasts()
        self._watch: Watch | None = None
        self._looking = 0
        self._opened = ExitStack()
        """What is undone when nobody looks any more."""

    def check(self) -> None:
        """See whether one more may look.

        Raises:
            Refused: too many do already.
            AgencyClosed: the agency does not run.
        """
        if self._looking >= MOST_LOOKING:
            raise refuse(503, "overloaded", f"{MOST_LOOKING} look already: close a page that is not needed")
        if self.agency.system is None or self.leaving():
            raise AgencyClosed("the agency does not run: there is nothing to look at")

    @contextmanager
    def look(self, view: str, every: float, *, acts: bool) -> Iterator[Feed]:
        """Look at a view for as long as the block lasts.

        Args:
            view: one of `VIEWS`.
            every: seconds between two readings that are wanted.
            acts: whether who looks may act.

        Raises:
            AgencyClosed: the agency does not run.
        """
        if self._watch is None:
            self._watch = self._opened.enter_context(Watch(self.agency, self._happened))
            # Whoever serves this may wait for streams to end before it ends itself.
            loop = asyncio.get_running_loop()
            self._opened.enter_context(on_signals(lambda: loop.call_soon_threadsafe(self._end)))
        key = view, acts and view == "approvals"  # the others are the same for all
        feed = self._feeds.get(key)
        if feed is None:
            feed = self._feeds[key] = Feed(self, VIEWS[view](acts), shows_actors=view == "actors")
        self._looking += 1
        feed.join(every)
        try:
            yield feed
        finally:
            self._looking -= 1
            if feed.leave(every) and self._feeds.get(key) is feed:
                del self._feeds[key]
            if not self._looking:
                self._watch = None
                self._pasts.clear()
                self._opened.close()

    @property
    def pasts(self) -> Pasts:
        """What is kept of conversations that are gone through, as long as anybody looks."""
        return Pasts() if self._watch is None else self._pasts

    def _end(self) -> None:
        for feed in self._feeds.values():
            feed.end()

    async def pools(self) -> list[PoolState]:
        """What the pools say of themselves."""
        return await self._open().pools()

    def reading(self, pools: list[PoolState], *, shows_actors: bool) -> Reading:
        """The agency as it is now.

        Args:
            pools: what they say.
            shows_actors: whether its actors are wanted one by one.

        Raises:
            AgencyClosed: it has stopped.
        """
        watch, now = self._open(), time.time()
        rates = watch.rates(pools)
        if not self._points or now - self._points[-1][0] >= SOON:
            self._points.append(_point(now, rates, pools))
        actors, count = watch.actors(MOST_ACTORS if shows_actors else 0)
        return Reading(
            now, actors, count, watch.runs(), watch.waiting(), pools, rates, self._happened, tuple(self._points)
        )

    def _open(self) -> Watch:
        if self._watch is None:
            raise AgencyClosed("nobody looks any more")
        return self._watch


def _point(now: float, rates: Rates, pools: list[PoolState]) -> tuple[float, ...]:
    """``(at, dollars, tokens, requests a minute, seconds of latency)``."""
    counted = [
        (each.latency, counts.answered)
        for pool in pools
        for each in pool.health.endpoints
        if (counts := pool.stats.endpoints.get(each.name)) is not None and counts.answered
    ]
    answered = sum(count for _, count in counted)
    latency = sum(seconds * count for seconds, count in counted) / answered if answered else 0.0
    return (round(now, 3), rates.cost, rates.tokens, rates.requests, latency)


class Feed:
    """Reads one view again and again, as long as somebody looks.

    Args:
        feeds: whose it is.
        view: what is kept of it.
        shows_actors: whether it shows actors one by one.

    Attributes:
        version: the number of the latest reading; 0 before the first.
        read_at: when that was, by the event loop's time.
        ended: set when there will be none any more.
    """

    def __init__(self, feeds: Feeds, view: View, *, shows_actors: bool) -> None:
        self.version = 0
        self.read_at = 0.0
        self.ended = asyncio.Event()
        self._feeds = feeds
        self._view = view
        self._shows_actors = shows_actors
        self._loop = asyncio.get_running_loop()
        self._wanted: list[float] = []
        self._cost = 0.0
        """Seconds of the processor's time that the latest reading, and what was made of it, have taken."""
        self._told = asyncio.Event()
        """Set when there is another reading; each has its own."""
        self._joined = asyncio.Event()
        self._head = ""
        self._texts: dict[int | None, str | None] = {}
        """What is sent to those who know a version, or none, as long as the reading is the latest."""
        self._task = self._loop.create_task(self._run(), name="dashboard")

    def join(self, every: float) -> None:
        """Somebody looks, who wants a reading so often."""
        self._wanted.append(every)
        self._joined.set()

    def leave(self, every: float) -> bool:
        """Somebody looks no more. Returns whether nobody does."""
        self._wanted.remove(every)
        if not self._wanted:
            self.end()
        return not self._wanted

    def end(self) -> None:
        """Read no more: for those who still look it is over."""
        self._task.cancel()

    @property
    def interval(self) -> float:
        """Seconds between two readings: as often as anybody wants, but not more often than they may cost."""
        return max(min(self._wanted, default=0.0), self._cost / SHARE)

    @property
    def over(self) -> bool:
        """Whether there will be no reading any more."""
        return self.ended.is_set()

    async def later(self, version: int) -> None:
        """Wait until there is a reading after a version, or it is over."""
        while self.version <= version and not self.over:
            await self._told.wait()

    def told(self, version: int | None, every: float) -> tuple[str, str]:
        """The event for somebody who has seen a version, or nothing yet: its name and its data as JSON.

        Args:
            version: that they have seen; None for none.
            every: seconds between two readings that they want.
        """
        with self._counted():
            name, view = "change", None
            if version is not None:
                try:
                    view = self._text(version)
                except LookupError:
                    version = None
            if version is None:
                name, view = "snapshot", self._text(None)
            every = round(max(every, self.interval), 3)
            shown = "" if view is None else f',"view":{view}'
            return name, f'{{{self._head},"every":{every}{shown}}}'

    def _text(self, version: int | None) -> str | None:
        if version not in self._texts:
            found = self._view.whole() if version is None else self._view.since(version)
            self._texts[version] = None if found is None and version is not None else written(found)
        return self._texts[version]

    async def _run(self) -> None:
        late = 0.0
        try:
            while True:
                await self._read(late)
                late = await self._pause()
        except AgencyClosed:
            pass
        except Exception:
            logger.exception("a dashboard cannot be read any more")
        finally:
            self.ended.set()
            self._told.set()

    async def _read(self, late: float) -> None:
        pools = await self._feeds.pools()
        self._cost = 0.0
        with self._counted():
            reading = self._feeds.reading(pools, shows_actors=self._shows_actors)
            self._view.take(reading, self.version + 1)
            summary = written(self._feeds.summary.of(reading, late))
            self._head = f'"at":{round(reading.at, 3)},"summary":{summary}'
        self._texts = {}
        self.version += 1
        self.read_at = self._loop.time()
        told, self._told = self._told, asyncio.Event()
        told.set()

    async def _pause(self) -> float:
        """Wait until the next reading is due. Returns by how many seconds the event loop was late."""
        late = 0.0
        while True:
            now = self._loop.time()
            due = self.read_at + self.interval
            if self._feeds.leaving():
                raise AgencyClosed("the server stops")
            if now >= due:
                return late
            until = min(due, now + SOON)
            self._joined.clear()
            try:
                async with asyncio.timeout_at(until):
                    await self._joined.wait()
            except TimeoutError:
                late = max(0.0, self._loop.time() - until)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        began = time.thread_time()
        try:
            yield
        finally:
            self._cost += time.thread_time() - began
