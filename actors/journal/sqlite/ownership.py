"""Who is alive: a lease by the machine's clock, and a lock on a file that ends with its process.

No two clocks are compared. The clock counts from the machine's start, suspended or not, and is of no use after the
next one, so each lease names the start it was made after.
"""

from __future__ import annotations

import ctypes
import os
import sqlite3
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

if sys.platform != "win32":
    import fcntl

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", None)


def now() -> float:
    """Seconds by the machine's clock, which nobody sets."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)


@cache
def boot_id() -> str:
    """Which start of the machine this is; empty where it does not say."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    if sys.platform == "darwin":
        size = ctypes.c_size_t(64)
        text = ctypes.create_string_buffer(64)
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).sysctlbyname(b"kern.bootsessionuuid", text, ctypes.byref(size), None, ctypes.c_size_t(0))
            return text.value.decode("ascii", "replace")
    return ""


def is_current(boot: str, until: float, lease: float) -> bool:
    """Whether a lease holds. One that ends later than it could was made after another start of the machine."""
    return boot == boot_id() and now() < until <= now() + lease


class Presence:
    """A locked file for each worker. Where there are no such locks every worker counts as present.

    Args:
        folder: of the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, int] = {}

    def enter(self, worker: str) -> None:
        """Hold a worker's lock until `leave`, or the end of this process."""
        if sys.platform == "win32" or worker in self._held:
            return
        path = self._folder / worker
        while True:
            self._folder.mkdir(exist_ok=True)
            try:
                file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            except FileNotFoundError:  # somebody has just removed the empty folder
                continue
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                if os.fstat(file).st_ino == os.stat(path).st_ino:
                    self._held[worker] = file
                    return
            except FileNotFoundError:
                pass
            except BaseException:
                os.close(file)
                raise
            os.close(file)  # somebody has cleared it away in between

    def is_gone(self, worker: str) -> bool:
        """Whether the worker's process has ended, as far as can be seen."""
        if sys.platform == "win32" or worker in self._held:
            return False
        try:
            file = os.open(self._folder / worker, os.O_RDONLY)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return False
        else:
            return True
        finally:
            os.close(file)

    def clear(self, worker: str) -> None:
        """Remove the file of a worker that is gone."""
        with suppress(OSError):
            os.unlink(self._folder / worker)

    def leave(self, *workers: str) -> None:
        """Let go of the locks that are held here, of some workers or of all, and remove what is not needed any more."""
        for worker in workers or tuple(self._held):
            file = self._held.pop(worker, None)
            if file is not None:
                self.clear(worker)
                os.close(file)
        with suppress(OSError):
            self._folder.rmdir()  # only if it is empty

    def forked(self) -> None:
        """In a forked process: a lock belongs to all who hold the file open; be none of them."""
        for file in self._held.values():
            os.close(file)
        self._held.clear()


def workers(connection: sqlite3.Connection, presence: Presence) -> list[tuple[str, int]]:
    """The workers that are alive, each with the id of its process."""
    rows = connection.execute("SELECT id, pid, boot, until, lease FROM workers").fetchall()
    return [(worker, pid) for worker, pid, *lease in rows if is_current(*lease) and not presence.is_gone(worker)]
