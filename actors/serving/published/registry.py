"""Where agencies tell of their agents, and find those of others: in a store that all of them reach.

Each process that serves has a stream ``callboard.published.WORKER``, which is its own as long as it lives: those of
processes that were killed belong to nobody once their leases have ended, and tell of nobody from then on.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from ....tools.scopes import may_use
from ...agents.caller import NOBODY, Caller
from ...agents.errors import DefinitionError
from ...agents.lifecycle import open_journal
from ...journal.errors import EventNotReadable, JournalError, StreamOwned
from ...journal.store import Journal, Stream, at_hand
from .search import ranked

STREAMS: Final = "callboard.published."
"""How the names of their streams begin; the id of the process's worker follows."""

LOOK: Final = 20.0
"""Seconds between two looks whether what was published is still there."""

logger = logging.getLogger("callboard")


class _Ability(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    name: str
    description: str


class _About(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    name: str
    description: str
    intents: list[str]
    tools: list[_Ability]
    skills: list[_Ability]
    routes: list[_Ability]


class _Told(TypedDict):
    about: _About
    scopes: list[str]


class _Telling(TypedDict):
    url: str
    agents: list[_Told]


_Published: Final = TypeAdapter(_Telling)


@dataclass(frozen=True, slots=True)
class PublishedAgent:
    """An agent that another process serves.

    Args:
        name: the agent's.
        description: what it is for.
        url: where its agency is served.
        intents: what it is there to do, as its agency says.
        about: all that is told of it, as ``GET /{agent}`` has it.
    """

    name: str
    description: str
    url: str
    intents: tuple[str, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def a2a(self) -> str:
        """Where it is asked by Agent2Agent: ``A2AAgent(found.name, found.a2a, description=found.description)``."""
        return f"{self.url}/a2a/{quote(self.name, safe='')}"


class Registry:
    """Agents that several agencies tell of: ``serve(agency, registry=Registry("agents.db", url="https://…"))``.

    Args:
        store: where: an SQLite file, or ``postgresql://…``. An agency's own journal will do where all agencies on it
            have the same agents.
        url: where this agency is served, as others reach it, with the path at which it is mounted; empty to find others
            and tell of nobody.
        intents: what agents are there to do, in words by which they are found, by the agent's name.

    Raises:
        DefinitionError: an argument is wrong.
    """

    def __init__(self, store: str | Path, *, url: str = "", intents: Mapping[str, Sequence[str]] | None = None) -> None:
        if not isinstance(store, str | Path) or not str(store):
            raise DefinitionError("a registry is kept in a store: a file, or postgresql://…")
        self._store = store
        self.url = _address(url)
        given: Any = {} if intents is None else intents
        fits = isinstance(given, Mapping) and all(isinstance(name, str) for name in given)
        if not fits or not all(map(_are_words, given.values())):
            raise DefinitionError("intents are lists of texts, by the agent's name")
        self.intents = {name: tuple(said) for name, said in given.items()}
        self._journal: Journal | None = None
        self._process = 0
        self._stream: Stream | None = None
        self._unread: set[str] = set()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(url={self.url!r})"  # the store's address may have a password

    def check(self, agents: Collection[str]) -> None:
        """Look whether intents are those of agents that there are.

        Raises:
            DefinitionError: they are another's.
        """
        for name in self.intents:
            if name not in agents:
                raise DefinitionError(f"intents: there is no agent {name!r:.100}; there are {', '.join(agents)}")

    async def search(self, text: str = "", *, caller: Caller = NOBODY) -> tuple[PublishedAgent, ...]:
        """Agents that other processes tell of now.

        Args:
            text: words; the best of those that say something of them come first. Empty for all, by name.
            caller: who asks: agents for which a caller needs a scope that this one does not have are left out.

        Raises:
            JournalError: the store cannot be read.
        """
        found = await self.elsewhere(caller)
        return tuple(
            PublishedAgent(one["name"], one["description"], one["url"], tuple(one["intents"]), one)
            for one in (ranked(found, text) if text else sorted(found, key=lambda one: str(one["name"])))
        )

    async def elsewhere(self, caller: Caller) -> list[dict[str, Any]]:
        """What other agencies tell a caller of their agents, each once, however many processes serve it.

        Raises:
            JournalError: the store cannot be read.
        """
        journal = self._open()
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for header in await at_hand(journal.headers(prefix=STREAMS)):
            if not header.owner or header.damaged or header.name == STREAMS + journal.worker:
                continue
            for url, about, scopes in await self._told_in(header.name):
                if url != self.url and may_use(caller.holds(None), scopes):
                    found[url, about["name"]] = {**about, "url": url}
        return list(found.values())

    async def _told_in(self, stream: str) -> list[tuple[str, Mapping[str, Any], frozenset[str]]]:
        """What a process tells: where it is, of which agents, for which scopes. What cannot be read, or is of another
        form, is logged once, and hides nobody else's."""
        try:
            records = await at_hand(self._open().read(stream, limit=1))
            told = [_Published.validate_python(record.event) for record in records]
        except (EventNotReadable, ValidationError) as error:
            if stream not in self._unread:
                self._unread.add(stream)
                why = error.errors()[0]["type"] if isinstance(error, ValidationError) else error
                logger.warning("what %s tells in the registry is left out: %s", stream, why)
            return []
        return [(each["url"], one["about"], frozenset(one["scopes"])) for each in told for one in each["agents"]]

    @asynccontextmanager
    async def telling(self, agents: Sequence[Mapping[str, Any]]) -> AsyncIterator[None]:
        """Tell of agents until the end of the block.

        Args:
            agents: what is told of each, and the scopes of which one is needed to hear it: ``about`` and ``scopes``.

        Raises:
            JournalError: it cannot be written.
        """
        keeping: asyncio.Task[None] | None = None
        try:
            if self.url:
                event = {"url": self.url, "agents": list(agents)}
                await self._tell(event)
                await self._clean()
                keeping = asyncio.get_running_loop().create_task(self._keep(event), name="published agents")
            yield
        finally:
            if keeping is not None:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)
            with suppress(JournalError):
                await self._withdraw()
            await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Let go of the store."""
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.close()

    def _open(self) -> Journal:
        if self._journal is None or self._process != os.getpid():  # what was opened before a fork is its parent's
            self._journal, self._process = open_journal(self._store), os.getpid()
        return self._journal

    async def _tell(self, event: Mapping[str, Any]) -> None:
        journal = self._open()
        stream = await at_hand(journal.open(STREAMS + journal.worker))
        if not stream.version:
            written = stream.append((event,))
            if written is not None:
                await written
        self._stream = stream

    async def _keep(self, event: Mapping[str, Any]) -> None:
        """Tell again where it is gone: of a process that stood still for long, others thought that it had died."""
        journal = self._open()
        while True:
            await asyncio.sleep(LOOK)
            try:
                there = await at_hand(journal.headers(prefix=STREAMS + journal.worker, limit=1))
                if not there or not there[0].owner:
                    await self._tell(event)
            except (JournalError, StreamOwned) as error:
                logger.warning("the registry does not tell of this agency's agents: %s", error)

    async def _clean(self) -> None:
        """Delete what processes have left that were killed."""
        journal = self._open()
        left = [header.name for header in await at_hand(journal.headers(prefix=STREAMS, abandoned=True))]
        if left:
            await at_hand(journal.delete(*left))

    async def _withdraw(self) -> None:
        if self._stream is not None and self._journal is not None:
            self._stream = None
            await at_hand(self._journal.delete(STREAMS + self._journal.worker))


def _address(url: object) -> str:
    """Where an agency is served, without a slash at its end.

    Raises:
        DefinitionError: nobody can ask there.
    """
    if url == "":
        return ""
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        wanted = "such as https://agents.example.com, without a user or password"
        raise DefinitionError(f"url is where the agency is served, {wanted}")
    if parts.query or parts.fragment:
        raise DefinitionError("url is where the agency is served, without a query and a fragment")
    try:
        reachable = parts.port != 0
    except ValueError:
        reachable = False
    if not reachable:
        raise DefinitionError("url is where the agency is served; its port is none")
    return str(url).rstrip("/")


def _are_words(given: object) -> bool:
    several = () if isinstance(given, str) or not isinstance(given, Sequence) else given
    return bool(several) and all(isinstance(one, str) and one.strip() for one in several)
