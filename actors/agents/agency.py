"""Agencies: agents, who may reach whom, and the way in."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from copy import copy
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ...providers.messages import ToolSpec
from ..core.base.errors import BlockingCall
from ..core.base.spec import ChildSpec
from ..core.mail.future import Future
from ..core.refs.ref import ActorRef
from ..core.system import System
from ..journal.memory import MemoryJournal
from ..journal.store import Journal, Retention
from .agent import Agent
from .answer import Answer
from .arguments import check_arguments, check_flows, check_texts
from .bus import Subscriber
from .caller import Caller
from .conversations import changing, reading, rerun
from .conversations.view import ConversationSummary, ConversationView, ReplayReport
from .errors import AgencyClosed, AgentError, DefinitionError, UnknownConversation
from .events import ApprovalRequested, RunEvent
from .handoffs.limits import HandoffLimits
from .lifecycle import Lifecycle, who_answers
from .runs.coordination.elsewhere import decide_anywhere, waiting_anywhere
from .runs.coordination.steering import steer
from .runs.handle import RunHandle, find_run, start_run
from .runs.runtime.approvals import WEEK
from .runs.runtime.closing import ends_with_agency
from .runs.runtime.messages import Release
from .runs.runtime.runtime import AgencyRuntime
from .runs.streaming import stream_run
from .runs.supervisors import AddAgent
from .runs.validation import Asked, Question, check_id, check_type, new_run
from .team.directory import Directory, Flow
from .turns.records import WhenBusy
from .turns.rules import Limits

if TYPE_CHECKING:
    from typing import Self

    from ...providers.config.llmfile import LlmConfig
    from ...providers.pool.dispatch.usage import OnUsage


class Agency:
    """A team of agents.

    ``async with`` starts it: a system (or the one given), a pool of providers from the environment (or the model
    given), and an actor for each agent.

    Args:
        agents: the first one is asked where no other is named. Agents that they hand off to are added by themselves.
        flows: who may delegate to whom, as pairs of agents or names; ``"*"`` stands for everyone. An agent's own
            ``handoffs`` count too.
        shared_instructions: put before every agent's own.
        model: an actor that answers `Request` (a pool, a provider, a scripted model), a `ChildSpec` to start one
            from, or the name of the model that agents use which name none.
        pool: the same actor, under the name that fits it better.
        config: a file such as ``llm.yaml``, or what `load_config` read, in place of a model: its providers, and the
            model of each agent that names none.
        on_usage: told of each call to a provider as it ends: a plain function of a `CallRecord`. For the pool that
            the agency makes; one that is given has its own.
        system: the system to live in; by default one of its own.
        journal: where completed steps are kept; by default in memory, which survives every crash but the process's.
            A path is an SQLite file, an address ``postgresql://…`` a database: they survive that too, see `resumed`,
            and several processes may share them.
        handoff_limits: how far handoffs may go.
        approvals_expire: seconds after which a call that nobody has decided about counts as denied; None for never.
        retention: how long finished conversations are kept; what is older is deleted at the start and every five
            minutes. None keeps them until they are released or erased.
        name: of the agency's actor.

    Raises:
        DefinitionError: no agents, two of one name, or a flow or handoff that names nobody.
        ConfigError: the file is wrong; says the line and what was expected there.
    """

    def __init__(
        self,
        *agents: Agent,
        flows: Iterable[Flow] | str = (),
        shared_instructions: str = "",
        model: ActorRef[Any] | ChildSpec | str | None = None,
        pool: ActorRef[Any] | ChildSpec | None = None,
        config: LlmConfig | str | Path | None = None,
        on_usage: OnUsage | None = None,
        system: System | None = None,
        journal: Journal | str | Path | None = None,
        handoff_limits: HandoffLimits | None = None,
        approvals_expire: float | None = WEEK,
        retention: Retention | None = None,
        name: str = "agency",
    ) -> None:
        check_arguments(model, pool, config, on_usage, system, journal, handoff_limits, approvals_expire, retention)
        check_texts(name=name, shared_instructions=shared_instructions)
        check_flows(flows)
        self.name = name
        self._directory = Directory(agents, flows, shared_instructions)
        self._given = (
            *who_answers(model if pool is None else pool, config, on_usage),
            system,
            journal,
            handoff_limits or HandoffLimits(),
            approvals_expire,
            retention,
        )
        self._make()

    def _make(self) -> None:
        """Make what lives from one start to the stop."""
        model, model_for, system, journal, handoff_limits, approvals_expire, retention = self._given
        self._runtime = AgencyRuntime(
            self._directory,
            MemoryJournal() if journal is None or isinstance(journal, str | Path) else journal,
            handoff_limits,
            shared=journal is not None,
            approvals_expire=approvals_expire,
        )
        self._runtime.retention = retention
        self._runtime.model_for = model_for
        address = journal if isinstance(journal, str | Path) else None
        self._lifecycle = Lifecycle(self.name, self._runtime, model, system, address)

    # -- who is in it --------------------------------------------------------------------------------------------------

    @property
    def agents(self) -> Mapping[str, Agent]:
        """The agents by name, the entry point first."""
        return self._directory.agents

    @property
    def entry(self) -> str:
        """The name of the agent that is asked where no other is named."""
        return self._directory.entry

    @property
    def flows(self) -> tuple[tuple[str, str], ...]:
        """Who may delegate to whom, by name, as given."""
        return self._directory.flows

    def diagram(self) -> str:
        """The team as a Mermaid flowchart; for what was really said see `conversation_diagram`."""
        from .team.diagram import team_diagram

        reachable = {name: self._directory.reachable(name) for name in self.agents}
        return team_diagram(self.agents, reachable)

    @ends_with_agency
    async def add_agent(self, agent: Agent, *, flows: Iterable[Flow] = ()) -> None:
        """Take in one more agent, also while runs are under way; they see it from their next run on.

        Args:
            agent: whom.
            flows: added to the agency's.

        Raises:
            DefinitionError: the name is taken, or a flow names nobody.
            AgencyClosed: it has stopped, or stops meanwhile.
        """
        added = self._directory.add(agent, flows)
        if self._runtime.root is not None:
            for name in added:
                await self._runtime.ask_until_answered(AddAgent(name))

    # -- its life ------------------------------------------------------------------------------------------------------

    @property
    def system(self) -> System | None:
        """The system it lives in; None until it is started."""
        return self._lifecycle.system

    @property
    def pool(self) -> ActorRef[Any] | None:
        """The actor that answers the agents' requests, a pool if nothing else was given; None until it is started, and
        where every agent has a model of its own.

        ``await agency.pool.ask(GetStats())`` says what it has done and spent; it takes all messages of
        `callboard.providers.pool`.
        """
        return self._runtime.model

    @property
    def resumed(self) -> dict[str, Future[Answer]]:
        """The answers of runs that an earlier process left unfinished, by run id; filled by `start`, to be awaited."""
        return self._lifecycle.resumed

    @property
    def stopping(self) -> bool:
        """Whether it has stopped or is about to: new runs are refused."""
        return self._lifecycle.closed

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the actors. Runs that a durable journal holds unfinished are gone on with.

        Raises:
            AgencyClosed: it was started before, or is stopped meanwhile.
            JournalUnavailable: the journal cannot be opened.
        """
        await self._lifecycle.start()

    async def stop(self, *, drain: float = 0.0) -> None:
        """Stop. What is still running then ends in `AgencyClosed`; nothing is dropped silently.

        Args:
            drain: seconds to wait for runs under way; new ones are refused meanwhile.
        """
        await self._lifecycle.stop(drain)

    def stop_on_signals(
        self, *, drain: float = 30.0, signals: Sequence[signal.Signals] = (signal.SIGTERM,)
    ) -> asyncio.Event:
        """Stop when the process is told to end: runs under way are waited for, new ones are refused. Afterwards, and on
        a second signal, a handler that was found does what it always did.

        Args:
            drain: seconds to wait; what is still running then ends in a named error.
            signals: on which.

        Returns:
            an event that is set once the agency has stopped.
        """
        return self._lifecycle.stop_on_signals(drain, signals)

    async def drained(self, seconds: float) -> bool:
        """Wait until no run is under way.

        Args:
            seconds: how long at most.

        Returns:
            whether that came about in time.
        """
        return await self._lifecycle.drained(seconds)

    # -- runs ----------------------------------------------------------------------------------------------------------

    async def run(
        self,
        question: Question,
        *,
        agent: Agent | str | None = None,
        conversation: str | None = None,
        user: str = "",
        caller: Caller | None = None,
        metadata: Mapping[str, Any] | None = None,
        limits: Limits | None = None,
        output_type: Any = None,
        tools: Sequence[ToolSpec] = (),
        run_id: str | None = None,
        when_busy: WhenBusy = "queue",
    ) -> Answer:
        """Ask, and wait for the answer.

        Cancelling it, or the deadline of a `send_context` around, stops the provider calls, tools and agents at work.

        Args:
            question: a text, a message, or several messages.
            agent: whom to ask; the first agent by default.
            conversation: the id of the conversation to continue or begin; it is kept until `release`. Without one
                the conversation ends with the run.
            user: whom it is for; the short form of ``caller``.
            caller: who asks; kept with the run, and in the request context.
            metadata: what else tools and hooks may need to know; in the request context. A journal keeps it as plain
                data; what has no such form (a function, a connection) ends the run in `RunFailed` where there is one.
            limits: in place of the agent's own.
            output_type: the type the answer must fit, in place of the agent's own.
            tools: tools that the caller runs itself: the answer's ``tool_calls`` say which to run, and the results
                are sent as messages of role ``tool`` in the same conversation.
            run_id: an id of the caller's own. Asking again with it, also at the same time or from a process that
                has the same journal, does not run anything twice: it waits for the same run, or returns what it
                answered (without ``messages`` where other runs have followed). In memory the last 1,000 without a
                conversation are kept.
            when_busy: what is to become of it where a run of the conversation has not ended: ``"queue"`` lets it wait
                for its turn, ``"reject"`` refuses it, ``"interrupt"`` ends the run under way in `RunCancelled`, whose
                completed steps stay in the history, ``"rollback"`` ends it and takes all of its messages out of it.

        Raises:
            RunError: the run ended without an answer; its ``partial`` keeps what was done.
            HandoffError: handoffs went too deep or in circles.
            AgentUnavailable: the agent has failed for good.
            AgencyClosed: the agency is not running, or stopped meanwhile.
            ConversationBusy: another process works on the conversation, and did not let go of it in time; or a run has
                not ended, and ``when_busy`` is ``"reject"``.
            UnknownAgent: nobody has that name.
            DefinitionError: an argument is of the wrong shape or type.
        """
        given = (question, agent, conversation, user, caller, metadata, limits, output_type, tools, run_id)
        asked = Asked(*given, when_busy=when_busy)
        return await self._runtime.answer(*new_run(self._runtime, asked))

    def run_streaming(
        self,
        question: Question,
        *,
        agent: Agent | str | None = None,
        conversation: str | None = None,
        user: str = "",
        caller: Caller | None = None,
        metadata: Mapping[str, Any] | None = None,
        limits: Limits | None = None,
        output_type: Any = None,
        tools: Sequence[ToolSpec] = (),
        run_id: str | None = None,
        when_busy: WhenBusy = "queue",
    ) -> AsyncGenerator[RunEvent]:
        """Ask, and yield what happens, also in agents handed off to. The last event is the run's `RunFinished`.

        The arguments are those of `run`. Leaving the iteration (``aclose``) cancels the run, unless others wait for it.
        Text that is not read in time is put together, so that a slow reader costs no more memory than the answer.

        Raises:
            AgentError: as `run`, after the last event.
        """
        given = (question, agent, conversation, user, caller, metadata, limits, output_type, tools, run_id)
        asked = Asked(*given, stream=True, when_busy=when_busy)
        return stream_run(self._runtime, partial(new_run, self._runtime, asked))

    async def fan_out(
        self, question: Question, agents: Iterable[Agent | str] | None = None, **options: Any
    ) -> dict[str, Answer | AgentError]:
        """Ask several agents the same at once.

        Args:
            question: as for `run`.
            agents: whom; all by default.
            options: of `run`, but ``agent`` and ``conversation``.

        Returns:
            for each agent its answer, or the error it ended in: one that fails does not disturb the others.
        """
        names = [self._directory.name_of(agent) for agent in (self.agents if agents is None else agents)]

        async def one(name: str) -> Answer | AgentError:
            try:
                return await self.run(question, agent=name, **options)
            except AgentError as error:
                return error

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(name), name=f"fan-out {name}") for name in names]
        return {name: task.result() for name, task in zip(names, tasks, strict=True)}

    async def process(self, text: str, *, agent: Agent | str | None = None, conversation: str | None = None) -> str:
        """Ask, and return the answer's text. For the arguments and errors see `run`."""
        return (await self.run(text, agent=agent, conversation=conversation)).text

    def process_sync(self, text: str, *, agent: Agent | str | None = None, conversation: str | None = None) -> str:
        """`process` for code without an event loop. An agency that is not running is started for this one request, each
        time anew: conversations go on from one to the next with a journal only.

        Raises:
            BlockingCall: called on an event loop's thread.
            AgencyClosed: it was started, and has stopped.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise BlockingCall("process_sync would block the event loop: await process() instead")
        if self.stopping:
            raise AgencyClosed("the agency has stopped or is stopping; make a new one from the same agents")
        if self.system is not None:
            coro = self.process(text, agent=agent, conversation=conversation)
            return asyncio.run_coroutine_threadsafe(coro, self.system.loop).result()
        fresh = copy(self)
        fresh._make()
        fresh._runtime.bus = self._runtime.bus

        async def once() -> str:
            async with fresh:
                return await fresh.process(text, agent=agent, conversation=conversation)

        return asyncio.run(once())

    @ends_with_agency
    async def release(self, conversation: str, *, agent: Agent | str | None = None) -> None:
        """Forget a conversation and all that belongs to it. A run of it under way is cancelled.

        Args:
            conversation: its id.
            agent: whose; the first agent's by default.
        """
        check_type(conversation, str, "the id of a conversation", "a text")
        await self._runtime.ask_until_answered(Release(conversation), self._at_work(agent))

    def _at_work(self, agent: Agent | str | None) -> str:
        """The name of an agent whose actor runs."""
        name = self._directory.name_of(agent)
        self._runtime.following.check()
        if name not in self._runtime.agents:
            raise AgencyClosed("the agency is not running: use `async with` it")
        return name

    # -- conversations -------------------------------------------------------------------------------------------------

    @ends_with_agency
    async def conversation(self, conversation: str, *, agent: Agent | str | None = None) -> ConversationView:
        """A conversation as its journal has it now, whoever works on it, in this process or another one.

        Args:
            conversation: its id.
            agent: whose; the first agent's by default. One that is not in the team any more may be named, too.

        Raises:
            UnknownConversation: there is none, or nothing of it is kept yet.
            JournalError: it cannot be read.
        """
        check_id(conversation, "conversation", UnknownConversation)
        return await reading.read_conversation(self._kept, self._named(agent), conversation)

    @ends_with_agency
    async def conversations(
        self,
        *,
        agent: Agent | str | None = None,
        user: str | None = None,
        tenant: str | None = None,
        unfinished: bool | None = None,
        after: str = "",
        limit: int = 100,
    ) -> list[ConversationSummary]:
        """The conversations that are kept, ordered by `ConversationSummary.name`, without reading them. Left out are
        runs without a conversation, and what agents have among themselves.

        Args:
            agent: whose; None for all.
            user, tenant: of the caller who began it; None for all.
            unfinished: whether a run is waiting or under way; None for both.
            after: only those whose name comes behind this one: the last of the page before.
            limit: how many at most.
        """
        for name, given in (("user", user), ("tenant", tenant)):
            check_type(given, str | None, name, "a text, or None")
        check_type(unfinished, bool | None, "unfinished", "True, False or None")
        check_type(after, str, "after", "the name of a conversation")
        return await reading.list_conversations(
            self._kept,
            agent=None if agent is None else self._named(agent),
            user=user,
            tenant=tenant,
            unfinished=unfinished,
            after=after,
            limit=limit,
        )

    @ends_with_agency
    async def fork(
        self, conversation: str, *, at: int | None = None, to: str | None = None, agent: Agent | str | None = None
    ) -> str:
        """Begin another conversation with the history of one, up to a step of it. That one stays as it is.

        Of one that was transferred the new one belongs to the agent that had made the step.

        Args:
            conversation: its id.
            at: the number of the last step to take over, with the results of its calls, see `ConversationStep`; 0 for
                none of it; None for all there is.
            to: the id of the new one; one of our making by default.
            agent: whose; the first agent's by default.

        Returns:
            the id of the new conversation, of the same agent and with the same user and tenant.

        Raises:
            UnknownConversation: there is none.
            DefinitionError: there is no such step, or ``to`` is taken or cannot be an id.
        """
        name = self._at_work(agent)
        check_id(conversation, "conversation", UnknownConversation)
        if to is not None:
            check_id(to, "conversation")
        return await changing.fork(self._runtime, name, conversation, at, to or self._runtime.new_id())

    @ends_with_agency
    async def rewind(self, conversation: str, *, to: int, agent: Agent | str | None = None) -> None:
        """Have a conversation go on from an earlier step: what came after it is gone from the history. It stays in the
        journal, and what was paid for it in the view's cost.

        Args:
            conversation: its id.
            to: the number of the last step that stays, see `ConversationStep`; 0 for none.
            agent: whose; the first agent's by default.

        Raises:
            UnknownConversation: there is none.
            ConversationBusy: a run is under way or waiting, or another process does not let go of the conversation.
            DefinitionError: there is no such step, or the conversation was transferred after it.
        """
        name = self._at_work(agent)
        check_id(conversation, "conversation", UnknownConversation)
        check_type(to, int, "to", "the number of a step")
        await changing.rewind(self._runtime, name, conversation, to)

    @ends_with_agency
    async def erase(self, *, user: str, tenant: str | None = None) -> int:
        """Delete every conversation that a user has begun, with what agents did for it, from memory and the journal.
        Runs under way end in `RunCancelled`.

        Args:
            user: the caller's user.
            tenant: only where it was this tenant's user; None for all.

        Returns:
            how many conversations were deleted, those that agents had among themselves included.
        """
        self._at_work(None)
        if not isinstance(user, str) or not user:
            raise DefinitionError(f"user is a text that names one, not {user!r:.80}")
        check_type(tenant, str | None, "tenant", "a text, or None")
        return await changing.erase(self._runtime, user, tenant)

    @ends_with_agency
    async def replay(
        self, conversation: str, *, run: str | None = None, agent: Agent | str | None = None
    ) -> ReplayReport:
        """Go through a conversation's recorded runs again with the agents as they are now: recorded completions and
        results stand for model, tools and other agents. Nothing is bought, no tool runs, nothing is written.

        Hooks and instructions are called for real: they are what is looked at. What a journal does not keep cannot be
        compared. Time does not pass. Of the limits the smaller of the run's own and the agent's own of today count.

        Args:
            conversation: its id.
            run: only this run.
            agent: whose; the first agent's by default.

        Raises:
            UnknownConversation: there is none.
            UnknownRun: the conversation has no such run.
        """
        check_id(conversation, "conversation", UnknownConversation)
        check_type(run, str | None, "run", "the id of a run, or None")
        lineage = await reading.read_lineage(self._kept, self._named(agent), conversation)
        return await rerun.rerun(self._runtime, lineage, run)

    @property
    def _kept(self) -> Journal:
        """The journal, once there is one to read."""
        self._at_work(None)
        return self._runtime.journal

    def _named(self, agent: Agent | str | None) -> str:
        """The name of an agent, which need not be there any more."""
        check_type(agent, Agent | str | None, "agent", "an Agent, its name, or None")
        return self._directory.entry if agent is None else agent if isinstance(agent, str) else agent.name

    # -- runs that nobody waits for ------------------------------------------------------------------------------------

    @ends_with_agency
    async def start_run(
        self,
        question: Question,
        *,
        agent: Agent | str | None = None,
        conversation: str | None = None,
        user: str = "",
        caller: Caller | None = None,
        metadata: Mapping[str, Any] | None = None,
        limits: Limits | None = None,
        output_type: Any = None,
        tools: Sequence[ToolSpec] = (),
        run_id: str | None = None,
        when_busy: WhenBusy = "queue",
    ) -> RunHandle:
        """Ask, and go on without waiting for the answer. (`start` starts the agency.)

        The arguments are those of `run`. Returns once the run is accepted; with a durable journal: recorded. From then
        on it goes on whatever becomes of the caller, and, with a durable journal, of this process. A deadline of the
        `send_context` around it does not count for it.

        Raises:
            AgentError: it was not accepted, as `run`.
        """
        given = (question, agent, conversation, user, caller, metadata, limits, output_type, tools, run_id)
        asked = Asked(*given, when_busy=when_busy, background=True)
        return await start_run(self._runtime, *new_run(self._runtime, asked), asked_before=run_id is not None)

    @ends_with_agency
    async def handle(self, run_id: str) -> RunHandle:
        """A handle on a run that was started in the background or has a ``run_id`` of the caller's, in this process or
        any other that shares the journal, also if it ended long ago; or on one that is under way in this process.

        Raises:
            UnknownRun: nothing is kept of such a run.
            AgencyClosed: the agency is not running.
            JournalError: its conversation cannot be read.
        """
        return await find_run(self._runtime, run_id)

    @ends_with_agency
    async def steer(self, conversation: str, message: Question, *, agent: Agent | str | None = None) -> None:
        """Say something to the run under way in a conversation, in whichever process it is worked on.

        The model sees it before its next completion, once every call under way has its result. In a conversation that
        was transferred it is told to the agent that has it now. Returns once it is recorded: it is heard once, also
        over crashes. Cancelled before, it may still be heard.

        Args:
            conversation: the conversation's id.
            message: a text, a message, or several messages, of the role user or system.
            agent: whose; the first agent's by default.

        Raises:
            ConversationIdle: no run is under way; ask with `run`.
            UnknownConversation: nothing is known of it.
            DefinitionError: the message is of the wrong shape.
            AgencyClosed: the agency is not running.
            JournalError: the conversation cannot be read.
        """
        check_id(conversation, "conversation", UnknownConversation)
        await steer(self._runtime, self._directory.name_of(agent), conversation, message)

    # -- looking on ----------------------------------------------------------------------------------------------------

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Have ``subscriber(event)`` called for every event of every run, at once; it must be quick.

        Returns:
            what ends it.
        """
        return self._runtime.bus.subscribe(subscriber)

    # -- approvals -----------------------------------------------------------------------------------------------------

    @property
    def approvals(self) -> tuple[ApprovalRequested, ...]:
        """The calls that wait for a person in this process, in the order in which they were asked for."""
        return self._runtime.approvals.waiting

    @ends_with_agency
    async def pending_approvals(self) -> tuple[ApprovalRequested, ...]:
        """The calls that wait for a person, in this process and in all that share its journal. Those of this process
        come first, as `approvals` has them; of the others ``at`` is 0."""
        return await waiting_anywhere(self._runtime)

    def approve(
        self,
        approval: ApprovalRequested | str,
        *,
        arguments: str | None = None,
        limits: Limits | None = None,
        caller: Caller | None = None,
    ) -> Future[None]:
        """Let a call run, or a run go on whose limits are spent.

        About one that waits in this process it is decided at once. About any other the decision is left in the
        journal, for whichever process works on the conversation.

        Args:
            approval: the event, or its ``approval`` id.
            arguments: JSON text in place of what the model wrote.
            limits: for a run with `Limits.ask` that waits for more: what it may use in all. Only what is spent is
                raised, and nothing lowered; if it is not enough, the run asks again.
            caller: who decides; None for the application itself, which may.

        Returns:
            done once it is decided, or the decision is in the journal. Only about a call that waits in another process
            need it be awaited, to learn of an error, which is logged, too.

        Raises (or the future does, about a call that waits in another process):
            UnknownApproval: nothing waits under that id: it was decided, has expired, or never was.
            NotAllowed: it is another's, and the caller has not the scope ``approvals``.
            DefinitionError: the arguments are not the text of a JSON object, or it is not limits that are wanted, or
                they are.
            JournalError: the journal cannot be read or written.
            AgencyClosed: the agency is not running, or stopped meanwhile.
        """
        return decide_anywhere(self._runtime, approval, True, arguments, "", caller, limits)

    def deny(
        self, approval: ApprovalRequested | str, reason: str = "", *, caller: Caller | None = None
    ) -> Future[None]:
        """Refuse a call, or more to a run whose limits are spent; otherwise as `approve`.

        Args:
            approval: the event, or its ``approval`` id.
            reason: told to the model.
            caller: who decides; None for the application itself, which may.

        Returns:
            see `approve`, also for the errors.
        """
        return decide_anywhere(self._runtime, approval, False, None, reason, caller)
