"""Team files: what they describe, and how a wrong one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.actors.agents.teamfile import Team, load_team, open_agency
from callboard.providers.config.yamlfile import ConfigError
from callboard.providers.pool import GetHealth, Quota
from callboard.tools import Tool
from callboard.tools.builtin.files import file_tools

NAMES = ("LS", "Glob", "Grep", "Read", "Write")
TOOLS = [tool for tool in file_tools(Path()) if tool.name in NAMES]
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
PROVIDERS = """\
providers:
  openai:
    api_key: ${KEY}
    limits: {requests_per_minute: 60, concurrency: 2}
  mine:
    base_url: http://127.0.0.1:9/v1
    models: [small]
    type: openai
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "developer.md").write_text("# Developer\nWrite it.\n", encoding="utf-8")
    return tmp_path


def read(folder: Path, text: str, **env: str) -> Team:
    path = folder / "team.yaml"
    path.write_text(text, encoding="utf-8")
    return load_team(path, TOOLS, env={"OPENAI_API_KEY": "sk-openai", "ANTHROPIC_API_KEY": "sk-ant", **env})


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return str(caught.value).removeprefix(f"{folder}/")


def test_a_team_file_gives_agents_in_its_order_with_instructions_tools_and_flows(folder: Path) -> None:
    team = read(folder, GOOD)
    assert list(team.agents) == ["Planner", "Developer"]
    assert team.agents["Planner"].instructions == "Plan the work."
    assert [tool.name for tool in team.agents["Planner"].all_tools] == ["LS", "Read"]
    assert team.agents["Planner"].handoffs == ("Developer",)
    assert team.flows == (("Planner", "Developer"), ("Developer", "*"))
    assert {"openai", "anthropic", "offline"} == set(team.config.registry(team.env).providers)


def test_instructions_that_end_in_md_are_read_from_the_file_beside_the_team_file(folder: Path) -> None:
    assert read(folder, GOOD).agents["Developer"].instructions == "# Developer\nWrite it."


def test_a_model_may_come_from_the_environment(folder: Path) -> None:
    assert read(folder, GOOD).agents["Developer"].model == "gpt-5-mini"
    assert read(folder, GOOD, TEAM_MODEL="claude-opus-5").agents["Developer"].model == "claude-opus-5"


def test_a_providers_section_stands_in_place_of_the_environment_and_never_shows_its_keys(folder: Path) -> None:
    text = GOOD + PROVIDERS
    team = read(folder, text, KEY="sk-secret")
    providers = team.config.registry(team.env).providers
    assert set(providers) == {"openai", "mine", "offline"}
    assert providers["openai"].secret == "sk-secret"
    assert providers["mine"].base_url == "http://127.0.0.1:9/v1"
    assert team.config.providers["openai"].limits == Quota(requests_per_minute=60, concurrency=2)
    assert "sk-secret" not in repr(team)


def test_a_vendor_without_a_key_of_its_own_takes_the_usual_variable(folder: Path) -> None:
    team = read(folder, GOOD + "providers: {openai: {}}\n")
    assert team.config.registry(team.env).providers["openai"].secret == "sk-openai"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("openai:", "opnai:"), "line 13: providers.opnai: no vendor is called 'opnai'; did you mean 'openai'?"),
        (
            ("  openai:\n    api_key: ${KEY}", "  groq:\n    api_key: ''"),
            "line 13: providers.groq: expected an api_key, or GROQ_API_KEY",
        ),
        (
            ("api_key: ${KEY}", "apikey: ${KEY}"),
            "line 14: providers.openai.apikey: unknown entry; did you mean 'api_key'?",
        ),
        (("requests_per_minute: 60", "requests_per_minute: 0"), "line 15: providers.openai.limits.requests_per_minute"),
        (("models: [small]", "models: small"), "line 18: providers.mine.models: expected a list of names"),
        (("type: openai", "type: opnai"), "line 19: providers.mine.type: did you mean 'openai'? expected one of"),
    ],
)
def test_a_wrong_providers_section_is_refused_with_the_line_and_without_its_key(
    folder: Path, wrong: tuple[str, str], said: str
) -> None:
    text = GOOD + PROVIDERS
    assert wrong[0] in text
    with pytest.raises(ConfigError) as caught:
        read(folder, text.replace(*wrong), KEY="sk-secret")
    assert said in str(caught.value)
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize("model", ["gtp-5", "openia:gpt-5", "mistral-small-latest"])
def test_an_unknown_model_or_one_without_its_key_is_refused_with_the_line(folder: Path, model: str) -> None:
    said = refusal(folder, GOOD.replace("${TEAM_MODEL:-gpt-5-mini}", model))
    assert said.startswith("team.yaml, line 8: agents.Developer.model: ")
    assert model in said


async def test_the_agency_of_a_team_has_its_agents_flows_and_tools(folder: Path) -> None:
    text = GOOD + "providers: {offline: {}}\n"
    async with open_agency(read(folder, text, TEAM_MODEL="offline")) as agency:
        assert list(agency.agents) == ["Planner", "Developer"]
        assert [tool.name for tool in agency.agents["Planner"].tools if isinstance(tool, Tool)] == ["LS", "Read"]
        assert agency.flows == (("Planner", "Developer"), ("Developer", "*"))


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
        (("agents:", "agent:"), "line 1: agent: unknown entry; did you mean 'agents'?"),
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


async def test_a_providers_limits_hold_in_the_pool_of_the_agency(folder: Path) -> None:
    team = read(folder, "agents: {A: {}}\nproviders: {offline: {limits: {requests_per_minute: 1}}}\n")
    async with open_agency(team) as agency:
        assert agency.system is not None
        pool = agency.system.find("pool")
        assert pool is not None
        assert (await pool.ask(GetHealth())).available
        await agency.run("hello")
        assert not (await pool.ask(GetHealth())).available, "the minute's only request has been made"


@pytest.mark.parametrize("text", ["", "- a", "agents: {}", "agents: []", "agents:\n  A:\n", "agents:\n  A: 3\n", "42"])
def test_a_team_file_without_a_single_agent_is_refused(folder: Path, text: str) -> None:
    assert refusal(folder, text).startswith("team.yaml, line ")


def test_a_team_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_team(tmp_path / "missing.yaml", TOOLS)


@given(cut=st.integers(0, len(GOOD)), inserted=st.text(max_size=8))
def test_any_damage_to_a_team_file_gives_a_team_or_a_named_refusal(
    tmp_path_factory: pytest.TempPathFactory, cut: int, inserted: str
) -> None:
    folder = tmp_path_factory.mktemp("team", numbered=True)
    (folder / "team.yaml").write_text(GOOD[:cut] + inserted + GOOD[cut:], encoding="utf-8", newline="")
    refused = ""
    try:
        load_team(folder / "team.yaml", TOOLS, env={})
    except ConfigError as error:
        refused = str(error)
    assert not refused or refused.startswith(f"{folder}/team.yaml")
