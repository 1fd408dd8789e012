"""The pytest plugin: ``--sim-seeds``, ``--sim-replay``, and the ``simulation`` fixture.

- ``--sim-seeds N`` has every `simulate` try N schedules instead of its own number (for a nightly run).
- ``--sim-replay TOKEN`` has it run the token's schedule instead of searching. In each test the simulation the token
  belongs to is replayed; a test in which it belongs to none fails, saying why.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .run import Run


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("callboard", "simulation testing")
    group.addoption("--sim-seeds", type=int, default=None, metavar="N", help="try N schedules in each simulation")
    group.addoption("--sim-replay", default=None, metavar="TOKEN", help="replay one schedule instead of searching")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, None]:
    """Put the options in force for one test, and see whether the token was of any use in it."""
    seeds, replay = item.config.getoption("--sim-seeds"), item.config.getoption("--sim-replay")
    if seeds is None and replay is None:
        yield
        return
    # Imported late: a test run that simulates nothing does not pay for it.
    from .errors import TokenRefused
    from .simulation import settings

    settings.seeds, settings.replay, settings.replayed = seeds, replay, False
    settings.refused.clear()
    try:
        outcome = yield
        if settings.refused and not settings.replayed and outcome.excinfo is None:
            reasons = list(dict.fromkeys(str(refused) for refused in settings.refused))
            outcome.force_exception(TokenRefused("; ".join(reasons[:3])))
    finally:
        settings.seeds = settings.replay = None


@pytest.fixture
def simulation() -> Callable[..., Run]:
    """`callboard.actors.testing.simulate`."""
    from .simulation import simulate

    return functools.partial(simulate)
