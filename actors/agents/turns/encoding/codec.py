"""What a conversation's journal keeps, as JSON and back.

An event is a JSON object of the fields that are not what they are by default, so that it can be read with plain SQL
(``data->>'run'``). Decoding follows the annotations of the classes listed here: no other class is ever made from a
journal, so one that somebody tampered with can at worst hold wrong data. In fields that may hold anything
(``metadata``, an answer's ``value``) pydantic models and dataclasses become plain objects, enumerations their value,
tuples and sets lists, and dates, UUIDs, decimals, paths and the like the texts that pydantic makes of them; infinity
and NaN are the texts ``inf``, ``-inf`` and ``nan``. What neither JSON nor pydantic knows is refused. A field that is
not there has its default: that is how fields are added. An error comes back as the nearest class that `errors` has.
Text comes back as it was, lone surrogates and NUL included; only two halves of an emoji in succession come back as the
emoji. What version 0.1.0 wrote has schema 0 and is read by `legacy`.

The text is written directly, field by field: that is a tenth quicker than plain objects for `json` to write (5 µs an
event, on the path of every durable step), and lets nothing through that is not JSON.
"""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from json.encoder import encode_basestring
from operator import attrgetter
from pathlib import PurePath
from typing import Any, Final

from .....providers.messages import (
    Audio,
    Completion,
    File,
    Image,
    Labels,
    Message,
    Text,
    ToolCall,
    ToolSpec,
    Usage,
    VendorState,
)
from ....journal.codec import JSON, Encoded
from ... import errors
from ...answer import Answer, HandoffRecord, KeptSteps, ReasoningStep, Step, StepCall, Steps
from ...caller import Caller
from ...handoffs.handoff import Handoff
from ..records import EVENTS, RunRequest
from ..rules import Limits
from ..shape import Shape
from . import former, legacy

SCHEMA: Final = 3
"""The form of what is written now. Raise it, and add to `UPCASTS`, when a field changes its meaning or its default."""

