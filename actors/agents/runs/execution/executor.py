"""Which command of the turn machine has which effect, and which message about an effect leads to which input.

Effects work beside the mailbox. They are handed one function, ``happened(session, input)``, by which what came of
them goes back into the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...turns.steps import AskApproval, CallTool, Commands, Complete, HandOff, Restore
from .handoffs.preparing import answer_looked_at, delegate_answered, hand_off, handoff_prepared, handoff_refused
from .handoffs.subagents import sub_agents_prepared, sub_agents_told
from .models.completions import ask_again, complete, completion_arrived, skills_opened, step_rendered
from .models.condensing import summary_arrived
from .models.rendering import restore
from .reports import (
    AnswerLookedAt,
    ApprovalExpired,
    AskAgain,
    CompletionArrived,
    CredentialTaken,
    DelegateAnswered,
    InnerAsked,
    InnerDone,
    InnerLeft,
    InnerStalled,
    MoneySpent,
    PostsSeen,
    Prepared,
    PromptRendered,
    Refused,
    SkillsOpened,
    SubAgentsPrepared,
    SubAgentsTold,
    SummaryArrived,
    ToolDone,
)
from .session import Happened, Session
from .tools.inner_steps import inner_asked, inner_done, inner_left, inner_stalled
from .tools.tool_calls import approval_expired, ask_approval, call_tool, posts_seen, tool_done
from .tools.tool_context import credential_taken, money_spent

EFFECTS: Mapping[type, Callable[[Session, Any, Happened], None]] = {
    Complete: complete,
    Restore: restore,
    CallTool: call_tool,
    HandOff: hand_off,
    AskApproval: ask_approval,
}
"""What carries out a command."""

RESULTS: Mapping[type, Callable[[Any, Happened], None]] = {
    SkillsOpened: skills_opened,
    PromptRendered: step_rendered,
    AskAgain: ask_again,
    CompletionArrived: completion_arrived,
    SummaryArrived: summary_arrived,
    ToolDone: tool_done,
    CredentialTaken: credential_taken,
    InnerAsked: inner_asked,
    InnerDone: inner_done,
    InnerLeft: inner_left,
    InnerStalled: inner_stalled,
    MoneySpent: money_spent,
    ApprovalExpired: approval_expired,
    PostsSeen: posts_seen,
    Prepared: handoff_prepared,
    Refused: handoff_refused,
    DelegateAnswered: delegate_answered,
    AnswerLookedAt: answer_looked_at,
    SubAgentsPrepared: sub_agents_prepared,
    SubAgentsTold: sub_agents_told,
}
"""What takes a message about an effect."""


def carry_out(session: Session, commands: Commands, happened: Happened) -> None:
    """Carry out commands, in order, until the run is over."""
    for command in commands:
        if session.over:
            return  # an earlier command has ended the run
        EFFECTS[type(command)](session, command, happened)
