"""A bar chart of the ratios, as a PNG. matplotlib is imported here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .model import OURS, Row


def write_plot(rows: Sequence[Row], baseline: str, path: Path) -> None:
    """Draw each scenario's ratios to ``baseline`` on a logarithmic scale and save them to ``path``.

    Raises RuntimeError when matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RuntimeError("a plot needs matplotlib: pip install 'callboard[bench]'") from error
    rated = [row for row in rows if row.ratio is not None and row.ratio > 0]
    scenarios = list(dict.fromkeys(row.scenario for row in rated))
    subjects = list(dict.fromkeys(row.subject for row in rated))
    # A bar is 0.2 inch high, whatever there is to show, so that labels never overlap.
    figure = Figure(figsize=(9, max(3.0, 0.2 * len(rated) + 0.25 * len(scenarios) + 1)), layout="constrained")
    axes = figure.add_subplot()
    position = 0.0
    ticks = []
    for scenario in scenarios:
        group = [row for row in rated if row.scenario == scenario]
        ticks.append(position + (len(group) - 1) / 2)
        for row in group:
            color = "black" if row.subject == OURS else f"C{subjects.index(row.subject) % 10}"
            ratio = row.ratio or 0.0
            axes.barh(position, ratio, color=color, label=row.subject)
            axes.text(ratio, position, f" {ratio:.2f}", va="center", fontsize=7)
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
    figure.savefig(path, dpi=120)
