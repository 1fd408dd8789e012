"""The skill ``storage``: files that each user has of their own, in a folder or in a bucket of S3's kind."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol
from weakref import WeakValueDictionary

from ......providers.checks import COUNT, TEXT
from ......tools.errors import FileError, NoSuchPath, ToolError, UnsuitableFile
from ......tools.function_tool import tool
from ......tools.threads import in_thread
from ....caller import Caller
from ....context import ToolContext
from ....errors import DefinitionError
from ....wishes import define
from ...context import SkillContext
from ...skill import Skill
from .bucket import Bucket
from .folder import StorageFolder

MOST_FILES: Final = 1_000
"""Files that one user may have."""
LONGEST_PATH: Final = 500
"""Bytes of a path."""

_ODD: Final = re.compile(r"[\x00-\x1f\x7f\\]")
_UNREADABLE: Final = re.compile(r"[^a-z0-9]+")


class Storage(Protocol):
    """Where files lie, by keys such as ``ada-1f0c…/notes/today.md``. Its methods block; they are called in threads."""

    def open(self) -> None:
        """Look whether it is there.

        Raises:
            ToolError: it is not.
        """
        ...

    def put(self, key: str, content: bytes) -> None:
        """Keep a file, wholly or not at all, in the place of the one that there may be."""
        ...

    def get(self, key: str, most: int) -> bytes | None:
        """A file's content, or None if there is none; raises `ToolError` for more than so many bytes."""
        ...

    def delete(self, key: str) -> bool:
        """Remove a file. Returns whether there was one."""
        ...

    def sizes(self, prefix: str, most: int) -> dict[str, int]:
        """The files whose keys begin so, with their bytes, at most so many."""
        ...


