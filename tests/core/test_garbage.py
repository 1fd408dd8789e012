"""The helper for the garbage collector: what it sets, and that it puts back what it found."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from callboard.actors import System, service_gc

SERVICE = (50_000, 20, 100)


@pytest.fixture(autouse=True)
def _found() -> Iterator[tuple[int, int, int]]:
    found = gc.get_threshold()
    gc.set_threshold(701, 11, 12)
    yield found
    gc.set_threshold(*found)


def test_it_sets_the_thresholds_at_once_and_leaves_them() -> None:
    service_gc()
    gc.collect()
    assert gc.get_threshold() == SERVICE


def test_as_a_context_manager_it_puts_back_what_it_found_also_after_an_error() -> None:
    def fail() -> None:
        with service_gc():
            assert gc.get_threshold() == SERVICE
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert gc.get_threshold() == (701, 11, 12)


def test_the_library_does_not_set_them_by_itself() -> None:
    with System.in_thread():
        assert gc.get_threshold() == (701, 11, 12)
