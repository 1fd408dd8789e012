"""The files of a folder of templates, as bytes; none from outside of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from ...errors import TemplateError

TEMPLATES = (".yaml", ".yml")
PIECES = (".jinja",)
LARGEST = 1_000_000
"""The size of the largest file, in bytes: far more than any model reads."""


def collect(root: Path) -> Mapping[str, bytes]:
    """The content of each template and piece, by its path in the folder, with ``/``.

    Other files, and what begins with a dot, are passed over.

    Raises:
        TemplateError: there is no such folder, a file is too large or cannot be read, or a link leads out of it.
    """
    if not root.is_dir():
        raise TemplateError("there is no such folder", path=str(root))
    top = root.resolve()
    return dict(sorted(_files(top, top)))


def decoded(path: str, content: bytes) -> str:
    """A file's text.

    Raises:
        TemplateError: it is not UTF-8; with the line.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise TemplateError("expected UTF-8", path=path, line=line) from None


def _files(folder: Path, top: Path) -> Iterator[tuple[str, bytes]]:
    path = folder.relative_to(top).as_posix()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                path = Path(entry.path).relative_to(top).as_posix()
                if entry.is_symlink() and (entry.is_dir() or entry.name.endswith(TEMPLATES + PIECES)):
                    _check_link(entry, path, top)
                if entry.is_dir():
                    yield from _files(Path(entry.path), top)
                elif entry.name.endswith(TEMPLATES + PIECES):
                    yield path, _content(Path(entry.path), path)
    except OSError as error:
        raise TemplateError(f"cannot be read: {error.strerror}", path=path) from None


def _check_link(entry: os.DirEntry[str], path: str, top: Path) -> None:
    target = Path(entry.path).resolve()
    if not target.is_relative_to(top):
        raise TemplateError("a link that leads out of the folder: put the file into it", path=path)
    if entry.is_dir():
        raise TemplateError("a link to a folder: templates are found by one name only", path=path)


def _content(file: Path, path: str) -> bytes:
    if not file.is_file():
        raise TemplateError("expected a file", path=path)
    with file.open("rb") as opened:
        content = opened.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise TemplateError(f"it is larger than {LARGEST:,} bytes", path=path)
    return content
