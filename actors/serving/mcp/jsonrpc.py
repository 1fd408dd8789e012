"""What is wrong, as JSON-RPC has it, and what of a request is passed on. Needs no package."""

from __future__ import annotations

import json
from typing import Any, Final

from starlette.responses import Response

from ..problems import Problem, refuse

CALLER: Final = "callboard.caller"
"""Where in a request's scope stands who asks."""

SESSION: Final = "mcp-session-id"

_CODES: Final = {401: -32001, 403: -32003, 413: -32600, 429: -32029}
"""What a refusal is in JSON-RPC, where the protocol has no code of its own for it."""

_NO_JSON: Final = -32700


def check_message(value: Any) -> None:
    """Look whether JSON is a message of the protocol, as far as an answer can be given to it.

    Raises:
        Refused: it is none. What has an id that is none would be taken for what wants no answer.
    """
    if not isinstance(value, dict):
        kind = "several messages" if isinstance(value, list) else "no message"
        raise refuse(400, "not_a_message", f"the body is {kind}: send one JSON-RPC message, an object")
    if value.get("jsonrpc") != "2.0":
        raise refuse(400, "not_a_message", 'jsonrpc is "2.0"', "jsonrpc")
    if "method" in value and not isinstance(value["method"], str):
        raise refuse(400, "not_a_message", "method is a text", "method")
    if "id" in value and ("method" in value or "error" not in value) and not _is_id(value["id"]):
        raise refuse(400, "not_a_message", "id is a text or a whole number; what wants no answer has none", "id")


def _is_id(given: Any) -> bool:
    return isinstance(given, str) or (isinstance(given, int) and not isinstance(given, bool))


def refusal(problem: Problem) -> Response:
    """The answer to a request that is not served: an error of JSON-RPC, with a status of HTTP."""
    body = {"jsonrpc": "2.0", "id": None, "error": error_of(problem)}
    headers = {**problem.all_headers, **({"allow": "POST"} if problem.status == 405 else {})}
    return Response(json.dumps(body), problem.status, headers, "application/json")


def error_of(problem: Problem) -> dict[str, Any]:
    """A problem as an error of JSON-RPC."""
    code = _CODES.get(problem.status, -32603 if problem.status >= 500 else -32600)
    if (problem.status, problem.code) == (400, "not_json"):
        code = _NO_JSON
    data: dict[str, Any] = {"code": problem.code}
    if problem.where:
        data["where"] = problem.where
    if problem.run:
        data["run"] = problem.run
    if problem.retry_after is not None:
        data["retryAfter"] = problem.retry_after
    return {"code": code, "message": problem.message, "data": data}
