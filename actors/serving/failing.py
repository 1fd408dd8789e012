"""What ends a request: an error of ours, or something that nobody expected, which is logged without what was said."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from starlette.requests import HTTPConnection

from ..agents.errors import AgencyClosed
from .problems import Problem, problem_of
from .server import Server

FAILURES: Final = (Exception, SystemExit, BaseExceptionGroup, asyncio.CancelledError)
"""What functions of users raise, and what is answered all the same."""

logger = logging.getLogger("callboard")


def problem_at(server: Server, request: HTTPConnection, error: BaseException) -> Problem:
    """What is answered where a request has ended in an error.

    Args:
        server: which was asked.
        request: what was asked.
        error: any of `FAILURES`.
    """
    if isinstance(error, asyncio.CancelledError) and server.draining:
        error = AgencyClosed("the server stops: ask again, it is another one that answers")
    problem = problem_of(error)
    if problem.code == "internal_error":
        logger.error("%s %s failed", request.scope["method"], request.scope["path"], exc_info=error)
    return problem
