"""What a prompt function gets for what it defines: a text that stands for it in other texts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from ..errors import PromptError

_MOST_KNOWN: Final = 4096
KNOWN: Final[set[str]] = set()
"""Names that were looked at already: most come again in each step."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


def check_name(name: object, where: str) -> str:
    """The name of a part.

    Raises:
        PromptError: it is none.
    """
    if type(name) is str and (name in KNOWN or _NAME.fullmatch(name)):
        if len(KNOWN) < _MOST_KNOWN:
            KNOWN.add(name)
        return name
    raise PromptError(
        f"{where}: {name!r:.80} is no name of a part; use up to 64 letters, digits, '_', '.' and '-', a letter or '_' "
        "first"
    )


class Marks:
    """Which parts of a step are left out, and of which the model is reminded."""

    __slots__ = ("disabled", "over", "reminded")

    def __init__(self) -> None:
        self.disabled: set[str] = set()
        self.reminded: dict[str, Reference] = {}
        self.over = False


class Reference(str):
    """A part of a prompt; as a text it is the part's tag, ``<name>``.

    Attributes:
        name: the part's name.
        value: its text.
    """

    __slots__ = ("marks", "name", "told", "value")

    name: str
    value: str
    told: str
    """The part as the model is shown it; empty until it has been."""
    marks: Marks
    """Those of the step that it belongs to."""

    def remind(self) -> Reference:
        """Remind the model of the part in this step, after all else that it is told.

        Raises:
            PromptError: the step's request has been made.
        """
        self._live("remind").reminded[self.name] = self
        return self

    def disable(self) -> Reference:
        """Leave the part out in this step.

        Raises:
            PromptError: the step's request has been made.
        """
        self._live("disable").disabled.add(self.name)
        return self

    def _live(self, method: str) -> Marks:
        marks = self.marks
        if marks.over:
            raise PromptError(
                f"{method}() of the part {self.name!r} came too late, the step's request has been made: call it in the "
                "prompt function, or in an effect"
            )
        return marks


def reference(name: str, value: str, marks: Marks) -> Reference:
    """The reference to a part of the step that ``marks`` belong to. Not by ``__new__``: 0.16 µs, that takes 0.29."""
    made = Reference(f"<{name}>")
    made.name = name
    made.value = value
    made.told = ""
    made.marks = marks
    return made


def shown(parts: Iterable[Reference]) -> str:
    """Parts as the model is shown them."""
    return "\n\n".join([part.told or _told(part) for part in parts])


def _told(part: Reference) -> str:
    name, value = part.name, part.value
    if f"</{name}" in value:
        value = value.replace(f"</{name}", f"&lt;/{name}")
    part.told = f"<{name}>\n{value}\n</{name}>"
    return part.told


class ToolReference(str):
    """A tool, or a sub-agent, that a prompt function defined; as a text it is its name."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """Its name."""
        return str(self)
