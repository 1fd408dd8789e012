"""What passes between a program and the functions it calls: arguments as JSON text, results as plain data. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from ..errors import InvalidResult
from ..result import CUT, ToolResult
from ..signatures.returned import Returned

_HALF: Final = re.compile(r"[\ud800-\udfff]|\\ud[89a-f][0-9a-f]{2}", re.IGNORECASE)


def arguments_of(
    name: str, parameters: tuple[str, ...] | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> str:
    """The arguments of a call as JSON text.

    Raises:
        TypeError: they are not what the function takes.
    """
    from pydantic_core import to_json

    if parameters is None:
        if kwargs or len(args) != 1 or not isinstance(args[0], dict):
            raise TypeError(f"{name}() takes one dictionary with all its arguments")
        values: dict[str, Any] = args[0]
    else:
        if len(args) > len(parameters):
            raise TypeError(f"{name}() takes {len(parameters)} arguments, {len(args)} were given")
        values = dict(zip(parameters, args, strict=False))
        twice = values.keys() & kwargs.keys()
        if twice:
            raise TypeError(f"{name}() got {', '.join(sorted(twice))} twice")
        values |= kwargs
    try:
        return to_json(values, bytes_mode="base64", inf_nan_mode="strings").decode()
    except ValueError as error:
        raise TypeError(f"{name}() takes plain data (numbers, texts, lists, dictionaries): {error}") from None


def for_program(name: str, result: ToolResult, returned: Returned) -> Any:
    """What a program gets of a result: text as it is, all else as plain data; of a hook's answer its value, or what its
    text says.

    Args:
        name: by which the program called the function.
        result: it.
        returned: what the function returns.

    Raises:
        ValueError: a hook's answer is nothing that the function returns, the text was cut and is no JSON any more, or
            half a character is in it; the text says which.
    """
    torn = _HALF.search(result.text) is not None
    try:
        value = _value_of(result, returned)
        if torn:
            json.dumps(value, ensure_ascii=False).encode()  # halves that make a whole one are none
        return value
    except InvalidResult as error:
        raise ValueError(f"what was answered in place of {name} {error}") from None
    except ValueError:
        why = "was cut, as it is too long; ask for less"
        if torn:
            why = "has half a character in it (a lone surrogate), which is no text"
        raise ValueError(f"what {name} returned {why}") from None


def _value_of(result: ToolResult, returned: Returned) -> Any:
    value = result.value
    if value is CUT:
        raise ValueError
    if not result.from_value and isinstance(result.content, str):
        return returned.read(result.content) if value is None else returned.checked(value)
    if value is None:
        return None if isinstance(result.content, str) else result.text
    if isinstance(value, bytes | bytearray) or not isinstance(result.content, str):
        return result.text
    said = str.__str__(value) if isinstance(value, str) else json.loads(result.content)
    if "NaN" in result.content or "Infinity" in result.content:  # JSON has them as texts only
        with suppress(InvalidResult):
            return returned.checked(said)
    return said
