"""What the actors of one agency share: the journal, the register of runs, the event bus, the way to each agent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from ...core.refs.ref import ActorRef
from ...journal.store import Journal
from ..answer import Answer
from ..bus import Bus
from ..errors import UnknownAgent
from ..events import ApprovalRequested
from ..handoffs.limits import HandoffLimits
from ..team.directory import Directory
from ..turns.records import Run
from .clock import Clock
from .register import RunRegister
from .tool_tasks import ToolTasks

Carried: TypeAlias = Callable[[str, str], Mapping[str, Any]]
"""Makes values for the scope of a model call from the agent's name and the conversation's id."""

MAX_ASKS: Final = 10
"""Times a message to an actor is sent again because the actor crashed on it."""


class AgencyRuntime:
    """Shared by an agency and its actors; all on one event loop.

    Args:
        directory: who is there.
        journal: where steps are kept.
        handoff_limits: how far handoffs may go.

    Attributes:
        root: the agency's actor.
        agents: the agents' actors by name.
        crashes: how often the conversation of a stream crashed at the step it is at.
        handoffs: how many handoffs each root run has made.
        approvals: the calls that wait for a person.
    """

    def __init__(self, directory: Directory, journal: Journal, handoff_limits: HandoffLimits) -> None:
        self.directory = directory
        self.journal = journal
        self.handoff_limits = handoff_limits
        self.register = RunRegister(journal, self.send, self.recovers)
        self.tool_tasks = ToolTasks()
        self.bus = Bus()
        self.clock = Clock()
        self.time: Callable[[], float] = time.monotonic  # the event loop's, once there is one
        self.root: ActorRef[Any] | None = None
        self.model: ActorRef[Any] | None = None
        self.model_name = ""
        self.carried: Carried | None = None
        self.agents: dict[str, ActorRef[Any]] = {}
        self.crashes: dict[str, int] = {}
        self.handoffs: dict[str, int] = {}
        self.approvals: dict[str, ApprovalRequested] = {}

    def send(self, agent: str, message: Any) -> None:
        """Send a message to an agent's actor.

        Raises:
            UnknownAgent: there is none.
            CoreError: it takes no messages.
        """
        ref = self.agents.get(agent)
        if ref is None:
            raise UnknownAgent(f"no agent is called {agent!r}; there are {', '.join(self.agents)}")
        ref.tell(message)

    def recovers(self) -> bool:
        """Whether an agent whose actor is dead will have another one: the agency's is alive, or being restarted."""
        return self.root is not None and self.root.is_alive()

    async def ask_until_answered(self, message: Any, agent: str = "") -> None:
        """Ask an agent's actor, or the agency's, until it answers: it may crash meanwhile, and be restarted."""
        for left in reversed(range(MAX_ASKS)):
            try:
                ref = self.agents[agent] if agent else self.root
                assert ref is not None
                await ref.ask(message)
            except Exception:
                if left == 0 or not self.recovers():
                    raise
                await asyncio.sleep(0)
            else:
                return

    async def answer(self, run: Run) -> Answer:
        """Have a run made, and wait for its answer; cancelling this cancels the run."""
        register = self.register
        try:
            return await register.submit(run)
        except asyncio.CancelledError:
            register.cancel(run, "its caller was cancelled")
            raise
        finally:
            register.forget(run.id)
            self.handoffs.pop(run.id, None)
            if register.outputs:
                register.outputs.pop(run.id, None)
