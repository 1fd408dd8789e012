"""JSON that is sent back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

written: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
"""JSON as it is sent, all of it ASCII: half of a character, as models cut them, has no UTF-8. One writer is kept, as to
make one takes as long as to write what is short."""


class Json(Response):
    """An answer in JSON.

    Args:
        content: what JSON knows.
        status_code: of HTTP.
        headers: that it has besides.
    """

    media_type = "application/json"

    def __init__(self, content: Any, status_code: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.status_code = status_code
        self.background = None
        self.body = written(content).encode()
        raw = {b"content-length": b"%d" % len(self.body), b"content-type": b"application/json"}
        for name, value in (headers or {}).items():
            raw[name.lower().encode("latin-1")] = value.encode("latin-1")
        self.raw_headers = list(raw.items())
