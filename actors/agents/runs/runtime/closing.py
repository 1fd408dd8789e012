"""What the store and the actors say when the agency stops under a call is `AgencyClosed` to whoever called."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from ....core.base.errors import ActorDead
from ....journal.errors import JournalClosed
from ...errors import AgencyClosed
from .register import RunRegister

P = ParamSpec("P")
R = TypeVar("R")


class _Runtime(Protocol):
    @property
    def register(self) -> RunRegister: ...


class _Serving(Protocol):
    @property
    def _runtime(self) -> _Runtime: ...


S = TypeVar("S", bound=_Serving)


class serving:  # noqa: N801 - used like a function, as `contextlib.suppress` is
    """Raise `AgencyClosed` where what is done within fails because the agency stops."""

    __slots__ = ("_register",)

    def __init__(self, register: RunRegister) -> None:
        self._register = register

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, JournalClosed | ActorDead) and self._register.closed:
            raise AgencyClosed(f"the agency {self._register.closed}") from error


def ends_with_agency(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """Have a method raise `AgencyClosed` where it fails because the agency stops."""

    @wraps(method)
    async def called(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with serving(self._runtime.register):
            return await method(self, *args, **kwargs)

    return called
