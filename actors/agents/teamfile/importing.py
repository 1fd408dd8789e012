"""A function that a team file names as ``module:name`` to be told of calls."""

from __future__ import annotations

from typing import cast

from ....providers.config.annotations import Location
from ....providers.config.yamlfile import YamlFile
from ....providers.pool.dispatch.usage import OnUsage, can_be_told
from ..plaindata import Misread, imported


def callback_named(file: YamlFile, at: Location, written: str) -> OnUsage:
    """A function that is told of calls. Raises `ConfigError`."""
    try:
        found = imported(written)
    except Misread as wrong:
        raise file.error(at, str(wrong)) from wrong.__cause__
    if isinstance(found, type) or not can_be_told(found):
        kind = "a class" if isinstance(found, type) else f"a value of type {type(found).__name__}"
        raise file.error(at, f"expected a plain function; {written} is {kind}")
    return cast(OnUsage, found)
