"""Refuses threads, processes and sockets while a simulation runs in this thread.

An audit hook (PEP 578) sees them before they happen, whatever library asks; it cannot be removed again, so it is
installed with the first simulation and looks first at whether one is running.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any

_FENCED = {
    "_thread.start_new_thread": "starting a thread",
    "_thread.start_joinable_thread": "starting a thread",
    "subprocess.Popen": "starting a process",
    "os.fork": "forking",
    "os.forkpty": "forking",
    "os.posix_spawn": "starting a process",
    "os.exec": "replacing the process",
    "os.system": "starting a process",
    "socket.connect": "connecting a socket",
    "socket.bind": "binding a socket",
    "socket.getaddrinfo": "looking up a host",
    "socket.gethostbyname": "looking up a host",
    "socket.sendto": "sending on a socket",
}
_refusing: dict[int, Callable[[str], object]] = {}
_installed = False


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if _refusing and event in _FENCED:
        refuse = _refusing.get(get_ident())
        if refuse is not None:
            refuse(_FENCED[event])


def _install() -> None:
    sys.addaudithook(_audit)
    if sys.version_info < (3, 12):  # no audit event for threads yet
        start: Any = threading._start_new_thread  # type: ignore[attr-defined]

        def start_new_thread(*args: Any) -> Any:
            _audit("_thread.start_new_thread", ())
            return start(*args)

        threading._start_new_thread = start_new_thread  # type: ignore[attr-defined]


@contextmanager
def around(refuse: Callable[[str], object]) -> Iterator[None]:
    """Refuse what is real in this thread, for as long as this lasts.

    Args:
        refuse: told in words what was tried; raises.
    """
    global _installed
    if not _installed:
        _installed = True
        _install()
    thread = get_ident()
    _refusing[thread] = refuse
    try:
        yield
    finally:
        del _refusing[thread]
