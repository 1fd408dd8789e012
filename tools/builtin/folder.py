"""A folder that file operations cannot leave.

A path is walked one name at a time from an open folder, each step relative to the one before and never through a
link: links are read and their targets walked in the same way, ``..`` goes back to a folder already held open. So
nothing that is changed meanwhile (a link put in a folder's place) can lead outside, as it could between the check of
a resolved path and its use. The idea is that of Linux's ``openat2(RESOLVE_BENEATH)``, with calls that every POSIX
system has. Hard links cannot be told from files and are not followed out of anything: they are files.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import FileError, NoSuchPath, OutsideFolder, UnsuitableFile
from ..threads import gave_up

_MAX_LINKS = 40  # as in Linux's path resolution
_MAX_DEPTH = 100  # one descriptor is held per level
_FOLDER_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
# O_NONBLOCK: opening a named pipe would wait for its other end.
_READ_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)

# Left out when a tree is searched: version control and other tools' data, by name or by the mark they carry.
_SKIPPED_NAMES = frozenset({".git", ".hg", ".svn", "node_modules", "__pycache__", ".hypothesis"})
_SKIPPED_MARKS = ("CACHEDIR.TAG", "pyvenv.cfg")

_serial = itertools.count(1)
# Reading a file, changing it and putting it back is one step for all folders of this process.
_changes = threading.RLock()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path leads, found without following a link.

    Args:
        holder: a descriptor of the folder that holds it (or of the folder itself, where ``name`` is empty).
        name: its name in there; empty for a folder.
        path: for messages: relative to the root, ``.`` for the root itself; or absolute, if its folder shows them so.
        status: what is there, or None if nothing.
    """

    holder: int
    name: str
    path: str
    status: os.stat_result | None

    @property
    def is_folder(self) -> bool:
        return not self.name


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing found while walking a tree: its path, as in a `Place`, and what it is."""

    path: str
    name: str
    holder: int
    kind: str
    """``file``, ``folder``, ``link`` or ``other``."""
    size: int = 0


def existing(root: str | os.PathLike[str]) -> Path:
    """The place of a folder; where it is itself a link, of its target at this moment.

    Raises:
        NoSuchPath: it does not exist or is no folder.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise NoSuchPath(f"the folder {str(root)!r} does not exist")
    return folder.resolve()


