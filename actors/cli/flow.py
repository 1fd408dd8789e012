"""Shows a run as it goes on: who sent what to whom, tool calls, tokens, cost, time; and what failed meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import singledispatchmethod
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from ..agents.events import (
    ApprovalRequested,
    CompletionFinished,
    HandoffFinished,
    HandoffStarted,
    HookFailed,
    Resumed,
    Retried,
    RunEvent,
    RunFinished,
    RunStarted,
    ToolFinished,
    ToolStarted,
)

if TYPE_CHECKING:
    from ..agents.answer import Answer
    from ..core.base.events import Event

PLAIN_WIDTH = 160
"""Columns of a line where there is no terminal: long enough to be read, short enough for a log."""

CALLER = "you"


def make_console(*, stderr: bool = False) -> Console:
    """A console on stdout, or stderr; in a pipe or a file it writes plain lines that are not folded."""
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
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
        self.begin()

    def begin(self) -> None:
        """Count the time from now."""
        self._began = self._now()

    def seconds(self) -> float:
        """Time since the flow began."""
        return self._now() - self._began

    # -- what agents do ------------------------------------------------------------------------------------------------

    @singledispatchmethod
    def run_event(self, event: RunEvent) -> None:
        """Print what a run reports; kinds that are of no interest here are passed over."""

    @run_event.register
    def _(self, event: RunStarted) -> None:
        if len(event.chain) <= 1:
            self._arrow(CALLER, "→", event.agent, event.text)

    @run_event.register
    def _(self, event: CompletionFinished) -> None:
        used = f"{event.usage.input_tokens} + {event.usage.output_tokens} tokens, {dollars(event.cost)}, "
        news = [note for note in event.notes if note not in self._noted]
        self._noted.update(news)
        notes = f" ({'; '.join(news)})" if news else ""
        self._arrow(event.agent, "⇠", event.provider or event.model, f"{used}{event.seconds:.2f} s{notes}", "dim")

    @run_event.register
    def _(self, event: Retried) -> None:
        self._arrow(event.agent, "⇢", "model", f"asked again: {event.reason}", "yellow")

    @run_event.register
    def _(self, event: ToolStarted) -> None:
        self._arrow(event.agent, "→", event.tool, arguments_in_words(event.arguments))

    @run_event.register
    def _(self, event: ToolFinished) -> None:
        style = "red" if event.is_error else ""
        self._arrow(event.agent, "←", event.tool, first_line(event.content), style)

    @run_event.register
    def _(self, event: HandoffStarted) -> None:
        self._arrow(event.agent, "→" if event.kind == "delegate" else "⇒", event.target, event.task, "bold")

    @run_event.register
    def _(self, event: HandoffFinished) -> None:
        if event.failed:
            self._arrow(event.agent, "←", event.target, f"failed: {event.failed}", "red")
        else:
            self._arrow(event.agent, "←", event.target, first_line(event.text), "bold")

    @run_event.register
    def _(self, event: ApprovalRequested) -> None:
        self._arrow(
            event.agent, "?", event.tool, f"waits for approval: {arguments_in_words(event.arguments)}", "yellow"
        )

    @run_event.register
    def _(self, event: Resumed) -> None:
        self._line("↻", f"{event.agent} goes on from its last completed step ({event.steps} kept)", "green")

    @run_event.register
    def _(self, event: HookFailed) -> None:
        self._line("!", f"{event.agent}: hook {event.hook} failed: {event.error}", "red")

    @run_event.register
    def _(self, event: RunFinished) -> None:
        if len(event.chain) <= 1:
            said = str(event.error) if event.error is not None else event.answer.text if event.answer else ""
            self._arrow(CALLER, "←", event.agent, first_line(said), "red" if event.error is not None else "bold")

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
        head = Text.assemble((f"{left:>9}", "cyan"), f" {arrow} ", (f"{right:<9}", "cyan"), "  ")
        self._print(head, text, style)

    def _line(self, mark: str, text: str, style: str) -> None:
        self._print(Text(f"{mark:>9} ", style), text, style)

    def _print(self, head: Text, text: str, style: str) -> None:
        line = Text.assemble((f"{self.seconds():6.2f} s  ", "dim"))
        line.append_text(head).append(" ".join(text.split()), style)
        line.truncate(self._console.width, overflow="ellipsis")
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


def arguments_in_words(arguments: str) -> str:
    """A tool call's arguments as ``name=value``, or as they stand where they are no JSON object."""
    try:
        values: Any = json.loads(arguments or "{}")
    except ValueError:
        return arguments
    if not isinstance(values, dict):
        return arguments
    return ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in values.items())


def first_line(text: str) -> str:
    """The first line with something on it, and how many follow."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return "(nothing)"
    return lines[0] if len(lines) == 1 else f"{lines[0].strip()}  (and {len(lines) - 1} lines more)"


def dollars(cost: float | None) -> str:
    """A price in words."""
    return "price unknown" if cost is None else f"${cost:.4f}"


def total(answer: Answer) -> str:
    """What an answer took, in a line."""
    usage = answer.usage
    used = f"{usage.input_tokens} + {usage.output_tokens} tokens, {dollars(answer.cost)}, {answer.seconds:.2f} s"
    return f"{'; '.join(answer.chain) or 'no handoff'}; {used}"
