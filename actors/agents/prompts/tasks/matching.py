"""Which agent is to work on which task."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from .graph import GraphTask
from .status import listed


class Matched(NamedTuple):
    """Tasks with the agents that are to work on them, and why others have none.

    Args:
        agents: the agent's name for each task's id, in the order of the tasks.
        unmatched: by id what is wrong, in words.
    """

    agents: dict[str, str]
    unmatched: dict[str, str]


def match(tasks: Iterable[GraphTask], agents: Mapping[str, Collection[str]]) -> Matched:
    """Give each task the agent that it is assigned to, or else a capable one: of several the one with the fewest tasks
    so far, of those the one with the fewest capabilities (who can do more is kept for what needs more), then the first.

    Args:
        tasks: those that can be worked on.
        agents: their names, and what each is capable of.
    """
    able = {name: frozenset(capabilities) for name, capabilities in agents.items()}
    load = dict.fromkeys(able, 0)
    found: dict[str, str] = {}
    unmatched: dict[str, str] = {}
    for task in tasks:
        required = frozenset(task.required_capabilities)
        if task.assigned_agent:
            capable = [task.assigned_agent] if task.assigned_agent in able else []
            wrong = f"assigned to {task.assigned_agent!r}, who is not there"
        else:
            capable = [name for name, has in able.items() if required <= has]
            together = " together" if len(required) > 1 else ""
            wrong = f"no agent is capable of {listed(task.required_capabilities)}{together}"
        if capable:
            chosen = min(capable, key=lambda name: (load[name], len(able[name])))
            load[chosen] += 1
            found[task.id] = chosen
        else:
            unmatched[task.id] = wrong
    return Matched(found, unmatched)
