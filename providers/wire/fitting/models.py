"""Which model a name means, whoever serves it."""

from __future__ import annotations


def bare_name(model: str) -> str:
    """A model's name without who serves it, and without the mark of one that was fine-tuned: ``o4-mini:acme`` for
    ``openai/ft:o4-mini:acme``."""
    return model.rpartition("/")[2].removeprefix("ft:")
