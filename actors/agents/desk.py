"""What the actors of one agency share: the journal, the reply futures, the event bus, the way to each agent.

Reply futures live here and not in the actors, so that an actor's crash leaves them alone: the restarted conversation
goes on from the journal and settles the same future.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from ...tools import Tool, ToolResult
from ..core.base.errors import ActorDead, CoreError
from ..core.mail.future import Future
from ..core.refs.ref import ActorRef
from ..journal.store import Journal
from .answer import Answer
from .clock import Clock
from .errors import AgentError, AgentUnavailable, RunCancelled, RunFailed, UnknownAgent
from .events import ApprovalRequested, Bus
from .handoff import HandoffLimits
from .output import Output
from .profile import Profile
from .run import Accepted, Cancel, Ended, Release, Run

logger = logging.getLogger("callboard")


Carried: TypeAlias = Callable[[str, str], Mapping[str, Any]]
"""Makes values for the scope of a model call from the agent's name and the conversation's id."""


class Desk:
    """Shared by an agency and its actors; all on one event loop.

    Args:
        journal: where steps are kept.
        handoff_limits: how far handoffs may go.
    """

    def __init__(self, journal: Journal, handoff_limits: HandoffLimits) -> None:
        self.journal = journal
        self.handoff_limits = handoff_limits
        self.bus = Bus()
        self.clock = Clock()
        self.root: ActorRef[Any] | None = None
        self.model: ActorRef[Any] | None = None
        self.model_name = ""
        self.carried: Carried | None = None
        self.agents: dict[str, ActorRef[Any]] = {}
        self.profiles: dict[str, Profile] = {}
        self.outputs: dict[str, Output] = {}
        self.crashes: dict[str, int] = {}
        self.handoffs: dict[str, int] = {}
        self.cancelled: dict[str, str] = {}
        """Why runs were cancelled, until they have ended: the message that says so may be lost in a crash."""
        self.approvals: dict[str, ApprovalRequested] = {}
        self._calls: dict[int, tuple[str, Any]] = {}
        self._call_count = 0
        self._no_calls: asyncio.Event | None = None
        self._replies: dict[str, tuple[Future[Answer], Run]] = {}

    # -- runs --------------------------------------------------------------------------------------------------------

    def submit(self, run: Run) -> Future[Answer]:
        """Accept a run: into the journal first, then to its agent. A run that is known already is not sent again.

        Returns:
            the future of its answer; it fails with an `AgentError`.
        """
        known = self._replies.get(run.id)
        if known is not None:
            return known[0]
        reply = self.expect(run)
        pending = self.journal.append(f"{run.agent}/{run.conversation}", (Accepted(run),))
        if pending is None:
            self._send(run)
        else:
            pending.when_done(partial(self._when_accepted, run))
        return reply

    def _when_accepted(self, run: Run, pending: Future[None]) -> None:
        error = pending.exception()
        if error is None:
            self._send(run)
        else:
            self.fail(run.id, not_kept(error))

    def expect(self, run: Run) -> Future[Answer]:
        """The future of a run that is in the journal already."""
        reply: Future[Answer] = Future()
        self._replies[run.id] = (reply, run)
        return reply

    def _send(self, run: Run) -> None:
        agent = self.agents.get(run.agent)
        if agent is None:
            self.fail(run.id, UnknownAgent(f"no agent is called {run.agent!r}; there are {', '.join(self.agents)}"))
            return
        try:
            agent.tell(run)
        except ActorDead as error:
            if not self.recovers():  # otherwise its next actor finds the run in the journal
                self.fail(run.id, unavailable(run.agent, error))
        except CoreError as error:
            self.fail(run.id, unavailable(run.agent, error))

    def recovers(self) -> bool:
        """Whether an agent whose actor is dead will have another one: the agency's is alive, or being restarted."""
        return self.root is not None and self.root.is_alive()

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
                self.journal.drop(known[1].stream_name)

    def cancel(self, run: Run, reason: str) -> None:
        """Have a run ended, wherever it is."""
        agent = self.agents.get(run.agent)
        if agent is None:
            return
        self.cancelled[run.id] = reason
        try:
            agent.tell(Cancel(run.conversation, run.id, reason))
        except CoreError:
            # There is no actor that could end it, and the next one must not begin it again.
            del self.cancelled[run.id]
            cancelled = RunCancelled(f"the run was cancelled: {reason}")
            ended = Ended(run.id, Answer("", run.agent, run.conversation, run.id), cancelled)
            self.journal.append(run.stream_name, (ended,))
            if run.once:
                self.journal.drop(run.stream_name)
            self.fail(run.id, cancelled)

    def release(self, agent: str, conversation: str) -> None:
        """Have a conversation forgotten."""
        ref = self.agents.get(agent)
        try:
            if ref is not None:
                ref.tell(Release(conversation))
        except CoreError:
            self.journal.drop(f"{agent}/{conversation}")

    def open_runs(self) -> list[Run]:
        """The runs whose outcome somebody waits for, in the order submitted."""
        return [run for reply, run in self._replies.values() if not reply.done()]

    def fail_open(self, error: AgentError, agent: str | None = None) -> None:
        """End all open runs, or those of one agent, without an answer: nothing pending is dropped silently."""
        for run in self.open_runs():
            if agent is None or run.agent == agent:
                self.fail(run.id, error)

    # -- tool calls: their tasks are their own, so an actor's death alone ends none ------------------------------------

    def start_call(self, run_id: str, tool: Tool, arguments: str, on_end: Callable[[ToolResult], object]) -> Any:
        """Start a tool call; return its handle. ``on_end`` is called with the result, whatever happens."""
        self._call_count = number = self._call_count + 1

        def ended(result: ToolResult) -> None:
            self._calls.pop(number, None)
            if self._no_calls is not None and not self._calls:
                self._no_calls.set()
            on_end(result)

        started = tool.start(arguments, ended)
        self._calls[number] = (run_id, started)
        return started

    def cancel_calls(self, run_id: str | None = None) -> None:
        """Cancel the tool calls of a run, or all there are."""
        for owner, call in list(self._calls.values()):
            if run_id is None or owner == run_id:
                call.cancel()

    async def calls_ended(self) -> None:
        """Wait until no tool call is under way; bounded, once they are cancelled, by the grace period of each."""
        if self._calls:
            self._no_calls = asyncio.Event()
            await self._no_calls.wait()

    # -- handoffs ------------------------------------------------------------------------------------------------------

    def count_handoff(self, root: str) -> int:
        """Count one more handoff of a root run; return how many there were."""
        count = self.handoffs[root] = self.handoffs.get(root, 0) + 1
        return count


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
