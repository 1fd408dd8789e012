"""What a conversation's journal holds besides the inputs of its turns."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ....providers.messages import Message, ToolSpec
from ..answer import Answer
from ..errors import AgentError
from ..handoffs.handoff import Handoff
from .rules import Limits

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Run(NamedTuple):
    """A request to an agent.

    Args:
        id: unique; the same run sent twice is worked on once.
        root: the id of the run the caller started; its own id for that one.
        agent: whom it is for.
        conversation: the conversation it continues or begins.
        messages: what is said.
        chain: the agents from the first asked to this one, inclusive.
        tasks: what each of the chain but the first was asked, as ``target: task``.
        user: whom it is for, as the caller said.
        values: what else the caller passed along.
        limits: what it may use, where not what the agent's description says.
        stream: whether text is wanted as it comes.
        external: tools that the caller runs.
        handoff: the handoff it comes from.
        once: the conversation ends with this run.
        fleeting: so does the one of the run the caller started, and all that came of it.
    """

    id: str
    root: str
    agent: str
    conversation: str
    messages: tuple[Message, ...]
    chain: tuple[str, ...]
    tasks: tuple[str, ...] = ()
    user: str = ""
    values: Mapping[str, Any] = _NOTHING
    limits: Limits | None = None
    stream: bool = False
    external: tuple[ToolSpec, ...] = ()
    handoff: Handoff | None = None
    once: bool = False
    fleeting: bool = False

    @property
    def stream_name(self) -> str:
        """The journal stream of the conversation."""
        return f"{self.agent}/{self.conversation}"


class Accepted(NamedTuple):
    """The run will be worked on, in the order accepted."""

    run: Run


class ToolsStarted(NamedTuple):
    """From here on these calls may have had effects."""

    call_ids: tuple[str, ...]


class Ended(NamedTuple):
    """The run has its outcome.

    Args:
        run: its id.
        answer: the answer, also what is kept of a failed run.
        error: why it failed, or None.
        owner: agent and conversation that took the conversation over, if one did.
        once: the conversation ended with the run. Where it goes on, its messages are in the journal already, and a
            journal need not keep them once more.
    """

    run: str
    answer: Answer
    error: AgentError | None = None
    owner: tuple[str, str] | None = None
    once: bool = False


class Snapshot(NamedTuple):
    """Stands for all events before it: a conversation between two runs."""

    history: tuple[Message, ...]
    owner: tuple[str, str] | None
    last: Ended | None
