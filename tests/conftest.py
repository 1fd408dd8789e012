"""For all our tests: pytester, the plugin under test, and a Hypothesis profile that no busy machine can make fail."""

import gc
import signal

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


# Looked through again and again while thousands of tests are collected, what is loaded then takes a third of the time.
gc.disable()


LONG = (
    "agents/memory/test_contract",
    "agents/prompts/test_function_agents_crashes",
    "agents/prompts/test_sub_agents_crashes",
    "campaigns/test_serve_kills_quick",
    "benchmarks/test_serve_scenarios",
    "cli/test_serve",
    "dashboard/browser/test_acting",
    "dashboard/browser/test_looks",
    "dashboard/test_conversations",
    "pages/test_examples",
    "serving/test_acp",
    "serving/test_published",
    "testing/test_gallery",
    "testing/test_plugin",
    "typing/test_types",
)
"""Files that take 10 s of a core or more: begun last, one of them would be waited for alone."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have long files be first."""
    items.sort(key=lambda item: not item.nodeid.partition(".py::")[0].endswith(LONG))


def pytest_collection_finish() -> None:
    """From here on there is garbage."""
    gc.enable()


# A shell has what it starts in the background ignore Ctrl-C, and so would every program that is started here.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def _a_small_heap() -> None:
    """Leave what has been loaded and reported so far out of the collections that these tests ask for.

    With the SDKs and the reports of some thousand tests in the heap one takes 0.3 s, and there are thousands. Never
    undone: at each module only what is new since the last one is looked through.
    """
    gc.collect()
    gc.freeze()
