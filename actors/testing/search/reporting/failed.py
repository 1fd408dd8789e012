"""What a search ends in when it found something: the report, the run, and the token that replays it."""

from __future__ import annotations

import os
from pathlib import Path

from ...errors import SimulationError
from ...trace.page import page
from ..running.run import Run
from .inevitable import Inevitable


class SimulationFailed(SimulationError, AssertionError):
    """A schedule under which the scenario fails; the text is the report.

    Args:
        report: the whole report, as printed.
        run: the failing run, shrunk: ``run.error``, ``run.trace``, ``run.plan``.
        token: replays exactly this run.
        schedules: how many schedules ran until the failure was found.
        inevitable: from where on every schedule that was tried failed; None where that is not known.
    """

    def __init__(self, report: str, run: Run, token: str, schedules: int, inevitable: Inevitable | None = None) -> None:
        super().__init__(report)
        self.run = run
        self.token = token
        self.schedules = schedules
        self.inevitable = inevitable

    def html(self) -> str:
        """Return the failing run as a page: lanes of actors and tasks, and a scrubber through what happened.

        It is one file, which fetches nothing.
        """
        lost = None if self.inevitable is None else (self.inevitable.event, self.inevitable.tried)
        return page(self.run.trace, str(self), lost)

    def save_html(self, path: str | os.PathLike[str]) -> None:
        """Write `html` to a file."""
        Path(path).write_text(self.html(), encoding="utf-8")
