"""Requests straight over aiohttp, with the address and the headers that a vendor's SDK makes.

This file imports aiohttp, and is itself imported beside the event loop (`HttpProvider.direct`).
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import re
import urllib.request
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit
from weakref import WeakSet

import aiohttp

from ..errors import ConnectionLost, InvalidRequest, ProviderTimeout
from ..wire.failures import malformed
from .transport import Opened, no_connection

_STALE = 2.0
"""Seconds within which a connection that the vendor had closed while it was idle shows it: a round trip, and time to
spare. What breaks later may have been worked on, and paid for, so it is the pool's to decide."""

_LARGEST_HEADER = 64 * 1024
"""Bytes of one header of an answer. aiohttp takes 8 kB, which a gateway's security policies and cookies can exceed."""
_MOST_HEADERS = 1000
"""Of an answer, where aiohttp counts them: it takes 128 since it does."""
_HEAD: dict[str, Any] = {
    name: most
    for name, most in (("max_field_size", _LARGEST_HEADER), ("max_headers", _MOST_HEADERS))
    if name in inspect.signature(aiohttp.ClientSession).parameters
}

_TOO_LARGE = re.compile("got more than|too many headers", re.IGNORECASE)
"""What aiohttp says of such a head; its parser in C has no exception for that."""


class _Sent:
    """What is known of a request that was sent."""

    __slots__ = ("reused",)

    def __init__(self) -> None:
        self.reused = False
        """Whether it went out on a connection that had served another."""


_SENT: ContextVar[_Sent] = ContextVar("_SENT")


