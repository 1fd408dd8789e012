"""Values that a journal keeps: what is plain data, how a value becomes plain and comes back, and what differs."""

from __future__ import annotations

import json
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from math import isfinite
from operator import is_
from typing import TYPE_CHECKING, Any, Final, get_args

from ...errors import an
from .losses import has_set, loss_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import TypeAdapter

SCALARS: Final = frozenset({str, int, float, bool, type(None)})
_CONTAINERS: Final = frozenset({list, dict})
_LOOSE: Final = frozenset({tuple, set, frozenset})
"""Containers that say nothing of what is in them, where a value of them is all that is known of its type."""

_DEEPEST: Final = 100
"""Lists and mappings within each other: more than data has, and less than Python, pydantic and YAML can walk."""
_ENDLESS: Final = f"it is nested without end, or deeper than {_DEEPEST} levels"


_LARGEST: Final = 10**4300
"""What is below, Python writes as a text and reads again (``sys.set_int_max_str_digits``)."""
_TOO_LARGE: Final = "a whole number of more than 4,300 digits, which Python does not write: use a text, or a float"
_HALF: Final = (
    "half a character is in it (a lone surrogate), which has no place in a value of a type; put another one in its "
    "place: text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')"
)


class NotPlain(Exception):
    """A value that no journal keeps; the text says why, and what to do."""


def problem_of(value: Any) -> str:
    """What is no plain data in a value: where it is, and what; empty where all is."""
    return _problem(value, "", _DEEPEST)


def _problem(value: Any, where: str, deep: int) -> str:
    kind = type(value)
    if kind in SCALARS:
        if kind is float and not isfinite(value):
            return f"{where or 'it'} is {value}, which no JSON says: use None, or a text"
        return "" if kind is not int or -_LARGEST < value < _LARGEST else f"{where or 'it'} is {_TOO_LARGE}"
    if not deep:
        return _ENDLESS
    if kind is list:
        for index, item in enumerate(value):
            if problem := _problem(item, f"{where}[{index}]", deep - 1):
                return problem
        return ""
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                return f"{where or 'it'} has the key {key!r:.80}, which is no text"
            if problem := _problem(item, f"{where}[{key!r:.40}]", deep - 1):
                return problem
        return ""
    return f"{where or 'it'} is {an(kind)}"


def whole(text: str) -> str:
    """A text with U+FFFD in place of each half of a character, as providers are sent it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _has_half(plain: Any) -> bool:
    """Whether there is half a character in plain data: as ``json.loads('"\\ud800"')`` makes one."""
    try:
        json.dumps(plain, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def copied(value: Any) -> Any:
    """A copy of plain data that shares nothing that can be changed."""
    kind = type(value)
    if kind is list:
        return [copied(item) for item in value]
    if kind is dict:
        return {key: copied(item) for key, item in value.items()}
    return value


def with_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Plain data with each text, also of a key, as a function makes it; the same value where none changes."""
    kind = type(value)
    if kind is str:
        changed = change(value)
        return value if changed == value else changed
    made: Any
    if kind is list:
        made = [with_texts(item, change) for item in value]
        return value if all(map(is_, made, value)) else made
    if kind is dict:
        made = {with_texts(key, change): with_texts(item, change) for key, item in value.items()}
        same = len(made) == len(value) and all(map(is_, made, value)) and all(map(is_, made.values(), value.values()))
        return value if same else made
    return value


def is_same(one: Any, other: Any) -> bool:
    """Whether two values are the same plain data: 1, 1.0 and True are three."""
    kind = type(one)
    if kind is not type(other):
        return False
    if kind is list:
        return len(one) == len(other) and all(map(is_same, one, other))
    if kind is dict:
        return list(one) == list(other) and all(is_same(item, other[key]) for key, item in one.items())
    return bool(one == other)


