"""Data as YAML, for a model to read."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final

from .values import NotPlain, problem_of

_ODD: Final = ("\r", "\x85", "\u2028", "\u2029", "\ufeff")


def as_yaml(data: Any) -> str:
    """Data as YAML: in the order given, unicode as it is.

    Args:
        data: plain data, or what pydantic makes such.

    Raises:
        NotPlain: it cannot be written.
    """
    if problem_of(data):
        from pydantic_core import to_jsonable_python

        try:
            data = to_jsonable_python(data, inf_nan_mode="strings")
        except Exception as error:
            raise NotPlain(f"a {type(data).__name__} is no plain data: {error!s:.200}") from error
    try:
        return _written(json.dumps(data, ensure_ascii=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise NotPlain(f"it cannot be written: {error!s:.200}") from error


@lru_cache(maxsize=512)  # writing takes some 100 µs, and most data is the same in the next step
def _written(text: str) -> str:
    import yaml

    written: str = yaml.dump(
        json.loads(text), Dumper=_dumper(), sort_keys=False, allow_unicode=True, default_flow_style=False, width=120
    )
    return written.removesuffix("\n...\n").rstrip("\n")


@lru_cache(maxsize=1)
def _dumper() -> Any:
    """PyYAML's own, but that texts of several lines are written as such, and odd line ends as escapes: within quotes it
    writes those that it does not read back."""
    import yaml  # 15 ms, and few need it

    class Dumper(yaml.SafeDumper):
        pass

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        style = '"' if any(odd in value for odd in _ODD) else "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return Dumper
