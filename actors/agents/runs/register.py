"""The runs of an agency: each is accepted once, and has exactly one end.

Reply futures live here and not in the actors, so that an actor's crash leaves them alone: the restarted conversation
goes on from the journal and settles the same future.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ...core.base.errors import ActorDead, CoreError
from ...core.mail.future import Future
from ...journal.store import Journal
from ..answer import Answer
from ..errors import AgentError, AgentUnavailable, RunCancelled, RunFailed, UnknownAgent
from ..output import Output
from ..turns.outcome import unanswered
from ..turns.records import Accepted, Run
from .messages import Cancel, Release


class RunRegister:
    """Accepts runs and ends them.

    Args:
        journal: where runs are written down.
        send: sends a message to the actor of an agent; raises `UnknownAgent` or what its reference raises.
        recovers: whether an agent whose actor is dead will have another one.

    Attributes:
        closed: why no runs are accepted; empty where they are.
        count: runs that were made so far.
        cancelled: why runs were cancelled, until they have ended: the message that says so may be lost in a crash.
        outputs: the types that answers must fit, of the runs that ask for one of their own.
    """

    def __init__(self, journal: Journal, send: Callable[[str, Any], object], recovers: Callable[[], bool]) -> None:
        self.closed = "is not running: use `async with` it"
        self.count = 0
        self.cancelled: dict[str, str] = {}
        self.outputs: dict[str, Output] = {}
        self._journal = journal
        self._send = send
        self._recovers = recovers
        self._replies: dict[str, tuple[Future[Answer], Run]] = {}

    def submit(self, run: Run) -> Future[Answer]:
        """Accept a run: into the journal first, then to its agent. A run that is known already is not sent again.

        Returns:
            the future of its answer; it fails with an `AgentError`.
        """
        known = self._replies.get(run.id)
        if known is not None:
            return known[0]
        reply = self.expect(run)
        pending = self._journal.append(f"{run.agent}/{run.conversation}", (Accepted(run),))
        if pending is None:
            self._hand_over(run)
        else:
            pending.when_done(partial(self._when_accepted, run))
        return reply

    def _when_accepted(self, run: Run, pending: Future[None]) -> None:
        error = pending.exception()
        if error is None:
            self._hand_over(run)
        else:
            self.fail(run.id, not_kept(error))

    def expect(self, run: Run) -> Future[Answer]:
        """The future of a run that is in the journal already."""
        reply: Future[Answer] = Future()
        self._replies[run.id] = (reply, run)
        return reply

    def _hand_over(self, run: Run) -> None:
        try:
            self._send(run.agent, run)
        except UnknownAgent as error:
            self.fail(run.id, error)
        except ActorDead as error:
            if not self._recovers():  # otherwise its next actor finds the run in the journal
                self.fail(run.id, unavailable(run.agent, error))
        except CoreError as error:
            self.fail(run.id, unavailable(run.agent, error))

    def is_open(self, run_id: str) -> bool:
        """Whether somebody waits for the run's outcome."""
        known = self._replies.get(run_id)
        return known is not None and not known[0].done()

    def settle(self, run_id: str, answer: Answer) -> None:
        """Answer a run."""
        known = self._replies.get(run_id)
        if known is not None and not known[0].done():
            known[0].set(answer)

    def fail(self, run_id: str, error: AgentError) -> None:
        """End a run without an answer."""
        known = self._replies.get(run_id)
        if known is not None and not known[0].done():
            known[0].set_exception(error)

    def forget(self, run_id: str) -> None:
        """The outcome has been taken; let go of it."""
        self._replies.pop(run_id, None)

    def drop(self, *run_ids: str) -> None:
        """The outcomes have been written down elsewhere; let go of them and of the conversations behind them."""
        for run_id in run_ids:
            known = self._replies.pop(run_id, None)
            if known is not None:
                self._journal.drop(known[1].stream_name)

    def cancel(self, run: Run, reason: str) -> None:
        """Have a run ended, wherever it is."""
        self.cancelled[run.id] = reason
        try:
            self._send(run.agent, Cancel(run.conversation, run.id, reason))
        except UnknownAgent:
            del self.cancelled[run.id]
        except CoreError:
            # There is no actor that could end it, and the next one must not begin it again.
            del self.cancelled[run.id]
            cancelled = RunCancelled(f"the run was cancelled: {reason}")
            self._journal.append(run.stream_name, (unanswered(run, cancelled),))
            if run.once:
                self._journal.drop(run.stream_name)
            self.fail(run.id, cancelled)

    def release(self, agent: str, conversation: str) -> None:
        """Have a conversation forgotten."""
        try:
            self._send(agent, Release(conversation))
        except UnknownAgent:
            pass
        except CoreError:
            self._journal.drop(f"{agent}/{conversation}")

    def open_runs(self) -> list[Run]:
        """The runs whose outcome somebody waits for, in the order submitted."""
        return [run for reply, run in self._replies.values() if not reply.done()]

    def fail_open(self, error: AgentError, agent: str | None = None) -> None:
        """End all open runs, or those of one agent, without an answer: nothing pending is dropped silently."""
        for run in self.open_runs():
            if agent is None or run.agent == agent:
                self.fail(run.id, error)


def not_kept(error: BaseException) -> RunFailed:
    """The named error of a run whose steps cannot be written down."""
    failed = RunFailed(f"the journal failed: {error}")
    failed.__cause__ = error
    return failed


def unavailable(agent: str, error: Exception) -> AgentUnavailable:
    """The named error for an agent whose actor takes no messages."""
    if isinstance(error, AgentUnavailable):
        return error
    why = "it has stopped" if isinstance(error, ActorDead) else str(error)
    failed = AgentUnavailable(f"agent {agent} takes no requests: {why}")
    failed.__cause__ = error
    return failed
