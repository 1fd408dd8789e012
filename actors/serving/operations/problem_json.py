"""How the agency's own endpoints read requests, and tell what is wrong: RFC 9457, ``application/problem+json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..problems import Problem, problem_body, refuse
from ..requests import as_object, check_kind, read_body
from ..server import Server

KIND: Final = "application/problem+json"


def problem_json(problem: Problem) -> Response:
    """The answer to a request that is not served."""
    if problem.status == 304:
        return Response(status_code=304, headers=problem.all_headers)
    return JSONResponse(problem_body(problem), problem.status, problem.all_headers, KIND)


class Fields:
    """The fields of a request's body, or of its query, each looked at as it is taken.

    Args:
        given: what was sent.
        there: the names of all fields that there are.
        digits: whether a number is written in digits, as a query has it.

    Raises:
        Refused: one is given that is not there.

    Attributes:
        given: see above.
    """

    def __init__(self, given: Mapping[str, Any], there: Iterable[str], *, digits: bool = False) -> None:
        self.given = given
        self._digits = digits
        there = tuple(there)
        for name in given:
            if name not in there:
                known = f"there are {', '.join(there)}" if there else "there are none"
                raise refuse(400, "unknown_field", f"{name!r:.80} is no field of this request; {known}", name[:80])

    def get(self, name: str, kind: type | tuple[type, ...], words: str, default: Any = None) -> Any:
        """A field's value.

        Args:
            name: the field's.
            kind: what it must be.
            words: the same for people.
            default: where it is not given, or null; `...` for a field that must be.
        """
        value = self.given.get(name)
        if value is None:
            if default is ...:
                raise refuse(400, "missing_field", f"{name} is missing: give {words}", name)
            return default
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise refuse(400, "invalid_field", f"{name} is {words}, not {type(value).__name__}", name)
        return value

    def text(self, name: str, default: Any = None) -> Any:
        """A field that is a text."""
        return self.get(name, str, "a text", default)

    def number(self, name: str, default: Any = None) -> Any:
        """A field that is a whole number, not below 0."""
        value = self.given.get(name)
        if self._digits and isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
            value = int(value)
        elif value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise refuse(400, "invalid_field", f"{name} is a whole number, not {value!r:.40}", name)
        if value is None:
            if default is ...:
                raise refuse(400, "missing_field", f"{name} is missing: give a whole number", name)
            return default
        if value < 0:
            raise refuse(400, "invalid_field", f"{name} is a whole number not below 0, not {value}", name)
        return value


async def body_of(server: Server, request: Request, *there: str) -> Fields:
    """The fields of a request's body; one without a body has none.

    Raises:
        Refused: it is no JSON object, too long, or has other fields.
    """
    body = await read_body(request, server.body_limit)
    if not body:
        return Fields({}, there)
    check_kind(request)
    return Fields(as_object(body), there)


def query_of(request: Request, *there: str) -> Fields:
    """The fields of a request's query.

    Raises:
        Refused: it has others, or one of them several times.
    """
    fields = Fields(dict(request.query_params), there, digits=True)
    for name in fields.given:
        once(name, request.query_params.getlist(name))
    return fields


def once(name: str, values: Sequence[object]) -> None:
    """Look whether a field of a query is given once, and not several times: nobody knows which is meant.

    Raises:
        Refused: it is given several times.
    """
    if len(values) > 1:
        raise refuse(400, "invalid_field", f"{name} stands {len(values)} times in the query", name)
