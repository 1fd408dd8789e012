"""The connection to an MCP server: an actor, so that a server that fails fails its calls, and is connected to anew.

A *link* is one connection from its beginning to its end. Of links the actor has one at a time:

    none       --a call, or the first listing-->  connecting (with the waits of `BACKOFF` between attempts)
    connecting --the server answers-->            open
    connecting --the last attempt fails-->        none (those who wait get `McpUnavailable`)
    open       --the server or the way is gone--> none (those at work get `McpCallLost`, or are made again)

So nothing is tried while nobody calls, and a server that has come back is used by the next call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

from ...actors.core.actor import Actor
from ...actors.core.base.restart import Backoff
from ...actors.core.processing.jobs import Job
from ..errors import McpCallLost, McpUnavailable, ToolError
from .transports import Signs, way_to

BACKOFF: Final = Backoff(initial=0.1, factor=4.0, maximum=5.0, jitter=0.2)
"""The waits between the attempts to connect anew."""

ATTEMPTS: Final = 4
"""How often a server is tried before those who wait are told that it is not there."""

Connect: TypeAlias = Callable[[Any], Any]
"""Makes the SDK's client of the way to a server."""

CLOSED: Final = "the connection to the MCP server is closed"

_TURNS = 10  # of the loop, by which the end of a command's output, which is there already, has been noticed
# The words of the SDK beside its code for a connection that has closed; a server may use the code for what it likes.
_CLOSED = "Connection closed"
_ANSWER_CUT = "SSE stream"  # how the SDK's words for one answer over HTTP that broke off begin


class ListAll(NamedTuple):
    """Ask for all that the server has of a kind; answered with descriptions as the SDK has them.

    Args:
        kind: ``tools``, ``resources`` or ``prompts``.
    """

    kind: str


class CallTool(NamedTuple):
    """Ask for a call; answered with the SDK's result.

    Args:
        name: as the server knows it.
        arguments: what JSON knows.
        again: it may be made once more if the connection ends while it is at work.
    """

    name: str
    arguments: dict[str, Any]
    again: bool


class Read(NamedTuple):
    """Ask for what is only read: a resource, or a prompt; answered with the SDK's result. It may be asked for again.

    Args:
        verb: the SDK's: ``read_resource``, ``get_prompt``.
        name: which one: its address, or its name.
        arguments: of a prompt.
    """

    verb: str
    name: str
    arguments: dict[str, str] | None = None
    again: bool = True


class Close(NamedTuple):
    """Have the connection end, for good; answered when it has. Calls at work end in `McpCallLost`."""


class _Ended(NamedTuple):
    link: _Link


class McpClient(Actor):
    """Holds the connection to a server, and makes calls over it, any number at a time.

    Args:
        mcp: the SDK's module.
        server: a command and its arguments, an address, or what ``mcp.Client`` takes.
        timeout: seconds for connecting.
        options: of ``mcp.Client``, such as what answers the server's questions.
    """

    def __init__(self, mcp: Any, server: Any, timeout: float, options: Mapping[str, Any]) -> None:
        super().__init__()
        self._connect = partial(mcp.Client, **options)
        self._mcp = mcp
        self._server = server
        self._timeout = timeout
        self._link: _Link | None = None
        self._holding: Job | None = None
        self._connected_before = False
        self._closing = False

    def on_receive(self, message: Any) -> Any:
        """Take a `ListAll`, a `CallTool`, a `Read` or a `Close`."""
        if isinstance(message, _Ended):
            if self._link is message.link:
                self._link = None
            return None
        if isinstance(message, ListAll):
            return self.reply_with(self._list(message.kind))
        if isinstance(message, Close):
            self._closing = True
            if self._link is None or self._holding is None:
                return None
            self._holding.cancel()
            return self.reply_with(self._link.gone.wait())
        return self.reply_with(self._call(message))

    async def _open(self) -> _Link:
        """The link that is open, or one that is being opened now.

        Raises:
            McpUnavailable: there is none.
        """
        if self._link is not None and isinstance(self._server, (list, tuple)):
            for _ in range(_TURNS):  # a command that has died meanwhile must not be taken for one at work
                await asyncio.sleep(0)
        link = self._link
        if self._closing:
            raise McpUnavailable(CLOSED)
        if link is None or (link.ready.done() and link.signs.ended.is_set()):
            # A person waits for the first connection, who is told at once. Later a server may be starting again.
            waits = [BACKOFF.delay(n, self.system.rng) for n in range(ATTEMPTS - 1)] if self._connected_before else []
            link = self._link = _Link()
            held = link.hold(self._connect, self._mcp, self._server, self._timeout, waits)
            self._holding = self.pipe(held, lambda _: _Ended(link))
        await asyncio.shield(link.ready)
        self._connected_before = True
        return link

    async def _list(self, kind: str) -> list[Any]:
        link = await self._open()
        if kind != "tools" and getattr(link.client.server_capabilities, kind, None) is None:
            return []
        ask = getattr(link.client, f"list_{kind}")
        listed: list[Any] = []
        cursor: str | None = None
        while True:
            try:
                page = await ask(cursor=cursor)
            except Exception as error:
                raise McpUnavailable(f"the MCP server does not tell its {kind}: {reason(error)}") from error
            listed += getattr(page, kind)
            cursor = page.next_cursor
            if not cursor:
                return listed

    async def _call(self, message: CallTool | Read) -> Any:
        again = message.again
        for attempt in range(ATTEMPTS):
            link = await self._open()
            link.calls += 1
            try:
                if isinstance(message, CallTool):
                    return await link.client.call_tool(message.name, message.arguments)
                more = () if message.arguments is None else (message.arguments,)
                return await getattr(link.client, message.verb)(message.name, *more)
            except Exception as error:
                if not await link.lost(error):
                    raise ToolError(f"the MCP server refused or failed: {reason(error)}") from error
                began = not link.never_reached(error)
                if (began and not again) or attempt == ATTEMPTS - 1:
                    raise McpCallLost(
                        f"the MCP server went away while {message.name!r} was at work; it may have had its effect"
                    ) from error
            finally:
                link.calls -= 1
            again = again and not began
        raise AssertionError("the last attempt has returned or raised")


