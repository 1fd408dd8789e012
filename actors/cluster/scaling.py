"""How many nodes the work wants: a hint for whatever starts and stops them. Pure.

As Kubernetes' HorizontalPodAutoscaler does it: what there is, over what a node is meant to have. What waits counts
besides, because a node that has more than it can do shows it there first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from .members import NodeInfo

RUNS: Final = 500
"""Runs under way that a node is meant to have. Most of a run is waiting for models, of which one event loop does
thousands; what tools do in this process counts as well."""

PATIENCE: Final = 2.0
"""Seconds for which a run may wait before anything is done for it."""

MOST: Final = 2.0
"""Times as many nodes as there are, at most, because of what waits: it says that there is too little, not how much."""

ROOM: Final = 0.8
"""Of what nodes are meant to have, so much must be enough before there are to be fewer: or a node that goes would be
wanted again at once."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """How many nodes the work wants.

    Args:
        nodes: that are alive and are not about to leave.
        wanted: how many there are to be; at least 1.
        why: in words.
        runs: under way on all nodes.
        waits: seconds for which the run that waits longest has waited to begin, although its conversation is free.
    """

    nodes: int
    wanted: int
    why: str
    runs: int
    waits: float


def scaling(nodes: Iterable[NodeInfo], runs: int = RUNS, max_wait: float = PATIENCE) -> Scaling:
    """How many nodes the work wants.

    Args:
        nodes: those that are alive.
        runs: how many each is meant to have under way; at least 1.
        max_wait: seconds for which a run may wait to begin; above 0.
    """
    all_nodes = list(nodes)
    there = sum(not node.draining for node in all_nodes)
    total = sum(node.load for node in all_nodes)
    waits = max((node.waits for node in all_nodes), default=0.0)
    for_load, with_room = max(1, math.ceil(total / runs)), max(1, math.ceil(total / (ROOM * runs)))
    for_queue = math.ceil(there * min(MOST, waits / max_wait)) if waits > max_wait else 0
    if not there:
        return Scaling(there, for_load, "there is no node that takes anything new", total, waits)
    if for_queue > max(there, for_load):
        why = f"a run has waited for {waits:.0f} s to begin, which is more than {max_wait:g} s"
        return Scaling(there, for_queue, why, total, waits)
    under_way = "1 run is" if total == 1 else f"{total} runs are"
    if for_load > there:
        return Scaling(there, for_load, f"{under_way} under way, and a node is to have {runs}", total, waits)
    if with_room < there and waits <= max_wait:
        why = f"{under_way} under way, for which fewer nodes of {runs} each have room to spare"
        return Scaling(there, with_room, why, total, waits)
    return Scaling(there, there, "what there is fits the work", total, waits)