UPCASTS: Mapping[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {
    **{(kind.__name__, 1): former.with_origins for kind in EVENTS},
    ("Accepted", 2): former.with_metadata,
}
"""For type and schema of a former form: what makes the next one of it."""

Convert = Callable[[Any], Any]
Write = Callable[[Any], str]

_VALUES = (
    *(Answer, Caller, Completion, Handoff, HandoffRecord, Limits, Message, ReasoningStep, RunRequest),
    *(Shape, Step, StepCall),
)
_TAGGED = frozenset({Audio, File, Image, Text})
"""Classes that stand for each other in a field, and therefore say which they are."""

_CLASSES = frozenset({*EVENTS, *_VALUES, *_TAGGED, Labels, ToolCall, ToolSpec, Usage, VendorState})
"""All that is ever made from a journal."""

_LEFT_OUT: Mapping[type[Any], frozenset[str]] = {Completion: frozenset({"limits", "extra"})}
"""Fields that are of no use later."""

_IN_FULL = frozenset({Limits})
"""Classes whose defaults a later version may change: what a run depended on must not change with them."""

_BEFORE: Mapping[type[Any], Mapping[str, Any]] = {Limits: {"repeats": None}}
"""Of those, what fields were before they were there."""

_ERRORS: dict[str, type[errors.AgentError]] = {
    name: made for name, made in vars(errors).items() if isinstance(made, type) and issubclass(made, errors.AgentError)
}
_TYPES: dict[str, type[Any]] = {made.__name__: made for made in EVENTS}
_SURROGATE = re.compile("[\ud800-\udfff]")


class RunCodec:
    """The codec of conversations' journals. What others keep there (a pool its budgets) are plain dictionaries."""

    def encode(self, event: Any) -> Encoded:
        """An event as JSON.

        Raises:
            KeyError: it is none of the classes that a journal keeps.
            TypeError: something in it is not plain data, and has no plain form.
            RecursionError: something in it is nested too deeply, or in itself.
        """
        if type(event) is dict:
            return Encoded(JSON, SCHEMA, json.dumps(event, allow_nan=False))
        name, write = _EVENTS[type(event)]
        try:
            text = write(event)
        except _NotPlain as error:
            where = _where(event, error.value).removeprefix("run.") or "something in it"
            raise TypeError(f"{where} is {_described(error.value)}; a journal keeps plain data") from error
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:  # half of an emoji: as an escape it gets through everything
                text = _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
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
        plain = json.loads(data)
        if type == JSON:
            return plain
        while schema < SCHEMA:
            upcast = UPCASTS.get((type, schema))
            plain = upcast(plain) if upcast is not None else plain
            schema += 1
        return _decoder(_TYPES[type])(plain)


# -- encoding: by the value's class ------------------------------------------------------------------------------------

_NOTHING: Final = object()


def _kept(kind: type[Any]) -> dict[str, Any]:
    """The names of a class's fields that are kept, and the values with which they need not be."""
    if is_dataclass(kind):
        known = {field.name: _NOTHING if field.default is MISSING else field.default for field in fields(kind)}
    else:
        known = {name: kind._field_defaults.get(name, _NOTHING) for name in kind._fields}
    left_out = _LEFT_OUT.get(kind, frozenset())
    return {name: _NOTHING if kind in _IN_FULL else known[name] for name in known if name not in left_out}


def _class_writer(kind: type[Any]) -> Write:
    known = _kept(kind)
    columns = [(f'"{name}":', default, type(default)) for name, default in known.items()]
    names = list(known)
    values: Convert
    if issubclass(kind, tuple):
        values = iter
    elif len(names) == 1:
        values = lambda value: (getattr(value, names[0]),)  # noqa: E731
    else:
        values = attrgetter(*names)
    first = [f'"kind":"{kind.__name__}"'] if kind in _TAGGED else []

    def write(value: Any) -> str:
        parts = first.copy()
        for (key, default, usual), item in zip(columns, values(value), strict=True):
            if item is default:
                continue
            itself = type(item)
            if itself is not usual or item != default:
                parts.append(key + _WRITERS.get(itself, _foreign)(item))
        return "{" + ",".join(parts) + "}"

    return write


def _text(value: Any) -> str:
    return _WRITERS.get(type(value), _foreign)(value)


def _number(value: float) -> str:
    text = float.__repr__(value)
    return f'"{text}"' if text[-1] in "fn" else text  # JSON has no infinity, and PostgreSQL takes none


def _array(value: Iterable[Any]) -> str:
    return "[" + ",".join([_WRITERS.get(type(item), _foreign)(item) for item in value]) + "]"


def _kept_steps(value: KeptSteps) -> str:
    text, value.text = value.text, ""
    if not text:
        text = value.text = _array(value)
    return text


def _object(value: Mapping[Any, Any]) -> str:
    named = {key if type(key) is str else _key(key): item for key, item in value.items()}
    return "{" + ",".join([f"{encode_basestring(key)}:{_text(item)}" for key, item in named.items()]) + "}"


def _key(key: Any) -> str:
    if isinstance(key, Enum):
        return _key(key.value)
    if isinstance(key, str):
        return str.__str__(key)
    if key is None or isinstance(key, int | float):
        return repr(key)
    text = _plain(key)
    return text if isinstance(text, str) else json.dumps(text)


def _error_text(value: BaseException) -> str:
    for kind in type(value).__mro__:
        if issubclass(kind, errors.AgentError) and _ERRORS.get(kind.__name__) is kind:
            return _object({"error": kind.__name__, "text": errors.text_of(value)})
    return _object({"error": "RunFailed", "text": f"{type(value).__name__}: {errors.text_of(value)}"})


def _foreign(value: Any) -> str:
    """What is none of ours, as something that JSON knows."""
    if isinstance(value, Enum):
        return _text(value.value)
    if isinstance(value, str):
        return encode_basestring(str.__str__(value))
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        return _object(value)
    if isinstance(value, tuple | list):
        return _array(value)
    if isinstance(value, set | frozenset):
        return _array(sorted(value, key=_text))
    if isinstance(value, BaseException):
        return _error_text(value)
    if not isinstance(value, type):
        dump = getattr(value, "model_dump", None)
        if dump is not None:
            return _text(dump(mode="json"))
        if is_dataclass(value):
            return _object({field.name: getattr(value, field.name) for field in fields(value)})
    return _text(_plain(value))


class _NotPlain(TypeError):
    """A value has no plain form."""

    def __init__(self, value: Any) -> None:
        super().__init__(type(value).__name__)
        self.value = value


def _plain(value: Any) -> Any:
    """What pydantic makes of a value for JSON.

    Raises:
        _NotPlain: it does not know what.
    """
    from pydantic_core import PydanticSerializationError, to_jsonable_python  # not at the top: few need it

    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Iterator):  # it would be used up
        raise _NotPlain(value)
    try:
        return to_jsonable_python(value)
    except (PydanticSerializationError, UnicodeDecodeError):
        raise _NotPlain(value) from None


def _described(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, bytes | bytearray):
        return "bytes that are not UTF-8"
    return errors.an(type(value))


def _where(event: Any, culprit: Any) -> str:
    """The way to something within an event; empty where it is not found."""
    members: Iterable[tuple[str, Any]] = ()
    if is_dataclass(event) and not isinstance(event, type):
        members = ((f".{field.name}", getattr(event, field.name)) for field in fields(event))
    elif isinstance(event, tuple) and hasattr(event, "_fields"):
        members = zip((f".{name}" for name in event._fields), event, strict=True)
    elif isinstance(event, Mapping):
        members = ((f"[{key!r:.40}]", item) for key, item in event.items())
    elif isinstance(event, tuple | list):
        members = ((f"[{index}]", item) for index, item in enumerate(event))
    elif isinstance(event, set | frozenset):
        members = (("{…}", item) for item in event)
    for step, member in members:
        if member is culprit:
            return step.removeprefix(".")
        further = _where(member, culprit)
        if further:
            joint = "" if further[0] in "[{" else "."
            return f"{step.removeprefix('.')}{joint}{further}"
    return ""


