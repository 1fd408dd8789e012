"""Problems in OpenAI's shape: https://platform.openai.com/docs/guides/error-codes"""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from ..answers import Json
from ..problems import Problem

_KINDS: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


def error_body(problem: Problem) -> dict[str, Any]:
    """A problem as the body of an answer, or of an event."""
    about: dict[str, Any] = {
        "message": problem.message,
        "type": _KINDS.get(problem.status, "server_error" if problem.status >= 500 else "invalid_request_error"),
        "param": problem.where or None,
        "code": problem.code,
    }
    if problem.run:
        about["run"] = problem.run
    return {"error": about}


def refusal(problem: Problem) -> Response:
    """The answer to a request that is not served."""
    return Json(error_body(problem), problem.status, problem.all_headers)
