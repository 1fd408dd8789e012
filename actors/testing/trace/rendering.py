"""Values as text: the same in every process, and for people short and without what a terminal would obey."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_SIZES = ((60, 8), (30, 5), (12, 3))
"""How much of a string, and how many items, are shown where the whole does not fit: less and less, until it does."""
_DEPTH = 4


def stable_repr(value: Any) -> str:
    """Return a ``repr`` that is the same in every process: sets are sorted, addresses left out; so are the fields of
    dataclasses that have their default. Where it raises, that is said in its place."""
    try:
        return _stable_repr(value)
    except KeyboardInterrupt:
        raise
    except BaseException as broken:
        return f"<{type(value).__name__}, whose repr raised {type(broken).__name__}>"


def shown(value: Any) -> str:
    """Return its own ``repr``, which says most to people, or where that raises `stable_repr`."""
    try:
        return repr(value)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return stable_repr(value)


def _stable_repr(value: Any) -> str:
    kind = type(value)
    if kind in (str, int, float, bool, bytes, type(None)):
        return repr(value)
    if kind in (set, frozenset):
        return "{" + ", ".join(sorted(stable_repr(item) for item in value)) + "}"
    if kind is tuple:
        return "(" + ", ".join(stable_repr(item) for item in value) + ("," if len(value) == 1 else "") + ")"
    if kind is list:
        return "[" + ", ".join(stable_repr(item) for item in value) + "]"
    if kind is dict:
        return "{" + ", ".join(f"{stable_repr(k)}: {stable_repr(v)}" for k, v in value.items()) + "}"
    if is_dataclass(value) and not isinstance(value, type) and kind.__dataclass_params__.repr:
        shown = [(f.name, getattr(value, f.name, None)) for f in fields(value) if f.repr and not _is_default(value, f)]
        inside = ", ".join(f"{name}={stable_repr(item)}" for name, item in shown)
        return f"{kind.__qualname__.rpartition('.')[2]}({inside})"
    if isinstance(value, BaseException):
        return f"{kind.__name__}({', '.join(stable_repr(arg) for arg in value.args)})"
    return _ADDRESS.sub("", repr(value))


def _is_default(value: Any, field: Field[Any]) -> bool:
    default = field.default_factory() if field.default_factory is not MISSING else field.default
    return (
        default is not MISSING and type(default) is type(item := getattr(value, field.name, None)) and default == item
    )


def brief(value: Any, limit: int = 120) -> str:
    """Return `stable_repr`, with less of long strings and containers where it would be longer than ``limit``."""
    text = stable_repr(value)
    for size, items in _SIZES:
        if len(text) <= limit:
            break
        try:
            text = _lessened(value, size, items, _DEPTH)
        except Exception:  # a comparison, or an attribute, that raises
            break
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _lessened(value: Any, size: int, items: int, depth: int) -> str:
    def each(value: Any) -> str:
        return _lessened(value, size, items, depth - 1)

    kind = type(value)
    if kind in (str, bytes):
        more = len(value) - size
        return repr(value) if more <= 0 else f"{repr(value[:size])[:-1]}…'({more:,} more)"
    if depth == 0:
        text = stable_repr(value)
        return text if len(text) <= size else "…"
    if kind in (list, tuple, set, frozenset, dict):
        opening, closing = ("[", "]") if kind is list else ("(", ")") if kind is tuple else ("{", "}")
        shown = [f"{each(key)}: {each(item)}" for key, item in [*value.items()][:items]] if kind is dict else []
        if kind in (set, frozenset):
            shown = sorted(map(each, value))[:items]
        elif kind is not dict:
            shown = [each(item) for item in value[:items]]
        return opening + _listed(shown, len(value) - items) + closing
    if is_dataclass(value) and not isinstance(value, type) and kind.__dataclass_params__.repr:
        named = [f for f in fields(value) if f.repr and not _is_default(value, f)]
        shown = [f"{f.name}={each(getattr(value, f.name, None))}" for f in named]
        return f"{kind.__qualname__.rpartition('.')[2]}({_listed(shown, 0)})"
    if isinstance(value, BaseException):
        return f"{kind.__name__}({_listed([each(arg) for arg in value.args[:items]], len(value.args) - items)})"
    text = stable_repr(value)
    return text if len(text) <= 2 * size else text[: 2 * size] + "…"


def _listed(shown: Iterable[str], more: int) -> str:
    return ", ".join([*shown, f"… {more:,} more"] if more > 0 else shown)


def printable(text: str, *, but: str = "\n\t") -> str:
    """Return the text with escapes in place of what a terminal would obey, or cannot be encoded.

    Args:
        but: characters that stay.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in but else repr(each)[1:-1] for each in text)
