"""Has others' code that looks every so often whether something has come about look more often: hundreds of tests would
wait for it in vain."""

from __future__ import annotations

from types import ModuleType
from typing import Any

LONGEST = 0.005
"""Seconds."""


class Impatient:
    """A module as that code has it: its ``sleep`` takes no longer than `LONGEST`.

    Args:
        module: ``time`` or ``asyncio``.
    """

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def sleep(self, seconds: float) -> Any:
        """As the module's."""
        return self._module.sleep(min(seconds, LONGEST))
