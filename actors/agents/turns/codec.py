"""What a conversation's journal keeps, as JSON and back.

An event is a JSON object of the fields that are not what they are by default, so that it can be read with plain SQL
(``data->>'run'``). Decoding follows the annotations of the classes listed here: no other class is ever made from a
journal, so one that somebody tampered with can at worst hold wrong data. In fields that may hold anything (``values``,
an answer's ``value``) pydantic models and dataclasses become plain objects, enumerations their value, tuples lists, and
what JSON does not know its ``repr``. A field that is not there has its default: that is how fields are added. What
version 0.1.0 wrote has schema 0 and is read by `legacy`.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from operator import attrgetter
from typing import Any, Final

from pydantic_core import from_json, to_json

from ....providers.messages import Completion, Image, Message, Text, ToolCall, ToolSpec, Usage
from ...journal.codec import Encoded
from .. import errors
from ..answer import Answer, HandoffRecord, ReasoningStep
from ..caller import Caller
from ..handoffs.handoff import Handoff
from . import legacy
from .records import EVENTS, RunRequest
from .rules import Limits

SCHEMA: Final = 1
"""The form of what is written now. Raise it, and add to `UPCASTS`, when a field changes its meaning."""

UPCASTS: Mapping[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""For type and schema of a former form: what makes the next one of it."""

Convert = Callable[[Any], Any]

_VALUES = (Answer, Caller, Completion, Handoff, HandoffRecord, Image, Limits, Message, ReasoningStep, RunRequest, Text)
_CLASSES = frozenset({*EVENTS, *_VALUES, ToolCall, ToolSpec, Usage})
"""All that is ever made from a journal."""

_TAGGED = frozenset({Image, Text})
"""Classes that stand for each other in a field, and therefore say which they are."""

_LEFT_OUT: Mapping[type[Any], frozenset[str]] = {Completion: frozenset({"limits"})}
"""Fields that are of no use later."""

_ERRORS: dict[str, type[errors.AgentError]] = {
    name: made for name, made in vars(errors).items() if isinstance(made, type) and issubclass(made, errors.AgentError)
}
_TYPES: dict[str, type[Any]] = {made.__name__: made for made in EVENTS}
_NAMES = {made: made.__name__ for made in EVENTS}
_dumps = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class RunCodec:
    """The codec of conversations' journals."""

    def encode(self, event: Any) -> Encoded:
        """An event as JSON.

        Raises:
            KeyError: it is none of the classes that a journal keeps.
            RecursionError: something in it is nested too deeply, or in itself.
        """
        kind = type(event)
        name = _NAMES[kind]
        plain = _encoder(kind)(event)
        try:
            text = to_json(plain, inf_nan_mode="constants").decode()
        except ValueError:  # half of an emoji, which gets through everything as escapes, or nested more than 255 deep
            text = _dumps(plain)
        return Encoded(name, SCHEMA, text)

    def decode(self, type: str, schema: int, data: str) -> Any:
        """The event.

        Raises:
            ValueError: it is not JSON, or of a newer form than this version knows.
            LookupError: it names a class that no event has.
        """
        if schema == 0:
            return legacy.decode(data)
        if schema > SCHEMA:
            raise ValueError(f"{type} was written in form {schema}; this version reads up to {SCHEMA}")
        try:
            plain = from_json(data)
        except ValueError:  # what `encode` wrote in the same case, or no JSON
            plain = json.loads(data)
        while schema < SCHEMA:
            upcast = UPCASTS.get((type, schema))
            plain = upcast(plain) if upcast is not None else plain
            schema += 1
        return _decoder(_TYPES[type])(plain)


# -- encoding: by the value's class ------------------------------------------------------------------------------------

_encoders: dict[type[Any], Convert] = {}
_NOTHING: Final = object()
_EMPTY: Final = types.MappingProxyType
"""What stands for an empty mapping where a default must not be changed."""


def _encoder(kind: type[Any]) -> Convert:
    made = _encoders.get(kind)
    if made is None:
        made = _encoders[kind] = _fields_encoder(kind)
    return made


def _defaults(kind: type[Any]) -> list[tuple[str, Any]]:
    """The fields of a class, with their defaults."""
    if not is_dataclass(kind):
        return [(name, kind._field_defaults.get(name, _NOTHING)) for name in kind._fields]  # type: ignore[attr-defined]
    return [
        (
            field.name,
            field.default
            if field.default is not MISSING
            else field.default_factory()
            if field.default_factory is not MISSING
            else _NOTHING,
        )
        for field in fields(kind)
    ]


