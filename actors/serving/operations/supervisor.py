"""Several processes that serve at one address: started, watched, started again, and replaced one by one.

uvicorn has such a supervisor. It is not used because it waits for a worker that drains without looking at the others or
at signals, stops all of them where one cannot start again, tells workers by signals that may come twice, and leaves
them behind where it is killed itself.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final

from .worker import ASSIGNED, DRAIN, HURRY, READY

LOOK: Final = 0.1
"""Seconds between two looks at the workers."""

FIRST_WAIT: Final = 0.2
LONGEST_WAIT: Final = 10.0
"""Seconds before a worker is started again that had not become ready, doubled each time."""

MOST_KILLED: Final = 5
"""Workers that may be killed from outside before any has served: more have something in common."""

START: Final = 120.0
"""Seconds in which a worker must be ready."""

AFTER_DRAIN: Final = 20.0
"""Seconds for which a worker may take to end when its drain is over."""

_WATCHED: Final = frozenset({".py", ".yaml", ".yml", ".md", ".toml"})
_LEFT_OUT: Final = frozenset({"__pycache__", "node_modules", "site-packages"})


class _Worker:
    """One process."""

    def __init__(self, command: Sequence[str], listening: socket.socket) -> None:
        self.link, theirs = socket.socketpair()
        with theirs:
            given = (listening.fileno(), theirs.fileno())
            env = {**os.environ, ASSIGNED: f"{given[0]},{given[1]}"}
            # Not in the terminal's group: its Ctrl-C is for the supervisor, which tells the workers.
            self.process = subprocess.Popen(command, pass_fds=given, env=env, process_group=0)
        self.link.setblocking(False)
        self.since = time.monotonic()
        self.ready = False
        self.killed_at = float("inf")
        self.leaving = False

    @property
    def pid(self) -> int:
        return self.process.pid

    def look(self) -> None:
        """See whether it has become ready."""
        if not self.ready:
            with suppress(OSError):
                self.ready = READY in self.link.recv(64)

    def tell(self, word: bytes) -> None:
        with suppress(OSError):
            self.link.send(word)

    def leave(self, patience: float) -> None:
        """Have it drain, and killed if that takes longer."""
        if not self.leaving:
            self.leaving = True
            self.killed_at = time.monotonic() + patience
            self.tell(DRAIN)


class Supervisor:
    """Keeps a number of workers that serve.

    SIGTERM and SIGINT have all of them drained, a second one in a hurry; SIGHUP has them replaced one by one, each by
    one that is ready.

    Args:
        command: what starts one.
        listening: the socket that all accept on.
        workers: how many.
        drain: seconds for which they wait for what is under way.
        say: told what happens, a line each.
        watch: folders whose files have the workers replaced when they change.
        serving: told once the first worker serves.
    """

    def __init__(
        self,
        command: Sequence[str],
        listening: socket.socket,
        workers: int,
        drain: float,
        say: Callable[[str], None],
        watch: Iterable[Path] = (),
        serving: Sequence[str] = (),
    ) -> None:
        self._command = command
        self._listening = listening
        self._number = workers
        self._patience = drain + AFTER_DRAIN
        self._say = say
        self._watch = _Watch(watch)
        self._serving = serving
        self._workers: list[_Worker] = []
        self._replacing: list[_Worker] = []
        self._next: _Worker | None = None
        self._signals: list[int] = []
        self._failed = 0
        self._start_at = 0.0
        self._served = False
        self._stopping = False
        self._status = 0

    def run(self) -> int:
        """Until all workers have ended.

        Returns:
            0 where it was told to stop; otherwise the status of the first worker, none of which came to serve.
        """
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = {number: signal.signal(number, self._told) for number in numbers}
        waiting = threading.Event()
        try:
            while not (self._stopping and not self._workers):
                self._step()
                waiting.wait(LOOK)
        finally:
            for worker in self._workers:
                worker.process.kill()
            for worker in self._workers:
                worker.process.wait()
            for number, handler in before.items():
                signal.signal(number, handler)
        return self._status

    def _told(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)

    def _step(self) -> None:
        while self._signals:
            self._heed(self._signals.pop(0))
        now = time.monotonic()
        for worker in list(self._workers):
            worker.look()
            if worker.ready and not self._served:
                self._served = True
                for line in self._serving:
                    self._say(line)
            code = worker.process.poll()
            if code is not None:
                self._ended(worker, code)
            elif now >= worker.killed_at or (not worker.ready and not worker.leaving and now - worker.since > START):
                self._say(f"worker {worker.pid} takes too long, and is killed")
                worker.process.kill()
        if self._stopping:
            return
        if self._watch.changed(now) and not self._replacing:
            self._say("files have changed")
            self._replace()
        self._go_on_replacing()
        staying = sum(not worker.leaving for worker in self._workers if worker is not self._next)
        if staying < self._number and now >= self._start_at:
            for _ in range(self._number - staying):
                self._workers.append(_Worker(self._command, self._listening))

    def _heed(self, number: int) -> None:
        if number == signal.SIGHUP:
            if not self._stopping:
                self._replace()
        elif self._stopping:
            for worker in self._workers:
                worker.tell(HURRY)
        else:
            self._stop(0)

    def _stop(self, status: int) -> None:
        self._stopping, self._status = True, status
        for worker in self._workers:
            worker.leave(self._patience)

    def _replace(self) -> None:
        self._replacing = [worker for worker in self._workers if not worker.leaving and worker is not self._next]

    def _go_on_replacing(self) -> None:
        """Start the one that is to come, let the one go that it replaces once it is ready."""
        waits = any(worker.leaving for worker in self._workers)
        self._replacing = [worker for worker in self._replacing if worker in self._workers]
        if self._next is not None and self._next.ready:
            if self._replacing:
                old = self._replacing.pop(0)
                self._say(f"worker {self._next.pid} replaces {old.pid}")
                old.leave(self._patience)
            self._next = None
        elif self._next is None and self._replacing and not waits:
            self._next = _Worker(self._command, self._listening)
            self._workers.append(self._next)

    def _ended(self, worker: _Worker, code: int) -> None:
        self._workers.remove(worker)
        worker.link.close()
        if worker is self._next and code < 0:
            self._next = None  # by whom or what it was killed says nothing of the next one
            self._say(f"worker {worker.pid} ended by {_how(code)} before it was ready: another one is started")
        elif worker is self._next:
            self._next, self._replacing = None, []
            self._say(f"the new worker did not become ready ({_how(code)}): the others stay as they are")
        elif worker.leaving or self._stopping:
            if code:
                self._say(f"worker {worker.pid} ended by {_how(code)}")
        elif not self._served and not self._watch.on and (code >= 0 or self._failed >= MOST_KILLED):
            self._say(f"worker {worker.pid} ended by {_how(code)}, and none has served: it ends here")
            self._stop(code if code > 0 else 1)
        else:
            self._failed = 0 if worker.ready else self._failed + 1
            wait = min(LONGEST_WAIT, FIRST_WAIT * 2**self._failed) if self._failed else 0.0
            self._start_at = time.monotonic() + wait
            self._say(f"worker {worker.pid} ended by {_how(code)}: another one is started")


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"itself, with status {code}"


class _Watch:
    """Says whether a file has changed."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = tuple(dict.fromkeys(folder.resolve() for folder in folders))
        self._seen = self._look()
        self._at = 0.0

    @property
    def on(self) -> bool:
        return bool(self._folders)

    def changed(self, now: float) -> bool:
        """Whether one has, since it was asked the last time."""
        if not self._folders or now < self._at:
            return False
        self._at = now + 5 * LOOK
        seen = self._look()
        before, self._seen = self._seen, seen
        return seen != before

    def _look(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for top in self._folders:
            for folder, folders, files in os.walk(top):
                folders[:] = [name for name in folders if not name.startswith(".") and name not in _LEFT_OUT]
                for name in files:
                    if os.path.splitext(name)[1] in _WATCHED:
                        with suppress(OSError):
                            path = os.path.join(folder, name)
                            found[path] = os.stat(path).st_mtime_ns
        return found
