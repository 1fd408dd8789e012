"""What ``callboard run`` takes."""

from __future__ import annotations

from pathlib import Path

from ...core.base.errors import CallboardError
from ..parts.caller import caller_of
from ..parts.folders import existing, team_file


class EmptyRequest(CallboardError):
    """There is nothing to do."""


def run(
    team: Path,
    request: str,
    /,
    *,
    folder: Path = Path(),
    import_from: Path | None = None,
    user: str | None = None,
    tenant: str = "",
) -> int:
    """Give a request to a team, and print its answer. How it came about goes to stderr.

    Args:
        team: the team file, a folder with a team.yaml, or an llm.yaml: then one plain agent answers with its models.
        request: what to do, in words.
        folder: the folder that the team's file tools are confined to.
        import_from: a folder to look in for the modules that the file names, such as its own.
        user: whom it is for: whose memory and files the agents have. By default nobody is named.
        tenant: the customer the user belongs to.
    """
    from ..parts.team import look_in
    from .run import run

    if not request.strip():
        raise EmptyRequest('the request has no words; say what to do: callboard run TEAM.yaml "List every TODO"')
    look_in(import_from)
    return run(team_file(team), request, existing(folder), caller_of(user, tenant))
