"""Answers what the SDK has read of requests. A task is a run: whoever has its id and may see it finds it in any
process, also after a restart."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncGenerator, Mapping, Set
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any, Final

from a2a.server.context import ServerCallContext
from a2a.server.events.event_queue import Event
from a2a.server.request_handlers.request_handler import RequestHandler, validate_request_params
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
from ...agents.errors import AgentError, DefinitionError, UnknownApproval
from ...agents.runs.handle import RunHandle
from ...agents.runs.reading.progress import RunRecord
from ...journal.errors import JournalError
from ..problems import Refused
from ..runs import KEY, Asked, begin, cancel_soon, headers_of, leaving, problem_of_end, run_of
from ..server import OnDisconnect, Server
from ..waiting import noticed, until_asked, waiting_for
from .errors import as_error, not_mine
from .listing import tasks_of
from .messages import asked
from .push import Pushes, config_of
from .tasks import MESSAGE_ID, OVER, Updates, end_of, snapshot, typed_value, waits

YES: Final = re.compile(r"\s*(?:yes|ok|okay|approve|approved|confirm|confirmed|allow)[\s.!]*", re.IGNORECASE)
"""What a person says who approves; all else is why not."""

CANCEL_WAIT: Final = 5.0
"""Seconds for which a run that another process works on is waited for to end."""

_OURS: Final = (AgentError, DefinitionError, JournalError, Refused)


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

    @validate_request_params
    async def on_message_send(self, params: pb.SendMessageRequest, context: ServerCallContext) -> pb.Task:
        """Have a message done, or told to the task that it names; answer once that is over, or waits for the caller."""
        caller = caller_of(context)
        validate_history_length(params.configuration)
        when_left = self._when_left(context)
        handle = await self._begun(params, context, caller, stream=False)
        if not params.configuration.return_immediately:
            answering = asyncio.ensure_future(handle.answer())
            try:
                with suppress(AgentError):
                    if not await until_asked(self._server.agency, handle, caller, answering):
                        await asyncio.wait((answering,))
            except asyncio.CancelledError:
                if when_left == "cancel":
                    cancel_soon(self._server, handle)
                raise
            finally:
                answering.cancel()
                if answering.done() and not answering.cancelled():
                    answering.exception()
        return apply_history_length(await self._task(handle, caller), params.configuration)

    @validate_request_params
    async def on_message_send_stream(
        self, params: pb.SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event]:
        """The same, as it goes on: the task, and then what becomes of it, until it is over or waits for the caller."""
        caller = caller_of(context)
        validate_history_length(params.configuration)
        when_left = self._when_left(context)
        handle = await self._begun(params, context, caller, stream=True)
        async with aclosing(self._events(handle, caller, when_left)) as events:
            async for event in events:
                yield apply_history_length(event, params.configuration) if isinstance(event, pb.Task) else event

    @validate_request_params
    async def on_subscribe_to_task(
        self, params: pb.SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event]:
        """A task as it is, and then what becomes of it; while it waits, until somebody has decided."""
        caller = caller_of(context)
        handle = await self._found(params.id, caller)
        if await handle.status() in ("ended", "failed"):
            raise UnsupportedOperationError(f"task {handle.id} is over: get it")
        known = {one.approval for one in await waiting_for(self._server.agency, handle, caller)}
        async with aclosing(self._events(handle, caller, "continue", known)) as events:
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
        about = replace(about, options={"conversation": conversation, "metadata": {MESSAGE_ID: message.message_id}})
        try:
            handle = await begin(self._server, about)
        except _OURS as error:
            raise as_error(error) from error
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
        try:
            waiting = await waiting_for(agency, handle, caller) if status == "waiting" else ()
            if not waiting:
                await agency.steer(handle.conversation, (asked(message),), agent=handle.agent, caller=caller)
                return
            decided = _decisions(message, [one.approval for one in waiting])
            for approval, (approved, reason) in decided.items():
                with suppress(UnknownApproval):
                    if approved:
                        await agency.approve(approval, caller=caller)
                    else:
                        await agency.deny(approval, reason, caller=caller)
        except _OURS as error:
            raise as_error(error) from error

    def _when_left(self, context: ServerCallContext) -> OnDisconnect:
        try:
            return leaving(self._server, context.state["request"])
        except Refused as error:
            raise as_error(error) from error

    # -- tasks ---------------------------------------------------------------------------------------------------------

    @validate_request_params
    async def on_get_task(self, params: pb.GetTaskRequest, context: ServerCallContext) -> pb.Task:
        """A task as it is."""
        validate_history_length(params)
        caller = caller_of(context)
        return apply_history_length(await self._task(await self._found(params.id, caller), caller), params)

    @validate_request_params
    async def on_list_tasks(self, params: pb.ListTasksRequest, context: ServerCallContext) -> pb.ListTasksResponse:
        """The caller's tasks with this agent, those that changed last first."""
        validate_history_length(params)
        if params.HasField("page_size"):
            validate_page_size(params.page_size)
        try:
            found = await tasks_of(self._server, self._agent, caller_of(context), params)
        except _OURS as error:
            raise as_error(error) from error
        return found

    @validate_request_params
    async def on_cancel_task(self, params: pb.CancelTaskRequest, context: ServerCallContext) -> pb.Task:
        """Have a task end."""
        caller = caller_of(context)
        handle = await self._found(params.id, caller)
        if await handle.status() in ("ended", "failed"):
            raise TaskNotCancelableError(f"task {handle.id} is over")
        try:
            await handle.cancel("cancelled by the client")
            with suppress(TimeoutError, AgentError):
                await handle.answer(CANCEL_WAIT)
        except _OURS as error:
            raise as_error(error) from error
        return await self._task(handle, caller)

    async def _found(self, task: str, caller: Caller) -> RunHandle:
        try:
            handle = await self._server.agency.handle(task, caller=caller)
        except _OURS as error:
            raise not_mine(error) from error
        if handle.agent != self._agent:
            raise TaskNotFoundError()
        return handle

    async def _task(self, handle: RunHandle, caller: Caller) -> pb.Task:
        try:
            task, _ = await snapshot(self._server, handle, caller)
        except _OURS as error:
            raise as_error(error) from error
        return task

    async def _events(
        self, handle: RunHandle, caller: Caller, when_left: OnDisconnect, known: Set[str] = frozenset()
    ) -> AsyncGenerator[pb.Task | pb.TaskStatusUpdateEvent | pb.TaskArtifactUpdateEvent]:
        ended = False
        try:
            task, cursor = await snapshot(self._server, handle, caller)
            yield task
            if task.status.state in OVER:
                ended = True
                return
            updates = Updates(handle)
            async with aclosing(self._items(handle, cursor, caller, known)) as items:
                async for item in items:
                    if isinstance(item, tuple):
                        ended = True  # it waits for whoever has asked, who goes on with it
                        yield updates.status(waits(handle, item, None))
                        return
                    for event in updates.take(item):
                        yield event
                    if isinstance(item, RunRecord) and item.type == "ended":
                        ended = True
                        if item.data["error"] is None:
                            await headers_of(self._server, handle)
                            text = item.data["text"]
                            yield updates.answer(text, typed_value(self._server, handle, text))
                        yield updates.status(end_of(handle, item, await problem_of_end(handle)))
        except _OURS as error:
            ended = True
            raise as_error(error) from error
        finally:
            if not ended and when_left == "cancel":
                cancel_soon(self._server, handle)

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

    @validate_request_params
    async def on_create_task_push_notification_config(
        self, params: pb.TaskPushNotificationConfig, context: ServerCallContext
    ) -> pb.TaskPushNotificationConfig:
        """Have a webhook told of a task: at once, where it is over."""
        self._told_by_push(params)
        return await self._hooked(await self._found(params.task_id, caller_of(context)), params)

    @validate_request_params
    async def on_get_task_push_notification_config(
        self, params: pb.GetTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> pb.TaskPushNotificationConfig:
        """A webhook of a task."""
        for found in await self._hooks(params.task_id, context):
            if found.id == params.id:
                return found
        raise TaskNotFoundError(f"task {params.task_id:.100} has no webhook {params.id:.100}, or it was told the end")

    @validate_request_params
    async def on_list_task_push_notification_configs(
        self, params: pb.ListTaskPushNotificationConfigsRequest, context: ServerCallContext
    ) -> pb.ListTaskPushNotificationConfigsResponse:
        """All webhooks of a task that have not been told its end."""
        return pb.ListTaskPushNotificationConfigsResponse(configs=await self._hooks(params.task_id, context))

    @validate_request_params
    async def on_delete_task_push_notification_config(
        self, params: pb.DeleteTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> None:
        """Tell one no more."""
        pushes, names = self._told_by_push(), {one.id for one in await self._hooks(params.task_id, context)}
        if params.id in names:
            try:
                await pushes.remove(params.task_id, params.id)
            except _OURS as error:
                raise as_error(error) from error

    def _told_by_push(self, given: pb.TaskPushNotificationConfig | None = None) -> Pushes:
        """What tells webhooks; one that is given is looked at.

        Raises:
            PushNotificationNotSupportedError: nothing does.
            InvalidParamsError: it may not be told.
        """
        if self._pushes is None:
            raise PushNotificationNotSupportedError()
        if given is not None:
            try:
                self._pushes.check(given.url)
            except Refused as error:
                raise as_error(error) from error
        return self._pushes

    async def _hooked(self, handle: RunHandle, given: pb.TaskPushNotificationConfig) -> pb.TaskPushNotificationConfig:
        try:
            return await self._told_by_push().create(handle.id, given)
        except _OURS as error:
            raise as_error(error) from error

    async def _hooks(self, task: str, context: ServerCallContext) -> list[pb.TaskPushNotificationConfig]:
        pushes = self._told_by_push()
        handle = await self._found(task, caller_of(context))
        try:
            return [config_of(about) for about in await pushes.listed(handle.id)]
        except _OURS as error:
            raise as_error(error) from error

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


def _decisions(message: pb.Message, waiting: list[str]) -> dict[str, tuple[bool, str]]:
    """What a message decides, by approval: whether it is approved, and why not. Data say it of each, text of all."""
    decided: dict[str, tuple[bool, str]] = {}
    texts: list[str] = []
    for part in message.parts:
        kind = part.WhichOneof("content")
        if kind == "text":
            texts.append(part.text)
        elif kind == "data":
            data = MessageToDict(part.data)
            given = data.get("approvals") if isinstance(data, dict) else None
            if not isinstance(given, dict) or not given:
                raise InvalidParamsError('data: {"approvals": {id: true or false}} says what is approved')
            for approval, verdict in given.items():
                if approval not in waiting:
                    raise InvalidParamsError(f"data.approvals: {approval:.80} does not wait for you")
                if not isinstance(verdict, bool):
                    raise InvalidParamsError(f"data.approvals.{approval:.80} is true or false")
                decided[approval] = (verdict, "")
    text = "\n".join(texts).strip()
    if decided:
        return {approval: (yes, "" if yes else text) for approval, (yes, _) in decided.items()}
    if not text:
        raise InvalidParamsError("message.parts: it says nothing: approve, or say why not")
    return {approval: (bool(YES.fullmatch(text)), text) for approval in waiting}
