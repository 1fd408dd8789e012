"""``api/audit``: what was done, and by whom."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ....agents.caller import Caller
from ....agents.telemetry.content import by_patterns
from ...answers import Json
from ...operations.problem_json import query_of
from ...operations.whose import page_size
from ..board import Board
from .audit import AuditLog


async def audit(board: Board, request: Request) -> Response:
    """The latest actions, and, behind a position, older ones."""
    await board.who(request, "read")
    query = query_of(request, "after", "limit")
    page = await AuditLog(board.agency.journal).read(before=query.number("after") or None, limit=page_size(query))
    return Json({"entries": [asdict(one) for one in page.entries], "next": page.next})


def acting(
    board: Board, caller: Caller, action: str, target: str, details: Mapping[str, Any] | None = None, reason: str = ""
) -> AbstractAsyncContextManager[None]:
    """Have an action written down; see `AuditLog.action`.

    Args:
        board: on which.
        caller: who acts.
        action, target, details: see `AuditEntry`.
        reason: why, in the caller's words; what looks like a secret in them is left out.
    """
    who = caller.user or caller.key or "somebody without a name"
    told = {**(details or {}), **({"reason": by_patterns(reason)} if reason else {})}
    return AuditLog(board.agency.journal).action(who, action, target, told)
