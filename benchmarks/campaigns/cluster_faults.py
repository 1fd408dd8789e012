"""``python -m benchmarks.cluster_faults``: what happens to machines, networks, databases and deployments, for real.

Machines are namespaces of Linux, each with a Ray of its own that is begun anew whenever it ends; nodes are programs on
them, and PostgreSQL is reached over their network. Of each scene, see `SCENES`. What must hold: see `cluster_asking`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg

from benchmarks.subjects.cluster_programs import NodeProgram, RayProgram
from benchmarks.subjects.machines import Machines, missing
from benchmarks.subjects.postgres_server import PostgresServer

from .cluster_asking import Asked, Asking, Place
from .cluster_lab import HEAD, all_reach, lab, note, told
from .cluster_versions import FRAMES, VERSION
from .history import read
from .serve_clients import Seen
from .serve_kills import report

SETTLE: Final = 3.0
"""Seconds for which nodes are asked before something happens to them, and afterwards."""


@dataclass(frozen=True, slots=True)
class Options(Asked):
    """A scene; see also `Asked`.

    Args:
        away: seconds for which a database, or a way, is gone; longer than a lease, twice.
        head_away: for which Ray's head is, the second time: longer than Ray's processes wait for it.
    """

    conversations: int = 60
    piece: float = 0.3
    away: float = 15.0
    head_away: float = 80.0


@dataclass(slots=True)
class Stage:
    """What a scene has.

    Args:
        options: the scene.
        server: the database's.
        machines: where nodes may run.
        seen: what is seen.
        url: of the scene's own database.
        listens: how machines reach it.
    """

    options: Options
    server: PostgresServer
    machines: Machines
    seen: Seen
    url: str
    listens: str


# -- machines ----------------------------------------------------------------------------------------------------------


async def head_killed(stage: Stage) -> None:
    """Ray's head is killed, and started anew at its address: at once, and after so long that Ray gives up."""
    async with lab(stage.options, stage.url, stage.listens, stage.machines, stage.seen) as nodes:
        await asyncio.sleep(SETTLE)
        starts = nodes.rays[HEAD].starts
        for process in nodes.rays[HEAD].processes("gcs_server"):
            process.kill()
        while nodes.rays[HEAD].starts == starts:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        stage.seen.counts["heads killed"] += 1
        await all_reach(nodes, "Ray's head killed and started at once")
        await asyncio.sleep(SETTLE)
        await nodes.crash(nodes.places[-1])
        await all_reach(nodes, "a machine killed after that, and another one joined")
        await asyncio.sleep(SETTLE)
        if stage.options.head_away:
            await nodes.rays[HEAD].kill(again_after=stage.options.head_away)
            stage.seen.counts["heads killed"] += 1
            await all_reach(nodes, f"Ray's head away for {stage.options.head_away:g} s")
            await asyncio.sleep(SETTLE)


async def network_cut(stage: Stage) -> None:
    """Two nodes are cut off from each other, but not from the database; then one from everything, for long."""
    seen, away = stage.seen, stage.options.away
    async with lab(stage.options, stage.url, stage.listens, stage.machines, seen) as nodes:
        await asyncio.sleep(SETTLE)
        one, other, lonely = nodes.places
        assert one.node.machine is not None
        assert other.node.machine is not None
        await one.node.machine.reaches(other.node.machine, False)
        seen.counts["ways cut"] += 1
        await asyncio.sleep(away)
        await one.node.machine.reaches(other.node.machine, True)
        await all_reach(nodes, f"two nodes cut off from each other for {away:g} s")
        await asyncio.sleep(SETTLE)
        assert lonely.node.machine is not None
        lonely.struck.set()
        await lonely.node.machine.joins(False)
        seen.counts["machines cut off"] += 1
        await asyncio.sleep(away)
        await lonely.node.machine.joins(True)
        await nodes.takes_part(lonely)
        await all_reach(nodes, f"one cut off from everything for {away:g} s")
        await asyncio.sleep(SETTLE)
    if not seen.counts["appends refused"]:
        seen.violated("what a node writes late is refused", "it tried nothing")


