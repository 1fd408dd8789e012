"""What a run waits for, as AG-UI's interrupts, and what is answered to them.

https://docs.ag-ui.com/spec/1.0/basic/patterns/interrupt-resume

The id of an interrupt is the place of the stream at which it stands, and the approval: ``run:cursor:approval``. Nobody
need remember anything until the answer comes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from ...agents.agency import Agency
from ...agents.caller import Caller
from ...agents.errors import UnfitArguments, UnknownApproval
from ...agents.runs.handle import RunHandle
from ...agents.runs.reading.progress import RunRecord
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

_SAID: Final = ("approved", "editedArgs", "limits", "reason")
"""What an answer may say."""


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
    """What is answered by the entries of an input's ``resume``; None where it has none.

    Raises:
        Refused: one answers no interrupt, or one that another answers or that is of another run; or its answer is none.
    """
    place: Place | None = None
    answers: dict[str, Answer] = {}
    for index, entry in enumerate(entries or ()):
        at = f"resume[{index}].interruptId"
        where, _, approval = entry["interruptId"].rpartition(":")
        try:
            found = Place.read(where)
        except Refused:
            raise _unknown(index) from None
        if not (approval and found.cursor.isascii() and found.cursor.isdigit()):
            raise _unknown(index)
        place = place or found
        if found.run != place.run:
            raise refuse(400, "invalid_answer", f"{at}: interrupts of two runs are answered by two inputs", at)
        if approval in answers:
            raise refuse(400, "invalid_answer", f"{at}: answered twice: give each interrupt one answer", at)
        answers[approval] = _answer(index, entry, approval)
    return None if place is None else Resume(place.run, place.cursor, tuple(answers.values()))


def _unknown(index: int) -> Refused:
    at = f"resume[{index}].interruptId"
    return refuse(404, "unknown_interrupt", f"{at}: there is no interrupt of this id: give it as it came", at)


def _answer(index: int, entry: Mapping[str, Any], approval: str) -> Answer:
    if entry["status"] == "cancelled":
        return Answer(approval, False, reason="nobody wanted to decide it")
    where, said = f"resume[{index}].payload", entry.get("payload")
    if isinstance(said, bool):
        said = {"approved": said}
    if not isinstance(said, dict) or not isinstance(said.get("approved"), bool):
        raise refuse(400, "invalid_answer", f'{where}: expected an object such as {{"approved": true}}', where)
    if others := said.keys() - set(_SAID):
        raise refuse(400, "invalid_answer", f"{where}: {min(others)!r:.60} is none of {', '.join(_SAID)}", where)
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


async def answer(agency: Agency, handle: RunHandle, resume: Resume, caller: Caller) -> None:
    """Decide what was asked, as far as it waits still: the same input may come twice.

    Args:
        agency: whose run it is.
        handle: the run.
        resume: what is answered.
        caller: who answers.

    Raises:
        Refused: something else waits that is not answered, or what is answered was never asked, or was decided
            otherwise; nothing is decided then.
        NotAllowed: it is another's to decide.
    """
    waits = {one.approval for one in await agency.pending_approvals() if one.root == resume.run}
    if missing := waits - {one.approval for one in resume.answers}:
        message = f"resume: {len(missing)} more of this run's interrupts wait for an answer: answer all of them at once"
        raise refuse(400, "interrupt_open", message, "resume")
    _check(await handle.records(), resume, waits)
    waiting = [(index, one) for index, one in enumerate(resume.answers) if one.approval in waits]
    # what may not fit its tool comes first, while nothing is decided
    for index, one in sorted(waiting, key=lambda found: found[1].arguments is None):
        try:
            if one.approved:
                await agency.approve(one.approval, arguments=one.arguments, limits=one.limits, caller=caller)
            else:
                await agency.deny(one.approval, one.reason, caller=caller)
        except UnknownApproval:
            pass  # somebody else has decided it this moment
        except UnfitArguments as error:
            where = f"resume[{index}].payload.editedArgs"
            raise refuse(400, "invalid_arguments", f"{where}: {error}", where) from None


def _check(records: Sequence[RunRecord], resume: Resume, waits: Set[str]) -> None:
    """Look whether what is answered was asked in a run, and what does not wait any more was decided so."""
    asked: dict[str, str] = {}
    decided: dict[str, bool] = {}
    calls: set[str] = set()  # under way, of which others may ask
    for record in records:
        call = record.data.get("call_id", "")
        if record.type == "completed":
            calls.update(one["id"] for one in record.data["tool_calls"])
        elif record.type == "tool_returned":
            calls.discard(call)
        elif record.type == "approval_asked":
            asked[call] = record.data["approval"]
            calls.discard(call)
        elif record.type in ("approval_decided", "limits_raised") and call in asked:
            decided[asked[call]] = record.data.get("approved", True)
            calls.add(call)
    known = {*asked.values(), *decided, *waits}
    for index, one in enumerate(resume.answers):
        # of what agents ask to which a call has handed work there is no record here
        if not records or int(resume.cursor) > records[-1].position or not (one.approval in known or calls):
            raise _unknown(index)
        if one.approval not in waits and decided.get(one.approval, one.approved) is not one.approved:
            said = "denied" if one.approved else "approved"
            where = f"resume[{index}]"
            raise refuse(409, "already_decided", f"{where}: it was {said} before: send what is new", where)
