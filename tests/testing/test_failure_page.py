"""The page of a failing run: whole, safe, small enough, and by the names of the report."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from callboard.actors import Actor
from callboard.actors.testing import Simulation, SimulationFailed, Slow, Trace, simulate
from callboard.actors.testing.trace.page import page

HOSTILE = "</script><script>alert('x')</script><!--<script>\u2028&lt;\ud800\x1b[31m"


class Echo(Actor):
    async def on_receive(self, message: Any) -> Any:
        await asyncio.sleep(1)
        return message


async def races(sim: Simulation) -> None:
    echo = sim.system.spawn(Echo, name="echo <b>")
    told: list[int] = []

    async def tell(number: int) -> None:
        await asyncio.sleep(0)
        told.append(await echo.ask((number, HOSTILE)) and number)

    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(tell(number), name=f"teller{number}")
    assert told == [0, 1, 2], HOSTILE


@pytest.fixture(scope="module")
def failed() -> SimulationFailed:
    with pytest.raises(SimulationFailed) as caught:
        simulate(races, seeds=100, faults=[Slow("echo <b>", nth=2, seconds=3)])
    return caught.value


class Parsed(HTMLParser):
    """A page's elements, their attributes, and the text in each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self.elements:
            tag, attributes, text = self.elements[-1]
            self.elements[-1] = tag, attributes, text + data

    def of(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [(attributes, text) for each, attributes, text in self.elements if each == tag]


def run_of(text: str) -> Any:
    return json.loads(Parsed(text).of("script")[0][1])


def test_the_page_is_one_file_that_fetches_nothing(failed: SimulationFailed) -> None:
    parsed = Parsed(failed.html())
    assert not [attributes for _, attributes, _ in parsed.elements if attributes.keys() & {"src", "href", "action"}]
    assert not re.search(
        r"\burl\((?!#)|@import|fetch\(|import\(|XMLHttpRequest|https?://(?!www\.w3\.org/2000/svg)", failed.html()
    )
    policy = [attributes["content"] for attributes, _ in parsed.of("meta") if "http-equiv" in attributes]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"]


def test_nothing_of_the_run_can_become_code(failed: SimulationFailed) -> None:
    text = failed.html()
    assert len(Parsed(text).of("script")) == 2
    assert text.count("</script>") == 2
    assert "<!--" not in text
    assert "<script>alert" not in text
    assert "innerHTML" not in text
    text.encode()


def test_the_page_has_the_report_and_the_events_by_the_names_of_the_trace(failed: SimulationFailed) -> None:
    text = failed.html()
    parsed = Parsed(text)
    assert parsed.of("pre")[0][1].rstrip() == str(failed)
    assert parsed.of("title")[0][1].rstrip() == str(failed).splitlines()[0]
    run = run_of(text)
    assert set(run["lanes"]) == {"client", "echo <b>", "teller0", "teller1", "teller2"}
    kinds = [event[1] for event in run["events"]]
    trace = failed.run.trace
    for kind, name in {"ask": "ask", "recv": "recv", "done": "done", "ask_end": "reply", "fault": "fault"}.items():
        assert kinds.count(name) == len(trace.of(kind)) > 0
    assert kinds.count("hold") == len(failed.run.holds)
    assert kinds.count("task") == 3
    assert failed.inevitable is not None
    assert run["lost"] == {"event": failed.inevitable.event, "tried": failed.inevitable.tried}
    for time, _, who, other, said, *_ in run["events"]:
        assert 0 <= time <= failed.run.time
        assert 0 <= who < len(run["lanes"])
        assert -1 <= other < len(run["lanes"])
        assert run["texts"][said].isprintable()


def test_a_message_is_sent_taken_up_and_answered_under_one_number(failed: SimulationFailed) -> None:
    stages: dict[int, list[str]] = {}
    for _, kind, _, _, _, number, *_ in run_of(failed.html())["events"]:
        stages.setdefault(number, []).append(kind)
    asked = [kinds for kinds in stages.values() if kinds[0] == "ask"]
    assert len(asked) == 3
    assert all(kinds[:2] == ["ask", "recv"] and sorted(kinds[2:]) == ["done", "reply"] for kinds in asked)


def test_the_page_is_written_to_a_file(failed: SimulationFailed, tmp_path: Path) -> None:
    failed.save_html(tmp_path / "page.html")
    failed.save_html(str(tmp_path / "again.html"))
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == failed.html()
    assert (tmp_path / "again.html").read_bytes() == (tmp_path / "page.html").read_bytes()


def long_trace(events: int) -> Trace:
    trace = Trace()
    for number in range(events // 2):
        values = {"sender": "client", "actor": f"actor{number % 500}", "id": number}
        for kind in ("send", "recv"):
            trace.add(number / 100, kind, {**values, "message": f"message number {number} " + "of a long talk " * 50})
    return trace


def test_the_page_of_a_long_run_has_its_end_and_a_bound() -> None:
    text = page(long_trace(30_000), "report")
    assert len(text) < 6_000_000
    events = run_of(text)["events"]
    assert len(events) == 20_000
    assert events[-1][7] == 29_999


def test_the_page_of_an_empty_run_is_one_too() -> None:
    assert run_of(page(Trace(), ""))["events"] == []


@pytest.mark.skipif(shutil.which("node") is None, reason="no node here to read the script with")
def test_the_script_is_javascript(failed: SimulationFailed, tmp_path: Path) -> None:
    script = tmp_path / "page.js"
    script.write_text(Parsed(failed.html()).of("script")[1][1], encoding="utf-8")
    read = subprocess.run(["node", "--check", str(script)], capture_output=True, text=True, check=False)
    assert read.returncode == 0, read.stderr
