"""What a conversation writes into its journal, and when it may go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from ....core.mail.future import Future
from ....journal.errors import EventNotWritable, KeyTaken
from ....journal.store import Post
from ...turns.outcome import unanswered
from ...turns.records import Accepted, ApprovalAsked, NotSteered, RunRequest
from ...turns.state import ConversationState
from ..coordination.ownership import Unkept
from ..runtime.register import key_taken, not_kept
from ..runtime.runtime import AgencyRuntime
from .session import Session

_NONE: Final[frozenset[int]] = frozenset()  # each new one takes 216 bytes


class Recorder:
    """Appends to the stream of one incarnation of a conversation.

    Runs that have been taken up are held back until the next append, so that taking up and beginning is one write.

    Args:
        runtime: what the agency's actors share.
        stream: the conversation's, owned.
        state: the conversation's.
        lost: called with what an append failed with that nobody waits for.

    Attributes:
        held: the runs that go into the journal with the next append.
        taken: the posts that need not be delivered any more, from the next append on.
        taking: ids of those that were taken with an append that is on its way.
    """

    __slots__ = ("_lost", "_runtime", "_state", "held", "stream", "taken", "taking")

    def __init__(
        self, runtime: AgencyRuntime, stream: Any, state: ConversationState, lost: Callable[[BaseException], object]
    ) -> None:
        self._runtime = runtime
        self._state = state
        self._lost = lost
        self.stream = stream
        self.held: list[Accepted] = []
        self.taken: list[Post] = []
        self.taking: frozenset[int] = _NONE

    def take_up(self, run: RunRequest) -> None:
        """A run is the conversation's from now on."""
        accepted = Accepted(run)
        self._state.apply(accepted)
        self.held.append(accepted)

    def refuse(self, run: RunRequest, error: BaseException) -> None:
        """A run that was taken up cannot be written down: nothing of it is kept."""
        self.held = [accepted for accepted in self.held if accepted.run is not run]
        state = self._state
        state.queue.remove(run)
        if not self.stream.version:  # the conversation is not theirs
            state.caller = state.queue[0].caller if state.queue else None
        self._runtime.register.settle(unanswered(run, not_kept(error)))

    def append(self, events: Sequence[Any], session: Session | None, *, ending: bool = False) -> Future[None] | None:
        """Append events, the runs that were taken up before them, and what belongs to both, all or none.

        Args:
            events: in order.
            session: the run under way.
            ending: whether the last of them ends a run.

        Returns:
            None if that is done, otherwise a future.

        Raises:
            EventNotWritable: nothing was appended.
        """
        stream, runtime = self.stream, self._runtime
        if type(stream) is Unkept:
            if self.held:
                self._accepted()
            stream.append(events)
            self.discard_taken()
            if session is not None and session.dropping:
                runtime.drop(*session.dropping)
                session.dropping = []
            return None
        held = self.held
        more: dict[str, Any] = {}
        asked = [event.approval for event in events if type(event) is ApprovalAsked]  # by which they are found
        if asked:
            more["keys"] = tuple(asked)
        if held:
            keys = tuple(one.run.id for one in held if one.run.keyed)
            if keys:
                more["keys"] = (*keys, *asked)
            if not stream.version:
                more["labels"] = runtime.labels(held[0].run)
        undelivered = False
        if session is not None:
            drop = (*session.dropping, *session.children()) if ending else session.dropping
            if drop:
                more["drop"] = runtime.dropped(drop)
            undelivered = ending and session.run.once and not session.run.keyed
        if self.taken:
            more["taken"] = tuple(post.id for post in self.taken)
        unfinished = len(self._state.queue) > ending or undelivered
        pending: Future[None] | None = stream.append((*held, *events), unfinished=unfinished, **more)
        if self.taken:
            self._take(pending)
        if held:
            self._accepted()
            if keys:
                if pending is None:
                    self._claimed(held)
                else:
                    pending.when_done(partial(self._when_claimed, held))
        if session is not None and session.dropping:
            session.dropping = []
        return pending

    def _accepted(self) -> None:
        """From here on cancelling these runs is the conversation's affair."""
        for one in self.held:
            entry = self._runtime.register.get(one.run.id)
            if entry is not None:
                entry.accepted = True
        self.held = []

    def refuse_post(self, post: Post, why: NotSteered) -> None:
        """A message to a run is not taken, which is recorded for whoever said it."""
        self._runtime.posts.judge(post, why)
        self.taken.append(post)
        if type(self.stream) is Unkept or not self.stream.version:
            self.discard_taken()
        else:
            pending = self.stream.append((why,), taken=tuple(post.id for post in self.taken))
            self._take(pending)

    def discard_taken(self) -> None:
        """Nothing is to be recorded of what was taken."""
        for post in self.taken:
            self._runtime.journal.discard(post.id)
            self._runtime.posts.done(post)
        self.taken = []

    def _take(self, pending: Future[None] | None) -> None:
        taken, self.taken = self.taken, []
        if pending is None:
            for post in taken:
                self._runtime.posts.done(post)
        else:
            self.taking = self.taking.union(post.id for post in taken)
            pending.when_done(partial(self._when_taken, taken))

    def _when_taken(self, taken: Sequence[Post], pending: Future[None]) -> None:
        if pending.exception() is None:  # otherwise the next incarnation finds them where they are
            for post in taken:
                self.taking = self.taking.difference((post.id,)) or _NONE
                self._runtime.posts.done(post)

    def flush(self) -> None:
        """Append the runs that were taken up behind the one under way."""
        while self.held:
            try:
                pending = self.append((), None)
            except EventNotWritable as error:
                self.refuse(self.held[-1].run, error)
            else:
                if pending is not None:
                    pending.when_done(self.when_lost)

    def when_lost(self, pending: Future[None]) -> None:
        """Report an append that nobody waits for, if it failed."""
        error = pending.exception()
        if error is not None:
            self._lost(error)

    def _claimed(self, accepted: Sequence[Accepted]) -> None:
        for one in accepted:
            self._runtime.register.recorded(one.run.id)

    def _when_claimed(self, accepted: Sequence[Accepted], pending: Future[None]) -> None:
        """A key was another conversation's: its caller is told; the incarnation ends with the refused append."""
        error = pending.exception()
        if error is None:
            self._claimed(accepted)
        if not isinstance(error, KeyTaken):
            return
        for run in (one.run for one in accepted):
            if run.id == error.key:
                self._runtime.register.settle(unanswered(run, key_taken(run)))
