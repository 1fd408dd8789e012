"""The skill ``agents``: finding other agents of the agency by what they do, and asking them."""

from __future__ import annotations

import re
from typing import Final

from .....providers.checks import COUNT
from .....tools.errors import ToolError
from .....tools.function_tool import tool
from ...caller import NOBODY, Caller
from ...context import ToolContext, request_context
from ...errors import HandoffRefused
from ...handoffs.handoff import Handoff
from ...handoffs.offer import handoff
from ...wishes import define
from ..context import Colleagues, SkillContext
from ..skill import Skill

_WORD: Final = re.compile(r"\w+")
_SHORTEST: Final = 3
"""Letters of a word that is looked for."""


class AgentsSkill(Skill):
    """The tools ``find_agents`` and ``message_agent``: for agencies of so many agents that no model is shown them all.

    An agent that has it may ask everybody whom neither the handoff policy, nor `Agency.revoke`, nor the scope of that
    agent forbids; flows are not needed. What is asked is a handoff: the limits, budgets and depths of handoffs hold,
    and each is asked for the same caller.

    Args:
        found: agents that are told of at once.
    """

    def __init__(self, *, found: int = 10) -> None:
        define("skill agents", found=(found, COUNT))
        self._most = found
        self._colleagues: Colleagues | None = None
        super().__init__(
            "agents",
            "There are other agents. Where somebody else knows more, find them by find_agents, and ask by "
            "message_agent. They know nothing of this conversation: say all that they need.",
            [tool(risk="safe", idempotent=True)(self.find_agents)],
            handoffs=[handoff(self.message_agent, name="message_agent")],
            description="Finds other agents, and asks them.",
        )

    async def initialize(self, context: SkillContext) -> None:
        """Know the others."""
        self._colleagues = context.colleagues

    async def close(self) -> None:
        """Know nobody any more."""
        self._colleagues = None

    async def find_agents(self, context: ToolContext, query: str = "") -> str:
        """Find other agents by what they do. Returns their names and descriptions, those that fit best first.

        Args:
            query: words for what is to be done; empty for all.
        """
        there = self._there(context.agent, context.caller)
        if query.strip():
            fits = [_fit(query, f"{name} {about}") for name, about in there]
            there = [there[at] for at in sorted(range(len(there)), key=lambda at: -fits[at]) if fits[at]]
        lines = [f"{name}: {about}" if about else name for name, about in there[: self._most]]
        if len(there) > self._most:
            lines.append(f"… and {len(there) - self._most} more: say more of what is to be done")
        return "\n".join(lines) or "(nobody fits; find_agents without a query tells of all)"

    async def message_agent(self, agent: str, message: str) -> Handoff:
        """Ask another agent, and wait for the answer.

        Args:
            agent: its name, as find_agents tells it.
            message: all that it needs to know.
        """
        if not message.strip():
            raise HandoffRefused(f"message_agent needs a message: what {agent!r:.80} is asked, as a text")
        context = request_context()
        sender, caller = (context.agent, context.caller) if context is not None else ("", NOBODY)
        if agent not in [name for name, _ in self._there(sender, caller)]:
            raise HandoffRefused(f"there is nobody called {agent!r:.80} whom you may ask: look by find_agents")
        return Handoff(sender, agent, message)

    def _there(self, agent: str, caller: Caller) -> list[tuple[str, str]]:
        if self._colleagues is None:
            raise ToolError("the skill agents is not open: it belongs to an agency that runs")
        return list(self._colleagues.of(agent, caller))


def _fit(query: str, text: str) -> float:
    """How many of the words asked for stand in a text, or begin as one of its words does; from 0 to 1."""
    wanted = {word for word in _WORD.findall(query.casefold()) if len(word) >= _SHORTEST}
    there = set(_WORD.findall(text.casefold()))
    fitting = sum(
        any(word.startswith(each) or each.startswith(word) for each in there if len(each) >= _SHORTEST)
        for word in wanted
    )
    return fitting / len(wanted) if wanted else 0.0
