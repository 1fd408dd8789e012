"""What waits for a person, as questions to the one who uses the client; and what they say to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import mcp_types as types

from ...agents.agency import Agency
from ...agents.caller import Caller
from ...agents.errors import UnknownApproval
from ...agents.events import ApprovalRequested
from ...agents.runs.handle import RunHandle
from ..waiting import in_words, waiting_for


def requests_of(asked: tuple[ApprovalRequested, ...]) -> dict[str, Any]:
    """The questions, by the ids of what waits."""
    return {one.approval: _question(one) for one in asked}


def _question(asked: ApprovalRequested) -> types.ElicitRequest:
    schema = {
        "type": "object",
        "properties": {
            "confirm": {"type": "boolean", "title": "Let it", "description": "Whether it may."},
            "reason": {"type": "string", "title": "Reason", "description": "Told to the agent where it may not."},
        },
        "required": ["confirm"],
    }
    return types.ElicitRequest(params=types.ElicitRequestFormParams(message=in_words(asked), requested_schema=schema))


async def decide(agency: Agency, handle: RunHandle, responses: Mapping[str, Any] | None, caller: Caller) -> None:
    """Carry out what was said. What was decided otherwise meanwhile, and what is not of this run, is left alone; who
    dismisses a question, or answers neither yes nor no, has not answered it.

    Raises:
        NotAllowed: it is not the caller's to decide.
    """
    waiting = {one.approval for one in await waiting_for(agency, handle, caller)}
    for approval, response in (responses or {}).items():
        said = response if isinstance(response, Mapping) else _plain(response)
        action = said.get("action")
        if approval not in waiting or action not in ("accept", "decline"):
            continue
        content = said.get("content")
        content = content if isinstance(content, Mapping) else {}
        confirmed = content.get("confirm")
        if action == "accept" and not isinstance(confirmed, bool):
            continue
        with suppress(UnknownApproval):
            if action == "accept" and confirmed:
                await agency.approve(approval, caller=caller)
            else:
                reason = content.get("reason")
                await agency.deny(approval, reason if isinstance(reason, str) else "", caller=caller)


def _plain(response: Any) -> Mapping[str, Any]:
    found: Any = json.loads(response.model_dump_json(by_alias=True)) if hasattr(response, "model_dump_json") else {}
    return found if isinstance(found, Mapping) else {}