class Folder:
    """A root folder, and what may be done within it.

    Args:
        root: an existing folder; where it is itself a link, its target at this moment.
        absolute: show paths as absolute ones; otherwise they are relative to the root.

    Raises:
        NoSuchPath: it does not exist or is no folder.
        FileError: this system cannot open files relative to a folder (Windows).
    """

    def __init__(self, root: str | os.PathLike[str], *, absolute: bool = False) -> None:
        if os.open not in os.supports_dir_fd or not hasattr(os, "O_NOFOLLOW"):
            raise FileError("confined file tools need a POSIX system")
        self.root = existing(root)
        # Absolute paths may name the root either way.
        self._prefixes = tuple(dict.fromkeys((str(self.root), os.path.abspath(root))))
        self._shown = [str(self.root).rstrip("/")] if absolute else []

    @contextmanager
    def locate(self, path: str, *, create_parents: bool = False) -> Iterator[Place]:
        """Walk to ``path`` and hold it open.

        Args:
            path: relative to the root, or absolute and within it.
            create_parents: make the folders that are missing on the way.

        Raises:
            OutsideFolder: the path leaves the root, by ``..``, as an absolute path, or through a link.
            NoSuchPath: a folder on the way is missing.
            FileError: anything else that is wrong with the path.
        """
        held: list[int] = []
        try:
            with _explained(path):
                place = self._walk_to(path, held, create_parents)
            yield place
        finally:
            for descriptor in held:
                os.close(descriptor)

    def _walk_to(self, path: str, held: list[int], create_parents: bool) -> Place:
        names: list[str] = []
        todo = deque(self._parts(path, path))
        held.append(os.open(self.root, _FOLDER_FLAGS))
        links = 0
        while todo:
            name = todo.popleft()
            if name in ("", "."):
                continue
            if name == "..":
                if not names:
                    raise _outside(path)
                names.pop()
                os.close(held.pop())
                continue
            try:
                status = os.stat(name, dir_fd=held[-1], follow_symlinks=False)
            except FileNotFoundError:
                rest = [part for part in todo if part not in ("", ".")]
                if not rest:
                    return Place(held[-1], name, "/".join([*self._shown, *names, name]), None)
                if not create_parents or ".." in rest:
                    raise NoSuchPath(f"{path!r}: the folder {'/'.join([*names, name])!r} does not exist") from None
                refuse_git(name, path)
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=held[-1])
                todo.appendleft(name)
                continue
            if stat.S_ISLNK(status.st_mode):
                links += 1
                if links > _MAX_LINKS:
                    raise FileError(f"{path!r}: too many links, or links that lead to each other")
                target = os.readlink(name, dir_fd=held[-1])
                if target.startswith("/"):
                    todo.extendleft(reversed(self._parts(target, path)))
                    while len(held) > 1:
                        os.close(held.pop())
                    names.clear()
                else:
                    todo.extendleft(reversed(target.split("/")))
            elif stat.S_ISDIR(status.st_mode):
                if len(held) > _MAX_DEPTH:
                    raise FileError(f"{path!r}: more than {_MAX_DEPTH} folders deep")
                held.append(os.open(name, _FOLDER_FLAGS, dir_fd=held[-1]))
                names.append(name)
            else:
                if any(part not in ("", ".") for part in todo):
                    raise FileError(f"{path!r}: {'/'.join([*names, name])!r} is not a folder")
                return Place(held[-1], name, "/".join([*self._shown, *names, name]), status)
        return Place(held[-1], "", "/".join([*self._shown, *names]) or ".", os.fstat(held[-1]))

    def _parts(self, path: str, asked: str) -> list[str]:
        """Split a path into names, relative to the root; ``asked`` is what the message names."""
        if not path.startswith("/"):
            return path.split("/")
        for prefix in self._named_in(path):
            return path[len(prefix) :].split("/")
        raise _outside(asked)

    def open_file(self, place: Place) -> int:
        """Open a regular file for reading and return its descriptor.

        Raises:
            NoSuchPath: nothing is there.
            UnsuitableFile: it is a folder, a pipe, a device.
        """
        if place.status is None:
            raise NoSuchPath(f"{place.path!r} does not exist")
        if place.is_folder:
            raise UnsuitableFile(f"{place.path!r} is a folder")
        with _explained(place.path):
            descriptor = os.open(place.name, _READ_FLAGS, dir_fd=place.holder)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise UnsuitableFile(f"{place.path!r} is not a regular file")
        return descriptor

    def holds(self, path: str) -> int:
        """How many characters of an absolute path name this root; 0 if it leads elsewhere."""
        return max(map(len, self._named_in(path)), default=0)

    def _named_in(self, path: str) -> Iterator[str]:
        """The names of the root that an absolute path begins with."""
        for prefix in self._prefixes:
            if path == prefix or path.startswith(prefix.rstrip("/") + "/"):
                yield prefix

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return a file's content.

        Raises:
            UnsuitableFile: it is larger than ``max_bytes``, or no regular file.
        """
        with self.locate(path) as place, os.fdopen(self.open_file(place), "rb") as file:
            return read_at_most(file.fileno(), place.path, max_bytes)

    def write(self, path: str, data: bytes) -> Place:
        """Put ``data`` in the place of a file, or make it, with the folders on the way: wholly or not at all.

        Raises:
            UnsuitableFile: a folder or a special file is there, or it is git's own data.
        """
        with _changes, self.locate(path, create_parents=True) as place:
            self._replace(place, data)
            return place

    def change(self, path: str, max_bytes: int, change: Callable[[bytes], bytes]) -> Place:
        """Put ``change(content)`` in the place of a file's content: wholly or not at all, and no two at once."""
        with _changes, self.locate(path) as place:
            with os.fdopen(self.open_file(place), "rb") as file:
                before = read_at_most(file.fileno(), place.path, max_bytes)
            self._replace(place, change(before))
            return place

    def check_writable(self, place: Place) -> None:
        """Raises `UnsuitableFile` where nothing can be written: a folder or a special file is there, or it is git's
        own data."""
        if place.is_folder:
            raise UnsuitableFile(f"{place.path!r} is a folder")
        if place.status is not None and not stat.S_ISREG(place.status.st_mode):
            raise UnsuitableFile(f"{place.path!r} is not a regular file")
        for part in place.path.split("/"):
            refuse_git(part, place.path)

    def _replace(self, place: Place, data: bytes) -> None:
        self.check_writable(place)
        temporary = f".{os.getpid()}.{next(_serial)}.tmp"
        with _explained(place.path):
            descriptor = os.open(temporary, _WRITE_FLAGS, 0o666, dir_fd=place.holder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    if place.status is not None:
                        os.fchmod(file.fileno(), stat.S_IMODE(place.status.st_mode))
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, place.name, src_dir_fd=place.holder, dst_dir_fd=place.holder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=place.holder)
                raise

    def entries(self, place: Place) -> list[Entry]:
        """What a folder holds, by name; links are named, not followed."""
        found: list[Entry] = []
        prefix = "" if place.path == "." else place.path + "/"
        with _explained(place.path), os.scandir(place.holder) as scan:
            for item in scan:
                if item.is_symlink():
                    kind = "link"
                elif item.is_dir(follow_symlinks=False):
                    kind = "folder"
                elif item.is_file(follow_symlinks=False):
                    kind = "file"
                else:
                    kind = "other"
                size = 0
                if kind == "file":
                    with suppress(OSError):
                        size = item.stat(follow_symlinks=False).st_size
                found.append(Entry(prefix + item.name, item.name, place.holder, kind, size))
        return sorted(found, key=lambda entry: entry.name)

    def walk(self, place: Place) -> Iterator[Entry]:
        """Everything below a folder, in order of path; links are named, not followed.

        Left out are version control's data, caches and virtual environments (by name, or by the mark they carry).
        Ends early when the caller of the tool has given up.
        """
        for entry in self.entries(place):
            if gave_up():
                return
            yield entry
            if entry.kind != "folder" or entry.name in _SKIPPED_NAMES or entry.path.count("/") >= _MAX_DEPTH:
                continue
            try:
                descriptor = os.open(entry.name, _FOLDER_FLAGS, dir_fd=place.holder)
            except OSError:
                continue  # gone, replaced by a link, or not readable: a search goes on with the rest
            try:
                if not any(_holds(descriptor, mark) for mark in _SKIPPED_MARKS):
                    yield from self.walk(Place(descriptor, "", entry.path, os.fstat(descriptor)))
            finally:
                os.close(descriptor)


