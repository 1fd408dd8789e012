"""The Git tool: looking at a repository's history and state, and nothing beyond its folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, TypeAlias

from ..errors import InvalidArguments, OutsideFolder, ToolError
from ..function_tool import tool
from ..tool import Tool, ToolOptions
from .folder import existing
from .process import checked_output, clean_environment, run_process

Reading: TypeAlias = Literal["status", "diff", "log", "show", "blame", "branch", "tag", "ls-files", "shortlog"]
Writing: TypeAlias = Literal["add", "commit", "restore", "switch"]


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


# Only these options get through, for each command. Others write files (--output), run programs (--ext-diff), or read
# outside the repository (--no-index, -O); and git takes any unique abbreviation, so a list of what is forbidden would
# leak. An option ending in "=" may carry a value, attached to it or, for the others, in the next argument.
_DIFF = _words(
    "--cached --staged --stat --numstat --shortstat --summary --name-only --name-status --no-patch --patch -p -s -w",
    "--word-diff --ignore-all-space --ignore-space-change --diff-filter= --unified= -U= -M= --find-renames --reverse",
)
_LOG = _words(
    "--oneline --graph --all --follow --merges --no-merges --first-parent --decorate --max-count= -n= --skip= --since=",
    "--until= --after= --before= --author= --committer= --grep= --format= --pretty= --date= -S= -G= -L= -i",
)
_OPTIONS: dict[str, frozenset[str]] = {
    "status": _words("--short --branch --porcelain -s -b"),
    "diff": _DIFF,
    "log": _DIFF | _LOG,
    "show": _DIFF | _words("--oneline --format= --pretty= --date= --decorate"),
    "blame": _words("-L= -w -e -s --date= --porcelain"),
    "branch": _words("--all -a -r -v --contains= --merged= --no-merged= --sort= --format="),
    "tag": _words("-n --contains= --merged= --sort= --format="),
    "ls-files": _words("--cached --others --modified --deleted --exclude-standard -s"),
    "shortlog": _words("--numbered --summary --email --since= --until= --author= -n -s -e"),
    "add": _words("--all --update -A -u"),
    "commit": _words("--message= --amend --no-edit --all -m= -a"),
    "restore": _words("--staged --worktree --source= -S -W"),
    "switch": _words("--create= --detach -c="),
}
_WITH_TEXTCONV = {"diff", "log", "show", "blame"}  # they would run programs that convert or compare files

_ALWAYS = (
    "--no-pager",
    "--literal-pathspecs",
    *("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"),
    *("-c", "commit.gpgSign=false", "-c", "log.showSignature=false"),
    # Whatever its owner likes to see: names as they are, `a/` and `b/` before them, and no colours.
    *("-c", "core.quotePath=false", "-c", "diff.noprefix=false", "-c", "diff.mnemonicPrefix=false"),
    *(word for of in ("ui", "diff", "status", "branch") for word in ("-c", f"color.{of}=false")),
)


def git_tool(
    root: str | os.PathLike[str], *, write: bool = False, timeout: float = 30.0, max_output: int = 30_000
) -> Tool:
    """The tool Git, for the repository whose top folder is ``root``.

    The repository's own settings are its owner's and are trusted, except that no hook and no converter is run. The
    file tools write none of them.

    Args:
        root: the repository's top folder.
        write: also allow add, commit, restore and switch; the tool is then risky.
        timeout: seconds a command may take.
        max_output: characters of output the model sees: the beginning and the end.

    Raises:
        NoSuchPath: the folder does not exist.
    """
    folder = existing(root)
    environment = {
        "GIT_CEILING_DIRECTORIES": str(folder.parent),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_EDITOR": "true",
    }

    async def run(command: str, arguments: list[str]) -> str:
        _check(command, arguments)
        _expect_repository(folder)
        forced: list[str] = []
        if command in _WITH_TEXTCONV:
            forced = ["--no-textconv"] if command == "blame" else ["--no-ext-diff", "--no-textconv"]
        elif command in ("branch", "tag"):
            forced = ["--list"]  # without it a name would make one
        finished = await run_process(
            ["git", *_ALWAYS, command, *forced, *arguments],
            folder=folder,
            environment=clean_environment(environment),
            timeout=timeout,
            max_output=max_output,
        )
        return checked_output(finished)

    async def read(command: Reading, arguments: list[str] | None = None) -> str:
        """Look at the git repository: its state, its history, its changes.

        Args:
            command: the git command.
            arguments: its options, revisions and paths, one each, for example ["--oneline", "-n", "10", "--", "src"].
        """
        return await run(command, arguments or [])

    async def read_and_write(command: Reading | Writing, arguments: list[str] | None = None) -> str:
        """Look at the git repository, or change it: stage, commit, restore, switch branches.

        Args:
            command: the git command.
            arguments: its options, revisions and paths, one each, for example ["-m", "Fix the parser"].
        """
        return await run(command, arguments or [])

    options = ToolOptions(name="Git", timeout=timeout + 10, max_result=max_output + 200)
    if write:
        options["risk"] = "risky"
        return tool(**options)(read_and_write)
    options["risk"], options["idempotent"] = "safe", True
    return tool(**options)(read)


def _expect_repository(folder: Path) -> None:
    # Outside a repository "git diff" compares any two files.
    if not os.path.lexists(folder / ".git"):
        raise ToolError("the folder is not the top of a git repository")


def _check(command: str, arguments: list[str]) -> None:
    """Refuse options that are not known to be harmless, and paths that leave the repository."""
    options = _OPTIONS[command]
    value_follows = False
    for argument in arguments:
        if "\0" in argument:
            raise InvalidArguments("an argument of git holds a zero byte")
        if value_follows:
            value_follows = False
        elif argument.startswith("-") and argument != "--":
            value_follows = _check_option(command, argument, options)
        elif argument.startswith("/") or ".." in argument.replace(":", "/").split("/"):
            raise OutsideFolder(f"{argument!r} is outside the repository; use a path within it, relative to its top")


def _check_option(command: str, argument: str, options: frozenset[str]) -> bool:
    """Refuse the option, or say whether the next argument is its value."""
    if argument[1:].isdigit() and "-n=" in options:
        return False
    if argument in options:
        return False
    if argument + "=" in options:
        return argument not in ("-M", "-U")
    name = argument.split("=", 1)[0] if argument.startswith("--") else argument[:2]
    if name + "=" in options or (name.startswith("--") and name in ("--word-diff", "--decorate", "--stat")):
        return False
    allowed = " ".join(sorted(option.rstrip("=") for option in options))
    raise InvalidArguments(f"git {command}: the option {argument!r} is not allowed here; allowed: {allowed}")
