"""What the tree of actors and the flow of a run say in each line: of what waits, crashes, restarts and is left out."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from callboard.actors.agents.overview.overview import ActorView
from callboard.actors.cli.parts.flow import Flow, Restarts
from callboard.actors.cli.watch.tree import tree_lines
from callboard.actors.core.base.events import Event

IDLE = ActorView("a", "Worker", "running", 0, 0, 0.0, 0, "", 0)


def named(path: str) -> ActorView:
    return replace(IDLE, path=path, depth=path.count("/"))


def test_each_actor_stands_below_its_parent_and_the_last_child_is_told_from_the_others() -> None:
    paths = ("pool", "pool/a", "pool/a/x", "pool/b", "pool/b/y", "pool/b/y/z", "agency", "agency/c")
    assert list(tree_lines(tuple(named(path) for path in paths))) == [
        "├── pool  Worker",
        "│   ├── a  Worker",
        "│   │   └── x  Worker",
        "│   └── b  Worker",
        "│       └── y  Worker",
        "│           └── z  Worker",
        "└── agency  Worker",
        "    └── c  Worker",
    ]
    assert list(tree_lines(())) == []


@pytest.mark.parametrize(
    ("actor", "said"),
    [
        (replace(IDLE, phase="starting"), "Worker, starting"),
        (replace(IDLE, waiting=3), "Worker, 3 waiting"),
        (replace(IDLE, waiting=1, age=0.09), "Worker, 1 waiting"),
        (replace(IDLE, waiting=1, age=0.1), "Worker, 1 waiting for 0.1 s"),
        (replace(IDLE, age=5.0), "Worker"),
        (
            replace(IDLE, restarts=2, crash="ValueError: \x1b[31m"),
            "Worker, restarted 2×, crashed: ValueError: \\x1b[31m",
        ),
        (replace(IDLE, left_out=1200), "Worker, and 1,200 below"),
        (
            replace(IDLE, phase="restarting", waiting=2, age=1.25, restarts=1, crash="E", left_out=1),
            "Worker, restarting, 2 waiting for 1.2 s, restarted 1×, crashed: E, and 1 below",
        ),
    ],
)
def test_an_actors_line_says_what_is_not_as_usual(actor: ActorView, said: str) -> None:
    assert list(tree_lines((actor,))) == [f"└── a  {said}"]


def test_crashes_restarts_and_what_was_given_up_or_lost_are_lines_of_the_flow_and_what_is_everyday_is_none() -> None:
    out, clock = io.StringIO(), [10.0]
    flow = Flow(Console(file=out, width=80), lambda: clock[0])
    clock[0] = 11.5
    for kind, actor, detail in (
        ("started", "a", ""),
        ("crashed", "a", "ValueError: \x1b[31mout of paper"),
        ("restarted", "a", ""),
        ("escalated", "a", "RestartLimit: too often"),
        ("dead_letter", "b", "Ask(secret): nobody is there"),
        ("stopped", "a", ""),
        ("system_stopped", "", ""),
    ):
        flow.system_event(Event(kind, actor, 0.0, detail))
    flow.say("look here")
    assert out.getvalue().splitlines() == [
        "  1.50 s          ✗ a crashed: ValueError: \\x1b[31mout of paper",
        "  1.50 s          ↻ a was restarted by its supervisor",
        "  1.50 s          ✗ a was given up: RestartLimit: too often",
        "  1.50 s          ✗ a message to b became a dead letter: Ask(secret)",
        "  1.50 s          ! look here",
    ]
    assert flow.lines == 5
    flow.begin()
    assert flow.seconds() == 0.0


def test_a_line_of_the_flow_is_cut_at_the_end_of_the_console() -> None:
    out = io.StringIO()
    flow = Flow(Console(file=out, width=40), lambda: 0.0)
    flow.say("x" * 100)
    assert out.getvalue() == f"  0.00 s          ! {'x' * 19}…\n"


def test_a_restart_is_one_by_the_runtime_or_a_start_where_a_crashed_one_has_stopped() -> None:
    restarts = Restarts()
    told = [
        restarts.look(Event(kind, actor, 0.0))
        for kind, actor in (
            ("started", "a"),  # the first time
            ("stopped", "a"),
            ("started", "a"),  # made again though nothing has crashed
            ("crashed", "a"),
            ("started", "b"),
            ("stopped", "b"),
            ("stopped", "a"),
            ("started", "a"),  # a new one in its place
            ("stopped", "a"),
            ("started", "a"),  # and again, without a crash
            ("crashed", "a"),
            ("restarted", "a"),
            ("stopped", "a"),
            ("started", "a"),
        )
    ]
    assert [place for place, restart in enumerate(told) if restart] == [7, 11]
