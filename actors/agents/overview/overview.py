"""What an agency does now, as plain values."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ...core.base.events import Node
from ..runs.runtime.under_way import RunUnderWay

MOST_ACTORS: Final = 2_000
"""Actors of a tree that are shown; of what is left out the number is told, where it is."""


@dataclass(frozen=True, slots=True)
class ActorView:
    """An actor in the tree.

    Args:
        path: where it is.
        kind: the name of its class.
        phase: ``running``, ``starting``, ``restarting`` …; see `Node`.
        depth: how many are above it.
        waiting: messages in its mailbox.
        age: seconds that the oldest of them has waited, at least.
        restarts: how often it was restarted.
        crash: why it crashed last; empty if it has not while somebody looked on.
        left_out: actors below it that are not shown.
    """

    path: str
    kind: str
    phase: str
    depth: int
    waiting: int
    age: float
    restarts: int
    crash: str
    left_out: int


@dataclass(frozen=True, slots=True)
class EndpointView:
    """A provider of a pool.

    Args:
        pool, name: which.
        state: of its breaker: ``closed``, ``open`` …; see `EndpointHealth`.
        available: whether a request could be sent to it now.
        reason: why not.
        in_flight: requests.
        latency: seconds, on average.
        error_rate: share of failures among the latest calls.
        answered, failed: calls since the pool was made.
        tokens, cost: of its answers.
    """

    pool: str
    name: str
    state: str
    available: bool
    reason: str
    in_flight: int
    latency: float
    error_rate: float
    answered: int
    failed: int
    tokens: int
    cost: float


@dataclass(frozen=True, slots=True)
class PoolView:
    """A pool.

    Args:
        name: of its actor.
        waiting: requests in its queue.
        oldest: seconds that the first of them has waited.
        cost: US dollars since it was made.
    """

    name: str
    waiting: int
    oldest: float
    cost: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a person.

    Args:
        approval: the id by which it is decided.
        agent, run, conversation: whose it is.
        tool: what is to be called; empty where a run wants more.
        seconds: for which it has waited.
        user, tenant: who has asked for the run; empty for nobody named.
    """

    approval: str
    agent: str
    run: str
    conversation: str
    tool: str
    seconds: float
    user: str = ""
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Overview:
    """What an agency does now.

    Args:
        name: of its system.
        process: its number.
        seconds: since somebody looks on.
        actors: the tree, each below the one above it.
        all_actors: how many there are in all.
        runs: that have not ended, in this process.
        pools, endpoints: of its agents.
        waiting: for a person, in this process.
        cost_a_minute: US dollars that the pools have spent a minute, over the last minute somebody looked on.
        dead_letters: since somebody looks on.
        last_dead_letters: the latest of them, in words.
    """

    name: str
    process: int
    seconds: float
    actors: tuple[ActorView, ...]
    all_actors: int
    runs: tuple[RunUnderWay, ...]
    pools: tuple[PoolView, ...]
    endpoints: tuple[EndpointView, ...]
    waiting: tuple[Waiting, ...]
    cost_a_minute: float
    dead_letters: int
    last_dead_letters: tuple[str, ...]


@dataclass(slots=True)
class _Place:
    node: Node
    path: str
    depth: int
    children: list[_Place] = field(default_factory=list)
    shown: bool = field(init=False)


def shown_actors(
    tree: Sequence[Node], crashes: dict[str, str], most: int = MOST_ACTORS
) -> tuple[tuple[ActorView, ...], int]:
    """The actors of a tree, each below the one above it, and how many there are.

    Where there are too many, those nearer to the top are shown, and of the others only that they are there.

    Args:
        tree: from `System.tree`.
        crashes: why actors crashed last, by path.
        most: how many are shown.
    """
    top = [_Place(node, node.name, 0) for node in tree]
    waiting, found = deque(top), 0
    while waiting:  # level by level, without the stack
        place = waiting.popleft()
        place.shown = found < most
        found += 1
        place.children = [_Place(child, f"{place.path}/{child.name}", place.depth + 1) for child in place.node.children]
        waiting.extend(place.children)
    views: list[ActorView] = []
    stack = list(reversed(top))
    while stack:
        place = stack.pop()
        if place.shown:
            views.append(_view(place, crashes.get(place.path, "")))
            stack.extend(reversed(place.children))
    return tuple(views), found


def _view(place: _Place, crash: str) -> ActorView:
    node = place.node
    left_out = 0
    hidden = [child for child in place.children if not child.shown]
    while hidden:
        left_out += 1
        hidden.extend(hidden.pop().children)
    at = (place.path, node.kind, node.phase, place.depth, node.waiting, node.age, node.restarts)
    return ActorView(*at, crash, left_out)
