"""The example of the page about context is Python that does what the page says."""

from __future__ import annotations

import re
from typing import Any

import pytest

import callboard
from callboard import Agency, context_window
from tests.agents.support import function
from tests.pages.page import Page

PAGE = Page("actors/agents/memory/context/README.md")


@pytest.fixture
def agent() -> Any:
    return PAGE.run()["agent"]


async def test_the_example_is_an_agency_whose_agent_has_the_strategies_of_the_page(agent: Any) -> None:
    assert repr(agent.context).startswith("DropToolOutput(")
    async with Agency(agent, model=function(lambda request: "found")) as agency:
        assert (await agency.run("go")).text == "found"


def test_every_strategy_that_there_is_stands_in_the_table() -> None:
    kinds = [getattr(callboard, name) for name in callboard.__all__]
    base = callboard.ContextStrategy
    strategies = {
        kind.__name__ for kind in kinds if isinstance(kind, type) and issubclass(kind, base) and kind is not base
    }
    assert strategies == set(re.findall(r"^\| `(\w+)\(", PAGE.text, re.MULTILINE))


def test_the_model_that_the_page_names_is_one_whose_window_is_known() -> None:
    (model,) = re.findall(r'Summarize\(model="([^"]+)"\)', PAGE.text)
    assert context_window(model) is not None
