"""How events become text and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

from ..core.base.errors import brief

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Upcaster: TypeAlias = Callable[[Any], Any]

JSON: Final = "json"
"""The type of an event that is a plain JSON value."""

DEPTH: Final = 250
"""Levels that a plain value may be nested; pydantic has a limit of about this for the others. What was written with
little on the stack can so be read with much on it."""


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


class JsonCodec:
    """Events of these classes, and plain JSON values, as JSON.

    Dataclasses, named tuples, pydantic models and enums; each is kept under its name, and comes back as what its
    annotations say: a tuple as a tuple where they say tuple, as a list where they say Any. A member of an enum is
    kept by its name, everything else by the names of its fields. Plain values (None, bool, int, float, str, and lists
    and dicts of them) need no class. Text is kept as it is, lone surrogates and NUL included.

    What would not come back is refused when it is written: a class that is not named here, a value that does not fit
    its annotation, a tuple or a key that is no text in a plain value, NaN and the infinities (which are null where the
    annotation is Any), bytes that are not UTF-8 (unless the class says how they are written), and what is cyclic, or
    nested more than 250 levels deep.

    When the fields of a class change in a way that defaults do not cover, raise its schema, and say how the older
    form becomes the newer one:

        JsonCodec(Deposited, schemas={Deposited: 2}, upcasters={("Deposited", 1): lambda data: {**data, "by": ""}})

    Args:
        classes: whose instances are events.
        schemas: the version of a class's form where it is not 1.
        upcasters: by name and schema, what makes the next schema's data of this one's.

    Raises:
        ValueError: something is no class, two classes have one name, or an upcaster belongs to none or to none of its
            older schemas, or is missing.
    """

    def __init__(
        self,
        *classes: type[Any],
        schemas: Mapping[type[Any], int] | None = None,
        upcasters: Mapping[tuple[str, int], Upcaster] | None = None,
    ) -> None:
        schemas = schemas or {}
        self._upcasters = dict(upcasters or {})
        self._kinds: dict[str, _Kind] = {}
        for made in classes:
            if not isinstance(made, type):
                raise ValueError(
                    f"JsonCodec is given {brief(made)}, which is no class of events: name each, as in "
                    "JsonCodec(Deposited, Withdrawn)"
                )
            if made.__name__ in self._kinds or made.__name__ == JSON:
                raise ValueError(f"two kinds of events are named {made.__name__}")
            self._kinds[made.__name__] = _Kind(made, schemas.get(made, 1))
        needed = {(name, schema) for name, kind in self._kinds.items() for schema in range(1, kind.schema)}
        for name, schema in sorted(needed ^ self._upcasters.keys()):
            if (name, schema) in needed:
                raise ValueError(f"there is no upcaster for {name} of schema {schema}")
            raise ValueError(f"the upcaster for {name} of schema {schema} is for no older schema of these classes")
        unknown = [made.__name__ if isinstance(made, type) else brief(made) for made in schemas if made not in classes]
        if unknown:
            raise ValueError(f"a schema is given for {unknown[0]}, which is none of these classes")

    def encode(self, event: Any) -> Encoded:
        """See `Codec.encode`."""
        if type(event) in _PLAIN:
            _check_plain(event, DEPTH)
            return Encoded(JSON, 1, _dumps(event))
        name = type(event).__name__
        kind = self._kinds.get(name)
        if kind is None or kind.made is not type(event):
            raise TypeError(f"{type(event).__qualname__} is none of the codec's classes")
        return Encoded(name, kind.schema, _dumps(kind.dump(event)))

    def decode(self, type: str, schema: int, data: str) -> Any:
        """See `Codec.decode`."""
        value = json.loads(data)
        if type == JSON:
            return value
        kind = self._kinds.get(type)
        if kind is None:
            raise LookupError(f"{type} is none of the codec's classes")
        if not 1 <= schema <= kind.schema:
            raise ValueError(f"{type} of schema {schema} is not known here: the newest is {kind.schema}")
        for older in range(schema, kind.schema):
            value = self._upcasters[type, older](value)
        return kind.load(value)


class _Kind:
    """One class of events."""

    def __init__(self, made: type[Any], schema: int) -> None:
        from pydantic import TypeAdapter  # takes long, and is not needed for plain values

        if schema < 1:
            raise ValueError(f"schemas are counted from 1; that of {made.__name__} is {schema}")
        self.made = made
        self.schema = schema
        self._fields: tuple[str, ...] = getattr(made, "_fields", ()) if issubclass(made, tuple) else ()
        self._is_enum = issubclass(made, Enum)
        self._adapter: TypeAdapter[Any] | None = None if self._is_enum else TypeAdapter(made)

    def dump(self, event: Any) -> Any:
        if self._adapter is None:
            if event.name not in self.made.__members__:  # several flags in one
                raise ValueError(f"{event!r} has no name of its own")
            return event.name
        dumped = self._adapter.dump_python(event, mode="json", by_alias=False, round_trip=True, warnings="error")
        return dict(zip(self._fields, dumped, strict=True)) if self._fields else dumped

    def load(self, data: Any) -> Any:
        if self._adapter is None:
            return self.made[data]
        return self._adapter.validate_python(data, by_alias=False, by_name=True)


def _dumps(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def type_name(event: Any) -> str:
    """What an event's type is called where nothing else is said: its class, or "json" for a plain JSON value."""
    kind = type(event)
    return JSON if kind in _PLAIN else kind.__name__


def _check_plain(value: Any, depth: int) -> None:
    kind = type(value)
    if kind is list or kind is dict:
        if not depth:
            raise ValueError(f"it is cyclic, or nested more than {DEPTH} levels deep")
        if kind is dict:
            for key in value:
                if type(key) is not str:
                    raise TypeError(f"a key of a plain value is {key!r}; only text comes back as it is")
            value = value.values()
        for item in value:
            _check_plain(item, depth - 1)
    elif kind not in _PLAIN:
        raise TypeError(f"a plain value holds a {kind.__qualname__}, which would not come back as one")


_PLAIN: Final = frozenset((type(None), bool, int, float, str, list, dict))
