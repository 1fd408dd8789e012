"""What a skill is given when it is initialized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ...core.refs.ref import ActorRef
from ..caller import Caller

if TYPE_CHECKING:
    from ...core.system import System


class Colleagues(Protocol):
    """The agents of an agency, as a skill sees them."""

    def of(self, sender: str, caller: Caller) -> Sequence[tuple[str, str]]:
        """Names and descriptions of the others whom nothing forbids an agent to ask for a caller, at this moment."""
        ...


@dataclass(frozen=True, slots=True)
class SkillContext:
    """What a skill may use while its agency runs.

    Args:
        system: the system that the agency lives in; actors of one's own are spawned there.
        model: the actor that answers the agents' requests, such as a pool; None where each has one of its own.
        skills: those that it requires, by name, initialized.
        colleagues: the agency's agents.
    """

    system: System
    model: ActorRef[Any] | None
    skills: Mapping[str, Any]
    colleagues: Colleagues
