"""Contents in parts and functions, as both of OpenAI's protocols have them; where they stand is the protocols' own.

The state of a user's message or a tool's result is ``{"parts": [entry, …]}`` in order, where an entry is
``["part", index, rest]`` or ``["raw", part]``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..messages import Message, Part, ToolSpec, Usage
from . import fields
from .state import Kept, beside, check_each, kept, restored, theirs, with_state


def read_content(
    role: Any,
    content: Any,
    at: str,
    origin: str,
    read: Callable[[Mapping[str, Any], str], tuple[Part | None, dict[str, Any]]],
    **about: Any,
) -> Message:
    """A user's or system's message, or a tool's result.

    Args:
        role: who speaks.
        content: a text, or parts.
        at: where it stands.
        origin: what the state is tagged with.
        read: reads one part, and its other fields; no part if it is something of the vendor's own.
        about: the message's other fields.

    Raises:
        WrongField: it is not the protocol.
    """
    if content is None or isinstance(content, str):
        return Message(role, content or "", **about)
    parts: list[Part] = []
    entries: list[list[Any]] = []
    for number, given in enumerate(fields.mappings(content, at)):
        part, rest = read(given, f"{at}[{number}]")
        entries.append(["raw", dict(given)] if part is None else ["part", len(parts), rest])
        if part is not None:
            parts.append(part)
    message = Message(role, tuple(parts), **about)
    plain = all(entry[0] == "part" and not entry[2] for entry in entries)
    return message if plain else with_state(message, origin, {"parts": entries})


def content_as_before(
    message: Message, parts: Sequence[Part], origin: str, write: Callable[[Part], dict[str, Any]]
) -> list[dict[str, Any]] | None:
    """A message's parts as they came, each written by `write`; None if there is no state, or it does not fit."""

    def as_before(mine: Kept) -> list[dict[str, Any]] | None:
        if not (mine.text and mine.parts):
            return None
        content: list[dict[str, Any]] = []
        found: list[Any] = []
        for kind, what, *more in mine.content["parts"]:
            if kind == "raw":
                content.append(theirs(what, "text", "input_text"))
                continue
            found.append(what)
            written = write(parts[what])
            content.append({**written, **beside(more[0], *written)})
        check_each(found, len(parts))
        return content

    return restored(kept(message, origin), as_before)


def detail_of(image: Mapping[str, Any], at: str) -> Any:
    """How closely a picture is to be looked at.

    Raises:
        WrongField: it is none of the protocol's words.
    """
    detail = fields.text(image.get("detail"), f"{at}.detail") or "auto"
    if detail not in ("auto", "low", "high", "original"):
        raise fields.WrongField(f"{at}.detail: expected auto, low or high")
    return detail


def read_function(function: Mapping[str, Any], at: str) -> ToolSpec:
    """A function that may be called.

    Raises:
        WrongField: it has no name, or is not the protocol.
    """
    name = fields.text(function.get("name"), f"{at}.name")
    if not name:
        raise fields.WrongField(f"{at}.name: expected the tool's name")
    about = fields.text(function.get("description"), f"{at}.description")
    schema = fields.mapping(function.get("parameters"), f"{at}.parameters")
    return ToolSpec(name, about, schema, fields.flag(function.get("strict"), f"{at}.strict", False))


def read_usage(value: Any, asked: str, answered: str) -> Usage:
    """Usage; what is missing is 0.

    Args:
        value: it, as the protocol writes it.
        asked, answered: how the protocol's names for tokens of the request and of the answer begin.

    Raises:
        WrongField: it is not the protocol.
    """
    usage = fields.mapping(value, "usage")
    given = fields.mapping(usage.get(f"{asked}_tokens_details"), f"usage.{asked}_tokens_details")
    made = fields.mapping(usage.get(f"{answered}_tokens_details"), f"usage.{answered}_tokens_details")
    return Usage(
        fields.count(usage.get(f"{asked}_tokens"), f"usage.{asked}_tokens"),
        fields.count(usage.get(f"{answered}_tokens"), f"usage.{answered}_tokens"),
        fields.count(given.get("cached_tokens"), f"usage.{asked}_tokens_details.cached_tokens"),
        fields.count(given.get("cache_write_tokens"), f"usage.{asked}_tokens_details.cache_write_tokens"),
        fields.count(made.get("reasoning_tokens"), f"usage.{answered}_tokens_details.reasoning_tokens"),
    )


def write_usage(usage: Usage, asked: str, answered: str) -> dict[str, Any]:
    """Usage as the protocol writes it; see `read_usage`."""
    return {
        f"{asked}_tokens": usage.input_tokens,
        f"{answered}_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        f"{asked}_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        f"{answered}_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
