"""What ``callboard run`` takes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from ...core.base.errors import CallboardError
from ..parts.caller import caller_of
from ..parts.folders import existing, team_file

MOST: Final = 10_000_000
"""Characters of a request that is read from stdin."""


class EmptyRequest(CallboardError):
    """There is nothing to do."""


def run(
    team: Path,
    request: str | None = None,
    /,
    *,
    json: bool = False,
    model: str = "",
    approve: tuple[str, ...] = (),
    conversation: str | None = None,
    folder: Path = Path(),
    import_from: Path | None = None,
    user: str | None = None,
    tenant: str = "",
) -> int:
    """Give a request to a team, and print its answer. How it came about goes to stderr. The exit status is 1 where a
    call that needs a person's approval was denied, as all are that --approve does not name. What a program left
    unfinished in the team's journal, as it was killed, is gone on with meanwhile, and marked as an earlier run's.

    Args:
        team: the team file, a folder with a team.yaml, or an llm.yaml: then one plain agent answers with its models.
        request: what to do, in words. By default what stdin has.
        json: print the answer as JSON, with its conversation, tokens, cost and what was denied.
        model: a model that all agents use in place of their own.
        approve: a tool whose calls may run without being asked for, or all; given several times, several.
        conversation: the id of a conversation to go on with, or to begin, in the team's journal.
        folder: the folder that the team's file tools are confined to.
        import_from: a folder to look in for the modules that the file names, such as its own.
        user: whom it is for: whose memory and files the agents have. By default nobody is named.
        tenant: the customer the user belongs to.
    """
    from ..parts.team import look_in
    from .run import Wanted, run

    if request is None:
        request = "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.read(MOST)
    if not request.strip():
        raise EmptyRequest('the request has no words; say what to do: callboard run TEAM.yaml "List every TODO"')
    look_in(import_from)
    who = caller_of(user, tenant)
    return run(Wanted(team_file(team), request, existing(folder), who, json, model, approve, conversation))
