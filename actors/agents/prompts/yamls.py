"""Data as YAML, for a model to read."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from .values import NotPlain, problem_of


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

    written: str = yaml.safe_dump(json.loads(text), sort_keys=False, allow_unicode=True, width=120)
    return written.removesuffix("\n...\n").rstrip("\n")
