"""What ``callboard chat`` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ...core.base.errors import CallboardError
from ..parts.caller import caller_of
from ..parts.folders import existing, team_file


class NobodyToTalkTo(CallboardError):
    """It was not said with whom."""


class SeveralToResume(CallboardError):
    """A chat goes on with one conversation."""


def chat(
    team: Annotated[str, Parameter(show_default=False)] = "",
    /,
    *,
    resume: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    model: str = "",
    folder: Path = Path(),
    import_from: Path | None = None,
    user: str | None = None,
    tenant: str = "",
) -> int:
    """Talk to a team: @agent speaks to one of them, /help lists the commands, Ctrl-C cancels a run.

    Args:
        team: the team file, a folder with a team.yaml, an llm.yaml: then one plain agent answers with its models; or
            module:name of an Agency.
        resume: go on with the conversation of this id, or with the latest, where the team's journal has one.
        model: a model that all agents use in place of their own.
        folder: the folder that the team's file tools are confined to.
        import_from: a folder to look in for the modules that are named.
        user: whom it is for: whose memory and files the agents have. By default nobody is named.
        tenant: the customer the user belongs to.
    """
    from ..parts.team import look_in
    from .chat import chat

    team, which = _told(team, resume)
    file = None if ":" in team and not Path(team).exists() else team_file(Path(team))
    look_in(import_from)
    if file is None:
        look_in(Path())  # as Python does for a program of one's own
    return chat(team if file is None else file, existing(folder), caller_of(user, tenant), which, model)


def _told(team: str, resume: list[str] | None) -> tuple[str, str | None]:
    """The team, and the conversation to go on with: empty for the latest, None for a new one. What stands behind
    ``--resume`` may be the id, the team, or both."""
    words = resume or []
    if not team and words:
        *words, team = words
    if len(words) > 1:
        raise SeveralToResume(f"--resume has one conversation, not {len(words)}: {' '.join(words):.80}")
    if not team:
        raise NobodyToTalkTo("say with whom: a team file, or module:name; callboard chat TEAM.yaml")
    return team, None if resume is None else (*words, "")[0]
