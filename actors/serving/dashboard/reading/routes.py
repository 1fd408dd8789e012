"""The paths of what is said."""

from __future__ import annotations

from typing import Final

from ..board import Endpoint
from .approvals import approve, deny, get_approval, list_approvals, preview
from .conversations import (
    fork_conversation,
    get_conversation,
    get_past,
    list_conversations,
    replay_conversation,
)
from .journal import get_journal

_APPROVAL: Final = "/api/approvals/{approval}"
_CONVERSATION: Final = "/api/conversations/{agent}/{conversation}"

READING: Final[list[tuple[str, Endpoint, str]]] = [
    ("/api/conversations", list_conversations, "GET"),
    (_CONVERSATION, get_conversation, "GET"),
    (f"{_CONVERSATION}/journal", get_journal, "GET"),
    (f"{_CONVERSATION}/at/{{version}}", get_past, "GET"),
    (f"{_CONVERSATION}/fork", fork_conversation, "POST"),
    (f"{_CONVERSATION}/replay", replay_conversation, "POST"),
    ("/api/approvals", list_approvals, "GET"),
    (_APPROVAL, get_approval, "GET"),
    (f"{_APPROVAL}/preview", preview, "POST"),
    (f"{_APPROVAL}/approve", approve, "POST"),
    (f"{_APPROVAL}/deny", deny, "POST"),
]
"""Each path, what answers there, and the method."""
