"""Child specs: how a child is made, when it is made again, and how long it may take to stop. Plain data.

The model is Erlang/OTP's supervisor: https://www.erlang.org/doc/system/sup_princ.html
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar, get_args, overload

from .errors import SpecError
from .typed import Receives

if TYPE_CHECKING:
    import typing_extensions

    A_co = typing_extensions.TypeVar("A_co", bound=Receives[Any], covariant=True, default=Any)
else:
    A_co = TypeVar("A_co", covariant=True)

Restart: TypeAlias = Literal["permanent", "transient", "temporary"]
Strategy: TypeAlias = Literal["one_for_one", "one_for_all", "rest_for_one"]
RESTARTS: tuple[str, ...] = get_args(Restart)
STRATEGIES: tuple[str, ...] = get_args(Strategy)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a restart: ``initial * factor ** n`` for the n-th restart in a row, at most ``maximum``.

    Args:
        initial: seconds before the first restart; 0 restarts at once.
        factor: growth from one restart to the next.
        maximum: longest wait, in seconds.
        jitter: share of the wait that is random, 0 to 1: with 0.2 a wait of 10 s is drawn from 8 to 10 s.
    """

    initial: float = 0.0
    factor: float = 2.0
    maximum: float = 30.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if self.initial < 0 or self.maximum < 0 or self.factor < 1:
            raise SpecError(f"{self!r}: initial and maximum must be at least 0 seconds, factor at least 1")
        if not 0 <= self.jitter <= 1:
            raise SpecError(f"{self!r}: jitter must lie between 0 and 1")

    def delay(self, attempt: int, rng: random.Random) -> float:
        """Return the seconds to wait before restart number ``attempt``, counted from 0."""
        if self.initial == 0:
            return 0.0
        # The exponent is capped: 2.0 ** 1100 overflows, and the maximum was reached long before.
        wait = min(self.maximum, self.initial * self.factor ** min(attempt, 64))
        return wait * (1 - self.jitter * rng.random()) if self.jitter else wait


NO_BACKOFF = Backoff()


@dataclass(frozen=True, slots=True)
class ChildSpec(Generic[A_co]):
    """How to start a child, and what to do when it ends.

    Args:
        factory: an actor class, or a function that returns a new actor; called again for each restart.
        args, kwargs: what to call it with.
        name: unique among the siblings; made from the class where it is left out.
        restart: ``permanent`` is restarted whenever it ends, ``transient`` only when it crashed, ``temporary`` never.
        shutdown: seconds it may take to stop before it is killed.
        backoff: the wait before a restart.

    Raises:
        SpecError: the factory cannot be called, the restart type is unknown, or shutdown is negative.
    """

    factory: Callable[..., A_co]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None
    restart: Restart = "permanent"
    shutdown: float = 5.0
    backoff: Backoff = NO_BACKOFF

    if not TYPE_CHECKING:  # what typing's alias makes it cannot mark, as the class is frozen and slotted (Python 3.11)
        __class_getitem__ = classmethod(GenericAlias)
    else:
        # With a factory alone, that it can be called so is checked; args and kwargs are not.

        @overload
        def __init__(
            self,
            factory: Callable[[], A_co],
            *,
            name: str | None = None,
            restart: Restart = "permanent",
            shutdown: float = 5.0,
            backoff: Backoff = NO_BACKOFF,
        ) -> None: ...

        @overload
        def __init__(
            self,
            factory: Callable[..., A_co],
            args: tuple[Any, ...],
            kwargs: Mapping[str, Any] = ...,
            name: str | None = None,
            restart: Restart = "permanent",
            shutdown: float = 5.0,
            backoff: Backoff = NO_BACKOFF,
        ) -> None: ...

        @overload
        def __init__(
            self,
            factory: Callable[..., A_co],
            *,
            kwargs: Mapping[str, Any],
            name: str | None = None,
            restart: Restart = "permanent",
            shutdown: float = 5.0,
            backoff: Backoff = NO_BACKOFF,
        ) -> None: ...

        def __init__(self, factory: Any, *args: Any, **kwargs: Any) -> None: ...

    def __post_init__(self) -> None:
        if not callable(self.factory):
            raise SpecError(f"child {self.name!r}: factory {self.factory!r} cannot be called")
        if self.restart not in RESTARTS:
            raise SpecError(f"child {self.name!r}: restart {self.restart!r} is not one of {', '.join(RESTARTS)}")
        if self.shutdown < 0:
            raise SpecError(f"child {self.name!r}: shutdown is {self.shutdown} seconds; it must be at least 0")
        check_name(self.name)


def check_name(name: str | None) -> None:
    """Refuse a name that would make an ambiguous path.

    Raises:
        SpecError: the name is empty or holds a slash.
    """
    if name is not None and (not name or "/" in name):
        raise SpecError(f"{name!r} cannot name an actor: a name is not empty and holds no '/'")


def check_strategy(strategy: str) -> None:
    """Refuse an unknown supervision strategy.

    Raises:
        SpecError: it is not one of `STRATEGIES`.
    """
    if strategy not in STRATEGIES:
        raise SpecError(f"supervision strategy {strategy!r} is not one of {', '.join(STRATEGIES)}")