class _Link:
    """One connection to a server.

    Attributes:
        ready: done once it is open, or cannot be opened.
        signs: what is seen of it; others for each attempt to open it. Once they say ended it is not to be used further.
        gone: set once it is wound up, too.
        client: the SDK's, while it is open.
        calls: how many are at work.
    """

    def __init__(self) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.signs = Signs()
        self.client: Any = None
        self.calls = 0
        self.gone = asyncio.Event()
        self._cause: BaseException | None = None

    async def hold(self, connect: Connect, mcp: Any, server: Any, timeout: float, waits: Sequence[float]) -> None:
        """Connect, and hold the connection open, in the one task that may enter and leave it, until it ends."""
        failed: BaseException | None = None
        try:
            for wait in (*waits, None):
                failed = await self._once(connect, mcp, server, timeout)
                if self.ready.done() or wait is None:
                    break
                await asyncio.sleep(wait)
        finally:
            self.signs.ended.set()
            self._cause = failed
            self.gone.set()
            if not self.ready.done():
                self.ready.set_exception(McpUnavailable(f"the MCP server cannot be used: {_told(failed, timeout)}"))
                self.ready.exception()  # perhaps nobody waits any longer

    async def _once(self, connect: Connect, mcp: Any, server: Any, timeout: float) -> BaseException | None:
        """One connection, to its end; returns what ended it, None for an end in order."""
        signs = self.signs = Signs()
        try:
            async with asyncio.timeout(timeout) as limit, connect(way_to(mcp, server, signs)) as client:
                limit.reschedule(None)
                self.client = client
                if not self.ready.done():
                    self.ready.set_result(None)
                await signs.ended.wait()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # the actor stops
            return error  # the transport's own doing
        except Exception as error:
            return error
        return None

    async def lost(self, error: Exception) -> bool:
        """Whether a call failed because the connection has ended; it is then wound up when this returns."""
        coded = _code(error) == _closed_code()
        if coded and str(error).startswith(_ANSWER_CUT):
            return True  # of this call alone
        closed = coded and str(error) == _CLOSED
        if closed or self.signs.ended.is_set() or self._forgotten(error):
            self.signs.ended.set()
            await self.gone.wait()
            return True
        return False

    def never_reached(self, error: Exception) -> bool:
        """Whether the call that was lost did certainly not begin."""
        return self._forgotten(error) or (self.calls == 1 and type(_first(self._cause)).__name__ == "ConnectError")

    def _forgotten(self, error: Exception) -> bool:
        # The words and the code of such an answer are each server's own; a connection that closed says nothing of it.
        return self.signs.forgotten.is_set() and _code(error) not in (None, _closed_code())


def _code(error: Exception) -> int | None:
    """The code of an error that the server answered with, or the SDK in its place."""
    return getattr(getattr(error, "error", None), "code", None)


def _closed_code() -> int:
    import mcp_types

    return int(mcp_types.CONNECTION_CLOSED)


def reason(error: BaseException | None) -> str:
    """What went wrong, in a line: the first of several."""
    found = _first(error)
    return "it ended at once" if found is None else str(found) or type(found).__name__


def _first(error: BaseException | None) -> BaseException | None:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _told(error: BaseException | None, timeout: float) -> str:
    if isinstance(error, TimeoutError):
        return f"it did not answer within {timeout:g} seconds"
    return "the connection broke off" if isinstance(error, asyncio.CancelledError) else reason(error)
