"""The pytest plugin: ``--sim-seeds``, ``--sim-replay``, and the ``simulation`` fixture.

- ``--sim-seeds N`` has every `simulate` try N schedules instead of its own number (for a nightly run).
- ``--sim-replay TOKEN`` has it run the token's schedule instead of searching. In each test the simulation the token
  belongs to is replayed; a test in which it belongs to none fails, saying why.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator

import pytest

from .run import Run
from .simulation import settings, simulate


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("callboard", "simulation testing")
    group.addoption("--sim-seeds", type=int, default=None, metavar="N", help="try N schedules in each simulation")
    group.addoption("--sim-replay", default=None, metavar="TOKEN", help="replay one schedule instead of searching")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Put the options in force for one test, and see whether the token, and each fault, was of any use in it."""
    settings.begin(item.config.getoption("--sim-seeds"), item.config.getoption("--sim-replay"))
    try:
        result = yield
        if (wrong := settings.verdict()) is not None:
            raise wrong
        return result
    finally:
        settings.begin()


@pytest.fixture
def simulation() -> Callable[..., Run]:
    """`callboard.actors.testing.simulate`."""
    return functools.partial(simulate)
