"""Users' files in a folder of this machine."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from ......tools.builtin.folder import Folder
from ......tools.errors import FileError, NoSuchPath
from ....errors import DefinitionError

_HALF_WRITTEN: Final = re.compile(r"\.\d+\.\d+\.tmp")


class StorageFolder:
    """A `Storage` in a folder, which no key leads out of.

    Args:
        folder: an existing one.

    Raises:
        DefinitionError: it does not exist.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            self._folder = Folder(folder)
        except (FileError, TypeError) as error:
            raise DefinitionError(f"skill storage: {error}") from error

    def open(self) -> None:
        """Look whether it is there still."""
        if not self._folder.root.is_dir():
            raise NoSuchPath(f"the folder {str(self._folder.root)!r} does not exist")

    def put(self, key: str, content: bytes) -> None:
        """Keep a file: wholly, or not at all."""
        self._folder.write(key, content)

    def get(self, key: str, most: int) -> bytes | None:
        """A file's content, or None."""
        try:
            return self._folder.read(key, most)
        except NoSuchPath:
            return None

    def delete(self, key: str) -> bool:
        """Remove a file."""
        try:
            with self._folder.locate(key) as place:
                if place.status is None or place.is_folder:
                    return False
                os.unlink(place.name, dir_fd=place.holder)
        except (NoSuchPath, FileNotFoundError):
            return False
        return True

    def sizes(self, prefix: str, most: int) -> dict[str, int]:
        """The files below a folder, with their bytes."""
        found: dict[str, int] = {}
        root = self._folder.root
        for where, _, names in os.walk(root / prefix):  # links are not followed
            for name in names:
                path = Path(where, name)
                with suppress(OSError):  # gone meanwhile
                    status = path.lstat()
                    if stat.S_ISREG(status.st_mode) and not _HALF_WRITTEN.fullmatch(name):
                        found[path.relative_to(root).as_posix()] = status.st_size
                if len(found) >= most:
                    return found
        return found
