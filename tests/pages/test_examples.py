"""What the pages show is so: their programs run as they stand, offline, and print what they say; commands are there."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from callboard.actors.cli.app import app as command
from tests import warm
from tests.cli.command import offline

from .page import GIVEN, Page, paths, shown

PATHS = [path for path in paths() if path != "CHANGELOG.md"]  # what was is there no more
# Each of its examples is a program of its own, and is run with two base classes, in tests/pykka_suite.
ALONE = "actors/core/pykka.md"


@pytest.mark.parametrize("path", [path for path in PATHS if path != ALONE and Page(path).blocks("python")])
def test_the_programs_of_a_page_run_and_print_what_they_say(path: str, tmp_path: Path) -> None:
    done = warm.run("-W", "error", "-m", "tests.pages.page", path, cwd=tmp_path, env=offline())
    assert done.returncode == 0, done.stderr
    printed = iter(done.stdout.splitlines())
    for said in Page(path).says():
        assert said in printed, (said, done.stdout)


def test_what_is_given_is_given_to_a_page() -> None:
    of = {Page(path).name_of_given for path in PATHS}
    assert {file.name for file in GIVEN.glob("*.py")} - of == {"__init__.py"}


def commands() -> Iterator[tuple[str, str]]:
    """All commands that pages show in a terminal or in files, each with its page."""
    for block in shown("console", "bash", "sh", "dockerfile", "ini", "text", ""):
        for line in re.findall(r"^(?:\$ |ExecStart=\S*/)?(callboard [^#\n]*)", block.text, re.MULTILINE):
            yield block.page, line
        for words in re.findall(r"^CMD (\[\"callboard\".*\])$", block.text, re.MULTILINE):
            yield block.page, shlex.join(json.loads(words))
    for block in shown("json"):
        for one in _with_args(json.loads(block.text)):
            yield block.page, shlex.join([one["command"], *one["args"]])


def _with_args(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        if "command" in value:
            yield value
        for inner in value.values():
            yield from _with_args(inner)


@pytest.mark.parametrize(("path", "said"), sorted({(path, said.strip()) for path, said in commands()}))
def test_a_command_that_is_shown_is_one_that_there_is(path: str, said: str) -> None:
    words = shlex.split(said.partition(" | ")[0].partition(" > ")[0].replace("…", "x"))
    found, bound, _ = command.parse_args(words[1:], print_error=False, exit_on_error=False)
    assert callable(found)
    assert bound is not None


@pytest.mark.parametrize("path", PATHS)
def test_commands_and_their_options_that_a_page_speaks_of_are_there(path: str) -> None:
    for said in re.findall(r"`callboard ([a-z-]+[^`]*)`", re.sub(r"```.*?```", "", Page(path).text, flags=re.DOTALL)):
        words = re.findall(r"[\w-]+", said)
        names, apps, _ = command.parse_commands(words)
        assert names, f"{path}: there is no command {said}"
        takes = apps[-1].assemble_argument_collection() if apps[-1].default_command else ()
        known = {name for argument in takes for name in argument.names}
        for option in re.findall(r"--[a-z][\w-]*", said):
            assert option in known, f"{path}: callboard {said}: {' '.join(names)} has no {option}"
