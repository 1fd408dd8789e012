"""Files of JSON lines: a value on each, read one after the other, so that a file may be long."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

from .annotations import Location
from .yamlfile import ConfigError, TooLarge, YamlFile

_LONGEST: Final = 1_000_000
"""Bytes of a line."""


def read_json_lines(path: Path, most: int) -> Iterator[YamlFile]:
    """Read a file, line by line; empty ones are passed over. Nothing in it is expanded.

    Args:
        path: where it is.
        most: lines that are read.

    Yields:
        each value, whose places all have the line's number.

    Raises:
        ConfigError: it cannot be read, or a line is no JSON or has a name twice; `TooLarge`: there are more lines, or a
            line is longer than a million bytes.
    """
    try:
        with path.open("rb") as file:
            count = 0
            for number, line in enumerate(iter(lambda: file.readline(_LONGEST + 1), b""), 1):
                if len(line) > _LONGEST:
                    raise TooLarge(f"expected at most {_LONGEST:,} bytes in a line", path=path, line=number)
                if line.strip():
                    count += 1
                    if count > most:
                        raise TooLarge(f"expected at most {most:,} lines", path=path, line=number)
                    yield _parsed(line, path, number)
    except FileNotFoundError:
        raise ConfigError("no such file", path=path) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error}", path=path) from None


def _parsed(line: bytes, path: Path, number: int) -> YamlFile:
    try:
        data = json.loads(line, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        said = getattr(error, "msg", "") or str(error).partition("\n")[0]
        raise ConfigError(f"expected JSON; {said}", path=path, line=number) from None
    return YamlFile(str(path), data, data, dict.fromkeys(_places(data, ()), number), {})


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r:.80} stands there twice")
    return made


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _places(value: Any, at: Location) -> Iterator[Location]:
    yield at
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in below:
        yield from _places(item, (*at, step))
