"""What labelled text may cause, and where it may go: a policy as data. Pure.

After FIDES (Costa et al., Securing AI Agents with Information-Flow Control, 2025): labels of integrity and of
confidentiality are joined along a conversation, and a call is looked at with the labels of all that its model was told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

from ....providers.messages import Labels
from ....tools.tool import Risk
from ..errors import DefinitionError

WhenBarred: TypeAlias = Literal["ask", "refuse", "end"]

_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class LabelPolicy:
    """Which calls text from outside may cause, and where confidential text may go.

    A model that has been told a text may do what the text says. So what it calls from then on counts as caused by it,
    and as telling it: in its own conversation, and in those of agents that it hands work to.

    Args:
        risks: the risks of tools that untrusted text may not cause calls of: ``risky`` by default. An empty one lets
            it cause all.
        trusted: sources that count as trusted all the same, as they stand in labels: ``tool Read``, ``agent Editor``.
        confidential: for a kind of confidential text the names of the tools and the agents on other machines that it
            may be sent to. What is not named may be sent to none.
        allowed: names of tools that may always be called.
        barred: what becomes of other calls: a person is asked (``ask``), the model is told that it may not
            (``refuse``), or the run ends in `LabelRefused` (``end``).

    Raises:
        DefinitionError: something is of another shape.
    """

    risks: frozenset[Risk] = frozenset({"risky"})
    trusted: frozenset[str] = frozenset()
    confidential: Mapping[str, frozenset[str]] = field(default_factory=dict)
    allowed: frozenset[str] = frozenset()
    barred: WhenBarred = "ask"

    def __post_init__(self) -> None:
        for name in ("risks", "trusted", "allowed"):
            object.__setattr__(self, name, _texts(getattr(self, name), name))
        if unknown := sorted(self.risks - set(get_args(Risk))):
            raise DefinitionError(f"LabelPolicy.risks are {' and '.join(get_args(Risk))}, not {unknown[0]!r:.80}")
        given: object = self.confidential
        if not isinstance(given, Mapping):
            raise DefinitionError(f"LabelPolicy.confidential has names by kind, not {given!r:.80}")
        kept = {kind: _texts(names, f"confidential[{kind!r:.80}]") for kind, names in given.items()}
        _texts(kept, "confidential")
        object.__setattr__(self, "confidential", kept)
        if self.barred not in get_args(WhenBarred):
            raise DefinitionError(f"LabelPolicy.barred is ask, refuse or end, not {self.barred!r:.80}")

    def reason(self, name: str, risk: Risk, sends: bool, labels: Labels) -> str:
        """Why a call may not be made without more ado; empty where it may.

        Args:
            name: of the tool, or of the agent on another machine.
            risk: the tool's.
            sends: whether what it is called with leaves for somebody outside.
            labels: of what the model was told.
        """
        if name in self.allowed:
            return ""
        if risk in self.risks and (by := labels.untrusted - self.trusted):
            return f"{name} may not be called because of text from outside ({_listed(by)})"
        if sends:
            kinds = [kind for kind in labels.confidential if name not in self.confidential.get(kind, ())]
            if kinds:
                return f"{name} sends to somebody outside what may be confidential ({_listed(kinds)})"
        return ""


def _texts(given: object, where: str) -> frozenset[str]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise DefinitionError(f"LabelPolicy.{where} is a set of names, not {given!r:.80}")
    names = list(given)
    for name in names:
        if not isinstance(name, str) or not name:
            raise DefinitionError(f"LabelPolicy.{where} has names in it, none of them empty, not {name!r:.80}")
    return frozenset(names)


def _listed(names: Iterable[str]) -> str:
    """Some names, in order, and how many more."""
    ordered = sorted(names)
    more = [f"{len(ordered) - _SHOWN} more"] if len(ordered) > _SHOWN else []
    return ", ".join([*ordered[:_SHOWN], *more])
