"""The example of the page about context is Python that does what the page says."""

from __future__ import annotations

import re
from typing import Any

import callboard
from callboard import Agency, context_window
from tests.agents.support import function
from tests.cli.command import ROOT

PAGE = (ROOT / "actors" / "agents" / "memory" / "context" / "README.md").read_text(encoding="utf-8")


async def test_the_example_is_an_agency_whose_agent_has_the_strategies_of_the_page() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(example, "README.md", "exec", dont_inherit=True), names)
    agent = names["agent"]
    assert repr(agent.context).startswith("DropToolOutput(")
    async with Agency(agent, model=function(lambda request: "found")) as agency:
        assert (await agency.run("go")).text == "found"


def test_every_strategy_that_there_is_stands_in_the_table() -> None:
    kinds = [getattr(callboard, name) for name in callboard.__all__]
    base = callboard.ContextStrategy
    strategies = {
        kind.__name__ for kind in kinds if isinstance(kind, type) and issubclass(kind, base) and kind is not base
    }
    assert strategies == set(re.findall(r"^\| `(\w+)\(", PAGE, re.MULTILINE))


def test_the_model_that_the_page_names_is_one_whose_window_is_known() -> None:
    (model,) = re.findall(r'Summarize\(model="([^"]+)"\)', PAGE)
    assert context_window(model) is not None
