"""Which skill folders may run their scripts: those that somebody has looked at, as long as nothing in them changes."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from ...errors import SkillFileError
from .folder import SkillFolder


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
        """
        self._known = {**self._read(), str(folder.path): folder.digest() if digest is None else digest}
        self._write()

    def distrust(self, folder: SkillFolder) -> None:
        """Trust a folder no more."""
        self._known = {path: digest for path, digest in self._read().items() if path != str(folder.path)}
        self._write()

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
