"""The users' page: its example fails as it says, and its fix passes."""

from __future__ import annotations

from types import FunctionType
from typing import Any

import pytest

from callboard.actors.testing import SimulationFailed, Slow, simulate
from tests.pages.page import Page

PAGE = Page("actors/testing/README.md")
REPORT = PAGE.block("text")


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    return PAGE.run()


def test_the_example_fails_as_the_page_says(example: dict[str, Any]) -> None:
    with pytest.raises(SimulationFailed) as caught:
        example["test_nothing_is_forgotten"]()
    printed = [line.split() for line in str(caught.value).splitlines()]
    for line in REPORT.splitlines():
        assert line.split() in printed, line


def test_without_the_fault_the_example_passes(example: dict[str, Any]) -> None:
    simulate(example["conversation"](["red"] * 5), seeds=100)


def test_the_fix_passes(example: dict[str, Any]) -> None:
    scenario = FunctionType(example["conversation"].__code__, {**example, "Memory": example["FixedMemory"]})
    for count in range(3, 7):
        simulate(scenario(["red"] * count), seeds=50, faults=[Slow("summarizer", seconds=10)])
