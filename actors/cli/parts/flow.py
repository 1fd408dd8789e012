"""Shows a run as it goes on: who sent what to whom, tool calls, tokens, cost, time; and what failed meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

from ...agents.events import CompletionFinished, RunEvent
from ...agents.rendering.flow import WIDTH, Tone, harmless, line_of

if TYPE_CHECKING:
    from ...agents.answer import Answer
    from ...core.base.events import Event

_STYLES: Final[Mapping[Tone, str]] = {
    "": "",
    "dim": "dim",
    "bold": "bold",
    "good": "green",
    "warning": "yellow",
    "bad": "red",
}


def make_console(*, stderr: bool = False) -> Console:
    """A console on stdout, or stderr; in a pipe or a file it writes plain lines that are not folded."""
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDTH
    return console


class Flow:
    """Prints one line for each event.

    Args:
        console: where to.
        now: the clock that the events' times come from, seconds.
    """

    def __init__(self, console: Console, now: Callable[[], float]) -> None:
        self._console = console
        self._now = now
        self._noted: set[str] = set()
        self._restarts = Restarts()
        self.lines = 0
        """How many lines it has printed."""
        self.begin()

    def begin(self) -> None:
        """Count the time from now."""
        self._began = self._now()

    def seconds(self) -> float:
        """Time since the flow began."""
        return self._now() - self._began

    # -- what agents do ------------------------------------------------------------------------------------------------

    def run_event(self, event: RunEvent, of: str = "") -> None:
        """Print what a run reports; kinds that are of no interest here are passed over.

        Args:
            event: what it reports.
            of: whose it is, in words before it; empty where that goes without saying.
        """
        if isinstance(event, CompletionFinished):  # a note is news once
            news = tuple(note for note in event.notes if note not in self._noted)
            self._noted.update(news)
            event = replace(event, notes=news)
        line = line_of(event)
        if line is None:
            return
        if of:
            line = line._replace(text=f"({of}) {line.text}", tone="dim")
        if line.right:
            self._arrow(line.left, line.arrow, line.right, line.text, _STYLES[line.tone])
        else:
            self._line(line.left, line.text, _STYLES[line.tone])

    # -- what the runtime does -----------------------------------------------------------------------------------------

    def system_event(self, event: Event) -> None:
        """Print crashes and restarts; starts and stops are everyday."""
        if self._restarts.look(event):
            self._line("↻", f"{event.actor} was restarted by its supervisor", "green")
        elif event.kind == "crashed":
            self._line("✗", f"{event.actor} crashed: {event.detail}", "red")
        elif event.kind == "escalated":
            self._line("✗", f"{event.actor} was given up: {event.detail}", "red")
        elif event.kind == "dead_letter":
            self._line(
                "✗", f"a message to {event.actor} became a dead letter: {event.detail.partition(': ')[0]}", "dim"
            )

    def say(self, text: str) -> None:
        """Print a remark of the demonstration itself."""
        self._line("!", text, "bold yellow")

    def _arrow(self, left: str, arrow: str, right: str, text: str, style: str = "") -> None:
        head = Text.assemble((f"{harmless(left):>9}", "cyan"), f" {arrow} ", (f"{harmless(right):<9}", "cyan"), "  ")
        self._print(head, text, style)

    def _line(self, mark: str, text: str, style: str) -> None:
        self._print(Text(f"{mark:>9} ", style), text, style)

    def _print(self, head: Text, text: str, style: str) -> None:
        line = Text.assemble((f"{self.seconds():6.2f} s  ", "dim"))
        line.append_text(head).append(harmless(text), style)
        line.truncate(self._console.width, overflow="ellipsis")
        self.lines += 1
        self._console.print(line, soft_wrap=True)


class Restarts:
    """Tells from a system's events which actors were restarted: by the runtime, or, as a pool does with those of its
    providers, by a parent that makes a new one in the place of one that has crashed."""

    def __init__(self) -> None:
        self._crashed: set[str] = set()
        self._gone: set[str] = set()

    def look(self, event: Event) -> bool:
        """Take an event; return whether it is the end of a restart."""
        if event.kind == "crashed":
            self._crashed.add(event.actor)
        elif event.kind == "stopped" and event.actor in self._crashed:
            self._gone.add(event.actor)
        elif event.kind == "restarted" or (event.kind == "started" and event.actor in self._gone):
            self._crashed.discard(event.actor)
            self._gone.discard(event.actor)
            return True
        return False


def total(answer: Answer, price: str) -> str:
    """What an answer took, in a line; its price is given in words."""
    usage = answer.usage
    used = f"{usage.input_tokens} + {usage.output_tokens} tokens, {price}, {answer.seconds:.2f} s"
    return f"{'; '.join(answer.chain) or 'no handoff'}; {used}"
