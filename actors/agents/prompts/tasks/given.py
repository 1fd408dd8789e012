"""Tasks as code and models write them, before they are looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Protocol, TypeAlias, TypeVar

from .....tools.errors import TaskError
from ..state.serializing import NotPlain, kind_of

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class _Collected(Protocol[T_co]):
    """A list, a tuple or the like. A text is none: ``in`` takes nothing but texts there."""

    def __iter__(self) -> Iterator[T_co]: ...
    def __contains__(self, item: object, /) -> bool: ...


Several: TypeAlias = "_Collected[T_co] | Iterator[T_co]"
"""What can be iterated over, but is no text, whose letters would be the items."""


class _Numbers:
    """Has pydantic take a number for the text that says it; its schema stays that of a text."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Callable[[Any], Any]) -> Any:
        return {**handler(source), "coerce_numbers_to_str": True}


TaskId: TypeAlias = Annotated[str, _Numbers]
"""A task's id as models give it: where ids are numbered, they write numbers."""


def listed_tasks(given: Any, kind: type[T], example: str) -> list[T | str]:
    """Tasks that somebody has written, in a list.

    Args:
        given: several of that kind, mappings of its fields, or texts, which are left as they are.
        kind: what a task is.
        example: how such tasks are written.

    Raises:
        TaskError: it is something else, or the fields of one do not fit.
    """
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise TaskError(f"expected several tasks, not {given!r:.80}: write {example}")
    tasks: list[T | str] = []
    for number, one in enumerate(given, 1):
        if isinstance(one, Mapping):
            try:
                one = kind_of(None, kind).restored(dict(one), "it")
            except NotPlain as wrong:
                raise TaskError(f"task {number} of those given: {wrong}") from wrong
        elif not isinstance(one, kind | str):
            raise TaskError(f"expected a task, not {one!r:.80}: write {example}")
        tasks.append(one)
    return tasks