class StorageSkill(Skill):
    """Files that belong to the user who asks: no other user's run ever reaches them.

    Args:
        folder: where they lie, on this machine.
        bucket: where they lie, in place of a folder: a bucket of S3, or of a service that is compatible.
        prefix: what all keys in the bucket begin with.
        endpoint: the address of such a service; empty for S3 itself. Keys and region are found as boto3 finds them.
        storage: where they lie, in place of both.
        max_file: bytes of one file.
        quota: bytes of all files of one user.

    Raises:
        DefinitionError: there is not one place, or an argument is of the wrong type.
        MissingExtra: boto3 is not installed (the extra ``storage``).
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        bucket: str = "",
        prefix: str = "",
        endpoint: str = "",
        storage: Storage | None = None,
        max_file: int = 1_000_000,
        quota: int = 100_000_000,
    ) -> None:
        texts = {"bucket": (bucket, TEXT), "prefix": (prefix, TEXT), "endpoint": (endpoint, TEXT)}
        define("skill storage", **texts, max_file=(max_file, COUNT), quota=(quota, COUNT))
        if sum((folder is not None, bool(bucket), storage is not None)) != 1:
            raise DefinitionError("skill storage: files lie in one place: give a folder, a bucket, or a storage")
        if storage is not None:
            self._storage = storage
        elif folder is not None:
            self._storage = StorageFolder(folder)
        else:
            self._storage = Bucket(bucket, prefix, endpoint)
        self._max_file = max_file
        self._quota = quota
        self._writing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        super().__init__(
            "storage",
            "The files of storage_list belong to the user you work for, and are there in later conversations, too.",
            [
                tool(name="storage_list", risk="safe", idempotent=True)(self.list_files),
                tool(name="storage_read", risk="safe", idempotent=True)(self.read),
                tool(name="storage_write", risk="risky", idempotent=True)(self.write),
                tool(name="storage_delete", risk="risky", idempotent=True)(self.delete),
            ],
            description="Keeps files for each user.",
        )

    async def initialize(self, context: SkillContext) -> None:
        """Look whether the place is there."""
        await in_thread(self._storage.open)

    async def list_files(self, context: ToolContext, folder: str = "") -> str:
        """The user's files, with their sizes.

        Args:
            folder: only those in it; empty for all.
        """
        own = owned_by(context.caller)
        within = f"{own}/{_checked(folder)}/" if folder.strip("/") else f"{own}/"
        sizes = await in_thread(lambda: self._storage.sizes(within, MOST_FILES))
        lines = [f"{key.removeprefix(f'{own}/')} ({size:,} bytes)" for key, size in sorted(sizes.items())]
        return "\n".join(lines) or "(there are no files)"

    async def read(self, context: ToolContext, path: str) -> str:
        """Read a file of the user's.

        Args:
            path: as storage_list shows it.
        """
        key = f"{owned_by(context.caller)}/{_checked(path)}"
        with _said_without(owned_by(context.caller)):
            content = await in_thread(lambda: self._storage.get(key, self._max_file))
        if content is None:
            raise NoSuchPath(f"there is no file {path!r:.200}")
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            raise UnsuitableFile(f"{path!r:.200} is no text") from None

    async def write(self, context: ToolContext, path: str, content: str) -> str:
        """Write a file for the user, in the place of the one that there may be.

        Args:
            path: such as notes/today.md.
            content: all of it.
        """
        own = owned_by(context.caller)
        key, data = f"{own}/{_checked(path)}", content.encode("utf-8", "replace")
        if len(data) > self._max_file:
            raise ToolError(f"a file may have {self._max_file:,} bytes; this has {len(data):,}")
        async with self._writing.setdefault(own, asyncio.Lock()):  # calls of one step come at once
            sizes = await in_thread(lambda: self._storage.sizes(f"{own}/", MOST_FILES))
            others = sum(size for name, size in sizes.items() if name != key)
            if others + len(data) > self._quota:
                raise ToolError(f"all files of a user together may have {self._quota:,} bytes: delete some")
            if key not in sizes and len(sizes) >= MOST_FILES:
                raise ToolError(f"a user may have {MOST_FILES:,} files: delete some")
            with _said_without(own):
                await in_thread(lambda: self._storage.put(key, data))
        return f"wrote {len(data):,} bytes"

    async def delete(self, context: ToolContext, path: str) -> str:
        """Delete a file of the user's.

        Args:
            path: as storage_list shows it.
        """
        key = f"{owned_by(context.caller)}/{_checked(path)}"
        with _said_without(owned_by(context.caller)):
            there = await in_thread(lambda: self._storage.delete(key))
        if not there:
            raise NoSuchPath(f"there is no file {path!r:.200}")
        return "deleted"


@contextmanager
def _said_without(own: str) -> Iterator[None]:
    """Have errors name files as their user does."""
    try:
        yield
    except FileError as error:
        raise type(error)(str(error).replace(f"{own}/", "")) from None


def owned_by(caller: Caller) -> str:
    """What the keys of a user's files begin with: what can be read of the name, and a number that no other user has.

    Raises:
        ToolError: nobody is named.
    """
    if not caller.user:
        raise ToolError("whose files these are is not known: a run has a user (run(…, user=…))")
    named = f"{len(caller.tenant)} {caller.tenant} {caller.user}".encode("utf-8", "surrogatepass")
    readable = _UNREADABLE.sub("-", caller.user.lower())[:40].strip("-") or "user"
    return f"{readable}-{hashlib.sha256(named).hexdigest()[:32]}"


def _checked(path: str) -> str:
    """A path as part of a key.

    Raises:
        FileError: it is none.
    """
    steps = path.strip("/").split("/")
    if any(step in ("", ".", "..") for step in steps) or _ODD.search(path):
        raise FileError(f"{path!r:.200} is no path here; write it as in notes/today.md")
    joined = "/".join(steps)
    if len(joined.encode("utf-8", "replace")) > LONGEST_PATH or any(len(step.encode()) > 200 for step in steps):
        raise FileError(f"a path has at most {LONGEST_PATH} bytes, and each of its names 200")
    return joined
