"""The pytest plugin: its options, the ``simulation`` fixture, how a failure is printed, and what Hypothesis may do.

- ``--sim-seeds N`` has every `simulate` try N schedules instead of its own number (for a nightly run).
- ``--sim-replay TOKEN`` has it run the token's schedule instead of searching. In each test the simulation the token
  belongs to is replayed; a test in which it belongs to none fails, saying why. Hypothesis draws the token's example.
- ``--sim-html FOLDER`` writes a page of each failing run there, and prints its path.
- The summary says how many schedules the tests have run together; with ``-v`` it has a line for each test, and with
  ``--sim-coverage`` a line for each fault, too. The same is in the test's properties, for JUnit's XML.
- A Hypothesis test that simulates has no deadline, because how long a search takes says how busy the machine is, and no
  example database, because an example kept from other code may fail in another way. A deadline or database of the
  test's own, given with ``@settings``, stays.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import re
import sys
import zlib
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from traceback import format_exception
from types import FunctionType, ModuleType
from typing import Any

import pytest

from .errors import SimulationError, TokenRefused
from .search.coverage import Coverage, counted, merged
from .search.drawn import Example
from .search.reporting.failed import SimulationFailed
from .search.running.run import Run
from .search.settings import settings
from .search.simulation import simulate
from .search.token import example_of

_OURS = __name__.rpartition(".")[0]  # callboard.actors.testing
_FACADE = _OURS.partition(".")[0]
_PROPERTY = "simulation"
_REPRODUCES = "_hypothesis_internal_use_reproduce_failure"
"""Where Hypothesis keeps, with each test that it draws for, the only example to draw."""
_COUNTS = ("schedules", "distinct", "edges", "struck", "faults")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("callboard", "simulation testing")
    group.addoption("--sim-seeds", type=int, default=None, metavar="N", help="try N schedules in each simulation")
    group.addoption("--sim-replay", default=None, metavar="TOKEN", help="replay one schedule instead of searching")
    group.addoption("--sim-html", default=None, metavar="FOLDER", help="write a page of each failing run into a folder")
    group.addoption("--sim-coverage", action="store_true", help="say for each simulation what it has covered")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take deadline and example database from the Hypothesis tests that simulate."""
    if "hypothesis" not in sys.modules:
        return
    from hypothesis import is_hypothesis_test

    simulates = _Simulates(config.rootpath)
    for item in items:
        if not isinstance(item, pytest.Function) or not is_hypothesis_test(item.obj):
            continue
        if "simulation" in item.fixturenames or simulates.module(item.module):
            _unhurried(item)


class _Simulates:
    """Which modules simulate: they import from here, or from a module of the same project that does."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, bool] = {}

    def module(self, module: ModuleType) -> bool:
        name = module.__name__
        if name == _FACADE or name.startswith((f"{_FACADE}.testing", _OURS)):
            return True
        if name not in self._known:
            self._known[name] = False  # until it is known: modules may import each other in a circle
            self._known[name] = self._is_of_the_project(module) and any(map(self._leads, vars(module).copy().values()))
        return self._known[name]

    def _leads(self, value: object) -> bool:
        if isinstance(value, FunctionType | type):
            value = sys.modules.get(value.__module__)
        return isinstance(value, ModuleType) and self.module(value)

    def _is_of_the_project(self, module: ModuleType) -> bool:
        path = Path(getattr(module, "__file__", None) or "/")
        ours = module.__name__.startswith(f"{_FACADE}.")
        return self._root in path.parents and "site-packages" not in path.parts and not ours


def _unhurried(item: pytest.Function) -> None:
    from hypothesis import settings as hypothesis

    # Where Hypothesis' own plugin puts what it changes for a test.
    test = getattr(item.obj, "__func__", item.obj)
    given = getattr(test, "_hypothesis_internal_use_settings", None)
    if given is None:
        return
    profile = hypothesis.default
    assert profile is not None
    deadline = None if given.deadline == profile.deadline else given.deadline
    database = None if given.database == profile.database else given.database
    test._hypothesis_internal_use_settings = hypothesis(given, deadline=deadline, database=database)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Put the options in force for one test, and see whether the token, and each fault, was of any use in it."""
    option = item.config.getoption
    token = option("--sim-replay")
    settings.begin(option("--sim-seeds"), token, _from_here(item), _draws(item))
    result: object = None
    try:
        with _redrawn(item, None if token is None else example_of(token)):
            result = yield
        if (wrong := settings.verdict()) is not None:
            raise wrong
        return result
    finally:
        if settings.covered:
            item.user_properties.append((_PROPERTY, _properties(merged(settings.covered))))
        settings.begin()


def _draws(item: pytest.Item) -> str:
    """The name by which a token's example finds this test again, in whichever folder; "" if nothing is drawn for it."""
    return "::".join(item.nodeid.split("::")[1:]) if hasattr(_function(item), _REPRODUCES) else ""


def _function(item: pytest.Item) -> Any:
    test = getattr(item, "obj", None)
    return getattr(test, "__func__", test)


@contextlib.contextmanager
def _redrawn(item: pytest.Item, example: Example | None) -> Generator[None]:
    """Have Hypothesis draw an example again, and nothing else, if it is this test's."""
    if example is None or example.test != _draws(item):
        yield
        return
    from hypothesis import __version__
    from hypothesis.errors import DidNotReproduce, InvalidArgument

    test = _function(item)
    own = getattr(test, _REPRODUCES)
    # Whatever version drew it: that what is drawn is the same is seen by the trace.
    setattr(test, _REPRODUCES, (__version__, example.blob.encode()))
    settings.redraws = True
    try:
        yield
    except (DidNotReproduce, InvalidArgument) as error:
        if not (settings.refused or settings.replayed):
            raise TokenRefused(
                f"Hypothesis cannot draw the token's example ({error}): the test, what it draws from, or Hypothesis "
                f"({example.version}, here {__version__}) has changed: search again without the token"
            ) from None
    finally:
        setattr(test, _REPRODUCES, own)


