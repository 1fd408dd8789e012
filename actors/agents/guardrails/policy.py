"""Guardrails as plain data, as team files have them."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from ....providers.checks import LIST
from ..errors import DefinitionError
from ..wishes import Misread
from .findings import Check
from .guardrail import ACTIONS, WHERE, Guardrail
from .judge import ModelJudge
from .patterns.injection import prompt_injections
from .patterns.numbers import card_numbers, email_addresses, ibans, phone_numbers
from .patterns.pattern import PatternCheck
from .patterns.secrets import high_entropy_strings, vendor_keys
from .sanitising import hidden_characters, html_markup
from .verification import json_schema, links, text_length

CHECKS: Final[Mapping[str, Callable[..., Any]]] = {
    "card_numbers": card_numbers,
    "email_addresses": email_addresses,
    "hidden_characters": hidden_characters,
    "high_entropy_strings": high_entropy_strings,
    "html_markup": html_markup,
    "ibans": ibans,
    "json_schema": json_schema,
    "links": links,
    "model_judge": ModelJudge,
    "pattern": PatternCheck,
    "phone_numbers": phone_numbers,
    "prompt_injections": prompt_injections,
    "text_length": text_length,
    "vendor_keys": vendor_keys,
}
"""The checks that data may name."""
_NO_OPTIONS: Final[Mapping[str, Any]] = {}
_FIELDS: Final = ("find", "where", "action")


def guardrail_from_config(
    name: str, data: Mapping[str, Any], checks: Callable[[str], Check] | None = None
) -> Guardrail:
    """A guardrail from plain data.

    Args:
        name: its name.
        data: ``find``, a list of checks: a name (``card_numbers``), or a mapping of a name to its options
            (``{phone_numbers: {region: DE}}``, ``{pattern: {kind: code name, regex: "blue-[0-9]+"}}``); ``where``, a
            list of places as `Guardrail` takes them for ``on`` (which YAML reads as true); and ``action``.
        checks: finds checks that are written with a colon, as ``module:name``; None where there are none.

    Raises:
        DefinitionError: a field, a check or an option is not there, or wrong; with those there are.
        MissingExtra: a package that a check needs is not installed.
    """
    if not isinstance(data, Mapping):
        raise Misread(f"a guardrail is a mapping of find, where and action, not {data!r:.80}")
    for field in data:
        if field not in _FIELDS:
            raise Misread(f"a guardrail has no {field!r:.80}{_hint(str(field), _FIELDS)}", str(field))
    find = data.get("find", ())
    if not LIST.fits(find) or not find:
        raise Misread("expected a list of checks, at least one", "find")
    made: list[Check] = []
    for index, written in enumerate(find):
        made += _made(written, checks, "find", index)
    options: dict[str, Any] = {}
    if "action" in data:
        if data["action"] not in ACTIONS:
            raise Misread(f"expected one of {', '.join(ACTIONS)}, not {data['action']!r:.80}", "action")
        options["action"] = data["action"]
    if "where" in data:
        if not LIST.fits(data["where"]):
            raise Misread(f"expected a list of places, not {data['where']!r:.80}", "where")
        for index, one in enumerate(data["where"]):
            if one not in WHERE:
                raise Misread(f"it cannot look on {one!r:.80}; there are {', '.join(WHERE)}", "where", index)
        options["on"] = tuple(data["where"])
    return Guardrail(made, name=name, **options)


def _made(written: Any, checks: Callable[[str], Check] | None, *at: str | int) -> tuple[Check, ...]:
    name, options = written, _NO_OPTIONS
    if isinstance(written, Mapping) and len(written) == 1:
        name, options = next(iter(written.items()))
    if not isinstance(name, str):
        raise Misread("expected the name of a check, or a mapping of one name to its options", *at)
    if ":" in name and checks is not None:
        try:
            return (checks(name),)
        except Misread as wrong:
            raise Misread(str(wrong), *at) from wrong.__cause__
    if name not in CHECKS:
        raise Misread(f"no check is called {name!r:.80}{_hint(name, CHECKS)}", *at)
    if not isinstance(options, Mapping):
        raise Misread(f"expected the options of {name} as a mapping, not {options!r:.80}", *at)
    make = CHECKS[name]
    there = {key: one for key, one in inspect.signature(make).parameters.items() if key not in ("accept", "opening")}
    for option in options:
        if option not in there:
            raise Misread(f"{name} has no {option!r:.80}{_hint(str(option), there)}", *at)
    for option, parameter in there.items():
        if parameter.default is parameter.empty and option not in options:
            raise Misread(f"{name} needs its {option}: {{{name}: {{{option}: …}}}}", *at)
    try:
        found = make(**options)
    except DefinitionError as error:
        raise Misread(str(error), *at) from None
    return tuple(found) if isinstance(found, tuple) else (found,)


def _hint(name: str, there: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(there), 1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(there)}"
