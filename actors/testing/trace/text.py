"""A trace as text for people, and as a sequence diagram."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from .beside import Shown, lane
from .rendering import brief, printable

Values: TypeAlias = Mapping[str, Any]
LONGEST = 200
"""Characters of a line."""
_NAMES = 4
"""Those named of whom events are folded."""


def lines(
    shown: Sequence[Shown],
    *,
    last: int | None = None,
    mark: tuple[int, str] | None = None,
    hidden: Sequence[bool] = (),
) -> list[str]:
    """Return events as lines.

    Args:
        shown: the events, oldest first.
        last: only that many lines from the end.
        mark: a line of its own before the event with that index, and what it says.
        hidden: for each event whether it shares a line with those of them that come next; without it none does.
    """
    found: list[str] = []
    left: list[str] = []
    for (index, time, kind, values), hides in zip(shown, hidden or (False,) * len(shown), strict=True):
        if mark is not None and index >= mark[0]:
            found += [*_fold(left), _marked(mark[1])]
            mark = None
        text = line(kind, values)
        if text and hides:
            left.append(lane(kind, values))
        elif text:
            found += [*_fold(left), _timed(time, text)]
    found += _fold(left)
    if mark is not None:
        found.append(_marked(mark[1]))
    if last is None or len(found) <= last:
        return found
    return [f"  … {len(found) - last} earlier lines", *found[-last:]]


def _fold(left: list[str]) -> list[str]:
    """Return a line for events that are not shown, if there are any, and forget them."""
    if not left:
        return []
    count, names = len(left), list(dict.fromkeys(re.sub("/.*", "/…", name) for name in left))
    left.clear()
    more = ", …" if len(names) > _NAMES else ""
    return [f"{'':9}  {'':12} … {count} event{'s' if count > 1 else ''} of {', '.join(names[:_NAMES])}{more}"]


def _marked(text: str) -> str:
    return f"{'':9}  ──── {text} ────"


def _timed(time: float, text: str) -> str:
    whole = f"{time:9.3f}  {text}"
    return whole if len(whole) <= LONGEST else whole[: LONGEST - 1] + "…"


def line(kind: str, values: Values) -> str:
    """Return an event as one line; "" where other events tell of it."""
    try:
        text = _LINES[kind](values)
    except KeyError:  # a mark, or something of no line of its own; a mark may be called like what is told of tasks
        text = _note(kind, *(f"{name}={brief(value)}" for name, value in values.items() if not _is_empty(value)))
    return printable(text, but="")


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value)  # not by ==, which may be of anybody


def _note(kind: str, *words: str) -> str:
    return f"{'':12} ** {' '.join((kind, *words))}"


def _arrow(values: Values, arrow: str, what: str) -> str:
    return f"{values.get('sender') or 'client'!s:>12} {arrow:<4} {values.get('actor', '?')!s:<12} {what}"


def _message(arrow: str) -> Callable[[Values], str]:
    return lambda values: _arrow(values, arrow, brief(values.get("message")))


def _ask_end(values: Values) -> str:
    if values.get("how") in ("reply", "error"):
        return _arrow(values, "<==", brief(values.get("outcome")))
    return _arrow(values, "-x>", f"gave up ({values.get('how')})")


def _ended(values: Values) -> str:
    error = values["error"]
    return _note("task", values["task"], values["how"], *([] if error is None else [brief(error)]))


def _happened(kind: str, values: Values) -> str:
    detail = values.get("detail")
    return _note(kind, values["actor"], *([] if detail in (None, "", kind) else [f"({detail})"]))


def _hold(values: Values) -> str:
    first = str(values["first"])
    goes = "go" if ", " in first else "goes"
    return _note("hold", f"{values['lane']} (turn {values['turn']}) while {first} {goes} first")


_LINES: dict[str, Callable[[Values], str]] = {
    "send": _message("-->"),
    "ask": _message("-?>"),
    "recv": _message("-->|"),
    "ask_end": _ask_end,
    "task": lambda values: _note("task", values["task"], f"of {values['by']}"),
    "task_end": _ended,
    "cancel": lambda values: _note("cancel", values["task"], f"by {values['by']}"),
    "slept": lambda values: _note("slept", values["who"], f"{values['seconds']:g} s"),
    "timeout": lambda values: _note("timeout", f"of {values['who']}", f"after {values['seconds']:g} s"),
    "timer": lambda values: _note("timer", values["what"], f"of {values['who']}", f"after {values['seconds']:g} s"),
    "hold": _hold,
    "spawn": lambda values: _note("spawn", values["actor"]),
    "stopped": lambda values: _happened("stopped", values),
    "restarted": lambda values: _happened("restarted", values),
    "crashed": lambda values: _happened("crashed", values),
    # Told by other lines.
    "done": lambda _: "",
    "started": lambda _: "",
    "dead": lambda _: "",
    "system_stopping": lambda _: "",
}


# -- the sequence diagram ----------------------------------------------------------------------------------------------

_NOTED = ("crashed", "restarted", "stopped", "fault", "dead_letter")


def diagram(rows: Iterable[tuple[float, str, Values]]) -> str:
    """Return events as a Mermaid sequence diagram.

    A message is an arrow where it is sent, and another where it is taken up if something else was done in between:
    the order in which an actor takes up what it was sent is what races are about.
    """
    names: dict[str, str] = {}
    body: list[str] = []
    last: Any = None

    def who(path: str) -> str:
        return names.setdefault(path, f"p{len(names)}")

    for _, kind, values in rows:
        number = values.get("system"), values.get("id")
        if kind in ("send", "ask", "recv"):
            source, target = who(values.get("sender") or "client"), who(values["actor"])
            if kind != "recv":
                body.append(f"  {source}->>{target}: {_label(values['message'])}")
            elif last != number:
                body.append(f"  {source}-){target}: takes up {_label(values['message'])}")
        elif kind == "ask_end" and values.get("how") in ("reply", "error"):
            source, target = who(values["actor"]), who(values.get("sender") or "client")
            body.append(f"  {source}-->>{target}: {_label(values.get('outcome'))}")
        elif kind == "ask_end":
            body.append(f"  Note over {who(values.get('sender') or 'client')}: gave up ({values.get('how')})")
        elif kind in _NOTED:
            detail = values.get("what") or values.get("detail") or values.get("reason") or ""
            text = f"{kind} {_label(detail)}" if detail else kind
            body.append(f"  Note over {who(values['actor'])}: {text}")
        else:
            continue
        last = number
    heads = [f"  participant {short} as {_escaped(path)}" for path, short in names.items()]
    return "\n".join(["sequenceDiagram", *heads, *body])


def _label(value: Any) -> str:
    return _escaped(brief(value))


def _escaped(text: str) -> str:
    # Mermaid ends a statement at a semicolon and reads '#' as an entity.
    return printable(text, but="").replace(";", ",").replace("#", "＃")
