"""Data as YAML, for a model to read."""

from __future__ import annotations

import marshal
from functools import lru_cache
from typing import Any, Final

from ..errors import an
from .state.serializing import NotPlain, problem_of, whole

_MOST_KNOWN: Final = 512
_LONGEST_KNOWN: Final = 4_000
"""Characters of a text that is kept, and bytes of what it is known by, so that some 4 MB are at most."""
_known: dict[bytes, str] = {}

_ODD: Final = ("\r", "\x85", "\u2028", "\u2029", "\ufeff")


def as_yaml(data: Any) -> str:
    """Data as YAML: in the order given, unicode as it is.

    Args:
        data: plain data, or what pydantic makes such.

    Raises:
        NotPlain: it cannot be written.
    """
    try:
        # The quickest text that differs where data does. Most data is the same in the next step, and writing takes some
        # 100 µs.
        key = marshal.dumps(data, 2)
    except ValueError:  # a model, or what it cannot say otherwise
        return _written(_plain(data))
    written = _known.get(key)
    if written is None:
        written = _written(_plain(data))
        if len(written) <= _LONGEST_KNOWN >= len(key):
            while len(_known) >= _MOST_KNOWN:
                _known.pop(next(iter(_known)), None)
            _known[key] = written
    return written


def _plain(data: Any) -> Any:
    if not problem_of(data):
        return data
    from pydantic_core import to_jsonable_python

    try:
        return to_jsonable_python(data, inf_nan_mode="strings")
    except Exception as error:
        raise NotPlain(f"{an(type(data))} is no plain data: {error!s:.200}") from error


def _written(plain: Any) -> str:
    import yaml

    try:
        written: str = yaml.dump(
            plain, Dumper=_dumper(), sort_keys=False, allow_unicode=True, default_flow_style=False, width=120
        )
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # also of a number with too many digits
        raise NotPlain(f"it cannot be written: {error!s:.200}") from error
    return written.removesuffix("\n...\n").rstrip("\n")


@lru_cache(maxsize=1)
def _dumper() -> Any:
    """PyYAML's own, but that texts of several lines are written as such, and odd line ends as escapes: within quotes it
    writes those that it does not read back. So are empty lines at the end, which nobody would see there."""
    import yaml  # 15 ms, and few need it

    quickest: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # a fifth of the other's time

    class Dumper(quickest):  # type: ignore[misc]
        pass

    def text(dumper: Any, value: str) -> yaml.ScalarNode:
        value = whole(value)
        ends = value.endswith("\n\n") or value == "\n"
        style = '"' if ends or any(odd in value for odd in _ODD) else "|" if "\n" in value else None
        node: yaml.ScalarNode = dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)
        return node

    Dumper.add_representer(str, text)
    Dumper.ignore_aliases = lambda self, data: True
    return Dumper
