"""The pytest plugin that puts our actor under pykka's tests; loaded in the process that runs them, and nowhere else.

pykka's tests take a ``runtime`` fixture, with a ThreadingActor in it. Marking each of them with ``parametrize`` takes
precedence over the fixture's own parameters. Tests that do not take it would test pykka, and are left out.

With ``CALLBOARD_BLOCKING_ASK=1`` an ``ask`` without ``block=`` blocks, as pykka's does.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import pykka
import pytest

from callboard.actors import Actor, ActorRef, Future

if os.environ.get("CALLBOARD_BLOCKING_ASK"):
    _ask = ActorRef.ask

    def _blocking_ask(self: ActorRef[Any], message: Any, *, block: bool | None = True, **options: Any) -> Any:
        return _ask(self, message, block=block, **options)

    ActorRef.ask = _blocking_ask  # type: ignore[method-assign]


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "runtime" not in metafunc.fixturenames:
        return
    from tests.types import Runtime  # type: ignore[import-not-found,unused-ignore]

    ours = Runtime(
        name="callboard",
        actor_class=Actor,
        event_class=threading.Event,
        future_class=Future,
        sleep_func=time.sleep,
    )
    mark = pytest.mark.parametrize("runtime", [pytest.param(ours, id="callboard")], indirect=True, scope="session")
    metafunc.definition.add_marker(mark)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    ours = [item for item in items if "runtime" in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=[item for item in items if item not in ours])
    items[:] = ours


@pytest.fixture(autouse=True)
def _nothing_survives_a_test() -> Any:
    yield
    pykka.ActorRegistry.stop_all(timeout=5)
