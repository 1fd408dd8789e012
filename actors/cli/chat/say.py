"""What a line typed into a chat means. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

COMMANDS = {
    "/agents": "who is in the team, and who may hand off to whom",
    "/cost": "tokens and dollars so far, by agent",
    "/tree": "the actors that run now",
    "/help": "this list",
    "/quit": "leave; so does Ctrl-D",
}


@dataclass(frozen=True, slots=True)
class Say:
    """A message to an agent."""

    agent: str
    text: str


@dataclass(frozen=True, slots=True)
class Do:
    """A command, one of `COMMANDS`."""

    command: str


@dataclass(frozen=True, slots=True)
class Mistake:
    """A line that means nothing here, and what to type instead."""

    hint: str


Meaning: TypeAlias = Say | Do | Mistake | None


def understand(line: str, agents: Sequence[str]) -> Meaning:
    """What a line means.

    Args:
        line: as typed. ``@agent text`` speaks to that agent, ``/word`` is a command, all else is for the first agent.
        agents: the names of the team, the first of which is spoken to by default.

    Returns:
        what to do, or None for a line without words.
    """
    line = line.strip()
    if not line:
        return None
    word, _, rest = line.partition(" ")
    if word.startswith("/"):
        return Do(word) if word in COMMANDS else Mistake(_hint("command", word, list(COMMANDS)))
    if word.startswith("@") and len(word) > 1:
        known = {name.lower(): name for name in agents}
        name = known.get(word[1:].lower())
        if name is None:
            return Mistake(_hint("agent", word, [f"@{agent}" for agent in agents]))
        return Say(name, rest.strip()) if rest.strip() else Mistake(f"say something to {name}: @{name} your message")
    return Say(agents[0], line)


def _hint(kind: str, word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"no {kind} is called {word}; {hint}"
