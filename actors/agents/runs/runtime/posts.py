"""What was said to conversations by way of the journal, until it is recorded what became of it.

A post is delivered once to a process; the actor that is told may crash or stop before it has taken it. So it lies here
until its conversation has recorded it, and each incarnation looks here for itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from ....core.mail.future import Future
from ....journal.store import Post
from ...turns.records import NotSteered, Steer

Verdict: TypeAlias = NotSteered | None
"""What became of a message to a run: None if the run has it."""


class Posts:
    """The posts of one process. False where there are none."""

    __slots__ = ("_asked", "_posts", "_verdicts")

    def __init__(self) -> None:
        self._posts: dict[str, dict[int, Post]] = {}
        self._verdicts: dict[int, Verdict] = {}
        self._asked: dict[str, Future[Verdict]] = {}

    def __bool__(self) -> bool:
        return bool(self._posts)

    def __iter__(self) -> Iterator[Post]:
        """The first post of each stream."""
        return iter([next(iter(posts.values())) for posts in self._posts.values()])

    def arrived(self, post: Post) -> None:
        """A post has been delivered."""
        self._posts.setdefault(post.stream, {})[post.id] = post

    def of(self, stream: str) -> tuple[Post, ...]:
        """What waits for the owner of a stream, in the order posted."""
        return tuple(self._posts.get(stream, {}).values())

    def forget(self, stream: str) -> None:
        """Somebody else owns the stream, and has its posts."""
        for post in self._posts.pop(stream, {}).values():
            self._verdicts.pop(post.id, None)

    def judge(self, post: Post, verdict: Verdict) -> None:
        """What becomes of a message, as soon as that is recorded."""
        self._verdicts[post.id] = verdict

    def done(self, post: Post) -> None:
        """What became of a post is recorded."""
        waiting = self._posts.get(post.stream)
        if waiting is not None and waiting.pop(post.id, None) is not None and not waiting:
            del self._posts[post.stream]
        verdict = self._verdicts.pop(post.id, None)
        if isinstance(post.event, Steer):
            asked = self._asked.pop(post.event.id, None)
            if asked is not None and not asked.done():
                asked.set(verdict)

    def expect(self, message: str) -> Future[Verdict]:
        """What becomes of a message, where that is recorded in this process."""
        return self._asked.setdefault(message, Future())

    def expect_no_more(self, message: str) -> None:
        """Nobody wants to know any more."""
        self._asked.pop(message, None)
