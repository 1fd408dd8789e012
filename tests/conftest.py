"""For all our tests: pytester, the plugin under test, and a Hypothesis profile that no busy machine can make fail."""

import gc

import pytest
from hypothesis import HealthCheck, settings

from .postgres import postgres as postgres
from .postgres import schema as schema

pytest_plugins = ["pytester", "callboard.actors.testing.plugin"]

# Its parent is Hypothesis' profile for CI where the environment says CI=true: the examples are then the same each time.
settings.register_profile(
    "callboard", settings.default, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("callboard")


@pytest.fixture(scope="module", autouse=True)
def _a_small_heap() -> None:
    """Leave what has been loaded and reported so far out of the collections that these tests ask for.

    With the SDKs and the reports of some thousand tests in the heap one takes 0.3 s, and there are thousands. Never
    undone: at each module only what is new since the last one is looked through.
    """
    gc.collect()
    gc.freeze()
