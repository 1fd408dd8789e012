"""What a run waits for, as AG-UI's interrupts, and what is answered to them.

https://docs.ag-ui.com/spec/1.0/basic/patterns/interrupt-resume

The id of an interrupt is the place of the stream at which it stands, and the approval: ``run:cursor:approval``. Nobody
need remember anything until the answer comes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from ...agents.agency import Agency
from ...agents.caller import Caller
from ...agents.errors import UnknownApproval
from ...agents.turns.rules import Limits
from ..problems import Refused, refuse
from ..streams import Place

_OF_CALLS: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "approved": {"type": "boolean"},
        "editedArgs": {"type": "object", "description": "in place of the call's arguments, all of them"},
        "reason": {"type": "string", "description": "why it is refused, for the agent"},
    },
    "required": ["approved"],
}
_OF_LIMITS: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "approved": {"type": "boolean"},
        "limits": {
            "type": "object",
            "description": "what the run may use in all",
            "properties": {"steps": {"type": "integer"}, "tokens": {"type": "integer"}, "cost": {"type": "number"}},
        },
        "reason": {"type": "string"},
    },
    "required": ["approved"],
}


def interrupt(run: str, cursor: str, asked: Mapping[str, Any], call: Mapping[str, Any] | None) -> dict[str, Any]:
    """An approval as an interrupt.

    Args:
        run: whose stream it ends.
        cursor: where.
        asked: its ``approval`` id, ``call_id`` and ``expires_at``.
        call: the call's ``name`` and ``arguments``; None where a run wants to use more than it may.
    """
    about: dict[str, Any] = {"id": f"{run}:{cursor}:{asked['approval']}"}
    if call is None:
        about |= {"reason": "callboard:limits", "message": "What the run may use is spent: may it use more?"}
        about["responseSchema"] = _OF_LIMITS
    else:
        about |= {"reason": "tool_call", "message": f"May {call['name']} be called?", "toolCallId": asked["call_id"]}
        about["responseSchema"] = _OF_CALLS
    if asked["expires_at"] is not None:
        about["expiresAt"] = datetime.fromtimestamp(asked["expires_at"], UTC).isoformat()
    return about


class Answer(NamedTuple):
    """What a person says.

    Args:
        approval: to what.
        approved: whether the call runs.
        arguments: JSON text in place of the call's.
        limits: what the run may use.
        reason: for the model.
    """

    approval: str
    approved: bool
    arguments: str | None = None
    limits: Limits | None = None
    reason: str = ""


class Resume(NamedTuple):
    """What an input goes on with.

    Args:
        run: of the agency.
        cursor: of the stream's place at which the interrupted run of the protocol had ended.
        answers: what is answered.
    """

    run: str
    cursor: str
    answers: tuple[Answer, ...]


def read_resume(entries: Any) -> Resume | None:
    """What is answered by the entries of an input's ``resume``; None where none of them is of ours.

    Raises:
        Refused: an answer is none.
    """
    place: Place | None = None
    answers = []
    for index, entry in enumerate(entries or ()):
        where, _, approval = entry["interruptId"].rpartition(":")
        with suppress(Refused):
            found = Place.read(where)
            if place is None and found.cursor.isascii() and found.cursor.isdigit():
                place = found
            if place is not None and found.run == place.run:
                answers.append((index, entry, approval))
    if place is None:
        return None
    return Resume(place.run, place.cursor, tuple(_answer(*one) for one in answers))


def _answer(index: int, entry: Mapping[str, Any], approval: str) -> Answer:
    if entry["status"] == "cancelled":
        return Answer(approval, False, reason="nobody wanted to decide it")
    where, said = f"resume[{index}].payload", entry.get("payload")
    if isinstance(said, bool):
        said = {"approved": said}
    if not isinstance(said, dict) or not isinstance(said.get("approved"), bool):
        raise refuse(400, "invalid_answer", f'{where}: expected an object such as {{"approved": true}}', where)
    edited, limits, reason = said.get("editedArgs"), said.get("limits"), said.get("reason", "")
    if not isinstance(edited, dict | None) or not isinstance(reason, str):
        raise refuse(400, "invalid_answer", f"{where}: editedArgs is an object, and reason a text", where)
    return Answer(
        approval,
        said["approved"],
        json.dumps(edited) if edited is not None and said["approved"] else None,
        _limits(limits, f"{where}.limits") if said["approved"] else None,
        reason,
    )


def _limits(given: Any, where: str) -> Limits | None:
    if given is None:
        return None
    numbers: dict[str, Any] = (
        given if isinstance(given, dict) and given.keys() <= {"steps", "tokens", "cost"} else {"": ""}
    )
    for name, value in numbers.items():
        kinds = (int, float) if name == "cost" else int
        if isinstance(value, bool) or not isinstance(value, kinds) or not value >= 0:
            raise refuse(400, "invalid_answer", f"{where}: expected numbers as steps, tokens or cost", where)
    return Limits(numbers.get("steps"), numbers.get("tokens"), numbers.get("cost"), None)


async def answer(agency: Agency, resume: Resume, caller: Caller) -> None:
    """Decide what was asked, as far as it waits still: the same input may come twice.

    Raises:
        Refused: something else waits that is not answered; nothing is decided then.
        NotAllowed: it is another's to decide.
    """
    waits = {one.approval for one in await agency.pending_approvals() if one.root == resume.run}
    if missing := waits - {one.approval for one in resume.answers}:
        message = f"resume: {len(missing)} more of this run's interrupts wait for an answer: answer all of them at once"
        raise refuse(400, "interrupt_open", message, "resume")
    for one in resume.answers:
        if one.approval not in waits:
            continue
        with suppress(UnknownApproval):
            if one.approved:
                await agency.approve(one.approval, arguments=one.arguments, limits=one.limits, caller=caller)
            else:
                await agency.deny(one.approval, one.reason, caller=caller)
