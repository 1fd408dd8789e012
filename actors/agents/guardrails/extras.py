"""Packages that only some guardrails need."""

from __future__ import annotations

import importlib
from typing import Any

from ....tools.errors import MissingExtra


def needed(module: str, purpose: str, extra: str = "guardrails") -> Any:
    """Import a module of an extra.

    Args:
        module: its name.
        purpose: what needs it.
        extra: Callboard's extra that it is in.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingExtra(extra, purpose) from None
