"""What clients say and are told: JSON objects with a ``type``. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ...agents.events import ApprovalRequested
from ...agents.runs.reading.cursor import RunText
from ...agents.runs.reading.progress import RunRecord
from ...agents.turns.rules import Limits
from ..problems import Problem, refuse
from ..requests import as_object

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "authenticate": ("token",),
    "ask": ("input", "conversation", "key", "tools", "on_disconnect"),
    "resume": ("run", "cursor", "on_disconnect"),
    "leave": ("run",),
    "steer": ("run", "input"),
    "approvals": (),
    "approve": ("approval", "arguments", "limits"),
    "deny": ("approval", "reason"),
    "cancel": ("run", "reason"),
    "ping": (),
}
"""The types that there are, with the fields of each besides ``type`` and ``id``."""

_KINDS: Final[Mapping[str, tuple[type | tuple[type, ...], str]]] = {
    "input": ((str, list), "a text, or a list of messages"),
    "tools": (list, "a list of tools"),
    "arguments": (dict, "an object"),
    "limits": (dict, "an object of steps, tokens or cost"),
}
"""What fields are that are no texts."""

_NEEDED: Final = frozenset({"token", "run", "approval", "input"})


class Said:
    """A message of a client.

    Args:
        text: as it came.

    Attributes:
        type: what is wanted.
        id: by which the answer names it; None where it has none.

    Raises:
        Refused: it is none; the refusal does not know its id.
    """

    def __init__(self, text: str) -> None:
        given = as_object(text)
        self.id = given.get("id")
        self.type = given.get("type")
        self._given = given

    def check(self) -> None:
        """Look at all of it.

        Raises:
            Refused: something is wrong with it.
        """
        if not isinstance(self.id, str | int | None) or isinstance(self.id, bool) or len(str(self.id)) > 100:
            self.id = None
            raise refuse(400, "invalid_field", "id is a text or a whole number of up to 100 characters", "id")
        if not isinstance(self.type, str) or self.type not in FIELDS:
            raise refuse(400, "unknown_type", f"type is one of {', '.join(FIELDS)}, not {self.type!r:.40}", "type")
        there = FIELDS[self.type]
        for name in self._given.keys() - {"type", "id", *there}:
            raise refuse(400, "unknown_field", f"{name!r:.80} is no field of {self.type}", name[:80])
        for name in there:
            kind, words = _KINDS.get(name, (str, "a text"))
            value = self._given.get(name)
            if value is None:
                if name in _NEEDED:
                    raise refuse(400, "missing_field", f"{name} is missing: give {words}", name)
            elif not isinstance(value, kind):
                raise refuse(400, "invalid_field", f"{name} is {words}, not {type(value).__name__}", name)
        if self._given.get("key") == "":
            raise refuse(400, "invalid_field", "key is empty: leave it out for a run that is made each time", "key")

    def get(self, name: str, default: Any = None) -> Any:
        """A field's value, or what it is where it is not given."""
        value = self._given.get(name)
        return default if value is None else value

    @property
    def body(self) -> Mapping[str, Any]:
        """What tells two messages apart that have one key."""
        return {name: value for name, value in self._given.items() if name != "id"}

    @property
    def limits(self) -> Limits | None:
        """What a run may use in all.

        Raises:
            Refused: that is no number.
        """
        given = self.get("limits")
        if given is None:
            return None
        for name, value in given.items():
            kinds = (int, float) if name == "cost" else int
            known = name in ("steps", "tokens", "cost")
            if not known or isinstance(value, bool) or not isinstance(value, kinds) or not value >= 0:
                raise refuse(400, "invalid_field", "limits are numbers as steps, tokens or cost", "limits")
        return Limits(given.get("steps"), given.get("tokens"), given.get("cost"), None)


def of_item(item: RunRecord | RunText, run: str) -> dict[str, Any]:
    """What happened in a run."""
    if isinstance(item, RunText):
        told: dict[str, Any] = {"type": "text", "run": run, "cursor": item.cursor, "kind": item.kind, "text": item.text}
        return {**told, "restarted": True} if item.restarted else told
    told = {
        "type": "event",
        "run": run,
        "cursor": item.cursor,
        "event": item.type,
        "at": item.at,
        "data": dict(item.data),
    }
    return told if item.run == run else {**told, "agent": item.agent}


def of_problem(problem: Problem, id: Any = None, run: str = "") -> dict[str, Any]:
    """What went wrong."""
    told: dict[str, Any] = {
        "type": "problem",
        "code": problem.code,
        "detail": problem.message,
        "status": problem.status,
    }
    about = {"id": id, "run": run or problem.run, "where": problem.where, "retry_after": problem.retry_after}
    return told | {name: value for name, value in about.items() if value not in (None, "")}


def of_approval(asked: ApprovalRequested) -> dict[str, Any]:
    """A call that waits for a person."""
    return {
        "approval": asked.approval,
        "run": asked.root,
        "agent": asked.agent,
        "tool": asked.tool,
        "arguments": asked.arguments,
        "why": asked.why,
        "expires_at": asked.expires_at,
    }