class Kind:
    """How the values of one state are made plain, and how they come back.

    Args:
        type: the type they must fit; None for plain data of any kind.
        loose: they must also come back as they were: the type says nothing of what is in them.
    """

    __slots__ = ("_adapter", "_loose", "type")

    def __init__(self, type: Any, *, loose: bool = False) -> None:
        self.type = type
        self._loose = loose
        self._adapter: TypeAdapter[Any] | None = None
        if type is not None:
            from pydantic import TypeAdapter

            self._adapter = TypeAdapter(type)

    @property
    def name(self) -> str:
        """The type as an error shows it."""
        return self.type.__name__ if isinstance(self.type, type) and not get_args(self.type) else str(self.type)

    def plain(self, value: Any) -> Any:
        """A value as plain data, which shares nothing with it.

        Raises:
            NotPlain: it does not fit, or is none.
        """
        if self._adapter is None:
            if problem := problem_of(value):
                raise NotPlain(f"{problem}; a state is plain data, or give its type: value_type=…")
            return copied(value)
        try:
            made = self._adapter.dump_python(value, mode="json", warnings="error", by_alias=True, round_trip=True)
        except Exception as error:  # also what serializers of the user's raise
            what = an(type(value))
            if type(value) is self.type:
                raise NotPlain(f"{what} is no plain data, and cannot be made such: {_short(error)}") from error
            raise NotPlain(f"{what} is no {self.name}{self._misfit(value)}") from error
        if problem := problem_of(made):
            raise NotPlain(problem)
        try:
            loss = loss_of(value, self.restored(made, "as JSON it"))
        except NotPlain:
            if _has_half(made):
                raise NotPlain(_HALF) from None
            raise
        if loss:
            if _has_half(made):
                raise NotPlain(_HALF)
            mend = f"give its type: value_type={f'{self.name}[…]' if self._loose else '…'}"
            if type(value) is self.type and not self._loose:
                mend = f"have {self.name} say all of it as JSON, or keep something else"
            raise NotPlain(f"a journal would not give it back as it is: {loss}; {mend}")
        return made

    def _misfit(self, value: Any) -> str:
        """Where a value does not fit, as far as pydantic can tell."""
        assert self._adapter is not None
        try:
            read = self._adapter.validate_python(value)
        except Exception as error:
            return f": {_short(error)}"
        loss = loss_of(value, read)
        return f": {loss}" if loss else ""

    def restored(self, plain: Any, what: str = "what was kept") -> Any:
        """A value of plain data; a new one, where it can be changed.

        Args:
            plain: the data.
            what: by what an error calls them.

        Raises:
            NotPlain: it does not fit the type.
        """
        if self._adapter is None:
            return plain if type(plain) in SCALARS else copied(plain)
        if type(plain) is self.type and type(plain) in SCALARS:
            return plain
        try:
            return self._adapter.validate_json(json.dumps(plain))
        except Exception as error:  # also what validators of the user's raise
            raise NotPlain(f"{what} does not fit {self.name}: {_short(error)}") from error

    def is_untouched(self, value: Any, plain: Any) -> bool:
        """Whether a value that was made of this plain data still is what it was."""
        if self._adapter is None:
            return is_same(value, plain)
        try:
            made = self._adapter.dump_python(value, mode="json", by_alias=True, round_trip=True, warnings=False)
            if is_same(made, plain):
                return True
            return bool(value == self.restored(plain))  # equal sets may be written in another order
        except Exception:
            return False


ANY: Final = Kind(None)
"""Plain data of any kind."""


def kind_of(initial: Any, value_type: Any) -> Kind:
    """How the values of a state are kept.

    Args:
        initial: its first value, whose type counts where none is given.
        value_type: the type of its values, or None.

    Raises:
        NotPlain: it is no type that pydantic knows.
    """
    if value_type is None:
        kind = type(initial)
        if kind in SCALARS or kind in _CONTAINERS:
            return ANY
        value_type = kind
    try:
        return _kind(value_type)
    except TypeError:  # not hashable
        return _made(value_type)


@lru_cache(maxsize=1024)
def _kind(value_type: Any) -> Kind:
    return _made(value_type)


def _made(value_type: Any) -> Kind:
    try:
        return Kind(value_type, loose=value_type in _LOOSE)
    except Exception as error:  # pydantic's own, and what the user's type raises
        raise NotPlain(
            f"{getattr(value_type, '__name__', value_type)!s:.80} cannot be kept: {_short(error)}"
        ) from error


def canonical(value: Any) -> str:
    """A value as the one JSON text that stands for it.

    Raises:
        NotPlain: there is none.
    """
    kind = type(value)
    if kind is int and -_LARGEST < value < _LARGEST:
        return int.__repr__(value)
    if kind is str:
        return encode_basestring_ascii(value)
    try:
        return _encode(value)
    except (TypeError, ValueError, RecursionError):
        pass
    from pydantic_core import to_jsonable_python

    try:
        if has_set(value):
            raise NotPlain("a set has no order; use sorted(…)")
        plain = to_jsonable_python(value)
    except RecursionError as error:
        raise NotPlain(_ENDLESS) from error
    except NotPlain:
        raise
    except Exception as error:
        raise NotPlain(f"{an(type(value))} is no plain data") from error
    if problem := problem_of(plain):
        raise NotPlain(problem)
    return _encode(plain)


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def _short(error: Exception) -> str:
    """What is wrong, without the values: nobody's conversation belongs into an error."""
    told: Any = getattr(error, "errors", None)
    if told is None or not callable(told):
        return " ".join(str(error).split())[:300]
    wrong = told(include_url=False, include_context=False, include_input=False)[:5]
    return "; ".join(": ".join(filter(None, (".".join(map(str, one["loc"])), one["msg"]))) for one in wrong)[:300]
