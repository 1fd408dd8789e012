"""The agent's actor: supervises one conversation actor per conversation; and the agency's, which supervises agents."""

from __future__ import annotations

import logging
from typing import Any, ClassVar, NamedTuple

from ...core.actor import Actor
from ...core.base.errors import ActorDead, CoreError, MailboxFull
from ...core.base.restart import Supervision
from ...core.base.spec import ChildSpec
from ...core.refs.ref import ActorRef
from ...core.refs.watching import Terminated
from ..errors import AgentUnavailable
from ..turns.records import Accepted, Run
from ..turns.state import is_unfinished, owner_of
from .conversation import Conversation
from .messages import Cancel, Release
from .register import unavailable
from .runtime import AgencyRuntime

logger = logging.getLogger("callboard")


class AgentActor(Actor):
    """Hands each message to its conversation, which it starts when it is new.

    A conversation bounds its own crashes (see `conversation.MAX_CRASHES`), because one that keeps crashing must not
    take the agent's others with it; so the intensity here only stops what cannot even start.

    Args:
        runtime: what the agency's actors share.
        agent: the agent's name.
    """

    supervision: ClassVar[Supervision] = Supervision("one_for_one", intensity=1000, period=5.0)

    def __init__(self, runtime: AgencyRuntime, agent: str) -> None:
        super().__init__()
        self._runtime = runtime
        self._agent = agent

    def on_start(self) -> None:
        """Go on with what the journal says is unfinished."""
        prefix = f"{self._agent}/"
        for stream in self._runtime.journal.streams(prefix):
            if is_unfinished(self._runtime.journal.load(stream)):
                self._open(stream[len(prefix) :])

    def on_receive(self, message: Any) -> Any:
        """Pass a message to its conversation."""
        kind = type(message)
        known = self.find_child(message.conversation)
        if known is None:
            if kind is Run:
                if self._runtime.register.is_open(message.id):
                    self._begin(message)
            elif kind is Cancel:
                self._runtime.register.cancelled.pop(message.run, None)
            elif kind is Release:
                return self._release_idle(message)
            return None
        if kind is Release:
            return self.reply_with(self._release(known, message))
        try:
            known.tell(message)
        except ActorDead:
            if kind is Run:  # it was released this moment; its name is free in the next
                self.schedule(0.01, message)
        except MailboxFull as error:
            if kind is Run:
                self._runtime.register.fail(message.id, unavailable(self._agent, error))
        return None

    async def _release(self, conversation: ActorRef[Any], message: Release) -> None:
        """Have a conversation end, also if it crashes on being told, and those that it was transferred to."""
        owner: tuple[str, str] | None = None
        while conversation.is_alive():
            try:
                owner = await conversation.ask(message)
                break
            except CoreError:
                continue
            except Exception as error:
                logger.warning("%s crashed on being released", conversation.path, exc_info=error)
        await conversation.terminated()
        await self._forget(message.conversation, owner)

    def _release_idle(self, message: Release) -> Any:
        """Release a conversation that has no actor: it was handed over, or has not been asked since a restart."""
        stream = f"{self._agent}/{message.conversation}"
        owner = owner_of(self._runtime.journal.load(stream))
        if owner is None:
            self._runtime.journal.drop(stream)
            return None
        return self.reply_with(self._forget(message.conversation, owner))

    async def _forget(self, conversation: str, owner: tuple[str, str] | None) -> None:
        if owner is not None and owner[0] in self._runtime.agents:
            try:
                await self._runtime.agents[owner[0]].ask(Release(owner[1]))
            except Exception as error:
                logger.warning("%s/%s was not released", *owner, exc_info=error)
        self._runtime.journal.drop(f"{self._agent}/{conversation}")

    def _begin(self, run: Run) -> None:
        """Start a run's conversation, which finds the run in the journal."""
        journal, stream = self._runtime.journal, run.stream_name
        if not any(type(event) is Accepted and event.run.id == run.id for event in journal.load(stream)):
            journal.append(stream, (Accepted(run),))  # the conversation was released after it had been accepted
        self._open(run.conversation)

    def _open(self, conversation: str) -> ActorRef[Any]:
        made = (self._runtime, self._agent, conversation)
        return self.spawn(ChildSpec(Conversation, made, name=conversation, restart="transient"))


class AddAgent(NamedTuple):
    """Start the actor of an agent that the directory knows."""

    agent: str


class AgencyActor(Actor):
    """Supervises the agents of an agency.

    Args:
        runtime: what they share; it is told where each is.
    """

    supervision: ClassVar[Supervision] = Supervision("one_for_one", intensity=10, period=5.0)

    def __init__(self, runtime: AgencyRuntime) -> None:
        super().__init__()
        self._runtime = runtime

    def on_start(self) -> None:
        """Start an actor for each agent."""
        for agent in self._runtime.directory.prepared:
            self._start(agent)

    def on_receive(self, message: Any) -> Any:
        """Start a further agent, or end the open runs of one that is gone for good."""
        if isinstance(message, AddAgent):
            if message.agent not in self._cell.children.names:  # it may be asked again, after a crash
                self._start(message.agent)
        elif isinstance(message, Terminated):
            name = message.ref.name
            if self._runtime.agents.get(name) is message.ref:
                self._runtime.register.fail_open(
                    AgentUnavailable(f"agent {name} has failed for good: {message.reason}"), name
                )

    def _start(self, agent: str) -> None:
        ref: ActorRef[Any] = self.spawn(ChildSpec(AgentActor, (self._runtime, agent), name=agent))
        self._runtime.agents[agent] = ref
        self.watch(ref)
