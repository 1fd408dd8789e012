"""Reports: as text, as JSON, as pictures, and beside earlier ones."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from callboard import DefinitionError
from callboard.actors.bench.drawing import chart, new_figure, save_picture
from callboard.actors.bench.figures import Measured
from callboard.actors.bench.load import Closed, Outcome
from callboard.actors.bench.measure import measure
from callboard.actors.bench.report import Report, Result, differences, differences_table, read_report


def report(*results: Result) -> Report:
    return Report(results, "Linux x86_64, 2 cores, CPython 3.11.7", "2026-11-27T00:00:00+00:00", 10.0)


def result(subject: str = "a.yaml", load: str = "10 at once", by_name: Any = None, **given: Any) -> Result:
    figures = {name: Measured(*(value if isinstance(value, tuple) else (value,) * 3)) for name, value in given.items()}
    return Result(subject, load, figures, 3, 100, by_name or {})


async def test_rounds_take_turns_and_each_subject_is_warm_before_the_first() -> None:
    asked: list[str] = []

    def subject(name: str) -> Any:
        async def ask(question: str) -> Outcome:
            asked.append(name)
            return Outcome(0.0, error="" if name == "a" else "Down")

        return ask

    told: list[str] = []
    found = await measure(
        {"a": subject("a"), "b": subject("b")}, [Closed(1), Closed(2)], ["x"], seconds=1e-9, rounds=2, told=told.append
    )
    assert told[:4] == [
        "a: 1 at once, round 1 of 2",
        "b: 1 at once, round 1 of 2",
        "a: 1 at once, round 2 of 2",
        "b: 1 at once, round 2 of 2",
    ]
    assert asked[:20] == ["a"] * 8 + ["b"] * 8 + ["a", "b", "a", "b"]
    assert [(one.subject, one.load, one.rounds, one.asked) for one in found.results] == [
        ("a", "1 at once", 2, 2),
        ("b", "1 at once", 2, 2),
        ("a", "2 at once", 2, 4),
        ("b", "2 at once", 2, 4),
    ]
    assert [dict(one.errors) for one in found.results] == [{}, {"Down": 2}, {}, {"Down": 4}]
    assert found.results[0].figures["memory"].value > 1
    assert "latency_p50" not in found.results[1].figures


def test_a_table_has_every_result_its_errors_and_its_spread() -> None:
    text = report(
        result(throughput=(100.0, 90.0, 110.0), latency_p50=12.345, errors=0.0),
        result("b.yaml"),
    ).table()
    lines = text.splitlines()
    assert re.split(r"\s{2,}", lines[1]) == ["10 at once", "a.yaml", "100", "12.3", "-", "-", "0", "-", "-", "-", "-"]
    assert "90–110" in text
    assert "medians of 3 rounds of 10 s, interleaved" in text
    assert "one subject" not in text
    assert f"one subject, {report(result(throughput=1.0)).subjects[0]}: " in report(result(throughput=1.0)).table()


def test_errors_are_told_by_name() -> None:
    assert (
        "errors of a.yaml, 10 at once: Timeout 3, HTTP503 1"
        in report(result("a.yaml", "10 at once", {"Timeout": 3, "HTTP503": 1}, throughput=1.0)).table()
    )


def test_a_report_is_read_as_it_was_written_and_says_its_units(tmp_path: Path) -> None:
    made = report(result(throughput=(1.0, 0.5, 2.0), cost=0.25), result("b.yaml", "5 a second", {"Cut": 1}, errors=1.0))
    made.save(tmp_path / "r.json")
    assert read_report(tmp_path / "r.json") == made
    data = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert data["results"][0]["figures"]["throughput"] == {"value": 1.0, "low": 0.5, "high": 2.0, "unit": "answers/s"}


@pytest.mark.parametrize("text", ["", "[]", '{"format": "callboard bench 1"}', '{"format": "callboard bench 2"}'])
def test_what_is_no_report_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(DefinitionError, match="is no report of a benchmark"):
        read_report(tmp_path / "r.json")
    with pytest.raises(DefinitionError, match="there is no report at"):
        read_report(tmp_path / "s.json")
    with pytest.raises(DefinitionError, match="cannot be written"):
        report().save(tmp_path)


WORSE: list[tuple[str, Any, Any, bool]] = [
    ("throughput", (100.0, 95.0, 105.0), (80.0, 75.0, 85.0), True),
    ("throughput", (100.0, 95.0, 105.0), (91.0, 90.0, 92.0), False),  # within the tolerance
    ("throughput", (100.0, 70.0, 105.0), (80.0, 75.0, 85.0), False),  # the rounds overlap
    ("throughput", (100.0, 95.0, 105.0), (200.0, 190.0, 210.0), False),
    ("latency_p50", (10.0, 9.0, 11.0), (12.0, 11.5, 13.0), True),
    ("latency_p50", (10.0, 9.0, 11.0), (10.9, 10.8, 11.5), False),
    ("latency_p50", (10.0, 9.0, 12.0), (12.0, 11.5, 13.0), False),
    ("latency_p50", (10.0, 9.0, 11.0), (5.0, 4.0, 6.0), False),
    ("cost", 1.0, 2.0, True),
    ("errors", 0.0, 0.5, False),
    ("errors", 0.0, 1.5, True),
    ("errors", (0.0, 0.0, 3.0), (1.5, 1.0, 2.0), False),
    ("errors", 5.0, 0.0, False),
]


@pytest.mark.parametrize(("figure", "then", "now", "worse"), WORSE)
def test_a_figure_is_worse_beyond_the_tolerance_and_the_spread(figure: str, then: Any, now: Any, worse: bool) -> None:
    (found,) = differences(report(result(**{figure: then})), report(result(**{figure: now})))
    assert found.worse is worse
    assert ("WORSE" in differences_table([found])) is worse


def test_what_is_compared_has_the_same_load_and_the_same_name_or_is_alone() -> None:
    old = report(result("a", "1 at once", throughput=1.0), result("a", "9 at once", throughput=1.0))
    new = report(result("renamed", "1 at once", throughput=2.0, latency_max=5.0, input_tokens=1.0))
    (found,) = differences(old, new)
    assert (found.subject, found.figure, found.ratio) == ("renamed", "throughput", 2.0)
    two = report(result("b", "1 at once", throughput=1.0), result("c", "1 at once", throughput=1.0))
    with pytest.raises(DefinitionError, match="nothing of this run was measured in the earlier one"):
        differences(old, two)
    with pytest.raises(DefinitionError, match="which has a"):
        differences(old, report(result("a", "2 at once", throughput=1.0)))


def test_a_picture_is_a_png_or_a_page_that_needs_nothing_beside_it(tmp_path: Path) -> None:
    made = report(
        result("<a>", throughput=(5.0, 4.0, 6.0), errors=0.0),
        result("b", throughput=3.0, latency_p50=7.0),
        result("b", "20 at once", latency_p50=7.0),
    )
    figure = chart(made, "Load & more")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["answers a second", "latency, median"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["answers/s", "ms"]
    heights = sorted(bar.get_height() for bar in figure.axes[0].patches)  # type: ignore[attr-defined]
    assert heights == [3.0, 5.0]
    save_picture(figure, tmp_path / "p.png", "t")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    save_picture(figure, tmp_path / "p.HTML", "Load & more", "<a> was fast")
    page = (tmp_path / "p.HTML").read_text(encoding="utf-8")
    assert "<title>Load &amp; more</title>" in page
    assert "&lt;a&gt; was fast" in page
    assert "<svg" in page
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#)""", page)
    assert "<script" not in page
    with pytest.raises(DefinitionError, match=r"a \.png or an \.html"):
        save_picture(figure, tmp_path / "p.gif", "t")
    with pytest.raises(DefinitionError, match="cannot be written"):
        save_picture(figure, tmp_path / "no" / "p.png", "t")


