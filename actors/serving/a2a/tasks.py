"""Runs as tasks: what is known of one by its records. Pure, but for `snapshot`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from a2a.types import a2a_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from ....providers.messages import Message
from ....providers.wire.fitting.letters import mended
from ...agents.caller import Caller
from ...agents.errors import AgentError
from ...agents.events import ApprovalRequested
from ...agents.runs.handle import RunHandle
from ...agents.runs.reading.cursor import RunText
from ...agents.runs.reading.progress import RunRecord
from ...agents.turns.steps import NOBODY_DECIDED
from ..problems import problem_of
from ..runs import error_of_end, headers_of
from ..server import Server
from ..waiting import in_words, waiting_for
from .messages import said, tells, value_of

ANSWER: Final = "answer"
"""The id of the artifact that is the run's answer."""

MESSAGE_ID: Final = "a2a.message"
"""Where in a run's metadata the id of the message stands that it was begun by."""

OVER: Final = frozenset(
    {
        pb.TaskState.TASK_STATE_COMPLETED,
        pb.TaskState.TASK_STATE_FAILED,
        pb.TaskState.TASK_STATE_CANCELED,
        pb.TaskState.TASK_STATE_REJECTED,
    }
)

_RUNNING: Final[Mapping[str, pb.TaskState]] = {
    "queued": pb.TaskState.TASK_STATE_SUBMITTED,
    "running": pb.TaskState.TASK_STATE_WORKING,
    "waiting": pb.TaskState.TASK_STATE_INPUT_REQUIRED,
}
_REFUSED: Final = frozenset({"guardrail_tripped", "label_refused", "content_filter", "not_allowed"})


async def snapshot(server: Server, handle: RunHandle, caller: Caller) -> tuple[pb.Task, str]:
    """A run as a task, and the cursor behind which its stream goes on."""
    records = await handle.records()
    metadata = await handle.metadata()
    status = await handle.status()
    task = pb.Task(id=handle.id, context_id=handle.conversation)
    begun_by = str(metadata.get(MESSAGE_ID, handle.id))
    task.history.extend(said(begun_by, handle.id, handle.conversation, await handle.question()))
    for message_id, text in _told(records):
        task.history.extend(said(message_id, handle.id, handle.conversation, [Message("user", text)]))
    at = records[-1].at if records else None
    last = records[-1] if records else None
    if last is not None and last.type == "ended":
        if last.data["error"] is None:
            await headers_of(server, handle)
            task.artifacts.append(artifact(last.data["text"], typed_value(server, handle, last.data["text"])))
        task.status.CopyFrom(end_of(handle, last, await error_of_end(handle)))
    elif status == "waiting":
        task.status.CopyFrom(waits(handle, await waiting_for(server.agency, handle, caller), at))
    else:
        task.status.CopyFrom(
            pb.TaskStatus(state=_RUNNING.get(status, pb.TaskState.TASK_STATE_WORKING), timestamp=time_of(at))
        )
    return task, records[-1].cursor if records else ""


def _told(records: Iterable[RunRecord]) -> Iterator[tuple[str, str]]:
    """What people have said to a run on its way, each once: one message may deny several calls."""
    denied = ""
    for record in records:
        if record.type == "steered":
            yield f"{record.run}-{record.position}", record.data["text"]
        if record.type == "approval_decided" and not record.data["approved"]:
            text = record.data["reason"]
            if text and text not in (denied, NOBODY_DECIDED):
                yield f"{record.run}-{record.position}", text
            denied = text
        else:
            denied = ""


def waits(handle: RunHandle, asked: Sequence[ApprovalRequested], at: float | None) -> pb.TaskStatus:
    """The state of a task that waits for a person, with what is to be decided: the ids are the keys of the answer."""
    text, data = "It waits for a person who may decide.", None
    if asked:
        text = "\n".join([*map(in_words, asked), 'Answer "approve", or say why not.'])
        data = {"approvals": {one.approval: {"tool": one.tool, "arguments": _plain(one.arguments)} for one in asked}}
    message = tells(handle.id, handle.conversation, text, data)
    return pb.TaskStatus(state=pb.TaskState.TASK_STATE_INPUT_REQUIRED, message=message, timestamp=time_of(at))


