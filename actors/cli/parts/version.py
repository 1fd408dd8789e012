"""Which version this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of


def version() -> str:
    """The version that is installed."""
    try:
        return version_of("callboard")
    except PackageNotFoundError:  # run from the source tree
        return "not installed"
