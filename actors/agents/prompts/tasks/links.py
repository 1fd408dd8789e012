"""What depends on what: links made symmetric, and cycles found. Linear in tasks and links, without recursion."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence

_SHOWN = 40
"""Tasks of a cycle that are named; of a longer one the middle is left out."""

Links = Mapping[str, Collection[str]]
"""Ids, and the ids each one points to; all of them are keys."""


def both_ways(dependencies: Links, unblocks: Links) -> tuple[Links, Links]:
    """The same links told from both ends: who depends on whom, whom each one unblocks. Each stands there once."""
    down: dict[str, dict[str, None]] = {task: {} for task in dependencies}
    up: dict[str, dict[str, None]] = {task: {} for task in dependencies}
    for task, needed in dependencies.items():
        for need in needed:
            down[task][need] = up[need][task] = None
    for task, freed in unblocks.items():
        for free in freed:
            down[free][task] = up[task][free] = None
    return down, up


def one_sided(dependencies: Links, unblocks: Links) -> str:
    """A task of which a link stands at one of its ends only, or twice; empty if there is none."""
    links = {(task, need) for task, needed in dependencies.items() for need in needed}
    told = {(free, task) for task, freed in unblocks.items() for free in freed}
    if links == told and len(links) == sum(map(len, dependencies.values())) == sum(map(len, unblocks.values())):
        return ""
    down, up = both_ways(dependencies, unblocks)
    return next(
        task
        for task in dependencies
        if len(down[task]) != len(dependencies[task]) or len(up[task]) != len(unblocks[task])
    )


def cycle_of(dependencies: Links, unblocks: Links) -> list[str]:
    """A cycle as its path, from a task over what it depends on back to it (``[a, b, a]``); empty if there is none.

    Args:
        dependencies: what each task depends on.
        unblocks: the same links from their other end.
    """
    missing = {task: len(needed) for task, needed in dependencies.items()}
    free = deque(task for task, count in missing.items() if not count)
    while free:
        for freed in unblocks[free.popleft()]:
            missing[freed] -= 1
            if not missing[freed]:
                free.append(freed)
    # Whatever is left depends on something that is left: from any of them the way leads into a cycle.
    at = next((task for task, count in missing.items() if count), None)
    if at is None:
        return []
    seen: dict[str, int] = {}
    way: list[str] = []
    while at not in seen:
        seen[at] = len(way)
        way.append(at)
        at = next(need for need in dependencies[at] if missing[need])
    return [*way[seen[at] :], at]


def as_path(cycle: Sequence[str]) -> str:
    """A cycle in a line: ``a → b → a``."""
    if len(cycle) > _SHOWN:
        half = _SHOWN // 2
        cycle = [*cycle[:half], f"({len(cycle) - 2 * half} more)", *cycle[-half:]]
    return " → ".join(cycle)