def _fields_encoder(kind: type[Any]) -> Convert:
    left_out = _LEFT_OUT.get(kind, frozenset())
    known = [(name, default) for name, default in _defaults(kind) if name not in left_out]
    tagged = kind in _TAGGED
    items: Callable[[Any], Iterable[Any]]
    if issubclass(kind, tuple):
        items = iter
    elif len(known) == 1:
        items = _single(known[0][0])
    else:
        items = attrgetter(*(name for name, _ in known))

    def encode(value: Any) -> dict[str, Any]:
        plain: dict[str, Any] = {"kind": kind.__name__} if tagged else {}
        for (name, default), item in zip(known, items(value), strict=True):
            if item is default:
                continue
            itself = type(item)
            if itself is str or itself is int or itself is float or itself is bool:
                if item != default:
                    plain[name] = item
            elif (itself is not default.__class__ and default.__class__ is not _EMPTY) or item != default:
                plain[name] = _plain(item)
        return plain

    return encode


def _single(name: str) -> Callable[[Any], Iterable[Any]]:
    return lambda value: (getattr(value, name),)


def _plain(value: Any) -> Any:
    kind = type(value)
    if value is None or kind is str or kind is bool or kind is int or kind is float:
        return value
    encoder = _encoders.get(kind)
    if encoder is not None:
        return encoder(value)
    if kind is tuple or kind is list:
        return [_plain(item) for item in value]
    if kind in _CLASSES:
        return _encoder(kind)(value)
    return _foreign(value)


def _foreign(value: Any) -> Any:
    """What is none of ours, as something that JSON knows."""
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, bool | int | float):
        return value + 0
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Mapping):
        return {key if type(key) is str else str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        items = [_plain(item) for item in value]
        return sorted(items, key=repr) if isinstance(value, set | frozenset) else items
    if isinstance(value, BaseException):
        if isinstance(value, errors.AgentError) and type(value).__name__ in _ERRORS:
            return {"error": type(value).__name__, "text": str(value)}
        return {"error": "RunFailed", "text": f"{type(value).__name__}: {value}"}
    dump = getattr(value, "model_dump", None)
    if dump is not None and not isinstance(value, type):
        return _plain(dump(mode="json"))
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return repr(value)


# -- decoding: by the annotations --------------------------------------------------------------------------------------

_decoders: dict[Any, Convert] = {}


def _decoder(kind: Any) -> Convert:
    try:
        return _decoders[kind]
    except KeyError:
        made = _decoders[kind] = _made(kind)
        return made


def _same(value: Any) -> Any:
    return value


def _made(kind: Any) -> Convert:
    """What makes a value of a type from JSON."""
    if kind in _CLASSES:
        return _class_decoder(kind)
    if isinstance(kind, type) and issubclass(kind, BaseException):
        return _error
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            item = _decoder(arguments[0])
            return tuple if item is _same else lambda value: tuple(map(item, value))
        items = [_decoder(argument) for argument in arguments]
        return lambda value: tuple(make(one) for make, one in zip(items, value, strict=False))
    if origin in (frozenset, set):
        return frozenset
    if origin in (typing.Union, types.UnionType):
        return _union(arguments)
    return _same


def _union(options: tuple[Any, ...]) -> Convert:
    of_dict: list[Convert] = []
    of_list: Convert | None = None
    tagged = {option.__name__: option for option in options if option in _TAGGED}
    for option in options:
        if option in _CLASSES or (isinstance(option, type) and issubclass(option, BaseException)):
            of_dict.append(_decoder(option))
        elif typing.get_origin(option) in (tuple, frozenset):
            of_list = _decoder(option)

    def decode(value: Any) -> Any:
        if isinstance(value, dict) and of_dict:
            if tagged:
                return _decoder(tagged[value["kind"]])(value)
            return of_dict[0](value)
        if isinstance(value, list) and of_list is not None:
            return of_list(value)
        return value

    return decode


def _class_decoder(kind: type[Any]) -> Convert:
    hints = typing.get_type_hints(kind)
    makers: dict[str, Convert] | None = None

    def decode(plain: dict[str, Any]) -> Any:
        nonlocal makers
        if makers is None:  # not at once: classes may hold each other
            makers = {name: _decoder(hints[name]) for name, _ in _defaults(kind)}
        given: dict[str, Any] = {}
        for name, value in plain.items():
            make = makers.get(name)
            if make is not None:  # a field of a later version is passed over
                given[name] = value if make is _same or value is None else make(value)
        return kind(**given)

    return decode


def _error(value: dict[str, Any]) -> Any:
    return _ERRORS[value["error"]](value["text"])
