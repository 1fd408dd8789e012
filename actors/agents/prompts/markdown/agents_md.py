"""``AGENTS.md``: what a project's folders tell agents that work in them."""

from __future__ import annotations

from pathlib import Path

from ...errors import PromptError
from .instructions import decoded

NAME = "AGENTS.md"
LARGEST = 65_536
"""How many bytes the files may have in all: some 16,000 tokens, which each request carries."""


def agents_md(folder: str | Path, root: str | Path) -> str:
    """What the ``AGENTS.md`` files from a root folder down to one of its folders say.

    The outermost stands first, the nearest last: where they contradict each other, models keep to the later one. A
    folder without such a file adds nothing, and if none has one, the text is empty.

    Args:
        folder: where the agent works.
        root: from where on files are read, for example the top of a checkout; nothing outside of it is ever read.

    Raises:
        PromptError: a folder is not there, ``folder`` is not in ``root``, a link leads out of it, or a file cannot be
            read, is not UTF-8, or is too large.
    """
    top, inner = _folder(root), _folder(folder)
    if not inner.is_relative_to(top):
        raise PromptError(f"{folder} is not inside of {root}: {NAME} is read only from a root folder downwards")
    said, room = [], LARGEST
    for step in reversed([one for one in (inner, *inner.parents) if one.is_relative_to(top)]):
        content = _content(step / NAME, top, room)
        room -= len(content)
        said.append(decoded(step / NAME, content).strip())
    return "\n\n".join(text for text in said if text)


def _folder(path: str | Path) -> Path:
    if not isinstance(path, str | Path):
        raise PromptError(f"agents_md takes two folders, not {type(path).__name__}")
    resolved = Path(path).resolve()
    if not resolved.is_dir():
        raise PromptError(f"{path}: there is no such folder")
    return resolved


def _content(file: Path, top: Path, room: int) -> bytes:
    """A file's content, or nothing if there is none."""
    try:
        target = file.resolve(strict=True)
        if not target.is_relative_to(top):
            raise PromptError(f"{file} is a link that leads out of {top}: put the file into it")
        with target.open("rb") as opened:
            content = opened.read(room + 1)
    except FileNotFoundError:
        if not file.is_symlink():
            return b""
        raise PromptError(f"{file} is a link to a file that is not there") from None
    except (OSError, RuntimeError) as error:  # a folder of that name; links that lead to each other
        raise PromptError(
            f"{file} cannot be read: {getattr(error, 'strerror', None) or 'its links go round'}"
        ) from None
    if len(content) > room:
        raise PromptError(f"{file} is too large: all {NAME} files together may have {LARGEST:,} bytes")
    return content
