"""Webhooks that are told of a run's end: at least once, also over crashes, signed as Standard Webhooks has it.

What is to be told is a stream of the journal (``serving.webhook:RUN``), written before the run is, and deleted once it
was told. Its owner is the process that tells; where that has died, another one finds the stream abandoned.

A protocol that tells more than the end, in words of its own, makes `Deliveries` of its own.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ...providers.checks import COUNT, SOME_SECONDS
from ...providers.wire.limits import retry_after
from ...tools.builtin.addresses import check_peer, pinned
from ...tools.builtin.web import tls_context
from ...tools.errors import FetchFailed
from ..agents.agency import Agency
from ..agents.errors import AgencyClosed, AgentError, DefinitionError, UnknownRun
from ..agents.handoffs.signing import key_of, sign_webhook
from ..agents.runs.handle import RunHandle
from ..agents.wishes import define
from ..journal.errors import JournalError, StreamOwned
from ..journal.store import Stream, at_hand
from .problems import problem_of, refuse

if TYPE_CHECKING:
    import httpx

PREFIX: Final = "serving.webhook:"

ABOUT: Final = 0.1
"""Seconds between two looks whether another process has written down what it was about to."""

LOOK: Final = 5.0
"""Seconds between two looks for what processes that have died were to tell."""

LONGEST: Final = 2_000
"""Characters of an address."""

LONGEST_WAIT: Final = 3_600.0

logger = logging.getLogger("callboard")


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Which webhooks a run in the background may name, and how they are told of its end.

    They are sent a JSON object: ``type`` (``run.ended`` or ``run.failed``) and ``data`` with the run's id, agent,
    conversation, status and the error's code; what was said is not in it. It is signed, see `verify_webhook`; its
    ``webhook-id`` is the same each time it is sent: a repeat is told apart by it.

    Args:
        hosts: the hosts that may be named: ``hooks.example.com``, ``*.example.com`` for those below it, with a port
            (``hooks.example.com:8443``) where it is not the usual one.
        secret: signs what is sent: a text, or ``whsec_`` and base64.
        private: also tell hosts of this machine and of private networks, and by http.
        attempts: times that one is told, until it answers 2xx.
        wait: seconds before the second time; doubled each time.
        timeout: seconds for its answer.

    Raises:
        DefinitionError: there are no hosts, no secret, or something is of another type.
    """

    hosts: Sequence[str]
    secret: str = field(repr=False)
    private: bool = False
    attempts: int = 10
    wait: float = 5.0
    timeout: float = 30.0

    def __post_init__(self) -> None:
        hosts: Any = self.hosts
        given = () if isinstance(hosts, str) or not isinstance(hosts, Sequence) else tuple(hosts)
        if not given or not all(isinstance(host, str) and host.strip("*.") for host in given):
            raise DefinitionError(f"Webhooks: hosts are a list of names, such as hooks.example.com, not {hosts!r:.80}")
        define("Webhooks", attempts=(self.attempts, COUNT), wait=(self.wait, SOME_SECONDS))
        define("Webhooks", timeout=(self.timeout, SOME_SECONDS))
        if not isinstance(self.private, bool):
            raise DefinitionError(f"Webhooks: private is True or False, not {self.private!r:.40}")
        if not key_of(self.secret):
            raise DefinitionError("Webhooks: a secret signs what is sent; give one that cannot be guessed")
        object.__setattr__(self, "hosts", tuple(host.lower() for host in given))

    def allow(self, host: str, port: int | None) -> bool:
        """Whether a host may be named.

        Args:
            host: in lower case.
            port: None for the usual one.
        """
        suffix = "" if port is None else f":{port}"
        return any(
            host + suffix == allowed or (allowed.startswith("*.") and (host + suffix).endswith(allowed[1:]))
            for allowed in self.hosts
        )


class Notice(NamedTuple):
    """What a webhook is told.

    Args:
        id: the same each time that it is told.
        body: JSON.
        headers: sent along.
    """

    id: str
    body: bytes
    headers: Mapping[str, str] = {}


class _Telling:
    """One webhook that is told of a run.

    Args:
        key: behind the prefix in the name of its stream.
        events: of the stream; the first says what is to be told, and to whom.
        stream: its own.
    """

    def __init__(self, key: str, events: Sequence[Mapping[str, Any]], stream: Stream) -> None:
        self.key = key
        self.about = events[0]
        self.run = str(self.about["run"])
        self.url = str(self.about["url"])
        self.stream = stream
        self.told = ""
        """The id of the last notice that was heard."""
        self.failed = 0
        for event in events[1:]:
            self.told = str(event.get("told", self.told))
            self.failed = self.failed + 1 if "failed" in event else 0
        self.rests = asyncio.Event()
        """Set while there is nothing to be waited for: it was told, or is to be told again later."""
        self.task: asyncio.Task[None] | None = None


