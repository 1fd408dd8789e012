"""A program that is killed with its gateway: over a real Ray and a real PostgreSQL."""

from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks.campaigns.cluster_node import HOLD
from benchmarks.campaigns.history import read
from benchmarks.campaigns.served import answer_to
from benchmarks.subjects.cluster_programs import NodeProgram

from callboard.actors.cluster.placement import Candidate, place
from tests.postgres import Server

from .raying import ray_address

__all__ = ["ray_address"]


async def test_what_a_killed_program_was_at_work_on_is_answered_through_another_one(
    ray_address: str, postgres: Server, tmp_path: Path
) -> None:
    postgres.execute("CREATE DATABASE killed")
    url = postgres.url.replace("/postgres?", "/killed?")
    log = tmp_path / "log"
    asked, killed = NodeProgram("asked"), NodeProgram("killed")
    try:
        await asyncio.gather(*[node.join(ray_address, url, str(log), 0.01) for node in (asked, killed)])
        while len(await asked.do("nodes")) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        nodes = [Candidate(asked.id), Candidate(killed.id)]
        conversation = next(id for number in range(1000) if place(id := f"c{number}", nodes) == killed.id)
        question = f"{HOLD}killed"
        run = asyncio.create_task(asked.do("run", question=question, conversation=conversation, run="r"))
        while not any(line.word == "call" for line in read(log)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await killed.kill()
        assert await run == answer_to(question)
        assert [line.pid for line in read(log) if line.word == "call"] == [killed.pid, asked.pid]
    finally:
        await asked.end()
        await killed.end()
