"""Structured answers: a type, its JSON schema, and what is wrong with a text that should fit it.

What a journal keeps of a type is an expression in JSON, made of the places where classes are defined
(``module:qualname``) and of arrays: ``["of", origin, argument…]``, ``["|", member…]``, ``["literal", value…]`` and
``["annotated", type, metadata…]``; of a `JsonSchema` it keeps the schema. To make the type again, classes are looked up
where they are in memory already.
"""

from __future__ import annotations

import json
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from itertools import chain
from typing import Any, Final, Generic, NewType

from ..core.base.log import logger_of
from .json_schema import JsonSchema

logger = logger_of()

_BY_SCHEMA: Final = "json schema"
"""Stands where the name of a type stands, of an answer that must fit a JSON schema."""

_PLAIN: Final = frozenset({str, int, float, bool, type(None)})
_OPEN: Final = frozenset({"builtins", "collections", "collections.abc", "typing"})
"""Modules whose classes may be given arguments; of others those that are `Generic`."""

_METADATA: Final = frozenset({"Strict", "StringConstraints", "Discriminator", "Tag"})
"""Classes of pydantic's that are made again from plain data, besides those of `annotated_types`."""


class Output:
    """The type a final answer must fit.

    Args:
        type: any type pydantic can make an adapter of, or a `JsonSchema`.
    """

    __slots__ = ("_adapter", "schema", "type")

    def __init__(self, type: Any) -> None:
        from pydantic import AfterValidator, TypeAdapter

        self.type = type
        self._adapter: TypeAdapter[Any]
        self.schema: Mapping[str, Any]
        if isinstance(type, JsonSchema):
            self._adapter = TypeAdapter(typing.Annotated[Any, AfterValidator(type.check)])
            self.schema = type.schema
        else:
            self._adapter = TypeAdapter(type)
            self.schema = self._adapter.json_schema()

    @property
    def recorded(self) -> tuple[str, str]:
        """How the type is made, and its schema as JSON text: what a journal keeps of it."""
        if isinstance(self.type, JsonSchema):
            return _BY_SCHEMA, json.dumps(self.schema, sort_keys=True)
        try:
            described = _described(self.type)
            name = described if isinstance(described, str) else json.dumps(described)
        except _NotMade:
            name = repr(self.type)
        return name, json.dumps(self.schema, sort_keys=True)

    @classmethod
    def known(cls, name: str, schema: str) -> tuple[Output | None, str]:
        """The type that an earlier process recorded, if it can be made here and is still the same; else why not.

        Nothing is imported for it, and nothing called but pydantic: a journal must not be able to have code run.
        """
        try:
            kind: Any
            if name == _BY_SCHEMA:
                kind = JsonSchema(json.loads(schema))
            else:
                kind = _made(json.loads(name) if name.startswith("[") else name)
            output = cls(kind)
        except _NotMade as wrong:
            return None, f"{_shown(name)}, which cannot be made here: {wrong}"
        except Exception as error:
            return None, f"{_shown(name)}, which cannot be made here: {type(error).__name__}: {error}"
        if json.dumps(output.schema, sort_keys=True) != schema:
            return None, f"{_shown(name)}, which has changed since: its JSON schema is another one"
        return output, ""

    def value(self, text: str) -> Any:
        """The text as the type. A Markdown fence around JSON is taken off.

        Raises:
            pydantic.ValidationError: it does not fit.
        """
        return self._adapter.validate_json(unfenced(text))

    def partial(self, text: str) -> Any:
        """What there is of a text that is not whole yet, as the type: what has not come has its default.

        Raises:
            Exception: it does not fit yet.
        """
        if isinstance(self.type, JsonSchema):
            from pydantic_core import from_json

            return from_json(_opened(text), allow_partial="trailing-strings")
        return self._adapter.validate_json(_opened(text), experimental_allow_partial="trailing-strings")

    def restored(self, kept: Any, text: str) -> Any:
        """A value that was kept as plain data, as the type; as it is where it does not fit any more.

        Args:
            kept: the plain data.
            text: that it was read from, unless a hook has changed one of them.
        """
        from pydantic_core import to_jsonable_python

        try:
            value = self.value(text)
            if to_jsonable_python(value, by_alias=False) == kept:
                return value
        except KeyboardInterrupt:
            raise
        except BaseException:
            logger.debug("the answer's text is not what its value was read from")
        try:
            return self._adapter.validate_json(json.dumps(kept))
        except KeyboardInterrupt:
            raise
        except BaseException:  # a validator of the user's may raise anything
            return kept

    def read(self, text: str) -> tuple[Any, str]:
        """The text as the type, and what is wrong with it, for the model; empty if it fits.

        Raises:
            Exception: what a validator of the type raised.
        """
        from pydantic import ValidationError

        try:
            return self.value(text), ""
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_context=False, include_input=False)[:5]
            said = (f"{'.'.join(map(str, item['loc'])) or 'the answer'}: {item['msg']}" for item in wrong)
            return None, "; ".join(said) or "it does not fit"


class _NotMade(Exception):
    """A type cannot be described, or not be made of its description."""


def _described(kind: Any) -> Any:
    """A type as JSON knows it.

    Raises:
        _NotMade: nothing here could make it again.
    """
    if kind is None:
        return _described(type(None))
    if kind is Ellipsis:
        return "..."
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    generic = getattr(kind, "__pydantic_generic_metadata__", None)
    if origin is None and generic and generic["origin"] is not None:
        origin, arguments = generic["origin"], generic["args"]
    if origin is typing.Annotated:
        return ["annotated", _described(arguments[0]), *chain.from_iterable(map(_metadata, kind.__metadata__))]
    if origin is typing.Literal:
        return ["literal", *(_literal(one) for one in arguments)]
    if origin in (typing.Union, types.UnionType):
        return ["|", *(_described(one) for one in arguments)]
    if origin is not None:
        return ["of", _described(origin), *(_described(one) for one in arguments)]
    if _is_named(kind):
        return f"{kind.__module__}:{getattr(kind, '__qualname__', kind.__name__)}"
    raise _NotMade


