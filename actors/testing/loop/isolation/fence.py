"""Refuses threads, processes, sockets and changes of files while a simulation runs in this thread.

An audit hook (PEP 578) sees them before they happen, whatever library asks; it cannot be removed again, so it is
installed with the first simulation and looks first at whether one is running. What no audit event tells of is replaced
for as long as a search lasts (`replacements`, `methods`).

A file that is written is still there in the next run, so that runs would differ; to read one is harmless as long as
none is written. What installed libraries write for themselves (caches, compiled modules) is no part of the scenario,
and our own journals have to be simulated: so it is asked whose code it is that writes.
"""

from __future__ import annotations

import _thread
import functools
import os
import select
import signal
import socket
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import get_ident
from types import FrameType
from typing import Any, TypeAlias

from .by_thread import set_here

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
    "socket.gethostbyaddr": "looking up a host",
    "socket.getnameinfo": "looking up a host",
    "socket.sendto": "sending on a socket",
    "socket.sendmsg": "sending on a socket",
}
_FILES = {
    "open": "writing the file",
    "os.remove": "removing the file",
    "os.rename": "renaming the file",
    "os.mkdir": "making the directory",
    "os.rmdir": "removing the directory",
    "os.truncate": "truncating the file",
    "os.link": "linking the file",
    "os.symlink": "linking the file",
    "os.chmod": "changing the mode of the file",
    "os.chown": "changing the owner of the file",
    "os.utime": "changing the times of the file",
    "os.setxattr": "changing attributes of the file",
    "os.removexattr": "changing attributes of the file",
    "os.mkfifo": "making the file",
    "os.mknod": "making the file",
}
_FOLDERS = "Write into sim.folder, which goes with the run, or allow a directory with sim.allow_writing(…)"
_SURROUNDINGS = {
    "os.putenv": "changing the environment variable",
    "os.unsetenv": "removing the environment variable",
    "os.chdir": "changing the working directory to",
}
_ON_SOCKETS = {
    "send": "sending on a socket",
    "sendall": "sending on a socket",
    "write": "sending on a socket",
    "recv": "receiving on a socket",
    "recv_into": "receiving on a socket",
    "read": "receiving on a socket",
    "recvfrom": "receiving on a socket",
    "recvfrom_into": "receiving on a socket",
    "recvmsg": "receiving on a socket",
    "recvmsg_into": "receiving on a socket",
    "accept": "accepting a connection",
}
"""Methods of sockets without an audit event; one that is older than the run was connected before it."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_STANDARD = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib"))
_INSTALLED = tuple(f"{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages"))
_OURS = __name__.partition(".")[0] + "."
_ACTORS = __name__.partition(".testing.")[0]
_WRITERS = (f"{_ACTORS}.journal.", f"{_ACTORS}.testing.search.", f"{_ACTORS}.testing.processes.")
Fence: TypeAlias = tuple[Callable[..., object], list[str]]
"""What refuses, told in words what was tried, and perhaps what to do instead; and below which directories files may be
changed."""
_fences: dict[int, Fence] = {}
_installed = False


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if not _fences or (fence := _fences.get(get_ident())) is None:
        return
    refuse, writable = fence
    if event in _FENCED:
        if not (event == "subprocess.Popen" and _asks_for_the_processor(args)):
            refuse(_FENCED[event])
    elif event in _FILES:
        if _changes_files(event, args, writable):
            refuse(f"{_FILES[event]} {_path(args[0])!r}", _FOLDERS)
    elif event in _SURROUNDINGS and _is_the_scenarios(sys._getframe(1)):
        refuse(f"{_SURROUNDINGS[event]} {_path(args[0])!r}")


def _path(path: Any) -> str:
    """Return the path of a file that is given by a path or by the number of a descriptor."""
    if not isinstance(path, int):
        return os.fsdecode(path)
    try:
        return os.readlink(f"/proc/self/fd/{path}")
    except OSError:
        return f"descriptor {path}"


def _asks_for_the_processor(args: tuple[Any, ...]) -> bool:
    """Whether it is `platform.processor`, which asks once in a process, and always hears the same.

    The vendors' SDKs call it with their first request.
    """
    return list(args[1]) == ["uname", "-p"] if isinstance(args[1], list | tuple) else False


def _changes_files(event: str, args: tuple[Any, ...], writable: list[str]) -> bool:
    if event == "open" and (isinstance(args[0], int) or not (args[2] or 0) & _WRITING):
        return False
    place = os.path.abspath(_path(args[0]))
    allowed = place == os.devnull or any(place.startswith(top) for top in writable)
    return not allowed and _is_the_scenarios(sys._getframe(2))


def _is_the_scenarios(frame: FrameType | None) -> bool:
    """Whether neither an installed library, an import nor a journal of ours is at work: the standard library is
    whoever called it."""
    while frame is not None and frame.f_globals is globals():  # one of the replacements below
        frame = frame.f_back
    while frame is not None:
        file, module = frame.f_code.co_filename, frame.f_globals.get("__name__", "")
        if module.startswith(_OURS):
            return not module.startswith(_WRITERS)
        if file.startswith("<frozen importlib") or any(part in file for part in _INSTALLED):
            return False
        if not file.startswith((*_STANDARD, "<frozen ")):
            return True
        frame = frame.f_back
    return True


def _install() -> None:
    sys.addaudithook(_audit)
    if sys.version_info < (3, 12):  # no audit event for threads yet
        start: Any = threading._start_new_thread  # type: ignore[attr-defined]

        def start_new_thread(*args: Any) -> Any:
            _audit("_thread.start_new_thread", ())
            return start(*args)

        threading._start_new_thread = start_new_thread  # type: ignore[attr-defined]


@contextmanager
def around(refuse: Callable[..., object], writable: list[str]) -> Iterator[None]:
    """Refuse what is real in this thread, for as long as this lasts.

    Args:
        refuse: told in words what was tried, and perhaps what to do instead; raises.
        writable: directories, absolute and with a separator at the end, below which files may be changed.
    """
    global _installed
    if not _installed:
        _installed = True
        _install()
    with set_here(_fences, (refuse, writable)):
        yield


def joined(owner: int) -> AbstractContextManager[None]:
    """Refuse what is real in this thread too, as in the thread ``owner``."""
    return set_here(_fences, _fences[owner])


def lowered() -> AbstractContextManager[None]:
    """Let through what this thread does meanwhile: the simulator's own threads start."""
    return set_here(_fences, None)


