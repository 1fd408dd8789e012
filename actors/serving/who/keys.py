"""Keys that are given out, kept in a journal: every worker that shares it knows of a change at the next request.

A key is ``cb_NAME_SECRET``. The name is told to everybody who may see the list, the secret to whoever gets the key,
once: the journal has its SHA-256 only. That is enough because a secret is 256 random bits: nobody finds one by trying,
however quickly they try, so a slow hash or salt, which protect what people think up, would cost every request something
and protect nothing.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any, Final

from ....providers import checks
from ....tools.scopes import as_scopes
from ...agents.caller import Caller
from ...agents.errors import DefinitionError
from ...agents.lifecycle import open_journal
from ...core.mail.future import Future
from ...journal.errors import EventNotReadable, JournalError, StreamFenced, StreamOwned
from ...journal.store import Journal, Stream, at_hand

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

STREAMS: Final = "callboard.keys."
"""How the names of their streams begin."""

PREFIX: Final = "cb"
"""How every key begins, so that whoever looks for secrets that have leaked can see one."""

_KEY: Final = re.compile(rf"{PREFIX}_([a-z0-9][a-z0-9-]{{0,47}})_([A-Za-z0-9_-]{{43}})")
_NAME: Final = re.compile("[a-z0-9][a-z0-9-]{0,47}")
_NO_HASH: Final = "0" * 64
_TRIES: Final = 40
_PAUSE: Final = 0.05

logger = logging.getLogger("callboard")


class UnknownKey(DefinitionError):
    """No key has that name."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key.

    Args:
        name: of the key; budgets and limits call it so.
        caller: as whom its holder asks.
        made_at: seconds since 1970.
        expires_at: likewise; None for never.
        revoked_at: likewise; None where it is not.
    """

    name: str
    caller: Caller
    made_at: float
    expires_at: float | None = None
    revoked_at: float | None = None

    def valid(self, now: float) -> bool:
        """Whether it opens anything at a time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class ApiKeys:
    """Keys, and the function that says whose one is: ``serve(agency, authenticate=ApiKeys("team.db"))``.

    Args:
        journal: where they are kept: an SQLite file, ``postgresql://…``, or a journal. An agency's own will do.
        clock: seconds since 1970.
    """

    def __init__(self, journal: Journal | str | Path, *, clock: Callable[[], float] = time.time) -> None:
        if isinstance(journal, str | Path) and not str(journal):
            raise DefinitionError("keys are kept in a journal: a file, postgresql://…, or a Journal; '' is none")
        self._given = journal
        self._journal: Journal | None = None
        self._clock = clock
        self._process = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"  # an address may have a password

    async def add(
        self,
        *,
        user: str,
        tenant: str = "",
        scopes: Iterable[str] = (),
        expires_at: float | None = None,
        name: str = "",
    ) -> str:
        """Make a key.

        Args:
            user: who asks with it.
            tenant: the customer the user belongs to.
            scopes: what the user may do with it; see `Caller`.
            expires_at: seconds since 1970 from when on it opens nothing; None for never.
            name: of the key: small letters, digits and ``-``; by default a random one. No two keys have the same.

        Returns:
            the key. Nobody can be told it again.

        Raises:
            DefinitionError: something of it is wrong, or the name is taken.
            JournalError: it could not be kept.
        """
        given = tuple(scopes) if not isinstance(scopes, str) else (scopes,)
        held = as_scopes(given, "a key", DefinitionError) if given else frozenset()
        checks.require(
            DefinitionError,
            "a key",
            user=(user, checks.NAME),
            expires_at=(expires_at, checks.AMOUNT.or_none("for never")),
        )
        name = name or token_urlsafe(8).lower().replace("_", "0").replace("-", "1")
        if not _NAME.fullmatch(name):
            raise DefinitionError(f"{name!r:.80} cannot name a key: use up to 48 small letters, digits and '-'")
        caller = Caller(user, tenant, held)
        now = self._clock()
        if expires_at is not None and expires_at <= now:
            raise DefinitionError("a key that has expired already opens nothing: give a time to come")
        secret = token_urlsafe(32)
        event = {
            "made_at": now,
            "expires_at": expires_at,
            "user": caller.user,
            "tenant": caller.tenant,
            "scopes": sorted(caller.scopes),
            "sha256": _hash(secret),
        }

        def made(stream: Stream) -> Future[None] | None:
            if stream.version:
                raise DefinitionError(f"there is a key {name!r} already: give another name, also where it was revoked")
            # With work left in it, it is never pruned.
            return stream.append(({"key": event},), unfinished=True, labels={"user": user, "tenant": tenant})

        await self._change(name, made)
        return f"{PREFIX}_{name}_{secret}"

    async def list(self, *, user: str | None = None, tenant: str | None = None) -> tuple[ApiKey, ...]:
        """The keys that there are, by name; those that expired or were revoked among them.

        Args:
            user, tenant: only theirs; None for all.

        Raises:
            JournalError: they cannot be read.
        """
        labels = {name: given for name, given in (("user", user), ("tenant", tenant)) if given is not None}
        headers = await at_hand(self._open().headers(prefix=STREAMS, labels=labels or None))
        found = [await self._read(header.name.removeprefix(STREAMS)) for header in headers]
        return tuple(key for key, _ in found if key is not None)

    async def revoke(self, name: str) -> None:
        """Have a key open nothing from the next request on, in every worker.

        Args:
            name: the key's; not the key itself. One that is revoked stays so.

        Raises:
            UnknownKey: there is none.
            JournalError: it could not be kept.
        """
        if _KEY.fullmatch(name):
            raise DefinitionError("revoke takes a key's name, not the key: what stands between the first two '_'")
        if not _NAME.fullmatch(name) or (await self._read(name))[0] is None:
            raise UnknownKey(f"there is no key {name!r:.80}: see callboard keys list")

        def revoked(stream: Stream) -> Future[None] | None:
            if any("revoked_at" in event for event in stream.events):
                return None
            return stream.append(({"revoked_at": self._clock()},), unfinished=False)

        await self._change(name, revoked)

    async def __call__(self, connection: HTTPConnection) -> Caller | None:
        """Who asks: the user of the key that a request brings as ``Authorization: Bearer …``; None where that is no
        key, or opens nothing.

        Raises:
            JournalError: nobody can say, as the journal cannot be read.
        """
        given = _KEY.fullmatch(bearer(connection))
        if given is None:
            return None
        name, secret = given.groups()
        try:
            key, kept = await self._read(name)
        except EventNotReadable as error:  # whoever guesses names is not told which there are
            logger.error("the key %s opens nothing: %s", name, error)
            return None
        fits = hmac.compare_digest(_hash(secret), kept)
        if key is None or not fits or not key.valid(self._clock()):
            return None
        return key.caller

    def close(self) -> None:
        """Let go of the journal, where it was opened here."""
        journal, self._journal = self._journal, None
        if journal is not None and journal is not self._given:
            journal.close()

    async def _read(self, name: str) -> tuple[ApiKey | None, str]:
        """What is known of a key, and the hash of its secret; None, and one that no secret has, where there is none."""
        records = await at_hand(self._open().read(f"{STREAMS}{name}"))
        if not records:
            return None, _NO_HASH
        made: Mapping[str, Any] = records[0].event["key"]
        revoked = next((record.event["revoked_at"] for record in records[1:]), None)
        caller = Caller(made["user"], made["tenant"], frozenset(made["scopes"]), name)
        return ApiKey(name, caller, made["made_at"], made["expires_at"], revoked), made["sha256"]

    async def _change(self, name: str, change: Callable[[Stream], Future[None] | None]) -> None:
        """Append to a key's stream as its owner, whoever else does so at the same moment."""
        for left in reversed(range(_TRIES)):
            try:
                stream = await at_hand(self._open().open(f"{STREAMS}{name}"))
                try:
                    await _done(change(stream))
                    return
                finally:
                    with suppress(JournalError):
                        await _done(stream.release())
            except (StreamFenced, StreamOwned):
                if not left:
                    raise
            await asyncio.sleep(_PAUSE)

    def _open(self) -> Journal:
        if self._journal is None or (self._process != os.getpid() and isinstance(self._given, str | Path)):
            given, self._process = self._given, os.getpid()  # a journal that was opened before a fork is its parent's
            self._journal = open_journal(given) if isinstance(given, str | Path) else given
        return self._journal


def bearer(connection: HTTPConnection) -> str:
    """The token that a request brings; empty where it brings none, or two."""
    given = connection.headers.getlist("authorization")
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    return token.strip() if scheme.lower() == "bearer" else ""


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


async def _done(future: Future[None] | None) -> None:
    if future is not None:
        await future
