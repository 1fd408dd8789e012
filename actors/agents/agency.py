"""Agencies: agents, who may reach whom, and the way in."""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ...providers.messages import Message, ToolSpec
from ..core.base.errors import BlockingCall, CoreError, SpecError
from ..core.base.scope import current_scope
from ..core.base.spec import ChildSpec, check_name
from ..core.mail.future import Future
from ..core.refs.ref import ActorRef
from ..core.system import System
from ..journal.memory import MemoryJournal
from ..journal.store import Journal
from .agent import Agent
from .agent_actor import AddAgent, AgencyActor
from .answer import Answer
from .desk import Carried, Desk
from .errors import AgencyClosed, AgentError, AgentUnavailable, DefinitionError, UnknownConversation
from .events import ApprovalRequested, RunEvent, Subscriber, TextDelta
from .handoff import HandoffLimits
from .output import Output
from .resume import take_up
from .roster import Flow, Roster
from .run import Decision, Release, Run
from .turn import Limits

if TYPE_CHECKING:
    from typing import Self

Question: TypeAlias = "str | Message | Sequence[Message]"


MAX_ASKS: Final = 10
"""Times a message to an agent's actor is sent again because the actor crashed on it."""


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
        system: the system to live in; by default one of its own.
        journal: where completed steps are kept; by default in memory, which survives every crash but the process's.
            A path is an SQLite file, which survives that too; see `resumed`.
        handoff_limits: how far handoffs may go.
        name: of the agency's actor.

    Raises:
        DefinitionError: no agents, two of one name, or a flow or handoff that names nobody.
    """

    def __init__(
        self,
        *agents: Agent,
        flows: Iterable[Flow] | str = (),
        shared_instructions: str = "",
        model: ActorRef[Any] | ChildSpec | str | None = None,
        pool: ActorRef[Any] | ChildSpec | None = None,
        system: System | None = None,
        journal: Journal | str | Path | None = None,
        handoff_limits: HandoffLimits | None = None,
        name: str = "agency",
    ) -> None:
        self.name = name
        self._roster = Roster(agents, flows, shared_instructions)
        self._model = pool if pool is not None else model
        self._given_system = system
        self.system: System | None = None
        self._owns_journal = journal is None or isinstance(journal, str | Path)
        self._desk = Desk(_journal(journal), handoff_limits or HandoffLimits())
        self.resumed: dict[str, Future[Answer]] = {}
        """The answers of runs that an earlier process left unfinished, by run id; filled by `start`, to be awaited."""
        self._desk.model_name = model if isinstance(model, str) else ""
        self._actor: ActorRef[Any] | None = None
        self._count = 0
        self._closed = False
        self._watch: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._desk.profiles = self._roster.profiles

    # -- who is in it --------------------------------------------------------------------------------------------------

    @property
    def agents(self) -> Mapping[str, Agent]:
        """The agents by name, the entry point first."""
        return self._roster.agents

    @property
    def entry(self) -> str:
        """The name of the agent that is asked where no other is named."""
        return self._roster.entry

    @property
    def flows(self) -> tuple[tuple[str, str], ...]:
        """Who may delegate to whom, by name, as given."""
        return self._roster.flows

    def diagram(self) -> str:
        """The team as a Mermaid flowchart; for what was really said see `conversation_diagram`."""
        from .diagram import team_diagram

        return team_diagram(self.agents, {name: profile.reachable for name, profile in self._desk.profiles.items()})

    async def add_agent(self, agent: Agent, *, flows: Iterable[Flow] = ()) -> None:
        """Take in one more agent, also while runs are under way; they see it from their next run on.

        Args:
            agent: whom.
            flows: added to the agency's.

        Raises:
            DefinitionError: the name is taken, or a flow names nobody.
        """
        added = self._roster.add(agent, flows)
        if self._actor is not None:
            for name in added:
                await self._insist(AddAgent(name))

    # -- its life ------------------------------------------------------------------------------------------------------

    @property
    def stopping(self) -> bool:
        """Whether it has stopped or is about to: new runs are refused."""
        return self._closed

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
            AgencyClosed: it was started before.
        """
        if self.system is not None or self._closed:
            raise AgencyClosed("an agency is started once; make a new one from the same agents")
        system = self._given_system
        if system is None:
            system = System(self.name)
            await system.__aenter__()
        self.system = system
        try:
            self._start_model(system)
            self.resumed = take_up(self._desk)
            self._actor = system.supervise(ChildSpec(AgencyActor, (self._desk,), name=self.name, shutdown=30.0))
            self._desk.root = self._actor
            await self._actor.started()
        except BaseException:
            if self._given_system is None:
                await system.stop()
            raise
        self._watch = asyncio.get_running_loop().create_task(self._until_gone(), name=f"{self.name}-watch")

    def _start_model(self, system: System) -> None:
        given = self._model
        if isinstance(given, ActorRef):
            self._desk.model = given
        elif isinstance(given, ChildSpec):
            self._desk.model = system.supervise(given)
        elif any(isinstance(agent.model, str) for agent in self.agents.values()):
            from ...providers.pool import pool_from_environment

            named = [agent.model or self._desk.model_name for agent in self.agents.values()]
            self._desk.model = system.supervise(
                pool_from_environment([name for name in named if isinstance(name, str)])
            )
        model = self._desk.model
        if model is not None and model.actor_class.__name__ == "Pool":
            self._desk.carried = _for_pool()

    async def _until_gone(self) -> None:
        assert self._actor is not None
        with suppress(CoreError):
            await self._actor.terminated()
        self._desk.fail_open(AgentUnavailable("the agency's actors have stopped"))
        self._desk.cancel_calls()

    async def stop(self, *, drain: float = 0.0) -> None:
        """Stop. What is still running then ends in `AgencyClosed`; nothing is dropped silently.

        Args:
            drain: seconds to wait for runs under way; new ones are refused meanwhile.
        """
        self._closed = True
        if self.system is None:
            return
        if drain > 0:
            await self.drained(drain)
        for run in self._desk.open_runs():
            if run.id == run.root:
                self._desk.cancel(run, "the agency stops")
        self._desk.fail_open(AgencyClosed("the agency stopped before the run had its answer"))
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
        if self._given_system is None:
            await self.system.stop()
        elif self._actor is not None and self._actor.is_alive():
            await self._stop_actor()
        self._desk.clock.close()
        self._desk.cancel_calls()
        await self._desk.calls_ended()
        if self._owns_journal:
            self._desk.journal.close()

    async def _stop_actor(self) -> None:
        assert self._actor is not None
        with suppress(CoreError):
            await self._actor.stop()

    def stop_on_signals(
        self, *, drain: float = 30.0, signals: Sequence[signal.Signals] = (signal.SIGTERM,)
    ) -> asyncio.Event:
        """Stop when the process is told to end: runs under way are waited for, new ones are refused.

        Args:
            drain: seconds to wait; what is still running then ends in a named error.
            signals: on which.

        Returns:
            an event that is set once the agency has stopped.
        """
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()

        async def stop() -> None:
            try:
                await self.stop(drain=drain)
            finally:
                stopped.set()

        def begin(number: signal.Signals) -> None:
            loop.remove_signal_handler(number)  # a second one does what it always does
            if self._stopping is None:
                self._stopping = loop.create_task(stop(), name=f"{self.name}-stop")

        for number in signals:
            loop.add_signal_handler(number, begin, number)
        return stopped

    async def drained(self, seconds: float) -> bool:
        """Wait until no run is under way.

        Args:
            seconds: how long at most.

        Returns:
            whether that came about in time.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while open_runs := self._desk.open_runs():
            left = deadline - loop.time()
            if left <= 0:
                return False
            waiting = [self._desk.submit(run) for run in open_runs]
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await asyncio.wait([asyncio.ensure_future(_ended(reply)) for reply in waiting])
        return True

    # -- runs ----------------------------------------------------------------------------------------------------------

    async def run(
        self,
        question: Question,
        *,
        agent: Agent | str | None = None,
        conversation: str | None = None,
        user: str = "",
        values: Mapping[str, Any] | None = None,
        limits: Limits | None = None,
        output_type: Any = None,
        tools: Sequence[ToolSpec] = (),
    ) -> Answer:
        """Ask, and wait for the answer.

        Cancelling it, or a deadline of the surrounding `scope`, stops the provider calls, tools and agents at work.

        Args:
            question: a text, a message, or several messages.
            agent: whom to ask; the first agent by default.
            conversation: the id of the conversation to continue or begin; it is kept until `release`. Without one
                the conversation ends with the run.
            user: whom it is for; in the request context.
            values: what else tools and hooks may need to know; in the request context.
            limits: in place of the agent's own.
            output_type: the type the answer must fit, in place of the agent's own.
            tools: tools that the caller runs itself: the answer's ``tool_calls`` say which to run, and the results
                are sent as messages of role ``tool`` in the same conversation.

        Raises:
            RunError: the run ended without an answer; its ``partial`` keeps what was done.
            HandoffError: handoffs went too deep or in circles.
            AgentUnavailable: the agent has failed for good.
            AgencyClosed: the agency is not running, or stopped meanwhile.
            UnknownAgent: nobody has that name.
        """
        run = self._new_run(question, agent, conversation, user, values, limits, output_type, tools, stream=False)
        return await self._await(run)

    async def run_streaming(
        self,
        question: Question,
        *,
        agent: Agent | str | None = None,
        conversation: str | None = None,
        user: str = "",
        values: Mapping[str, Any] | None = None,
        limits: Limits | None = None,
        output_type: Any = None,
        tools: Sequence[ToolSpec] = (),
    ) -> AsyncGenerator[RunEvent]:
        """Ask, and yield what happens, also in agents handed off to. The last event is the run's `RunFinished`.

        The arguments are those of `run`. Leaving the iteration (``aclose``) cancels the run. Text that is not read
        in time is put together, so that a slow reader costs no more memory than the answer.

        Raises:
            AgentError: as `run`, after the last event.
        """
        run = self._new_run(question, agent, conversation, user, values, limits, output_type, tools, stream=True)
        events: deque[RunEvent] = deque()
        arrived = asyncio.Event()

        def take(event: RunEvent) -> None:
            last = events[-1] if events else None
            if isinstance(event, TextDelta) and isinstance(last, TextDelta) and last.run == event.run:
                at = (event.root, event.run, event.agent, event.conversation, event.chain, event.at)
                events[-1] = TextDelta(*at, last.text + event.text)
            else:
                events.append(event)
            arrived.set()

        unsubscribe = self._desk.bus.subscribe(take, run.root)
        task = asyncio.get_running_loop().create_task(self._await(run), name=f"run {run.id}")
        task.add_done_callback(lambda _: arrived.set())
        try:
            while not task.done() or events:
                while events:
                    yield events.popleft()
                if not task.done():
                    arrived.clear()
                    await arrived.wait()
            await task
        finally:
            unsubscribe()
            if not task.done():
                task.cancel()
            with suppress(BaseException):
                await task

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
        names = [self._roster.name_of(agent) for agent in (self.agents if agents is None else agents)]

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
        """`process` for code without an event loop. An agency that is not running is started for this one request.

        Raises:
            BlockingCall: called on an event loop's thread.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise BlockingCall("process_sync would block the event loop: await process() instead")
        if self.system is not None:
            coro = self.process(text, agent=agent, conversation=conversation)
            return asyncio.run_coroutine_threadsafe(coro, self.system.loop).result()

        async def once() -> str:
            async with self:
                return await self.process(text, agent=agent, conversation=conversation)

        return asyncio.run(once())

    def _new_run(
        self,
        question: Question,
        agent: Agent | str | None,
        conversation: str | None,
        user: str,
        values: Mapping[str, Any] | None,
        limits: Limits | None,
        output_type: Any,
        tools: Sequence[ToolSpec],
        *,
        stream: bool,
    ) -> Run:
        if self._closed or self._actor is None:
            state = "has stopped or is stopping" if self._closed else "is not running: use `async with` it"
            raise AgencyClosed(f"the agency {state}")
        name = self._roster.name_of(agent)
        try:
            check_name(conversation)
        except SpecError as error:
            raise UnknownConversation(f"{conversation!r:.200} cannot name a conversation: {error}") from None
        self._count += 1
        session = self._desk.journal.session
        run_id = f"r{session}-{self._count}" if session else f"r{self._count}"
        deadline = current_scope().deadline
        if deadline is not None:
            left = max(0.0, deadline - asyncio.get_running_loop().time())
            own = limits or self.agents[name].limits
            seconds = left if own.seconds is None else min(left, own.seconds)
            limits = Limits(own.steps, own.tokens, own.cost, seconds)
        if output_type is not None:
            self._desk.outputs[run_id] = Output(output_type)
        return Run(
            run_id,
            run_id,
            name,
            conversation if conversation is not None else run_id,
            as_messages(question),
            (name,),
            (),
            user,
            values or {},
            limits,
            stream,
            tuple(tools),
            None,
            conversation is None,
            conversation is None,
        )

    async def _await(self, run: Run) -> Answer:
        desk = self._desk
        try:
            return await desk.submit(run)
        except asyncio.CancelledError:
            desk.cancel(run, "its caller was cancelled")
            raise
        finally:
            desk.forget(run.id)
            desk.handoffs.pop(run.id, None)
            if desk.outputs:
                desk.outputs.pop(run.id, None)

    async def release(self, conversation: str, *, agent: Agent | str | None = None) -> None:
        """Forget a conversation and all that belongs to it. A run of it under way is cancelled.

        Args:
            conversation: its id.
            agent: whose; the first agent's by default.
        """
        name = self._roster.name_of(agent)
        if name not in self._desk.agents:
            raise AgencyClosed("the agency is not running: use `async with` it")
        await self._insist(Release(conversation), name)

    async def _insist(self, message: Any, agent: str = "") -> None:
        """Ask until it is answered: whoever is asked may crash meanwhile, and be restarted."""
        for left in reversed(range(MAX_ASKS)):
            try:
                ref = self._desk.agents[agent] if agent else self._actor
                assert ref is not None
                await ref.ask(message)
            except Exception:
                if left == 0 or not self._desk.recovers():
                    raise
                await asyncio.sleep(0)
            else:
                return

    # -- looking on ----------------------------------------------------------------------------------------------------

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Have ``subscriber(event)`` called for every event of every run, at once; it must be quick.

        Returns:
            what ends it.
        """
        return self._desk.bus.subscribe(subscriber)

    # -- approvals -----------------------------------------------------------------------------------------------------

    @property
    def approvals(self) -> tuple[ApprovalRequested, ...]:
        """The calls that wait for a person, in the order in which they were asked for."""
        return tuple(self._desk.approvals.values())

    def approve(self, approval: ApprovalRequested | str, *, arguments: str | None = None) -> None:
        """Let a call run.

        Args:
            approval: the event, or its ``approval`` id.
            arguments: JSON text in place of what the model wrote.

        Raises:
            UnknownConversation: nothing waits under that id.
        """
        self._decide(approval, True, arguments, "")

    def deny(self, approval: ApprovalRequested | str, reason: str = "") -> None:
        """Refuse a call.

        Args:
            approval: the event, or its ``approval`` id.
            reason: told to the model.

        Raises:
            UnknownConversation: nothing waits under that id.
        """
        self._decide(approval, False, None, reason)

    def _decide(self, approval: ApprovalRequested | str, approved: bool, arguments: str | None, reason: str) -> None:
        key = approval if isinstance(approval, str) else approval.approval
        known = self._desk.approvals.get(key)
        if known is None:
            waiting = ", ".join(self._desk.approvals) or "nothing"
            raise UnknownConversation(f"no call waits for approval as {key!r}; waiting: {waiting}")
        decision = Decision(known.conversation, known.run, known.call_id, approved, arguments, reason)
        self._desk.agents[known.agent].tell(decision)


def _journal(given: Journal | str | Path | None) -> Journal:
    if given is None:
        return MemoryJournal()
    if not isinstance(given, str | Path):
        return given
    from ..journal.sqlite import SqliteJournal  # not at the top: few need it at once
    from .codec import decode, encode

    return SqliteJournal(given, encode, decode)


def _for_pool() -> Carried:
    """What a pool wants to know of a request: it keeps budgets and choices by agent and conversation."""
    from ...providers.pool import SCOPE_KEY, Who  # not at the top: it takes longer to import than all of this

    return lambda agent, conversation: {SCOPE_KEY: Who(agent, conversation)}


async def _ended(reply: Any) -> None:
    with suppress(Exception):
        await reply


def as_messages(question: Question) -> tuple[Message, ...]:
    """A question as messages.

    Raises:
        DefinitionError: there is nothing in it.
    """
    if isinstance(question, str):
        return (Message("user", question),)
    messages = (question,) if isinstance(question, Message) else tuple(question)
    if not messages:
        raise DefinitionError("there is nothing to ask: no message was given")
    return messages
