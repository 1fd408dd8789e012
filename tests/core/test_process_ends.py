"""What happens to actors when the process ends, and in a process that was forked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from .programs import COUNT

PROGRAMS = Path(__file__).with_name("programs.py")
LIMIT = 60.0
"""Seconds after which a program that hangs is ended. Nothing is timed by it."""

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def start(name: str, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *options, str(PROGRAMS), name],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, list[str], str]:
    """Wait for a program; return its exit code, the lines it said, and what it complained of."""
    try:
        said, complaints = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        said, complaints = process.communicate()
        pytest.fail(f"the program hangs; it said {said!r} and {complaints!r}")
    return process.returncode, said.splitlines(), complaints


def program(name: str, *options: str) -> tuple[int, list[str], str]:
    return finish(start(name, *options))


def forking(name: str) -> tuple[int, list[str], str]:
    """A program that forks although it has threads, which Python 3.12 and later warn of."""
    return program(name, "-W", "ignore::DeprecationWarning")


def numbers(prefix: str = "", count: int = COUNT) -> list[str]:
    return [f"{prefix} {number}".strip() for number in range(count)]


def of(lines: Sequence[str], prefix: str) -> list[str]:
    return [line for line in lines if line.startswith(prefix)]


# -- the end -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["default", "default_async", "in_thread", "forgotten", "asks"])
def test_a_program_that_ends_first_processes_what_is_queued_and_stops_its_actors(name: str) -> None:
    code, lines, complaints = program(name, "-W", "error")
    assert lines == [*numbers(), "stopped"]
    assert (code, complaints) == (0, "")


def test_a_program_that_ends_does_so_for_each_of_its_systems() -> None:
    code, lines, complaints = program("several")
    for name in ("one", "two", "default"):
        assert of(lines, name) == [*numbers(name), f"{name} stopped"]
    assert (code, complaints) == (0, "")


def test_a_program_that_ends_first_processes_what_is_queued_for_children_too() -> None:
    code, lines, complaints = program("family")
    assert of(lines, "child") == [*numbers("child"), "child stopped"]
    assert of(lines, "parent") == [*numbers("parent"), "parent stopped"]
    assert lines[-2:] == ["child stopped", "parent stopped"]
    assert (code, complaints) == (0, "")


def test_a_program_that_ends_processes_what_is_queued_behind_a_crash() -> None:
    code, lines, _ = program("restarts")
    assert lines == [*numbers(), "stopped"]
    assert code == 0


def test_a_program_that_ends_processes_what_threads_have_sent_that_it_waits_for() -> None:
    code, lines, complaints = program("told_by_threads")
    assert sorted(lines[:-1]) == sorted(numbers(count=COUNT // 5) * 5)
    assert lines[-1] == "stopped"
    assert (code, complaints) == (0, "")


@pytest.mark.parametrize(("name", "expected"), [("fails", 1), ("exits", 3)])
def test_a_program_that_ends_in_an_error_does_so_too_and_keeps_its_exit_code(name: str, expected: int) -> None:
    code, lines, complaints = program(name)
    assert lines == [*numbers(), "stopped"]
    assert code == expected
    assert ("LookupError" in complaints) == (name == "fails")


def test_a_program_whose_systems_are_closed_or_idle_just_ends() -> None:
    closed, idle = start("closed", "-W", "error"), start("idle", "-W", "error")
    assert finish(closed) == (0, ["asked", "stopped", "closed"], "")
    assert finish(idle) == (0, ["stopped", "stopped"], "")


def test_a_program_ends_although_an_actor_never_does(slow: dict[str, tuple[int, list[str], str]]) -> None:
    for name in ("endless", "stubborn", "blocks"):
        code, lines, _ = slow[name]
        assert [line for line in of(lines, "other") if line[-1].isdigit()] == numbers("other", 10), name
        assert [line for line in lines if line[0].isdigit()] == numbers(count=10), name
        assert code == 0, name


# -- forks -------------------------------------------------------------------------------------------------------------


@forks
def test_a_forked_process_has_a_default_system_of_its_own_and_the_parent_keeps_its_own() -> None:
    code, lines, complaints = forking("fork_default")
    assert lines == [
        "parent's asked",
        "child's asked",
        "answer asked",
        *numbers("child's", 100),
        "child's stopped",
        "child 0",
        "parent's asked again",
        "answer asked again",
        "parent's stopped",
    ]
    assert (code, complaints) == (0, "")


REFUSED = ["tell", "ask", "blocking ask", "put", "stop", "proxy"]


@forks
@pytest.mark.parametrize("name", ["fork_refuses_default", "fork_refuses_in_thread", "fork_refuses_own_loop"])
def test_a_forked_process_is_refused_by_the_systems_of_its_parent(name: str) -> None:
    code, lines, complaints = forking(name)
    expected = [f"refused {what}" for what in REFUSED]
    expected.insert(1, "ask done")
    if name != "fork_refuses_default":
        expected.append("refused spawn")
    asked = [] if name == "fork_refuses_own_loop" else ["asked"]
    assert lines == [*asked, *expected, "child 0", "asked again", "answer asked again", "stopped"]
    assert (code, complaints) == (0, "")


@forks
def test_an_ask_of_before_the_fork_ends_in_the_forked_process() -> None:
    code, lines, complaints = forking("fork_pending_ask")
    assert lines == ["refused pending ask", "child 0", "answer held"]
    assert (code, complaints) == (0, "")


@forks
def test_a_forked_process_leaves_the_block_of_a_system_that_is_its_parents() -> None:
    code, lines, complaints = forking("fork_inside_with")
    assert lines == ["asked", "left the block", "child 0", "stopped", "left the block"]
    assert (code, complaints) == (0, "")


@forks
def test_processes_forked_by_multiprocessing_have_answering_actors() -> None:
    code, lines, complaints = forking("fork_multiprocessing")
    assert lines.count("answer asked") == 3
    assert lines.count("child 0") == 3
    assert [line for line in lines if line not in ("asked", "answer asked", "child 0", "stopped")] == [
        "before",
        "after",
        "answer after",
    ]
    assert (code, complaints) == (0, "")


@forks
def test_a_process_forked_while_other_threads_send_has_answering_actors() -> None:
    code, lines, _ = forking("fork_while_others_send")
    assert lines == ["codes [0]"]
    assert code == 0
