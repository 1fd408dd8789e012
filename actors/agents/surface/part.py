"""What every part of an agency has."""

from __future__ import annotations

from ..agent import Agent
from ..errors import AgencyClosed
from ..runs.runtime.runtime import AgencyRuntime
from ..team.directory import Directory


class Part:
    """The base class of the parts of an agency, which sets what they share."""

    _runtime: AgencyRuntime
    _directory: Directory

    def _at_work(self, agent: Agent | str | None) -> str:
        """The name of an agent whose actor runs."""
        name = self._directory.name_of(agent)
        self._runtime.following.check()
        if name not in self._runtime.agents:
            raise AgencyClosed("the agency is not running: use `async with` it")
        return name
