"""The program's side of the way over Ray; see `Transport`."""

from __future__ import annotations

import asyncio
import json
import logging
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

logger = logging.getLogger("callboard.cluster")

INSTALL: Final = "a cluster of several machines needs Ray: pip install 'callboard[cluster]'"

ADVICE: Final = "; is `ray start` running on this machine, and has it the token of the head, if that has one?"

SECONDS: Final = 60.0
"""For the gateway to start: Ray may have to start workers first."""

LOOK: Final = 1.0
"""Seconds between two questions to the gateway whether it is there."""

SILENT: Final = 5
"""Looks without a word of it after which it counts as gone. They are counted, and not seconds: where this program stood
still, the gateway has not been silent."""


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
        failed = f"the gateway of Ray at {self._address} did not start"
        try:
            async with asyncio.timeout(2 * SECONDS):
                told = await self._start(node)
        except BaseException as error:
            await self.close()
            if isinstance(error, TimeoutError):
                raise CutOff(f"{failed} within {2 * SECONDS:g} s") from None
            if isinstance(error, OSError):  # its folder, its socket or its process
                raise CutOff(f"{failed}: {error} (in {tempfile.gettempdir()}; TMPDIR says where)") from error
            raise
        if told:
            await self.close()
            raise CutOff(f"{failed}: {told}{'' if self._address == 'local' else ADVICE}")

    async def _start(self, node: str) -> str:
        """Start the gateway; return why it did not start, or nothing once it is there."""
        self._folder = Path(tempfile.mkdtemp(prefix="callboard-"))  # nobody else may enter it
        path, word = str(self._folder / "gateway"), secrets.token_hex(16)
        loop = asyncio.get_running_loop()
        came: asyncio.Future[None] = loop.create_future()
        self._server = await loop.create_unix_server(lambda: self._comes(word.encode(), came), path)
        wanted = {
            "address": self._address,
            "namespace": self._namespace,
            "node": node,
            "socket": path,
            "word": word,
            "seconds": SECONDS,
        }
        said = self._folder / "said"
        with said.open("wb") as stderr:
            self._process = process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", f"{__package__}.launcher"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,  # Ctrl-C at a terminal is for the program, which has things to finish
            )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(wanted).encode() + b"\n")
        told = (await process.stdout.readline()).decode().strip()
        if told != READY:
            return told or f"it ended: {_last_line(said) or f'exit status {await process.wait()}'}"
        await came
        self._server.close()  # nobody else is to come
        self._server = None
        return ""

    async def send(self, node: str, frame: bytes) -> bytes:
        """See `Transport.send`."""
        line = self._line
        if line is None:
            raise NodeUnreachable("this node has no gateway at the moment")
        self._number = number = (self._number + 1) & 0xFFFFFFFF
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        line.say(SEND, number, addressed(node, frame))
        try:
            answer: bytes = await waiting
            return answer
        finally:
            self._waiting.pop(number, None)

    async def close(self) -> None:
        """See `Transport.close`."""
        self._lost = lambda: None
        line, self._line = self._line, None
        if line is not None:
            line.close()
            self._nothing_more()
        if self._server is not None:
            self._server.close()
            self._server = None
        process, self._process = self._process, None
        if process is not None:
            if process.stdin is not None:
                process.stdin.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(5.0):
                    await process.communicate()
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.communicate()
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
                self._look(line, 0)
            else:
                line.close()

        line = Line(heard, lambda: self._gone(line))
        return line

    def _look(self, line: Line, silent: int) -> None:
        """Ask the gateway whether it is there; one that stands still takes no frame, and nobody else would say so."""
        if line is not self._line:
            return
        silent = 0 if line.heard_of else silent + 1
        if silent > SILENT:
            line.close()
            return
        line.heard_of = False
        line.say(HELLO, 0, b"")
        asyncio.get_running_loop().call_later(LOOK, self._look, line, silent)

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
        try:
            node, frame = address(body)
            line.say(TAKEN, number, await self._receive(node, frame))
        except NodeUnreachable as error:
            line.say(FAILED, number, str(error).encode())
        except Exception as error:  # or a thread of the gateway's would wait for ever
            logger.exception("a frame could not be taken")
            line.say(FAILED, number, type(error).__name__.encode())

    def _gone(self, line: Line) -> None:
        if line is not self._line:
            return
        self._line = None
        self._nothing_more()
        self._lost()

    def _nothing_more(self) -> None:
        """Nothing will be heard of what is on its way."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(NodeUnreachable("the gateway is gone"))


def _last_line(file: Path) -> str:
    """Where nothing else says why."""
    lines = file.read_text(errors="replace").strip().splitlines()
    return lines[-1][:500] if lines else ""
