"""What a chat shows: what agents say, block by block as it comes, what they do, and a sign while they work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import Segment
from rich.text import Text

from ...agents.events import (
    CompletionFinished,
    CompletionStarted,
    HandoffStarted,
    Retried,
    RunEvent,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolProgress,
    ToolStarted,
)
from ...agents.rendering.flow import harmless
from ..parts.flow import Flow
from ..parts.printed import shown
from ..parts.spending import Spending
from .blocks import whole_blocks, whole_lines

_TURNS: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_REFRESH: Final = 0.1
"""Seconds between two looks of the sign."""

_A_TOKEN: Final = 4
"""Characters, about, of a text that is still being written."""


@dataclass(slots=True)
class _Saying:
    """What an agent says in a step.

    Args:
        agent: its name.
        text: all of it.
        done: how many characters of it are on the screen.
    """

    agent: str
    text: str = ""
    done: int = 0


class Screen:
    """Shows a run, on a console.

    Args:
        console: where to.
        flow: prints the lines of what agents do.
        spending: of the run.
        now: a clock, seconds.
    """

    def __init__(self, console: Console, flow: Flow, spending: Spending, now: Callable[[], float]) -> None:
        self._console = console
        self._flow = flow
        self._spending = spending
        self._now = now
        self._rich = console.is_terminal and not console.is_dumb_terminal
        self._sayings: dict[str, _Saying] = {}
        self._said: dict[str, str] = {}
        """What each run has said last, as it stands on the screen."""
        self._speaker: str | None = None
        self._live: Live | None = None
        self._doing = ""
        self._began = 0.0
        self._spent_before = 0

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Show a sign in the block that somebody works; what is left unsaid at its end is shown then."""
        self._sayings.clear()
        self._said.clear()
        self._speaker, self._doing = None, ""
        self._began = self._now()
        self._spent_before = self._tokens()
        self._flow.begin()
        ticking = asyncio.get_running_loop().create_task(self._tick(), name="sign") if self._rich else None
        self._start()
        try:
            yield
        finally:
            if ticking is not None:
                ticking.cancel()
            self._stop()
            for run in list(self._sayings):
                self._finish(run)
            self._speaker = None

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Have the sign out of the way in the block: a person is asked."""
        self._stop()
        try:
            yield
        finally:
            self._start()

    def say(self, text: str, style: str = "") -> None:
        """Print a remark of the chat's own."""
        self._speaker = None
        self._console.print(shown(text), style=style, soft_wrap=True)

    def say_of(self, agent: str, text: str) -> None:
        """Print what an agent said some time ago."""
        self._print("", agent, text)
        self._speaker = None

    def show(self, event: RunEvent) -> None:
        """Show what a run reports."""
        match event:
            case TextDelta():
                self._sayings.setdefault(event.run, _Saying(event.agent)).text += event.text
                self._print_whole(event.run)
                return
            case Retried():
                self._sayings.pop(event.run, None)
            case RunStarted():
                self._doing = f"{event.agent} begins"
                return
            case CompletionStarted():
                self._doing = f"{event.agent} thinks"
            case ToolStarted():
                self._finish(event.run)
                self._doing = f"{event.agent}: {event.tool}"
            case ToolProgress():
                self._doing = f"{event.agent}: {event.tool} {event.text}"
            case HandoffStarted():
                self._finish(event.run)
            case CompletionFinished():
                self._finish(event.run)
            case RunFinished():
                self._finish(event.run)
                if len(event.chain) == 1 and event.answer is not None and event.error is None:
                    self._answer(event.answer.agent or event.agent, event.answer.text)
                if len(event.chain) == 1:
                    return
        before = self._flow.lines
        self._flow.run_event(event)
        if self._flow.lines != before:
            self._speaker = None

    def _answer(self, agent: str, text: str) -> None:
        """Show an answer that has not been said yet as it is: it did not stream, or was changed in the end."""
        if text.strip() and text.strip() not in (said.strip() for said in self._said.values()):
            self._print(agent, agent, text)

    # -- what is said --------------------------------------------------------------------------------------------------

    def _print_whole(self, run: str) -> None:
        saying = self._sayings[run]
        rest = saying.text[saying.done :]
        end = whole_blocks(rest) if self._rich else whole_lines(rest)
        if end:
            saying.done += end
            self._print(run, saying.agent, rest[:end])

    def _finish(self, run: str) -> None:
        saying = self._sayings.pop(run, None)
        if saying is None:
            return
        self._said[run] = saying.text
        self._print(run, saying.agent, saying.text[saying.done :])

    def _print(self, run: str, agent: str, text: str) -> None:
        text = text.rstrip()
        if not text.strip():
            return
        head = Text(f"{harmless(agent)}> ", "cyan")
        new, self._speaker = run != self._speaker, run
        if self._rich:
            if new:
                self._console.print(head)
            self._console.print(_Harmless(text))
        else:
            self._console.print(*([head] if new else []), shown(text), sep="", soft_wrap=True)

    # -- the sign ------------------------------------------------------------------------------------------------------

    def _tokens(self) -> int:
        usage = self._spending.total.usage
        return usage.input_tokens + usage.output_tokens

    def _start(self) -> None:
        if self._rich and self._live is None:
            self._live = Live(get_renderable=self._sign, console=self._console, auto_refresh=False, transient=True)
            self._live.start()

    def _stop(self) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_REFRESH)
            if self._live is not None:
                self._live.refresh()

    def _sign(self) -> _Sign:
        seconds = self._now() - self._began
        unsaid = {saying.agent: saying.text[saying.done :] for saying in self._sayings.values()}
        written = sum(len(saying.text) for saying in self._sayings.values()) // _A_TOKEN
        tokens = self._tokens() - self._spent_before + written
        turn = _TURNS[int(seconds / _REFRESH) % len(_TURNS)]
        words = f"{turn} {harmless(self._doing)}  {seconds:.0f} s  {tokens:,} tokens  Ctrl-C stops it"
        return _Sign([text for text in unsaid.values() if text.strip()], Text(words, "dim", no_wrap=True))


@dataclass(frozen=True, slots=True)
class _Sign:
    """What changes on the screen: the ends of what is being said, and a line that time passes."""

    unsaid: list[str]
    words: Text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = max(1, (console.height // 2) // max(1, len(self.unsaid)))
        for text in self.unsaid:
            lines = console.render_lines(_Harmless(text), options, pad=False)
            for line in lines[-room:]:
                yield from line
                yield Segment.line()
        self.words.truncate(options.max_width, overflow="ellipsis")
        yield self.words


@dataclass(frozen=True, slots=True)
class _Harmless:
    """Markdown in colours. What a terminal would obey is shown also where Markdown has ways of its own to write it:
    entities, links.
    """

    text: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        made = Markdown(shown(self.text), code_theme="ansi_dark", hyperlinks=False)
        for segment in console.render(made, options):
            if segment.control:
                continue
            yield Segment(shown(segment.text), segment.style)
