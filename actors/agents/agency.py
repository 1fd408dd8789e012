"""Agencies: agents, who may reach whom, and the way in."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from inspect import isroutine
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ...providers.checks import LIST
from ..core.base.errors import SystemClosed
from ..core.base.spec import ChildSpec
from ..core.mail.future import Future
from ..core.refs.ref import ActorRef
from ..core.system import System
from ..journal.memory import MemoryJournal
from ..journal.store import Journal, Retention
from ..observe.telemetry import Telemetry
from .agent import Agent
from .answer import Answer
from .caller import Caller
from .errors import AgencyClosed, AgentError, DefinitionError
from .events import RunEvent
from .guardrails.labels import LabelPolicy
from .handoffs.limits import HandoffLimits
from .handoffs.policy import OPEN, HandoffPolicy
from .handoffs.target import Responder
from .lifecycle import Lifecycle, who_answers
from .rendering.flow import FlowPrinter
from .runs.runtime.approvals import WEEK
from .runs.runtime.bus import Subscriber
from .runs.runtime.runtime import AgencyRuntime
from .runs.streaming import stream_run
from .runs.validation import RunOptions, asked_for, check_options, check_type, new_run
from .surface.approvals import Approvals
from .surface.arguments import check_arguments, check_credentials, check_name_of_agency, check_run_sync
from .surface.background import BackgroundRuns, Whom
from .surface.conversations import Conversations
from .surface.figures import Observed
from .surface.members import Members
from .surface.terminal import Terminal
from .team.directory import Directory, Flow
from .turns.questions import Question
from .wishes import define

if TYPE_CHECKING:
    from typing import Self, Unpack

    from ...providers.config.llmfile import LlmConfig
    from ...providers.pool.dispatch.usage import OnUsage


T = TypeVar("T")


class Agency(Members, Conversations, BackgroundRuns, Approvals, Observed, Terminal):
    """A team of agents.

    ``async with`` starts it: a system (or the one given), a pool of providers from the environment (or the model
    given), and an actor for each agent.

    Args:
        agents: the first one is asked where no other is named. Agents that they hand off to are added by themselves.
            A `Responder`, an object with a name, a description and an ``async def answer(self, request)``, is one, too.
        flows: who may delegate to whom besides, as pairs of agents or names; ``"*"`` stands for everyone.
        shared_instructions: put before every agent's own.
        model: an actor that answers `Request` (a pool, a provider, a scripted model), a `ChildSpec` to start one
            from, or the name of the model that agents use which name none.
        pool: the same actor, under the name that fits it better.
        config: a file such as ``llm.yaml``, or what `load_config` read, in place of a model: its providers, and the
            model of each agent that names none.
        on_usage: a plain function of a `CallRecord`: each call to a provider, by the pool that the agency makes.
        system: the system to live in; by default one of its own.
        journal: where completed steps are kept; by default in memory, which survives every crash but the process's.
            A path is an SQLite file, an address ``postgresql://…`` a database: they survive that too, see `resumed`,
            and several processes may share them.
        handoff_limits: how far handoffs may go.
        handoff_policy: who may hand off to whom and to which hosts, whatever flows and handoffs say.
        label_policy: what text from outside may cause, and where confidential text may go, of agents that do not say.
        approvals_expire: seconds after which a call that nobody has decided about counts as denied; None for never.
        retention: how long finished conversations are kept; what is older is deleted at the start and every five
            minutes. None keeps them until they are released or erased.
        deps: what tools depend on, for runs that give nothing of their own, also those taken up after a restart:
            `ToolContext.deps`. A function (also an async one) is called with the run's `Caller` once a run, when a tool
            first needs it. It is never written down or shown to a model.
        credentials: gives tools the secrets of callers: a function of the run's `Caller` and a name, which may be
            async, and returns a text, or None where there is none. See `ToolContext.credential`.
        name: of the agency's actor.
        verbose: print a line for each thing that happens in a run on stderr: who says what to whom, calls, tokens,
            prices, times. It shows, shortened, what is said. (A log at DEBUG has the same without what is said.)
        telemetry: spans and figures of what it does; see `Telemetry`. None for none, which costs nothing.

    Raises:
        DefinitionError: no agents, two of one name, or a flow or handoff that names nobody.
        ConfigError: the file is wrong; says the line and what was expected there.
    """

    def __init__(
        self,
        *agents: Agent | Responder,
        flows: Iterable[Flow] | str = (),
        shared_instructions: str = "",
        model: ActorRef[Any] | ChildSpec | str | None = None,
        pool: ActorRef[Any] | ChildSpec | None = None,
        config: LlmConfig | str | Path | None = None,
        on_usage: OnUsage | None = None,
        system: System | None = None,
        journal: Journal | str | Path | None = None,
        handoff_limits: HandoffLimits | None = None,
        handoff_policy: HandoffPolicy = OPEN,
        label_policy: LabelPolicy | None = None,
        approvals_expire: float | None = WEEK,
        retention: Retention | None = None,
        deps: Any = None,
        credentials: Callable[[Caller, str], Any] | None = None,
        name: str = "agency",
        verbose: bool = False,
        telemetry: Telemetry | None = None,
    ) -> None:
        check_arguments(model, pool, config, on_usage, system, journal, handoff_limits, approvals_expire, retention)
        check_credentials(credentials)
        check_name_of_agency(name)
        check_type(shared_instructions, str, "shared_instructions", "a text")
        check_type(verbose, bool, "verbose", "True or False")
        check_type(telemetry, Telemetry | None, "telemetry", "a Telemetry, or None")
        self.name = name
        self._directory = Directory(agents, flows, shared_instructions, handoff_policy, label_policy)
        self._given = (
            *who_answers(model if pool is None else pool, config, on_usage),
            system,
            journal,
            handoff_limits or HandoffLimits(),
            approvals_expire,
            retention,
            deps,
            credentials,
            telemetry,
        )
        self._make()
        if verbose:
            self.subscribe(FlowPrinter())

    def _make(self) -> None:
        """Make what lives from one start to the stop."""
        model, model_for, system, journal, handoff_limits, approvals_expire, retention, *more = self._given
        deps, credentials, telemetry = more
        self._runtime = AgencyRuntime(
            self._directory,
            MemoryJournal() if journal is None or isinstance(journal, str | Path) else journal,
            handoff_limits,
            shared=journal is not None,
            approvals_expire=approvals_expire,
        )
        self._runtime.retention, self._runtime.model_for = retention, model_for
        self._runtime.credentials = credentials
        if deps is not None:
            self._runtime.deps = deps
            self._runtime.makes_deps = isroutine(deps) or isinstance(deps, partial)
        address = journal if isinstance(journal, str | Path) else None
        self._lifecycle = Lifecycle(self.name, self._runtime, model, system, address, telemetry)

    # -- its life ------------------------------------------------------------------------------------------------------

    @property
    def system(self) -> System | None:
        """The system it lives in; None until it is started."""
        return self._lifecycle.system

    @property
    def journal(self) -> Journal:
        """Where its runs are kept. Given as an address it is opened by the start."""
        return self._runtime.journal

    @property
    def durable(self) -> bool:
        """Whether its runs outlive the process, and other processes may share them: it has a file's or a database's
        journal."""
        return not isinstance(self._given[3], MemoryJournal | None)

    @property
    def node(self) -> str:
        """What this process is called in its cluster; empty where it is in none."""
        return ""

    @property
    def telemetry(self) -> Telemetry | None:
        """What it tells of itself; None for nothing."""
        telemetry: Telemetry | None = self._given[-1]
        return telemetry

    @property
    def pool(self) -> ActorRef[Any] | None:
        """The actor that answers the agents' requests, a pool if nothing else was given; None until it is started, and
        where every agent has a model of its own.

        ``await agency.pool.ask(GetStats())`` says what it has done and spent; it takes all messages of
        `callboard.providers.pool`.
        """
        return self._runtime.model

    @property
    def pools(self) -> tuple[ActorRef[Any], ...]:
        """All pools that answer its agents' requests; none until it is started."""
        return self._runtime.pools

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
            JournalUnavailable, SkillFailed: the journal cannot be opened, or a skill not initialized.
        """
        await self._lifecycle.start()

    async def stop(self, *, drain: float = 0.0) -> None:
        """Stop, after ``drain`` seconds in which runs under way are waited for, and new ones refused. What is still
        running then ends in `AgencyClosed`; nothing is dropped silently."""
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

    def leave(self) -> None:
        """Have other processes send it no more runs: it is about to stop. What it is asked for here is made as ever."""

    async def drained(self, seconds: float) -> bool:
        """Wait until no run is under way, for so many seconds at most; returns whether that came about in time. With a
        journal of one's own runs that wait for a person are not waited for."""
        return await self._lifecycle.drained(seconds)

    # -- runs ----------------------------------------------------------------------------------------------------------

    @overload
    async def run(
        self, question: Question, *, agent: Whom = None, output_type: type[T], **options: Unpack[RunOptions]
    ) -> Answer[T]: ...

    @overload
    async def run(
        self, question: Question, *, agent: Agent[Any, T], output_type: None = None, **options: Unpack[RunOptions]
    ) -> Answer[T]: ...

    @overload
    async def run(
        self, question: Question, *, agent: Whom = None, output_type: Any = None, **options: Unpack[RunOptions]
    ) -> Answer[Any]: ...

    async def run(
        self, question: Question, *, agent: Whom = None, output_type: Any = None, **options: Unpack[RunOptions]
    ) -> Answer:
        """Ask, and wait for the answer.

        Cancelling it, or the deadline of a `send_context` around, stops the provider calls, tools and agents at work.

        Args:
            question: a text, a message, or several messages; messages also as dictionaries, as OpenAI's chat
                completions take them.
            agent: whom to ask; the first agent by default.
            conversation: the id of the conversation to continue or begin; it is kept until `release`. Without one
                the conversation ends with the run.
            user: whom it is for; the short form of ``caller``.
            caller: who asks; kept with the run, and in the request context.
            metadata: what else tools and hooks may need to know; in the request context. A journal keeps it as plain
                data; what has no such form (a function, a connection) ends the run in `RunFailed` where there is one.
            limits: in place of the agent's own.
            output_type: the type the answer must fit, in place of the agent's own; the answer's ``value`` is of it.
            tools: tools that the caller runs itself, also as OpenAI's dictionaries: the answer's ``tool_calls`` say
                which to run, and the results are sent as messages of role ``tool`` in the same conversation.
            run_id: an id of the caller's own. Asking again with it, also at the same time or from a process that
                has the same journal, does not run anything twice: it waits for the same run, or returns what it
                answered (without ``messages`` where other runs have followed). In memory the last 1,000 without a
                conversation are kept.
            when_busy: what is to become of it where a run of the conversation has not ended: ``"queue"`` lets it wait
                for its turn, ``"reject"`` refuses it, ``"interrupt"`` ends the run under way in `RunCancelled`, whose
                completed steps stay in the history, ``"rollback"`` ends it and takes all of its messages out of it.
            deps: what tools depend on, in this run and for all that work for it, in place of the agency's; see there.
                A run that another process makes has that agency's.

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
        asked = asked_for(question, agent, output_type, options)
        return await self._runtime.answer(*new_run(self._runtime, asked))

    def run_streaming(
        self, question: Question, *, agent: Whom = None, output_type: Any = None, **options: Unpack[RunOptions]
    ) -> AsyncGenerator[RunEvent]:
        """Ask, and yield what happens, also in agents handed off to. The last event is the run's `RunFinished`.

        The arguments are those of `run`. Leaving the iteration (``aclose``) cancels the run, unless others wait for it.
        Text that is not read in time is put together, so that a slow reader costs no more memory than the answer.

        Raises:
            AgentError: as `run`, after the last event.
        """
        asked = asked_for(question, agent, output_type, options, stream=True)
        return stream_run(self._runtime, partial(new_run, self._runtime, asked))

    async def fan_out(
        self, question: Question, agents: Iterable[Agent | str] | None = None, **options: Any
    ) -> dict[str, Answer | AgentError]:
        """Ask several agents the same at once.

        Args:
            question, options: as for `run`, but without ``agent`` and ``conversation``.
            agents: whom; all by default.

        Returns:
            for each agent its answer, or the error it ended in: one that fails does not disturb the others.
        """
        check_options("fan_out", options, "output_type", without="conversation")
        define("fan_out", agents=(agents, LIST.or_none("for all")))
        asked = tuple(self.agents if agents is None else agents)
        if None in asked:
            raise DefinitionError("fan_out: None among agents; expected agents, or their names")
        names = [self._directory.name_of(agent) for agent in asked]

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

    @overload
    def run_sync(
        self,
        question: Question,
        *,
        agent: Whom = None,
        output_type: type[T],
        raises: bool = True,
        **options: Unpack[RunOptions],
    ) -> Answer[T]: ...

    @overload
    def run_sync(
        self,
        question: Question,
        *,
        agent: Agent[Any, T],
        output_type: None = None,
        raises: bool = True,
        **options: Unpack[RunOptions],
    ) -> Answer[T]: ...

    @overload
    def run_sync(
        self,
        question: Question,
        *,
        agent: Whom = None,
        output_type: Any = None,
        raises: bool = True,
        **options: Unpack[RunOptions],
    ) -> Answer[Any]: ...

    def run_sync(
        self,
        question: Question,
        *,
        agent: Whom = None,
        output_type: Any = None,
        raises: bool = True,
        **options: Unpack[RunOptions],
    ) -> Answer[Any]:
        """`run` for code without an event loop. An agency that is not running is started for this one request, each
        time anew: conversations go on from one to the next with a journal only.

        Args:
            question, output_type, options: as for `run`.
            raises: False has the error of a run that failed returned as the answer's ``error``, with what was done.

        Raises:
            BlockingCall: called on an event loop's thread.
            AgencyClosed: it has stopped, or runs in the process that this one was forked from.
            AgentError: as `run`; with ``raises=False`` only what is wrong with the arguments.
        """
        check_run_sync(raises)
        try:
            return self._run_here(question, agent, output_type, options)
        except DefinitionError:
            raise
        except AgentError as error:
            if raises:
                raise
            return replace(error.partial or Answer(""), error=error)

    def _run_here(self, question: Question, agent: Whom, output_type: Any, options: RunOptions) -> Answer[Any]:
        if self.stopping:
            raise AgencyClosed("the agency has stopped or is stopping; make a new one from the same agents")
        if self.system is not None:
            coro = self.run(question, agent=agent, output_type=output_type, **options)
            try:
                return self.system.run(coro)
            except SystemClosed:
                if self.system.runtime.forked:
                    why = "it runs in the process that this one was forked from: make and start one after the fork"
                else:
                    why = "its system has stopped"
                raise AgencyClosed(why) from None
        fresh = copy(self)
        fresh._make()
        fresh._runtime.bus = self._runtime.bus

        async def once() -> Answer[Any]:
            async with fresh:
                return await fresh.run(question, agent=agent, output_type=output_type, **options)

        return asyncio.run(once())

    def process_sync(self, text: str, *, agent: Agent | str | None = None, conversation: str | None = None) -> str:
        """Ask, and return the answer's text. For the arguments and errors see `run_sync`."""
        return self.run_sync(text, agent=agent, conversation=conversation).text

    # -- looking on ----------------------------------------------------------------------------------------------------

    def subscribe(self, subscriber: Subscriber, *, root: str | None = None) -> Callable[[], None]:
        """Have ``subscriber(event)`` called for every event of every run, at once; it must be quick.

        Args:
            subscriber: a plain function of a `RunEvent`.
            root: only for events of the run of this id, and of those that agents make for it.

        Returns:
            what ends it.
        """
        return self._runtime.bus.subscribe(subscriber, root)
