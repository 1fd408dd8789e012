"""The conversations of a chat: which one goes on, which there are, and what is done to them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from ...agents.agency import Agency
from ...agents.caller import NOBODY, Caller
from ...agents.conversations.view import ConversationRun, ConversationSummary, ConversationView
from ...agents.errors import UnknownConversation
from ...agents.rendering.flow import harmless
from ...core.base.errors import CallboardError

LISTED: Final = 20
"""Conversations in a list."""

PAGE: Final = 500

DIGITS: Final = 9
"""Of a step's number, at most."""


class NoSession(CallboardError):
    """There is no conversation to go on with, or to do something to."""


class CannotSave(CallboardError):
    """A conversation cannot be written into a file."""


class Session(NamedTuple):
    """A conversation that several agents may have a part in.

    Args:
        id: of the conversation.
        parts: those of the agents, the one that was spoken to last first.
    """

    id: str
    parts: tuple[ConversationSummary, ...]


class Sessions:
    """The conversations that somebody has with a team.

    Args:
        agency: the team.
        caller: who talks; None for nobody named.

    Attributes:
        id: of the conversation that goes on.
    """

    def __init__(self, agency: Agency, caller: Caller | None) -> None:
        self._agency = agency
        self._caller = caller
        self._listed: Sequence[Session] = ()
        self.id = self._new_id()

    def _new_id(self) -> str:
        """One that can be typed, which nobody else makes: several may talk at once, with one journal."""
        caller = self._caller or NOBODY
        whose = "".join(f"-{quote(name, safe='')}" for name in (caller.tenant, caller.user) if name)
        return f"chat{whose}-{time.strftime('%m%d')}-{secrets.token_hex(4)}"

    def begin(self) -> None:
        """Go on in a new conversation."""
        self.id = self._new_id()

    async def kept(self) -> list[Session]:
        """Those that are kept of whoever talks, the latest first."""
        caller = self._caller or NOBODY
        found: dict[str, list[ConversationSummary]] = {}
        after = ""
        while True:
            page = await self._agency.conversations(user=caller.user or None, after=after, limit=PAGE)
            for one in page:
                if (one.user, one.tenant) == (caller.user, caller.tenant) and one.agent in self._agency.agents:
                    found.setdefault(one.id, []).append(one)
            if len(page) < PAGE:
                break
            after = page[-1].name
        parts = [sorted(several, key=lambda one: -one.updated_at) for several in found.values()]
        return [Session(one[0].id, tuple(one)) for one in sorted(parts, key=lambda one: -one[0].updated_at)]

    async def go_on(self, which: str = "") -> ConversationView:
        """Go on with a conversation that is kept.

        Args:
            which: its id, or its number in the list that was shown last; empty for the latest.

        Returns:
            the part of the agent that was spoken to last.

        Raises:
            NoSession: it is not there.
        """
        sessions = await self.kept()
        if not sessions:
            raise NoSession("no conversation is kept to go on with; a team file keeps them with `journal: chats.db`")
        if not which:
            chosen = sessions[0]
        elif _is_number(which) and 0 < int(which) <= len(self._listed):
            chosen = self._listed[int(which) - 1]
        else:
            named = [one for one in sessions if one.id == which]
            if not named:
                raise NoSession(f"no conversation is called {which:.200}; the latest is {sessions[0].id}")
            chosen = named[0]
        self.id = chosen.id
        return await self._agency.conversation(chosen.id, agent=chosen.parts[0].agent, caller=self._caller)

    async def listed(self) -> list[str]:
        """A line for each of the latest, with numbers that `go_on` takes."""
        sessions = await self.kept()
        self._listed = sessions[:LISTED]
        lines = []
        for number, one in enumerate(self._listed, 1):
            mark = "*" if one.id == self.id else " "
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.parts[0].updated_at))
            agents, asked = ", ".join(part.agent for part in one.parts), await self._question(one.parts[0])
            lines.append(f"{mark}{number:>3}  {when}  {one.id}  {agents}  {asked}".rstrip())
        if len(sessions) > LISTED:
            lines.append(f"and {len(sessions) - LISTED} older ones")
        return lines or ["no conversation is kept yet"]

    async def _question(self, part: ConversationSummary) -> str:
        try:
            view = await self._agency.conversation(part.id, agent=part.agent, caller=self._caller)
        except CallboardError as error:
            return harmless(f"({error})")[:80]
        runs = present(view)
        return harmless(runs[-1].question)[:80] if runs else ""

    async def views(self) -> list[ConversationView]:
        """The parts of the conversation that goes on, the one of whoever was spoken to last first.

        Raises:
            NoSession: nothing has been said in it.
        """
        found = []
        for agent in self._agency.agents:
            try:
                found.append(await self._agency.conversation(self.id, agent=agent, caller=self._caller))
            except UnknownConversation:
                continue
        if not found:
            raise NoSession("nothing has been said yet")
        return sorted(found, key=lambda view: -max((run.at for run in view.runs), default=view.updated_at))

    async def fork(self, at: str = "") -> None:
        """Go on in a copy.

        Args:
            at: the number of the last step to take over, of whoever was spoken to last; empty for all there is.

        Raises:
            NoSession: nothing has been said, or it is no number.
            CallboardError: there is no such step.
        """
        views = await self.views()
        if at and not _is_number(at):
            last = max((step.number for step in views[0].steps), default=0)
            raise NoSession(f"a step is a number, not {at:.80}; the last of {views[0].agent} is {last}")
        to = self._new_id()
        for place, view in enumerate(views):
            step = int(at) if at and place == 0 else None
            await self._agency.fork(self.id, at=step, to=to, agent=view.agent, caller=self._caller)
        self.id = to

    async def undo(self) -> ConversationRun:
        """Take the last question out of the history, with what came of it there; returns it.

        Raises:
            NoSession: there is none.
            CallboardError: it is under way, or was transferred to another agent meanwhile.
        """
        view = (await self.views())[0]
        runs = present(view)
        if not runs:
            raise NoSession("there is nothing left to be undone")
        steps = [step.number for step in view.steps if step.run != runs[-1].id]
        await self._agency.rewind(self.id, to=max(steps, default=0), agent=view.agent, caller=self._caller)
        return runs[-1]

    async def save(self, name: str) -> Path:
        """Write the conversation that goes on into a file that is not there yet; returns which.

        Raises:
            NoSession: nothing has been said.
            CannotSave: the file is there, or cannot be written.
        """
        return _write(name, "\n".join(line for view in reversed(await self.views()) for line in as_markdown(view)))


