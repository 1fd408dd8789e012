"""Instructions of roles, from Markdown files with a variant for each family of models."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "claude": ("claude",),
    "gpt": ("gpt", "chatgpt", "o1", "o3", "o4"),
    "gemini": ("gemini",),
    "llama": ("llama",),
    "mistral": ("mistral", "mixtral", "codestral"),
    "qwen": ("qwen", "qwq"),
    "deepseek": ("deepseek",),
}
"""Families of models, and how the names of their models begin."""

DEFAULT = (
    "You are {role}, an agent in a team. Do what you are asked, with the tools you have, and answer with the result."
)
"""What a role without any instruction file is told."""


def family_of(model: str) -> str:
    """The family of a model's name (``anthropic:claude-…`` → ``claude``), or empty if it is none of `FAMILIES`."""
    name = model.replace("/", ":").rpartition(":")[2].lower()
    return next((family for family, starts in FAMILIES.items() if name.startswith(starts)), "")


def instructions_for(role: str, model: str = "", folder: str | Path | None = None) -> str:
    """A role's instructions: the first there is of ``role.family.md`` and ``role.md`` in ``folder``, the same two
    among those that come with the library, and `DEFAULT`.

    Args:
        role: for example ``developer``.
        model: the model's name, which decides the family.
        folder: where to look first.
    """
    family = family_of(model)
    names = [f"{role}.{family}.md", f"{role}.md"] if family else [f"{role}.md"]
    for place in (*([Path(folder)] if folder is not None else []), files(__package__) / "roles"):
        for name in names:
            path = place / name
            if path.is_file():
                return path.read_text(encoding="utf-8").strip()
    return DEFAULT.format(role=role)