def read_at_most(descriptor: int, path: str, max_bytes: int) -> bytes:
    """Read an open file to its end.

    Raises:
        UnsuitableFile: it holds more than ``max_bytes``.
    """
    size = os.fstat(descriptor).st_size
    if size <= max_bytes:
        chunks: list[bytes] = []
        left = max_bytes + 1  # it may grow meanwhile
        while left > 0 and (chunk := os.read(descriptor, min(left, 1 << 20))):
            chunks.append(chunk)
            left -= len(chunk)
        if left > 0:
            return b"".join(chunks)
    raise UnsuitableFile(f"{path!r} has {size:,} bytes; at most {max_bytes:,} are allowed here")


def _holds(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    return True


def refuse_git(name: str, path: str) -> None:
    """Raises `UnsuitableFile` for a name on a path that is of git's own data."""
    # A hook or a setting put there would be run by the next git command, whoever gives it.
    if name.lower() == ".git":
        raise UnsuitableFile(f"{path!r} is git's own data; it is changed by git only")


def _outside(path: str) -> OutsideFolder:
    return OutsideFolder(f"{path!r} is outside the folder; use a path within it, relative to its root")


@contextmanager
def _explained(path: str) -> Iterator[None]:
    """Turn the system's errors into ones that name the path as the model gave it, and nothing of the machine."""
    try:
        yield
    except FileError:
        raise
    except FileNotFoundError:
        raise NoSuchPath(f"{path!r} does not exist") from None
    except ValueError:
        raise FileError(f"{path!r} is not a valid path") from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise FileError(f"{path!r} was changed while it was being used; try again") from error
        raise FileError(f"{path!r}: {error.strerror or 'not possible'}") from error