def _is_number(typed: str) -> bool:
    """Whether it is a number of something here; Python does not read one of thousands of digits."""
    return typed.isdecimal() and len(typed) <= DIGITS


def _write(name: str, text: str) -> Path:
    path = Path(name)
    try:
        path = path.expanduser()
        with path.open("x", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text + "\n")
    except FileExistsError:
        raise CannotSave(f"{path} exists already; give another name") from None
    except (OSError, RuntimeError, ValueError) as error:  # nobody's home, and what no name can have
        raise CannotSave(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from None
    return path


def present(view: ConversationView) -> list[ConversationRun]:
    """The runs that the history still has."""
    return [run for run in view.runs if not run.rewound]


def as_markdown(view: ConversationView) -> Iterator[str]:
    """A conversation with an agent, to be read."""
    yield f"# {view.agent}, {view.id}"
    names: Mapping[str, str] = {"user": "You", "assistant": view.agent}
    for message in view.messages:
        who = names.get(message.role)
        if who is None:
            continue
        called = [f"`{call.name}` {call.arguments}" for call in message.tool_calls]
        if message.text.strip() or called:
            yield from ("", f"## {who}", "")
        if message.text.strip():
            yield message.text.rstrip()
        yield from (f"- called {one}" for one in called)
    yield ""
