"""The calls that wait for a person, and what the person says."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import UnknownConversation
from ..events import ApprovalRequested
from .messages import Decision


def decide(
    waiting: Mapping[str, ApprovalRequested],
    approval: ApprovalRequested | str,
    approved: bool,
    arguments: str | None = None,
    reason: str = "",
) -> tuple[str, Decision]:
    """What a person's decision tells the call that waits for it.

    Args:
        waiting: the calls by their ``approval`` ids.
        approval: the event, or its ``approval`` id.
        approved: whether the call may run.
        arguments: JSON text in place of what the model wrote.
        reason: told to the model.

    Returns:
        the agent, and the message for its actor.

    Raises:
        UnknownConversation: nothing waits under that id.
    """
    key = approval if isinstance(approval, str) else approval.approval
    known = waiting.get(key)
    if known is None:
        there = ", ".join(waiting) or "nothing"
        raise UnknownConversation(f"no call waits for approval as {key!r}; waiting: {there}")
    return known.agent, Decision(known.conversation, known.run, known.call_id, approved, arguments, reason)
