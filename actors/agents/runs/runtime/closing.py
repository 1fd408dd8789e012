"""What the store and the actors say when the agency stops under a call is `AgencyClosed` to whoever called."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import wraps
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


@contextmanager
def serving(register: RunRegister) -> Iterator[None]:
    """Raise `AgencyClosed` where what is done within fails because the agency stops."""
    try:
        yield
    except (JournalClosed, ActorDead) as error:
        if not register.closed:
            raise
        raise AgencyClosed(f"the agency {register.closed}") from error


def ends_with_agency(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """Have a method raise `AgencyClosed` where it fails because the agency stops."""

    @wraps(method)
    async def called(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with serving(self._runtime.register):
            return await method(self, *args, **kwargs)

    return called
