"""A machine that is cut off from the others and from the database: of namespaces, over a real Ray and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.campaigns.cluster_asking import Asked, Place
from benchmarks.campaigns.cluster_lab import HEAD, Lab, all_reach
from benchmarks.campaigns.cluster_node import HOLD
from benchmarks.campaigns.history import read
from benchmarks.campaigns.serve_clients import Seen
from benchmarks.campaigns.served import answer_to
from benchmarks.harness.model import Unsupported
from benchmarks.subjects.machines import Machines, missing
from benchmarks.subjects.postgres_server import PostgresServer

from callboard.actors.cluster.placement import Candidate, place


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL that may listen on a network."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'callboard[cluster]'")
    if why := missing():
        pytest.skip(why)
    made = PostgresServer()
    try:
        _ = made.url
    except Unsupported as error:
        pytest.skip(str(error))
    yield made
    made.close()


async def test_what_a_machine_writes_that_was_cut_off_beyond_its_lease_is_refused(
    server: PostgresServer, tmp_path: Path
) -> None:
    seen = Seen()
    asked = Asked(tmp_path, conversations=0, piece=0.01, patience=60.0)
    async with Machines() as machines:
        listens = server.listen(machines.address)
        async with Lab(asked, server.url, machines, listens, seen, numbers=(HEAD, 1)) as lab, lab.asked():
            one, other = lab.places
            await all_see(one, other)
            nodes = [Candidate(one.node.id), Candidate(other.node.id)]
            conversation = next(id for number in range(1000) if place(id := f"c{number}", nodes) == other.node.id)
            question = f"{HOLD}{other.node.name}"
            run = asyncio.create_task(one.node.do("run", question=question, conversation=conversation, run="r"))
            while not any(line.word == "call" for line in read(tmp_path / "history")):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            assert other.node.machine is not None
            await other.node.machine.joins(False)
            assert await run == answer_to(question)
            await other.node.do("go_on")
            await other.node.machine.joins(True)
            await lab.takes_part(other)
            await all_reach(lab, "it was cut off")
        lab.look_back()
    assert not seen.violations
    assert seen.counts["appends refused"] == 1
    assert seen.counts["runs"] == 1
    assert len([line for line in read(tmp_path / "history") if line.word == "call"]) == 2


async def all_see(one: Place, other: Place) -> None:
    """Wait until both nodes know of each other."""
    for a, b in ((one, other), (other, one)):
        while b.node.id not in await a.node.do("nodes"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
