"""What the runtime calls on an actor, and what an actor's class says about itself.

`Actor` adds to it what an actor can do. The rooms below it know this part only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, ClassVar, get_origin

from .errors import SpecError, brief
from .log import logger_of
from .restart import ONE_FOR_ONE, Supervision
from .send_context import FOREVER
from .typed import M_contra, Receives

logger = logger_of()


class Behaviour(Receives[M_contra]):
    """The hooks and settings that the runtime reads.

    Attributes:
        mailbox_capacity: messages that may wait; a whole number of at least 1, or `math.inf` for no bound. Read when
            the actor has been built, so that ``__init__`` may set it.
        shutdown_timeout: seconds the actor may take to stop where no child spec says otherwise.
        supervision: how it restarts children started with a child spec.
    """

    mailbox_capacity: ClassVar[float] = 100_000
    shutdown_timeout: ClassVar[float] = 5.0
    supervision: ClassVar[Supervision] = ONE_FOR_ONE

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        pass

    def on_receive(self, message: M_contra) -> Any:
        """Handle a message; what is returned answers an ask. Implement it in the subclass.

        The default hands the message to the method that `handles` its class. Where there is none it logs a warning,
        for a message that nobody expects.
        """
        for kind in type(message).__mro__:
            if kind in self._handlers:
                return getattr(self, self._handlers[kind])(message)
        logger.warning("Unexpected message received by %s: %s", self, brief(message))

    def on_start(self) -> Any:
        """Called before the first message. A failure counts as a crash."""

    def on_stop(self) -> Any:
        """Called after the last message, when the children have stopped. Not called after a crash."""

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> Any:
        """Called after a crash, before a supervisor starts the next incarnation."""

    _interruptible: bool = False
    """Whether what the actor waits for now is given up at once where it is to stop, and not waited for, as nothing is
    lost by that. For the library's own actors."""

    _finish_children: ClassVar[Callable[[Any], Coroutine[Any, Any, None]] | None] = None
    """Waits until the children have done what they have, where the actor's stop was asked for in its mailbox: only then
    are they stopped. For the library's own actors."""


def check_capacity(capacity: Any, where: str) -> float:
    """Return a capacity as it is.

    Raises:
        SpecError: it is no whole number of at least 1 and not `math.inf`; the text begins with ``where``.
    """
    if (capacity.__class__ is int and capacity > 0) or capacity == math.inf:
        return capacity  # type: ignore[no-any-return]
    raise SpecError(
        f"{where} is {brief(capacity)}: it must be a whole number of messages, at least 1, or math.inf for no bound"
    )


def check_seconds(seconds: Any, where: str) -> float:
    """Return a duration as it is.

    Raises:
        SpecError: it is no number of seconds, or less than 0; the text begins with ``where``.
    """
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and seconds >= 0:
        return min(seconds, FOREVER)
    raise SpecError(f"{where} is {brief(seconds)} seconds; it must be a number of at least 0")


def check_settings(actor: Any) -> None:
    """Refuse an actor whose settings the runtime could not work with. A class's own are looked at when they change.

    Raises:
        SpecError: a capacity, a time or a supervision is none.
    """
    kind = type(actor)
    settings = (kind.mailbox_capacity, kind.shutdown_timeout, kind.supervision)
    if kind.__dict__.get("_checked_settings") != settings:
        _check(kind)
        kind._checked_settings = settings
    if has_own_settings(actor):
        _check(actor)


def has_own_settings(actor: Any) -> bool:
    """Whether an actor, in its ``__init__``, has said something about itself that its class does not say.

    Its ``__dict__`` is not looked at: that would make one, of 100 bytes.
    """
    kind = type(actor)
    return (
        actor.mailbox_capacity is not kind.mailbox_capacity
        or actor.shutdown_timeout is not kind.shutdown_timeout
        or actor.supervision is not kind.supervision
    )


def _check(actor: Any) -> None:
    check_capacity(actor.mailbox_capacity, f"{_class_name(actor)}.mailbox_capacity")
    check_seconds(actor.shutdown_timeout, f"{_class_name(actor)}.shutdown_timeout")
    if not isinstance(actor.supervision, Supervision):
        raise SpecError(f"{_class_name(actor)}.supervision is {brief(actor.supervision)}, which is no Supervision")


def behaviour_class(what: Any) -> type[Behaviour[Any]] | None:
    """Return the actor class that ``what`` is, or stands for as ``Cache[int]`` does; None if it is neither."""
    # issubclass() of an ABC costs a fifth of a spawn.
    if Behaviour in getattr(what, "__mro__", ()):
        return what  # type: ignore[no-any-return]
    origin = get_origin(what)
    return origin if origin is not None and Behaviour in getattr(origin, "__mro__", ()) else None


def _class_name(actor: Any) -> str:
    return actor.__name__ if isinstance(actor, type) else type(actor).__name__
