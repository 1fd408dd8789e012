"""A task of Agent2Agent as whoever has asked for it knows it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

OVER: Final = frozenset(
    {"TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_CANCELED", "TASK_STATE_REJECTED"},
)
WAITS: Final = frozenset({"TASK_STATE_INPUT_REQUIRED", "TASK_STATE_AUTH_REQUIRED"})


class Task:
    """A task, of which one piece after another becomes known.

    Attributes:
        id: empty while it is not known, and where a message was the answer.
        state: of the protocol's.
        said: what the agent says of its state.
    """

    def __init__(self) -> None:
        self.id = ""
        self.state = ""
        self.said = ""
        self._artifacts: dict[str, list[str]] = {}

    @property
    def over(self) -> bool:
        """Whether there is nothing to come."""
        return self.state in OVER

    @property
    def text(self) -> str:
        """What there is of the answer."""
        return "\n\n".join(text for pieces in self._artifacts.values() if (text := "".join(pieces)))

    def take(self, piece: Mapping[str, Any]) -> None:
        """Take what has come: a message, a task, or what is new of one.

        Raises:
            ValueError: it is none of the protocol's.
        """
        for name, take in _KINDS.items():
            given = piece.get(name)
            if given is not None:
                if not isinstance(given, Mapping):
                    raise ValueError(f"{name} is no object")
                take(self, given)
                return
        raise ValueError(f"there is none of {', '.join(_KINDS)}")

    def _message(self, message: Mapping[str, Any]) -> None:
        self.state, self.said = "TASK_STATE_COMPLETED", as_text(message.get("parts"))

    def _task(self, task: Mapping[str, Any]) -> None:
        self.id = str(task.get("id", ""))
        if not self.id:
            raise ValueError("a task has no id")
        artifacts = task.get("artifacts")
        if isinstance(artifacts, list):
            self._artifacts = {}
            for artifact in artifacts:
                self._artifact({"artifact": artifact})
        self._status({"status": task.get("status")})

    def _status(self, update: Mapping[str, Any]) -> None:
        status = update.get("status")
        state = status.get("state") if isinstance(status, Mapping) else None
        if not isinstance(status, Mapping) or not isinstance(state, str):
            raise ValueError("a task has no state")
        self.state = state
        message = status.get("message")
        if isinstance(message, Mapping):
            self.said = as_text(message.get("parts"))

    def _artifact(self, update: Mapping[str, Any]) -> None:
        artifact = update.get("artifact")
        if not isinstance(artifact, Mapping):
            raise ValueError("an artifact is no object")
        text = as_text(artifact.get("parts"))
        name = str(artifact.get("artifactId", ""))
        if update.get("append") is True and name in self._artifacts:
            self._artifacts[name].append(text)
        else:
            self._artifacts[name] = [text]


_KINDS: Final[Mapping[str, Any]] = {
    "message": Task._message,
    "task": Task._task,
    "statusUpdate": Task._status,
    "artifactUpdate": Task._artifact,
}


def as_text(parts: Any) -> str:
    """Parts as a text: texts as they follow on each other, data as JSON and files by their names on lines of their own.

    Raises:
        ValueError: they are none.
    """
    if parts is None:
        return ""
    if not isinstance(parts, list) or not all(isinstance(part, Mapping) for part in parts):
        raise ValueError("parts are a list of objects")
    pieces: list[str] = []
    text = ""
    for part in parts:
        if isinstance(part.get("text"), str):
            text += part["text"]
            continue
        pieces.append(text)
        text = ""
        if "data" in part:
            if not _says(pieces[-1], part["data"]):
                pieces.append(json.dumps(part["data"], ensure_ascii=False))
        elif "url" in part or "raw" in part:
            pieces.append(f"[file {part.get('filename') or part.get('url') or ''}]".replace(" ]", "]"))
    return "\n".join(filter(None, [*pieces, text]))


def _says(text: str, data: Any) -> bool:
    """Whether a text is some data already."""
    try:
        return bool(json.loads(text) == data)
    except (ValueError, RecursionError):
        return False
