"""A failing run as a page: lanes of actors and tasks, a scrubber through the events, what each lane is at then."""

from __future__ import annotations

import html
import json
from pathlib import Path
from string import Template
from typing import Any

from .beside import folded, hidden, lane
from .rendering import brief, printable
from .text import line
from .trace import Trace

EVENTS = 20_000
"""Those of a page, at most: the last ones. So many make about three megabytes."""
_TEMPLATE = Path(__file__).with_name("page.html")


def page(trace: Trace, report: str, lost: tuple[int, int] | None = None) -> str:
    """Return a page of its own: one file, which fetches nothing and runs nothing that came from the run.

    Args:
        trace: the failing run's.
        report: the report, as printed.
        lost: the event from which on the failure was inevitable, and how many schedules were tried.
    """
    data = json.dumps(_data(trace, lost), separators=(",", ":"))
    # A script's content ends at the first "</script", wherever that stands.
    data = data.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    template = Template(_TEMPLATE.read_text(encoding="utf-8"))
    title = html.escape(report.partition("\n")[0])
    return template.substitute(title=title, report=html.escape(report), data=data)


def _data(trace: Trace, lost: tuple[int, int] | None) -> dict[str, Any]:
    shown = trace.shown()
    left = hidden(shown, trace.beside, folded(trace.rows, trace.beside))
    lanes: dict[str, int] = {"client": 0}
    texts: dict[tuple[str, str], int] = {}
    numbers: dict[tuple[Any, Any], int] = {}
    events: list[list[Any]] = []
    for (index, time, kind, values), hides in zip(shown, left, strict=True):
        text = " ".join(line(kind, values).split()).removeprefix("** ")
        if not text and kind != "done":
            continue
        who, other = lane(kind, values), _other(kind, values)
        said = printable(brief(values.get("message", values.get("outcome")), 60), but="")
        number = values.get("system"), values.get("id")
        events.append(
            [
                round(time, 6),
                _kind(kind, values),
                lanes.setdefault(printable(who, but=""), len(lanes)),
                -1 if other is None else lanes.setdefault(printable(other, but=""), len(lanes)),
                texts.setdefault((text, said), len(texts)),
                numbers.setdefault(number, len(numbers)) if number[1] is not None else -1,
                int(hides),
                index,
            ]
        )
    events = events[-EVENTS:]
    return {
        "lanes": list(lanes),
        "texts": [text for text, _ in texts],
        "said": [said for _, said in texts],
        "events": events,
        "lost": None if lost is None else {"event": lost[0], "tried": lost[1]},
    }


def _kind(kind: str, values: Any) -> str:
    if kind == "ask_end":
        return "reply" if values.get("how") in ("reply", "error") else "gave"
    return kind


def _other(kind: str, values: Any) -> str | None:
    """Return the other lane of an event: the receiver's where it is sent, the sender's where it is taken up."""
    if kind in ("send", "ask", "ask_end"):
        return str(values["actor"])
    if kind == "recv":
        return values.get("sender") or "client"
    return None
