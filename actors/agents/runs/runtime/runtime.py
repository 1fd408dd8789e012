"""What the actors of one agency share: the journal, the register of runs, the event bus, the way to each agent."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .....tools import Tool
from ....core.base.errors import CoreError
from ....core.base.ids import uuid7
from ....core.mail.future import Future
from ....core.refs.ref import ActorRef
from ....journal.errors import JournalError
from ....journal.store import Journal, Post, Retention, Stream, at_hand
from ...answer import Answer
from ...caller import NOBODY, Caller
from ...context import NO_DEPS
from ...errors import AgentError, UnknownAgent
from ...events import RunEvent, RunFinished
from ...handoffs.limits import HandoffLimits
from ...memory.context.strategy import ContextStrategy
from ...output import Output, is_plain
from ...skills.context import SkillContext
from ...skills.opening import OpenSkills
from ...skills.skill import Skill
from ...team.directory import Directory
from ...team.prepared import PreparedAgent
from ...telemetry.figures import Figures
from ...telemetry.tracing import Tracing
from ...turns.outcome import Outcome, not_theirs
from ...turns.records import Cancel, RunRequest, Steer
from ...turns.state import ConversationState
from ..reading.folding import header_of
from ..reading.following import Following
from .approvals import Approvals
from .bus import Bus
from .clock import Clock
from .closing import serving
from .colleagues import Colleagues
from .lingering import Lingering
from .messages import Posted, Release
from .posts import Posts
from .quotas import check_quotas
from .register import Entry, RunRegister, key_taken
from .tool_tasks import ToolTasks

if TYPE_CHECKING:
    from ....core.system import System

Baggage: TypeAlias = Callable[[RunRequest, PreparedAgent], Mapping[str, Any]]
"""Makes baggage for a model call from the run and its agent."""

MAX_ASKS: Final = 10
"""Times a message to an agent's actor is sent again because the actor crashed on it."""

CANCEL_GRACE: Final = 5.0
"""Seconds that a cancelled caller waits for its run to have ended."""

KEPT: Final = 1_000
"""Ended runs that can be asked for again, and have no conversation, that are kept in memory."""


