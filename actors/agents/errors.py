"""What agents raise.

AgentError
├── DefinitionError          (also ValueError)  an agent, agency or handoff is described wrongly
│   ├── UnknownAgent         no agent of that name here; the known ones are in the message
│   ├── UnknownConversation  the conversation was never started, or has been released
│   ├── PromptError          a prompt function, or what it defines, is wrong
│   │   └── TemplateError    a template cannot be loaded or rendered; says the file and the line
│   ├── UnknownSkill         no skill of that name is there; the known ones are in the message
│   ├── SkillFileError       a SKILL.md, or what is beside it, is wrong; says the file and the line
│   ├── UnknownRun           no run of that id is kept here
│   ├── UnknownApproval      nothing waits under that id: it was decided already, has expired, or never was
│   └── UnfitArguments       the arguments with which a call is to be approved do not fit its tool
├── HandoffError
│   ├── HandoffRefused       the flows do not allow it; the allowed targets are in the message
│   ├── HandoffDepth         agents handed off to each other deeper than allowed
│   ├── HandoffCycle         one agent came up too often in one chain, or was given the very same task again
│   └── HandoffLimit         one run made more handoffs in all than allowed
├── RunError                 a run ended without its answer; `partial` keeps what was done
│   ├── RunFailed            a provider, or the library itself, failed; the cause is chained
│   │   └── ContextOverflow  the model cannot take what the run has to show it, however much is left out
│   ├── RunCancelled         the caller, or a person, cancelled it
│   ├── LimitReached
│   │   ├── StepLimit        more completions than allowed
│   │   ├── TokenLimit       more tokens than allowed
│   │   ├── CostLimit        more dollars than allowed
│   │   ├── TimeLimit        more seconds than allowed
│   │   └── StuckLoop        the same call had the same result more often than allowed
│   ├── AnswerBlocked        the vendor's content filter stopped the answer
│   ├── OutcomeUnknown       the run has ended, but the journal cannot be written: ask again with its `run_id`
│   ├── InvalidAnswer        the answer does not fit the requested type, also after the repair rounds
│   └── GuardrailTripped     a guardrail refused what went in or came out
├── AgentUnavailable         the agent's actor, or the conversation's, has failed for good
├── ConversationBusy         something else is under way in the conversation, here or in another process
├── ConversationIdle         no run is under way that could be told something
├── SkillFailed              a skill could not be initialized; the cause is chained
├── WebhookRefused           what has come is not signed by whoever has the secret, or too long ago
├── NotAllowed               the caller may not do that
├── AnswerChanged            text was streamed that the answer does not begin with
├── QuotaExceeded            the caller, or their tenant, has nothing left for now; says when to come back
└── AgencyClosed             the agency has stopped or is draining; nothing new is accepted
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.base.errors import CallboardError
from ..core.base.errors import an as an
from ..core.base.errors import named as named
from ..core.base.errors import said as said
from ..core.base.errors import text_of as text_of

if TYPE_CHECKING:
    from .answer import Answer


class AgentError(CallboardError):
    """Base class of the agents' errors.

    Attributes:
        partial: where a run failed, its text, messages, usage, cost and handoffs up to there; otherwise None.
    """

    partial: Answer | None = None


class DefinitionError(AgentError, ValueError):
    """An agent, an agency or a handoff is described wrongly."""


class UnknownAgent(DefinitionError):
    """No agent of that name exists here."""


class UnknownConversation(DefinitionError):
    """The conversation was never started, or has been released."""


class PromptError(DefinitionError):
    """A prompt function, or what it defines, is wrong; says what to write instead."""


class TemplateError(PromptError):
    """A template cannot be loaded or rendered. Neither the text nor the values of its variables are in the message.

    Args:
        message: what is wrong, without the file's name.
        path: the file, as it is called in its folder; or the folder. Empty where it is read from a journal, which
            keeps the text.
        line: the line, counted from 1; 0 when no line is to blame.

    Attributes:
        problem: the message without the place.
    """

    def __init__(self, message: str, *, path: str = "", line: int = 0) -> None:
        where = f"{path}, line {line}: " if line else f"{path}: " if path else ""
        super().__init__(where + message)
        self.problem = message
        self.path = path
        self.line = line


class UnknownSkill(DefinitionError):
    """No skill of that name is there; the message has those that are."""


class SkillFileError(DefinitionError):
    """A ``SKILL.md``, or what stands beside it, is wrong.

    Args:
        message: what is wrong, and what was expected.
        path: the file or the folder. Empty where it is read from a journal, which keeps the text.
        line: the line, counted from 1; 0 when no line is to blame.

    Attributes:
        problem: the message without the place.
    """

    def __init__(self, message: str, *, path: str = "", line: int = 0) -> None:
        where = f"{path}, line {line}: " if line else f"{path}: " if path else ""
        super().__init__(where + message)
        self.problem = message
        self.path = path
        self.line = line


class UnknownRun(DefinitionError):
    """No run of that id is kept here."""


class UnknownApproval(DefinitionError):
    """Nothing waits for a person under that id: it was decided already, has expired, or never was."""


class UnfitArguments(DefinitionError):
    """The arguments with which a call is to be approved do not fit its tool; the call waits on."""


class HandoffError(AgentError):
    """Base class of handoffs that were refused."""


class HandoffRefused(HandoffError):
    """The agency's flows do not allow the handoff."""


