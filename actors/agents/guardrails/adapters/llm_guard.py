"""Scanners of llm-guard."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

from .....tools.threads import in_thread
from ...errors import DefinitionError
from ..findings import Finding


class LlmGuardCheck:
    """Finds what a scanner of llm-guard does not let pass: the whole text, with what the scanner makes of it as its
    replacement. It works in a thread; of a stream nothing is shown before its end.

    Args:
        scanner: one of ``llm_guard.input_scanners`` or ``llm_guard.output_scanners`` (the extra ``llm-guard``). One for
            output is told no prompt.
        kind: what its findings are, in words; the scanner's class where it is left out.

    Raises:
        DefinitionError: it is no scanner.
    """

    __slots__ = ("_of_output", "_scanner", "kind")

    def __init__(self, scanner: Any, *, kind: str = "") -> None:
        scan = getattr(scanner, "scan", None)
        if not callable(scan):
            raise DefinitionError(f"LlmGuardCheck: a scanner has scan(), and {type(scanner).__name__} has not")
        self._scanner = scanner
        self._of_output = "output" in inspect.signature(scan).parameters
        self.kind = kind or f"found by {type(scanner).__name__}"

    async def __call__(self, text: str) -> list[Finding]:
        """Have it look."""
        given = ("", text) if self._of_output else (text,)
        left, valid, score = await in_thread(partial(self._scanner.scan, *given))
        if valid:
            return []
        sure = min(1.0, max(0.0, float(score)))
        return [Finding(0, len(text), self.kind, sure, left if left != text else None)]
