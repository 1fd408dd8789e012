"""Ray as gateways see it, in this process: the way over Ray, without Ray."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from callboard.actors.cluster.ray.gateway import NAME, Gateway


class Ray:
    """Where gateways find each other.

    Args:
        patch: puts it in Ray's place, and in that of the process that starts gateways.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.threads = ThreadPoolExecutor(16)
        self.launched: dict[str, Launched] = {}
        self.found: list[str] = []
        self.says = b"ready\n"
        self.strangers: list[tuple[socket.socket, str]] = []
        """Who comes to the program's socket before its gateway does, and what they say; ``WORD`` is its word."""
        module: Any = ModuleType("ray")
        module.__spec__, module.get_actor = ModuleSpec("ray", None), self.get_actor
        patch.setitem(sys.modules, "ray", module)
        patch.setattr(asyncio, "create_subprocess_exec", self._launch)

    def get_actor(self, name: str) -> Any:
        """See Ray."""
        self.found.append(name)
        return Handle(self, self.launched[name])

    async def _launch(self, *command: str, **options: Any) -> Launched:
        return Launched(self)


class Launched:
    """In place of the process that starts a gateway, and of the gateway's own."""

    def __init__(self, ray: Ray) -> None:
        self._ray = ray
        self.stdin = self.stdout = self
        self.returncode: int | None = None
        self.wanted: dict[str, Any] = {}
        self.frozen = False
        self._ended = asyncio.Event()

    def write(self, data: bytes) -> None:
        """What the program wants."""
        self.wanted = json.loads(data)
        self.gateway = Gateway(self.wanted["node"])
        self._ray.launched[NAME + self.wanted["node"]] = self
        for there, text in self._ray.strangers:
            there.connect(self.wanted["socket"])
            there.sendall(text.replace("WORD", self.wanted["word"]).encode("latin-1"))
        self.gateway.connect(self.wanted["socket"], self.wanted["word"])

    async def readline(self) -> bytes:
        """What is said to the program: nothing where it has ended."""
        if not self._ray.says:
            self.kill()
        return self._ray.says

    def kill(self) -> None:
        """End it, and the gateway with it."""
        self.returncode = -9
        there: socket.socket = self.gateway._mouth._there
        there.shutdown(socket.SHUT_RDWR)
        self._ended.set()

    def close(self) -> None:
        """The program says no more: then it ends."""
        self.kill()

    async def wait(self) -> int | None:
        """Returns once it has ended."""
        await self._ended.wait()
        return self.returncode

    async def communicate(self) -> None:
        """The same, with what it says read to the end."""
        await self._ended.wait()


class Handle:
    """A gateway as another one sees it."""

    def __init__(self, ray: Ray, launched: Launched) -> None:
        self._ray = ray
        self._launched = launched
        self.receive = self

    def remote(self, frame: bytes) -> Any:
        """See Ray."""
        if self._launched.returncode is not None:
            raise RuntimeError("the actor is dead")
        future: Future[bytes] = Future()
        if not self._launched.frozen:
            future = self._ray.threads.submit(self._launched.gateway.receive, frame)
        return SimpleNamespace(future=lambda: future)