class HandoffDepth(HandoffError):
    """Agents handed off to each other deeper than the agency allows."""


class HandoffCycle(HandoffError):
    """One agent came up too often in a chain of handoffs, or was given the very same task again."""


class HandoffLimit(HandoffError):
    """One run made more handoffs, in all its branches, than the agency allows."""


class RunError(AgentError):
    """A run ended without its answer; `partial` keeps what was done."""


class RunFailed(RunError):
    """A provider failed for good, or the library itself did; the cause is chained."""


class ContextOverflow(RunFailed):
    """The model cannot take what the run has to show it, although all was left out that may be."""


class RunCancelled(RunError):
    """The run was cancelled."""


class LimitReached(RunError):
    """Base class of the limits of a run."""


class StepLimit(LimitReached):
    """The run needed more completions than allowed."""


class TokenLimit(LimitReached):
    """The run used more tokens than allowed."""


class CostLimit(LimitReached):
    """The run cost more dollars than allowed."""


class TimeLimit(LimitReached):
    """The run took more seconds than allowed, not counting time spent waiting for approvals."""


class StuckLoop(LimitReached):
    """One call had the very same result again and again."""


class AnswerBlocked(RunError):
    """The vendor's content filter stopped the answer."""


class OutcomeUnknown(RunError):
    """The run has ended, but its end could not be written down; asking again with its ``run_id`` tells."""


class InvalidAnswer(RunError):
    """The answer does not fit the requested type, also after the repair rounds."""


class GuardrailTripped(RunError):
    """A guardrail refused what went in or came out."""


class LabelRefused(RunError):
    """A call was caused by text from outside, or would have sent what is confidential: see `LabelPolicy`."""


class AgentUnavailable(AgentError):
    """The agent's actor, or the conversation's, has failed for good."""


class ConversationBusy(AgentError):
    """Something else is under way in the conversation, here or in another process."""


class ConversationIdle(AgentError):
    """No run is under way in the conversation that could be told something."""


class SkillFailed(AgentError):
    """A skill could not be initialized: what it needs is not there, or it failed; the cause is chained."""


class WebhookRefused(AgentError):
    """A webhook's signature is missing, wrong, or too old. Says which, and nothing of the secret."""


class NotAllowed(AgentError):
    """The caller may not do that."""


class AnswerChanged(AgentError):
    """Text was streamed as it came, and the answer does not begin with it."""


class QuotaExceeded(AgentError):
    """A budget of the caller or their tenant is spent: nothing was begun.

    Attributes:
        retry_at: when there is more, in seconds since 1970; None for never.
        retry_after: seconds until then, when it was asked; None for never.
    """

    def __init__(self, why: str, retry_at: float | None = None, retry_after: float | None = None) -> None:
        when = "" if retry_after is None else f"; come back in {retry_after:.0f} seconds"
        super().__init__(f"{why}{when}")
        self.retry_at = retry_at
        self.retry_after = retry_after


class AgencyClosed(AgentError):
    """The agency has stopped or is draining; it accepts nothing new."""
