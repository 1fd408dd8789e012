"""What ``callboard demo`` and ``callboard init`` take."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from ..parts.folders import existing
from ..parts.printed import plain, say


def demo(
    folder: Path = Path(),
    /,
    *,
    ask: str | None = None,
    report: Path | None = None,
    dashboard: bool = False,
) -> int:
    """Let a planner and a developer work on a folder, offline, while parts of the team are made to fail.

    Args:
        folder: the folder to work on; nothing outside it is read or written.
        ask: the request, in words. By default a review: what is broken, forgotten or left to do, with file and line.
        report: where in the folder the report is written. By default: callboard-report.md.
        dashboard: show it in a browser as well, until Ctrl-C.
    """
    from .demo import demo

    return demo(existing(folder), ask=ask, report=report, dashboard=dashboard)


def init(folder: Path = Path(), /) -> int:
    """Write a small team to start from: team.yaml and the instructions of its two agents.

    Args:
        folder: where to; made if need be. Nothing is overwritten.
    """
    from .init import write_team

    team, *others = write_team(folder)
    say(f"wrote {', '.join(plain(str(path)) for path in (team, *others))}")
    say(f'now try: callboard run {plain(quote(str(team)))} "List every TODO of this folder in report.md"')
    return 0
