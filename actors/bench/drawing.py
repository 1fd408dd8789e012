"""Figures as pictures: a PNG, or one HTML page that needs nothing beside it. matplotlib is imported here only."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ...tools.errors import MissingExtra
from ..agents.errors import DefinitionError
from .figures import KINDS, Measured
from .report import Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DRAWN: Final = ("throughput", "latency_p50", "latency_p99", "first_p50", "errors", "cpu")
_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}"
    "pre{overflow-x:auto}svg{max-width:100%;height:auto;background:#fff}"
)


def chart(report: Report, title: str) -> Figure:
    """A report as a picture: a panel for each kind of figure, a group of bars for each load, their spread as lines.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    names = [
        name for name in _DRAWN if any(name in one.figures and one.figures[name].high > 0 for one in report.results)
    ]
    figure = new_figure(10, 2.2 * max(1, len(names)) + 1)
    every = [(subject, load) for subject in report.subjects for load in report.loads]
    there = {(result.subject, result.load): result.figures for result in report.results}
    found = {pair: there.get(pair, {}) for pair in every}
    for place, name in enumerate(names):
        axes = figure.add_subplot(len(names), 1, place + 1)
        values: dict[str, Mapping[str, Measured]] = {
            subject: {
                load: found[subject, load][name] for load in report.loads if name in found.get((subject, load), {})
            }
            for subject in report.subjects
        }
        grouped_bars(axes, report.loads, values)
        axes.set_title(KINDS[name].title, fontsize=10, loc="left")
        axes.set_ylabel(KINDS[name].unit, fontsize=9)
        axes.set_ylim(bottom=0)
        if place == 0 and len(report.subjects) > 1:
            axes.legend(fontsize=8)
    figure.suptitle(title, fontsize=13)
    figure.supxlabel(_literal("\n".join(report.notes())), fontsize=8)
    return figure


def grouped_bars(axes: Any, groups: Sequence[str], values: Mapping[str, Mapping[str, Measured]]) -> None:
    """Draw bars, one for each subject in each group, with their spread.

    Args:
        axes: matplotlib's.
        groups: what stands below.
        values: by subject and group.
    """
    wide = 0.8 / max(1, len(values))
    for place, (subject, by_group) in enumerate(values.items()):
        there = [(index, by_group[group]) for index, group in enumerate(groups) if group in by_group]
        if not there:
            continue
        at = [index + wide * (place - (len(values) - 1) / 2) for index, _ in there]
        heights = [one.value for _, one in there]
        spread = [[one.value - one.low for _, one in there], [one.high - one.value for _, one in there]]
        axes.bar(at, heights, wide * 0.9, yerr=spread, capsize=2, label=_literal(subject))
    axes.set_xticks(range(len(groups)), groups, fontsize=9)


def _literal(text: str) -> str:
    """So that a name is no formula, and none that is left out."""
    shown = text.replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def check_picture(path: Path) -> None:
    """So that a picture which cannot be drawn is said before anything is measured. matplotlib is not imported for it:
    it would be a part of the memory that is measured.

    Args:
        path: where it would be written.

    Raises:
        MissingExtra: matplotlib is not installed.
        DefinitionError: the path ends in what no picture does.
    """
    if path.suffix.lower() not in _WAYS:
        raise DefinitionError(f"a picture is a {' or an '.join(_WAYS)}, not {str(path)!r:.200}")
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtra("bench", "a picture")


def new_figure(wide: float, high: float) -> Figure:
    """An empty figure.

    Args:
        wide, high: in inches.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("bench", "a picture") from error
    return Figure(figsize=(wide, high), layout="constrained")


def save_picture(figure: Figure, path: str | Path, title: str, text: str = "") -> None:
    """Write a figure: a ``.png``, or an ``.html`` page with the picture and a text below it.

    Args:
        figure: it.
        path: where.
        title: of the page.
        text: what the page says besides.

    Raises:
        DefinitionError: the path ends in something else, or cannot be written.
    """
    check_picture(Path(path))
    made = _WAYS[Path(path).suffix.lower()](figure, title, text)
    try:
        Path(path).write_bytes(made)
    except OSError as error:
        raise DefinitionError(f"the picture cannot be written to {str(path)!r:.200}: {error.strerror}") from None


def _png(figure: Figure, title: str, text: str) -> bytes:
    made = io.BytesIO()
    figure.savefig(made, format="png", dpi=120)
    return made.getvalue()


def _page(figure: Figure, title: str, text: str) -> bytes:
    made = io.StringIO()
    figure.savefig(made, format="svg")
    svg = made.getvalue()
    svg = svg[svg.index("<svg") :]
    body = f"<h1>{escape(title)}</h1>\n<figure>{svg}</figure>\n<pre>{escape(text)}</pre>"
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    page = f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'
    return page.encode()


_WAYS: Final[Mapping[str, Callable[[Figure, str, str], bytes]]] = {".png": _png, ".html": _page}
"""How a picture is written, by the end of its name."""
