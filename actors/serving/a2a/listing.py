"""The tasks of a caller, from the conversations that are kept."""

from __future__ import annotations

from typing import Final

from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import InvalidParamsError

from ...agents.caller import Caller
from ...agents.conversations.view import ConversationRun, ConversationSummary
from ...agents.errors import AgentError
from ..server import Server
from .tasks import snapshot

PAGE: Final = 50
LOOKED_AT: Final = 200
"""Conversations that are read for one answer, those that changed last."""

_STATES: Final = {
    "queued": (pb.TaskState.TASK_STATE_SUBMITTED,),
    "running": (pb.TaskState.TASK_STATE_WORKING,),
    "waiting": (pb.TaskState.TASK_STATE_INPUT_REQUIRED,),
    "answered": (pb.TaskState.TASK_STATE_COMPLETED,),
    "failed": (
        pb.TaskState.TASK_STATE_FAILED,
        pb.TaskState.TASK_STATE_CANCELED,
        pb.TaskState.TASK_STATE_REJECTED,
    ),
}


async def tasks_of(server: Server, agent: str, caller: Caller, asked: pb.ListTasksRequest) -> pb.ListTasksResponse:
    """The caller's own tasks, of one conversation or of those that changed last.

    Args:
        server: whose agents.
        agent: with whom.
        caller: whose.
        asked: which, and how many.

    Raises:
        InvalidParamsError: the token is none.
    """
    size = asked.page_size or PAGE
    begin = _offset(asked.page_token)
    runs = [
        run
        for run in await _runs(server, agent, caller, asked.context_id)
        if not asked.status or asked.status in _STATES[run.status]
    ]
    since = asked.status_timestamp_after
    tasks: list[pb.Task] = []
    at = begin
    for at, run in enumerate(runs[begin:], begin + 1):  # noqa: B007  # where the next page begins
        try:
            handle = await server.agency.handle(run.id, caller=caller)
            task, _ = await snapshot(server, handle, caller)
        except AgentError:  # one that was not begun in the background, or is gone meanwhile
            continue
        late = task.status.timestamp.ToNanoseconds() <= since.ToNanoseconds()
        if (asked.status and task.status.state != asked.status) or (since.seconds and late):
            continue
        if asked.HasField("history_length"):
            del task.history[: max(0, len(task.history) - asked.history_length)]
        if not asked.include_artifacts:
            task.ClearField("artifacts")
        tasks.append(task)
        if len(tasks) == size:
            break
    more = at < len(runs)
    return pb.ListTasksResponse(
        tasks=tasks, page_size=size, total_size=len(runs), next_page_token=str(at) if more else ""
    )


async def _runs(server: Server, agent: str, caller: Caller, context: str) -> list[ConversationRun]:
    """Those of the conversations, latest first."""
    if context:
        names = [context]
    else:
        found = await _conversations(server, agent, caller)
        names = [one.id for one in sorted(found, key=lambda one: -one.updated_at)[:LOOKED_AT]]
    runs: list[ConversationRun] = []
    for name in names:
        try:
            view = await server.agency.conversation(name, agent=agent, caller=caller)
        except AgentError:
            continue
        runs.extend(view.runs)
    return sorted(runs, key=lambda run: -run.at)


async def _conversations(server: Server, agent: str, caller: Caller) -> list[ConversationSummary]:
    found: list[ConversationSummary] = []
    after: str | None = ""
    while after is not None and len(found) < 10 * LOOKED_AT:
        page = await server.agency.conversations(
            agent=agent, user=caller.user or None, tenant=caller.tenant or None, after=after, limit=LOOKED_AT
        )
        found += [one for one in page if (one.user, one.tenant) == (caller.user, caller.tenant)]
        after = page[-1].name if len(page) == LOOKED_AT else None
    return found


def _offset(token: str) -> int:
    if not token:
        return 0
    if not (token.isascii() and token.isdigit() and len(token) < 9):
        raise InvalidParamsError("pageToken: give it as it came")
    return int(token)
