"""Logs for programs, and what is logged of a run."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from callboard import Agency, Agent, Alert, Alerting, Reading, Rule, Telemetry, to_log
from callboard.actors.observe.logs import JsonFormatter
from tests.agents.support import function


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("callboard")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield said
    logger.removeHandler(handler)
    logger.setLevel(level)


def read(lines: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


async def test_each_step_of_a_run_is_a_line_with_its_ids_and_nothing_of_what_is_said(lines: io.StringIO) -> None:
    async with Agency(Agent("A"), model=function(lambda request: "swordfish")) as agency:
        answer = await agency.run("the password", conversation="c1")
    told = [line for line in read(lines) if line.get("run") == answer.run]
    assert [line["event"] for line in told] == ["RunStarted", "CompletionStarted", "CompletionFinished", "RunFinished"]
    for line in told:
        assert (line["agent"], line["conversation"], line["root"]) == ("A", "c1", answer.run)
        assert (line["level"], line["logger"]) == ("DEBUG", "callboard")
    assert "swordfish" not in lines.getvalue()
    assert "password" not in lines.getvalue()


def test_an_error_has_its_traceback_in_the_same_line(lines: io.StringIO) -> None:
    try:
        raise ValueError("wrong\nin two lines")
    except ValueError:
        logging.getLogger("callboard").exception("it failed: %s", "é", extra={"run": "r1", "odd": {1, 2}})
    (line,) = read(lines)
    assert (line["message"], line["run"], line["level"]) == ("it failed: é", "r1", "ERROR")
    assert line["odd"] == "{1, 2}"
    assert line["error"].endswith("ValueError: wrong\nin two lines")
    assert line["time"].endswith("+00:00")


class Unsayable:
    def __str__(self) -> str:
        raise ValueError("cannot")


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    "value",
    [
        {(1, 2): 3},
        LOOP,
        Unsayable(),
        float("nan"),
        float("inf"),
        b"x",
        pytest.param("half \ud800 a letter", id="half a letter"),
        "new\nline",
    ],
)
def test_whatever_stands_beside_a_record_its_line_is_json(value: Any) -> None:
    told = {"name": "callboard", "levelname": "WARNING", "msg": "half \ud800 a letter", "beside": value, "run": "r1"}
    line = JsonFormatter().format(logging.makeLogRecord(told))
    assert "\n" not in line
    line.encode()

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    read_back = json.loads(line, parse_constant=refuse)
    assert (read_back["message"], read_back["run"]) == ("half \ud800 a letter", "r1")
    assert "beside" in read_back


def test_the_stack_is_there_where_it_was_asked_for(lines: io.StringIO) -> None:
    logging.getLogger("callboard").warning("here", stack_info=True)
    assert "test_the_stack_is_there" in read(lines)[0]["stack"]


class Full(logging.Handler):
    """Writes to a disk that is full, and does not ask `logging` what to do then."""

    def emit(self, record: logging.LogRecord) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


@dataclass(frozen=True, kw_only=True)
class Wavers(Rule):
    """Fires, is over, fires."""

    above: float = 1.0

    def measure(self, readings: Sequence[Reading]) -> float:
        return readings[-1].at * 1e6 // 1 % 3


async def test_a_log_whose_disk_is_full_ends_no_run_and_no_alerting(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Alert] = []
    thrice = asyncio.Event()

    def fail(alert: Alert) -> None:
        told.append(alert)
        if len(told) == 3:
            thrice.set()
        raise OSError(errno.ENOSPC, "No space left on device")

    full = Full()
    caplog.set_level(logging.DEBUG, "callboard")
    logging.getLogger("callboard").addHandler(full)
    try:
        telemetry = Telemetry(spans=False, alerts=Alerting([Wavers()], [to_log, fail], every=0.001))
        async with Agency(Agent("A"), model=function(lambda request: "done"), telemetry=telemetry) as agency:
            agency.subscribe(lambda event: 1 / 0)
            for _ in range(3):
                assert (await agency.run("go")).text == "done"
            await thrice.wait()
    finally:
        logging.getLogger("callboard").removeHandler(full)
