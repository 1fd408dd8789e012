"""What Hypothesis has drawn for a test that simulates: a token carries it, because its schedule is that workload's."""

from __future__ import annotations

import contextlib
import sys
from typing import Any, NamedTuple


class Example(NamedTuple):
    """An example of Hypothesis'.

    Args:
        test: the name of the test, as pytest's ids end, if the plugin can have it drawn there again; else "".
        version: of the Hypothesis that drew it.
        blob: what was drawn, as `hypothesis.reproduce_failure` takes it.
    """

    test: str
    version: str
    blob: str

    def __str__(self) -> str:
        return f"@reproduce_failure({self.version!r}, {self.blob.encode()!r})"


def context() -> Any:
    """Return Hypothesis' build context where it draws the workload, or None."""
    if "hypothesis" in sys.modules:
        from hypothesis import control

        with contextlib.suppress(Exception):
            if control.currently_in_test_context():
                return control.current_build_context()
    return None


def is_read() -> bool:
    """Whether somebody will read a failure now: while Hypothesis still looks for a smaller workload, nobody does."""
    found = context()
    return found is None or bool(found.is_final)


def example(test: str) -> Example | None:
    """Return the example that is drawn now; None where there is none, or it was given by hand (``@example``).

    Args:
        test: see `Example`.
    """
    if (found := context()) is None:
        return None
    from hypothesis import __version__
    from hypothesis.core import encode_failure

    # How it keeps what it drew is its own affair: should that change, the token is one without an example.
    with contextlib.suppress(Exception):
        if choices := found.data.choices:
            return Example(test, __version__, encode_failure(choices).decode())
    return None
