"""A process that is killed (SIGKILL) while it adds facts."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from callboard import Memory, Owner

PROGRAM = "tests.agents.memory.adding_program"
TOP = Path(__file__).parents[3]


async def test_every_fact_that_was_said_to_be_kept_is_there_once_after_kills(tmp_path: Path) -> None:
    said: set[int] = set()
    for after in (7, 23, 1, 40):  # facts, of those that were not there before
        process = subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "-m", PROGRAM, str(tmp_path / "m.db")], cwd=TOP, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        new = 0
        for line in process.stdout:
            new += int(line) not in said
            said.add(int(line))
            if new > after:
                break
        process.kill()
        said.update(int(line) for line in process.stdout if line.endswith("\n"))
        process.wait()
        process.stdout.close()
    with Memory(tmp_path / "m.db") as memory:
        kept = Counter(fact["text"] for fact in await memory.export(owner=Owner("ann")))
        assert set(kept.values()) == {1}
        assert {f"fact number {number}" for number in said} <= kept.keys()
        found = await memory.search("number", owner=Owner("ann"), limit=len(kept))
        assert len(found) == len(kept), "words and vectors are those of the facts"
