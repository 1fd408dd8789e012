"""How what our answers raise reaches a client: as the protocol's error, and by HTTP as what it is there."""

from __future__ import annotations

import contextlib
import contextvars
import inspect
import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from functools import wraps
from typing import Any, Final, TypeVar, cast

from a2a.server.context import ServerCallContext
from a2a.server.request_handlers.request_handler import validate_request_params
from a2a.utils.errors import A2AError

from .errors import NotServed, as_error
from .paths import TOLD

_Method = TypeVar("_Method")

_OURS: Final[contextvars.ContextVar[bool]] = contextvars.ContextVar("asked of us", default=False)

logger = logging.getLogger("callboard")


def answered(method: _Method) -> _Method:
    """A method of the SDK's handler whose parameters are checked, and whose errors are all the protocol's. Where the
    protocol has none, the request's `Told` is given what it is by HTTP."""
    checked: Any = validate_request_params(cast("Any", method))
    if inspect.isasyncgenfunction(method):

        @wraps(method)
        async def streamed(self: Any, params: Any, context: ServerCallContext) -> AsyncGenerator[Any]:
            try:
                async with aclosing(checked(self, params, context)) as events:
                    async for event in events:
                        yield event
            except Exception as error:
                raise _told(error, context) from error

        return cast("_Method", streamed)

    @wraps(cast("Any", method))
    async def whole(self: Any, params: Any, context: ServerCallContext) -> Any:
        try:
            return await checked(self, params, context)
        except Exception as error:
            raise _told(error, context) from error

    return cast("_Method", whole)


def _told(error: Exception, context: ServerCallContext) -> A2AError:
    told = as_error(error)
    if isinstance(told, NotServed):
        if told.problem.code == "internal_error":
            logger.error("an A2A request failed", exc_info=error)
        context.state["request"].scope[TOLD].problem = told.problem
    return told


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Whatever is asked in the block, the SDK logs nothing of it: it would log what clients have said, with a traceback
    for each thing that is wrong with a request."""
    asked = _OURS.set(True)
    try:
        yield
    finally:
        _OURS.reset(asked)


class _Quiet(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not _OURS.get()


_QUIET: Final = _Quiet()


def hush() -> None:
    """Have the SDK's loggers heed `quietly`. Others that use it in this process are logged as ever."""
    for name, found in list(logging.root.manager.loggerDict.items()):
        if name.startswith("a2a.") and isinstance(found, logging.Logger):
            found.addFilter(_QUIET)
