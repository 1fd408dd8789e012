"""The conversations of a chat: which one goes on, which there are, and what is done to them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from ...agents.agency import Agency
from ...agents.answer import Step
from ...agents.caller import NOBODY, Caller
from ...agents.conversations.view import ConversationSummary, ConversationView
from ...agents.errors import UnknownConversation
from ...agents.rendering.flow import first_line, harmless
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
            raise NoSession(self._none_kept())
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

    def _none_kept(self) -> str:
        if not self._agency.durable:
            return "no conversation is kept to go on with; a team file keeps them with `journal: chats.db`"
        whose = f" of {self._caller.user:.80}" if self._caller is not None else ""
        return f"no conversation{whose} is kept yet to go on with"

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
        asked = asked_in(view)
        return harmless(asked[-1].question)[:80] if asked else ""

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

    async def fork(self, at: str = "") -> str:
        """Go on in a copy; returns whose steps were counted.

        Args:
            at: the number of the last step to take over, of whoever was spoken to last; empty for all there is.

        Raises:
            NoSession: nothing has been said, or there is no such step; it says which there are.
        """
        views = await self.views()
        last = max((step.number for step in views[0].steps), default=0)
        if at and not (_is_number(at) and int(at) <= last):
            steps = "\n".join(f"{step.number:>4}  {_in_words(step)}" for step in views[0].steps[-LISTED:])
            raise NoSession(f"say after which step of {views[0].agent}, from 0 to {last}, and not {at:.80}:\n{steps}")
        to = self._new_id()
        for place, view in enumerate(views):
            step = int(at) if at and place == 0 else None
            await self._agency.fork(self.id, at=step, to=to, agent=view.agent, caller=self._caller)
        self.id = to
        return views[0].agent

    async def undo(self) -> str:
        """Take the last question out of the history, with what came of it there; returns it.

        Raises:
            NoSession: there is none.
            CallboardError: it is under way, or was transferred to another agent meanwhile.
        """
        view = (await self.views())[0]
        asked = asked_in(view)
        if not asked:
            raise NoSession("there is nothing left to be undone")
        await self._agency.rewind(self.id, to=asked[-1].before, agent=view.agent, caller=self._caller)
        return asked[-1].question

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


class Asked(NamedTuple):
    """A question that the history has, and its answer.

    Args:
        question: what was asked.
        answer: what was answered; empty where nothing was, yet.
        agent: who did; empty where nobody has.
        before: the number of the last step before it.
    """

    question: str
    answer: str
    agent: str
    before: int


def asked_in(view: ConversationView) -> list[Asked]:
    """The questions that the history has, those taken over from another conversation among them."""
    runs = [run for run in view.runs if not run.rewound]
    steps = [step for step in view.steps if not step.run]
    copied = _copied(view, len(steps))
    numbers = [step.number for step in steps]
    of_copy = [one._replace(before=numbers[one.before - 1] if one.before else 0) for one in copied]
    asked = []
    for place, run in enumerate(runs):
        later = {one.id for one in runs[place:]}
        before = max((step.number for step in view.steps if step.run not in later), default=0)
        asked.append(Asked(run.question, run.answer, run.agent or view.agent, before))
    return of_copy + asked


def _copied(view: ConversationView, steps: int) -> list[Asked]:
    """The questions of the first steps of a history, ``before`` of which counts these."""
    found: list[Asked] = []
    taken = 0
    for message in view.messages:
        if message.role == "user":
            if taken >= steps:
                break
            found.append(Asked(message.text, "", view.agent, taken))
        elif message.role == "assistant":
            taken += 1
            if found:
                found[-1] = found[-1]._replace(answer=message.text)
    return found


def _in_words(step: Step) -> str:
    called = ", ".join(call.tool for call in step.calls)
    return harmless(step.message.text or f"calls {called}")[:80]


def as_markdown(view: ConversationView) -> Iterator[str]:
    """A conversation with an agent, to be read."""
    yield f"# {view.agent}, {view.id}"
    names: Mapping[str, str] = {"user": "You", "assistant": view.agent}
    for message in view.messages:
        if message.role == "tool":
            yield f"- came back: {harmless(first_line(message.text))}"
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
