"""A target that speaks Agent2Agent (https://a2a-protocol.org, 1.0): found by its card, asked by JSON-RPC or REST.

No package is needed: what of the protocol is spoken here is a handful of JSON objects, each read within bounds.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from ....providers.checks import TEXT
from ....providers.messages import Message, shown
from ....providers.wire.fitting.letters import mended
from ....providers.wire.limits import retry_after
from ....providers.wire.secrets import blot, public
from ....providers.wire.sse import Parser
from ...observe.spans import trace_headers
from ..answer import Answer
from ..errors import AgentUnavailable, RunFailed
from ..wishes import define
from .a2a_task import WAITS, Task
from .http_target import ATTEMPTS, LARGEST, SHOWN, WAIT, HttpTarget, as_json, host_of
from .remote import KEY, name_at
from .target import AgentRequest

if TYPE_CHECKING:
    import httpx

CARD: Final = "/.well-known/agent-card.json"
SCHEME: Final = "a2a+"
"""Before ``https://``: an address of an agent that speaks Agent2Agent."""

POLL: Final = 1.0
"""Seconds between two looks at a task whose stream was cut; doubled each time, up to `SLOWEST`."""

SLOWEST: Final = 15.0
FAILED_LOOKS: Final = 6
"""Looks at a task that may fail one after another, about a minute: its server may be coming back."""

GOODBYE: Final = 5.0
"""Seconds for telling an agent there that nobody waits for its task any more."""

_BINDINGS: Final = ("JSONRPC", "HTTP+JSON")