async def raylet_killed(stage: Stage) -> None:
    """The raylet below a node is killed, and started anew; the program goes on."""
    async with lab(stage.options, stage.url, stage.listens, stage.machines, stage.seen) as nodes:
        await asyncio.sleep(SETTLE)
        for process in nodes.rays[1].processes("raylet"):
            process.kill()
            stage.seen.counts["raylets killed"] += 1
        await told(nodes, "is_cut_off")
        note("the node is cut off")
        await all_reach(nodes, "a raylet killed")
        await asyncio.sleep(SETTLE)


async def two_killed(stage: Stage) -> None:
    """Two of three machines are killed in one moment."""
    async with lab(stage.options, stage.url, stage.listens, stage.machines, stage.seen) as nodes:
        await asyncio.sleep(SETTLE)
        await nodes.crash(*nodes.places[:2])
        await all_reach(nodes, "two of three machines killed")
        await asyncio.sleep(SETTLE)


# -- the database, and other code: on this machine ---------------------------------------------------------------------


async def database_gone(stage: Stage) -> None:
    """PostgreSQL stands still, and later crashes and is started anew."""
    seen, away = stage.seen, stage.options.away
    ray = RayProgram()
    await ray.start("benchmarks.subjects.ray_head")
    nodes = Asking(stage.options, stage.url, seen)
    try:
        for number in range(3):
            nodes.places.append(Place(number, await nodes.join(NodeProgram(f"n{number}"), ray.address)))
        async with nodes.asked():
            for name, gone in (("stood still", stage.server.paused), ("was stopped", stage.server.stopped)):
                await asyncio.sleep(SETTLE)
                with gone():
                    await asyncio.sleep(1.0)  # what was on its way has come
                    answered = seen.counts["answered"]
                    await asyncio.sleep(away)
                    if seen.counts["answered"] != answered:
                        seen.violated("nothing is accepted without the database", name)
                began = time.monotonic()
                while seen.counts["answered"] == answered:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                seen.counts[f"times that the database {name}"] += 1
                note(f"the database {name}: answers {time.monotonic() - began:.1f} s afterwards")
                await all_reach(nodes, f"the database {name}")
            await asyncio.sleep(SETTLE)
    finally:
        for place in nodes.places:
            await place.node.end()
        await ray.end()
    nodes.look_back()


async def deployed(stage: Stage) -> None:
    """Nodes are replaced one by one by such of a new version, of which one is killed; the last comes back as it was."""
    seen = stage.seen
    ray = RayProgram()
    await ray.start("benchmarks.subjects.ray_head")
    nodes = Asking(stage.options, stage.url, seen)

    async def replace(place: Place, version: str, *, kill: bool = False) -> None:
        place.struck.set()
        await (place.node.kill() if kill else place.node.end())
        seen.counts["nodes killed" if kill else "nodes replaced"] += 1
        name = f"n{place.number}.v{version}"
        place.node = await nodes.join(NodeProgram(name), ray.address, **{VERSION: version})
        await nodes.takes_part(place)

    try:
        for number in range(3):
            name = f"n{number}.v1"
            nodes.places.append(Place(number, await nodes.join(NodeProgram(name), ray.address, **{VERSION: "1"})))
        async with nodes.asked():
            await asyncio.sleep(SETTLE)
            for number, place in enumerate(nodes.places):
                await replace(place, "2", kill=number == 1)
                if number < 2:
                    await all_reach(nodes, f"{number + 1} of 3 nodes are of version 2")
                    await strange_messages(nodes, seen)
                await asyncio.sleep(SETTLE)
            await replace(nodes.places[0], "1", kill=True)
            await all_reach(nodes, "one is of version 1 again")
            await asyncio.sleep(SETTLE)
            await strange_frames(nodes, ray.address, seen)
    finally:
        for place in nodes.places:
            await place.node.end()
        await ray.end()
    nodes.look_back()


async def strange_messages(nodes: Asking, seen: Seen) -> None:
    """Messages from version to version: those that the other one cannot read end by name, at once."""
    new, old = nodes.places[0].node, nodes.places[-1].node
    for sender, receiver, what in (
        (old, new, "Parcel"),
        (old, new, "Letter"),
        (new, old, "Parcel"),
        (new, old, "Crate"),
    ):
        said = await sender.do("post", node=receiver.id, what=what)
        name = "new to old" if sender is new else "old to new"
        note(f"{what}, {name}: {said}")
        seen.counts[f"{what}, {name}: {said.split(':')[0].split(' ')[0]}"] += 1
        if what in ("Letter", "Crate") and not (said.startswith("MessageNotPortable") and receiver.name in said):
            seen.violated("what the other version cannot read is named, with the node", f"{what}: {said}")


