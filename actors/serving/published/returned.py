"""What is made of what the function of a route returns, or yields."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from typing import Any, Final

from pydantic_core import to_json
from starlette.responses import Response

from ...agents.skills.route import HttpRoute
from ...core.base.errors import CallboardError
from ..problems import problem_body, problem_of
from ..sse import Event

logger = logging.getLogger("callboard")

EMPTY: Final = frozenset({204, 205, 304})
"""Statuses of answers that have no body."""


class WrongReturn(CallboardError):
    """The function of a route returned what is no answer: a status that is none, or a body where none can be."""


def as_response(returned: Any, route: HttpRoute) -> Response:
    """What a function has returned as an answer: a `Response` as it is, nothing as 204, all else as JSON. A tuple of
    two whose second is a whole number is a body, or None for no body, and its status.

    Args:
        returned: it.
        route: whose function it was.

    Raises:
        WrongReturn: the status is none, or stands beside a body that it cannot have, or beside a `Response`.
    """
    if isinstance(returned, Response):
        return returned
    if type(returned) is not tuple or len(returned) != 2 or not _is_number(returned[1]):
        return Response(status_code=204) if returned is None else _json(returned, 200)
    body, status = returned
    if not 200 <= status < 600:
        raise _wrong(route, f"status {int(status)}: give one from 200 to 599, or a list where it is none")
    if isinstance(body, Response):
        raise _wrong(route, f"a Response and status {int(status)}: a Response has its own")
    if status in EMPTY and body is not None:
        raise _wrong(route, f"a body and status {int(status)}, which has none: give None and {int(status)}")
    return Response(status_code=int(status)) if body is None else _json(body, int(status))


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _wrong(route: HttpRoute, what: str) -> WrongReturn:
    function: Any = getattr(route.function, "func", route.function)
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return WrongReturn(f"route {route.path:.80}: {function.__module__}.{name} returned {what}")


def _json(value: Any, status: int) -> Response:
    return Response(_as_json(value), status, media_type="application/json")


def _as_json(value: Any) -> bytes:
    """A value as JSON, which knows finite numbers only: null in place of others, as pydantic's models have it."""
    return to_json(value, inf_nan_mode="null")


async def as_events(values: AsyncGenerator[Any], path: str) -> AsyncGenerator[Event]:
    """Values as events; what goes wrong is told by a last one, ``problem``."""
    try:
        async for value in values:
            yield Event(value if isinstance(value, str) else _as_json(value).decode())
    except (Exception, SystemExit) as error:
        problem = problem_of(error)
        if problem.code == "internal_error":
            logger.error("%s failed", path, exc_info=error)
        yield Event(problem_body(problem), name="problem")
    finally:
        await values.aclose()