def _is_alias(kind: Any) -> bool:
    return type(kind).__name__ == "TypeAliasType"  # Python's own from 3.12 on, or that of typing_extensions


def _is_named(kind: Any) -> bool:
    return isinstance(kind, type | NewType) or _is_alias(kind)


def _literal(value: Any) -> Any:
    if isinstance(value, Enum):
        return [_described(type(value)), value.name]
    if type(value) in _PLAIN:
        return value
    raise _NotMade


def _metadata(value: Any) -> list[Any]:
    """What a type is annotated with: plain data, or the name and the plain fields of what pydantic knows."""
    kind = type(value)
    if is_plain(value):
        return [["", value]]
    if kind.__name__ == "FieldInfo":
        given = dict(value._attributes_set)
        return [["FieldInfo", _plain(given)], *chain.from_iterable(map(_metadata, value.metadata))]
    if kind.__name__.endswith("PydanticGeneralMetadata"):
        return [["FieldInfo", _plain(vars(value))]]
    if is_dataclass(kind) and kind is _metadata_class(kind.__name__):
        return [[kind.__name__, _plain({field.name: getattr(value, field.name) for field in fields(kind)})]]
    raise _NotMade


def _plain(given: dict[str, Any]) -> dict[str, Any]:
    if not is_plain(given):
        raise _NotMade
    return given


def _metadata_class(name: str) -> Any:
    import annotated_types
    import pydantic

    if name == "FieldInfo":
        return pydantic.Field
    found = getattr(pydantic, name) if name in _METADATA else vars(annotated_types).get(name)
    return found if isinstance(found, type) and (is_dataclass(found) or name in _METADATA) else None


def is_plain(value: Any) -> bool:
    """Whether it is what JSON gives."""
    kind = type(value)
    if kind is list:
        return all(is_plain(one) for one in value)
    if kind is dict:
        return all(type(key) is str and is_plain(one) for key, one in value.items())
    return kind in _PLAIN


def _made(described: Any) -> Any:
    """The type of a description.

    Raises:
        _NotMade: something of it is not there.
    """
    if described == "...":
        return ...
    if isinstance(described, str):
        return _found(described)
    form, *parts = described
    if form == "annotated":
        kind, *metadata = parts
        annotations = [given if not name else _metadata_class(name)(**given) for name, given in metadata]
        return typing.Annotated[_made(kind), *annotations]
    if form == "literal":
        values = (_member(*one) if isinstance(one, list) else one for one in parts)
        return typing.Literal[tuple(values)]
    made = [_made(one) for one in parts]
    if form == "|":
        return typing.Union[tuple(made)]  # noqa: UP007
    origin, *arguments = made
    if origin.__module__ not in _OPEN and not (
        _is_alias(origin) or (isinstance(origin, type) and issubclass(origin, Generic))
    ):
        raise _NotMade(f"{origin!r} takes no arguments")
    return origin[tuple(arguments)] if len(arguments) != 1 else origin[arguments[0]]


def _found(place: str) -> Any:
    """A class, or a name for a type, where it was defined."""
    module, colon, qualname = place.partition(":")
    if not colon or not module.replace(".", "").isidentifier():
        raise _NotMade("it has no name; give it one, as a class or with a type statement")
    if place == "builtins:NoneType":
        return type(None)
    if "<locals>" in qualname:
        raise _NotMade(f"{qualname} was defined in a function; define it at the top of a module")
    holder: Any = sys.modules.get(module)
    if holder is None:
        raise _NotMade(f"the module {module} has not been imported")
    for part in qualname.split("."):  # in their own dicts: an attribute could have something imported
        holder = vars(holder).get(part) if isinstance(holder, type | types.ModuleType) else None
    if not _is_named(holder):
        raise _NotMade(f"the module {module} has no type {qualname}")
    return holder


def _member(place: Any, name: str) -> Any:
    kind = _made(place)
    if not (isinstance(kind, type) and issubclass(kind, Enum)) or name not in kind.__members__:
        raise _NotMade(f"{_written(place)} has no member {name}")
    return kind[name]


def _shown(name: str) -> str:
    """A recorded type as it is written."""
    try:
        return _written(json.loads(name) if name.startswith("[") else name)
    except (ValueError, RecursionError):
        return f"{name:.200}"


def _written(described: Any) -> str:
    match described:
        case str():
            return described.removeprefix("builtins:").replace(":", ".", 1)
        case ["annotated", kind, *_]:
            return f"Annotated[{_written(kind)}, …]"
        case ["literal", *values]:
            return f"Literal[{', '.join(map(repr, values))}]"
        case ["|", *parts]:
            return " | ".join(map(_written, parts))
        case ["of", origin, *parts]:
            return f"{_written(origin)}[{', '.join(map(_written, parts))}]"
    return str(described)


def _opened(text: str) -> str:
    """A text that has begun, without the fence before it."""
    text = text.lstrip()
    return text.partition("\n")[2] if text.startswith("```") else text


def unfenced(text: str) -> str:
    """A text without the Markdown fence around it, if it has one."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        text = text[3:-3]
        first, _, rest = text.partition("\n")
        if first.strip().isalpha() or not first.strip():
            text = rest
    return text
