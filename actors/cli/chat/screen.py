"""What a chat shows: what agents say, block by block as it comes, what they do, and a sign while they work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token
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

_SHORT: Final = 4_000
"""Characters of what is being said that the sign shows the end of, and that are searched for blocks at each piece."""

_PAINTED: Final = 50_000
"""Characters of a block; a longer one is shown without colours, which would keep everything else waiting."""

_MARKDOWN: Final = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])

_DEEP: Final = _MARKDOWN.options["maxNesting"] - 1
"""At how many levels of lists and quotations what is deeper may be missing."""

_A_TOKEN: Final = 4
"""Characters, about, of a text that is still being written."""


class _Saying:
    """What an agent says in a step.

    Args:
        agent: its name.

    Attributes:
        length: characters of all of it.
        enough: at how many characters it is searched for blocks that have ended.
    """

    def __init__(self, agent: str) -> None:
        self.agent = agent
        self.length = 0
        self.enough = 0
        self._shown: list[str] = []
        self._rest = ""
        self._new: list[str] = []

    def add(self, piece: str) -> None:
        """Take what comes; it is put together when it is looked at, not for each piece."""
        self._new.append(piece)
        self.length += len(piece)

    @property
    def rest(self) -> str:
        """What is not on the screen yet."""
        if self._new:
            self._rest += "".join(self._new)
            self._new.clear()
        return self._rest

    def take(self, end: int) -> str:
        """So many characters of the rest, which are put on the screen now."""
        text = self.rest[:end]
        self._rest = self.rest[end:]
        self._shown.append(text)
        return text

    def __str__(self) -> str:
        return "".join((*self._shown, self.rest))


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
                if event.run not in self._sayings:
                    self._sayings[event.run] = _Saying(event.agent)
                self._sayings[event.run].add(event.text)
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
        if saying.length < saying.enough:
            return
        rest = saying.rest
        end = whole_blocks(rest) if self._rich else whole_lines(rest)
        if end:
            self._print(run, saying.agent, saying.take(end))
        # A block that is long already is searched the more seldom, or each piece would cost as much as all before it.
        saying.enough = saying.length + max(0, len(rest) - end - _SHORT) // 8

    def _finish(self, run: str) -> None:
        saying = self._sayings.pop(run, None)
        if saying is None:
            return
        self._print(run, saying.agent, saying.take(len(saying.rest)))
        self._said[run] = str(saying)

    def _print(self, run: str, agent: str, text: str) -> None:
        text = text.rstrip()
        if not text.strip():
            return
        head = Text(f"{harmless(agent)}> ", "cyan")
        new, self._speaker = run != self._speaker, run
        if self._rich and len(text) <= _PAINTED:
            self._console.print(head if new else "")
            self._console.print(_Said(text))
        else:
            self._console.print(_Plain(head if new else Text(), shown(text)), soft_wrap=True)

    # -- the sign ------------------------------------------------------------------------------------------------------

    def _tokens(self) -> int:
        usage = self._spending.total.usage
        return usage.input_tokens + usage.output_tokens

    def _start(self) -> None:
        if self._rich and self._live is None:
            self._live = Live(_Sign(self._sign), console=self._console, auto_refresh=False, transient=True)
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

    def _sign(self) -> tuple[list[str], str]:
        """What is being said, and a line by which one sees that time passes."""
        seconds = self._now() - self._began
        unsaid = [_end_of(saying.rest) for saying in self._sayings.values()]
        written = sum(saying.length for saying in self._sayings.values()) // _A_TOKEN
        tokens = self._tokens() - self._spent_before + written
        turn = _TURNS[int(seconds / _REFRESH) % len(_TURNS)]
        words = f"{turn} {harmless(self._doing)}  {seconds:.0f} s  {tokens:,} tokens  Ctrl-C stops it"
        return [text for text in unsaid if text.strip()], words


@dataclass(frozen=True, slots=True)
class _Sign:
    """What changes on the screen, asked for each time it is drawn: the ends of what is being said, and a line."""

    ask: Callable[[], tuple[list[str], str]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        unsaid, words = self.ask()
        room = max(1, (console.height // 2) // max(1, len(unsaid)))
        for text in unsaid:
            for line in _lines(text, console, options)[-room:]:
                yield from line
                yield Segment.line()
        sign = Text(words, "dim", no_wrap=True)
        sign.truncate(options.max_width, overflow="ellipsis")
        yield sign


@dataclass(frozen=True, slots=True)
class _Plain:
    """A text as it stands behind a head, however long: rich would look at each of its lines."""

    head: Text
    text: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Segment(self.head.plain, console.get_style(self.head.style))
        yield Segment(self.text)
        yield Segment.line()


@dataclass(frozen=True, slots=True)
class _Said:
    """Markdown in colours."""

    text: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in _lines(self.text, console, options):
            yield from line
            yield Segment.line()


def _end_of(text: str) -> str:
    """The last of a Markdown text that is one block: in code, if that is what it begins with."""
    if len(text) <= _SHORT:
        return text
    opening = text[: text.find("\n") + 1] if text.lstrip().startswith(("```", "~~~")) else ""
    return opening[:_SHORT] + text[-_SHORT:]


def _lines(text: str, console: Console, options: ConsoleOptions) -> list[list[Segment]]:
    """Markdown in colours, without empty lines at its ends and spaces at theirs. What a terminal would obey is shown
    also where Markdown has ways of its own to write it: entities, links. HTML stands there as it was written; a text of
    which something would be missing, such as a table with no room for its columns, is shown as it is.
    """
    made = Markdown(shown(text), code_theme="ansi_dark", hyperlinks=False)
    made.parsed = _MARKDOWN.parse(made.markup)
    if max((token.level for token in made.parsed), default=0) < _DEEP:
        lines = [_bare(line) for line in console.render_lines(made, options, pad=False)]
        seen = sum(_letters(segment.text) for line in lines for segment in line)
        if 0 < seen >= sum(map(_letters, _words(made.parsed))):
            while lines and not lines[0]:
                del lines[0]
            while lines and not lines[-1]:
                del lines[-1]
            return lines
    return [_bare(line) for line in console.render_lines(Text(made.markup.strip("\n")), options, pad=False)]


def _words(tokens: Iterable[Token]) -> Iterator[str]:
    """The texts that are to be seen of a document."""
    for token in tokens:
        if token.children is not None:
            yield from (child.content for child in token.children)
        else:
            yield token.content


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


def _bare(line: list[Segment]) -> list[Segment]:
    """A line without spaces at its end, and without what steers the terminal."""
    kept = [Segment(shown(one.text), one.style) for one in line if not one.control]
    while kept and not kept[-1].text.rstrip():
        del kept[-1]
    if kept:
        kept[-1] = Segment(kept[-1].text.rstrip(), kept[-1].style)
    return kept
