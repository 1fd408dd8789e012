"""The gateway's side of the socket, without Ray."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from callboard.actors.cluster.ray.gateway import Gateway
from callboard.actors.cluster.ray.wire import HELLO, SEND, TAKEN, Ear, address, addressed, said


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
