"""Which skill folders may run their scripts: those that somebody has looked at, as long as nothing in them changes."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .....providers.checks import NAME, made_as
from ...errors import SkillFileError
from ...wishes import define
from .folder import SkillFolder

if sys.platform != "win32":
    import fcntl


class SkillTrust:
    """What somebody trusts: folders, each with the digest of what was in it then.

    Args:
        file: where that is remembered; by default it is forgotten at the end. It must not lie where a model writes.

    Raises:
        SkillFileError: the file holds something else.
    """

    def __init__(self, file: str | os.PathLike[str] | None = None) -> None:
        self._file = None if file is None else Path(file)
        self._known: dict[str, str] = {}
        self._known = self._read()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._known)} folders>"

    def trusts(self, folder: SkillFolder, digest: str) -> bool:
        """Whether a folder is trusted with this content.

        Args:
            folder: it.
            digest: of what it holds, see `SkillFolder.digest`.
        """
        return self._read().get(str(folder.path)) == digest

    def trust(self, folder: SkillFolder, digest: str | None = None) -> None:
        """Trust a folder with what it holds, until that changes.

        Args:
            folder: it.
            digest: of what was looked at; by default of what it holds now.

        Raises:
            SkillFileError: it cannot be trusted, or the file cannot be read.
            DefinitionError: it is no `SkillFolder`.
        """
        define("SkillTrust", folder=(folder, made_as(SkillFolder)), digest=(digest, NAME.or_none()))
        looked_at = folder.digest() if digest is None else digest
        with self._alone():
            self._known = {**self._read(), str(folder.path): looked_at}
            self._write()

    def distrust(self, folder: SkillFolder) -> None:
        """Trust a folder no more."""
        define("SkillTrust", folder=(folder, made_as(SkillFolder)))
        with self._alone():
            self._known = {path: digest for path, digest in self._read().items() if path != str(folder.path)}
            self._write()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While nobody else changes the file, in whichever process or thread; where files can be locked."""
        if self._file is None or sys.platform == "win32":
            yield
            return
        place = os.open(self._file.parent, os.O_RDONLY)
        try:
            fcntl.flock(place, fcntl.LOCK_EX)
            yield
        finally:
            os.close(place)

    def _read(self) -> dict[str, str]:
        if self._file is None:
            return self._known
        try:
            said = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise SkillFileError(f"cannot be read: {error}; remove it, and trust anew", path=str(self._file)) from None
        if not isinstance(said, dict) or not all(isinstance(digest, str) for digest in said.values()):
            raise SkillFileError("expected folders with their digests; remove it, and trust anew", path=str(self._file))
        return said

    def _write(self) -> None:
        if self._file is None:
            return
        text = json.dumps(self._known, indent=2, sort_keys=True)
        handle, name = tempfile.mkstemp(dir=self._file.parent, prefix=f".{self._file.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self._file)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise
