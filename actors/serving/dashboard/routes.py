"""The paths of a dashboard, below where it is mounted."""

from __future__ import annotations

from typing import Final

from .acting.routes import ACTING
from .board import Endpoint
from .files import page, static_file
from .live import live
from .me import me
from .reading.routes import READING

ROUTES: Final[list[tuple[str, Endpoint, str]]] = [
    ("/", page, "GET"),
    ("/static/{file:path}", static_file, "GET"),
    ("/api/me", me, "GET"),
    ("/api/live", live, "GET"),
    *ACTING,
    *READING,
]
"""Each path, what answers there, and the method."""
