"""What is not installed with the library: imported when it is needed, and named when it is missing."""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import ProviderError


def required(module: str, extra: str, provider: str, otherwise: str = "") -> Any:
    """Import what an extra brings; in a thread, because it may take a second.

    Args:
        module: what to import.
        extra: the extra that brings it.
        provider: the provider's name, for the error.
        otherwise: what else helps.

    Raises:
        ProviderError: it is not installed; with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        hint = f"pip install 'callboard[{extra}]'{otherwise and f', {otherwise}'}"
    raise ProviderError(f"{provider} needs {module.partition('.')[0]}: {hint}", provider=provider)