def test_a_picture_names_its_subjects_as_they_are_called(tmp_path: Path) -> None:
    alone = chart(report(result("$x_{$", throughput=5.0)), "t")
    save_picture(alone, tmp_path / "p.png", "t")
    assert r"one subject, \$x_{\$: " in alone.get_supxlabel()
    both = chart(report(result("_a", throughput=5.0), result("$b^$", throughput=3.0)), "t")
    legend = both.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [" _a", r"\$b^\$"]
    save_picture(both, tmp_path / "p.png", "t")


def test_an_empty_report_can_be_drawn(tmp_path: Path) -> None:
    save_picture(chart(report(), "none"), tmp_path / "p.png", "none")
    assert new_figure(2, 1).get_figwidth() == 2


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ([result(throughput=float("nan"))], "'throughput' of 'a.yaml', '10 at once' is no number from 0 on"),
        ([result(cost=(1.0, -1.0, 1.0))], "'cost' of 'a.yaml', '10 at once' is no number from 0 on"),
        ([result(cpu=float("inf"))], "'cpu' of 'a.yaml', '10 at once' is no number from 0 on"),
        ([result(), result()], "'a.yaml', '10 at once' is there twice"),
    ],
)
def test_a_report_that_cannot_be_is_refused_with_what_is_wrong(
    tmp_path: Path, results: list[Result], said: str
) -> None:
    report(*results).save(tmp_path / "r.json")
    with pytest.raises(DefinitionError, match=f"is no report of a benchmark: {said}"):
        read_report(tmp_path / "r.json")
