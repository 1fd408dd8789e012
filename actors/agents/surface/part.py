"""What every part of an agency has."""

from __future__ import annotations

from ..agent import Agent
from ..caller import Caller
from ..errors import AgencyClosed
from ..runs.runtime.runtime import AgencyRuntime
from ..runs.validation import check_type
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

    async def _check_whose(self, agent: str, conversation: str, caller: Caller | None) -> None:
        """Raises `NotAllowed` where a conversation is another's."""
        check_type(caller, Caller | None, "caller", "a Caller, or None for the application itself")
        await self._runtime.check_whose(f"{agent}/{conversation}", caller)