_WRITERS: dict[type[Any], Write] = {
    str: encode_basestring,
    int: int.__repr__,
    float: _number,
    bool: lambda value: "true" if value else "false",
    type(None): lambda value: "null",
    tuple: _array,
    list: _array,
    dict: _object,
    KeptSteps: _kept_steps,
    Steps: lambda value: int.__repr__(len(value)),  # what they were follows from the run's other events
    **{kind: _class_writer(kind) for kind in _CLASSES},
}
_EVENTS = {kind: (kind.__name__, _WRITERS[kind]) for kind in EVENTS}


# -- decoding: by the annotations --------------------------------------------------------------------------------------

_decoders: dict[Any, Convert] = {}
_AS_IT_IS = frozenset({Any, str, int, bool, type(None)})
"""Annotations of what JSON has itself."""

_TOLD_APART = frozenset({dict, list, str, int, bool, type(None)})
"""What values are in JSON."""


def _decoder(kind: Any) -> Convert:
    try:
        return _decoders[kind]
    except KeyError:
        made = _decoders[kind] = _made(kind)
        return made


def _same(value: Any) -> Any:
    return value


def _is_error(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseException)


def _made(kind: Any) -> Convert:
    """What makes a value of a type from JSON.

    Raises:
        TypeError: nothing here can: a field has an annotation that needs more than there is.
    """
    if kind in _CLASSES:
        return _class_decoder(kind)
    if _is_error(kind):
        return _error
    if kind is float:
        return float
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            item = _decoder(arguments[0])
            return tuple if item is _same else lambda value: tuple(map(item, value))
        items = [_decoder(argument) for argument in arguments]
        return lambda value: tuple(make(one) for make, one in zip(items, value, strict=True))
    if origin is frozenset and _decoder(arguments[0]) is _same:
        return frozenset
    if origin in (typing.Union, types.UnionType):
        return _union(arguments)
    if origin is Sequence:  # where it is but a number: how many there were
        item = _decoder(arguments[0])
        return lambda value: Steps(value) if type(value) is int else tuple(map(item, value))
    if isinstance(kind, typing.TypeVar):
        return _same
    if kind in _AS_IT_IS or origin is typing.Literal:
        return _same
    if origin is Mapping and arguments[0] is str and _decoder(arguments[1]) is _same:
        return _same
    raise TypeError(f"a field of type {kind} cannot be read from a journal")


def _union(options: tuple[Any, ...]) -> Convert:
    """What makes a value of one of several types: they are told apart by what they are in JSON."""
    makers: dict[type[Any], Convert] = {}
    tagged = {option.__name__: _decoder(option) for option in options if option in _TAGGED}
    if tagged:
        makers[dict] = lambda value: tagged[value["kind"]](value)
    for option in options:
        if option in _TAGGED:
            continue
        if option in _CLASSES or _is_error(option):
            form: Any = dict
        elif typing.get_origin(option) in (tuple, frozenset):
            form = list
        elif typing.get_origin(option) is typing.Literal:
            form = type(typing.get_args(option)[0])
        elif option is float:
            form = str  # only what is not finite: the others are as they should be
        else:
            form = option
        if form in makers or form not in _TOLD_APART:
            raise TypeError(f"the types of {options} cannot be told apart in a journal")
        makers[form] = _decoder(option)
    if all(make is _same for make in makers.values()):
        return _same

    def decode(value: Any) -> Any:
        make = makers.get(type(value))
        return value if make is None else make(value)

    return decode


def _but_none(kind: Any) -> Any:
    """A field's type where the field is not None."""
    if typing.get_origin(kind) not in (typing.Union, types.UnionType):
        return kind
    return typing.Union[tuple(one for one in typing.get_args(kind) if one is not type(None))]  # noqa: UP007


def _class_decoder(kind: type[Any]) -> Convert:
    makers: dict[str, Convert] | None = None
    before = _BEFORE.get(kind, {})

    def decode(plain: dict[str, Any]) -> Any:
        nonlocal makers
        if makers is None:  # not at once: classes may hold each other
            hints = typing.get_type_hints(kind)
            makers = {name: _decoder(_but_none(hints[name])) for name in _kept(kind)}
        given: dict[str, Any] = dict(before)
        for name, value in plain.items():
            make = makers.get(name)
            if make is not None:  # a field of a later version is passed over
                given[name] = value if make is _same or value is None else make(value)
        return kind(**given)

    return decode


def _error(value: dict[str, Any]) -> Any:
    return _ERRORS[value["error"]](value["text"])
