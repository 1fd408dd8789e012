"""How a child is made and named, how its mailbox is bounded, and when it is made again. Plain data."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, TypeVar, get_args, overload

from .behaviour import check_capacity, check_seconds
from .errors import SpecError, brief
from .restart import NO_BACKOFF, RESTARTS, Backoff, Restart
from .typed import Receives

if TYPE_CHECKING:
    import typing_extensions

    A_co = typing_extensions.TypeVar("A_co", bound=Receives[Any], covariant=True, default=Any)
else:
    A_co = TypeVar("A_co", covariant=True)

Overflow: TypeAlias = Literal["refuse", "drop_oldest", "drop_newest"]
_UNWRITABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters, half a surrogate pair
OVERFLOWS: tuple[str, ...] = get_args(Overflow)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """How a mailbox is bounded; given at spawn, it goes before what the actor's class says.

    Args:
        capacity: messages that may wait, at least 1, or `math.inf`; None takes the class's ``mailbox_capacity``.
        overflow: what happens when it is full. ``refuse``: the sender gets `MailboxFull`. ``drop_oldest``,
            ``drop_newest``: a message becomes a dead letter (an ask ends in `MailboxFull`), and the sender goes on.

    Raises:
        SpecError: the capacity is none, or the overflow is unknown.
    """

    capacity: float | None = None
    overflow: Overflow = "refuse"

    def __post_init__(self) -> None:
        if self.capacity is not None:
            check_capacity(self.capacity, "mailbox capacity")
        if self.overflow not in OVERFLOWS:
            raise SpecError(f"mailbox overflow {self.overflow!r} is not one of {', '.join(OVERFLOWS)}")


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
        mailbox: how its mailbox is bounded, where its class should not say.

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
    mailbox: Mailbox | None = None

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
            mailbox: Mailbox | None = None,
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
            mailbox: Mailbox | None = None,
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
            mailbox: Mailbox | None = None,
        ) -> None: ...

        def __init__(self, factory: Any, *args: Any, **kwargs: Any) -> None: ...

    def __post_init__(self) -> None:
        kind = getattr(self.factory, "__name__", type(self.factory).__name__)
        where = f"child {kind}" if self.name is None else f"child {self.name!r}"
        if not callable(self.factory):
            raise SpecError(f"{where}: factory {brief(self.factory)} cannot be called")
        if not isinstance(self.args, tuple):
            raise SpecError(f"{where}: args is {brief(self.args)}; it must be a tuple, such as ({brief(self.args)},)")
        if not isinstance(self.kwargs, Mapping) or not all(isinstance(key, str) for key in self.kwargs):
            raise SpecError(f"{where}: kwargs is {brief(self.kwargs)}; it must be a mapping from names")
        if self.restart not in RESTARTS:
            raise SpecError(f"{where}: restart {self.restart!r} is not one of {', '.join(RESTARTS)}")
        check_seconds(self.shutdown, f"{where}: shutdown")
        if not isinstance(self.backoff, Backoff):
            raise SpecError(f"{where}: backoff is {brief(self.backoff)}, which is no Backoff")
        check_mailbox(self.mailbox)
        check_name(self.name)


def check_mailbox(mailbox: Any) -> None:
    """Refuse what is no mailbox option.

    Raises:
        SpecError: it is neither a `Mailbox` nor None.
    """
    if mailbox is not None and not isinstance(mailbox, Mailbox):
        raise SpecError(f"mailbox is {brief(mailbox)}: give a Mailbox(capacity=…, overflow=…)")


def check_name(name: Any) -> None:
    """Refuse a name that would make an ambiguous path, or one that cannot be written.

    Raises:
        SpecError: it is no text, empty, holds a slash or a control character, or cannot be encoded.
    """
    if name is None:
        return
    if not isinstance(name, str) or not name or "/" in name or _UNWRITABLE.search(name):
        raise SpecError(
            f"{brief(name)} cannot name an actor: a text, not empty, that can be written in a line, without '/'"
        )
