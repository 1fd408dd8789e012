"""``callboard run``: one request to a team. The answer goes to stdout, how it came about to stderr."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from ...agents.agency import Agency
from ...agents.answer import Answer
from ...agents.caller import Caller
from ...agents.events import ApprovalDecided, ApprovalRequested, RunEvent, RunStarted
from ...agents.turns.steps import NOBODY_THERE
from ...core.base.errors import CallboardError
from ..parts.flow import Flow, make_console, total
from ..parts.printed import plain, print_json, say, shown
from ..parts.spending import Spending, Spent
from ..parts.team import running

ALL: Final = "all"
"""In place of a tool's name: every tool."""


EARLIER: Final = "of an earlier run"
"""What stands before the lines of a run that is gone on with, and was not asked for here."""


class NotKept(CallboardError):
    """A conversation is to be gone on with, and the team keeps none."""


class NoSuchTool(CallboardError):
    """A tool is approved beforehand that no agent of the team has."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command was told.

    Args:
        team_file: the team file, or one with only the sections about models.
        request: what to ask its first agent.
        folder: what the team's file tools are confined to.
        caller: whom it is for; None for nobody named.
        json: whether the answer is printed as JSON.
        model: which all agents use in place of their own; empty for their own.
        approve: names of tools whose calls are approved, or `ALL`.
        conversation: the id of the conversation to go on with; None for none.
    """

    team_file: Path
    request: str = field(repr=False)
    folder: Path
    caller: Caller | None
    json: bool
    model: str
    approve: tuple[str, ...]
    conversation: str | None


def run(wanted: Wanted) -> int:
    """Ask a team, print its answer.

    Returns:
        0; 1 where a call that needed a person was denied. A run without an answer raises.

    Raises:
        CallboardError: the file is wrong, a tool is not there, nothing is kept, or the run ended without an answer.
    """
    return asyncio.run(_run(wanted))


async def _run(wanted: Wanted) -> int:
    console = make_console(stderr=True)
    flow, spending = Flow(console, asyncio.get_running_loop().time), Spending()
    denied: list[tuple[str, ApprovalDecided]] = []
    async with running(wanted.team_file, wanted.folder, model=wanted.model) as agency:
        assert agency.system is not None
        _check(agency, wanted.approve)
        if wanted.conversation is not None and not agency.durable:
            raise NotKept(
                f"{wanted.team_file} keeps no conversations to go on with; write `journal: conversations.db` into it, "
                "or leave --conversation out"
            )
        agency.system.subscribe(flow.system_event)
        mine = ""

        def look(event: RunEvent) -> None:
            nonlocal mine
            if (
                not mine
                and isinstance(event, RunStarted)
                and event.run == event.root
                and event.root not in agency.resumed
            ):
                mine = event.root
            if event.root != mine:  # what a program left unfinished that was killed; whoever asked for it decides there
                flow.run_event(event, EARLIER)
                return
            flow.run_event(event)
            spending.count(event)
            if isinstance(event, ApprovalRequested):
                # Soon, not now: the agency notes the request after its subscribers have been told of it.
                asyncio.get_running_loop().call_soon(_decide, agency, event, wanted.approve)
            elif isinstance(event, ApprovalDecided) and not event.approved:
                denied.append((event.agent, event))

        agency.subscribe(look)
        answer = await agency.run(wanted.request, caller=wanted.caller, conversation=wanted.conversation)
    spent = spending.total
    console.print(total(answer, spent.price), style="dim")
    for agent, one in denied:
        hint = f"; let it with --approve {plain(one.tool)}" if one.reason == NOBODY_THERE and one.tool else ""
        console.print(f"{plain(agent)}'s {plain(one.tool) or 'wish for more'} was denied{hint}", style="yellow")
    if wanted.json:
        print_json(_as_json(answer, spent, denied))
    else:
        say(shown(answer.text.rstrip("\n")))
    return 1 if denied else 0


def _check(agency: Agency, approve: Sequence[str]) -> None:
    """Raises `NoSuchTool` where nobody has one of the tools."""
    there: set[str] = set()
    for name in agency.agents:
        made = agency.describe(name)
        there |= {one.name for one in (*made.tools, *made.handoffs)}
    for name in approve:
        if name != ALL and name not in there:
            near = difflib.get_close_matches(name, there, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join((*sorted(there), ALL))}"
            raise NoSuchTool(f"--approve {name}: no agent has a tool of that name; {hint}")


def _decide(agency: Agency, asked: ApprovalRequested, approve: Sequence[str]) -> None:
    if asked.tool and (asked.tool in approve or ALL in approve):
        agency.approve(asked)
    else:
        agency.deny(asked, NOBODY_THERE)


def _as_json(answer: Answer[Any], spent: Spent, denied: Sequence[tuple[str, ApprovalDecided]]) -> dict[str, Any]:
    from pydantic_core import to_jsonable_python

    return {
        "text": answer.text,
        "value": to_jsonable_python(answer.value, fallback=str),
        "agent": answer.agent,
        "agents": answer.agents,
        "handoffs": answer.chain,
        "conversation": answer.conversation,
        "run": answer.run,
        "usage": asdict(answer.usage),
        "cost": spent.known_cost,
        "seconds": answer.seconds,
        "notes": answer.notes,
        "denied": [{"agent": agent, "tool": one.tool, "reason": one.reason} for agent, one in denied],
    }
