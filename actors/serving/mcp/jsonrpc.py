"""What is wrong, as JSON-RPC has it, and what of a request is passed on. Needs no package."""

from __future__ import annotations

import json
from typing import Any, Final

from starlette.responses import Response

from ..problems import Problem

CALLER: Final = "callboard.caller"
"""Where in a request's scope stands who asks."""

SESSION: Final = "mcp-session-id"

_CODES: Final = {401: -32001, 403: -32003, 413: -32600, 429: -32029}
"""What a refusal is in JSON-RPC, where the protocol has no code of its own for it."""


def refusal(problem: Problem) -> Response:
    """The answer to a request that is not served: an error of JSON-RPC, with a status of HTTP."""
    body = {"jsonrpc": "2.0", "id": None, "error": error_of(problem)}
    headers = {**problem.all_headers, **({"allow": "POST"} if problem.status == 405 else {})}
    return Response(json.dumps(body), problem.status, headers, "application/json")


def error_of(problem: Problem) -> dict[str, Any]:
    """A problem as an error of JSON-RPC."""
    code = _CODES.get(problem.status, -32603 if problem.status >= 500 else -32600)
    if problem.code == "not_json":
        code = -32700
    data: dict[str, Any] = {"code": problem.code}
    if problem.where:
        data["where"] = problem.where
    if problem.run:
        data["run"] = problem.run
    if problem.retry_after is not None:
        data["retryAfter"] = problem.retry_after
    return {"code": code, "message": problem.message, "data": data}
