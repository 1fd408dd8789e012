"""The ways to a server, as the SDK has them, each made to tell what the SDK tells only who calls next, or nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


class Signs:
    """What is seen of a connection beside its answers.

    Attributes:
        ended: set at the end of a command's output.
        forgotten: set once a server has answered that it does not know the session (404): it was started anew.
    """

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.forgotten = asyncio.Event()


def way_to(mcp: Any, server: Any, signs: Signs) -> Any:
    """What ``mcp.Client`` is given for a server.

    Args:
        mcp: the SDK's module.
        server: a command and its arguments, also as the SDK's parameters, an address, or what ``mcp.Client`` takes.
        signs: told what is seen.
    """
    if isinstance(server, (list, tuple)):
        server = mcp.StdioServerParameters(command=server[0], args=list(server[1:]))
    if isinstance(server, mcp.StdioServerParameters):
        return _command(server, signs)
    return _web(server, signs) if isinstance(server, str) else server


@asynccontextmanager
async def _command(parameters: Any, signs: Signs) -> AsyncIterator[Any]:
    from mcp.client.stdio import stdio_client

    async with stdio_client(parameters) as (read, write):
        yield _Watched(read, signs.ended), write


@asynccontextmanager
async def _web(url: str, signs: Signs) -> AsyncIterator[Any]:
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    async def look(response: Any) -> None:
        # To a request with a session this says that there is none of that name, and that nothing was done.
        if response.status_code == 404 and "mcp-session-id" in response.request.headers:
            signs.forgotten.set()

    patience = httpx2.Timeout(30.0, read=300.0)  # as the SDK's own client: a server may hold an answer open
    async with (
        httpx2.AsyncClient(timeout=patience, event_hooks={"response": [look]}) as client,
        streamable_http_client(url, http_client=client) as streams,
    ):
        yield streams


class _Watched:
    """A stream of the SDK's that sets an event at its end."""

    def __init__(self, stream: Any, ended: asyncio.Event) -> None:
        self._stream = stream
        self._ended = ended

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __aiter__(self) -> _Watched:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._stream.__anext__()
        except BaseException:
            self._ended.set()
            raise

    async def __aenter__(self) -> _Watched:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *exc_info: Any) -> Any:
        return await self._stream.__aexit__(*exc_info)
