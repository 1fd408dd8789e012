"""Messages that a conversation is sent when work beside its mailbox has ended."""

from __future__ import annotations

from typing import Any, NamedTuple

from .....providers.messages import Completion, ToolCall
from .....tools import ToolResult
from ....core.base.events import Outcome, suppress_dead_letter
from ...answer import Answer
from ...hooks import HookContext
from ...prompts.rendering import Rendered
from ...turns.outcome import Outcome as RunOutcome
from ...turns.records import CredentialGiven, Decision
from ...turns.steps import Commands, HandOff, Spent
from ..runtime.register import Entry
from .known.handed import Asking, Part, PartResult, Sending
from .known.within import InnerAtWork
from .session import Session
from .showing import Change


@suppress_dead_letter
class CompletionArrived(NamedTuple):
    """The model's answer has come, or its failure."""

    session: Session
    outcome: Any


@suppress_dead_letter
class SkillsOpened(NamedTuple):
    """The agent's skills are initialized, or one could not be."""

    session: Session
    outcome: Outcome[None]


@suppress_dead_letter
class SummaryArrived(NamedTuple):
    """A summary that a context strategy wanted has come, or its failure.

    Args:
        session: whose.
        change: what it was made for.
        outcome: the completion.
    """

    session: Session
    change: Change
    outcome: Outcome[Completion]


@suppress_dead_letter
class PromptRendered(NamedTuple):
    """An `async` prompt function has said what the next completion is asked with."""

    session: Session
    outcome: Outcome[Rendered]


@suppress_dead_letter
class PromptRestored(NamedTuple):
    """A prompt function has said again what the calls of the step under way call."""

    session: Session
    outcome: Outcome[Rendered]


@suppress_dead_letter
class AskAgain(NamedTuple):
    """The model's actor crashed a while ago: it is asked again now."""

    session: Session


@suppress_dead_letter
class ToolDone(NamedTuple):
    """A tool call has ended."""

    session: Session
    call: ToolCall
    outcome: Outcome[Any]


@suppress_dead_letter
class InnerAsked(NamedTuple):
    """A tool call wants to make a call."""

    session: Session
    inner: InnerAtWork


@suppress_dead_letter
class InnerDone(NamedTuple):
    """A call that a tool call has made has ended."""

    session: Session
    inner: InnerAtWork
    outcome: Outcome[ToolResult]


@suppress_dead_letter
class InnerLeft(NamedTuple):
    """A tool call does not wait any more for a call that it has made."""

    session: Session
    inner: InnerAtWork


@suppress_dead_letter
class InnerStalled(NamedTuple):
    """A tool call that was begun again has not come for long to where the result of this inner call was told."""

    session: Session
    inner: InnerAtWork


@suppress_dead_letter
class Prepared(NamedTuple):
    """Functions have seen a handoff, or refused it, or said in its place what the model is told."""

    session: Session
    command: HandOff
    summary: tuple[Answer, ...]
    outcome: Outcome[Sending | str]


@suppress_dead_letter
class DelegateAnswered(NamedTuple):
    """Another agent has answered, or failed."""

    session: Session
    call_id: str
    outcome: RunOutcome
    seen: bool = False
    """Whether the hooks for results have looked at it."""


@suppress_dead_letter
class AnswerLookedAt(NamedTuple):
    """Hooks for results have looked at what another agent answered."""

    session: Session
    call_id: str
    outcome: Outcome[RunOutcome]


@suppress_dead_letter
class OwnerAnswered(NamedTuple):
    """The agent that took the conversation over has answered what was forwarded to it, or failed."""

    session: Session
    entry: Entry


@suppress_dead_letter
class SubAgentsPrepared(NamedTuple):
    """It is known what a call of sub-agents asks whom."""

    session: Session
    call: ToolCall
    several: bool
    outcome: Outcome[tuple[Part, ...]]


@suppress_dead_letter
class SubAgentsTold(NamedTuple):
    """All that a call of sub-agents has asked is answered, and the functions that wanted to know of it do."""

    session: Session
    asking: Asking
    outcome: Outcome[tuple[PartResult, ...]]


@suppress_dead_letter
class CredentialTaken(NamedTuple):
    """A tool was given a secret."""

    session: Session
    given: CredentialGiven


@suppress_dead_letter
class MoneySpent(NamedTuple):
    """A tool says that it has spent money: what it tells stands in the input."""

    session: Session
    tool: str
    spent: Spent


@suppress_dead_letter
class Refused(NamedTuple):
    """A handoff was not carried out."""

    session: Session
    call: ToolCall
    error: Exception
    summary: tuple[Answer, ...] = ()


@suppress_dead_letter
class Connected(NamedTuple):
    """The connection hooks have seen what the caller said."""

    session: Session
    outcome: Outcome[HookContext]


@suppress_dead_letter
class Finalized(NamedTuple):
    """The finalize hooks have seen the outcome."""

    session: Session
    outcome: Outcome[RunOutcome]


@suppress_dead_letter
class Recorded(NamedTuple):
    """The journal has written what the commands follow from."""

    session: Session
    commands: Commands
    outcome: RunOutcome | None


@suppress_dead_letter
class ApprovalExpired(NamedTuple):
    """Nobody has decided about a call in time."""

    session: Session
    call: ToolCall


@suppress_dead_letter
class PostsSeen(NamedTuple):
    """The journal was looked at for what another process decided about a call.

    Args:
        session: whose.
        call: the call.
        expired: whether it counts as denied where nothing is found.
        outcome: the decisions, with their posts.
    """

    session: Session
    call: ToolCall
    expired: bool
    outcome: Outcome[list[tuple[int, Decision]]]
