"""``api/live``: what an agency does, while somebody looks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import Response

from ...agents.caller import Caller
from ..operations.problem_json import Fields, query_of
from ..problems import refuse
from ..sse import Event, EventStream
from .board import Board, allowed
from .feed import VIEWS, Feed

SHORTEST, LONGEST, USUAL = 0.5, 60.0, 1.0
"""Seconds between two events."""


async def live(board: Board, request: Request) -> Response:
    """The figures of a view: all of them, then what changes."""
    caller = await board.who(request, "look")
    query = query_of(request, "view", "every")
    view = query.text("view", "")
    if view not in VIEWS:
        known = ", ".join(name for name in VIEWS if name)
        raise refuse(400, "unknown_view", f"there is no view {view!r:.80}; there are {known}", "view")
    every = _every(query)
    if request.method == "HEAD":
        return Response(media_type=EventStream.media_type)
    board.feeds.check()
    return EventStream(board.server, _events(board, request, caller, view, every))


async def _events(board: Board, request: Request, caller: Caller, view: str, every: float) -> AsyncGenerator[Event]:
    loop = asyncio.get_running_loop()
    seen: int | None = None
    with board.feeds.look(view, every, acts=allowed(caller, "act")) as feed:
        stale = loop.time() - feed.read_at > every
        await feed.later(feed.version if stale else 0)
        while not feed.over:
            began, version = loop.time(), feed.version
            name, data = feed.told(seen, every)
            yield Event(data, name=name)
            seen = version  # what was read while this was sent is told next, all at once
            await _rest(feed, began + every - feed.interval - loop.time())
            await feed.later(seen)
            if not await board.still(request, caller):
                return


async def _rest(feed: Feed, seconds: float) -> None:
    """Leave out the readings that others want, who look more often."""
    if seconds > 0:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await feed.ended.wait()


def _every(query: Fields) -> float:
    given = query.text("every")
    try:
        every = USUAL if given is None else float(given)
    except ValueError:
        every = 0.0
    if not SHORTEST <= every <= LONGEST:
        message = f"every is a number of seconds from {SHORTEST:g} to {LONGEST:g}, not {given!r:.40}"
        raise refuse(400, "invalid_field", message, "every")
    return every
