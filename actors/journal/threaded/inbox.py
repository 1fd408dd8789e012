"""Posts on their way to whoever wants them: each once, for as long as this worker may have it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from ...core.base.log import logger_of
from ..backend import Left
from ..codec import Codec
from ..errors import EventNotReadable
from ..store import Post
from .reading import decode

Deliver = Callable[[Post], object]
logger = logger_of()


def read(codec: Codec, left: Left) -> Post | None:
    """A row as a post; None where it cannot be read, which goes into the log."""
    try:
        return Post(left.id, left.stream, decode(codec, left.stream, 0, left.event))
    except EventNotReadable as error:
        logger.error("a post cannot be delivered: %s", error)
        return None


class Inbox:
    """Remembers what was delivered.

    A post that was for this worker, then was not, because another one held the stream, and then is again, is
    delivered again: the other one may have ended before it took it.
    """

    __slots__ = ("_codec", "_seen", "_target")

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._seen: set[int] = set()
        self._target: tuple[asyncio.AbstractEventLoop, Deliver] | None = None

    @property
    def wanted(self) -> bool:
        """Whether anybody wants posts."""
        return self._target is not None

    def target(self, deliver: Deliver | None) -> None:
        """Have posts delivered on the running event loop, or no more."""
        self._target = None if deliver is None else (asyncio.get_running_loop(), deliver)

    def offer(self, rows: Sequence[Left]) -> None:
        """All that may be delivered to this worker now. On the reader's thread."""
        target = self._target
        for number in list(self._seen - {row.id for row in rows}):
            self._seen.discard(number)
        posts = []
        for row in rows:
            if row.id in self._seen:
                continue
            post = read(self._codec, row)
            if post is not None:
                posts.append(post)
            else:
                self._seen.add(row.id)
        if posts and target is not None:
            with suppress(RuntimeError):  # that loop is closed
                target[0].call_soon_threadsafe(self._hand_over, target, posts)

    def _hand_over(self, target: tuple[asyncio.AbstractEventLoop, Deliver], posts: list[Post]) -> None:
        for post in posts:
            if target is not self._target or post.id in self._seen:
                continue
            self._seen.add(post.id)
            try:
                target[1](post)
            except Exception:
                logger.exception("a post for %s was not taken", post.stream)
