"""Hypothesis strategies for workloads: message plans, supervision trees, agencies and fault plans.

Hypothesis draws and shrinks what is sent and what goes wrong; schedules are not drawn, `simulate` searches them for
each example (about ten a time: ``simulate(scenario, seeds=10)``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from ...core.actor import Actor
from ...core.base.restart import STRATEGIES, Restart
from ...core.base.spec import ChildSpec
from ...core.refs.ref import ActorRef
from ...core.supervisor import Supervisor
from ..faults.faults import (
    Crash,
    Delay,
    DelayReply,
    Drop,
    Duplicate,
    Fault,
    Kill,
    LoseReply,
    Pause,
    ProviderFault,
    Slow,
)

# -- message plans -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """One step of a sender: wait ``pause`` seconds, then tell or ask ``actor`` a message."""

    actor: str
    message: Any
    how: str = "tell"
    pause: float = 0.0


MessagePlan = tuple[tuple[Send, ...], ...]
"""What each of several concurrent senders does, in order."""


def message_plans(
    actors: Sequence[str],
    messages: st.SearchStrategy[Any],
    *,
    senders: int = 3,
    steps: int = 5,
    pauses: Sequence[float] = (0.0, 0.1, 1.0),
) -> st.SearchStrategy[MessagePlan]:
    """Draw message plans.

    Args:
        actors: the names to send to.
        messages: what is sent.
        senders, steps: at most so many senders, and steps of each.
        pauses: seconds between steps.
    """
    send = st.builds(
        Send,
        actor=st.sampled_from(list(actors)),
        message=messages,
        how=st.sampled_from(["tell", "ask"]),
        pause=st.sampled_from(list(pauses)),
    )
    return st.lists(st.lists(send, max_size=steps).map(tuple), max_size=senders).map(tuple)


async def play(plan: MessagePlan, actors: Mapping[str, ActorRef[Any]], *, timeout: float | None = None) -> list[Any]:
    """Carry a message plan out, each sender as a task of its own.

    Args:
        plan: what to send.
        actors: the refs by name.
        timeout: seconds for each ask.

    Returns:
        what the asks ended with, answers and errors, in the order of senders and steps.
    """

    async def sender(steps: tuple[Send, ...]) -> list[Any]:
        outcomes: list[Any] = []
        for step in steps:
            if step.pause:
                await asyncio.sleep(step.pause)
            ref = actors[step.actor]
            if step.how == "tell":
                ref.tell(step.message)
                continue
            try:
                outcomes.append(await ref.ask(step.message, timeout=timeout))
            except Exception as error:
                outcomes.append(error)
        return outcomes

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(sender(steps), name=f"sender{i}") for i, steps in enumerate(plan)]
    return [outcome for task in tasks for outcome in task.result()]


# -- supervision trees -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tree:
    """A supervision tree: a leaf has a restart type, a supervisor a strategy and children."""

    name: str
    restart: Restart = "permanent"
    strategy: str = ""
    children: tuple[Tree, ...] = ()

    def leaves(self, above: str = "") -> list[str]:
        """The paths of the workers, in start order."""
        path = f"{above}/{self.name}" if above else self.name
        if not self.strategy:
            return [path]
        return [leaf for child in self.children for leaf in child.leaves(path)]

    def spec(self, worker: Callable[..., Actor], *args: Any) -> ChildSpec:
        """The child spec of the whole tree, whose leaves are ``worker(*args)``."""
        if not self.strategy:
            return ChildSpec(worker, args=args, name=self.name, restart=self.restart)
        children = [child.spec(worker, *args) for child in self.children]
        return Supervisor.spec(children, strategy=self.strategy, name=self.name)  # type: ignore[arg-type]


@st.composite
def supervision_trees(draw: st.DrawFn, *, depth: int = 2, width: int = 3) -> Tree:
    """Draw supervision trees: at most ``depth`` supervisors above each other, at most ``width`` children each."""

    def subtree(name: str, left: int) -> Tree:
        restarts: tuple[Restart, ...] = ("permanent", "transient", "temporary")
        restart = draw(st.sampled_from(restarts))
        if left == 0 or not draw(st.booleans()):
            return Tree(name, restart)
        return supervisor(name, left - 1)

    def supervisor(name: str, left: int) -> Tree:
        count = draw(st.integers(1, width))
        children = tuple(subtree(f"{name}{i}" if left else f"w{i}", left) for i in range(count))
        return Tree(name, "permanent", draw(st.sampled_from(STRATEGIES)), children)

    return supervisor("top", depth - 1)


# -- agencies ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AgencyPlan:
    """Agents by name, the first of them the entry, and who may hand off to whom."""

    agents: tuple[str, ...]
    flows: tuple[tuple[str, str], ...]


@st.composite
def agencies(draw: st.DrawFn, names: Sequence[str] = ("A", "B", "C", "D")) -> AgencyPlan:
    """Draw agencies in which every agent can be reached from the entry; cycles occur."""
    agents = tuple(names[: draw(st.integers(1, len(names)))])
    flows = [(agents[draw(st.integers(0, i - 1))], agents[i]) for i in range(1, len(agents))]
    pairs = [(a, b) for a in agents for b in agents if a != b and (a, b) not in flows]
    if pairs:
        flows += draw(st.lists(st.sampled_from(pairs), unique=True, max_size=len(agents)))
    return AgencyPlan(agents, tuple(flows))


# -- fault plans -------------------------------------------------------------------------------------------------------


def fault_plans(
    actors: Sequence[str],
    *,
    kinds: Sequence[type[Fault]] = (Crash, Slow),
    messages: int = 6,
    size: int = 3,
) -> st.SearchStrategy[tuple[Fault, ...]]:
    """Draw fault plans; their faults are optional, because a drawn number may well be beyond the last message.

    Args:
        actors: the paths that may be struck.
        kinds: which faults.
        messages: the highest message number.
        size: at most so many faults.
    """
    path, nth, optional = st.sampled_from(list(actors)), st.integers(1, messages), st.just(True)
    seconds = st.sampled_from([0.1, 1.0, 10.0])
    builders: dict[Any, st.SearchStrategy[Fault]] = {
        Crash: st.builds(Crash, path, nth, st.sampled_from(["before", "in", "after"]), optional=optional),
        Kill: st.builds(Kill, path, nth, optional=optional),
        Slow: st.builds(Slow, path, nth, seconds, optional=optional),
        Pause: st.builds(Pause, path, nth, seconds, optional=optional),
        Delay: st.builds(Delay, path, nth, seconds, optional=optional),
        DelayReply: st.builds(DelayReply, path, nth, seconds, optional=optional),
        LoseReply: st.builds(LoseReply, path, nth, optional=optional),
        Drop: st.builds(Drop, path, nth, optional=optional),
        Duplicate: st.builds(Duplicate, path, nth, optional=optional),
        ProviderFault: st.builds(
            ProviderFault,
            path,
            nth,
            st.sampled_from(["rate_limited", "overloaded", "timeout", "cut", "malformed"]),
            st.sampled_from([0.5, 5.0]),
            st.sampled_from([1.0, 30.0]),
            st.integers(0, 3),
            optional=optional,
        ),
    }
    return st.lists(st.one_of([builders[kind] for kind in kinds]), max_size=size, unique=True).map(tuple)
