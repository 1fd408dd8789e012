"""Runs Python programs in processes forked off one that has already imported the library: a new interpreter spends most
of a short program's time on that.

What runs is a process like any other: it has its own pid, folder, environment, stdio and exit status, it can be killed,
and it ends as an interpreter ends. Not for tests of what an interpreter does as it starts, of its options, or of what
is imported.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import importlib.util
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[1]
PACKAGES = ("callboard.actors", "callboard.actors.agents", "callboard.actors.cli", "callboard.actors.journal")
MODULES = ("callboard.providers", "callboard.tools", "callboard.actors.testing", "psycopg_pool")


class Program:
    """A running program, as ``Popen([sys.executable, *words])`` has it; at the end of its block it is killed.

    Args:
        words: ``-W`` and ``-X`` with what follows each (``-X import=a,b``: what else is imported before the fork);
            ``-c`` and code, or ``-m`` and a module's name, or a file; then the program's arguments.
        cwd: where it runs.
        env: all its environment variables; this process's unless given.
        files: its stdin, stdout and stderr; None for a pipe in the first two, and for this process's stderr.

    Attributes:
        pid: its process's.
        stdin, stdout: the ends of pipes.
        returncode: its exit status once it has been waited for, -N if signal N ended it.
    """

    def __init__(
        self,
        *words: object,
        cwd: Path = ROOT,
        env: Mapping[str, str] | None = None,
        files: tuple[IO[bytes] | None, IO[bytes] | None, IO[bytes] | None] = (None, None, None),
    ) -> None:
        told = [str(word) for word in words]
        options = 0
        while told[options] in ("-W", "-X"):
            options += 2
        asked = {
            "words": told[options:],
            "cwd": str(cwd),
            "env": dict(os.environ if env is None else env),
        }
        read, writes = os.pipe()
        reads, write = os.pipe()
        self.stdin = os.fdopen(writes, "w", encoding="utf-8", buffering=1)
        self.stdout = os.fdopen(reads, encoding="utf-8")
        self.returncode: int | None = None
        self._waiter, its = socket.socketpair()
        self._told = self._waiter.makefile("r")
        stdio = [file.fileno() if file else other for file, other in zip(files, (read, write, 2), strict=True)]
        socket.send_fds(_server(*told[:options]), [b"."], [its.fileno(), *stdio])
        its.close()
        os.close(read)
        os.close(write)
        self._waiter.sendall(json.dumps(asked).encode() + b"\n")
        pid = self._told.readline()
        assert pid, "the process that forks has ended"
        self.pid = int(pid)

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()
        for file in (self.stdin, self.stdout, self._told, self._waiter):
            file.close()

    def send_signal(self, number: int) -> None:
        """Send it a signal; nothing once its end is known."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, and wait for its end."""
        self.send_signal(signal.SIGKILL)
        self.wait()

    def wait(self, timeout: float = 60) -> int:
        """Wait for its end.

        Args:
            timeout: seconds.

        Returns:
            its exit status.

        Raises:
            TimeoutError: it has not ended.
        """
        if self.returncode is None:
            if not select.select([self._waiter], [], [], timeout)[0]:
                raise TimeoutError(f"process {self.pid} has not ended in {timeout} s")
            self.returncode = int(self._told.readline())
        return self.returncode


def run(
    *words: object, cwd: Path = ROOT, env: Mapping[str, str] | None = None, typed: str = "", timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; `Program` says what it takes.

    Args:
        typed: what it reads from stdin.
        timeout: seconds after which it is killed.

    Returns:
        what it printed, and its exit status.

    Raises:
        TimeoutError: it was killed.
    """
    with tempfile.TemporaryFile() as typing, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        typing.write(typed.encode())
        typing.seek(0)
        with Program(*words, cwd=cwd, env=env, files=(typing, out, err)) as program:
            status = program.wait(timeout)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(
            [*map(str, words)], status, out.read().decode("utf-8"), err.read().decode("utf-8")
        )


@functools.cache
def _server(*options: str) -> socket.socket:
    """The way to the process that forks, with these options of Python's; started at the first use."""
    mine, its = socket.socketpair()
    with its:
        process = subprocess.Popen(
            [sys.executable, *options, "-m", "tests.warm", str(its.fileno())],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT / ".src"), "PYTHONUTF8": "1"},
            pass_fds=[its.fileno()],
        )

    def end() -> None:
        mine.close()
        process.wait()

    atexit.register(end)
    return mine


def _serve(asking: socket.socket) -> dict[str, Any] | None:
    """Fork for each request; returns what to run in the process that is to run it, and None when all is over."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who waits for a program leaves no zombie
    while True:
        _, passed, *_ = socket.recv_fds(asking, 1, 4)
        if not passed:
            return None
        if os.fork() == 0:
            asking.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return _fork(socket.socket(fileno=passed[0]), passed[1:])
        for file in passed:
            os.close(file)


def _fork(caller: socket.socket, stdio: Sequence[int]) -> dict[str, Any]:
    """Fork the program, and tell its pid and its exit status; returns in the program only."""
    asked: dict[str, Any] = json.loads(caller.makefile("rb").readline())
    if (pid := os.fork()) != 0:
        for file in stdio:
            os.close(file)
        with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
            caller.sendall(b"%d\n" % pid)
            caller.sendall(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        os._exit(0)
    caller.close()
    for number, file in enumerate(stdio):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    return asked


def _program(words: Sequence[str]) -> None:
    """Run it as the interpreter does: what it raises, and what it leaves, is Python's to deal with."""
    main = types.ModuleType("__main__")
    if words[0] == "-c":
        sys.path[0], code, name = "", compile(words[1], "<string>", "exec"), "-c"
        sys.argv = ["-c", *words[2:]]
    elif words[0] == "-m":
        sys.path[0] = os.getcwd()
        main.__spec__ = importlib.util.find_spec(words[1])
        assert main.__spec__ is not None
        assert main.__spec__.origin is not None
        main.__package__, name = main.__spec__.parent, main.__spec__.origin
        code, sys.argv = compile(Path(name).read_bytes(), name, "exec"), [name, *words[2:]]
    else:
        sys.path[0], name = str(Path(words[0]).parent), words[0]
        code, sys.argv = compile(Path(name).read_bytes(), name, "exec"), list(words)
    main.__file__ = name
    sys.modules["__main__"] = main
    exec(code, main.__dict__)


if __name__ == "__main__":
    for name in PACKAGES:
        for found in pkgutil.iter_modules(importlib.import_module(name).__path__, f"{name}."):
            importlib.import_module(found.name)
    for name in (*MODULES, *filter(None, str(sys._xoptions.get("import", "")).split(","))):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()
    if (request := _serve(socket.socket(fileno=int(sys.argv[1])))) is not None:
        _program(request["words"])
