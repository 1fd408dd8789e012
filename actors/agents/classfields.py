"""Descriptions whose fields a class of one's own may say: ``class Writer(Agent): name = "Writer"``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, ClassVar, TypeVar

from .errors import DefinitionError

T = TypeVar("T")


class SaysFields:
    """The base class of such descriptions, which are dataclasses; see `fields_of_class`."""

    _of_class: ClassVar[frozenset[str]] = frozenset()
    """The fields that a class of one's own says."""
    _fields: ClassVar[tuple[str, ...]] = ()
    """All that there are, in the order in which they are given."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._of_class |= {name for name in cls._fields if name in vars(cls)}

    def check_made(self) -> None:
        """Look whether a class of one's own has had this made, before anything else asks it.

        Raises:
            DefinitionError: its ``__init__`` does not call ours.
        """
        if not vars(self).keys() >= {*self._fields}:
            raise DefinitionError(f"{type(self).__name__}.__init__ has to call super().__init__(…)")

    def check_class_fields(self) -> None:
        """Look at the fields that a class says which is itself a dataclass.

        Raises:
            DefinitionError: one has no type.
        """
        for name in self._of_class if "__dataclass_fields__" in vars(type(self)) else ():
            if name not in type(self).__annotations__:  # the decorator passes it over, without a word
                raise DefinitionError(
                    f"{type(self).__name__}.{name} needs its type: it is not a field of a dataclass else"
                )


def fields_of_class(cls: type[T]) -> type[T]:
    """Have the instances of a dataclass take from their class what they are not given themselves."""
    made: Any = cls
    order = made._fields = tuple(each.name for each in fields(made))
    init: Callable[..., None] = made.__init__

    @wraps(init)
    def with_fields_of_class(self: Any, *args: Any, **given: Any) -> None:
        for name in self._of_class.difference(order[: len(args)], given):
            given[name] = getattr(self, name)  # a method is bound
        init(self, *args, **given)

    made.__init__ = with_fields_of_class
    return cls
