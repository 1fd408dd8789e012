"""What a scenario raises to tell the test runner something: that the test, or an example of it, does not count."""

from __future__ import annotations

import sys
from typing import Final

_VERDICTS: Final = {
    "_pytest.outcomes": ("Skipped", "XFailed", "Exit"),
    "unittest.case": ("SkipTest",),
    "hypothesis.errors": ("UnsatisfiedAssumption", "StopTest", "BackendCannotProceed"),
}
"""By module, of which those that nobody has imported have raised nothing."""


def verdict(error: BaseException | None) -> BaseException | None:
    """Return what an exception tells the test runner, where it tells only that; None where it is a failure."""
    kinds = [getattr(sys.modules.get(module), name, None) for module, names in _VERDICTS.items() for name in names]
    known = tuple(kind for kind in kinds if isinstance(kind, type))
    if isinstance(error, BaseExceptionGroup):
        told = [verdict(inner) for inner in error.exceptions]
        return told[0] if all(told) else None
    return error if isinstance(error, known) else None
