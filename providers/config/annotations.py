"""What a model's annotations allow at a place of a file. Pure."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any, TypeAlias

from pydantic import BaseModel

Location: TypeAlias = tuple[str | int, ...]
"""Where a value stands: the keys and list positions that lead to it, from the top."""


def fields_at(model: type[BaseModel], location: Location) -> dict[str, str]:
    """Names and descriptions of the entries allowed at `location`, or at the nearest place above that has any."""
    for length in range(len(location), -1, -1):
        entries = [found for part in annotated(model, location[:length]) if (found := _entries(part)) is not None]
        if entries:
            return {name: said for found in entries for name, (_, said) in found.items()}
    return {}


def annotated(model: type[BaseModel], location: Location) -> list[Any]:
    """What may stand at `location` by the model's annotations: the members of a union one by one."""
    candidates: list[Any] = [model]
    for step in location:
        following: list[Any] = []
        for candidate in candidates:
            entries, origin = _entries(candidate), typing.get_origin(candidate)
            if entries is not None:
                following += [part for name, (part, _) in entries.items() if name == step]
            elif origin in (dict, Mapping):
                following += typing.get_args(candidate)[1:]
            elif origin in (list, tuple) and isinstance(step, int):
                following += typing.get_args(candidate)[:1]
        candidates = [member for part in following for member in _members(part)]
    return candidates


def leaves(value: Any, location: Location = ()) -> Iterator[tuple[Location, Any]]:
    """Each value that is neither a mapping nor a list, with the place where it stands."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*location, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*location, index))
    else:
        yield location, value


def _entries(candidate: Any) -> dict[str, tuple[Any, str]] | None:
    """The entries of a model or a dataclass, each with its annotation and description; None for anything else."""
    if not isinstance(candidate, type):
        return None
    if issubclass(candidate, BaseModel):
        fields = candidate.model_fields.items()
        return {info.alias or name: (info.annotation, info.description or "") for name, info in fields}
    if is_dataclass(candidate):
        return {name: (part, "") for name, part in typing.get_type_hints(candidate).items()}
    return None


def _members(annotation: Any) -> list[Any]:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _members(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [member for part in typing.get_args(annotation) for member in _members(part)]
    return [annotation]


def described(fields: Mapping[str, str], name: str) -> str:
    description = fields.get(name, "")
    return f"; expected {description}" if description else ""