async def strange_frames(nodes: Asking, address: str, seen: Seen) -> None:
    """A node that speaks another protocol of frames is told so by name, and makes runs all the same."""
    strange = await nodes.join(NodeProgram("strange"), address, **{FRAMES: "2"})
    nodes.places.append(place := Place(len(nodes.places), strange))
    await nodes.takes_part(place)
    for one, other in ((strange, nodes.places[0].node), (nodes.places[0].node, strange)):
        said = await one.do("reaches", node=other.id)
        note(f"{one.name} to {other.name}: {said}")
        if not (said.startswith("NodeGone") and "protocol" in said and other.name in said):
            seen.violated("frames of another protocol are named, with the node", said)
    await asyncio.sleep(2 * SETTLE)


SCENES: Final[dict[str, tuple[Callable[[Stage], Awaitable[None]], bool]]] = {
    "head": (head_killed, True),
    "cut": (network_cut, True),
    "raylet": (raylet_killed, True),
    "two": (two_killed, True),
    "database": (database_gone, False),
    "deploy": (deployed, False),
}
"""By name; and whether it needs machines."""


async def play(name: str, options: Options, server: PostgresServer) -> Seen:
    """Play a scene, and look at what has come of it.

    Args:
        name: one of `SCENES`.
        options: the scene.
        server: a database's, which nothing else uses.
    """
    seen = Seen()
    scene, needs_machines = SCENES[name]
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE scene_{name}".encode())
    url = server.url.replace("/postgres?", f"/scene_{name}?")
    stage = Stage(options, server, Machines(), seen, url, "")
    if needs_machines:
        async with stage.machines:
            stage.listens = server.listen(stage.machines.address).replace("/postgres?", f"/scene_{name}?")
            await scene(stage)
    else:
        await scene(stage)
    for line in read(options.folder / "history"):
        if line.word == "told":
            seen.counts[f"log: {said_in(line.rest[1])}"] += 1
    return seen


def said_in(text: str) -> str:
    """What a line of a log is about, without what differs each time."""
    words = text.replace("_", " ")
    for start, what in (
        ("is cut off from the others", "a node is cut off"),
        ("takes part again", "a node takes part again"),
        ("cannot be written", "the journal cannot be written"),
        ("cannot be read", "the journal cannot be read"),
        ("that is over", "the journal can be used again"),
    ):
        if start in words:
            return what
    return f"{words:.90}"


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns 1 if anything was violated."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cluster_faults", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help=f"of {', '.join(SCENES)}; all by default")
    parser.add_argument("--quick", action="store_true", help="12 conversations, short absences")
    parser.add_argument("--conversations", type=int, default=60)
    parser.add_argument("--away", type=float, default=15.0)
    parser.add_argument("--head-away", type=float, default=80.0)
    parser.add_argument("--seed", type=int, default=0)
    given: dict[str, Any] = vars(parser.parse_args(argv))
    scenes = given.pop("scenes") or list(SCENES)
    if strange := [name for name in scenes if name not in SCENES]:
        parser.error(f"there is no scene {strange[0]}; there are {', '.join(SCENES)}")
    if given.pop("quick"):
        given |= {"conversations": 12, "away": 8.0, "head_away": 0.0}
    violated = False
    for name in scenes:
        why = missing() if SCENES[name][1] else ""
        if why:
            print(f"{name}: not played: {why}")
            continue
        began = time.monotonic()
        server = PostgresServer()
        try:
            with (
                suppress(KeyboardInterrupt),
                tempfile.TemporaryDirectory(prefix="cluster-", ignore_cleanup_errors=True) as folder,
            ):
                seen = asyncio.run(play(name, Options(Path(folder), **given), server))
                print(f"\n{name}: {(SCENES[name][0].__doc__ or '').strip()}\n{report(seen)}")
                violated = violated or bool(seen.violations)
        finally:
            server.close()
        print(f"({time.monotonic() - began:.0f} s)\n", file=sys.stderr, flush=True)
    return int(violated)
