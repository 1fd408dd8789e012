"""The table, the JSON file and the stored baseline."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from callboard.actors.bench.columns import aligned, number
from callboard.actors.bench.measure import machine

from .model import OURS, Comparison, Row

BASELINES = Path(__file__).parent.parent / "baselines"
MACHINES = "machines.json"
"""Beside the baselines: of each the machine it was made on, and when."""

HEADER = ("scenario", "subject", "median", "min", "max", "unit", "ratio", "min–max", "stored ratio")
BESIDE = ("scenario", "ours", "other", "median", "other's", "unit", "ours/other", "min–max")


def stored_ratios(name: str, folder: Path = BASELINES) -> dict[tuple[str, str], float]:
    """The ratios of the run kept in ``baselines/NAME.json``, by (scenario, subject); empty when there is none."""
    path = folder / f"{name}.json"
    if not path.exists():
        return {}
    rows = json.loads(path.read_text(encoding="utf-8"))
    return {(row["scenario"], row["subject"]): row["ratio"] for row in rows if row["ratio"] is not None}


def made_on(name: str, folder: Path = BASELINES) -> list[str]:
    """What to say of the stored baseline: its machine and date; nothing where there is none."""
    path = folder / MACHINES
    found = json.loads(path.read_text(encoding="utf-8")).get(name) if path.exists() else None
    return [] if found is None else [f"stored ratios: of {found['date']}, {found['machine']}"]


def store(name: str, rows: Iterable[Row], folder: Path = BASELINES) -> None:
    """Keep ``rows`` as the baseline of a suite, and what it was made on."""
    write_json(rows, folder / f"{name}.json")
    path = folder / MACHINES
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known[name] = {"date": str(datetime.now(UTC).date()), "machine": machine()}
    path.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def write_json(rows: Iterable[Row], path: Path) -> None:
    """Write ``rows`` as a JSON list of objects with the keys scenario, subject, value, unit, ratio."""
    lines = ",\n".join("  " + json.dumps(row.as_json(), ensure_ascii=False) for row in rows)
    path.write_text(f"[\n{lines}\n]\n" if lines else "[]\n", encoding="utf-8")


def table(rows: Sequence[Row], stored: dict[tuple[str, str], float]) -> str:
    """The rows as aligned text, an empty line between scenarios, our own rows marked with an asterisk."""
    cells: list[Sequence[str]] = [HEADER]
    for row in rows:
        before = stored.get((row.scenario, row.subject))
        mark = "*" if row.subject == OURS else " "
        cells.append(
            (
                row.scenario,
                mark + row.subject,
                number(row.value),
                number(row.low),
                number(row.high),
                row.unit,
                "" if row.ratio is None else f"{row.ratio:.2f}",
                spread(row.ratio_low, row.ratio_high),
                "" if before is None else f"{before:.2f}",
            )
        )
    lines = aligned(cells, left=(0, 1, 5))
    text = [lines[0]]
    for last, cell, line in zip(cells, cells[1:], lines[1:], strict=False):
        text += [line] if last[0] == cell[0] else ["", line]
    return "\n".join(text)


def beside(comparisons: Sequence[Comparison]) -> str:
    """The comparisons as aligned text, one a line."""
    cells: list[Sequence[str]] = [BESIDE]
    for one in comparisons:
        cells.append(
            (
                one.scenario,
                one.subject,
                one.other,
                number(one.value),
                number(one.other_value),
                one.unit,
                f"{one.ratio:.2f}",
                spread(one.low, one.high),
            )
        )
    return "\n".join(aligned(cells, left=(0, 1, 2, 5)))


def alone(rows: Iterable[Row], baseline: str) -> list[str]:
    """What to say where nobody was measured but ourselves and the baseline."""
    peers = {row.subject for row in rows} - {OURS, baseline}
    return [] if peers else ["no peers were measured: ratios to the baseline say nothing of others"]


def spread(low: float | None, high: float | None) -> str:
    """Two ratios as one word."""
    return "" if low is None or high is None else f"{low:.2f}–{high:.2f}"