def _plain(arguments: str) -> Any:
    try:
        return json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return arguments


def end_of(handle: RunHandle, ended: RunRecord, error: AgentError | None) -> pb.TaskStatus:
    """The state of a task that is over."""
    if error is None:
        return pb.TaskStatus(state=pb.TaskState.TASK_STATE_COMPLETED, timestamp=time_of(ended.at))
    problem, state = problem_of(error, handle.id), pb.TaskState.TASK_STATE_FAILED
    if problem.code == "run_cancelled":
        state = pb.TaskState.TASK_STATE_CANCELED
    elif problem.code in _REFUSED:
        state = pb.TaskState.TASK_STATE_REJECTED
    message = tells(handle.id, handle.conversation, problem.message, {"code": problem.code})
    return pb.TaskStatus(state=state, message=message, timestamp=time_of(ended.at))


def artifact(text: str, value: Any = None) -> pb.Artifact:
    """The answer; where it has a type, its value besides."""
    parts = [pb.Part(text=mended(text), media_type="text/plain")]
    if value is not None:
        parts.append(pb.Part(data=value_of(value), media_type="application/json"))
    return pb.Artifact(artifact_id=ANSWER, name=ANSWER, parts=parts)


def typed_value(server: Server, handle: RunHandle, text: str) -> Any:
    """The value of an answer that has a type, as plain data; None for one that is text."""
    agent = server.agency.agents.get(handle.agent)
    return _plain(text) if agent is not None and agent.output is not None else None


def time_of(at: float | None) -> Timestamp:
    """A time, now where nothing is recorded yet."""
    stamp = Timestamp()
    if at is None:
        stamp.GetCurrentTime()
    else:
        stamp.FromNanoseconds(int(at * 1_000) * 1_000_000)
    return stamp


class Updates:
    """What is sent of a run: what the model says as pieces of the answer, each completion in place of the one before,
    and the states.

    Args:
        handle: the run.
    """

    def __init__(self, handle: RunHandle) -> None:
        self._task, self._context = handle.id, handle.conversation
        self._begun = False
        """Whether there was text of the completion under way."""
        self._text = ""
        """It, as it was sent from here."""
        self._said = ""
        """That of the one before."""

    def take(self, item: RunRecord | RunText) -> Iterator[pb.TaskStatusUpdateEvent | pb.TaskArtifactUpdateEvent]:
        """The events that an item leads to; of the run's end what there is of its answer."""
        if isinstance(item, RunText):
            if item.kind != "text":
                return
            if item.text or item.restarted:
                yield self._piece(item.text, append=self._begun and not item.restarted)
                self._text = item.text if item.restarted else self._text + item.text
            self._begun = True
        elif item.type in ("started", "resumed", "approval_decided"):
            yield self.status(pb.TaskStatus(state=pb.TaskState.TASK_STATE_WORKING, timestamp=time_of(item.at)))
        elif item.type in ("completed", "completion_failed"):
            self._said, self._text, self._begun = self._text, "", False

    def answer(self, text: str, value: Any) -> pb.TaskArtifactUpdateEvent:
        """The last piece of the answer: all of it, where it is not what was sent."""
        made = self._piece("", append=True)
        if value is not None or text != self._said:
            made.append = False
            made.artifact.CopyFrom(artifact(text, value))
        made.last_chunk = True
        return made

    def status(self, status: pb.TaskStatus) -> pb.TaskStatusUpdateEvent:
        """A state."""
        return pb.TaskStatusUpdateEvent(task_id=self._task, context_id=self._context, status=status)

    def _piece(self, text: str, *, append: bool) -> pb.TaskArtifactUpdateEvent:
        piece = pb.Artifact(
            artifact_id=ANSWER, name=ANSWER, parts=[pb.Part(text=mended(text), media_type="text/plain")]
        )
        return pb.TaskArtifactUpdateEvent(
            task_id=self._task, context_id=self._context, artifact=piece, append=append, last_chunk=False
        )
