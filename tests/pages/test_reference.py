"""Pages that say all there is of something say just what there is."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import callboard
from callboard import TeamFile, TemplateFolder, default_tools, load_config, load_team
from callboard.actors.agents.evaluation.casefile import CaseFile
from callboard.actors.cli.app import app

from . import generated
from .page import ROOT, Block, Page, paths, shown

ERRORS = {
    name: one
    for name in vars(callboard)["_HOME_OF"]
    if isinstance(one := getattr(callboard, name), type) and issubclass(one, BaseException)
}


# Caught within, and told as one of the tree: none of these reaches a caller.
WITHIN = {"MissingVariable", "NodeUnreachable", "OtherProtocol"}
# Said in a line by commands, and by `Agency.chat`; nobody has to tell them apart.
OF_COMMANDS = ("actors/cli", "actors/bench")


def defined() -> set[str]:
    """The names of all errors of the library, but for those of commands and of simulations."""
    above: dict[str, set[str]] = {}
    for folder in ("actors", "providers", "tools"):
        for file in (ROOT / folder).rglob("*.py"):
            if file.relative_to(ROOT).as_posix().startswith((*OF_COMMANDS, "actors/testing")):
                continue
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    above[node.name] = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
    found = {"CallboardError"}
    while more := {name for name, bases in above.items() if bases & found} - found:
        found |= more
    return {name for name in found if not name.startswith("_")}


def test_each_error_that_a_caller_can_get_is_exported() -> None:
    assert defined() - WITHIN == ERRORS.keys()


def parent(error: type) -> str:
    """The next exported error above one."""
    return next((one.__name__ for one in error.__mro__[1:] if ERRORS.get(one.__name__) is one), "")


def test_the_page_of_errors_has_each_exported_error_where_it_stands_in_the_tree() -> None:
    found = {"CallboardError": ""}
    for block in Page("actors/agents/errors.md").blocks("text"):
        above = ["CallboardError"]
        for line in block.text.splitlines():
            depth = (len(line) - len(line.lstrip())) // 2
            above[depth + 1 :] = [line.strip()]
            assert line.strip() not in found
            found[line.strip()] = above[depth]
    assert found == {name: parent(error) for name, error in ERRORS.items()}


def test_the_page_of_errors_says_when_as_the_classes_do_and_what_to_do() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", Page("actors/agents/errors.md").text, re.MULTILINE)
    said = {name: when for name, when, _ in rows}
    assert len(rows) == len(said)
    assert said == {name: first(error) for name, error in ERRORS.items() if name != "CallboardError"}
    assert [name for name, _, what in rows if not what] == []


def first(error: type) -> str:
    """The first paragraph of a docstring, in Markdown."""
    text = " ".join((error.__doc__ or "").split("\n\n")[0].split())
    return re.sub(r"``([^`]*)``", r"`\1`", text)


@pytest.mark.parametrize("path", paths())
def test_what_is_made_from_the_program_is_as_the_program_is(path: str) -> None:
    assert Page(path).text == generated.made(ROOT / path), "python -m tests.pages.generated writes it anew"


def test_each_command_and_each_key_is_on_the_page_of_the_command_line() -> None:
    page = Page("actors/cli/README.md").text
    for name in app:
        assert name.startswith("-") or f"### callboard {name}" in page
    for key in TeamFile.model_fields:
        assert f"| `{key}` |" in page


def test_the_page_of_the_command_line_has_the_defaults_that_are_zero() -> None:
    port = next(line for line in Page("actors/cli/README.md").text.splitlines() if "0 for any that is free" in line)
    assert port.endswith("| `0` |")


@pytest.mark.parametrize("block", list(shown("yaml")), ids=lambda block: f"{block.page}:{block.line}")
def test_a_file_that_a_page_shows_is_one_that_is_taken(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "shown.yaml"
    file.write_text(block.text, encoding="utf-8")
    keys = set(re.findall(r"^(\w+):", block.text, re.MULTILINE))
    env = {name: f"key-{name}" for name in (*re.findall(r"\$\{(\w+)\}", block.text), "GITHUB_MODELS_API_KEY")}
    if "jobs" in keys:
        assert block.page == "actors/cli/github_actions.md"  # a workflow, see below
    elif "cases" in keys:
        CaseFile.model_validate(yaml.safe_load(block.text))
    elif "few_shot" in keys:
        assert TemplateFolder(tmp_path).prompt("shown", product="tea") is not None
    elif block.page in ("actors/cli/README.md", "actors/cli/github_actions.md"):
        load_team(file, tools=default_tools(tmp_path), env=env)
    elif block.page == "providers/README.md":
        load_config(file, env)
    else:  # a part of a team file, which names what is not there
        TeamFile.model_validate({"agents": {"A": {}}, **yaml.safe_load(block.text)})


def test_the_workflow_of_the_page_is_one_and_its_commands_are_there(tmp_path: Path) -> None:
    text = Page("actors/cli/github_actions.md").block("yaml")
    (tmp_path / "review.yml").write_text(text, encoding="utf-8")
    check = [str(Path(sys.executable).with_name("check-jsonschema")), "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*check, "review.yml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    commands = re.findall(r"run: callboard (.*)", text)
    assert len(commands) == 2
    for words in commands:
        app.parse_args(shlex.split(words), print_error=False, exit_on_error=False)