class Deliveries:
    """Tells the webhooks that runs have named.

    Args:
        agency: whose runs.
        settings: which may be named, and how they are told.
    """

    prefix = PREFIX

    def __init__(self, agency: Agency, settings: Webhooks) -> None:
        self._agency = agency
        self._settings = settings
        self._at_work: dict[str, _Telling] = {}
        self._client: httpx.AsyncClient | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Tell, and look for what others were to tell, until the end of the block. The agency runs."""
        looking = asyncio.get_running_loop().create_task(self._look(), name="webhooks")
        try:
            yield
        finally:
            tasks = [looking, *(one.task for one in self._at_work.values() if one.task is not None)]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._client is not None:
                await self._client.aclose()

    def check(self, url: str) -> None:
        """Look whether a webhook may be named.

        Raises:
            Refused: it may not.
        """
        import httpx

        try:
            target = httpx.URL(url) if len(url) <= LONGEST else None
        except httpx.InvalidURL:
            target = None
        schemes = ("https", "http") if self._settings.private else ("https",)
        if target is None or target.scheme not in schemes or not target.host or target.userinfo:
            wanted = "an address that begins with https://, without a user or password"
            raise refuse(400, "invalid_webhook", f"webhook is {wanted}, of at most {LONGEST} characters", "webhook")
        if not self._settings.allow(target.host.lower(), target.port):
            at = target.host if target.port is None else f"{target.host}:{target.port}"
            raise refuse(400, "webhook_not_allowed", f"webhook: {at:.200} may not be told of runs here", "webhook")

    async def expect(self, run: str, url: str) -> None:
        """Write down that the end of a run is to be told, before there is the run.

        Raises:
            Refused: the webhook may not be named.
            JournalError: it could not be written.
        """
        await self._write(run, {"run": run, "url": url})

    async def _write(self, key: str, about: Mapping[str, Any]) -> None:
        self.check(str(about["url"]))
        if key in self._at_work:
            return
        journal, name = self._agency.journal, self.prefix + key
        while True:
            try:
                stream = await at_hand(journal.open(name))
                break
            except StreamOwned:
                if await at_hand(journal.read(name, limit=1)):
                    return
                # Whoever has it is about to write it down, or has died on the way: then its lease ends.
                await asyncio.sleep(ABOUT)
        if not stream.version:
            await at_hand(stream.append((about,), unfinished=True))
        self._at_work[key] = _Telling(key, (about,), stream)

    async def notices(self, handle: RunHandle, about: Mapping[str, Any], told: str) -> AsyncGenerator[Notice]:
        """What is told of a run: here its end.

        Args:
            handle: the run.
            about: what was written down of the webhook.
            told: the id of the last one that was heard; empty for none.
        """
        yield Notice(handle.id, json.dumps(await _end_of(handle), separators=(",", ":")).encode())

    async def withdraw(self, run: str) -> None:
        """There will be no such run."""
        telling = self._at_work.pop(run, None)
        if telling is not None and telling.task is None:
            await at_hand(self._agency.journal.delete(self.prefix + run))

    async def begin(self, run: str, url: str) -> None:
        """Tell once the run has ended, which there is now.

        Raises:
            JournalError: it cannot be known whether it is written down that it is to be told.
        """
        telling = self._at_work.get(run)
        if telling is not None:
            self._start(telling)
        elif not await at_hand(self._agency.journal.read(self.prefix + run, limit=1)):
            # It was expected before, by a process that died; another one found that there was no such run.
            await self.expect(run, url)
            self._start(self._at_work[run])

    def _start(self, telling: _Telling) -> None:
        if telling.task is None:
            name = f"webhook of {telling.run}"
            telling.task = asyncio.get_running_loop().create_task(self._tell(telling), name=name)

    async def over(self) -> None:
        """Wait until the ends of runs that have ended are told, or are to be told again later."""
        ended: list[_Telling] = []
        for telling in list(self._at_work.values()):
            with suppress(AgentError, JournalError):
                handle = await self._agency.handle(telling.run)
                if await handle.status() in ("ended", "failed"):
                    ended.append(telling)
        for telling in ended:
            await telling.rests.wait()

    async def _look(self) -> None:
        while True:
            try:
                await self._take_up()
            except (AgencyClosed, JournalError) as error:
                logger.debug("webhooks were not looked for: %s", error)
            await asyncio.sleep(LOOK)

    async def _take_up(self) -> None:
        journal = self._agency.journal
        for header in await at_hand(journal.headers(prefix=self.prefix, unfinished=True, abandoned=True)):
            key = header.name.removeprefix(self.prefix)
            if key in self._at_work or header.damaged:
                continue
            try:
                stream = await at_hand(journal.open(header.name))
            except StreamOwned:
                continue
            events = list(stream.events)
            if not events:
                await at_hand(journal.delete(header.name))
                continue
            self._at_work[key] = telling = _Telling(key, events, stream)
            self._start(telling)

    async def _tell(self, telling: _Telling) -> None:
        """Wait for the end, and tell it until it was heard. What is not over when the agency stops, others find."""
        try:
            there = await self._told(telling)
            await at_hand(self._agency.journal.delete(self.prefix + telling.key))
        except (AgencyClosed, JournalError) as error:
            there = True
            logger.debug("the webhook of run %s is told by others: %s", telling.run, error)
        finally:
            telling.rests.set()
            self._at_work.pop(telling.key, None)
            with suppress(JournalError):
                telling.stream.release()
        if not there:
            # Somebody may have asked for it again meanwhile, and have seen that its webhook is taken care of.
            with suppress(UnknownRun, AgencyClosed, JournalError):
                await self._agency.handle(telling.run)
                await self._write(telling.key, telling.about)
                self._start(self._at_work[telling.key])

    async def _told(self, telling: _Telling) -> bool:
        """Returns whether there is such a run; if so, there is no more to be done."""
        try:
            handle = await self._agency.handle(telling.run)
        except UnknownRun:  # whoever was to begin it died before, or it was released
            return False
        async with aclosing(self.notices(handle, telling.about, telling.told)) as notices:
            heard = ""
            async for notice in notices:
                if heard:
                    await at_hand(telling.stream.append(({"told": heard},)))
                if not await self._heard(telling, notice):
                    break
                heard, telling.failed = notice.id, 0
        return True

    async def _heard(self, telling: _Telling, notice: Notice) -> bool:
        while telling.failed < self._settings.attempts:
            why, wait = await self._sent(telling, notice)
            if not why:
                return True
            telling.failed += 1
            await at_hand(telling.stream.append(({"failed": why},)))
            if telling.failed < self._settings.attempts:
                telling.rests.set()
                pause = self._settings.wait * 2 ** (telling.failed - 1)
                await asyncio.sleep(min(LONGEST_WAIT, max(pause, wait or 0.0)))
                telling.rests.clear()
        logger.warning("the webhook of run %s was not heard in %d attempts", telling.run, telling.failed)
        return False

    async def _sent(self, telling: _Telling, notice: Notice) -> tuple[str, float | None]:
        """Tell it once; returns why it was not heard, empty where it was, and when to come back."""
        import httpx

        settings = self._settings
        signed = sign_webhook(settings.secret, notice.id, notice.body)
        try:
            self.check(telling.url)  # what is allowed may have changed since
            client = await self._connected()
            async with asyncio.timeout(settings.timeout):
                request = await pinned(
                    client,
                    "POST",
                    httpx.URL(telling.url),
                    settings.private,
                    content=notice.body,
                    headers={"content-type": "application/json", **notice.headers, **signed},
                )
                async with aclosing(await client.send(request, stream=True)) as response:
                    check_peer(response, httpx.URL(telling.url), settings.private)
                    why = "" if response.is_success else f"status {response.status_code}"
                    return why, retry_after(response.headers)
        except TimeoutError:
            return "no answer in time", None
        except FetchFailed:
            return "the host may not be asked, or is not known", None
        except httpx.HTTPError as error:
            return type(error).__name__, None
        except Exception as error:  # `check` refuses
            return type(error).__name__, None

    async def _connected(self) -> httpx.AsyncClient:
        if self._client is None:
            import httpx

            from ...tools.threads import in_thread

            tls = await in_thread(tls_context)
            self._client = httpx.AsyncClient(verify=tls, timeout=None, trust_env=False)
        return self._client


async def _end_of(handle: RunHandle) -> dict[str, Any]:
    """What is told of a run's end.

    Raises:
        AgencyClosed, JournalError: it is not known here.
    """
    error: str | None = None
    try:
        await handle.answer()
    except AgencyClosed:
        raise
    except AgentError as failed:
        error = problem_of(failed).code
    data = {"run": handle.id, "agent": handle.agent, "conversation": handle.conversation}
    status = "ended" if error is None else "failed"
    return {"type": f"run.{status}", "data": {**data, "status": status, "error": error}}
