"""JSON schemas as types of answers, for those who have no class for them: another program, a file, a request."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from ...tools.errors import ToolDefinitionError
from ...tools.from_schema import validator_of
from .errors import DefinitionError

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

MOST_REFERENCES: Final = 10_000
"""References that are followed to check one answer: few of them, nested, can stand for more work than anybody has."""

DEEPEST: Final = 100
"""Objects and lists of a schema within each other."""
MOST_FRAMES: Final = 500
"""Calls within each other in which a reference is still followed. Python's own limit must not be reached: what is
written in Rust panics there."""

_LISTED: Final = 5
_PROBES: Final[tuple[Any, ...]] = (None, True, 0, "", [], {})
_UNCHECKED: Final = ("patternProperties", "$dynamicRef", "$recursiveRef")


class JsonSchema:
    """A JSON schema that an answer must fit, as an ``output_type``; the answer's ``value`` is plain data.

    Each draft is known, ``format`` is told to the model and not checked, and no reference leads out of the schema. What
    a stranger's schema can cost is bounded: patterns are those that can be matched in linear time (Rust's, without
    looking around and back).

    Args:
        schema: the schema, as `json.loads` gives it.

    Raises:
        DefinitionError: it is no schema, or one that cannot be checked; says where, and why.
    """

    __slots__ = ("_text",)

    def __init__(self, schema: Mapping[str, Any]) -> None:
        if not isinstance(schema, Mapping):
            raise DefinitionError(f"a JSON schema is a mapping, not {type(schema).__name__}")
        try:
            self._text = json.dumps(dict(schema), allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise DefinitionError(f"a JSON schema is what JSON can say: {error!s:.200}") from None
        _checked(self._text)

    @property
    def schema(self) -> dict[str, Any]:
        """The schema, a copy."""
        found: dict[str, Any] = json.loads(self._text)
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JsonSchema) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return f"JsonSchema({self._text:.80})"

    def check(self, value: Any) -> Any:
        """The value, which fits.

        Args:
            value: plain data.

        Raises:
            ValueError: it does not; says where, and what was expected there.
        """
        validator, references = _checked(self._text)
        references.clear()
        misfits = sorted(validator.iter_errors(value), key=lambda misfit: list(map(str, misfit.absolute_path)))
        if misfits:
            raise ValueError("; ".join(map(_told, misfits[:_LISTED])))
        return value


def _told(misfit: ValidationError) -> str:
    """What was expected where, without what stands there: errors show it."""
    from jsonschema.exceptions import best_match

    misfit = best_match([misfit]) or misfit
    place = ".".join(map(str, misfit.absolute_path))
    wanted = f"expected {misfit.validator} {json.dumps(misfit.validator_value):.200}"
    return f"{place:.100}: {wanted}" if place else wanted


class _References(list[None]):
    """How many references were followed."""

    def follow(self) -> None:
        """One more.

        Raises:
            ValueError: there are too many, or too many within each other.
        """
        self.append(None)
        if len(self) > MOST_REFERENCES:
            raise ValueError(f"checking it takes more than {MOST_REFERENCES:,} references of the schema")
        frame, frames = sys._getframe(), 0
        while frame.f_back is not None and frames < MOST_FRAMES:
            frame, frames = frame.f_back, frames + 1
        if frames == MOST_FRAMES:
            raise ValueError("the references of the schema lead too deep")


@functools.lru_cache(maxsize=128)
def _checked(text: str) -> tuple[Validator, _References]:
    """What checks against a schema.

    Raises:
        DefinitionError: it is none, or cannot be checked.
    """
    from jsonschema.validators import extend, validator_for

    schema = json.loads(text)
    draft = schema.get("$schema")
    if draft is not None and not (isinstance(draft, str) and validator_for(schema, default=None)):
        raise DefinitionError(f"the schema is of a draft that is not known, {draft!r:.100}: leave $schema out")
    if _is_deep(schema):
        raise DefinitionError(f"the schema has more than {DEEPEST} objects and lists within each other")
    try:
        usual = validator_of(schema)
    except ToolDefinitionError as error:
        raise DefinitionError(str(error)) from None
    references = _References()
    kind: Any = type(usual)
    follow: Callable[..., Iterator[Any]] = kind.VALIDATORS["$ref"]

    def counted(validator: Any, ref: Any, instance: Any, within: Any) -> Iterator[Any]:
        references.follow()
        yield from follow(validator, ref, instance, within) or ()

    made: Validator = extend(kind, {"$ref": counted, "pattern": _pattern})(schema, registry=usual._registry)
    _look_at(schema)
    _try(made, references)
    return made, references


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def _look_at(schema: Mapping[str, Any]) -> None:
    """Look at each schema within a schema for what cannot be checked here.

    Raises:
        DefinitionError: there is such a thing.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import NoSuchResource, Unresolvable
    from referencing.jsonschema import specification_with

    kind: Any = validator_for(schema, default=Draft202012Validator)
    specification = specification_with(kind.META_SCHEMA["$schema"])
    root = specification.create_resource(schema)
    waiting: list[tuple[Any, Any]] = [(root, Registry().resolver_with_root(root))]
    while waiting:
        resource, resolver = waiting.pop()
        inner = resource.contents
        if not isinstance(inner, Mapping):
            continue
        for keyword in _UNCHECKED:
            if keyword in inner:
                raise DefinitionError(f"the schema has {keyword}, which cannot be checked here: do without it")
        if isinstance(inner.get("pattern"), str):
            _regex(inner["pattern"])
        if isinstance(inner.get("$ref"), str):
            try:
                resolver.lookup(inner["$ref"])
            except (Unresolvable, NoSuchResource, ValueError):
                raise DefinitionError(f"the schema refers to {inner['$ref']!r:.100}, which it does not have") from None
        for below in resource.subresources():
            waiting.append((below, resolver.in_subresource(below)))


def _try(validator: Validator, references: _References) -> None:
    """See that checking comes to an end at all.

    Raises:
        DefinitionError: it does not.
    """
    for probe in _PROBES:
        references.clear()
        try:
            for _ in validator.iter_errors(probe):
                pass
        except ValueError as error:
            raise DefinitionError(f"the schema cannot be checked: {error}") from None


@functools.lru_cache(maxsize=512)
def _regex(pattern: str) -> Any:
    """What matches a pattern in linear time.

    Raises:
        DefinitionError: there is no such thing.
    """
    from pydantic_core import SchemaError, SchemaValidator, core_schema

    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern))
    except (SchemaError, ValueError):
        wanted = "use one without looking ahead, behind or back"
        raise DefinitionError(f"the pattern {pattern!r:.100} cannot be matched in linear time: {wanted}") from None


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if isinstance(instance, str) and not _regex(pattern).isinstance_python(instance):
        yield ValidationError(f"the text does not match {pattern!r}")
