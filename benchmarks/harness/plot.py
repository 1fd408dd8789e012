"""A bar chart of the ratios, drawn as `callboard bench` draws."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from callboard.actors.bench.drawing import new_figure, save_picture
from callboard.actors.bench.measure import machine

from .model import OURS, Row
from .report import alone


def write_plot(rows: Sequence[Row], baseline: str, path: Path, title: str = "", notes: Sequence[str] = ()) -> None:
    """Draw each scenario's ratios to ``baseline`` on a logarithmic scale, with the rounds' spread.

    Where nobody else was measured it says so, in place of a bar beside a baseline that does nothing.

    Args:
        rows: what was measured.
        baseline: the subject that all ratios refer to.
        path: a ``.png`` or an ``.html``.
        title: what stands above it.
        notes: what stands below, besides machine and date.

    Raises:
        MissingExtra: matplotlib is not installed.
        DefinitionError: the path ends in something else, or cannot be written.
    """
    rated = [row for row in rows if row.ratio is not None and row.ratio > 0]
    scenarios = list(dict.fromkeys(row.scenario for row in rated))
    subjects = list(dict.fromkeys(row.subject for row in rated))
    # A bar is 0.2 inch high, whatever there is to show, so that labels never overlap.
    figure = new_figure(9, max(3.0, 0.2 * len(rated) + 0.25 * len(scenarios) + 1.5))
    axes = figure.add_subplot()
    position = 0.0
    ticks = []
    for scenario in scenarios:
        group = [row for row in rated if row.scenario == scenario]
        ticks.append(position + (len(group) - 1) / 2)
        for row in group:
            color = "black" if row.subject == OURS else f"C{subjects.index(row.subject) % 10}"
            ratio = row.ratio or 0.0
            low, high = row.ratio_low or ratio, row.ratio_high or ratio
            spread = [[max(0.0, ratio - low)], [max(0.0, high - ratio)]]
            axes.barh(position, ratio, color=color, label=row.subject, xerr=spread, error_kw={"ecolor": "grey"})
            axes.text(max(ratio, high), position, f" {ratio:.2f}", va="center", fontsize=7)
            position += 1
        position += 1.2
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.set_xscale("log")
    axes.margins(x=0.1, y=0.01)
    axes.set_yticks(ticks, scenarios)
    axes.invert_yaxis()
    axes.set_xlabel(f"ratio to {baseline} (lower is better for costs)")
    handles, labels = axes.get_legend_handles_labels()
    by_label = dict(zip(labels, handles, strict=True))
    axes.legend(by_label.values(), by_label.keys(), fontsize=8)
    below = [f"{datetime.now(UTC).date()}, {machine()}", *alone(rows, baseline), *notes]
    figure.suptitle(title or f"ratios to {baseline}", fontsize=12)
    figure.supxlabel("\n".join(below), fontsize=7)
    save_picture(figure, path, title or "benchmark", "\n".join(below))
