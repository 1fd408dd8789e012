"""A token gives the same run in every process: other hash seeds, other addresses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from callboard.actors.testing import SimulationFailed, simulate

from .gallery import GALLERY

ROOT = Path(__file__).parents[2]
PROGRAM = """
import logging, sys
logging.disable(logging.CRITICAL)
from callboard.actors.testing import SimulationFailed, simulate
from tests.testing.gallery import GALLERY
for line in sys.stdin:
    number, operations, token = line.split(" ", 2)
    bug = GALLERY[int(number)]
    try:
        simulate(bug.build(eval(operations), False), faults=bug.faults, replay=token)
    except SimulationFailed as failed:
        print(failed.run.trace.digest())
"""
WORKLOADS: dict[str, tuple[object, ...]] = {
    "stale cache fill": ("read", "write", "read", "read"),
    "cancelled before the first step": ("good", "bad", "good", "good"),
    "permit lost when grant and timeout meet": (1.0, 1.0, 0.5),
    "restart that loses the queue": ("item", "item", "flush"),
    "over-admission": (0.5, 2.0, 2.0, 0.5),
}


@pytest.fixture(scope="module")
def failures() -> dict[int, tuple[tuple[object, ...], SimulationFailed]]:
    found = {}
    for number, bug in enumerate(GALLERY):
        if bug.name in WORKLOADS:
            operations = WORKLOADS[bug.name]
            with pytest.raises(SimulationFailed) as caught:
                simulate(bug.build(operations, False), seeds=500, faults=bug.faults)
            found[number] = operations, caught.value
    return found


@pytest.mark.parametrize("hash_seed", ["0", "1", "4711"])
def test_the_token_gives_the_same_digest_under_another_hash_seed(
    failures: dict[int, tuple[tuple[object, ...], SimulationFailed]], hash_seed: str
) -> None:
    lines = [f"{n} {repr(ops).replace(' ', '')} {failed.token}" for n, (ops, failed) in failures.items()]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input="\n".join(lines) + "\n",
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join([str(ROOT / ".src"), str(ROOT)])},
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout.split() == [failed.run.trace.digest() for _, failed in failures.values()]


def test_a_set_in_a_message_is_shown_in_one_order() -> None:
    from callboard.actors.testing.trace.trace import stable_repr

    assert stable_repr({"b", "a", "c"}) == "{'a', 'b', 'c'}"
    assert stable_repr([frozenset({2, 1}), {"k": {3}}]) == "[{1, 2}, {'k': {3}}]"


def test_an_address_in_a_message_is_left_out() -> None:
    from callboard.actors.testing.trace.trace import stable_repr

    assert "0x" not in stable_repr(object())
