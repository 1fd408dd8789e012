"""Team files: what they describe, and how a wrong one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.actors.agents.teamfile import Team, read_team
from callboard.providers.yamlfile import ConfigError

TOOLS = ("LS", "Glob", "Grep", "Read", "Write")
GOOD = """\
agents:
  Planner:
    instructions: Plan the work.
    tools: [LS, Read]
    handoffs: [Developer]
  Developer:
    instructions: developer.md
    model: ${TEAM_MODEL:-gpt-5-mini}
flows:
  - [Planner, Developer]
  - [Developer, "*"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "developer.md").write_text("# Developer\nWrite it.\n", encoding="utf-8")
    return tmp_path


def read(folder: Path, text: str, **env: str) -> Team:
    path = folder / "team.yaml"
    path.write_text(text, encoding="utf-8")
    return read_team(path, tools=TOOLS, env=env)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return str(caught.value).removeprefix(f"{folder}/")


def test_a_team_file_gives_agents_in_its_order_with_instructions_tools_and_flows(folder: Path) -> None:
    team = read(folder, GOOD)
    assert list(team.agents) == ["Planner", "Developer"]
    assert team.agents["Planner"].instructions == "Plan the work."
    assert team.agents["Planner"].tools == ("LS", "Read")
    assert team.agents["Planner"].handoffs == ("Developer",)
    assert team.flows == (("Planner", "Developer"), ("Developer", "*"))
    assert team.providers is None


def test_instructions_that_end_in_md_are_read_from_the_file_beside_the_team_file(folder: Path) -> None:
    assert read(folder, GOOD).agents["Developer"].instructions == "# Developer\nWrite it."


def test_a_model_may_come_from_the_environment(folder: Path) -> None:
    assert read(folder, GOOD).agents["Developer"].model == "gpt-5-mini"
    assert read(folder, GOOD, TEAM_MODEL="claude-opus-5").agents["Developer"].model == "claude-opus-5"


def test_a_team_never_shows_its_providers_keys(folder: Path) -> None:
    team = read(folder, GOOD + "providers: {mine: {api_key: '${KEY}'}}\n", KEY="sk-secret")
    assert team.providers == {"mine": {"api_key": "sk-secret"}}
    assert "sk-secret" not in repr(team)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            ("[LS, Read]", "[LS, Raed]"),
            "line 4: agents.Planner.tools.1: no tool is called 'Raed'; did you mean 'Read'?",
        ),
        (("[LS, Read]", "[Zap]"), "line 4: agents.Planner.tools.0: no tool is called 'Zap'; expected one of Glob, "),
        (("[LS, Read]", "LS"), "line 4: agents.Planner.tools: expected a list of names"),
        (("handoffs: [Developer]", "handoffs: [Develper]"), "line 5: agents.Planner.handoffs.0: no agent is called"),
        (("[Planner, Developer]", "[Planner, Develper]"), "no agent is called 'Develper'; did you mean 'Developer'?"),
        (("[Planner, Developer]", "[Planner]"), "line 10: flows.0: expected a pair, as in [Sender, Receiver]"),
        (("developer.md", "devloper.md"), "line 7: agents.Developer.instructions: expected a markdown file at "),
        (("tools:", "tool:"), "line 4: agents.Planner.tool: unknown entry; did you mean 'tools'?"),
        (("agents:", "agent:"), "line 1: 'agents' is missing; expected a mapping of agent names to agents"),
        (("[LS, Read]", "[LS, Read"), "expected valid YAML"),
        (("${TEAM_MODEL:-gpt-5-mini}", "2026-13-45"), "expected valid YAML; month must be in 1..12"),
        (("${TEAM_MODEL:-gpt-5-mini}", "[" * 5000), "expected valid YAML"),
        (("${TEAM_MODEL:-gpt-5-mini}", "${TEAM_MODEL}"), "set the environment variable TEAM_MODEL"),
    ],
)
def test_a_wrong_team_file_is_refused_with_the_line_and_what_was_expected(
    folder: Path, wrong: tuple[str, str], said: str
) -> None:
    assert GOOD.count(wrong[0]) >= 1
    assert said in refusal(folder, GOOD.replace(*wrong))


@pytest.mark.parametrize("text", ["", "- a", "agents: {}", "agents: []", "agents:\n  A:\n", "agents:\n  A: 3\n", "42"])
def test_a_team_file_without_a_single_agent_is_refused(folder: Path, text: str) -> None:
    assert refusal(folder, text).startswith("team.yaml, line ")


def test_a_team_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_team(tmp_path / "missing.yaml", tools=TOOLS)


@given(cut=st.integers(0, len(GOOD)), inserted=st.text(max_size=8))
def test_any_damage_to_a_team_file_gives_a_team_or_a_named_refusal(
    tmp_path_factory: pytest.TempPathFactory, cut: int, inserted: str
) -> None:
    folder = tmp_path_factory.mktemp("team", numbered=True)
    (folder / "team.yaml").write_text(GOOD[:cut] + inserted + GOOD[cut:], encoding="utf-8", newline="")
    refused = ""
    try:
        read_team(folder / "team.yaml", tools=TOOLS, env={})
    except ConfigError as error:
        refused = str(error)
    assert not refused or refused.startswith(f"{folder}/team.yaml")
