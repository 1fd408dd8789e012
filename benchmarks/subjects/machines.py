"""Machines of a network, of Linux namespaces: each has processes, addresses and links of its own.

A machine that is killed is gone with all its processes in one moment. Links are cut silently: what is sent goes
nowhere, and nobody is told.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Self

import psutil

TOOLS: Final = ("ip", "nsenter", "unshare")
NETS: Final = 250
NOWHERE: Final = "02:00:00:00:00:fe"
"""A hardware address that nobody has."""

_INIT: Final = "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\nwhile True: signal.pause()"
"""The first process of a machine: takes the orphans, and buries them."""


def missing() -> str:
    """Why there can be no machines here; empty where there can."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if lacking := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"machines of namespaces need {' and '.join(lacking)}"
    if os.geteuid():
        return "only root may make network namespaces"
    tried = subprocess.run(["unshare", "--net", "--pid", "--fork", "--mount-proc", "true"], capture_output=True)
    if tried.returncode:
        return f"namespaces are not allowed here: {tried.stderr.decode().strip()}"
    return ""


class Machines:
    """A network, and the machines on it; used as a context.

    Attributes:
        address: of this machine on it, which others reach.
    """

    def __init__(self) -> None:
        self._bridge = f"cb{os.getpid()}"
        self._all: dict[int, Machine] = {}

    async def __aenter__(self) -> Self:
        await _do("ip", "link", "add", self._bridge, "type", "bridge")
        used = await _do("ip", "-4", "-o", "addr")
        self._net = next(
            net for number in range(NETS) if (net := f"10.231.{(os.getpid() + number) % NETS}.") not in used
        )
        self.address = f"{self._net}1"
        await _do("ip", "addr", "add", f"{self.address}/24", "dev", self._bridge)
        await _do("ip", "link", "set", self._bridge, "up")
        return self

    async def __aexit__(self, *_: object) -> None:
        for machine in self._all.values():
            await machine.kill()
            await machine.unplug()
        await _do("ip", "link", "del", self._bridge)

    async def boot(self, number: int) -> Machine:
        """A machine; from 0 to 200. One that was killed may be booted again, under its address."""
        machine = self._all[number] = Machine(f"{self._net}{number + 10}", f"{self._bridge}.{number}", self._bridge)
        await machine.boot(self.address)
        return machine


class Machine:
    """One of them.

    Args:
        address: its own.
        link: the name of its link to the others.
        bridge: that connects all.
    """

    def __init__(self, address: str, link: str, bridge: str) -> None:
        self.address = address
        self._link = link
        self._bridge = bridge

    async def boot(self, router: str) -> None:
        """Start it.

        Args:
            router: an address on its network by which all others are reached.
        """
        namespaces = ("--net", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc")
        self._process = await asyncio.create_subprocess_exec(
            *("unshare", *namespaces, sys.executable, "-S", "-c", _INIT),
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        children: list[psutil.Process] = []
        while not children:
            await asyncio.sleep(0.01)
            children = psutil.Process(self._process.pid).children()
        self._init = children[0].pid
        await self.unplug()  # what was here before
        peer = ("peer", "name", "eth0", "netns", str(self._init))
        await _do("ip", "link", "add", self._link, "type", "veth", *peer)
        await self.joins(True)
        await _do(*self.within, "ip", "addr", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            await _do(*self.within, "ip", "link", "set", device, "up")
        await _do(*self.within, "ip", "route", "add", "default", "via", router)

    @property
    def within(self) -> Sequence[str]:
        """What stands before a command that is run there."""
        return ("nsenter", "--target", str(self._init), "--net", "--pid", "--mount", "--")

    async def joins(self, on: bool) -> None:
        """Cut its link to all others, or heal it."""
        await _do("ip", "link", "set", self._link, *(("master", self._bridge, "up") if on else ("nomaster",)))

    async def reaches(self, other: Machine, on: bool) -> None:
        """Cut it off from another one, both ways, or heal that."""
        for one, address in ((self, other.address), (other, self.address)):
            how = ("del", address) if on else ("replace", address, "lladdr", NOWHERE, "nud", "permanent")
            await _do(*one.within, "ip", "neigh", how[0], how[1], *how[2:], "dev", "eth0")

    async def unplug(self) -> None:
        """Remove its link, which would go only some time after a machine has ended."""
        with suppress(RuntimeError):  # it has gone
            await _do("ip", "link", "del", self._link)

    async def kill(self) -> None:
        """All its processes end in one moment."""
        with suppress(ProcessLookupError):
            os.kill(self._init, signal.SIGKILL)
        await self._process.wait()


async def _do(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: {said.decode().strip()}")
    return said.decode()
