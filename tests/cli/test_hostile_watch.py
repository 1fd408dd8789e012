"""``callboard top`` and ``callboard tree`` where what they look at is not what it should be."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from callboard.actors.agents.overview.overview import ActorView, EndpointView, Overview
from callboard.actors.agents.runs.runtime.under_way import RunUnderWay

from .command import Done, assert_refused, callboard

ACTOR = ActorView("/agency/A", "AgentActor", "running", 0, 0, 0.0, 0, "", 0)


@pytest.fixture
def sockets(tmp_path: Path) -> Path:
    folder = tmp_path / f"callboard-{os.getuid()}"
    folder.mkdir(mode=0o700)
    return folder


@contextlib.contextmanager
def answering(path: Path, answer: Callable[[socket.socket], None]) -> Iterator[None]:
    """A program that is asked in the block, and answers as it likes; each who asks is answered in a thread."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def one(asking: socket.socket) -> None:
            with asking, contextlib.suppress(OSError):
                asking.recv(100)
                answer(asking)

        def serve() -> None:
            with contextlib.suppress(OSError):  # closed
                while True:
                    threading.Thread(target=one, args=listening.accept()[:1], daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield
        listening.shutdown(socket.SHUT_RDWR)


def overview(
    *actors: ActorView,
    name: str = "agency",
    runs: tuple[RunUnderWay, ...] = (),
    endpoints: tuple[EndpointView, ...] = (),
    cost: float = 0.0,
) -> Callable[[socket.socket], None]:
    seen = Overview(name, 77, 1.0, actors, len(actors), runs, (), endpoints, (), cost, 0, ())
    return lambda asking: asking.sendall(json.dumps(asdict(seen)).encode() + b"\n")


def looks(command: str, tmp_path: Path) -> Done:
    return callboard(command, cwd=tmp_path, env={"TMPDIR": str(tmp_path), "COLUMNS": "200"})


@pytest.mark.parametrize("command", ["tree", "top"])
def test_names_of_another_program_do_not_steer_the_terminal(sockets: Path, tmp_path: Path, command: str) -> None:
    actor = ActorView("/agency/\x1b[31mA\u202e", "K\x1b[1m", "run\x07ning", 0, 0, 0.0, 0, "c\x1b]0;t\x07", 0)
    with answering(sockets / "77.sock", overview(actor, name="ev\x1b[2Jil\nx")):
        done = looks(command, tmp_path)
    assert done.status == 0, done
    assert not {"\x1b", "\x07", "\u202e"} & set(done.out), done.out
    assert "ev\\x1b[2Jil\\nx (process 77)" in done.out
    assert "\\x1b[31mA\\u202e  K\\x1b[1m, run\\x07ning, crashed: c\\x1b]0;t\\x07" in done.out


def test_a_program_that_never_comes_to_the_end_of_its_answer_is_left(sockets: Path, tmp_path: Path) -> None:
    def drip(asking: socket.socket) -> None:
        while True:
            asking.sendall(b" ")
            threading.Event().wait(0.05)

    with answering(sockets / "77.sock", drip):
        assert looks("tree", tmp_path).out == "process 77 does not answer\n"
        assert_refused(looks("top", tmp_path), "does not answer")


def test_what_is_no_socket_is_no_program(sockets: Path, tmp_path: Path) -> None:
    (sockets / "77.sock").mkdir()
    (sockets / "78.sock").write_text("x", encoding="utf-8")
    for command in ("tree", "top"):
        assert_refused(looks(command, tmp_path), "no running team")
    assert (sockets / "77.sock").exists()


@pytest.mark.parametrize("made", [Path.touch, lambda path: path.symlink_to("/nonexistent")])
def test_a_folder_that_somebody_else_has_made_is_refused(tmp_path: Path, made: Callable[[Path], None]) -> None:
    made(tmp_path / f"callboard-{os.getuid()}")
    assert_refused(looks("tree", tmp_path), "cannot be this user's folder: File exists")


def test_a_link_to_a_folder_is_not_this_users(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / f"callboard-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    assert_refused(looks("tree", tmp_path), "is not this user's alone; remove it")


def test_what_has_no_price_shows_none(sockets: Path, tmp_path: Path) -> None:
    def endpoint(name: str, cost: float) -> EndpointView:
        return EndpointView("pool", name, "closed", True, "", 0, 0.5, 0.0, 3, 0, 90, cost)

    def run(agent: str, cost: float) -> RunUnderWay:
        return RunUnderWay(agent, agent, "", agent, "c", "", "", "model", (), 1, 10, 5, cost, 1.0, 0.0)

    endpoints, runs = (endpoint("free", 0.0), endpoint("dear", 0.5)), (run("A", 0.0), run("B", 0.25))
    with answering(sockets / "77.sock", overview(ACTOR, runs=runs, endpoints=endpoints)):
        out = looks("top", tmp_path).out
    assert "$0.0000" not in out
    assert "$0.5000" in out
    assert "$0.2500" in out
    assert "a minute" not in out
    with answering(sockets / "78.sock", overview(ACTOR, cost=0.125)):
        (sockets / "77.sock").unlink()
        assert "$0.1250 a minute" in looks("top", tmp_path).out
