"""The exit status, and the one line, of a command whose work failed, and of one that was given what is wrong."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from callboard.providers.simulated import SimulatedProvider
from callboard.providers.simulated.faults import Fault

from .command import MAIN, callboard, offline

TEAM = """\
agents: {{A: {{instructions: Be brief.}}}}
providers: {{mine: {{base_url: '{url}', api_key: x, default_model: any}}}}
retry: {{attempts: 1}}
"""


@pytest.mark.parametrize(("answer", "status"), [(500, 1), (503, 1), (400, 2), (401, 2), (403, 2)])
async def test_a_vendor_that_fails_is_no_fault_of_the_input_and_one_that_refuses_it_is(
    tmp_path: Path, answer: int, status: int
) -> None:
    async with SimulatedProvider("hi", fault=Fault("status", answer)) as server:
        (tmp_path / "team.yaml").write_text(TEAM.format(url=server.base_url), encoding="utf-8")
        done = await asyncio.to_thread(callboard, "run", "team.yaml", "hi", cwd=tmp_path)
    assert done.status == status, done
    assert done.out == ""
    last = done.err.splitlines()[-1]
    assert last.startswith("callboard: ")
    assert str(answer) in last
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("where", "status", "said"),
    [
        ("> /dev/full", 1, "callboard: what it says cannot be written: No space left on device\n"),
        ("| true", 0, ""),
        (">&-", 0, ""),
    ],
)
def test_a_place_that_takes_no_more_is_named_and_one_who_reads_no_more_is_none(
    tmp_path: Path, where: str, status: int, said: str
) -> None:
    words = [sys.executable, "-c", MAIN, "config", "schema"]
    line = f"set -o pipefail; {shlex.join(words)} {where}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=offline(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (status, said)
