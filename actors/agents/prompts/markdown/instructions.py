"""Instructions of roles, from Markdown files with a variant for each family of models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from ...errors import PromptError

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "claude": ("claude",),
    "gpt": ("gpt", "chatgpt", "o1", "o3", "o4"),
    "gemini": ("gemini",),
    "llama": ("llama",),
    "mistral": ("mistral", "mixtral", "codestral"),
    "qwen": ("qwen", "qwq"),
    "deepseek": ("deepseek",),
    "grok": ("grok",),
    "gemma": ("gemma",),
    "kimi": ("kimi",),
}
"""Families of models, and how the names of their models begin."""

DEFAULT = (
    "You are {role}, an agent in a team. Do what you are asked, with the tools you have, and answer with the result."
)
"""What a role without any instruction file is told."""

_ROLE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_STEPS = re.compile(r"[:/.@]")


def family_of(model: str) -> str:
    """The family of a model's name (``anthropic:claude-…`` → ``claude``), or empty if it is none of `FAMILIES`.

    The last part that says a family decides: ``bedrock:us.anthropic.claude-…-v1:0`` is a Claude.
    """
    for part in reversed(_STEPS.split(model.lower())):
        for family, starts in FAMILIES.items():
            if part.startswith(starts):
                return family
    return ""


def instructions_for(role: str, model: str = "", folder: str | Path | None = None) -> str:
    """A role's instructions: the first there is of ``role.family.md`` and ``role.md`` in ``folder``, the same two
    among those that come with the library, and `DEFAULT`.

    Args:
        role: for example ``developer``.
        model: the model's name, which decides the family.
        folder: where to look first.

    Raises:
        PromptError: the role cannot be a file's name, the model's name is no text, the folder is not there, or a file
            cannot be read or is not UTF-8.
    """
    if not isinstance(role, str) or not _ROLE.fullmatch(role):
        raise PromptError(f"role {role!r:.80}: use letters, digits, _ and -; its instructions are a file of that name")
    if not isinstance(model, str):
        raise PromptError(f"a model's name is a text, not {type(model).__name__}; leave it out for any model")
    if folder is not None and not isinstance(folder, str | Path):
        raise PromptError(f"the folder of instructions is a path, not {type(folder).__name__}")
    if folder is not None and not Path(folder).is_dir():
        raise PromptError(f"{folder}: there is no such folder of instructions")
    family = family_of(model)
    names = [f"{role}.{family}.md", f"{role}.md"] if family else [f"{role}.md"]
    for place in (*([Path(folder)] if folder is not None else []), files(__package__) / "roles"):
        for name in names:
            path = place / name
            if path.is_file():
                try:
                    content = path.read_bytes()
                except OSError as error:
                    raise PromptError(f"{path} cannot be read: {error.strerror}") from None
                return decoded(path, content).strip()
    return DEFAULT.format(role=role)


def decoded(path: object, content: bytes) -> str:
    """A file's text.

    Raises:
        PromptError: it is not UTF-8; with the line.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise PromptError(f"{path}, line {line}: expected UTF-8") from None
