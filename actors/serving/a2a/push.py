"""Push notifications: webhooks that are told of a task as it goes on, also over crashes and by other workers.

Each is a stream of the journal (``serving.a2a:RUN:ID``), deleted once the task's end was told. What it is told is
signed, see `Webhooks`; its token and credentials go with it as the client gave them. In the journal they are encrypted,
by a key made of the webhooks' secret: whoever reads the database learns no key to another's door.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import logging
import re
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ...agents.caller import Caller
from ...agents.handoffs.signing import key_of
from ...agents.runs.handle import RunHandle
from ...journal.store import at_hand
from ..problems import refuse
from ..server import Server
from ..webhooks import Deliveries, Notice, Webhooks

if TYPE_CHECKING:
    from a2a.types import a2a_pb2 as pb
    from cryptography.fernet import Fernet

PREFIX: Final = "serving.a2a:"
TOKEN: Final = "X-A2A-Notification-Token"
MOST: Final = 10
"""Webhooks of one task."""

_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_PURPOSE: Final = b"callboard: what webhooks of A2A are told along"
_HEADER: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,4000}[\x21-\x7e])?")

logger = logging.getLogger("callboard")


class Along(NamedTuple):
    """What goes to a webhook with what it is told, as the client gave it.

    Args:
        token: in a header of the protocol's.
        scheme, credentials: in ``Authorization``.
    """

    token: str = ""
    scheme: str = ""
    credentials: str = ""


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
        along = Along(given.token, scheme, given.authentication.credentials)
        about = {"run": run, "id": name, "url": given.url, "sealed": self._sealed(along)}
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
        return self.config_of(about)

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

        along = self._opened(about)
        if along is None:
            logger.warning("a webhook of run %s is told no more: the secret of the webhooks is another one", handle.id)
            return
        headers = {TOKEN: along.token} if along.token else {}
        if along.scheme:
            headers["Authorization"] = f"{along.scheme} {along.credentials}".strip()
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

    def config_of(self, about: Mapping[str, Any]) -> pb.TaskPushNotificationConfig:
        """A webhook as the protocol has it; what it is told along is for whoever has named it."""
        from a2a.types import a2a_pb2 as pb

        along = self._opened(about) or Along()
        made = pb.TaskPushNotificationConfig(id=about["id"], task_id=about["run"], url=about["url"], token=along.token)
        if along.scheme:
            made.authentication.scheme = along.scheme
            made.authentication.credentials = along.credentials
        return made

    # -- in the journal ------------------------------------------------------------------------------------------------

    def _sealed(self, along: Along) -> str:
        return self._box().encrypt(json.dumps(along).encode()).decode() if any(along) else ""

    def _opened(self, about: Mapping[str, Any]) -> Along | None:
        """What goes along; None where it was written down under another secret."""
        from cryptography.fernet import InvalidToken

        if not about["sealed"]:
            return Along()
        try:
            return Along(*json.loads(self._box().decrypt(about["sealed"])))
        except InvalidToken:
            return None

    def _box(self) -> Fernet:
        from cryptography.fernet import Fernet

        key = hmac.digest(key_of(self._settings.secret), _PURPOSE, "sha256")
        return Fernet(base64.urlsafe_b64encode(key))
