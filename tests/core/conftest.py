"""What the tests of the core have in common."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="package", autouse=True)
def _a_small_heap() -> Iterator[None]:
    """Leave what earlier tests have loaded out of the collections that these tests ask for.

    With the SDKs in the heap one takes 0.3 s, and there are thousands.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
