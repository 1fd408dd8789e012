"""Answers what the SDK has read of requests. A task is a run: whoever has its id and may see it finds it in any
process, also after a restart."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Mapping, Set
from contextlib import aclosing, suppress
from typing import Any, Final

from a2a.server.context import ServerCallContext
from a2a.server.events.event_queue import Event
from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import (
    ExtendedAgentCardNotConfiguredError,
    InvalidParamsError,
    PushNotificationNotSupportedError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from a2a.utils.task import apply_history_length, validate_history_length, validate_page_size
from google.protobuf.json_format import MessageToDict

from ...agents.caller import Caller
from ...agents.errors import AgentError, DefinitionError, NotAllowed, UnknownApproval
from ...agents.runs.handle import RunHandle
from ...agents.runs.reading.progress import RunRecord
from ..runs import KEY, Asked, begin, cancel_soon, cancelled_when_left, error_of_end, headers_of, leaving, run_of
from ..server import OnDisconnect, Server
from ..streams import RESUME, Place, catch_up
from ..waiting import noticed, until_asked, waiting_for
from .answering import answered
from .listing import tasks_of
from .messages import asked, decisions
from .paths import TOLD, Told
from .push import Pushes
from .tasks import MESSAGE_ID, OVER, Updates, end_of, snapshot, typed_value, waits

CANCEL_WAIT: Final = 5.0
"""Seconds for which a run that another process works on is waited for to end."""


class Runs(RequestHandler):
    """Serves one agent.

    Args:
        server: whose it is.
        agent: its name.
        pushes: tells webhooks of tasks; None where none are told.
    """

    def __init__(self, server: Server, agent: str, pushes: Pushes | None) -> None:
        self._server = server
        self._agent = agent
        self._pushes = pushes

    # -- messages ------------------------------------------------------------------------------------------------------

    @answered
    async def on_message_send(self, params: pb.SendMessageRequest, context: ServerCallContext) -> pb.Task:
        """Have a message done, or told to the task that it names; answer once that is over, or waits for the caller."""
        caller = caller_of(context)
        validate_history_length(params.configuration)
        when_left = leaving(self._server, context.state["request"])
        handle = await self._begun(params, context, caller, stream=False)
        told_of(context).run = handle.id
        if not params.configuration.return_immediately:
            answering = asyncio.ensure_future(handle.answer())
            try:
                async with cancelled_when_left(self._server, context.state["request"], handle, when_left):
                    with suppress(AgentError):
                        if not await until_asked(self._server.agency, handle, caller, answering):
                            await asyncio.wait((answering,))
            finally:
                answering.cancel()
                if answering.done() and not answering.cancelled():
                    answering.exception()
        return apply_history_length(await self._task(handle, context), params.configuration)

    @answered
    async def on_message_send_stream(
        self, params: pb.SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event]:
        """The same, as it goes on: the task, and then what becomes of it, until it is over or waits for the caller. Who
        was cut off and sends it again is given what comes behind the event that was the last."""
        caller = caller_of(context)
        validate_history_length(params.configuration)
        when_left = leaving(self._server, context.state["request"])
        place = place_of(context)
        if place is not None:
            handle = await self._found(place.run, caller)
        else:
            handle = await self._begun(params, context, caller, stream=True)
        async with aclosing(self._events(handle, context, when_left, place)) as events:
            async for event in events:
                yield apply_history_length(event, params.configuration) if isinstance(event, pb.Task) else event

    @answered
    async def on_subscribe_to_task(
        self, params: pb.SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event]:
        """A task as it is, and then what becomes of it; or what comes behind an event. While it waits, until somebody
        has decided."""
        caller = caller_of(context)
        handle = await self._found(params.id, caller)
        place = place_of(context)
        if place is not None and place.run != handle.id:
            raise InvalidParamsError(f"{RESUME} is of another task")
        if await handle.status() in ("ended", "failed"):
            records = await handle.records()
            if place is None or not records or place.cursor == records[-1].cursor:
                raise UnsupportedOperationError(f"task {handle.id} is over: get it")
        waiting = () if place is not None else await waiting_for(self._server.agency, handle, caller)
        known = {one.approval for one in waiting}
        async with aclosing(self._events(handle, context, "continue", place, known)) as events:
            async for event in events:
                yield event

    async def _begun(
        self, params: pb.SendMessageRequest, context: ServerCallContext, caller: Caller, *, stream: bool
    ) -> RunHandle:
        message = params.message
        hook: pb.TaskPushNotificationConfig | None = None
        if params.configuration.HasField("task_push_notification_config"):
            hook = params.configuration.task_push_notification_config
            self._told_by_push(hook)
        if message.task_id:
            handle = await self._found(message.task_id, caller)
            if message.context_id and message.context_id != handle.conversation:
                raise InvalidParamsError("message.contextId is not that of the task that message.taskId names")
            await self._told(handle, message, caller)
            if hook is not None:
                await self._hooked(handle, hook)
            return handle
        headers: Mapping[str, str] = context.state.get("headers", {})
        body = {"message": MessageToDict(message)}
        about = Asked(
            self._agent,
            caller,
            (asked(message),),
            body,
            headers.get(KEY, ""),
            stream,
            connection=context.state["request"],
        )
        conversation = message.context_id or (run_of(about) if about.key else uuid.uuid4().hex)
        about = about._replace(options={"conversation": conversation, "metadata": {MESSAGE_ID: message.message_id}})
        handle = await begin(self._server, about)
        if hook is not None:
            await self._hooked(handle, hook)
        return handle

    async def _told(self, handle: RunHandle, message: pb.Message, caller: Caller) -> None:
        """Tell a task that is under way: what it waits for, or something more."""
        agency = self._server.agency
        status = await handle.status()
        if status in ("ended", "failed"):
            raise UnsupportedOperationError(
                f"task {handle.id} is over: give its contextId, without a taskId, to go on with what was said"
            )
        waiting = await waiting_for(agency, handle, caller) if status == "waiting" else ()
        if not waiting:
            await agency.steer(handle.conversation, (asked(message),), agent=handle.agent, caller=caller)
            return
        decided = decisions(message, [one.approval for one in waiting])
        for approval, (approved, reason) in decided.items():
            with suppress(UnknownApproval):
                if approved:
                    await agency.approve(approval, caller=caller)
                else:
                    await agency.deny(approval, reason, caller=caller)

    # -- tasks ---------------------------------------------------------------------------------------------------------

    @answered
    async def on_get_task(self, params: pb.GetTaskRequest, context: ServerCallContext) -> pb.Task:
        """A task as it is."""
        validate_history_length(params)
        handle = await self._found(params.id, caller_of(context))
        return apply_history_length(await self._task(handle, context), params)

    @answered
    async def on_list_tasks(self, params: pb.ListTasksRequest, context: ServerCallContext) -> pb.ListTasksResponse:
        """The caller's tasks with this agent, those that changed last first."""
        validate_history_length(params)
        if params.HasField("page_size"):
            validate_page_size(params.page_size)
        check_state(context)
        return await tasks_of(self._server, self._agent, caller_of(context), params)

    @answered
    async def on_cancel_task(self, params: pb.CancelTaskRequest, context: ServerCallContext) -> pb.Task:
        """Have a task end."""
        caller = caller_of(context)
        handle = await self._found(params.id, caller)
        if await handle.status() in ("ended", "failed"):
            raise TaskNotCancelableError(f"task {handle.id} is over")
        await handle.cancel("cancelled by the client")
        with suppress(TimeoutError, AgentError):
            await handle.answer(CANCEL_WAIT)
        return await self._task(handle, context)

    async def _found(self, task: str, caller: Caller) -> RunHandle:
        try:
            handle = await self._server.agency.handle(task, caller=caller)
        except (NotAllowed, DefinitionError) as error:  # whose it is, is not told
            raise TaskNotFoundError() from error
        if handle.agent != self._agent:
            raise TaskNotFoundError()
        return handle

    async def _task(self, handle: RunHandle, context: ServerCallContext) -> pb.Task:
        task, _ = await snapshot(self._server, handle, caller_of(context))
        headers = {"callboard-run": handle.id}
        if task.status.state == pb.TaskState.TASK_STATE_COMPLETED:
            headers = await headers_of(self._server, handle)
        told_of(context).headers.update(headers)
        return task

    async def _events(
        self,
        handle: RunHandle,
        context: ServerCallContext,
        when_left: OnDisconnect,
        place: Place | None,
        known: Set[str] = frozenset(),
    ) -> AsyncGenerator[pb.Task | pb.TaskStatusUpdateEvent | pb.TaskArtifactUpdateEvent]:
        caller = caller_of(context)
        told_of(context).run = handle.id
        ids = told_of(context).ids
        updates = Updates(handle)
        ended = False
        try:
            if place is None:
                task, before = await snapshot(self._server, handle, caller)
                ids.append(f"{handle.id}:{before}")
                yield task
                if task.status.state in OVER:
                    ended = True
                    return
                sent = 0
            else:
                before, sent = place.cursor, place.sent
                await catch_up(updates.take, handle, before)
            async with aclosing(self._items(handle, before, caller, known)) as items:
                async for item in items:
                    if isinstance(item, tuple):
                        ended = True  # it waits for whoever has asked, who goes on with it
                        ids.append("")
                        yield updates.status(waits(handle, item, None))
                        return
                    events = list(updates.take(item))
                    if isinstance(item, RunRecord) and item.type == "ended":
                        ended = True
                        events += await self._end(handle, updates, item)
                    for index, event in enumerate(events, 1):
                        if index > sent:
                            where = item.cursor if index == len(events) else f"{before}+{index}"
                            ids.append(f"{handle.id}:{where}")
                            yield event
                    sent = 0 if events else sent
                    before = item.cursor
        except Exception:
            ended = True
            raise
        finally:
            if not ended and when_left == "cancel":
                cancel_soon(self._server, handle)

    async def _end(
        self, handle: RunHandle, updates: Updates, item: RunRecord
    ) -> list[pb.TaskStatusUpdateEvent | pb.TaskArtifactUpdateEvent]:
        """The last events of a task."""
        status = updates.status(end_of(handle, item, await error_of_end(handle)))
        if item.data["error"] is not None:
            return [status]
        await headers_of(self._server, handle)
        text = item.data["text"]
        return [updates.answer(text, typed_value(self._server, handle, text)), status]

    async def _items(self, handle: RunHandle, cursor: str, caller: Caller, known: Set[str]) -> AsyncGenerator[Any]:
        """The items of a run's stream; and, as the last, what waits for the caller and is not known to."""
        agency = self._server.agency
        with noticed(agency, handle) as arrived:
            async with aclosing(handle.stream(after=cursor)) as stream:
                following: asyncio.Future[Any] = asyncio.ensure_future(anext(stream, None))
                asking = asyncio.ensure_future(arrived.wait())
                arrived.set()
                try:
                    while True:
                        await asyncio.wait((following, asking), return_when=asyncio.FIRST_COMPLETED)
                        if following.done():
                            item = following.result()
                            if item is None:
                                return
                            yield item
                            following = asyncio.ensure_future(anext(stream, None))
                            continue
                        arrived.clear()
                        asking = asyncio.ensure_future(arrived.wait())
                        waiting = await waiting_for(agency, handle, caller)
                        if any(one.approval not in known for one in waiting):
                            yield waiting
                            return
                finally:
                    following.cancel()
                    asking.cancel()
                    await asyncio.gather(following, asking, return_exceptions=True)

    # -- webhooks ------------------------------------------------------------------------------------------------------

    @answered
    async def on_create_task_push_notification_config(
        self, params: pb.TaskPushNotificationConfig, context: ServerCallContext
    ) -> pb.TaskPushNotificationConfig:
        """Have a webhook told of a task: at once, where it is over."""
        self._told_by_push(params)
        return await self._hooked(await self._found(params.task_id, caller_of(context)), params)

    @answered
    async def on_get_task_push_notification_config(
        self, params: pb.GetTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> pb.TaskPushNotificationConfig:
        """A webhook of a task."""
        for found in await self._hooks(params.task_id, context):
            if found.id == params.id:
                return found
        raise TaskNotFoundError(f"task {params.task_id:.100} has no webhook {params.id:.100}, or it was told the end")

    @answered
    async def on_list_task_push_notification_configs(
        self, params: pb.ListTaskPushNotificationConfigsRequest, context: ServerCallContext
    ) -> pb.ListTaskPushNotificationConfigsResponse:
        """All webhooks of a task that have not been told its end."""
        return pb.ListTaskPushNotificationConfigsResponse(configs=await self._hooks(params.task_id, context))

    @answered
    async def on_delete_task_push_notification_config(
        self, params: pb.DeleteTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> None:
        """Tell one no more."""
        pushes, names = self._told_by_push(), {one.id for one in await self._hooks(params.task_id, context)}
        if params.id in names:
            await pushes.remove(params.task_id, params.id)

    def _told_by_push(self, given: pb.TaskPushNotificationConfig | None = None) -> Pushes:
        """What tells webhooks; one that is given is looked at.

        Raises:
            PushNotificationNotSupportedError: nothing does.
            Refused: it may not be told.
        """
        if self._pushes is None:
            raise PushNotificationNotSupportedError()
        if given is not None:
            self._pushes.check(given.url)
        return self._pushes

    async def _hooked(self, handle: RunHandle, given: pb.TaskPushNotificationConfig) -> pb.TaskPushNotificationConfig:
        return await self._told_by_push().create(handle.id, given)

    async def _hooks(self, task: str, context: ServerCallContext) -> list[pb.TaskPushNotificationConfig]:
        pushes = self._told_by_push()
        handle = await self._found(task, caller_of(context))
        return [pushes.config_of(about) for about in await pushes.listed(handle.id)]

    # -- what is not served --------------------------------------------------------------------------------------------

    async def on_get_extended_agent_card(
        self, params: pb.GetExtendedAgentCardRequest, context: ServerCallContext
    ) -> pb.AgentCard:
        """There is one card for all."""
        raise ExtendedAgentCardNotConfiguredError()


def caller_of(context: ServerCallContext) -> Caller:
    """Who asks."""
    caller: Caller = context.state["caller"]
    return caller


def told_of(context: ServerCallContext) -> Told:
    """What the answer is by HTTP."""
    found: Told = context.state["request"].scope[TOLD]
    return found


def check_state(context: ServerCallContext) -> None:
    """Look whether the state that is asked for is one: the SDK leaves out what it does not know.

    Raises:
        InvalidParamsError: it is none.
    """
    params = told_of(context).asked.get("params")
    query = context.state["request"].query_params
    given = params.get("status") if isinstance(params, Mapping) else query.get("status")
    known = list(pb.TaskState.keys())
    if isinstance(given, str) and given not in known:
        raise InvalidParamsError(f"status: there is no state {given!r:.60}; there are {', '.join(known)}")


def place_of(context: ServerCallContext) -> Place | None:
    """Behind which event a request goes on with a stream; None for one that begins it.

    Raises:
        Refused: it is no event's id.
    """
    headers: Mapping[str, str] = context.state.get("headers", {})
    return Place.read(headers[RESUME]) if headers.get(RESUME) else None