class _Connector(aiohttp.TCPConnector):
    """Says of a request whether its connection had served another. aiohttp's own tracing says it too, and takes a
    tenth of a request's time."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._served: WeakSet[Any] = WeakSet()

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        connection = await super().connect(*args, **kwargs)
        protocol = connection.protocol
        if protocol in self._served:
            _SENT.get().reused = True
        else:
            self._served.add(protocol)
        return connection


class Direct:
    """aiohttp, with the base URL and the headers that an SDK client has made. Call `rotate` once before use.

    Args:
        provider: the provider's name, for errors.
        make_client: makes the SDK client for a key.
        headers: sent with every request, beside the SDK's.
        timeout: seconds of silence that are a failure.
        connect_timeout: seconds a connection may take to stand.
    """

    def __init__(
        self,
        provider: str,
        make_client: Callable[[str], Any],
        headers: Mapping[str, str],
        *,
        timeout: float,
        connect_timeout: float,
    ) -> None:
        self._provider = provider
        self._make_client = make_client
        self._extra = dict(headers)
        self._base = ""
        self._proxy: str | None = None
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout, sock_read=timeout)
        self._sessions: tuple[aiohttp.ClientSession, ...] = ()
        """The second is for what is sent again because a kept connection had been closed: the others may have been,
        too."""

    def __repr__(self) -> str:
        return f"Direct({self._provider!r}, {self._base!r})"

    async def rotate(self, secret: str) -> None:
        def prepare() -> tuple[str, dict[str, str]]:
            client = self._make_client(secret)
            base, password = _divided(str(client.base_url))
            made = {**client.default_headers, **client.auth_headers, **self._extra, **password}
            return base, {name: value for name, value in made.items() if isinstance(value, str)}

        # In a thread: the first import of an SDK takes up to 2 s, which other actors must not wait.
        base, headers = await asyncio.to_thread(prepare)
        self._base = base.rstrip("/")
        self._proxy = _proxy(self._base)
        if not self._sessions:  # not before: whoever is killed while it waits here could not close them
            self._sessions = self._new_session(keepalive_timeout=30), self._new_session(force_close=True)
        for session in self._sessions:
            # They hold the key. The session sends them itself: given with each request, they are copied three times.
            session.headers.clear()
            session.headers.update(headers)

    def _new_session(self, **connector: Any) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            # The provider's own gate bounds the requests; a second bound here would only reorder them.
            connector=_Connector(limit=0, ttl_dns_cache=60, **connector),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            # Not `trust_env`: aiohttp would look for proxies and .netrc in a thread, twice for every request (0.2 ms).
            trust_env=False,
            **_HEAD,
        )

    async def open(self, path: str, payload: Mapping[str, Any], headers: Mapping[str, str]) -> Opened:
        return _DirectOpened(await self._sent(path, payload, headers), self._problem)

    async def close(self) -> None:
        for session in self._sessions:
            await session.close()

    async def _sent(self, path: str, payload: Mapping[str, Any], headers: Mapping[str, str]) -> Any:
        data = _as_json(payload).encode()
        sent = _Sent()
        _SENT.set(sent)
        clock = asyncio.get_running_loop().time
        started = clock()
        problem: Exception
        for session in self._sessions:
            try:
                return await session.post(
                    self._base + path,
                    data=data,
                    headers=headers or None,
                    proxy=self._proxy,
                    allow_redirects=False,
                )
            except Exception as error:
                problem = error
            if not (sent.reused and _closed_before(problem) and clock() - started < _STALE):
                break
        # Outside of the handler, so that the cause, which may hold the headers sent, is not carried along.
        raise self._problem(problem)

    def _problem(self, error: Exception) -> Exception:
        if isinstance(error, TimeoutError):  # aiohttp's own timeouts are TimeoutErrors
            late = ProviderTimeout(f"{self._provider} did not answer in time", provider=self._provider)
            late.unsent = isinstance(error, aiohttp.ConnectionTimeoutError)
            if late.unsent:
                late.concerns = "endpoint"
            return late
        if isinstance(error, aiohttp.InvalidURL):
            what = f"{self._provider}: {self._base!r} is not an address"
            return InvalidRequest(what, provider=self._provider, concerns="endpoint")
        if isinstance(error, aiohttp.ClientResponseError) and _TOO_LARGE.search(error.message):
            # It answered: the endpoint is there, and what it says of itself is too much.
            return malformed(f"headers of more than {_LARGEST_HEADER} bytes, or too many", provider=self._provider)
        if isinstance(error, aiohttp.ClientError | OSError):
            unsent = isinstance(error, aiohttp.ClientConnectorError | ConnectionRefusedError)
            lost = ConnectionLost(no_connection(self._provider, self._base, error, unsent), provider=self._provider)
            lost.unsent = unsent
            return lost
        return error


def _closed_before(error: Exception) -> bool:
    """Whether a connection was closed before a byte of an answer had come."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return isinstance(error.message, str)  # otherwise it is the head that had begun to come
    return isinstance(error, aiohttp.ClientOSError | ConnectionError)


def _divided(url: str) -> tuple[str, dict[str, str]]:
    """An address without user and password, and the header they stand for; it counts above a key's, as in the SDKs."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, {}
    pair = base64.b64encode(unquote(user).encode()).decode()
    return urlunsplit(parts._replace(netloc=host)), {"Authorization": f"Basic {pair}"}


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for an address, as curl and the SDKs read it."""
    parts = urlsplit(url)
    found = urllib.request.getproxies().get(parts.scheme)
    if not found or not parts.hostname or urllib.request.proxy_bypass(parts.hostname):
        return None
    return found


_as_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""What `json.dumps` makes anew for each call that is not plain."""


class _DirectOpened:
    def __init__(self, response: Any, problem: Callable[[Exception], Exception]) -> None:
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._problem = problem

    async def read(self) -> bytes:
        problem: Exception
        try:
            chunk: bytes = await self._response.content.readany()
            return chunk
        except Exception as error:
            problem = self._problem(error)
        raise problem

    async def aclose(self) -> None:
        # Once the body was read to its end, the connection has gone back to the pool, and this does nothing.
        self._response.close()
