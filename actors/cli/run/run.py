"""``callboard run``: one request to a team. The answer goes to stdout, how it came about to stderr."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ...agents.caller import Caller
from ...agents.events import ApprovalRequested, RunEvent
from ..parts.flow import Flow, make_console, total
from ..parts.printed import say, shown
from ..parts.team import running


def run(team_file: Path, request: str, folder: Path, caller: Caller | None) -> int:
    """Ask a team, print its answer.

    Args:
        team_file: the team file, or one with only the sections about models.
        request: what to ask its first agent.
        folder: what the team's file tools are confined to.
        caller: whom it is for; None for nobody named.

    Returns:
        0; a run without an answer raises.

    Raises:
        CallboardError: the file is wrong, or the run ended without an answer.
    """
    return asyncio.run(_run(team_file, request, folder, caller))


async def _run(team_file: Path, request: str, folder: Path, caller: Caller | None) -> int:
    console = make_console(stderr=True)
    flow = Flow(console, asyncio.get_running_loop().time)
    async with running(team_file, folder) as agency:
        assert agency.system is not None
        agency.system.subscribe(flow.system_event)

        def look(event: RunEvent) -> None:
            flow.run_event(event)
            if isinstance(event, ApprovalRequested):
                # Soon, not now: the agency notes the request after its subscribers have been told of it.
                reason = "nobody is there to approve it; only `callboard chat` asks"
                asyncio.get_running_loop().call_soon(agency.deny, event, reason)

        agency.subscribe(look)
        answer = await agency.run(request, caller=caller)
    console.print(total(answer), style="dim")
    say(shown(answer.text.rstrip("\n")))
    return 0
