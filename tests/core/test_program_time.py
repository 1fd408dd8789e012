"""The end of a program that has more to do than there is time for, or whose systems still tell each other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .ending_programs import HOPS, MANY, MORE_THAN_FITS
from .test_process_ends import finish

PROGRAMS = Path(__file__).with_name("ending_programs.py")


def start(name: str, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *options, str(PROGRAMS), name],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def numbers(lines: list[str], word: str) -> list[int]:
    """The numbers of the lines that begin with a word."""
    return [int(line.split()[1]) for line in lines if line.startswith(f"{word} ") and line.split()[1].isdigit()]


@pytest.mark.parametrize("name", MORE_THAN_FITS)
def test_what_does_not_fit_into_a_programs_last_seconds_is_a_dead_letter_and_on_stop_still_runs(
    name: str, slow: dict[str, tuple[int, list[str], str]]
) -> None:
    code, lines, complaints = slow[name]
    done, dead = numbers(lines, "done"), numbers(lines, "dead")
    assert done == list(range(len(done))), "first what was sent first"
    assert sorted(done + dead) == list(range(MORE_THAN_FITS[name])), "each is processed or a dead letter"
    assert done
    assert dead
    assert lines.count("stopped") == 1
    assert (code, complaints) == (0, ""), "nothing went wrong, and nothing says so"


def test_a_system_that_has_more_to_do_than_fits_takes_no_time_from_another(
    slow: dict[str, tuple[int, list[str], str]],
) -> None:
    _, lines, _ = slow["more_than_fits_beside"]
    assert numbers(lines, "other") == list(range(20))
    assert lines.count("other stopped") == 1


def test_many_systems_that_never_let_their_loops_go_share_one_time(
    slow: dict[str, tuple[int, list[str], str]],
) -> None:
    code, lines, complaints = slow["many_hang"]
    assert lines.count("hangs") == MANY
    assert numbers(lines, "other") == list(range(20)), "and the one that works is served"
    assert lines.count("other stopped") == 1
    assert code == 0
    for number in range(MANY):
        assert f"hangs{number}" in complaints, "each of them is named"
    assert "<System other" not in complaints


def test_many_systems_with_handlers_that_never_end_share_one_time_and_are_stopped(
    slow: dict[str, tuple[int, list[str], str]],
) -> None:
    code, lines, _ = slow["many_are_endless"]
    assert lines.count("begun") == MANY
    assert code == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("answers_under_way", ["replied 0", "replied 1", "replied 2", "replied 3", "stopped"]),
        ("handler_at_work", ["begun work", "done work", "stopped"]),
        ("pipes", ["piping", "cancelled", "stopped"]),
    ],
)
def test_a_program_that_ends_waits_for_handlers_and_answers_and_cancels_pipes(name: str, expected: list[str]) -> None:
    assert finish(start(name, "-W", "error")) == (0, expected, "")


@pytest.mark.parametrize("name", ["two_tell_each_other", "three_tell_each_other"])
def test_systems_that_tell_each_other_as_the_program_ends_are_drained_together(name: str) -> None:
    processes = [start(name, "-W", "error") for _ in range(3)]
    for code, lines, complaints in [finish(process) for process in processes]:
        assert numbers(lines, "hop") == list(range(HOPS, -1, -1))
        assert numbers(lines, "dead") == []
        stopped = [line for line in lines if line.endswith("stopped")]
        assert len(stopped) == (2 if name.startswith("two") else 3)
        assert lines[-len(stopped) :] == stopped, "they stop when all is done"
        assert (code, complaints) == (0, "")


def test_systems_that_ask_each_other_as_the_program_ends_are_answered() -> None:
    code, lines, complaints = finish(start("two_ask_each_other", "-W", "error"))
    assert numbers(lines, "answer") == list(range(21))
    assert sorted(line for line in lines if line.endswith("stopped")) == ["one stopped", "two stopped"]
    assert (code, complaints) == (0, "")