def _announced(event: str) -> Callable[[Any], Any]:
    """Return what makes a replacement of a function that no audit event tells of."""

    def make(real: Any) -> Any:
        @functools.wraps(real)
        def function(*args: Any, **options: Any) -> Any:
            _audit(event, args or (*options.values(),))
            return real(*args, **options)

        return function

    return make


def _refused(what: str) -> Callable[[Any], Any]:
    """Return what makes a replacement of a function that is refused, whoever calls it."""

    def make(real: Any) -> Any:
        @functools.wraps(real)
        def function(*args: Any, **options: Any) -> Any:
            if (fence := _fences.get(get_ident())) is not None:
                fence[0](what)
            return real(*args, **options)

        return function

    return make


def _select(real: Any) -> Any:
    @functools.wraps(real)
    def function(readers: Any, writers: Any, others: Any, timeout: float | None = None, /) -> Any:
        if timeout != 0 and (fence := _fences.get(get_ident())) is not None:
            fence[0]("waiting in select()")
        return real(readers, writers, others, timeout)

    return function


def replacements() -> Iterator[tuple[Any, Callable[[Any], Any]]]:
    """Give the functions that no audit event tells of, each with what makes the one that refuses."""
    yield select.select, _select
    yield signal.signal, _refused("setting the handler of a signal")
    for name in ("alarm", "setitimer"):
        if hasattr(signal, name):
            yield getattr(signal, name), _refused("setting a timer of the system")
    for name in ("mkfifo", "mknod"):
        if hasattr(os, name):
            yield getattr(os, name), _announced(f"os.{name}")
    if sys.version_info < (3, 12):
        for name in ("start_new_thread", "start_new"):
            yield getattr(_thread, name), _announced("_thread.start_new_thread")


@functools.cache
def _refusing_method(real: Any, what: str) -> Any:
    return _refused(what)(real)


def methods() -> Iterator[tuple[type, str, Any, Any]]:
    """Give what to put in the place of methods of sockets: the class, the name, the real one, the one that refuses."""
    secure = sys.modules.get("ssl")
    for kind in (socket.socket, *([] if secure is None else [secure.SSLSocket])):
        for name, what in _ON_SOCKETS.items():
            if (real := getattr(kind, name, None)) is not None:  # only encrypted ones read; no recvmsg on Windows
                yield kind, name, real, _refusing_method(real, what)


_METHODS = (
    "create_connection create_server create_datagram_endpoint create_unix_connection create_unix_server getaddrinfo "
    "getnameinfo sock_recv sock_recv_into sock_recvfrom sock_recvfrom_into sock_sendall sock_sendto sock_connect "
    "sock_accept sock_sendfile sendfile start_tls add_reader remove_reader add_writer remove_writer "
    "connect_accepted_socket subprocess_exec subprocess_shell connect_read_pipe connect_write_pipe "
    "add_signal_handler remove_signal_handler"
)


def refuse_methods(loop: type) -> None:
    """Have a class of event loops refuse all methods that reach outside; it has a method ``refuse`` for it."""
    for name in _METHODS.split():
        setattr(loop, name, _refusal(name))


def _refusal(name: str) -> Callable[..., None]:
    def method(self: Any, *_: Any, **__: Any) -> None:
        self.refuse(f"loop.{name}()")

    method.__name__ = name
    return method
