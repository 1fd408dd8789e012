"""What a dashboard costs the process that it shows, and the browser that shows it."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from statistics import median
from typing import Any, Final

from tests.dashboard.browser.chromium import found, options

from callboard.actors.serving import serve

from .harness import Case, Sample, Unsupported
from .harness.counting import counting
from .subjects.dashboard import KEY, Many, agency
from .subjects.process import ROOT
from .subjects.replayed import replayed

ACTORS: Final = 10_000
RATE: Final = 2_000
"""Messages a second."""
WINDOW: Final = 10.0
"""Seconds for which the processor's time is looked at."""
EVENTS: Final = 10_000_000
SETTLED: Final = 10
"""After one in so many events memory is looked at first: what is bounded has grown to its bound by then."""
MESSAGES: Final = 20_000


def cases(quick: bool) -> list[Case]:
    """``quick`` looks for a fifth of the time, and at a hundredth of the events."""
    window, events = (WINDOW / 5, EVENTS // 100) if quick else (WINDOW, EVENTS)
    closed = {"off": False, "dashboard": True}
    return [
        *(Case("closed", subject, partial(_closed, there), repeats=3) for subject, there in closed.items()),
        Case("tree", "dashboard", partial(_tree, window), repeats=5),
        Case("paint", "dashboard", _paint, repeats=5),
        Case("events", "dashboard", partial(_events, events), repeats=1),
        Case("replayed", "server", partial(_replayed, events), repeats=1),
    ]


def _closed(dashboard: bool) -> Sample:
    """Calls that a message takes of an agency that is served and that nobody looks at."""

    async def main() -> Sample:
        ours = agency()
        app = serve(ours, dashboard=dashboard)
        async with app.router.lifespan_context(app):
            many = Many(ours, ACTORS // 100)
            await ours.run("go")
            with counting() as counted:
                for number in range(MESSAGES):
                    many.leaves[number % len(many.leaves)].tell(number)
                    if number % 100 == 0:
                        await ours.run("go")
                await asyncio.sleep(0)
            many.full.kill()
            return Sample(counted[0] / MESSAGES, "calls")

    return asyncio.run(main())


class _Server:
    """The process of a server; see ``benchmarks.subjects.dashboard``.

    Attributes:
        url: of its dashboard, with the key.
        at: of its dashboard, without.
    """

    def __init__(self, stack: ExitStack, actors: int = ACTORS, rate: int = RATE) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            command = [sys.executable, "-m", "benchmarks.subjects.dashboard"]
            found_by = os.pathsep.join([str(ROOT), str(ROOT / ".src")])
            self._process = subprocess.Popen(
                [*command, *map(str, (listening.fileno(), actors, rate))],
                pass_fds=[listening.fileno()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": found_by, "CALLBOARD_DASHBOARD_KEY": KEY},
            )
            stack.enter_context(self._process)
            stack.callback(self._process.kill)
            self.at = f"http://127.0.0.1:{listening.getsockname()[1]}/dashboard/"
        self.url = f"{self.at}#key={KEY}"
        self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server has ended with {self._process.wait()}")
        return line

    def ask(self, what: str, given: float) -> float:
        """Have it do something, and say what came of it."""
        assert self._process.stdin is not None
        print(what, given, file=self._process.stdin, flush=True)
        return float(self._answer())


@contextmanager
def _browser() -> Iterator[Any]:
    path = found()
    if path is None:
        raise Unsupported("no chromium here (make browser)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**options(path))
        try:
            yield browser
        finally:
            browser.close()


def _look(page: Any, url: str, view: str) -> None:
    """Open a view, and wait until it shows what it is told."""
    page.goto(url)
    page.get_by_test_id("name").wait_for()
    page.get_by_test_id(f"nav-{view}").click()
    page.get_by_test_id(f"view-{view}").wait_for()
    page.locator("[data-testid=state][data-state=live]").wait_for()


def _tree(window: float) -> list[Sample]:
    """The share of a core that the server takes more while somebody looks at its tree."""
    with ExitStack() as stack:
        server = _Server(stack)
        before = server.ask("cpu", window)
        with _browser() as browser:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            _look(page, server.url, "actors")
            server.ask("cpu", 2.0)  # the first reading, and the tree as a whole, are over then
            looking = server.ask("cpu", window)
        server.ask("cpu", 1.0)
        after = server.ask("cpu", window)
    nobody = (before + after) / 2
    return [Sample(100 * (looking - nobody), "%"), Sample(100 * nobody, "%", "_nobody_looks")]


_SHOWN: Final = """() => {
  const row = document.querySelector("[data-testid=view-actors] [role=row] [role=gridcell]");
  return row !== null && performance.now();
}"""


def _paint() -> list[Sample]:
    """From the request of a page that is new to the browser to what it paints first, as it tells, and to the tree."""
    with ExitStack() as stack, _browser() as browser:
        server = _Server(stack)
        painted, shown = [], []
        for _ in range(5):
            context = browser.new_context(viewport={"width": 1280, "height": 800})
            page = context.new_page()
            page.goto(server.url)
            page.get_by_test_id("name").wait_for()
            shown.append(page.wait_for_function(_SHOWN, polling="raf").json_value())
            painted.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
            context.close()
        return [Sample(median(painted), "ms"), Sample(median(shown), "ms", "_tree")]


def _events(count: int) -> list[Sample]:
    """By how much memory grows, of the server and of the page, from a tenth of the events to all of them."""
    with ExitStack() as stack, _browser() as browser:
        server = _Server(stack, actors=1_000, rate=100)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        _look(page, server.url, "letters")
        session = page.context.new_cdp_session(page)

        def heap() -> float:
            session.send("HeapProfiler.collectGarbage")
            used: float = session.send("Runtime.getHeapUsage")["usedSize"]
            return used

        first = count // SETTLED
        settled = server.ask("events", first), heap()
        ended = server.ask("events", count - first), heap()
    server_grew, page_grew = (1e-6 * (after - before) for before, after in zip(settled, ended, strict=True))
    return [Sample(server_grew, "MB", "_server"), Sample(page_grew, "MB", "_page")]


def _replayed(count: int) -> Sample:
    """By how much memory grows while a journal is read, from a tenth of its events to all of them."""
    return Sample(1e-6 * asyncio.run(replayed(count, count // SETTLED)), "MB")
