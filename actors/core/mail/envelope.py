"""What lies in a mailbox: a plain `tell` is the message itself, what carries more is one of these, or an ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr, _ActorStop

from ..base.send_context import SendContext

DEFERRED: Final = object()
"""What a handler returns when the answer comes later."""


class SelfStop(_ActorStop):
    """An actor's request to itself to stop: the end of a `permanent` child that its supervisor answers by a restart."""

    __slots__ = ()


class Mark:
    """A place in a mailbox that no handler sees: who asks with it is answered when all before it has been taken up, or
    never will be."""

    __slots__ = ()


PYKKA_MESSAGES: Final = frozenset({ProxyCall, ProxyGetAttr, ProxySetAttr, _ActorStop, SelfStop, Mark})
"""What the runtime takes up itself."""

STOPS: Final = frozenset({_ActorStop, SelfStop})
UNSEEN: Final = STOPS | {Mark}
"""What no handler sees, and what therefore is never refused, dropped or a dead letter."""


class Envelope:
    """A told message with a context, a priority, or an identity for the probe."""

    __slots__ = ("context", "id", "message", "priority", "sender")

    def __init__(
        self, message: Any, context: SendContext | None, priority: int = 0, sender: str = "", id: int = 0
    ) -> None:
        self.message = message
        self.context = context
        self.priority = priority
        self.sender = sender
        self.id = id


class Once(Envelope):
    """A message of which only one may wait at a time: a tick is left out while the one before is not taken up.

    Args:
        taken: called when it is taken up, or ends as a dead letter.
    """

    __slots__ = ("taken",)

    def __init__(self, message: Any, taken: Callable[[], None], sender: str = "", id: int = 0) -> None:
        super().__init__(message, None, 0, sender, id)
        self.taken = taken
