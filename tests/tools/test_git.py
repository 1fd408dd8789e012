from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from callboard.tools import InvalidArguments, OutsideFolder, Tool
from callboard.tools.builtin.git import git_tool


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("the secret outside")
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "f.txt").write_text("one\n")
    for command in (
        ["init", "-q", "-b", "trunk"],
        ["config", "user.name", "Ada"],
        ["config", "user.email", "ada@example.com"],
        ["add", "."],
        ["commit", "-q", "-m", "First"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


@pytest.fixture
def set_up(repository: Path) -> Callable[[str], None]:
    """Adds a file with a name that git quotes, and one setting."""

    def set_to(setting: str) -> None:
        (repository / "é.txt").write_text("one\n")
        subprocess.run(["git", "add", "."], cwd=repository, check=True)
        subprocess.run(["git", "config", *setting.split("=")], cwd=repository, check=True)

    return set_to


@pytest.fixture
def git(repository: Path) -> Tool:
    return git_tool(repository)


async def _run(git: Tool, command: str, *arguments: str) -> str:
    result = await git.run({"command": command, "arguments": list(arguments)})
    assert not result.is_error, result.content
    return result.text


async def test_it_shows_state_and_history(git: Tool, repository: Path) -> None:
    (repository / "f.txt").write_text("two\n")
    assert "First" in await _run(git, "log", "--oneline", "-n", "5")
    assert await _run(git, "log", "-1", "--format=%an %s") == "Ada First"
    assert await _run(git, "status", "--short") == " M f.txt"
    assert "+two" in await _run(git, "diff")
    assert "+two" in await _run(git, "diff", "HEAD", "--", "f.txt")
    assert "one" in await _run(git, "show", "HEAD:f.txt")
    assert "Ada" in await _run(git, "blame", "-L1,1", "HEAD", "--", "f.txt")
    assert await _run(git, "ls-files") == "f.txt"
    assert "trunk" in await _run(git, "branch")
    assert (git.risk, git.idempotent) == ("safe", True)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("diff", ["--no-index", "f.txt", "f.txt"]),
        ("diff", ["--no-ind", "f.txt", "f.txt"]),
        ("diff", ["--output=new.txt"]),
        ("diff", ["--outp=new.txt"]),
        ("diff", ["--ext-diff"]),
        ("diff", ["-O/etc/passwd"]),
        ("diff", ["-pO/etc/passwd"]),
        ("log", ["--textconv"]),
        ("branch", ["-D", "trunk"]),
        ("branch", ["-m", "other"]),
        ("tag", ["-d", "x"]),
        ("blame", ["--contents", "/etc/passwd", "f.txt"]),
        ("blame", ["-S", "/etc/passwd", "f.txt"]),
        ("ls-files", ["-X", "f.txt"]),
        ("log", ["a\0b"]),
    ],
)
async def test_options_that_write_run_or_read_elsewhere_are_refused(
    git: Tool, repository: Path, command: str, arguments: list[str]
) -> None:
    result = await git.run({"command": command, "arguments": arguments})
    assert isinstance(result.error, InvalidArguments), result.content
    assert not (repository / "new.txt").exists()


@pytest.mark.parametrize("command", ["diff", "log", "show", "blame"])
@pytest.mark.parametrize("path", ["../secret.txt", "{outside}/secret.txt", "f/../../secret.txt", "HEAD:../secret.txt"])
async def test_paths_outside_the_repository_are_refused(git: Tool, repository: Path, command: str, path: str) -> None:
    asked = path.format(outside=repository.parent)
    result = await git.run({"command": command, "arguments": ["--", asked, asked]})
    assert isinstance(result.error, OutsideFolder), result.content


@pytest.mark.parametrize("command", ["push", "clone", "config", "commit", "-c", "log -1", ""])
async def test_other_commands_do_not_exist(git: Tool, command: str) -> None:
    assert isinstance((await git.run({"command": command})).error, InvalidArguments)


async def test_a_name_given_to_branch_or_tag_makes_none(git: Tool) -> None:
    await git.run({"command": "branch", "arguments": ["new"]})
    await git.run({"command": "tag", "arguments": ["new"]})
    assert "new" not in await _run(git, "branch")
    assert "new" not in await _run(git, "tag")


async def test_programs_named_in_the_repositorys_settings_are_not_run(git: Tool, repository: Path) -> None:
    (repository / ".gitattributes").write_text("*.txt diff=evil\n")
    (repository / "f.txt").write_text("two\n")
    for key in ("diff.evil.command", "diff.evil.textconv", "core.fsmonitor", "diff.external"):
        subprocess.run(  # noqa: ASYNC221
            ["git", "config", key, "touch evil.mark; true"], cwd=repository, check=True
        )
    for command, arguments in [
        ("status", []),
        ("diff", []),
        ("log", ["-p"]),
        ("show", []),
        ("blame", ["f.txt"]),
    ]:
        await git.run({"command": command, "arguments": arguments})
    assert not (repository / "evil.mark").exists()


@pytest.mark.parametrize(
    "setting",
    ["diff.noprefix=true", "diff.mnemonicPrefix=true", "color.ui=always", "color.diff=always", "core.quotePath=true"],
)
async def test_what_it_shows_does_not_hang_on_the_owners_taste(
    git: Tool, set_up: Callable[[str], None], setting: str
) -> None:
    set_up(setting)
    assert "+++ b/é.txt\n@@ -0,0 +1 @@\n+one" in await _run(git, "diff", "--cached")
    assert await _run(git, "status", "--short") == "A  é.txt"
    assert await _run(git, "branch") == "* trunk"


async def test_outside_a_repository_it_says_so(repository: Path) -> None:
    inner = repository / "inner"
    inner.mkdir()
    for name in ("a", "b"):
        (inner / name).write_text(name)
    result = await git_tool(inner).run({"command": "diff", "arguments": ["a", "b"]})
    assert "not the top of a git repository" in result.content


async def test_writing_is_a_choice_and_makes_it_risky(repository: Path) -> None:
    git = git_tool(repository, write=True)
    assert (git.risk, git.idempotent) == ("risky", False)
    (repository / "g.txt").write_text("new\n")
    hook = repository / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\ntouch evil.mark\n")
    hook.chmod(0o755)
    await _run(git, "add", "g.txt")
    await _run(git, "commit", "-m", "Second, with -- and ../dots")
    assert await _run(git, "log", "-1", "--format=%s") == "Second, with -- and ../dots"
    assert not (repository / "evil.mark").exists()
    await _run(git, "switch", "--create", "side")
    assert "* side" in await _run(git, "branch")
    assert isinstance((await git.run({"command": "add", "arguments": ["../secret.txt"]})).error, OutsideFolder)
