"""``callboard chat`` and `Agency.chat`: a conversation with a team, in a terminal or from a pipe."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from ...agents.agency import Agency
from ...agents.caller import Caller
from ...agents.conversations.view import ConversationView
from ...agents.events import ApprovalRequested, RunEvent
from ...agents.plaindata import imported, wrong_kind
from ...core.base.errors import CallboardError
from ..parts.flow import Flow, make_console
from ..parts.seen import seen
from ..parts.spending import Spending
from ..parts.team import running
from ..watch.tree import lines
from .asking import Asking
from .keyboard import Interrupted, Keyboard, keyboard
from .say import COMMANDS, Do, Mistake, Say, understand
from .screen import Screen
from .sessions import Sessions, asked_in


class NobodyAnswers(CallboardError):
    """None of the agents may be asked."""


def chat(what: Path | str, folder: Path, caller: Caller | None, resume: str | None, model: str) -> int:
    """Talk to a team until the input ends.

    Args:
        what: the team file, or one with only the sections about models; as text ``module:name`` of an `Agency`.
        folder: what the team's file tools are confined to.
        caller: who talks; None for nobody named.
        resume: the id of the conversation to go on with; empty for the latest, None for a new one.
        model: which all agents use in place of their own; empty for their own.

    Raises:
        CallboardError: the file is wrong, or what is named is not there.
    """
    # A module is imported as ever, before there is an event loop: Ctrl-C ends it, and it may have one of its own.
    found = what if isinstance(what, Path) else _named(what)
    return asyncio.run(_chat(found, folder, caller, resume, model))


def _named(what: str) -> Agency:
    found = imported(what)
    if not isinstance(found, Agency):
        raise wrong_kind(what, "an Agency", found)
    return found


async def _chat(what: Path | Agency, folder: Path, caller: Caller | None, resume: str | None, model: str) -> int:
    async with _opened(what, folder, model) as agency:
        await talk(agency, caller, resume)
    return 0


@asynccontextmanager
async def _opened(what: Path | Agency, folder: Path, model: str) -> AsyncIterator[Agency]:
    if isinstance(what, Path):
        async with running(what, folder, model=model) as agency:
            yield agency
        return
    async with what as agency, seen(agency):
        if model:
            await _use(agency, model)
        yield agency


async def _use(agency: Agency, model: str) -> None:
    """Have all agents use a model in place of their own."""
    for name in agency.agents:
        await agency.set_model(name, model)


async def talk(agency: Agency, caller: Caller | None, resume: str | None) -> None:
    """Talk to an agency that runs, until the input ends; see `Agency.chat`."""
    await _Chat(agency, caller).run(resume)


class _Chat:
    def __init__(self, agency: Agency, caller: Caller | None) -> None:
        clock = asyncio.get_running_loop().time
        self.agency = agency
        self.caller = caller
        self.names = list(agency.open_to(caller)) if caller is not None else list(agency.agents)
        self.keyboard: Keyboard = keyboard([*COMMANDS, *(f"@{name}" for name in self.names)])
        self.spending = Spending()
        console = make_console()
        self.screen = Screen(console, Flow(console, clock), self.spending, clock)
        self.asking = Asking(agency, self.keyboard, self.screen)
        self.sessions = Sessions(agency, caller)

    async def run(self, resume: str | None) -> None:
        if not self.names:
            raise NobodyAnswers("the caller may ask none of the agents")
        unsubscribe = self.agency.subscribe(self.spending.count)
        try:
            self.screen.say(f"You talk to {self.names[0]}. /help lists the commands, Ctrl-D leaves.", "dim")
            if resume is not None:
                await self._go_on(resume)
            while await self._once():
                pass
        finally:
            unsubscribe()

    async def _once(self) -> bool:
        """Take one line; whether there may be more."""
        try:
            line = await self.keyboard.request()
        except Interrupted:
            return True
        except EOFError:
            return False
        meaning = understand(line, self.names)
        if isinstance(meaning, Say):
            await self._take_up()
            await self._interruptible(self._talk(meaning))
        elif isinstance(meaning, Mistake):
            self.screen.say(meaning.hint, "yellow")
        elif isinstance(meaning, Do):
            if meaning.command == "/quit":
                return False
            try:
                await self._do(meaning.command, meaning.what)
            except CallboardError as error:
                self.screen.say(str(error), "red")
        return True

    async def _interruptible(self, talk: Coroutine[Any, Any, None]) -> None:
        """Ctrl-C cancels the run and not the program."""
        task = asyncio.get_running_loop().create_task(talk, name="chat")
        with _on_interrupt(task):
            try:
                await task
            except asyncio.CancelledError:
                if not task.cancelled():
                    raise
                self.screen.say("cancelled; nothing of it is running any more", "yellow")

    async def _talk(self, say: Say) -> None:
        events = self.agency.run_streaming(say.text, agent=say.agent, conversation=self.sessions.id, caller=self.caller)
        try:
            with self.keyboard.quiet():
                async with self.screen.working(), aclosing(events):
                    async for event in events:
                        await self._show(event)
        except CallboardError as error:
            self.screen.say(str(error), "red")

    async def _show(self, event: RunEvent) -> None:
        if isinstance(event, ApprovalRequested):
            await self.asking.decide(event)
        else:
            self.screen.show(event)

    async def _go_on(self, which: str) -> None:
        self._show_last(await self.sessions.go_on(which))
        await self._take_up()

    async def _take_up(self) -> None:
        """Show the rest of what an earlier chat has left of the conversation: what waits for a person is asked here."""
        for run in self.agency.under_way():
            if run.run == run.root and run.conversation == self.sessions.id:
                self.screen.say("an earlier question is not done yet", "dim")
                await self._interruptible(self._follow(run.run))

    async def _follow(self, run: str) -> None:
        events: asyncio.Queue[RunEvent | None] = asyncio.Queue()
        handle = await self.agency.handle(run, caller=self.caller)
        unsubscribe = self.agency.subscribe(events.put_nowait, root=run)
        for waiting in self.agency.approvals:
            if waiting.root == run:
                events.put_nowait(waiting)
        answered = asyncio.get_running_loop().create_task(handle.answer(), name="answered")
        answered.add_done_callback(lambda _: events.put_nowait(None))
        try:
            with self.keyboard.quiet():
                async with self.screen.working():
                    while (event := await events.get()) is not None:
                        await self._show(event)
                    while not events.empty():  # told of after its answer
                        event = events.get_nowait()
                        if event is not None:
                            await self._show(event)
            await answered
        except CallboardError as error:
            self.screen.say(str(error), "red")
        except asyncio.CancelledError:
            await handle.cancel()
            raise
        finally:
            unsubscribe()
            answered.cancel()

    def _show_last(self, view: ConversationView) -> None:
        asked = asked_in(view)
        self.screen.say(f"{view.id}, {len(asked)} question{'' if len(asked) == 1 else 's'} so far", "dim")
        if asked:
            self.screen.say(f"you> {asked[-1].question}")
            self.screen.say_of(asked[-1].agent, asked[-1].answer)

    # -- commands ------------------------------------------------------------------------------------------------------

    async def _do(self, command: str, what: str) -> None:
        say = self.screen.say
        match command:
            case "/new":
                self.sessions.begin()
                say("a new conversation")
            case "/sessions" if what:
                await self._go_on(what)
            case "/sessions":
                say("\n".join(await self.sessions.listed()))
            case "/fork":
                whose = await self.sessions.fork(what)
                say(f"you are in a copy now: {self.sessions.id}{f', after step {what} of {whose}' if what else ''}")
            case "/undo":
                say(f"undone: {await self.sessions.undo()}\nwhat tools have done is not undone", "dim")
            case "/save":
                if not what:
                    say("say into which file: /save FILE", "yellow")
                    return
                say(f"saved in {await self.sessions.save(what)}")
            case "/model":
                await self._model(what)
            case _:
                answers = {"/help": self._help, "/agents": self._agents, "/cost": self._cost, "/tree": self._tree}
                say("\n".join(answers[command]()))

    async def _model(self, name: str) -> None:
        if name:
            await _use(self.agency, name)
        for agent in self.agency.agents:
            used = self.agency.describe(agent).model
            self.screen.say(f"{agent:<12} {used or 'the model of the pool'}")

    def _help(self) -> list[str]:
        return [
            "a message for the first agent, or @agent and a message",
            "Alt-Enter, or a backslash at the end of a line, begins another line",
            *(f"{command:<10} {what}" for command, what in COMMANDS.items()),
        ]

    def _agents(self) -> list[str]:
        listed = [f"@{name}  {agent.description}".rstrip() for name, agent in self.agency.agents.items()]
        names = list(self.agency.agents)
        reached = {name: [one for one in names if one != name and self.agency.may_reach(name, one)] for name in names}
        return [*listed, *(f"{name} → {', '.join(others)}" for name, others in reached.items() if others)]

    def _cost(self) -> list[str]:
        return [
            f"{name:<12} {spent.completions} completions, "
            f"{spent.usage.input_tokens} + {spent.usage.output_tokens} tokens, {spent.price}"
            for name, spent in self.spending.by_agent.items()
        ] or ["nothing has been used yet"]

    def _tree(self) -> list[str]:
        assert self.agency.system is not None
        return list(lines(self.agency.system))


@contextmanager
def _on_interrupt(task: asyncio.Task[None]) -> Iterator[None]:
    """Have Ctrl-C cancel a task in the block, where this thread is told of it; as it was before afterwards."""
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGINT)
    try:
        loop.add_signal_handler(signal.SIGINT, task.cancel)
    except (NotImplementedError, RuntimeError, ValueError):
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, before)
