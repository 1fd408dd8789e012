"""The ``callboard`` command. `main` is its console script."""

from .app import main

__all__ = ["main"]
