"""Who said what to whom in a conversation: lanes, and arrows between them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from ....agents.answer import Step, StepCall
from ....agents.conversations.view import ConversationRun
from .cutting import Room

MOST_ARROWS: Final = 1_000

_LABEL: Final = 120
"""Characters of what is written on an arrow."""

_OVER: Final = ("answered", "failed")


def sequence_of(
    room: Room, agent: str, steps: Sequence[Step], runs: Iterable[ConversationRun], handed: Sequence[str] = ()
) -> dict[str, Any]:
    """The sequence of some steps.

    Args:
        room: for the labels.
        agent: who is asked.
        steps: in their order.
        runs: to which they belong; those without any step at the end are shown, too.
        handed: agents to whom work was handed that is still under way.

    Returns:
        ``lanes``, the first being the caller's, which ``caller`` names; ``arrows``; ``arrows_left_out``.
    """
    known = {run.id: run for run in runs}
    arrows: list[dict[str, Any]] = []
    left_out = 0
    caller = _caller(agent, steps, known)
    for sender, target, kind, label, at, number in _arrows(agent, caller, list(steps), known, handed):
        if len(arrows) == MOST_ARROWS:
            left_out += 1
            continue
        first = room.text(" ".join(label[: 4 * _LABEL].split()), _LABEL)
        room.told({})  # what of it is left out stands in the steps
        arrows.append({"from": sender, "to": target, "kind": kind, "label": first, "at": at, "step": number})
    lanes = dict.fromkeys((caller, agent, *(end for arrow in arrows for end in (arrow["from"], arrow["to"]))))
    return {"lanes": list(lanes), "caller": caller, "arrows": arrows, "arrows_left_out": left_out}


def _caller(agent: str, steps: Iterable[Step], runs: dict[str, ConversationRun]) -> str:
    """The caller's lane: their name, unless an agent is called so."""
    name = next((run.caller.user for run in runs.values() if run.caller.user), "") or "caller"
    agents = {agent, *(one.agent for step in steps for one in _every(step))}
    while name in agents:
        name = f"{name} (caller)"
    return name


def _every(step: Step) -> Iterator[Step]:
    waiting = [step]
    while waiting:
        one = waiting.pop()
        yield one
        waiting.extend(nested for call in one.calls for nested in call.steps)


_Arrow = tuple[str, str, str, str, float, int | None]


def _arrows(
    agent: str, caller: str, steps: list[Step], runs: dict[str, ConversationRun], handed: Sequence[str]
) -> Iterator[_Arrow]:
    shown: set[str] = set()
    at_work = agent
    for index, step in enumerate(steps):
        run = runs.get(step.run)
        if run is not None and run.id not in shown:
            shown.add(run.id)
            yield caller, step.agent, "ask", run.question, run.at, step.number
        yield from _of_step(step)
        at_work = step.agent
        if run is not None and (index + 1 == len(steps) or steps[index + 1].run != run.id):
            yield from _answer(run, step.agent, caller, step.number)
    for target in handed:
        yield at_work, target, "handoff", "under way", 0.0, steps[-1].number if steps else None
    for run in runs.values():
        if run.id not in shown and run.at >= (steps[-1].at if steps else 0.0):
            yield caller, agent, "ask", run.question, run.at, None
            yield from _answer(run, run.agent or agent, caller, None)


def _answer(run: ConversationRun, agent: str, caller: str, number: int | None) -> Iterator[_Arrow]:
    if run.status in _OVER:
        failed = "" if run.error is None else f"failed: {type(run.error).__name__}"
        yield agent, caller, "answer", failed or run.answer, run.at + run.seconds, number


def _of_step(step: Step) -> Iterator[_Arrow]:
    """The arrows of a step, with those of the agents that worked for it, without the stack."""
    at, number = step.at, step.number
    waiting: list[Step | StepCall | _Arrow] = [step]
    senders = {id(call): step.agent for call in step.calls}
    while waiting:
        one = waiting.pop()
        if isinstance(one, Step):
            senders.update((id(call), one.agent) for call in one.calls)
            waiting.extend(reversed(one.calls))
        elif isinstance(one, StepCall):
            sender, handoff = senders[id(one)], one.handoff
            if handoff is None:
                yield sender, sender, "tool", one.tool, at, number
                continue
            yield sender, handoff.target, "handoff", handoff.task, at, number
            if handoff.kind == "delegate":
                answer = f"failed: {handoff.failed}" if handoff.failed else one.output
                waiting.append((handoff.target, sender, "answer", answer, at + one.seconds, number))
                waiting.extend(reversed(one.steps))
        else:
            yield one