def _from_here(item: pytest.Item) -> str:
    """The test's name as a command line takes it in the folder where this one was given."""
    path, *names = item.nodeid.split("::")
    return "::".join([os.path.relpath(item.config.rootpath / path, item.config.invocation_params.dir), *names])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Print a simulation's report first, and then where in the reader's own code it failed."""
    result = yield
    error = None if call.excinfo is None else call.excinfo.value
    if not isinstance(error, SimulationError):
        return result
    if isinstance(error, SimulationFailed) and (folder := item.config.getoption("--sim-html")) is not None:
        error.add_note(f"page: {_save_page(item, error, Path(folder))}")
    if item.config.getoption("fulltrace") or item.config.getoption("tbstyle") == "native":
        return result
    # The parts are pytest's own affair: should their form change, its order stays.
    with contextlib.suppress(AttributeError, TypeError, ValueError, IndexError):
        if isinstance(error, SimulationFailed):
            result.longrepr = _report_first(error, result.longrepr)
        elif Path(call.excinfo.traceback[-1].path) == Path(__file__):  # type: ignore[union-attr]
            result.longrepr = _alone(error, result.longrepr)
    return result


def _save_page(item: pytest.Item, failure: SimulationFailed, folder: Path) -> Path:
    """Write the page of a failing run; named by the test, and by how it fails, so that repeats write it again."""
    folder = item.config.invocation_params.dir / folder
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w.-]+", "-", item.nodeid.rpartition("/")[2])[:80]
    path = folder / f"{name}-{zlib.crc32(failure.token.encode()):08x}.html"
    failure.save_html(path)
    return path


def _report_first(failure: SimulationFailed, printed: Any) -> Any:
    """Put pytest's own form of a failure in another order: the report, the cause in the reader's code, the test.

    A cause without a frame of the reader's, such as a deadlock, is told by the report alone.
    """
    *causes, (test, crash, _) = printed.chain
    # Hypothesis' explanation lists lines that ran, and in a simulation those are the library's.
    notes = [note for note in getattr(failure, "__notes__", ()) if not note.startswith(("Explanation:", "    "))]
    lines = [line for part in (str(failure), *notes) for line in part.splitlines()]
    crash = replace(crash, message=lines[0])
    bare = replace(test.reprentries[-1], lines=[], reprfuncargs=None, reprlocals=None, reprfileloc=None, style="short")
    report = replace(test, reprentries=[replace(bare, lines=lines, style="value")], style="value")
    called = [replace(bare, reprfileloc=replace(crash, message="simulated here"))]
    shown = [(report, crash, None)]
    for traceback, where, _ in causes:
        if isinstance(failure.__cause__, BaseExceptionGroup):  # pytest's own form of it has the report in it once more
            traceback = type(traceback)(format_exception(failure.__cause__, chain=False))
        if where is not None:
            shown.append((traceback, where, None))
    return type(printed)([*shown, (replace(test, reprentries=called, style="short"), crash, None)])


def _alone(error: SimulationError, printed: Any) -> Any:
    """Put what a test as a whole is judged for without a place: no line of the reader's has raised it."""
    lines = f"{type(error).__name__}: {error}".splitlines()
    _, crash, _ = printed.chain[-1]
    bare = replace(printed.reprtraceback.reprentries[-1], lines=lines, reprfuncargs=None, reprlocals=None)
    bare = replace(bare, reprfileloc=None, style="value")
    crash = replace(crash, message=lines[0])
    return type(printed)([(replace(printed.reprtraceback, reprentries=[bare], style="value"), crash, None)])


def _properties(coverage: Coverage) -> dict[str, object]:
    """What a test's simulations have covered, as plain data: pytest-xdist sends it from process to process."""
    return {
        "schedules": coverage.schedules,
        "distinct": coverage.distinct,
        "edges": len(coverage.edges),
        "faults": len(coverage.struck),
        "struck": sum(map(bool, coverage.struck.values())),
        "text": str(coverage),
        "each": coverage.faults(),
    }


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what the simulations have covered."""
    found: list[tuple[str, dict[str, Any]]] = []
    for report in itertools.chain.from_iterable(terminalreporter.stats.values()):
        if isinstance(report, pytest.TestReport) and report.when == "call":
            found += [(report.nodeid, data) for name, data in report.user_properties if name == _PROPERTY]  # type: ignore[misc]
    if not found:
        return
    each = bool(config.getoption("--sim-coverage"))
    if each or config.get_verbosity() > 0:
        terminalreporter.section("simulations")
        for name, covered in found:
            terminalreporter.write_line(f"{name}: {covered['text']}")
            for line in covered["each"] if each else ():
                terminalreporter.write_line(f"  {line}")
    total = {key: sum(covered[key] for _, covered in found) for key in _COUNTS}
    struck = "; {struck} of {faults} faults struck".format(**total) if total["faults"] else ""
    terminalreporter.write_line(
        f"simulated in {counted(len(found), 'test')}: {counted(total['schedules'], 'schedule')} "
        f"({total['distinct']} distinct), {counted(total['edges'], 'edge')}{struck}"
    )


@pytest.fixture(scope="session")  # so that @given takes it
def simulation() -> Callable[..., Run]:
    """`callboard.actors.testing.simulate`."""
    return functools.partial(simulate)
