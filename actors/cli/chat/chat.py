"""``callboard chat``: a conversation with a team, in a terminal or from a pipe."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

from ....providers.messages import Usage
from ...agents.agency import Agency
from ...agents.caller import Caller
from ...agents.events import (
    ApprovalRequested,
    CompletionFinished,
    Retried,
    RunEvent,
    RunFinished,
    RunStarted,
    TextDelta,
)
from ...agents.rendering.flow import arguments_in_words, dollars, harmless
from ...core.base.errors import CallboardError
from ..parts.flow import Flow, make_console
from ..parts.printed import shown
from ..parts.team import running
from ..watch.tree import lines
from .say import COMMANDS, Do, Mistake, Say, understand

CONVERSATION = "chat"


def chat(team_file: Path, folder: Path, caller: Caller | None) -> int:
    """Talk to a team until the input ends.

    Args:
        team_file: the team file, or one with only the sections about models.
        folder: what the team's file tools are confined to.
        caller: who talks; None for nobody named.

    Raises:
        ConfigError: the file is wrong.
    """
    return asyncio.run(_chat(team_file, folder, caller))


async def _chat(team_file: Path, folder: Path, caller: Caller | None) -> int:
    async with running(team_file, folder) as agency:
        await _Chat(agency, _keyboard(list(agency.agents)), caller).run()
    return 0


class _Chat:
    def __init__(self, agency: Agency, read: Read, caller: Caller | None) -> None:
        self.agency = agency
        self.caller = caller
        self.conversation = CONVERSATION
        if caller is not None:  # each has their own, also in a journal that several have
            self.conversation += "".join(f"-{quote(name, safe='')}" for name in (caller.tenant, caller.user) if name)
        self.names = list(agency.agents)
        self.read = read
        self.console = make_console()
        self.flow = Flow(self.console, asyncio.get_running_loop().time)
        self.used: dict[str, tuple[Usage, float, int]] = {}
        self.open_line = False
        agency.subscribe(self._count)
        assert agency.system is not None
        self.system = agency.system

    async def run(self) -> None:
        self.console.print(f"You talk to {self.names[0]}. /help lists the commands, Ctrl-D leaves.", style="dim")
        while True:
            try:
                line = await self.read("you> ", "")
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            meaning = understand(line, self.names)
            if isinstance(meaning, Say):
                await self._interruptible(self._talk(meaning))
            elif isinstance(meaning, Mistake):
                self.console.print(shown(meaning.hint), style="yellow")
            elif isinstance(meaning, Do):
                if meaning.command == "/quit":
                    return
                self._do(meaning.command)

    async def _interruptible(self, talk: Coroutine[Any, Any, None]) -> None:
        """Ctrl-C cancels the run and not the program."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(talk, name="chat")
        loop.add_signal_handler(signal.SIGINT, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            if not task.cancelled():
                raise
            self._end_line()
            self.console.print("cancelled; nothing of it is running any more", style="yellow")
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    async def _talk(self, say: Say) -> None:
        self.flow.begin()
        events = self.agency.run_streaming(
            say.text, agent=say.agent, conversation=self.conversation, caller=self.caller
        )
        try:
            async with aclosing(events):
                async for event in events:
                    await self._show(event)
        except CallboardError as error:
            self._end_line()
            self.console.print(shown(str(error)), style="red")

    async def _show(self, event: RunEvent) -> None:
        if isinstance(event, TextDelta):
            if len(event.chain) == 1:
                if not self.open_line:
                    self.console.print(f"{event.agent}> ", style="cyan", end="")
                self.console.print(shown(event.text), end="", soft_wrap=True)
                self.open_line = True
        elif isinstance(event, RunFinished):
            self._end_line()
        elif isinstance(event, ApprovalRequested):
            self._end_line()
            await self._decide(event)
        elif not isinstance(event, RunStarted):
            if isinstance(event, Retried):
                self._end_line()
            if not self.open_line:
                self.flow.run_event(event)

    async def _decide(self, event: ApprovalRequested) -> None:
        asked = f"{event.agent} wants {event.tool}: {arguments_in_words(event.arguments)}"
        self.console.print(harmless(asked), style="yellow", soft_wrap=True)
        if event.why:
            self.console.print(f"why: {harmless(event.why)}", style="yellow", soft_wrap=True)
        try:
            said = (await self.read("allow? yes, edit, or no and why> ", "")).strip()
            word, _, rest = said.partition(" ")
            if word.lower() in ("y", "yes"):
                self.agency.approve(event)
            elif word.lower() in ("e", "edit"):
                self.agency.approve(event, arguments=await self.read("arguments> ", event.arguments))
            else:
                self.agency.deny(event, rest.strip() if word.lower() in ("n", "no", "no,") else said)
        except EOFError:
            self.agency.deny(event, "nobody is there to approve it")
        except KeyboardInterrupt:
            raise asyncio.CancelledError from None

    def _end_line(self) -> None:
        if self.open_line:
            self.console.print()
            self.open_line = False

    # -- commands ------------------------------------------------------------------------------------------------------

    def _do(self, command: str) -> None:
        answers: dict[str, Callable[[], list[str]]] = {
            "/help": self._help,
            "/agents": self._agents,
            "/cost": self._cost,
            "/tree": lambda: list(lines(self.system)),
        }
        shown = answers[command]()
        self.console.print(*shown, sep="\n", soft_wrap=True)

    def _help(self) -> list[str]:
        return ["a message for the first agent, or @agent and a message", *(f"{c:<9} {w}" for c, w in COMMANDS.items())]

    def _agents(self) -> list[str]:
        listed = [f"@{name}  {agent.description}".rstrip() for name, agent in self.agency.agents.items()]
        return [*listed, *(f"{sender} → {target}" for sender, target in self.agency.flows)]

    def _cost(self) -> list[str]:
        if not self.used:
            return ["nothing has been used yet"]
        return [
            f"{name:<12} {count} completions, {usage.input_tokens} + {usage.output_tokens} tokens, {dollars(cost)}"
            for name, (usage, cost, count) in self.used.items()
        ]

    def _count(self, event: RunEvent) -> None:
        if isinstance(event, CompletionFinished):
            usage, cost, count = self.used.get(event.agent, (Usage(), 0.0, 0))
            self.used[event.agent] = (usage + event.usage, cost + (event.cost or 0.0), count + 1)


Read: TypeAlias = Callable[[str, str], Awaitable[str]]
"""Reads a line: its prompt, and what stands there already. Raises EOFError at the end, KeyboardInterrupt on Ctrl-C."""


def _keyboard(agents: list[str]) -> Read:
    """What reads a line: with history and completion in a terminal, plainly from a pipe."""
    if not sys.stdin.isatty():

        async def from_pipe(prompt: str, default: str) -> str:
            line: str = await asyncio.to_thread(sys.stdin.readline)
            if not line:
                raise EOFError
            return line

        return from_pipe

    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import WordCompleter
    from prompt_toolkit.history import FileHistory, History, InMemoryHistory

    words = [*COMMANDS, *(f"@{name}" for name in agents)]
    completer = WordCompleter(words, sentence=True)
    history: History = InMemoryHistory()
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "callboard"
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        history = FileHistory(str(folder / "history"))
    requests: PromptSession[str] = PromptSession(history=history, completer=completer, complete_while_typing=False)
    decisions: PromptSession[str] = PromptSession()

    async def from_terminal(prompt: str, default: str) -> str:
        session = requests if prompt == "you> " else decisions
        line: str = await session.prompt_async(prompt, default=default)
        return line

    return from_terminal
