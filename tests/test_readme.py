"""The README's first example is short, runs offline, and prints an answer and the way that it went."""

from __future__ import annotations

from pathlib import Path

import pytest

from .pages.page import Page

LONGEST = 25
PAGE = Page("README.md")


def test_the_first_example_is_short() -> None:
    assert len(PAGE.block("python").splitlines()) <= LONGEST


def test_the_first_example_prints_the_answer_and_the_handoff_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for key in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(key, raising=False)
    PAGE.run()
    *answer, chain = capsys.readouterr().out.splitlines()
    assert "6" in " ".join(answer)
    assert chain == "Planner → Counter"
