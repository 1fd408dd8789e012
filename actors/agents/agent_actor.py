"""The agent's actor: supervises one conversation actor per conversation; and the agency's, which supervises agents."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from ..core.actor import Actor
from ..core.children import Supervision
from ..core.errors import ActorDead, MailboxFull
from ..core.events import Terminated
from ..core.ref import ActorRef
from ..core.spec import ChildSpec
from .conversation import Conversation
from .desk import Desk, unavailable
from .errors import AgentUnavailable
from .run import Accepted, Ended, Release, Run, Snapshot


class AgentActor(Actor):
    """Hands each message to its conversation, which it starts when it is new.

    A conversation bounds its own crashes (see `conversation.MAX_CRASHES`), because one that keeps crashing must not
    take the agent's others with it; so the intensity here only stops what cannot even start.

    Args:
        desk: what the agency's actors share.
        agent: the agent's name.
    """

    supervision: ClassVar[Supervision] = Supervision("one_for_one", intensity=1000, period=5.0)

    def __init__(self, desk: Desk, agent: str) -> None:
        super().__init__()
        self._desk = desk
        self._agent = agent

    def on_start(self) -> None:
        """Go on with what the journal says is unfinished."""
        prefix = f"{self._agent}/"
        for stream in self._desk.journal.streams(prefix):
            if is_unfinished(self._desk.journal.load(stream)):
                self._open(stream[len(prefix) :])

    def on_receive(self, message: Any) -> Any:
        """Pass a message to its conversation."""
        kind = type(message)
        known = self.find_child(message.conversation)
        if known is None:
            if kind is Run:
                if self._desk.is_open(message.id):
                    self._open(message.conversation)  # it finds the run in the journal
            elif kind is Release:
                self._desk.journal.drop(f"{self._agent}/{message.conversation}")
            return None
        try:
            known.tell(message)
        except ActorDead:
            if kind is Run:  # it was released this moment; its name is free in the next
                self.schedule(0.01, message)
        except MailboxFull as error:
            if kind is Run:
                self._desk.fail(message.id, unavailable(self._agent, error))
        if kind is Release and message.wait:
            return self.reply_with(known.terminated())
        return None

    def _open(self, conversation: str) -> None:
        made = (self._desk, self._agent, conversation)
        self.spawn(ChildSpec(Conversation, made, name=conversation, restart="transient"))


class AddAgent(NamedTuple):
    """Start the actor of an agent that the desk knows."""

    agent: str


class AgencyActor(Actor):
    """Supervises the agents of an agency.

    Args:
        desk: what they share; it is told where each is.
    """

    supervision: ClassVar[Supervision] = Supervision("one_for_one", intensity=10, period=5.0)

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk

    def on_start(self) -> None:
        """Start an actor for each agent."""
        for agent in self._desk.profiles:
            self._start(agent)

    def on_receive(self, message: Any) -> Any:
        """Start a further agent, or end the open runs of one that is gone for good."""
        if isinstance(message, AddAgent):
            self._start(message.agent)
        elif isinstance(message, Terminated):
            name = message.ref.name
            if self._desk.agents.get(name) is message.ref:
                self._desk.fail_open(AgentUnavailable(f"agent {name} has failed for good: {message.reason}"), name)

    def _start(self, agent: str) -> None:
        ref: ActorRef[Any] = self.spawn(ChildSpec(AgentActor, (self._desk, agent), name=agent))
        self._desk.agents[agent] = ref
        self.watch(ref)


def is_unfinished(events: Any) -> bool:
    """Whether a conversation's journal holds a run that has no outcome."""
    accepted: dict[str, None] = {}
    for event in events:
        if isinstance(event, Accepted):
            accepted[event.run.id] = None
        elif isinstance(event, Ended):
            accepted.pop(event.run, None)
        elif isinstance(event, Snapshot) and event.last is not None:
            accepted.pop(event.last.run, None)
    return bool(accepted)
