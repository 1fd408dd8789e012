"""The page's own files: they say nothing of the agency, and everybody may have them."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from ..problems import refuse
from ..requests import header
from .board import Board

FOLDER: Final = Path(__file__).parent / "static"

# Not by the machine's table of kinds: where that calls a module something else, no browser runs it.
_KINDS: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}

_read: Final[dict[Path, tuple[tuple[int, int], str, bytes]]] = {}
"""Each file's time and size when it was read, its tag, and what was in it."""


async def page(board: Board, request: Request) -> Response:
    """The page."""
    return _answer(request, "index.html")


async def static_file(board: Board, request: Request) -> Response:
    """A file that belongs to the page."""
    return _answer(request, request.path_params["file"])


def _is_there(path: Path) -> bool:
    try:
        return path.resolve().is_relative_to(FOLDER.resolve()) and path.is_file()
    except (OSError, ValueError):
        return False  # no file can have such a name


def _answer(request: Request, name: str) -> Response:
    path = FOLDER / name
    kind = _KINDS.get(path.suffix)
    if kind is None or not _is_there(path):
        raise refuse(404, "unknown_path", f"the page has no file {name!r:.100}")
    found = path.stat()
    state = (found.st_mtime_ns, found.st_size)
    kept = _read.get(path)
    if kept is None or kept[0] != state:
        content = path.read_bytes()
        kept = _read[path] = (state, f'"{sha256(content).hexdigest()[:32]}"', content)
    _, tag, content = kept
    headers = {"etag": tag, "cache-control": "no-cache"}
    if tag in (one.strip().removeprefix("W/") for one in header(request, "if-none-match").split(",")):
        return Response(status_code=304, headers=headers)
    return Response(content, headers={**headers, "content-type": kind})
