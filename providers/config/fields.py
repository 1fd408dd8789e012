"""Fields of configuration files that are more than a word or a number, and the base of all sections. Pure."""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Annotated, Any, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
)

from ..checks import LARGEST, SENDABLE_KEY, is_key
from ..messages import Request
from ..registry.presets import PRESETS
from ..spec import Kind

KINDS: tuple[str, ...] = get_args(Kind)
_REQUEST_FIELDS = frozenset(item.name for item in fields(Request)) - {"messages", "model", "tools", "headers"}


def known_type(value: str) -> str:
    """A protocol or a vendor. Raises `ValueError` where it is neither."""
    if value and value not in KINDS and value not in PRESETS:
        known = [*KINDS, *(name for name in PRESETS if name not in KINDS)]
        near = difflib.get_close_matches(value, known, 1)
        raise ValueError((f"did you mean {near[0]!r}? " if near else "") + f"expected one of {', '.join(known)}")
    return value


@cache
def _request_fields() -> Mapping[str, TypeAdapter[Any]]:
    hints = typing.get_type_hints(Request)
    return {name: TypeAdapter(hints[name], config=ConfigDict(allow_inf_nan=False)) for name in sorted(_REQUEST_FIELDS)}


def request_fields(value: dict[str, Any]) -> dict[str, Any]:
    """Fields of a request with a value each, in the types that the request wants.

    Raises:
        ValueError: there is no such field, or the value does not fit it.
    """
    fitting = {}
    for name, given in value.items():
        adapter = _request_fields().get(name)
        if adapter is None:
            near = difflib.get_close_matches(name, _REQUEST_FIELDS, 1)
            hint = (
                f"did you mean {near[0]!r}?"
                if near
                else f"expected fields of a request: {', '.join(sorted(_REQUEST_FIELDS))}"
            )
            raise ValueError(f"{name} is no field of a request; {hint}")
        try:
            fitting[name] = adapter.validate_python(given)
        except ValidationError as error:
            said = str(error.errors(include_url=False)[0]["msg"])
            raise ValueError(f"{name} is wrong; {said.replace('Input should be', 'expected')}") from None
    return fitting


def address(value: str) -> str:
    """An address that requests can be sent to, or none. Raises `ValueError`."""
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if value and not (good and value.isascii() and value.isprintable() and " " not in value):
        raise ValueError("expected an address such as https://llm.example.com/v1")
    return value


def key(value: SecretStr) -> SecretStr:
    """A key that a header can carry. Raises `ValueError`, which does not show it."""
    if not is_key(value.get_secret_value()):
        raise ValueError(f"expected {SENDABLE_KEY}")
    return value


def header(value: dict[str, str]) -> dict[str, str]:
    """Headers that can be sent. Raises `ValueError`."""
    for name, text in value.items():
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            raise ValueError(f"{name!r:.80} is no header's name; use letters, digits and '-'")
        if not (text.isascii() and (text.isprintable() or not text)):
            raise ValueError(f"{name} has a value that no header can carry; use printable ASCII characters")
    return value


def file_name(value: str) -> str:
    """A name that a file can have, or none. Raises `ValueError`."""
    if not value.isprintable():
        raise ValueError("expected the name of a file")
    return value


def names(value: Any) -> Any:
    """A list of names. Raises `ValueError`."""
    if not isinstance(value, list | tuple):
        raise ValueError("expected a list of names, as in [First, Second]")
    return value


def name(value: str) -> str:
    """A provider's name. Raises `ValueError` where it is none that could stand before a model's."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", value):
        raise ValueError("expected a name of letters, digits, '.', '_' and '-'")
    return value


Name = Annotated[str, AfterValidator(name)]
Names = Annotated[tuple[str, ...], BeforeValidator(names)]
FileName = Annotated[str, AfterValidator(file_name)]
Secret = Annotated[SecretStr, AfterValidator(key)]
RequestDefaults = Annotated[dict[str, Any], AfterValidator(request_fields)]


class Section(BaseModel):
    """A part of a configuration file: what it does not know is refused, and so is what is no number."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _can_be_reckoned_with(cls, value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) > LARGEST:
            raise ValueError(f"expected at most {LARGEST:,}")
        return value
