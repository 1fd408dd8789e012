"""Asking the user of an editor."""

from __future__ import annotations

from typing import Any, Final

from acp import RequestError
from acp.schema import PermissionOption, ToolCallUpdate
from pydantic import ValidationError

_ALLOW: Final = "allow"
_OPTIONS: Final = (
    PermissionOption(option_id=_ALLOW, name="Allow", kind="allow_once"),
    PermissionOption(option_id="reject", name="Reject", kind="reject_once"),
)


async def may(client: Any, session: str, call: ToolCallUpdate) -> bool:
    """Whether the user allows something. An editor that cannot ask or answers what is no answer, or a user who turns
    away, does not.

    Args:
        client: the editor.
        session: the session's id.
        call: what is asked.

    Raises:
        ConnectionError: the editor has gone; nobody has decided.
    """
    try:
        answer = await client.request_permission(session_id=session, tool_call=call, options=list(_OPTIONS))
    except (RequestError, ValidationError):
        return False
    return bool(answer.outcome.outcome == "selected" and answer.outcome.option_id == _ALLOW)
