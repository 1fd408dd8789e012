"""Who may hand off to whom, and to which hosts: a policy as data, above flows and handoffs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..errors import DefinitionError

EVERYONE = "*"


@dataclass(frozen=True, slots=True)
class HandoffPolicy:
    """What may not be handed off, whatever flows, handoffs, hooks and `Agency.allow` say.

    Args:
        agents: for a sender's name the names of the targets it may hand off to; ``"*"`` stands for all other senders,
            or for every target. Who is not named, where there is no ``"*"``, hands off to nobody. None for no rule.
        domains: where targets on other machines may be: ``"example.com"`` is that host and all below it. None for no
            rule.

    Raises:
        DefinitionError: something is of another shape.
    """

    agents: Mapping[str, Iterable[str]] | None = None
    domains: Iterable[str] | None = None

    def __post_init__(self) -> None:
        agents, domains = self.agents, self.domains
        if agents is not None:
            if not isinstance(agents, Mapping):
                raise DefinitionError(f"HandoffPolicy.agents has targets by sender, not {agents!r:.80}")
            kept = {_text(name, "agents"): _texts(targets, "agents") for name, targets in agents.items()}
            object.__setattr__(self, "agents", kept)
        if domains is not None:
            names = frozenset(name.lower().strip(".") for name in _texts(domains, "domains"))
            if any(not name or set(name) & set("*/:@ ") for name in names):
                raise DefinitionError(f"HandoffPolicy.domains are names as 'example.com', not {domains!r:.80}")
            object.__setattr__(self, "domains", names)

    def allows(self, sender: str, target: str) -> bool:
        """Whether one may hand off to the other."""
        if self.agents is None:
            return True
        allowed = self.agents.get(sender, self.agents.get(EVERYONE, ()))
        return target in allowed or EVERYONE in allowed

    def allows_host(self, host: str) -> bool:
        """Whether targets may be at a host.

        Args:
            host: its name, in lower case; empty for those that are here.
        """
        if not host or self.domains is None:
            return True
        return any(host == domain or host.endswith(f".{domain}") for domain in self.domains)


def _texts(given: Iterable[str], field: str) -> frozenset[str]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise DefinitionError(f"HandoffPolicy.{field} has sets of names, not {given!r:.80}")
    return frozenset(_text(name, field) for name in given)


def _text(given: object, field: str) -> str:
    if not isinstance(given, str) or not given:
        raise DefinitionError(f"a name in HandoffPolicy.{field} is a text, not {given!r:.80}")
    return given


OPEN = HandoffPolicy()
"""No rule."""
