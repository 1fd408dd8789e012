"""What a skill is given when it is initialized."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...core.refs.ref import ActorRef

if TYPE_CHECKING:
    from ...core.system import System


@dataclass(frozen=True, slots=True)
class SkillContext:
    """What a skill may use while its agency runs.

    Args:
        system: the system that the agency lives in; actors of one's own are spawned there.
        model: the actor that answers the agents' requests, such as a pool; None where each has one of its own.
        skills: those that it requires, by name, initialized.
    """

    system: System
    model: ActorRef[Any] | None
    skills: Mapping[str, Any]
