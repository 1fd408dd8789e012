"""The facade: every name is there, once, and importing it is cheap."""

from __future__ import annotations

import subprocess
import sys

import pytest

import callboard
from callboard import providers, tools
from callboard.actors.agents import errors, events
from callboard.actors.agents.events import RunEvent
from callboard.providers import errors as provider_errors
from callboard.providers import pool
from callboard.tools import errors as tool_errors


def test_every_exported_name_is_there() -> None:
    assert len(set(callboard.__all__)) == len(callboard.__all__)
    for name in callboard.__all__:
        assert getattr(callboard, name) is not None
        assert name in dir(callboard)
    with pytest.raises(AttributeError, match="Agnet"):
        callboard.Agnet  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("statement", ["import callboard", "from callboard import Agency, Agent, tool"])
def test_importing_loads_no_sdk(statement: str) -> None:
    heavy = ["openai", "anthropic", "litellm", "genai_prices", "rich", "uvicorn", "pydantic", "httpx", "sqlite3"]
    code = f"{statement}\nimport sys\nprint([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_star_takes_no_name_that_needs_an_extra() -> None:
    code = "import sys\nfor extra in ('langgraph', 'psycopg', 'psycopg_pool'): sys.modules[extra] = None\n"
    code += "from callboard import *\nprint(Pool, Budget, UnpricedModel)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_event_and_every_error_is_exported_here() -> None:
    kinds = ((errors, Exception), (events, RunEvent), (tool_errors, Exception), (provider_errors, Exception))
    defined = {
        name
        for module, base in kinds
        for name, made in vars(module).items()
        if isinstance(made, type) and issubclass(made, base) and made.__module__ == module.__name__
    }
    assert defined - set(callboard.__all__) == set(), "name it in the facade"


def test_what_the_tools_export_is_exported_here() -> None:
    assert set(tools.__all__) - set(callboard.__all__) == set()


@pytest.mark.parametrize(
    "name",
    [
        *("Pool", "load_config", "load_team", "RequestContext", "BaseTool", "Journal", "simulate", "AgentDescription"),
        *("Hook", "HandoffTool", "HandoffRecord", "ReasoningStep", "CallContext", "UsageRecord", "RunOptions"),
        "TeamFile",
    ],
)
def test_what_a_program_needs_is_imported_from_one_place(name: str) -> None:
    assert getattr(callboard, name).__name__ == name


def test_what_the_pool_and_the_providers_export_is_exported_here() -> None:
    inner = {
        "Bought",
        "BudgetStats",
        "EndpointCounts",
        "EndpointHealth",
        "Exhausted",
        "LimitUse",
        "ModelHealth",
        "PoolCounts",
    }
    inner.add("REQUESTER")
    offered = set(providers.__all__) | set(pool.__all__)
    assert offered - set(callboard.__all__) == inner, (
        "name it in the facade, or here with those that are only looked at"
    )
