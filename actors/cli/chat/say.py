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
    "/new": "begin a new conversation",
    "/sessions": "the conversations that are kept; with a number or an id: go on with that one",
    "/fork": "go on in a copy of this conversation; with a number: as it was after that step; /fork ? lists the steps",
    "/undo": "take the last question and its answer out of the conversation",
    "/save": "write the conversation into a file, as Markdown: /save FILE",
    "/model": "which models are used; with a name: use that one",
    "/help": "this list",
    "/quit": "leave; so does Ctrl-D",
}
TAKES_MORE = ("/sessions", "/fork", "/save", "/model")


@dataclass(frozen=True, slots=True)
class Say:
    """A message to an agent."""

    agent: str
    text: str


@dataclass(frozen=True, slots=True)
class Do:
    """A command, one of `COMMANDS`, and what was said behind it."""

    command: str
    what: str = ""


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
    word, rest = (*line.split(maxsplit=1), "")[:2]
    if word.startswith("/"):
        if word not in COMMANDS:
            return Mistake(_hint("command", word, list(COMMANDS)))
        if rest and word not in TAKES_MORE:
            return Mistake(f"{word} stands alone: {COMMANDS[word]}")
        return Do(word, rest)
    if word.startswith("@") and len(word) > 1:
        known = {name.lower(): name for name in agents}
        name = known.get(word[1:].lower())
        if name is None:
            return Mistake(_hint("agent", word, [f"@{agent}" for agent in agents]))
        return Say(name, rest) if rest else Mistake(f"say something to {name}: @{name} your message")
    return Say(agents[0], line)


def _hint(kind: str, word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"no {kind} is called {word}; {hint}"
