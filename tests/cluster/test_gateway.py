"""The gateway's side of the socket, without Ray."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest

from callboard.actors.cluster.ray.gateway import Gateway
from callboard.actors.cluster.ray.wire import FAILED, HELLO, SEND, TAKEN, Ear, address, addressed, said


class Program:
    """What a gateway is connected to."""

    def __init__(self, there: socket.socket) -> None:
        self.there = there
        self._ear = Ear()

    def hear(self) -> Iterator[tuple[int, int, bytes]]:
        """What the gateway says."""
        while data := self.there.recv(100_000):
            yield from self._ear.hear(data)


@pytest.fixture
def connected() -> Iterator[tuple[Gateway, Program]]:
    """A gateway, and the program it is connected to."""
    # Not below pytest's folders: the path of a socket is short.
    with TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        path = str(Path(folder) / "gateway")
        server.bind(path)
        server.listen()
        gateway = Gateway("a")
        gateway.connect(path, "word")
        there, _ = server.accept()
        with there:
            program = Program(there)
            assert next(program.hear()) == (HELLO, 0, b"word")
            yield gateway, program


def test_frames_that_a_paused_program_does_not_read_are_all_there_when_it_goes_on(
    connected: tuple[Gateway, Program],
) -> None:
    gateway, program = connected
    frames = [bytes([number]) * 1_000_000 for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        acknowledged = [threads.submit(gateway.receive, addressed("b", frame)) for frame in frames]
        came = []
        for kind, number, body in program.hear():
            assert kind == SEND
            node, frame = address(body)
            came.append((node, frame))
            program.there.sendall(said(TAKEN, number, frame[:1]))
            if len(came) == len(frames):
                break
        assert sorted(came) == [("b", frame) for frame in frames]
        assert [future.result() for future in acknowledged] == [frame[:1] for frame in frames]


def test_a_frame_that_the_program_has_not_acknowledged_fails_once_it_is_gone(
    connected: tuple[Gateway, Program],
) -> None:
    gateway, program = connected
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(gateway.receive, addressed("b", b"frame"))
        next(program.hear())
        program.there.shutdown(socket.SHUT_RDWR)
        with pytest.raises(ConnectionError, match="the program is gone"):
            waiting.result()
    gateway.ended()
    with pytest.raises(ConnectionError, match="the program is gone"):
        gateway.receive(addressed("b", b"frame"))


class Peers:
    """Other gateways, as Ray has them: each acknowledges what it gets once it may."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.known = threading.Event()
        self.sent: SimpleQueue[tuple[bytes, Future[bytes]]] = SimpleQueue()

    def get_actor(self, name: str) -> Any:
        self.asked.append(name)
        self.known.wait()
        return SimpleNamespace(receive=SimpleNamespace(remote=self._receive))

    def _receive(self, addressed_frame: bytes) -> Any:
        _, frame = address(addressed_frame)
        future: Future[bytes] = Future()
        self.sent.put((frame, future))
        return SimpleNamespace(future=lambda: future)


def test_a_node_is_looked_for_once_however_much_is_to_go_there(
    connected: tuple[Gateway, Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, program = connected
    peers = Peers()
    monkeypatch.setitem(sys.modules, "ray", peers)
    monkeypatch.setattr("callboard.actors.cluster.ray.gateway.PATIENCE", 1e6)
    frames = [b"%d" % number for number in range(100)]
    for number, frame in enumerate(frames):
        program.there.sendall(said(SEND, number, addressed("b", frame)))
    program.there.sendall(said(HELLO, 7, b""))
    assert next(program.hear()) == (HELLO, 7, b"")  # all has been heard, and is waited with
    gateway._sending.pop(0)  # given up meanwhile
    peers.known.set()
    got = program.hear()
    for frame in frames[1:]:
        sent, future = peers.sent.get()
        future.set_result(b"taken")
        assert sent == frame
        assert next(got) == (TAKEN, int(frame), b"taken")
    assert peers.asked == ["callboard.node.b"]


def test_a_large_frame_is_waited_for_longer(
    connected: tuple[Gateway, Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, program = connected
    peers = Peers()
    peers.known.set()
    monkeypatch.setitem(sys.modules, "ray", peers)
    monkeypatch.setattr("callboard.actors.cluster.ray.gateway.PATIENCE", 0.0)
    monkeypatch.setattr("callboard.actors.cluster.ray.gateway.SLOW", 1.0)
    large = b"large" * 1_000
    program.there.sendall(said(SEND, 1, addressed("b", large)) + said(SEND, 2, addressed("b", b"")))
    got = program.hear()
    assert next(got) == (FAILED, 2, b"nothing was heard of it")
    next(future for sent, future in iter(peers.sent.get, None) if sent == large).set_result(b"taken")
    assert next(got) == (TAKEN, 1, b"taken")
