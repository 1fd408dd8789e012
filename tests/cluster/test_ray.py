"""Nodes that talk over a real Ray."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest

from callboard import ActorDead, System
from callboard.actors.cluster.errors import CutOff, NodeGone, NodeUnreachable
from callboard.actors.cluster.node import Node
from callboard.actors.cluster.ray.transport import RayTransport

from .raying import ray_address
from .test_refs import Add, Count, Counter, Hang

__all__ = ["ray_address"]


@asynccontextmanager
async def two(address: str) -> AsyncIterator[tuple[Node, Node, asyncio.Event]]:
    lost = asyncio.Event()
    async with System("one") as one, System("two") as other:
        a = Node("a", "one", one, RayTransport(address, "tests"))
        b = Node("b", "two", other, RayTransport(address, "tests"))
        a.joined("b", "two")
        b.joined("a", "one")
        await asyncio.gather(a.open(), b.open(lost.set))
        other.spawn(Counter, name="counter")
        yield a, b, lost
        await asyncio.gather(a.close(), b.close())


async def test_actors_are_asked_told_and_streamed_from_over_ray(ray_address: str) -> None:
    async with two(ray_address) as (a, _, _):
        ref = a.ref("two", "counter")
        ref.tell(Add(1))
        assert await ref.ask(Add(1)) == 2
        assert sorted(await asyncio.gather(*[ref.ask(Add(1)) for _ in range(300)])) == list(range(3, 303))
        assert [item async for item in ref.stream(Count(500))] == list(range(500))


async def test_a_node_that_has_lost_its_gateway_hears_of_it_and_takes_part_again(ray_address: str) -> None:
    async with two(ray_address) as (a, b, lost):
        ref = a.ref("two", "counter")
        assert await ref.ask(Add(1)) == 1
        asked = ref.ask(Hang())
        transport = b._transport
        assert isinstance(transport, RayTransport)
        assert transport._process is not None
        transport._process.kill()  # Ray ends the gateway with its driver
        await lost.wait()
        with pytest.raises(NodeGone, match="node two"):
            await asked
        await b.open(lost.set)
        assert await a.ref("two", "counter").ask(Add(1)) == 2


async def test_a_gateway_that_stands_still_is_gone_for_the_program_that_has_it(
    ray_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callboard.actors.cluster.ray.transport.LOOK", 0.05)
    async with two(ray_address) as (a, b, lost):
        a.ref("two", "counter").tell(Add(1))
        ref = b.ref("one", "nobody")
        transport = b._transport
        assert isinstance(transport, RayTransport)
        os.kill(gateway_of(transport), signal.SIGSTOP)
        sent = asyncio.ensure_future(transport.send("a", b"frame"))
        await lost.wait()
        with pytest.raises(NodeUnreachable):
            await sent
        await b.open(lost.set)  # with the one that stands still under the same name
        with pytest.raises(ActorDead):
            await ref.ask(Add(1))
        assert await a.ref("two", "counter").ask(Add(1))


def gateway_of(transport: RayTransport) -> int:
    """Its process."""
    assert transport._line is not None
    assert transport._line._transport is not None
    there: socket.socket = transport._line._transport.get_extra_info("socket")
    pid: int = struct.unpack("3i", there.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    return pid


async def nothing(node: str, frame: bytes) -> bytes:
    return b""


async def test_the_launcher_takes_no_signal_that_is_meant_for_the_program_and_ends_with_it(
    ray_address: str,
) -> None:
    transport = RayTransport(ray_address, "tests")
    await transport.open("signals", nothing, lambda: None)
    process = transport._process
    assert process is not None
    assert transport._folder is not None
    with pytest.raises(OSError, match=r"gateway|refused|No such file"):  # nobody else gets in, once the gateway has
        await asyncio.open_unix_connection(transport._folder / "gateway")
    assert os.getpgid(process.pid) != os.getpgrp()  # Ctrl-C at a terminal
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process.send_signal(number)
    await transport.close()
    assert process.returncode == 0


async def test_a_program_that_is_killed_leaves_no_process_and_no_folder_although_a_fork_of_it_goes_on(
    ray_address: str,
) -> None:
    # Not pytest's folder: the path of a socket is short.
    with TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _FORKED, ray_address),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | {"TMPDIR": folder},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        launcher, gateway = map(int, (await process.stdout.readline()).split())
        assert os.listdir(folder)
        process.kill()
        while psutil.pid_exists(launcher) or psutil.pid_exists(gateway):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        assert not [name for name in os.listdir(folder) if name.startswith("callboard-")]
        process.stdin.close()  # the fork ends
        await process.communicate()


_FORKED = """
import asyncio, os, sys
from callboard.actors.cluster.ray.transport import RayTransport
from tests.cluster.test_ray import gateway_of, nothing

async def main():
    transport = RayTransport(sys.argv[1], "tests")
    await transport.open("forked", nothing, lambda: None)
    print(transport._process.pid, gateway_of(transport), flush=True)
    if not os.fork():
        sys.stdin.read()
        os._exit(0)
    await asyncio.sleep(1e6)

asyncio.run(main())
"""


async def test_what_is_on_its_way_ends_with_the_transport_and_where_it_cannot_be_taken(
    ray_address: str, caplog: Any
) -> None:
    async def hang(node: str, frame: bytes) -> bytes:
        if frame == b"broken":
            raise ValueError("this is no frame")
        arrived.set()
        await asyncio.Event().wait()
        return b""

    arrived = asyncio.Event()
    one, two = RayTransport(ray_address, "tests"), RayTransport(ray_address, "tests")
    await asyncio.gather(one.open("sends", nothing, lambda: None), two.open("hangs", hang, lambda: None))
    with pytest.raises(NodeUnreachable, match="ValueError"):
        await one.send("hangs", b"broken")
    assert "a frame could not be taken" in caplog.text
    sent = asyncio.ensure_future(one.send("hangs", b"frame"))
    await arrived.wait()
    await one.close()
    with pytest.raises(NodeUnreachable):
        await sent
    await two.close()


async def test_a_ray_that_is_not_there_is_named() -> None:
    with pytest.raises(CutOff, match=r"Ray at 127\.0\.0\.1:1 did not start: .*`ray start`.*token"):
        await RayTransport("127.0.0.1:1", "tests").open("a", nothing, lambda: None)


async def test_what_keeps_a_gateway_from_being_started_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    transport = RayTransport("auto", "tests")
    with TemporaryDirectory() as folder:
        long = Path(folder) / ("long" * 40)
        long.mkdir()
        for where, why in ((Path(folder) / "missing", "No such file"), (long, "path too long")):
            monkeypatch.setattr("tempfile.tempdir", str(where))
            with pytest.raises(CutOff, match=rf"did not start: .*{why}.*TMPDIR"):
                await transport.open("a", nothing, lambda: None)
        assert not os.listdir(long)
    monkeypatch.setattr("tempfile.tempdir", None)
    python = tmp_path / "python"
    for script, why in (("echo 'No module named callboard' >&2", "No module named callboard"), ("exit 3", "status 3")):
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o700)
        monkeypatch.setattr("sys.executable", str(python))
        with pytest.raises(CutOff, match=f"it ended: .*{why}"):
            await transport.open("a", nothing, lambda: None)