class AgencyRuntime:
    """Shared by an agency and its actors; all on one event loop.

    Args:
        directory: who is there.
        journal: where steps are kept.
        handoff_limits: how far handoffs may go.
        shared: whether the journal may outlive the agency.
        approvals_expire: seconds after which nobody can approve a call any more; None for never.

    Attributes:
        root: the agency's actor.
        agents: the agents' actors by name.
        gone: the agents whose actors have failed for good, or were stopped.
        crashes: how often the conversation of a stream crashed at the step it is at, and on what the last time.
        handoffs: how many handoffs each root run has made.
        approvals: the calls that wait for a person.
        unkept: the conversations of which nothing is written down, by the name of their stream.
        idle: since when conversations have had nothing to do, the longest first.
        streams: the streams that are owned here, by name.
        damaged: streams that cannot be read, and have been named.
        leaving: conversations whose actors are about to stop of themselves, by the name of their stream.
        posts: what was said to conversations by way of the journal.
        following: those who wait for what is written into the journal.
        takes_up: whether a conversation that nobody alive works on, by its agent and its id, is this process's to go on
            with.
        look_every: seconds between two looks for conversations that nobody alive works on, where that is longer than
            it usually is.
        worker_name: what people call a process that shares the journal, by its `worker`.
        retention: how long what is finished is kept; None for ever.
    """

    def __init__(
        self,
        directory: Directory,
        journal: Journal,
        handoff_limits: HandoffLimits,
        *,
        shared: bool,
        approvals_expire: float | None,
    ) -> None:
        self.directory = directory
        self.journal = journal
        self.shared = shared
        self.handoff_limits = handoff_limits
        self.time: Callable[[], float] = time.monotonic  # the event loop's, once there is one
        self.register = RunRegister(self.send, self.recovers, lambda: self.time())
        self.approvals = Approvals(self.send, self._tool_of, approvals_expire)
        self.posts = Posts()
        self.following = Following()
        self.takes_up: Callable[[str, str], bool] = _everything
        self.look_every = 0.0
        self.worker_name: Callable[[str], str] = str
        self.tool_tasks = ToolTasks()
        self.bus = Bus()
        self.tracing: Tracing | None = None
        """What writes the spans of runs; None where nobody wants any."""
        self.journal_file: Path | None = None
        """Where the journal is kept, if that is a file."""
        self.figures: Figures | None = None
        """What is counted; None where nobody wants it."""
        self.counts: Mapping[type[RunEvent], Callable[..., None]] = {}
        """What counts, by what has happened; called with the agent's name, and the fields of the event which are its
        own."""
        self.clock = Clock()
        self.lingering = Lingering(self.clock, lambda: self.time(), self._delete)
        self.skills = OpenSkills(self._skill_context)
        self.system: System | None = None
        self.root: ActorRef[Any] | None = None
        self.model: ActorRef[Any] | None = None
        self.model_for: Callable[[str], str] = _unnamed
        """The name of the model of an agent that names none, by the agent's name; empty for the provider's own."""
        self.baggage: Baggage | None = None
        self.deps: Any = NO_DEPS
        """What tools depend on where a run gives nothing, or the function of the caller that makes it."""
        self.credentials: Callable[[Caller, str], Any] | None = None
        """Gives tools the secrets of callers by their names; never shown."""
        self.makes_deps = False
        """Whether it is such a function."""
        self.pools: tuple[ActorRef[Any], ...] = ()
        """The pools that answer the agents' requests."""
        self.agents: dict[str, ActorRef[Any]] = {}
        self.gone: set[str] = set()
        self.crashes: dict[str, tuple[int, BaseException | None]] = {}
        self.handoffs: dict[str, int] = {}
        self.unkept: dict[str, ConversationState] = {}
        self.idle: dict[str, float] = {}
        self.damaged: set[str] = set()
        self.retention: Retention | None = None
        self.streams: dict[str, Stream] = {}
        self.leaving: set[str] = set()
        self._ended: deque[tuple[str, tuple[str, str] | None]] = deque()

    def new_id(self) -> str:
        """An id that nobody else has."""
        assert self.system is not None
        return uuid7(time.time(), self.system.rng)

    def _tool_of(self, agent: str, name: str) -> Tool | None:
        member = self.directory.members.get(agent)
        if member is None:
            return None
        own = member.all_tools
        callees = (callee for tool in own for callee in tool.callees)  # of what makes other calls
        return next((tool for tool in (*own, *callees) if tool.name == name), None)

    def _skill_context(self, required: Mapping[str, Skill]) -> SkillContext:
        assert self.system is not None
        return SkillContext(self.system, self.model, required, Colleagues(self.directory))

    # -- the way to actors ---------------------------------------------------------------------------------------------

    def send(self, agent: str, message: Any) -> None:
        """Send a message to an agent's actor. Before the actor has started it finds out by itself.

        Raises:
            UnknownAgent: there is none.
            CoreError: it takes no messages.
        """
        ref = self.agents.get(agent)
        if ref is not None:
            ref.tell(message)
        elif agent not in self.directory.agents:
            there = ", ".join(self.directory.agents)
            raise UnknownAgent(f"no agent is called {agent!r:.80}; there are {there}")

    def recovers(self, agent: str) -> bool:
        """Whether an agent whose actor is dead will have another one: it has not failed for good, and the agency's is
        alive, or being restarted."""
        return agent not in self.gone and self.root is not None and self.root.is_alive()

    def release(self, agent: str, conversation: str) -> None:
        """Have a conversation forgotten."""
        try:
            self.send(agent, Release(conversation))
        except (UnknownAgent, CoreError):
            self.drop(f"{agent}/{conversation}")

    def tell(self, ref: ActorRef[Any], message: Any) -> None:
        """Tell an actor something, if it still takes messages."""
        with suppress(CoreError):
            ref.tell(message)

    def posted(self, post: Post) -> None:
        """Something was said to a conversation by way of the journal."""
        agent, _, conversation = post.stream.partition("/")
        ref = self.agents.get(agent)
        if ref is not None:
            if type(post.event) in (Cancel, Steer):
                self.posts.arrived(post)
            self.tell(ref, Posted(conversation, post))

    def tell_of_posts(self) -> None:
        """Tell conversations of what was said to them, and was not taken: they may have ended this moment."""
        for post in self.posts:
            self.posted(post)

    async def ask_until_answered(self, message: Any, agent: str = "") -> None:
        """Ask an agent's actor, or the agency's, until it answers: it may crash meanwhile, and be restarted."""
        for left in reversed(range(MAX_ASKS)):
            try:
                ref = self.agents[agent] if agent else self.root
                assert ref is not None
                await ref.ask(message)
            except Exception:
                if left == 0 or not self.recovers(agent):
                    raise
                await asyncio.sleep(0)
            else:
                return

    # -- streams -------------------------------------------------------------------------------------------------------

    def keeps(self, run: RunRequest) -> bool:
        """Whether the steps of a run go into the journal: not where nobody could ever go on with them."""
        return self.shared or run.keyed or not (run.once or run.fleeting)

    def labels(self, run: RunRequest) -> dict[str, str]:
        """What is to be found of a conversation without reading it."""
        labels = {"agent": run.agent, "conversation": run.conversation}
        if run.caller.user:
            labels["user"] = run.caller.user
        if run.caller.tenant:
            labels["tenant"] = run.caller.tenant
        if (run.once or run.fleeting) and not run.keyed:
            labels["ephemeral"] = "1"
        if run.within:
            labels["parent"] = run.within
        return labels

    def dropped(self, streams: Iterable[str]) -> tuple[str, ...]:
        """Let go of conversations; returns those of them that are in the journal, and may go from there at once."""
        return self.lingering.leave(tuple(stream for stream in streams if self.unkept.pop(stream, None) is None))

    def drop(self, *streams: str) -> None:
        """Let go of conversations, in the journal too."""
        self._delete(*self.dropped(streams))

    def _delete(self, *streams: str) -> None:
        if streams:
            with suppress(JournalError):  # it is closed: a start finds them, and that nobody needs them
                self.journal.forget(*streams)

    def finished(self, run: RunRequest, answer: Answer | None, error: AgentError | None) -> RunFinished:
        """The end of a run, as it is told to those who look on."""
        return RunFinished(run.root, run.id, run.agent, run.conversation, run.chain, self.time(), answer, error)

    def happened(self, event: RunEvent, **fields: Any) -> None:
        """Tell those who look on of what happened to a run without a session that could tell of it.

        Args:
            event: it.
            fields: those of the event which are its own.
        """
        if type(event) in self.counts:
            self.counts[type(event)](event.agent, **fields)
        self.bus.emit(event)

    def found_failed(self, run: RunRequest, error: AgentError) -> None:
        """Tell those who look on that a run has ended without an actor that could tell of it."""
        self.happened(self.finished(run, None, error), answer=None, error=error)
        if self.tracing is not None:
            self.tracing.found_over(run, max(0.0, time.time() - run.asked_at), type(error).__name__)

    # -- answers -------------------------------------------------------------------------------------------------------

    async def answer(
        self,
        run: RunRequest,
        output: Output | None = None,
        deps: Any = NO_DEPS,
        context: ContextStrategy | None = None,
    ) -> Answer:
        """Have a run made, and wait for its answer; cancelling this cancels the run, unless somebody else waits too.

        Raises:
            QuotaExceeded: the caller has nothing left; nothing was begun.
        """
        register = self.register
        if register.get(run.id) is None:
            claimed = False
            if run.keyed:
                with serving(register):
                    claimed = await self.is_claimed(run)
            if self.pools and not claimed:
                with serving(register):
                    await check_quotas(self.pools, run.caller)
        entry = register.submit(run, output, deps, context)
        entry.waiters += 1
        waiter = entry.reply
        if run.keyed:  # others may wait for the same
            waiter = Future()
            entry.reply.when_done(partial(_pass_on, waiter))
        try:
            return await waiter
        except asyncio.CancelledError:
            entry.renew()
            if entry.waiters == 1 and not entry.background:
                dealt_with = register.give_up(entry, "its caller was cancelled")
                with suppress(TimeoutError):
                    async with asyncio.timeout(CANCEL_GRACE):
                        await dealt_with
            raise
        finally:
            entry.waiters -= 1
            if not entry.waiters:
                self.delivered(entry)

    def typed(self, agent: str, outcome: Outcome, output: Output | None = None) -> Outcome:
        """An outcome as a journal has it, with the answer's value as the requested type where that is known here.

        Args:
            agent: whom the run asked.
            outcome: its value may be plain data.
            output: the type that was asked for, if the caller gave it just now.
        """
        kept = outcome.answer.value
        if kept is None or not is_plain(kept):
            return outcome
        entry = self.register.get(outcome.run)
        if output is None and entry is not None:
            output = entry.output
        if output is None and outcome.output is not None:
            output, _ = Output.known(*outcome.output)
        elif output is None and (asked := self.directory.agents.get(agent)) is not None:
            output = asked.output
        if output is None:
            return outcome
        return outcome._replace(answer=replace(outcome.answer, value=output.restored(kept, outcome.answer.text)))

    async def is_claimed(self, run: RunRequest) -> bool:
        """Whether a run that has a key is in the journal already.

        Raises:
            DefinitionError: its key belongs to a run of another conversation of the same caller.
            NotAllowed: its conversation, or the run that has the key, belongs to somebody else.
        """
        stream = await at_hand(self.journal.find(run.id))
        if stream is None:
            return False
        other = stream != run.stream_name
        await self.check_whose(stream, run.caller, run.id if other else "")
        if other:
            raise key_taken(run, stream)
        return True

    async def check_whose(self, stream: str, caller: Caller | None, run: str = "") -> None:
        """Raises `NotAllowed` where a conversation, with its runs, is another's.

        Args:
            stream: the conversation's, in the journal.
            caller: who wants something of it; None for the application itself, which may.
            run: the id of a run of it, where that is what they know.
        """
        if caller is None:
            return
        header = await header_of(self.journal, stream)
        if header is not None:
            owner = Caller(header.labels.get("user", ""), header.labels.get("tenant", ""))
        else:  # nothing of it is kept yet
            agent, _, conversation = stream.partition("/")
            owner = next((entry.run.caller for entry in self.register.open(agent, conversation)), NOBODY)
        if not caller.may_go_on_with(owner):
            raise not_theirs(stream, run)

    def delivered(self, entry: Entry) -> None:
        """The outcome of a run has been taken."""
        run = entry.run
        if entry.background and entry.open:
            return
        self.handoffs.pop(run.id, None)
        self.register.forget(run.id)
        if not (entry.final and run.once):
            return
        if not run.keyed:
            self.drop(run.stream_name)
        elif not self.shared:  # it can be asked for again, but not for ever
            self._ended.append((run.stream_name, None if entry.outcome is None else entry.outcome.owner))
            if len(self._ended) > KEPT:
                stream, owner = self._ended.popleft()
                self.drop(stream)
                if owner is not None:
                    self.release(*owner)

    def forget_once_ended(self, entry: Entry) -> None:
        """Nobody waits for a run any more that is being ended; until it has ended it is known that it is to be."""
        if entry.open:
            entry.reply.when_done(lambda _: self.register.forget(entry.run.id))
        else:
            self.register.forget(entry.run.id)


def _everything(agent: str, conversation: str) -> bool:
    return True


def _unnamed(agent: str) -> str:
    return ""


def _pass_on(waiter: Future[Answer], reply: Future[Answer]) -> None:
    if waiter.done():
        return
    error = reply.exception()
    if error is None:
        waiter.set(reply.result())
    else:
        waiter.set_exception(error)
