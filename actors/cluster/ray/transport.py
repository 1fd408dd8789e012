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
from .wire import FAILED, HELLO, SEND, TAKEN, Said, address, addressed, hear, said

INSTALL: Final = "a cluster of several machines needs Ray: pip install 'callboard[cluster]'"

SECONDS: Final = 60.0
"""For the gateway to start: Ray may have to start workers first."""


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
        self._writer: asyncio.StreamWriter | None = None
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
        self._server = await asyncio.start_unix_server(lambda r, w: self._serve(r, w, word, came), path)
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
        if self._writer is None:
            raise NodeUnreachable("this node has no gateway at the moment")
        self._number = number = (self._number + 1) & 0xFFFFFFFF
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._writer.write(said(SEND, number, addressed(node, frame)))
        try:
            answer: bytes = await waiting
            return answer
        finally:
            self._waiting.pop(number, None)

    async def close(self) -> None:
        """See `Transport.close`."""
        self._lost = lambda: None
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
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

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, word: str, came: asyncio.Future[None]
    ) -> None:
        try:
            hello = await hear(reader)
            if hello.kind != HELLO or not secrets.compare_digest(hello.body, word.encode()) or came.done():
                writer.close()
                return
            self._writer = writer
            came.set_result(None)
            while True:
                heard = await hear(reader)
                if heard.kind == SEND:
                    self._do(heard, writer)
                elif (waiting := self._waiting.get(heard.number)) is not None and not waiting.done():
                    if heard.kind == TAKEN:
                        waiting.set_result(heard.body)
                    else:
                        waiting.set_exception(NodeUnreachable(heard.body.decode()))
        except ConnectionError:
            writer.close()
            if self._writer is writer:
                self._writer = None
                for waiting in self._waiting.values():
                    if not waiting.done():
                        waiting.set_exception(NodeUnreachable("the gateway is gone"))
                self._lost()

    def _do(self, heard: Said, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._take(heard, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take(self, heard: Said, writer: asyncio.StreamWriter) -> None:
        assert self._receive is not None
        node, frame = address(heard.body)
        try:
            answer = said(TAKEN, heard.number, await self._receive(node, frame))
        except NodeUnreachable as error:
            answer = said(FAILED, heard.number, str(error).encode())
        if not writer.is_closing():
            writer.write(answer)
