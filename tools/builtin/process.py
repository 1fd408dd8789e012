"""Running a command so that nothing of it outlives the call."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ..errors import CommandFailed, ToolError
from ..result import NOTHING
from ..threads import in_thread

_FLOOD = 50_000_000  # bytes of output after which a command is stopped: nobody reads that much
_LINGER = 1.0  # seconds to wait for the rest of the output once the command has ended

# What a command gets of our environment. Not the rest: it holds keys.
_PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TMPDIR", "TZ", "LANG", "LANGUAGE")


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a command: search path, home and locale, without anything that may hold a secret.

    Args:
        extra: variables to add.
    """
    passed = {key: value for key, value in os.environ.items() if key in _PASSED_ON or key.startswith("LC_")}
    return {**passed, **(extra or {})}


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has ended.

    Args:
        status: its exit status; negative is the signal that ended it.
        output: what it wrote to standard output and standard error, in order; the middle of a long text is left out.
        stopped: why it was stopped before its end, or empty.
    """

    status: int
    output: str
    stopped: str = ""


async def run_process(
    command: Sequence[str],
    *,
    folder: str | os.PathLike[str],
    environment: Mapping[str, str],
    timeout: float,
    max_output: int,
) -> Finished:
    """Run a command in a session and process group of its own, and kill that whole group at the end, however it ends.

    A process that leaves its group on purpose (``setsid``) escapes; nothing waits for it.

    Args:
        command: the program and its arguments.
        folder: where it runs.
        environment: its whole environment.
        timeout: seconds.
        max_output: bytes of output to keep: half from the beginning, half from the end.

    Raises:
        ToolError: the program cannot be started.
        asyncio.CancelledError: the caller was cancelled; the group has been killed.
    """
    loop = asyncio.get_running_loop()
    try:
        # Here and not in a thread: between the start and the `try` below there is no point at which a cancellation
        # could strike and leave a process that nobody knows. It takes about a millisecond.
        process = subprocess.Popen(  # noqa: ASYNC220
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(f"{command[0]!r} could not be started: {error.strerror}") from error
    output = _Output(max_output, lambda: _kill_group(process.pid))
    transport: asyncio.ReadTransport | None = None
    stopped = ""
    try:
        transport, _ = await loop.connect_read_pipe(lambda: output, process.stdout)
        try:
            async with asyncio.timeout(timeout):
                await in_thread(process.wait)
        except TimeoutError:
            stopped = f"stopped after {timeout:g} seconds"
    finally:
        # Also after a normal end: what was put in the background ends with the call, and lets go of the pipe.
        _kill_group(process.pid)
        if transport is None and process.stdout is not None:
            process.stdout.close()
        try:
            if transport is not None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LINGER):
                        await output.closed.wait()
        finally:
            if transport is not None:
                transport.close()
            # After a timeout the thread that waited may still be the one that reaps it; either will do.
            await in_thread(process.wait)
    if output.flooded:
        stopped = f"stopped after {_FLOOD:,} bytes of output"
    return Finished(process.returncode, output.text(), stopped)


def checked_output(finished: Finished) -> str:
    """Return the output of a command that ended well.

    Raises:
        CommandFailed: it did not; the text is the output and how it ended.
    """
    text = finished.output.rstrip("\n")
    if finished.stopped:
        raise CommandFailed(f"{text}\n[{finished.stopped}]".lstrip("\n"))
    if finished.status < 0:
        raise CommandFailed(f"{text}\n[ended by signal {-finished.status}]".lstrip("\n"))
    if finished.status > 0:
        raise CommandFailed(f"{text}\n[exit status {finished.status}]".lstrip("\n"))
    return text or NOTHING


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


class _Output(asyncio.Protocol):
    """Keeps the beginning and the end of what comes."""

    def __init__(self, limit: int, on_flood: Callable[[], object]) -> None:
        self._half = max(limit // 2, 1)
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0
        self._on_flood = on_flood
        self.flooded = False
        self.closed = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self._total += len(data)
        room = self._half - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        if len(self._tail) > 2 * self._half:  # seldom enough to be cheap
            del self._tail[: -self._half]
        if self._total > _FLOOD and not self.flooded:
            self.flooded = True
            self._on_flood()

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set()

    def text(self) -> str:
        tail = bytes(self._tail[-self._half :])
        left_out = self._total - len(self._head) - len(tail)
        note = f"\n[… {left_out:,} bytes left out …]\n".encode() if left_out else b""
        return (bytes(self._head) + note + tail).decode("utf-8", errors="replace")
