"""One public skill folder: what its ``SKILL.md`` says, and what stands beside it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .....tools.builtin.folder import Folder
from .....tools.errors import FileError, UnsuitableFile
from ...errors import SkillFileError
from .frontmatter import SkillText, read_skill_text

FILES: Final = ("SKILL.md", "skill.md")
LARGEST_TEXT: Final = 1_000_000
"""Bytes of a ``SKILL.md``, or of a text beside it, that are read: far more than a model can."""
MOST_FILES: Final = 10_000
LARGEST: Final = 256 * 1024 * 1024
"""Files and bytes of a folder whose scripts may be trusted."""


@dataclass(frozen=True)
class SkillFolder:
    """A public skill. Its body and what stands beside it are read when they are asked for.

    Args:
        path: the folder.
        name, description, license, compatibility, allowed_tools, metadata: as its ``SKILL.md`` says.
        warnings: what is unusual about it, each with its line.
    """

    path: Path
    name: str
    description: str
    license: str = ""
    compatibility: str = ""
    allowed_tools: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @classmethod
    def read(cls, folder: str | Path) -> SkillFolder:
        """The skill in a folder.

        Raises:
            SkillFileError: there is no ``SKILL.md``, or it says no skill; with the line.
        """
        path = Path(folder)
        text = _text(path)
        return cls(
            path.resolve(),
            text.name,
            text.description,
            text.license,
            text.compatibility,
            text.allowed_tools,
            text.metadata,
            text.warnings,
        )

    def body(self) -> str:
        """The instructions, as they stand there now.

        Raises:
            SkillFileError: the ``SKILL.md`` is gone, or says no skill any more.
        """
        return _text(self.path).body

    def files(self) -> list[str]:
        """The paths of what stands beside the ``SKILL.md``, sorted; at most `MOST_FILES`."""
        found = []
        for path in _walk(self.path):
            if path.name not in FILES or path.parent != self.path:
                found.append(path.relative_to(self.path).as_posix())
            if len(found) >= MOST_FILES:
                break
        return sorted(found)

    def text(self, path: str) -> str:
        """A text that stands beside the ``SKILL.md``.

        Args:
            path: relative to the folder; nothing outside of it is ever read.

        Raises:
            OutsideFolder: the path leaves the folder, by ``..``, as an absolute path, or through a link.
            FileError: there is no such file, it is too large, or no text.
        """
        content = Folder(self.path).read(path, LARGEST_TEXT)
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise UnsuitableFile(f"{path!r} is no text") from None

    def digest(self) -> str:
        """What the folder holds, as one number: names, contents, and which files are programs.

        Raises:
            SkillFileError: a link leads out of it, it holds what is no file, or too much.
        """
        whole = hashlib.sha256()
        size = 0
        for number, path in enumerate(
            sorted(_walk(self.path), key=lambda each: each.relative_to(self.path).as_posix())
        ):
            name = path.relative_to(self.path).as_posix()
            try:
                status = path.lstat()
                size += status.st_size
                if number >= MOST_FILES or size > LARGEST:
                    raise SkillFileError(
                        f"it is too large to be looked at: more than {MOST_FILES:,} files or {LARGEST:,} bytes",
                        path=str(self.path),
                    )
                if stat.S_ISLNK(status.st_mode):
                    if not path.resolve().is_relative_to(self.path):
                        raise SkillFileError(f"{name!r} is a link that leads out of it", path=str(self.path))
                    kind, content = "link", os.readlink(path).encode()
                elif stat.S_ISREG(status.st_mode):
                    kind, content = ("program" if status.st_mode & 0o111 else "file"), path.read_bytes()
                else:
                    raise SkillFileError(f"{name!r} is no file", path=str(self.path))
            except (OSError, RuntimeError) as error:
                raise SkillFileError(f"{name!r} cannot be read: {error}", path=str(self.path)) from None
            whole.update(f"{kind} {len(name.encode())} {name} {len(content)}\n".encode("utf-8", "surrogateescape"))
            whole.update(hashlib.sha256(content).digest())
        return f"sha256:{whole.hexdigest()}"

    def program(self, path: str) -> str:
        """The absolute path of a file in the folder that is to be run.

        Raises:
            OutsideFolder: the path leaves the folder.
            FileError: there is no such file.
        """
        folder = Folder(self.path)
        with folder.locate(path) as place:
            os.close(folder.open_file(place))
            return str(self.path / place.path)


def _text(folder: Path) -> SkillText:
    for name in FILES:
        file = folder / name
        if file.is_file():
            break
    else:
        raise SkillFileError("there is no SKILL.md", path=str(folder))
    try:
        content = Folder(folder).read(file.name, LARGEST_TEXT)
    except FileError as error:
        raise SkillFileError(str(error), path=str(file)) from None
    return read_skill_text(content, str(file), folder.resolve().name)


def _walk(folder: Path) -> Iterator[Path]:
    """All that is no folder in a folder; links are not followed."""
    for where, folders, files in os.walk(folder):
        for name in [*files, *(each for each in folders if os.path.islink(os.path.join(where, each)))]:
            yield Path(where, name)
