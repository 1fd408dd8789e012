"""What of a value a journal cannot give back, or not in the same order."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import an


def loss_of(given: Any, back: Any) -> str:
    """What a value has lost on its way through a journal: where, and what; empty where it is the same.

    Args:
        given: it.
        back: what has come back.
    """
    return "" if _equal(given, back) else _loss(given, back, "")


def _equal(given: Any, back: Any) -> bool:
    try:
        return bool(given == back)
    except Exception:  # it cannot be compared as a whole: its members may
        return False


def _loss(given: Any, back: Any, where: str) -> str:
    if _equal(given, back):
        return ""
    it = where or "it"
    if type(given) is not type(back):
        return f"{it} is {an(type(given))}, and would come back as {an(type(back))}"
    if isinstance(given, list | tuple):
        if len(given) != len(back):
            return f"{it} would have another length"
        pairs = enumerate(zip(given, back, strict=True))
        return _first(_loss(one, other, f"{where}[{at}]") for at, (one, other) in pairs)
    if isinstance(given, Mapping):
        if given.keys() != back.keys():
            return f"{it} would have other keys"
        return _first(_loss(one, back[key], f"{where}[{key!r:.40}]") for key, one in given.items())
    members = _members(given)
    if members is None:
        # Without an equality of its own it is equal to itself alone.
        kind: Any = type(given)
        return "" if kind.__eq__ is object.__eq__ else f"{it} would be another {kind.__name__}"
    others = _members(back) or {}
    if members.keys() != others.keys():
        return f"{it} would have other attributes"
    return _first(_loss(one, others[name], f"{where}.{name}".lstrip(".")) for name, one in members.items())


def _first(losses: Iterable[str]) -> str:
    return next(filter(None, losses), "")


def _members(value: Any) -> dict[str, Any] | None:
    """What a model or a dataclass consists of; None for all else."""
    if dataclasses.is_dataclass(value):
        return {each.name: getattr(value, each.name, None) for each in dataclasses.fields(value)}
    if hasattr(type(value), "__pydantic_fields__"):
        more = ("__pydantic_extra__", "__pydantic_private__")
        return {**vars(value), **{name: found for name in more if (found := getattr(value, name, None))}}
    return None


def has_set(value: Any) -> bool:
    """Whether there is a set in a value: as text its order is that of its hashes, another one in each process."""
    if isinstance(value, set | frozenset):
        return True
    if isinstance(value, Mapping):
        return any(map(has_set, value.values())) or any(map(has_set, value))
    if isinstance(value, list | tuple):
        return any(map(has_set, value))
    members = _members(value)
    return members is not None and any(map(has_set, members.values()))
