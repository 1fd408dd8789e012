"""``callboard dashboard``: the dashboard of a program of the same user, for a browser on this machine."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...agents.caller import NOBODY
from ...agents.overview.sockets import NothingRuns, ended
from ..failing import FAILURES
from ..operations.problem_json import problem_json
from ..problems import problem_of, refuse
from ..requests import header
from ..server import unauthorized
from .app import guarded
from .beside import another
from .board import OwnKey
from .forward import FOR, forwarded, said_for


def loopback(socket: Path, key: str, port: int) -> Starlette:
    """An application that forwards to a program what is asked by whoever has the key; once that has ended, to another
    one, if there is one.

    Args:
        socket: of the program.
        key: whoever has it may do everything.
        port: where it listens, on this machine only.
    """
    # A page elsewhere may have its own name lead to this machine: then it is its name that a browser says.
    names = {f"{host}:{port}" for host in ("127.0.0.1", "localhost", "[::1]")}
    knows = OwnKey(key)
    shown = socket

    def there() -> Path:
        nonlocal shown
        if ended(shown):
            try:
                shown = another(shown)
            except NothingRuns as error:
                raise refuse(404, "unknown_process", f"that process has ended: {error}", "process") from None
        return shown

    async def answer(request: Request) -> Response:
        try:
            if header(request, "host").lower() not in names:
                raise refuse(403, "other_host", f"this is asked as http://127.0.0.1:{port}, and by no other name")
            path = request.scope["path"]
            known = knows(request) is not None
            if path.startswith("/api/") and not known:
                raise unauthorized()
            # What a path turns out to mean there decides nothing: who has no key is nobody there, too.
            headers = {} if known else {FOR: said_for(NOBODY)}
            return await forwarded(request, f"{quote(path)}?{request.url.query}", there(), headers)
        except FAILURES as error:
            return problem_json(problem_of(error))

    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
    return Starlette(routes=[Route("/{path:path}", answer, methods=methods)], middleware=guarded())
