"""``callboard config``: checking files, and the schema that editors take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from callboard.actors.agents.teamfile.schema import TeamFile

from .command import assert_refused, callboard


def test_a_file_of_models_is_checked(tmp_path: Path) -> None:
    (tmp_path / "llm.yaml").write_text("providers:\n  offline: {}\n  spare: {type: offline, enabled: false}\n")
    done = callboard("config", "check", "llm.yaml", cwd=tmp_path)
    assert (done.status, done.out) == (0, "llm.yaml: providers: offline\n"), done.err


@pytest.mark.parametrize("text", ["", "# nothing yet\n"])
def test_an_empty_file_leaves_the_environments_providers(tmp_path: Path, text: str) -> None:
    (tmp_path / "llm.yaml").write_text(text)
    done = callboard("config", "check", "llm.yaml", cwd=tmp_path)
    assert (done.status, done.out) == (0, "llm.yaml: providers: those of the environment\n"), done.err


def test_a_team_file_is_checked(tmp_path: Path) -> None:
    (tmp_path / "team.yaml").write_text("agents:\n  Planner: {tools: [LS]}\n  Writer: {}\n")
    done = callboard("config", "check", "team.yaml", cwd=tmp_path)
    assert (done.status, done.out) == (0, "team.yaml: a team of 2: Planner, Writer\n"), done.err


def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "llm.yaml").write_text("providers:\n  offline:\n    timeot: 3\n")
    assert_refused(
        callboard("config", "check", "llm.yaml", cwd=tmp_path), "llm.yaml, line 3", "did you mean 'timeout'?"
    )
    (tmp_path / "team.yaml").write_text("agents:\n  Planner: {tools: [SL]}\n")
    assert_refused(callboard("config", "check", "team.yaml", cwd=tmp_path), "team.yaml, line 2", "did you mean 'LS'?")


def test_the_schema_names_every_section_and_requires_none(tmp_path: Path) -> None:
    done = callboard("config", "schema", cwd=tmp_path)
    assert done.status == 0, done.err
    schema = json.loads(done.out)
    assert set(schema["properties"]) == set(TeamFile.model_fields)
    assert "required" not in schema
    assert schema["additionalProperties"] is False
    policy = schema["$defs"]["RetryPolicy"]
    assert policy["additionalProperties"] is False, "unknown entries of the pool's own values are marked, too"
    assert "attempts" in policy["properties"]
