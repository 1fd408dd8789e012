"""What has been found in going through a conversation again."""

from __future__ import annotations

from ....providers.messages import Request
from ..turns.records import RunRequest
from .view import DifferenceKind, ReplayDifference, ReplayedRequest


class Findings:
    """What has been found so far.

    Args:
        names: by which a run is called, where it was forwarded.
        only: the run to be looked at; None for all.

    Attributes:
        agent: whose stream is being gone through.
        number: of the step that is looked at.
    """

    def __init__(self, names: dict[str, str], only: str | None) -> None:
        self.names = names
        self.only = only
        self.agent = ""
        self.number = 0
        self.steps = 0
        self.requests: list[ReplayedRequest] = []
        self.differences: list[ReplayDifference] = []

    def wants(self, run: str) -> bool:
        """Whether a run is to be looked at."""
        return self.only is None or self._name(run) == self.only

    def requested(self, run: RunRequest, request: Request) -> None:
        """What the model would be asked."""
        self.requests.append(ReplayedRequest(self._name(run.id), self.number, run.agent, request))

    def differs(self, run: str, kind: DifferenceKind, text: str) -> None:
        """Today something would be otherwise."""
        self.differences.append(ReplayDifference(self._name(run), self.number, self.agent, kind, text))

    def _name(self, run: str) -> str:
        return self.names.get(run, run)
