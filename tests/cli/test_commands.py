"""The command line as a whole: help, unknown words, a team to start from, the tree of what runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from callboard import Agency, Agent, watchable
from callboard.actors import Actor, ChildSpec, System
from callboard.actors.agents.overview.sockets import NothingRuns
from callboard.actors.agents.teamfile import load_team
from callboard.actors.cli.watch.tree import read_trees
from callboard.tools.builtin.files import file_tools

from .command import assert_refused, callboard


class Idle(Actor):
    def on_start(self) -> None:
        if self.name == "outer":
            self.spawn(Idle, name="inner")

    def on_receive(self, message: object) -> object:
        return message


def test_help_names_every_command(tmp_path: Path) -> None:
    done = callboard("--help", cwd=tmp_path)
    assert done.status == 0
    named = ("demo", "run", "chat", "init", "tree", "top", "show", "replay", "simulate-provider", "config")
    for command in (*named, "eval", "bench"):
        assert command in done.out


def test_an_unknown_command_is_refused_with_the_closest_one(tmp_path: Path) -> None:
    assert_refused(callboard("dmeo", cwd=tmp_path), 'Did you mean "demo"?')


def test_an_unknown_option_is_refused(tmp_path: Path) -> None:
    assert_refused(callboard("demo", "--fodler", "x", cwd=tmp_path), "--fodler")


def test_an_argument_of_the_wrong_type_is_refused(tmp_path: Path) -> None:
    assert_refused(callboard("tree", "five", cwd=tmp_path), '"five"', "int")


def test_init_writes_a_team_that_can_be_read(tmp_path: Path) -> None:
    done = callboard("init", "new", cwd=tmp_path)
    assert done.status == 0, done.err
    team = load_team(tmp_path / "new" / "team.yaml", file_tools(tmp_path))
    assert list(team.agents) == ["Planner", "Developer"]
    assert all(str(agent.instructions).startswith("You ") for agent in team.agents.values())


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "planner.md").write_text("mine")
    assert_refused(callboard("init", cwd=tmp_path), "planner.md exists already")
    assert (tmp_path / "planner.md").read_text() == "mine"
    assert not (tmp_path / "team.yaml").exists()


async def test_the_tree_of_a_running_system_can_be_read_from_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with System("stage") as system, Agency(Agent("A"), model="offline", system=system) as agency:
        system.supervise(ChildSpec(Idle, name="outer"))
        async with watchable(agency):
            done = await asyncio.to_thread(callboard, "tree", cwd=tmp_path, env={"TMPDIR": str(tmp_path)})
    assert done.status == 0, done.err
    assert [line.strip() for line in done.out.splitlines()[-2:]] == ["└── outer  Idle", "└── inner  Idle"]
    assert done.out.startswith("stage (process ")


def test_where_nothing_runs_the_tree_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(NothingRuns):
        read_trees()
    assert_refused(callboard("tree", cwd=tmp_path, env={"TMPDIR": str(tmp_path)}), "no running team")


def test_an_output_without_arrows_still_gets_the_words(tmp_path: Path) -> None:
    done = callboard("demo", tmp_path, cwd=tmp_path, env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert done.status == 0, done.err
    assert "Planner ? Developer" in done.out
