"""``api/approvals/{id}``: what waits for a person, what it would change, and what the person decides."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from .....tools.errors import ToolError
from ....agents.errors import DefinitionError, UnfitArguments, UnknownApproval
from ....agents.events import ApprovalRequested
from ....journal.errors import JournalError
from ...answers import Json
from ...operations.approvals import limits_of
from ...operations.problem_json import Fields, body_of, query_of
from ...problems import refuse
from ..acting.audit import AuditLog
from ..acting.log import acting
from ..board import Board, allowed
from ..figures.reading import MOST_ROWS
from .cutting import Room
from .diff import changes_of
from .told import indented

_LIMITS: Final = ("steps", "tokens", "cost")

_DONE: Final = {"approve": "approved", "deny": "denied"}

_LOOKED_AT: Final = 200
"""The latest entries of the audit log, among which is looked for who has decided."""


async def list_approvals(board: Board, request: Request) -> Response:
    """All that waits, in this process and in those with the same journal."""
    caller = await board.who(request, "look")
    query_of(request)
    found = await board.agency.pending_approvals()
    here = {one.approval for one in board.agency.approvals}
    room, may_decide = Room(), allowed(caller, "act")
    rows = [
        room.told({**_named(room, one), "here": one.approval in here, "may_decide": may_decide})
        for one in found[:MOST_ROWS]
    ]
    return Json({"approvals": rows, "all": len(found)})


def _named(room: Room, asked: ApprovalRequested) -> dict[str, Any]:
    return {
        "approval": asked.approval,
        "agent": asked.agent,
        "run": asked.run,
        "conversation": asked.conversation,
        "tool": room.text(asked.tool),
        "wants": "call" if asked.tool else "limits",
        "user": asked.caller.user,
        "tenant": asked.caller.tenant,
    }


async def get_approval(board: Board, request: Request) -> Response:
    """What waits, and what it would change as things are now."""
    await board.who(request, "read")
    query_of(request)
    approval = request.path_params["approval"]
    async with _or_by_whom(board, approval):
        asked = await board.agency.pending_approval(approval)
    room = Room()
    told: dict[str, Any] = {
        **_named(room, asked),
        "here": any(one.approval == asked.approval for one in board.agency.approvals),
        "call_id": asked.call_id,
        "why": room.text(asked.why),
        "expires_at": asked.expires_at,
        "arguments": room.text(indented(asked.arguments)) if asked.tool else "",
        "limits": None if asked.tool else _spent(asked),
        "may_decide": True,
    }
    told = room.told(told)
    return Json({**told, **await _changes(board, asked, None, room)})


async def preview(board: Board, request: Request) -> Response:
    """What a call would change with other arguments than the model's."""
    await board.who(request, "read")
    query_of(request)
    arguments = _arguments(await body_of(board.server, request, "arguments"), ...)
    approval = request.path_params["approval"]
    async with _or_by_whom(board, approval):
        asked = await board.agency.pending_approval(approval)
    return Json(await _changes(board, asked, arguments, Room()))


async def _changes(board: Board, asked: ApprovalRequested, arguments: str | None, room: Room) -> dict[str, Any]:
    try:
        changes = await board.agency.preview(asked, arguments=arguments) if asked.tool else None
    except ToolError as error:
        return {"changes": [], "changes_unknown": room.text(str(error), 2_000)}
    # Beside the loop: texts of some megabytes are compared.
    return {"changes": await asyncio.to_thread(changes_of, room, changes or ()), "changes_unknown": ""}


async def approve(board: Board, request: Request) -> Response:
    """Let a call run, with other ``arguments`` if any are given, or a run go on, with ``limits``."""
    caller = await board.who(request, "act")
    query_of(request)
    fields = await body_of(board.server, request, "arguments", "limits")
    arguments, limits = _arguments(fields, None), limits_of(fields)
    approval = request.path_params["approval"]
    async with _or_by_whom(board, approval):
        asked = await board.agency.pending_approval(approval)
        details: dict[str, Any] = {"mark": _mark(approval)}
        if asked.tool:
            details["changed"] = arguments is not None
        if limits is not None:
            details.update((name, getattr(limits, name)) for name in _LIMITS if getattr(limits, name) is not None)
        async with acting(board, caller, "approve", _target(asked), details):
            try:
                await board.agency.approve(approval, arguments=arguments, limits=limits)
            except UnknownApproval:
                raise
            except UnfitArguments as error:
                raise refuse(400, "invalid_arguments", str(error), _where(error)) from None
            except DefinitionError as error:
                where = "arguments" if asked.tool else f"limits.{json.loads(asked.arguments)['limit']}"
                raise refuse(400, "invalid_request", str(error), where) from None
    return Json({"approval": approval, "approved": True})


async def deny(board: Board, request: Request) -> Response:
    """Refuse a call, or more to a run; the model is told the ``reason``, and the audit log is not: it is said."""
    caller = await board.who(request, "act")
    query_of(request)
    reason = (await body_of(board.server, request, "reason")).text("reason", "")
    approval = request.path_params["approval"]
    async with _or_by_whom(board, approval):
        asked = await board.agency.pending_approval(approval)
        async with acting(board, caller, "deny", _target(asked), {"mark": _mark(approval)}):
            await board.agency.deny(approval, reason)
    return Json({"approval": approval, "approved": False})


@asynccontextmanager
async def _or_by_whom(board: Board, approval: str) -> AsyncIterator[None]:
    """Where an approval turns out not to wait any more, have who decided it said, if that was done on a dashboard."""
    try:
        yield
    except UnknownApproval:
        mark = _mark(approval)
        with suppress(JournalError):
            for one in (await AuditLog(board.agency.journal).read(limit=_LOOKED_AT)).entries:
                if one.action in _DONE and one.outcome == "done" and one.details.get("mark") == mark:
                    message = f"{one.who} has {_DONE[one.action]} it already"
                    raise refuse(409, "already_decided", message) from None
        raise


def _mark(approval: str) -> str:
    """By which an approval is known in the audit log: its id cannot be found from it."""
    return sha256(approval.encode()).hexdigest()[:12]


def _spent(asked: ApprovalRequested) -> dict[str, Any]:
    """Which limit a run has reached, and what it has used; the others are not known."""
    told = json.loads(asked.arguments)
    nothing: dict[str, Any] = dict.fromkeys(_LIMITS)
    return {**nothing, told["limit"]: {"limit": told["allowed"], "used": told["used"]}}


def _target(asked: ApprovalRequested) -> str:
    """What is decided, in words; the approval's id is none for a log: who has it may decide."""
    return f"{asked.tool or 'limits'} of run {asked.run}"


def _arguments(fields: Fields, default: Any) -> str | None:
    """Arguments as text: as it was given, or of the object that was given."""
    given = fields.get("arguments", (str, dict), "the text of a JSON object, or the object", default)
    return json.dumps(given) if isinstance(given, dict) else given


def _where(error: UnfitArguments) -> str:
    """Where in the arguments the first thing is that does not fit: ``arguments.edits[0].old_string``."""
    found = _PLACE.search(str(error))
    if found is None:
        return "arguments"
    parts = found[1].split(".")
    return "arguments" + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in parts)


_PLACE: Final = re.compile(r"^- ([^:\n]{1,200}): ", re.MULTILINE)
