"""Documents under the simulator: processes that are killed, and stores that fail, at any write."""

from __future__ import annotations

from typing import Any

import pytest

from callboard import Documents, Memory, System
from callboard.testing import Restart, Simulation, StoreFault, simulate

from .support import ANN


def version(number: int) -> bytes:
    return "\n\n".join(f"version {number} part {part}" for part in range(2 + number)).encode()


async def whole(documents: Documents) -> int:
    """The version that is there, which is whole; 0 for none."""
    entries = await documents.indexed(owner=ANN)
    passages = await documents.passages("a.txt", owner=ANN)
    if not entries:
        assert not passages
        return 0
    (entry,) = entries
    number = int(passages[0].text.split()[1])
    assert [one.text for one in passages] == [f"version {number} part {part}" for part in range(2 + number)]
    assert entry.passages == len(passages)
    return number


async def scenario(sim: Simulation) -> None:
    """A process that indexes three versions of a document, one after the other, and removes another one."""

    async def main(system: System) -> int:
        with Memory(sim.folder / "memory.db") as memory:
            documents = Documents(memory, characters=20)
            there = await whole(documents)
            assert not await documents.indexed(owner=ANN) or there
            for number in range(max(there, 1), 4):
                await documents.index(version(number), owner=ANN, name="a.txt")
                assert await whole(documents) == number
            return await whole(documents)

    assert await sim.process("indexer", main) == 3
    with Memory(sim.folder / "memory.db") as memory:
        documents = Documents(memory, characters=20)
        assert await whole(documents) == 3
        assert len(await documents.search("version part", owner=ANN, limit=50)) == 5
        assert await documents.remove("a.txt", owner=ANN)
        assert await memory.export(owner=ANN) == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_that_is_killed_at_any_write_has_one_version_and_all_of_it(when: Any) -> None:
    simulate(scenario, seeds=8, faults=[Restart("indexer", when=when)])


@pytest.mark.parametrize("what", ["full", "locked", "unreachable"])
def test_a_store_that_fails_at_any_write_is_waited_out_and_has_the_document_once(what: Any) -> None:
    simulate(scenario, seeds=4, faults=[StoreFault("indexer", what=what, seconds=4)])
