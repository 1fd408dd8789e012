"""Files of many cases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from callboard import ConfigError
from callboard.actors.agents.evaluation import casefile
from callboard.actors.agents.evaluation.casefile import load_cases

LINE = "- {{name: case {0}, ask: 'What is {0}?', expect: {{contains: '{0}', cost: 0.01}}}}\n"


def test_a_list_may_be_longer_than_any_team(tmp_path: Path) -> None:
    (tmp_path / "cases.yaml").write_text("cases:\n" + "".join(LINE.format(number) for number in range(4_000)))
    assert [case.name for case in load_cases(tmp_path / "cases.yaml").cases][-1] == "case 3999"


def test_beyond_the_bound_it_is_said_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(casefile, "MOST_VALUES", 50)
    (tmp_path / "cases.yaml").write_text("cases:\n" + "".join(LINE.format(number) for number in range(10)))
    with pytest.raises(ConfigError, match=r"line 10: expected at most 50 values.*cases: many\.jsonl"):
        load_cases(tmp_path / "cases.yaml")


def test_what_is_too_large_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(casefile, "MOST_VALUES", 50)
    lines = "".join(LINE.format(number) for number in range(1_000))
    (tmp_path / "cases.yaml").write_text(f"cases:\n{lines}- [what is no YAML")
    with pytest.raises(ConfigError, match="expected at most 50 values"):
        load_cases(tmp_path / "cases.yaml")


def test_lines_are_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cases.yaml").write_text("cases: many.jsonl")
    one = {"ask": "Hello", "expect": {"contains": "Hi"}}
    (tmp_path / "many.jsonl").write_text("\n\n".join(json.dumps({"name": str(n), **one}) for n in range(20)))
    monkeypatch.setattr(casefile, "MOST_CASES", 20)
    assert len(load_cases(tmp_path / "cases.yaml").cases) == 20
    monkeypatch.setattr(casefile, "MOST_CASES", 19)
    with pytest.raises(ConfigError, match=r"many\.jsonl, line 39: expected at most 19 lines"):
        load_cases(tmp_path / "cases.yaml")