class A2AAgent(HttpTarget):
    """An agent elsewhere that speaks Agent2Agent, version 1.0.

    Its answer is read as it comes, where its card says that it streams; where the stream breaks, its task is looked at
    until it is over. A task that waits for a person there is ended, and what it asks is the answer. Nobody waits for a
    task whose run here is cancelled, or has no time left: it is cancelled there.

    Two that are made of the same are the same.

    Args:
        name: as the model here knows it.
        url: the agent's address, below which its card is (``/.well-known/agent-card.json``), or the card's own.
        api_key: sent as a bearer token, to the host of the card alone; never shown.
        description: when to use it.
        timeout: seconds for the whole answer. Where the agent has too much to do (429), it is asked again within them,
            when it says.
        transport: for tests: an httpx transport in place of the network.

    Raises:
        DefinitionError: the address is none of the web, or another argument is of the wrong type.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        api_key: str = "",
        description: str = "",
        timeout: float = 300.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        define(f"A2A agent {name}", url=(url, TEXT), api_key=(api_key, KEY))
        super().__init__("A2A agent", name, url.removeprefix(SCHEME), description, timeout, transport)
        self._key = api_key

    @property
    def _there(self) -> str:
        return f"{self.name} at {public(self._url)}"

    async def answer(self, request: AgentRequest) -> Answer:
        """Do the task there.

        Raises:
            AgentUnavailable: it cannot be reached, refuses, is too late, says too much, or has no card that fits.
            RunFailed: it failed at the task, or what it says is not of the protocol.
        """
        import httpx

        deadline = asyncio.get_running_loop().time() + self._timeout
        try:
            async with (
                asyncio.timeout_at(deadline),
                httpx.AsyncClient(timeout=None, transport=self._transport) as client,
            ):
                return await self._answered(client, request, deadline)
        except _Away as error:
            raise AgentUnavailable(str(error)) from None
        except TimeoutError:
            what = f"did not answer within {self._timeout:g} seconds"
        except httpx.HTTPError as error:
            what = f"{type(error).__name__} {blot(str(error), self._url, self._key)}".strip()
        raise AgentUnavailable(f"{self._there} {what}")

    async def _answered(self, client: httpx.AsyncClient, request: AgentRequest, deadline: float) -> Answer:
        task = Task()
        try:
            wire = _Wire(self, client, await self._found(client, deadline), deadline)
            sending = asyncio.ensure_future(wire.send(task, _said(request), request.context.run))
            try:
                await asyncio.shield(sending)
                await self._looked_at(wire, task)
            finally:
                if not task.over:
                    await wire.leave(task, sending)
        except ValueError as error:
            raise RunFailed(f"{self._there} sent what is not of the protocol: {error!s:.200}") from None
        return self._answer_of(task)

    async def _looked_at(self, wire: _Wire, task: Task) -> None:
        """Look at a task until it is over, or waits. Its server may have gone, and come back with it."""
        import httpx

        wait, failed = POLL, 0
        while not task.over and task.state not in WAITS:
            await asyncio.sleep(wait)
            wait = min(2 * wait, SLOWEST)
            try:
                found = await wire.call("GetTask", "GET", f"/tasks/{task.id}", {"id": task.id})
            except (httpx.TransportError, _Away):
                failed += 1
                if failed == FAILED_LOOKS:
                    raise
            else:
                failed = 0
                task.take({"task": found})

    def _answer_of(self, task: Task) -> Answer:
        if task.state in WAITS:
            asks = task.said or "it wants to know more"
            note = f"{self.name} asked back, and its task was ended: give it all that it needs with the task"
            return Answer(f"{self.name} asks: {asks}", self.name, notes=(note,))
        if task.state != "TASK_STATE_COMPLETED":
            how = task.state.removeprefix("TASK_STATE_").lower()
            raise RunFailed(f"{self._there} ended the task as {how}: {blot(task.said, self._key):.{SHOWN}}")
        return Answer(str(mended(task.text or task.said)), self.name)

    async def _found(self, client: httpx.AsyncClient, deadline: float) -> tuple[str, str, bool]:
        """Where it is asked, by which binding, and whether it streams.

        Raises:
            AgentUnavailable: its card does not say, or says somewhere else.
        """
        url = self._url if self._url.endswith(".json") else self._url.rstrip("/") + CARD
        async with self._asked(client, "GET", url, None, deadline) as response:
            card = _object(await self._bounded(response))
        interfaces = card.get("supportedInterfaces")
        for one in interfaces if isinstance(interfaces, list) else ():
            if not isinstance(one, Mapping):
                continue
            where, binding = one.get("url"), one.get("protocolBinding")
            if binding not in _BINDINGS or not isinstance(where, str):
                continue
            if str(one.get("protocolVersion", "")).partition(".")[0] != "1":
                continue
            if _origin(where) != _origin(self._url):
                raise AgentUnavailable(
                    f"{self._there} wants to be asked elsewhere, at {host_of(where):.100}: give that"
                )
            capabilities = card.get("capabilities")
            streams = isinstance(capabilities, Mapping) and capabilities.get("streaming") is True
            return where.rstrip("/"), str(binding), streams
        raise AgentUnavailable(f"{self._there} has no interface of version 1.0 by JSON-RPC or HTTP+JSON")

    @asynccontextmanager
    async def _asked(
        self, client: httpx.AsyncClient, method: str, url: str, body: bytes | None, deadline: float, **headers: str
    ) -> AsyncGenerator[httpx.Response]:
        """The response to a request, asked again where there is too much to do there. Redirects are not followed.

        Raises:
            AgentUnavailable: it is refused.
        """
        given = {"A2A-Version": "1.0", "Content-Type": "application/json", **trace_headers(), **headers}
        if self._key:
            given["Authorization"] = f"Bearer {self._key}"
        for attempt in range(ATTEMPTS):
            request = client.build_request(method, url, content=body, headers=given)
            response = await client.send(request, stream=True)
            try:
                if response.is_success:
                    yield response
                    return
                text = blot(" ".join((await self._bounded(response)).decode(errors="replace").split()), self._key)
                wait = retry_after(response.headers)
            finally:
                await response.aclose()
            busy = response.status_code == 429 or (response.status_code == 503 and wait is not None)
            wait = WAIT * 2**attempt if wait is None else wait
            late = asyncio.get_running_loop().time() + wait >= deadline
            if not busy or late or attempt + 1 == ATTEMPTS:
                moved = "it has moved, and redirects are not followed"
                told = moved if response.is_redirect else text[:SHOWN]
                kind = _Away if response.status_code in (502, 503, 504) else AgentUnavailable
                raise kind(f"{self._there} answered {response.status_code}: {told}")
            await asyncio.sleep(wait)


class _Away(Exception):
    """It is not there at the moment, as whoever stands before it says."""


class _Wire:
    """Requests by the binding that an agent has."""

    def __init__(
        self, agent: A2AAgent, client: httpx.AsyncClient, found: tuple[str, str, bool], deadline: float
    ) -> None:
        self._agent = agent
        self._client = client
        self._deadline = deadline
        self._url, self._binding, self._streams = found
        self._named = asyncio.Event()
        """Set once something is known of the task."""

    async def send(self, task: Task, message: Mapping[str, Any], key: str) -> None:
        """Have a message done, as far as the answer comes with it.

        Args:
            task: takes what comes.
            message: what is said.
            key: names the request: one that is made twice is one.
        """
        if not self._streams:
            sent = await self.call("SendMessage", "POST", "/message:send", {"message": message}, key)
            task.take(sent)
            return
        import httpx

        opened = self._opened(
            *("SendStreamingMessage", "POST", "/message:stream", {"message": message}),
            key=key,
            accept="text/event-stream",
        )
        try:
            async with opened as response:
                if "text/event-stream" not in response.headers.get("content-type", ""):
                    task.take(self._result(_object(await self._agent._bounded(response))))
                    return
                async with aclosing(self._events(response)) as events:
                    async for event in events:
                        task.take(self._result(event))
                        self._named.set()
        except httpx.TransportError:
            if not task.id:
                raise

    async def call(self, rpc: str, method: str, path: str, params: Mapping[str, Any], key: str = "") -> dict[str, Any]:
        """What comes of a request."""
        async with self._opened(rpc, method, path, params, key=key) as response:
            return self._result(_object(await self._agent._bounded(response)))

    async def leave(self, task: Task, sending: asyncio.Future[None]) -> None:
        """Have a task end for which nobody waits; whether it does is no matter here."""
        with suppress(Exception):
            async with asyncio.timeout(GOODBYE):
                if not sending.done():  # it may not be known yet which one it is
                    named = asyncio.ensure_future(self._named.wait())
                    try:
                        await asyncio.wait((sending, named), return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        named.cancel()
                if task.id and not task.over:
                    await self.call("CancelTask", "POST", f"/tasks/{task.id}:cancel", {"id": task.id})
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)

    def _opened(
        self, rpc: str, method: str, path: str, params: Mapping[str, Any], *, key: str = "", accept: str = ""
    ) -> Any:
        headers = {"Accept": accept} if accept else {}
        if key:
            headers["Idempotency-Key"] = key
        if self._binding == "JSONRPC":
            body = as_json({"jsonrpc": "2.0", "id": 1, "method": rpc, "params": params})
            return self._agent._asked(self._client, "POST", self._url, body, self._deadline, **headers)
        sent = as_json(params) if method == "POST" and "message" in params else None
        return self._agent._asked(self._client, method, self._url + path, sent, self._deadline, **headers)

    async def _events(self, response: httpx.Response) -> AsyncGenerator[dict[str, Any]]:
        """The objects of a stream of server-sent events.

        Raises:
            AgentUnavailable: they are too long.
        """
        parser, size = Parser(), 0
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > LARGEST:
                raise AgentUnavailable(f"{self._agent._there} answered more than {LARGEST} bytes")
            for event in parser.feed(chunk):
                yield _object(event.data.encode())

    def _result(self, body: dict[str, Any]) -> dict[str, Any]:
        error = body.get("error")
        if error is not None:
            said = error.get("message") if isinstance(error, Mapping) else error
            told = blot(str(said), self._agent._key)
            raise AgentUnavailable(f"{self._agent._there} refuses: {told:.{SHOWN}}")
        result = body.get("result") if self._binding == "JSONRPC" else body
        if not isinstance(result, dict):
            raise ValueError("there is no result")
        return result


def _said(request: AgentRequest) -> dict[str, Any]:
    """What is asked: before the task, as a part of its own, what was said."""
    before = [one for one in request.messages[:-1] if one.role in ("user", "assistant") and _has_text(one)]
    parts = [{"text": request.text}]
    if before:
        lines = "\n".join(f"{message.role}: {shown(message.content)}" for message in before)
        parts.insert(0, {"text": f"What was said before:\n{lines}"})
    return {"messageId": request.context.run, "role": "ROLE_USER", "parts": parts}


def _has_text(message: Message) -> bool:
    return bool(shown(message.content).strip())


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")
    return value


def _origin(url: str) -> tuple[str, str, int | None]:
    """Where a request to an address goes, as the client reads it: scheme, host and port. What another reading of it
    may take for the host does not count."""
    import httpx

    try:
        read = httpx.URL(url)
    except httpx.InvalidURL:
        return "", "", None
    return read.scheme, read.host, read.port


def a2a_at(url: str) -> A2AAgent:
    """The agent at an address, called after its host."""
    url = url.removeprefix(SCHEME)
    return A2AAgent(name_at(url), url, description=f"An agent at {host_of(url)}.")
