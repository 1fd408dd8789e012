"""What ``callboard chat`` takes."""

from __future__ import annotations

from pathlib import Path

from ..parts.caller import caller_of
from ..parts.folders import existing, team_file


def chat(
    team: Path,
    /,
    *,
    folder: Path = Path(),
    import_from: Path | None = None,
    user: str | None = None,
    tenant: str = "",
) -> int:
    """Talk to a team: @agent speaks to one of them, /help lists the commands, Ctrl-C cancels a run.

    Args:
        team: the team file, or an llm.yaml: then one plain agent answers with its models.
        folder: the folder that the team's file tools are confined to.
        import_from: a folder to look in for the modules that the file names, such as its own.
        user: whom it is for: whose memory and files the agents have. By default nobody is named.
        tenant: the customer the user belongs to.
    """
    from ..parts.team import look_in
    from .chat import chat

    look_in(import_from)
    return chat(team_file(team), existing(folder), caller_of(user, tenant))
