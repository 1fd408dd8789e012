"""The program's side of the way over Ray; see `Transport`."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from ..errors import CutOff, NodeUnreachable
from ..transport import Receive
from .launcher import READY
from .wire import FAILED, HELLO, SEND, TAKEN, Line, address, addressed

INSTALL: Final = "a cluster of several machines needs Ray: pip install 'callboard[cluster]'"

SECONDS: Final = 60.0
"""For the gateway to start: Ray may have to start workers first."""

PATIENCE: Final = 5.0
"""Seconds for which the gateway is waited for: longer than it waits for another one, of which it says so itself."""


class RayTransport:
    """Carries frames over Ray.

    Args:
        address: of Ray's head, as ``ray.init`` takes it: ``auto`` for the one of this machine, ``local`` for one of
            this program's own.
        namespace: of the cluster within Ray: nodes of one namespace see each other.

    Raises:
        CutOff: Ray is not installed.
    """

    def __init__(self, address: str = "auto", namespace: str = "callboard") -> None:
        if find_spec("ray") is None:
            raise CutOff(INSTALL)
        self._address = address
        self._namespace = namespace
        self._receive: Receive | None = None
        self._lost: Callable[[], object] = lambda: None
        self._folder: Path | None = None
        self._server: asyncio.Server | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._line: Line | None = None
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._number = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, node: str, receive: Receive, lost: Callable[[], object]) -> None:
        """See `Transport.open`."""
        await self.close()
        self._receive, self._lost = receive, lost
        self._folder = Path(tempfile.mkdtemp(prefix="callboard-"))  # nobody else may enter it
        path, word = str(self._folder / "gateway"), secrets.token_hex(16)
        came: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: self._comes(word.encode(), came), path)
        wanted = {
            "address": self._address,
            "namespace": self._namespace,
            "node": node,
            "socket": path,
            "word": word,
            "seconds": SECONDS,
        }
        try:
            self._process = process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", f"{__package__}.launcher"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(wanted).encode() + b"\n")
            async with asyncio.timeout(2 * SECONDS):
                told = (await process.stdout.readline()).decode().strip()
                if told != READY:
                    raise CutOff(f"the gateway of Ray at {self._address} did not start: {told or 'it ended'}")
                await came
        except BaseException as error:
            await self.close()
            if isinstance(error, TimeoutError):
                raise CutOff(f"the gateway of Ray at {self._address} did not start within {2 * SECONDS:g} s") from None
            raise

    async def send(self, node: str, frame: bytes) -> bytes:
        """See `Transport.send`."""
        line = self._line
        if line is None:
            raise NodeUnreachable("this node has no gateway at the moment")
        self._number = number = (self._number + 1) & 0xFFFFFFFF
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        line.say(SEND, number, addressed(node, frame))
        try:
            async with asyncio.timeout(PATIENCE):
                answer: bytes = await waiting
                return answer
        except TimeoutError:
            raise NodeUnreachable(f"nothing was heard of the gateway for {PATIENCE:g} s") from None
        finally:
            self._waiting.pop(number, None)

    async def close(self) -> None:
        """See `Transport.close`."""
        self._lost = lambda: None
        line, self._line = self._line, None
        if line is not None:
            line.close()
        if self._server is not None:
            self._server.close()
            self._server = None
        process, self._process = self._process, None
        if process is not None:
            if process.stdin is not None:
                process.stdin.close()
            with suppress(ProcessLookupError):
                process.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(5.0):
                    await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def _comes(self, word: bytes, came: asyncio.Future[None]) -> Line:
        """Somebody is at the socket: our gateway, if it knows the word."""

        def heard(kind: int, number: int, body: bytes) -> None:
            if line is self._line:
                self._heard(line, kind, number, body)
            elif kind == HELLO and secrets.compare_digest(body, word) and not came.done():
                self._line = line
                came.set_result(None)
            else:
                line.close()

        line = Line(heard, lambda: self._gone(line))
        return line

    def _heard(self, line: Line, kind: int, number: int, body: bytes) -> None:
        if kind == SEND:
            task = asyncio.get_running_loop().create_task(self._take(line, number, body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif (waiting := self._waiting.get(number)) is not None and not waiting.done():
            if kind == TAKEN:
                waiting.set_result(body)
            else:
                waiting.set_exception(NodeUnreachable(body.decode()))

    async def _take(self, line: Line, number: int, body: bytes) -> None:
        assert self._receive is not None
        node, frame = address(body)
        try:
            line.say(TAKEN, number, await self._receive(node, frame))
        except NodeUnreachable as error:
            line.say(FAILED, number, str(error).encode())

    def _gone(self, line: Line) -> None:
        if line is not self._line:
            return
        self._line = None
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(NodeUnreachable("the gateway is gone"))
        self._lost()
