"""What types say about messages: what an actor takes, and what a message is answered with.

Read by mypy and pyright; while messages are sent, nothing of it is looked at.

What is taken hangs on the actor and the reply hangs on the message, so `ask` has to check the one and return the
other. Python has no intersection of types to say "a ``Returns[R]`` that is one of ``M``"; `Asked` says it with a method
whose type names the message's own type beside its reply's.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, overload

if TYPE_CHECKING:
    from typing import Self

    import typing_extensions

    M_contra = typing_extensions.TypeVar("M_contra", contravariant=True, default=Any)
else:  # defaults come with Python 3.13, and only type checkers need this one
    M_contra = TypeVar("M_contra", contravariant=True)

S = TypeVar("S")
M = TypeVar("M")
R = TypeVar("R")
M_co = TypeVar("M_co", covariant=True)
R_co = TypeVar("R_co", covariant=True)


class Receives(Generic[M_contra]):
    """What is sent messages of type ``M``: the ground of ``Actor[M]``, below refs, which need not know actors."""

    __slots__ = ()

    _handlers: ClassVar[dict[type[Any], str]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        handlers: dict[type[Any], str] = {}
        for base in reversed(cls.__mro__):
            own: dict[type[Any], str] = {}
            for name, value in vars(base).items():
                if isinstance(value, (staticmethod, classmethod)) and hasattr(value.__func__, "_handles"):
                    raise TypeError(
                        f"{base.__qualname__}.{name}: @handles is for methods, not for {type(value).__name__}s"
                    )
                kind = value.__dict__.get("_handles") if isinstance(value, FunctionType) else None
                if kind is None:
                    continue
                if kind in own:
                    raise TypeError(f"{base.__qualname__} handles {kind.__qualname__} in {own[kind]} and in {name}")
                own[kind] = name
            handlers.update(own)
        cls._handlers = handlers


class Returns(Generic[R_co]):
    """A message that is answered with an ``R``: after ``class Get(Returns[int])``, ``ask(Get())`` is a ``Future[int]``.

    One that is streamed is answered with an async iterator: ``class Lines(Returns[AsyncIterator[str]])``.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        def _asked(self) -> tuple[Self, R_co]: ...


class Asked(Protocol[M_co, R_co]):
    """A message of type ``M`` that declares to be answered with an ``R``."""

    def _asked(self) -> tuple[M_co, R_co]: ...


class _Answering(Protocol[M, R]):
    @overload
    def __call__(
        self, method: Callable[[S, M], Coroutine[Any, Any, R]]
    ) -> Callable[[S, M], Coroutine[Any, Any, R]]: ...

    @overload
    def __call__(self, method: Callable[[S, M], R]) -> Callable[[S, M], R]: ...


class _Taking(Protocol[M]):
    def __call__(self, method: Callable[[S, M], R]) -> Callable[[S, M], R]: ...


@overload
def handles(kind: type[Asked[M, R]]) -> _Answering[M, R]: ...  # type: ignore[overload-overlap]


@overload
def handles(kind: type[M]) -> _Taking[M]: ...


def handles(kind: type[Any]) -> Any:
    """Have `Actor.on_receive` hand messages of a class, and of its subclasses, to the decorated method.

    The method, ``def`` or ``async def``, takes the message and returns the answer; types of both are checked.

    Raises:
        TypeError: ``kind`` is not a class.
    """
    if not isinstance(kind, type):
        raise TypeError(f"@handles takes a class of messages, not {kind!r}")

    def mark(method: Any) -> Any:
        method._handles = kind
        return method

    return mark
