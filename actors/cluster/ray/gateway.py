"""The gateway: an actor of Ray's that brings a program's frames to the gateways of other nodes, and theirs to it.

It runs in a process of Ray's, which knows of Callboard no more than this room. It works on threads: an actor of Ray's
that has an event loop takes each call over two threads, and an ask from node to node took 1.41 times a raw call of
Ray's, where it takes 1.24 times one now.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from queue import SimpleQueue
from typing import Any, Final

from .wire import FAILED, HELLO, SEND, TAKEN, Ear, address, addressed, said

PATIENCE: Final = 2.0
"""Seconds for which another gateway is waited for, and for large frames so many more as they take at `SLOW`."""

SLOW: Final = 5_000_000.0
"""Bytes in a second that get from node to node at least."""

LOOK: Final = 0.5
"""Seconds between two looks at what is waited for."""

AT_ONCE: Final = 64
"""Threads, each with a frame that is on its way to the program; more wait in front of the gateway."""

NAME: Final = "callboard.node."
"""How the names of gateways begin, in Ray."""

CHUNK: Final = 256 * 1024


class Gateway:
    """See the module.

    Args:
        node: the id of the program's node.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._peers: dict[str, Any] = {}
        self._waiting: dict[int, SimpleQueue[tuple[int, bytes]]] = {}
        """Frames that the program has not acknowledged yet."""
        self._sending: dict[int, float] = {}
        """Frames of the program's that no other gateway has acknowledged yet, with when they are given up."""
        self._finding: dict[str, list[tuple[int, bytes]]] = {}
        """Nodes that are looked for, and what is to go there."""
        self._number = 0
        self._ended = threading.Event()
        self._lock = threading.Lock()

    def connect(self, path: str, word: str) -> None:
        """Be at the service of the program that listens at a socket.

        Args:
            path: of the socket.
            word: by which the program knows its gateway.
        """
        there = socket.socket(socket.AF_UNIX)
        there.connect(path)
        self._mouth = Mouth(there)
        self._mouth.say(said(HELLO, 0, word.encode()))
        for work in (self._listen, self._mouth.work, self._look):
            threading.Thread(target=work, args=(there,) if work == self._listen else (), daemon=True).start()

    def ended(self) -> None:
        """Returns once the program is gone."""
        self._ended.wait()

    def receive(self, addressed_frame: bytes) -> bytes:
        """A frame of another node came; return what the program says of it. (One argument, of bytes: Ray carries that
        as it is.)

        Raises:
            ConnectionError: the program is gone, or has not taken it.
        """
        waiting: SimpleQueue[tuple[int, bytes]] = SimpleQueue()
        with self._lock:
            self._number = number = (self._number + 1) & 0xFFFFFFFF
            self._waiting[number] = waiting
        if self._ended.is_set():
            raise ConnectionError("the program is gone")
        self._mouth.say(said(SEND, number, addressed_frame))
        kind, body = waiting.get()
        if kind != TAKEN:
            raise ConnectionError(body.decode())
        return body

    # -- what the program says -----------------------------------------------------------------------------------------

    def _listen(self, there: socket.socket) -> None:
        ear = Ear()
        try:
            while data := there.recv(CHUNK):
                for kind, number, body in ear.hear(data):
                    self._heard(kind, number, body)
        except OSError:
            pass  # it is gone
        finally:  # whatever it was: nobody listens any more
            self._ended.set()
            with self._lock:
                for waiting in self._waiting.values():
                    waiting.put((FAILED, b"the program is gone"))

    def _heard(self, kind: int, number: int, body: bytes) -> None:
        if kind == HELLO:
            self._mouth.say(said(HELLO, number, b""))
            return
        if kind != SEND:
            waiting = self._waiting.pop(number, None)
            if waiting is not None:
                waiting.put((kind, body))
            return
        node, frame = address(body)
        self._sending[number] = time.monotonic() + PATIENCE + len(frame) / SLOW
        if node in self._peers:
            self._send(number, node, frame)
            return
        with self._lock:
            wanted = [one for one in self._finding.get(node, ()) if one[0] in self._sending]
            if node not in self._finding:  # beside all else: Ray's head is asked, which may not answer for a while
                threading.Thread(target=self._find, args=(node,), daemon=True).start()
            self._finding[node] = [*wanted, (number, frame)]

    # -- frames of the program's ---------------------------------------------------------------------------------------

    def _find(self, node: str) -> None:
        import ray

        failed: Exception | None = None
        try:
            self._peers[node] = ray.get_actor(NAME + node)
        except Exception as error:
            failed = error
        with self._lock:
            waiting = [one for one in self._finding.pop(node) if one[0] in self._sending]
        for number, frame in waiting:
            if failed is None:
                self._send(number, node, frame)
            else:
                self._failed(number, node, failed)

    def _send(self, number: int, node: str, frame: bytes) -> None:
        try:
            future = self._peers[node].receive.remote(addressed(self._node, frame)).future()
        except Exception as error:
            self._failed(number, node, error)
        else:
            future.add_done_callback(lambda future: self._answered(number, node, future))

    def _answered(self, number: int, node: str, future: Any) -> None:
        """On a thread of Ray's, which must not wait."""
        error = future.exception()
        if error is not None:
            self._failed(number, node, error)
        else:
            self._say(TAKEN, number, future.result())

    def _failed(self, number: int, node: str, error: BaseException) -> None:
        """It did not get through: of Ray's errors there are many, and each means that."""
        self._peers.pop(node, None)
        self._say(FAILED, number, f"{type(error).__name__}: {error}".encode()[:2_000])

    def _say(self, kind: int, number: int, body: bytes) -> None:
        """What became of a frame; once."""
        if self._sending.pop(number, None) is not None:
            self._mouth.say(said(kind, number, body))

    def _look(self) -> None:
        """Give up what nothing was heard of."""
        while not self._ended.wait(LOOK):
            now = time.monotonic()
            for number, until in list(self._sending.items()):
                if until < now:
                    self._say(FAILED, number, b"nothing was heard of it")


class Mouth:
    """Says things to the program: at once where they fit into the socket, otherwise on a thread of its own.

    Args:
        there: the socket.
    """

    def __init__(self, there: socket.socket) -> None:
        self._there = there
        self._later: deque[bytes] = deque()
        self._wake = threading.Condition()

    def say(self, data: bytes) -> None:
        """Say something; never waits."""
        with self._wake:
            if not self._later:
                try:
                    sent = self._there.send(data, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    sent = 0
                except OSError:
                    return  # the program is gone
                if sent == len(data):
                    return
                data = data[sent:]
            self._later.append(data)
            self._wake.notify()

    def work(self) -> None:
        """Say what did not fit."""
        while True:
            with self._wake:
                while not self._later:
                    self._wake.wait()
                data = self._later[0]
            try:
                self._there.sendall(data)
            except OSError:
                return
            with self._wake:
                self._later.popleft()
