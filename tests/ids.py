"""Names of a test's parameters."""

from __future__ import annotations

import re


def shown(value: object) -> str:
    """A value's repr without addresses: tests are called the same in each of the processes that share them."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
