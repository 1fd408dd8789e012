"""What happens in a run, a line for each event: for people who watch, and, without a word of what is said, for a log.

Pure: what prints them decides on colours. Text that a model or a tool wrote cannot move the cursor or change colours:
control characters are shown as what they are.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import fields
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from ..errors import said as said_by
from ..events import (
    ApprovalDecided,
    ApprovalRequested,
    CompletionFinished,
    ContextReduced,
    GuardrailFound,
    HandoffFinished,
    HandoffStarted,
    HookFailed,
    Resumed,
    Retried,
    RunEvent,
    RunFinished,
    RunStarted,
    Steered,
    ToolFinished,
    ToolStarted,
)

Tone: TypeAlias = Literal["", "dim", "bold", "good", "warning", "bad"]

CALLER: Final = "you"
WIDTH: Final = 160
"""Columns of a line: long enough to be read, short enough for a log."""

_JOINERS: Final = "\u200c\u200d"
"""What emoji and some scripts are joined with, or kept apart."""

_CODES: Final = {"": "", "dim": "2", "bold": "1", "good": "32", "warning": "33", "bad": "31"}
_LOGGED: Final = frozenset(
    (
        *("step", "steps", "attempt", "call_id", "tool", "target", "kind", "hook", "is_error", "approved"),
        *("guardrail", "where", "count", "action"),
        *("model", "provider", "seconds", "cost", "before", "after", "left_out", "summarized"),
    )
)
"""The fields of events that a log may have: names and counts. An approval's id is none: who has it may decide."""


class Line(NamedTuple):
    """One line of a flow.

    Args:
        left, arrow, right: who did what to whom; ``right`` is empty where nobody else is concerned.
        text: what was said, in one line.
        tone: how it is meant.
    """

    left: str
    arrow: str
    right: str
    text: str
    tone: Tone = ""


def line_of(event: RunEvent) -> Line | None:
    """The line of an event; None for one that is of no interest to people: pieces of text, a model being asked."""
    who = event.agent
    match event:
        case RunStarted() if len(event.chain) <= 1:
            return Line(CALLER, "→", who, event.text)
        case CompletionFinished():
            used = f"{event.usage.input_tokens} + {event.usage.output_tokens} tokens, {dollars(event.cost)}, "
            notes = f" ({'; '.join(event.notes)})" if event.notes else ""
            return Line(who, "⇠", event.provider or event.model, f"{used}{event.seconds:.2f} s{notes}", "dim")
        case ContextReduced():
            made = f", a summary for {dollars(event.cost)}" if event.summarized else ""
            shown = f"shown {event.after} tokens of the conversation, and not {event.before}{made}: {event.reason}"
            return Line(who, "⇢", "model", shown, "dim")
        case Retried():
            return Line(who, "⇢", "model", f"asked again: {event.reason}", "warning")
        case ToolStarted():
            return Line(who, "→", event.tool, arguments_in_words(event.arguments))
        case ToolFinished():
            return Line(who, "←", event.tool, first_line(event.content), "bad" if event.is_error else "")
        case HandoffStarted():
            return Line(who, "→" if event.kind == "delegate" else "⇒", event.target, event.task, "bold")
        case HandoffFinished() if event.failed:
            return Line(who, "←", event.target, f"failed: {event.failed}", "bad")
        case HandoffFinished():
            return Line(who, "←", event.target, first_line(event.text), "bold")
        case ApprovalRequested():
            words, why = arguments_in_words(event.arguments), f" ({event.why})" if event.why else ""
            return Line(who, "?", event.tool or "limits", f"waits for approval{why}: {words}", "warning")
        case ApprovalDecided():
            denied = f"denied: {event.reason}" if event.reason else "denied"
            return Line(who, "!", event.tool or "limits", "approved" if event.approved else denied)
        case Steered():
            return Line(CALLER, "→", who, event.text)
        case Resumed():
            return Line("↻", "", "", f"{who} goes on from its last completed step ({event.steps} kept)", "good")
        case HookFailed():
            return Line("!", "", "", f"{who}: hook {event.hook} failed: {event.error}", "bad")
        case GuardrailFound():
            found = f"{event.kind} × {event.count} ({event.where}, {event.action})"
            return Line("!", "", "", f"{who}: guardrail {event.guardrail} found {found}", "warning")
        case RunFinished() if len(event.chain) <= 1:
            said = said_by(event.error) if event.error is not None else event.answer.text if event.answer else ""
            return Line(CALLER, "←", who, first_line(said), "bad" if event.error is not None else "bold")
        case _:
            return None


