"""Where conversations live among very many nodes: how even it is, what moves, and what bounded loads do.

Simulated with the placement itself, without nodes: `actors/cluster/scale.md` says what follows from it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from random import Random

from callboard.actors.cluster.placement import Candidate, bound, place, score
from callboard.actors.cluster.placements import Placements


@dataclass(frozen=True)
class Found:
    """What came of it.

    Args:
        nodes, conversations: how many there were.
        most, least: conversations on the node that has the most, and the fewest; all nodes without load.
        left, spread: how many moved as a node left, and how many of them the node got that got the most.
        joined, wrongly: how many moved as a node joined, and how many of all moved elsewhere than to it.
        loaded, bound, second: runs, one of each conversation, placed one after another with the loads that are: on the
            node that has the most, how many it may have, and how many went to another node than without loads.
        swung, moved: how many would be placed elsewhere as all loads change, and how many are with a memory of it.
        seconds: for one placement.
    """

    nodes: int
    conversations: int
    most: int
    least: int
    left: int
    spread: int
    joined: int
    wrongly: int
    loaded: int
    bound: int
    second: int
    swung: int
    moved: int
    seconds: float


def simulate(nodes: int, conversations: int, sample: int, seed: int = 1) -> Found:
    """Place conversations, and see what happens as nodes and loads change.

    Args:
        nodes: how many.
        conversations: placed without loads.
        sample: of them, placed with loads.
        seed: of what nodes are called, and of loads.
    """
    random = Random(seed)
    ids = [f"{random.getrandbits(128):032x}" for _ in range(nodes + 1)]
    new, ids = ids[-1], ids[:-1]
    empty = [Candidate(id) for id in ids]
    keys = [f"user-{number}" for number in range(conversations)]
    begun = time.perf_counter()
    lives = {key: place(key, empty) or "" for key in keys}
    seconds = (time.perf_counter() - begun) / conversations
    counted = Counter(lives.values())

    gone = ids[0]
    rest = empty[1:]
    left = Counter(place(key, rest) for key, id in lives.items() if id == gone)

    joined = sum(score(key, new) > score(key, id) for key, id in lives.items())
    wider = [*empty, Candidate(new)]
    wrongly = sum(place(key, wider) not in (lives[key], new) for key in keys[:sample])

    at = {id: number for number, id in enumerate(ids)}
    loaded = list(empty)
    second = 0
    for key in keys[:sample]:
        found = place(key, loaded) or ""
        second += found != lives[key]
        loaded[at[found]] = Candidate(found, loaded[at[found]].load + 1)

    swings = {id: Candidate(id, random.randrange(100)) for id in ids}
    placements = Placements()
    for id in ids:
        placements.joined(id)
    idle = {id: Candidate(id) for id in ids}
    remembered = {key: placements.place(key, key, idle) for key in keys[: sample // 10]}
    swung = sum(place(key, list(swings.values())) != lives[key] for key in keys[: sample // 10])
    moved = sum(placements.place(key, key, swings) != id for key, id in remembered.items())
    return Found(
        nodes,
        conversations,
        max(counted.values()),
        min(counted.get(id, 0) for id in ids),
        left.total(),
        max(left.values(), default=0),
        joined,
        wrongly,
        max(node.load for node in loaded),
        bound(sample, 1 / nodes),
        second,
        swung,
        moved,
        seconds,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate, and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.placement", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--conversations", type=int, default=1_000_000)
    parser.add_argument("--sample", type=int, default=20_000)
    given = parser.parse_args(argv)
    for name, value in asdict(simulate(given.nodes, given.conversations, given.sample)).items():
        sys.stdout.write(f"{name:<14} {value:.6g}\n" if isinstance(value, float) else f"{name:<14} {value}\n")
    return 0
