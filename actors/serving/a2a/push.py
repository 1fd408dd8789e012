"""Push notifications: webhooks that are told of a task as it goes on, also over crashes and by other workers.

Each is a stream of the journal (``serving.a2a:RUN:ID``), deleted once the task's end was told. What it is told is
signed, see `Webhooks`; its token and credentials go with it as the client gave them.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from ...agents.caller import Caller
from ...agents.runs.handle import RunHandle
from ...journal.store import at_hand
from ..problems import refuse
from ..server import Server
from ..webhooks import Deliveries, Notice, Webhooks

if TYPE_CHECKING:
    from a2a.types import a2a_pb2 as pb

PREFIX: Final = "serving.a2a:"
TOKEN: Final = "X-A2A-Notification-Token"
MOST: Final = 10
"""Webhooks of one task."""

_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_HEADER: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,4000}[\x21-\x7e])?")


class Pushes(Deliveries):
    """Tells the webhooks that clients have named for their tasks.

    Args:
        server: whose tasks.
        settings: which may be named, and how they are told.
    """

    prefix = PREFIX

    def __init__(self, server: Server, settings: Webhooks) -> None:
        super().__init__(server.agency, settings)
        self._server = server

    async def create(self, run: str, given: pb.TaskPushNotificationConfig) -> pb.TaskPushNotificationConfig:
        """Have a webhook told of a task from now on; one of the same id is replaced.

        Raises:
            Refused: it may not be named, or there are too many.
            JournalError: it could not be written.
        """
        name = given.id or uuid.uuid4().hex
        if not _ID.fullmatch(name):
            raise refuse(400, "invalid_field", "id: at most 64 letters, digits, '_', '.' and '-'", "id")
        for where, text in (("token", given.token), ("authentication.credentials", given.authentication.credentials)):
            if text and not _HEADER.fullmatch(text):
                raise refuse(400, "invalid_field", f"{where} is to be sent as a header, and cannot be", where)
        scheme = given.authentication.scheme
        if scheme and not re.fullmatch(r"[A-Za-z0-9-]{1,40}", scheme):
            raise refuse(400, "invalid_field", "authentication.scheme is a name, such as Bearer", "scheme")
        about = {
            "run": run,
            "id": name,
            "url": given.url,
            "token": given.token,
            "scheme": scheme,
            "credentials": given.authentication.credentials,
        }
        self.check(given.url)
        there = await self.listed(run)
        if name in {one["id"] for one in there}:
            await self.remove(run, name)
        elif len(there) >= MOST:
            raise refuse(400, "too_many", f"a task has at most {MOST} webhooks: delete one")
        key = f"{run}:{name}"
        await self._write(key, about)
        if key in self._at_work:
            self._start(self._at_work[key])
        return config_of(about)

    async def listed(self, run: str) -> list[Mapping[str, Any]]:
        """What is written down of the webhooks of a task that were not told its end yet."""
        found: list[Mapping[str, Any]] = []
        journal = self._agency.journal
        for header in await at_hand(journal.headers(prefix=f"{PREFIX}{run}:", unfinished=True)):
            records = await at_hand(journal.read(header.name, limit=1))
            if records:
                found.append(records[0].event)
        return found

    async def remove(self, run: str, name: str) -> None:
        """Tell one no more."""
        telling = self._at_work.pop(f"{run}:{name}", None)
        if telling is not None and telling.task is not None:
            telling.task.cancel()
            await asyncio.gather(telling.task, return_exceptions=True)
        await at_hand(self._agency.journal.delete(f"{PREFIX}{run}:{name}"))

    async def notices(self, handle: RunHandle, about: Mapping[str, Any], told: str) -> AsyncGenerator[Notice]:
        """The states that a task comes into, and at its end all of it."""
        from google.protobuf.json_format import MessageToDict

        from .tasks import Updates, snapshot, waits

        headers = {TOKEN: about["token"]} if about["token"] else {}
        if about["scheme"]:
            headers["Authorization"] = f"{about['scheme']} {about['credentials']}".strip()
        after = int(told.rpartition("-")[2]) if told else 0
        updates = Updates(handle)
        async with aclosing(handle.events(after=after)) as records:
            async for record in records:
                events: list[Any] = list(updates.take(record))
                if record.type == "approval_asked":
                    events = [updates.status(waits(handle, (), record.at))]
                elif record.type == "ended":
                    events = [(await snapshot(self._server, handle, Caller()))[0]]
                for event in events[-1:]:
                    kind = {"Task": "task", "TaskStatusUpdateEvent": "statusUpdate"}[type(event).__name__]
                    body = json.dumps({kind: MessageToDict(event)}, separators=(",", ":")).encode()
                    yield Notice(f"{handle.id}-{record.position}", body, headers)


def config_of(about: Mapping[str, Any]) -> pb.TaskPushNotificationConfig:
    """A webhook as the protocol has it; what it is told along is for whoever has named it."""
    from a2a.types import a2a_pb2 as pb

    made = pb.TaskPushNotificationConfig(id=about["id"], task_id=about["run"], url=about["url"], token=about["token"])
    if about["scheme"]:
        made.authentication.scheme = about["scheme"]
        made.authentication.credentials = about["credentials"]
    return made