class FlowPrinter:
    """Prints a line for each event on stderr: a subscriber to run events. Colours only on a terminal, and not where
    ``NO_COLOR`` is set."""

    def __init__(self) -> None:
        self._began: float | None = None

    def __call__(self, event: RunEvent) -> None:
        """Print an event."""
        if self._began is None:
            self._began = event.at
        line = line_of(event)
        if line is None:
            return
        out = sys.stderr  # whatever it is at this moment: tests and servers put another in its place
        colour = out.isatty() and not os.environ.get("NO_COLOR")
        text = _printed(event.at - self._began, line, colour=colour)
        coding = getattr(out, "encoding", None) or "utf-8"
        print(text.encode(coding, "replace").decode(coding), file=out, flush=True)


def _printed(seconds: float, line: Line, *, colour: bool) -> str:
    if line.right:
        head = f"{seconds:6.2f} s  {harmless(line.left):>9} {line.arrow} {harmless(line.right):<9}  "
    else:
        head = f"{seconds:6.2f} s  {line.left:>9} "
    text = shortened(harmless(line.text), WIDTH - len(head))
    code = _CODES[line.tone] if colour else ""
    return f"{head}\x1b[{code}m{text}\x1b[0m" if code else f"{head}{text}".rstrip()


def logged(event: RunEvent) -> str:
    """An event for a log: which run of which agent and conversation, names, counts and times; nothing of what is said.

    Args:
        event: any.
    """
    parts = [type(event).__name__, event.agent, f"run={event.run}", f"conversation={event.conversation}"]
    if event.root != event.run:
        parts.append(f"root={event.root}")
    for field in fields(event):
        name, value = field.name, getattr(event, field.name)
        if name in _LOGGED and value != "" and value is not None:
            parts.append(f"{name}={value:.3f}" if isinstance(value, float) else f"{name}={value}")
    usage = getattr(event, "usage", None)
    if usage is not None:
        parts.append(f"tokens={usage.input_tokens}+{usage.output_tokens}")
    for name in ("text", "content", "arguments", "task", "failed", "reason"):
        if value := getattr(event, name, ""):
            parts.append(f"{name}: {len(value)} characters")
    error: Any = getattr(event, "error", None)
    if isinstance(error, BaseException):
        parts.append(f"error={type(error).__name__}")
    return harmless(" ".join(parts))


def harmless(text: str) -> str:
    """Text in one line, without what a terminal would obey: control characters, and marks that turn the direction."""
    flat = " ".join(text.split())
    if flat.isprintable():
        return flat
    return "".join(
        one if one.isprintable() or one in _JOINERS else one.encode("unicode_escape").decode() for one in flat
    )


def shortened(text: str, width: int) -> str:
    """Text of so many columns of a terminal at most."""
    from rich.cells import cell_len, set_cell_size  # not at the top: few have a flow printed

    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)).rstrip() + "…"


def arguments_in_words(arguments: str) -> str:
    """A tool call's arguments as ``name=value``, or as they stand where they are no JSON object."""
    try:
        values: Any = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return arguments
    if not isinstance(values, dict):
        return arguments
    return ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in values.items())


def first_line(text: str) -> str:
    """The first line with something on it, and how many follow."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return "(nothing)"
    more = len(lines) - 1
    return f"{lines[0].strip()}  (and {more:,} line{'s' if more > 1 else ''} more)" if more else lines[0]


def dollars(cost: float | None) -> str:
    """A price in words."""
    return "price unknown" if cost is None else f"${cost:.4f}"
