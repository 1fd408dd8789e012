"""Short names of Anthropic's models, and the dated ones that its API takes.

https://docs.claude.com/en/docs/about-claude/models/overview and .../about-claude/model-deprecations: models up to
version 4 are named with a date only; later ones have a name without, which the API takes itself, as OpenAI, Google and
Mistral do with theirs.
"""

from __future__ import annotations

import re

_DATES = {
    "claude-3-haiku": "20240307",
    "claude-3-sonnet": "20240229",
    "claude-3-opus": "20240229",
    "claude-3-5-haiku": "20241022",
    "claude-3-5-sonnet": "20241022",
    "claude-3-7-sonnet": "20250219",
    "claude-sonnet-4": "20250514",
    "claude-opus-4": "20250514",
}
_DOTTED = re.compile(r"(?<=\d)\.(?=\d)")
_FAMILY_FIRST = re.compile(r"claude-(haiku|sonnet|opus)-(3(?:-[57])?)")
_VERSION_FIRST = re.compile(r"claude-([4-9](?:-\d)?)-(haiku|sonnet|opus)")


def dated(model: str) -> str:
    """The name under which Anthropic's API knows a Claude model: with hyphens for dots, version and family in its
    order, and a date where it wants one. Every other name comes back as it is."""
    if not model.startswith("claude-"):
        return model
    name = _DOTTED.sub("-", model)
    if found := _FAMILY_FIRST.fullmatch(name) or _VERSION_FIRST.fullmatch(name):
        name = f"claude-{found[2]}-{found[1]}"
    return f"{name}-{_DATES[name]}" if name in _DATES else name
