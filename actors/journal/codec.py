"""How events become text and back."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol


class Encoded(NamedTuple):
    """An event as it is kept.

    Args:
        type: its name, as it can be asked for in SQL.
        schema: the version of the type's form, counted from 1; 0 is what version 0.1.0 wrote.
        data: JSON text.
        metadata: JSON text.
    """

    type: str
    schema: int
    data: str
    metadata: str = "{}"


class Codec(Protocol):
    """Turns events into text and back. Called on any thread."""

    def encode(self, event: Any) -> Encoded:
        """The event as text. Whatever it raises becomes `EventNotWritable`."""
        ...

    def decode(self, type: str, schema: int, data: str) -> Any:
        """The event. Whatever it raises becomes `EventNotReadable`."""
        ...


def type_name(event: Any) -> str:
    """What an event's type is called where nothing else is said: its class, or "json" for a plain JSON value."""
    kind = type(event)
    return "json" if kind in _PLAIN else kind.__name__


_PLAIN = frozenset((type(None), bool, int, float, str, list, dict))
