"""Scanners of Meta's LlamaFirewall."""

from __future__ import annotations

from typing import Any, Literal, get_args

from ...errors import DefinitionError, RunFailed
from ..extras import needed
from ..findings import Finding

Speaker = Literal["user", "assistant", "tool", "system", "memory"]


class LlamaFirewallCheck:
    """Finds what LlamaFirewall does not allow: the whole text. Of a stream nothing is shown before its end.

    Where it wants a person to be asked, that is a finding too: what happens is said by the guardrail.

    Args:
        firewall: a ``LlamaFirewall``, set up with the scanners that you want; None for one with its defaults.
        role: who says what is looked at: it chooses the scanners by that.

    Raises:
        MissingExtra: llamafirewall is not installed.
        DefinitionError: there is no such role, or the firewall is none.
    """

    __slots__ = ("_firewall", "_message", "_role")

    kind = "LlamaFirewall"

    def __init__(self, firewall: Any = None, *, role: Speaker = "user") -> None:
        roles = get_args(Speaker)
        if role not in roles:
            raise DefinitionError(f"LlamaFirewallCheck: role is one of {', '.join(roles)}, not {role!r:.80}")
        module = needed("llamafirewall", "LlamaFirewallCheck()", "llamafirewall")
        if firewall is None:
            firewall = module.LlamaFirewall()
        if not callable(getattr(firewall, "scan_async", None)):
            raise DefinitionError(f"LlamaFirewallCheck: firewall is a LlamaFirewall, not {type(firewall).__name__}")
        self._firewall = firewall
        self._message = module.Message
        self._role = module.Role(role)

    async def __call__(self, text: str) -> list[Finding]:
        """Have it look.

        Raises:
            RunFailed: a scanner of it has failed.
        """
        result = await self._firewall.scan_async(self._message(role=self._role, content=text))
        if str(getattr(result.status, "value", result.status)) == "error":
            raise RunFailed("a scanner of LlamaFirewall has failed")
        decision = str(getattr(result.decision, "value", result.decision))
        if decision == "allow":
            return []
        kind = "blocked by LlamaFirewall" if decision == "block" else "doubted by LlamaFirewall"
        return [Finding(0, len(text), kind, min(1.0, max(0.0, float(result.score))))]
