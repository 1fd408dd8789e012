"""A memory on each store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from callboard import Memory

from .support import Open

STORES = ("file", "ram")


@pytest.fixture(params=STORES)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens memories on one store."""
    made: list[Memory] = []

    def open_it(**options: Any) -> Memory:
        if request.param == "ram" and made and not made[-1]._closing.begun:
            raise AssertionError("what is kept in RAM has one memory")
        memory = Memory(tmp_path / "memory.db" if request.param == "file" else ":memory:", **options)
        made.append(memory)
        return memory

    yield open_it
    for memory in made:
        memory.close()


@pytest.fixture
def memory(opened: Open) -> Memory:
    """A memory with the embedder that needs no model."""
    return opened()
