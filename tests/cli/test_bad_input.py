"""Bad input through the real command line: status 2, one or two lines that say what to do, no traceback."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from callboard import default_tools
from callboard.providers.simulated import SimulatedProvider

from .command import assert_refused, callboard

TEAM = """\
agents:
  Planner:
    tools: [LS]
    handoffs: [Developer]
  Developer:
    tools: [Grep]
"""


@pytest.fixture
def team(tmp_path: Path) -> Path:
    path = tmp_path / "team.yaml"
    path.write_text(TEAM, encoding="utf-8")
    return path


def wrong(team: Path, right: str, written: str) -> Path:
    assert right in TEAM
    return rewrite(team, TEAM.replace(right, written))


def rewrite(team: Path, text: str) -> Path:
    team.write_text(text, encoding="utf-8")
    return team


def test_an_unknown_tool_is_refused_with_line_and_closest_match(team: Path) -> None:
    done = callboard("run", wrong(team, "[Grep]", "[Grpe]"), "List every TODO", cwd=team.parent)
    assert_refused(done, "team.yaml, line 6", "no tool is called 'Grpe'; did you mean 'Grep'?")


def test_an_unknown_agent_is_refused_with_line_and_closest_match(team: Path) -> None:
    done = callboard("run", wrong(team, "[Developer]", "[Develper]"), "List every TODO", cwd=team.parent)
    assert_refused(done, "team.yaml, line 4", "no agent is called 'Develper'; did you mean 'Developer'?")


def test_an_unknown_model_is_refused(team: Path) -> None:
    done = callboard("run", wrong(team, "tools: [LS]", "model: gtp-5"), "List every TODO", cwd=team.parent)
    assert_refused(done, "gtp-5")


def test_a_malformed_team_file_is_refused_with_its_line(team: Path) -> None:
    done = callboard("run", wrong(team, "tools: [LS]", "tools: [LS"), "List every TODO", cwd=team.parent)
    assert_refused(done, "team.yaml, line ", "expected valid YAML")


def test_a_team_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert_refused(callboard("run", "nowhere.yaml", "List every TODO", cwd=tmp_path), "nowhere.yaml: no such file")


def test_a_key_that_the_team_file_takes_from_the_environment_and_is_not_set_is_refused(team: Path) -> None:
    rewrite(team, TEAM + "providers:\n  mine:\n    api_key: ${MY_KEY}\n")
    done = callboard("run", team, "List every TODO", cwd=team.parent)
    assert_refused(done, "team.yaml, line 9", "set the environment variable MY_KEY")


def test_a_model_whose_key_is_missing_is_refused_with_the_variable_to_set(team: Path) -> None:
    done = callboard("run", wrong(team, "tools: [LS]", "model: gpt-5"), "List every TODO", cwd=team.parent)
    assert_refused(done, "team.yaml, line 3", "set OPENAI_API_KEY")


async def test_a_key_that_the_vendor_does_not_take_is_refused_without_showing_it(team: Path) -> None:
    async with SimulatedProvider(keys=["right"]) as server:
        mine = f"providers:\n  mine:\n    base_url: {server.base_url}\n    api_key: ${{MINE}}\n    default_model: any\n"
        rewrite(team, TEAM + mine)
        done = await asyncio.to_thread(callboard, "run", team, "hello", cwd=team.parent, env={"MINE": "sk-wrong"})
    assert done.status == 2, done
    assert "mine answered 401" in done.err
    assert "Traceback" not in done.err
    assert "sk-wrong" not in done.err + done.out


@pytest.mark.parametrize("command", [["demo"], ["run", "team.yaml", "List every TODO", "--folder"]])
def test_a_folder_that_does_not_exist_is_refused(team: Path, command: list[str]) -> None:
    done = callboard(*command, "nowhere", cwd=team.parent)
    assert_refused(done, "the folder nowhere does not exist; give one that does")


def test_a_file_given_as_the_folder_is_refused(team: Path) -> None:
    assert_refused(callboard("demo", "team.yaml", cwd=team.parent), "is not a folder")


def test_a_report_outside_the_folder_is_refused(tmp_path: Path) -> None:
    assert_refused(callboard("demo", tmp_path, "--report", "../report.md", cwd=tmp_path), "../report.md", "outside")


def test_a_report_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_text("mine", encoding="utf-8")
    assert_refused(callboard("demo", tmp_path, "--report", "mine.md", cwd=tmp_path), "would overwrite mine.md")
    assert (tmp_path / "mine.md").read_text(encoding="utf-8") == "mine"


def test_a_request_without_words_is_refused(team: Path) -> None:
    assert_refused(callboard("run", team, " ", cwd=team.parent), "request")
    assert_refused(callboard("run", team, cwd=team.parent), "the request has no words")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ('{"patern": "TODO"}', "pattern: required, but missing"),
        ('{"pattern": 5}', "valid string"),
        ("[1, 2", "not valid JSON"),
        ("[1, 2]", "object"),
    ],
)
def test_arguments_that_do_not_fit_a_tools_schema_are_refused(tmp_path: Path, arguments: str, said: str) -> None:
    assert_refused(callboard("tool", "Grep", arguments, cwd=tmp_path), "Grep", said)


@pytest.mark.parametrize(
    "option",
    [
        ("--latency", "-1"),
        ("--latency", "inf"),
        ("--chunk-delay", "nan"),
        ("--failure-rate", "2"),
        ("--requests-per-minute", "0"),
        ("--tokens-per-minute", "-5"),
        ("--port", "65536"),
        ("--port", "-1"),
        ("--host", "nosuch.invalid"),
        ("--host", "x" * 80),
        ("--fault", "429:nan"),
    ],
)
def test_a_simulated_provider_refuses_numbers_and_addresses_that_cannot_be(
    tmp_path: Path, option: tuple[str, str]
) -> None:
    done = callboard("simulate-provider", *option, cwd=tmp_path)
    assert_refused(done, option[1] if option[0] == "--fault" else option[0])


@pytest.mark.parametrize("command", [("serve", "team.yaml"), ("simulate-provider",)])
def test_a_host_that_is_none_is_what_is_blamed(team: Path, command: tuple[str, ...]) -> None:
    done = callboard(*command, "--host", "nosuch.invalid", cwd=team.parent)
    assert_refused(done, "--host nosuch.invalid is no address of this machine", "give another --host")
    assert "--port" not in done.err
    assert "--authenticate" not in done.err


@pytest.mark.parametrize("command", [("run", ".", "hello"), ("config", "check", "."), ("chat", ".")])
def test_a_folder_in_the_place_of_a_team_file_has_a_team_yaml(team: Path, command: tuple[str, ...]) -> None:
    done = callboard(*command, cwd=team.parent)
    assert done.status == 0, done
    (team.parent / "empty").mkdir()
    command = tuple("empty" if word == "." else word for word in command)
    assert_refused(callboard(*command, cwd=team.parent), "the folder empty has no team.yaml", "callboard init empty")


@pytest.mark.parametrize("tool", [tool.name for tool in default_tools(".")])
def test_every_tool_that_a_team_file_can_name_can_be_called(tmp_path: Path, tool: str) -> None:
    done = callboard("tool", tool, '{"nosuch": 1}', cwd=tmp_path)
    assert done.status in (0, 2), done
    assert "there is no tool" not in done.err
    assert "Traceback" not in done.err


def test_a_tool_that_does_not_exist_is_refused_with_the_closest_one(tmp_path: Path) -> None:
    assert_refused(callboard("tool", "Grpe", "{}", cwd=tmp_path), "did you mean 'Grep'?")


def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret.txt").write_text("x")
    (tmp_path / "inside" / "link.txt").symlink_to(tmp_path / "secret.txt")
    for path in ("../secret.txt", str(tmp_path / "secret.txt"), "link.txt"):
        done = callboard("tool", "Read", f'{{"path": "{path}"}}', "--folder", "inside", cwd=tmp_path)
        assert_refused(done, "outside the folder")
