"""Logs for programs, and what is logged of a run."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from callboard import Agency, Agent
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
