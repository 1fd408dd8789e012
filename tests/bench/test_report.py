"""Reports: as text, as JSON, as pictures, and beside earlier ones."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from callboard import DefinitionError
from callboard.actors.bench.drawing import chart, new_figure, save_picture
from callboard.actors.bench.figures import Measured
from callboard.actors.bench.load import Closed, Open, Outcome
from callboard.actors.bench.measure import measure
from callboard.actors.bench.report import Report, Result, differences, differences_table, read_report
from callboard.actors.testing import virtual_time


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


@virtual_time
async def test_every_round_of_an_open_load_has_other_times_the_same_for_each_subject() -> None:
    clock = asyncio.get_running_loop().time
    asked: dict[str, list[float]] = {"a": [], "b": []}
    began: list[float] = []

    def subject(name: str) -> Any:
        async def ask(question: str) -> Outcome:
            asked[name].append(round(clock() - began[-1], 6) if began else -1.0)
            await asyncio.sleep(0.25)
            return Outcome(0.25)

        return ask

    def told(line: str) -> None:
        began.append(clock())

    subjects = {name: subject(name) for name in asked}
    found = await measure(subjects, [Open(0.5)], ["x"], seconds=40, rounds=2, told=told)
    (first, second), other = (asked["a"][8:18], asked["a"][18:]), asked["b"][8:]
    assert len(second) == 10
    assert first != second
    assert other == [*first, *second]
    assert found.seconds == 20
    assert [one.asked for one in found.results] == [20, 20]


async def test_a_benchmark_of_nothing_is_refused() -> None:
    async def ask(question: str) -> Outcome:
        raise AssertionError("nothing is asked")

    nothing: list[Any] = [({}, [Closed(1)], ["x"]), ({"a": ask}, [], ["x"]), ({"a": ask}, [Closed(1)], [])]
    for subjects, loads, questions in nothing:
        with pytest.raises(DefinitionError, match="a benchmark needs subjects, loads and questions"):
            await measure(subjects, loads, questions, seconds=1)
    with pytest.raises(DefinitionError, match=r"1 a second are none in a round of 0\.25 s.* fewer than 4 rounds"):
        await measure({"a": ask}, [Open(1)], ["x"], seconds=1, rounds=4)


async def test_there_are_three_rounds_and_errors_are_told_the_most_frequent_first() -> None:
    async def ask(question: str) -> Outcome:
        return Outcome(0.0, error=question)

    found = await measure({"a": ask}, [Closed(5)], ["Rare", "Often", "Often"], seconds=1e-9)
    (one,) = found.results
    assert (one.rounds, one.asked) == (3, 15)
    assert list(one.errors.items()) == [("Often", 9), ("Rare", 6)]
    assert one.figures["errors"] == Measured(100, 100, 100)
    assert re.fullmatch(r"\w+ \w+, \d+ cores?, \w+ 3\.\d+\.\d+\S*", found.machine)


def test_a_table_has_every_result_its_errors_and_its_spread() -> None:
    text = report(
        result(throughput=(100.0, 90.0, 110.0), latency_p50=12.345, errors=0.0),
        result("b.yaml"),
    ).table()
    lines = text.splitlines()
    assert re.split(r"\s{2,}", lines[1]) == ["10 at once", "a.yaml", "100", "12.3", "-", "-", "0", "-", "-", "-", "-"]
    heads = ["load", "subject", "answers/s", "p50 ms", "p99 ms"]
    spread = [re.split(r"\s{2,}", line) for line in lines[lines.index("lowest to highest of the rounds") + 1 :]]
    assert spread[:3] == [
        heads,
        ["10 at once", "a.yaml", "90–110", "12.3–12.3", "-"],
        ["10 at once", "b.yaml", "-", "-", "-"],
    ]
    more = ["first ms", "errors %", "tokens/s", "$/1,000", "CPU ms", "MB"]
    assert re.split(r"\s{2,}", lines[0]) == [*heads, *more]
    assert "medians of 3 rounds of 10 s, interleaved" in text
    assert "one subject" not in text
    assert f"one subject, {report(result(throughput=1.0)).subjects[0]}: " in report(result(throughput=1.0)).table()


def test_a_figure_has_three_digits_and_large_ones_their_thousands() -> None:
    values = {
        0.0: "0",
        0.0001234: "1.2e-04",
        0.001: "0.001",
        1.2345: "1.23",
        99.94: "99.9",
        100.4: "100",
        1234.5: "1,234",
    }
    for value, text in values.items():
        line = report(result(throughput=value)).table().splitlines()[1]
        assert re.split(r"\s{2,}", line)[2] == text


def test_one_round_has_no_spread_and_what_is_not_known_is_a_dash() -> None:
    figures = {"throughput": Measured(2.0, 2.0, 2.0)}
    text = report(Result("a", "1 at once", figures, 1, 2), Result("b", "1 at once", {}, 1, 2)).table()
    assert "lowest to highest" not in text
    assert "medians of 1 rounds of 10 s, interleaved" in text
    assert re.split(r"\s{2,}", text.splitlines()[2]) == ["1 at once", "b", *["-"] * 9]


def test_a_comparison_shows_what_is_worse_and_else_throughput_and_latency() -> None:
    old = report(result(throughput=10.0, latency_p50=5.0, latency_p90=5.0, errors=0.0, cost=1.0, cpu=0.0))
    new = report(result(throughput=20.0, latency_p50=5.0, latency_p90=5.0, errors=2.0, cost=1.0, cpu=1.0))
    lines = differences_table(differences(old, new)).splitlines()
    heads = ["load", "subject", "figure", "earlier", "now", "ratio"]
    assert [re.split(r"\s{2,}", line.strip()) for line in lines] == [
        heads,
        ["10 at once", "a.yaml", "answers a second", "10", "20", "2.00"],
        ["10 at once", "a.yaml", "latency, median", "5", "5", "1.00"],
        ["WORSE", "10 at once", "a.yaml", "questions without an answer", "0", "2", "-"],
        ["WORSE", "10 at once", "a.yaml", "CPU of this process an answer", "0", "1", "-"],
    ]
    (same,) = differences(report(result(errors=0.0)), report(result(errors=0.0)))
    assert same.ratio == 1


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


UNITS = {
    "throughput": "answers/s",
    **dict.fromkeys(
        ("latency_p50", "latency_p90", "latency_p99", "latency_max", "first_p50", "first_p99", "cpu"), "ms"
    ),
    "errors": "%",
    "input_tokens": "tokens/s",
    "output_tokens": "tokens/s",
    "cost": "$/1,000",
    "memory": "MB",
}


def test_every_figure_has_its_unit_and_some_are_neither_better_nor_worse() -> None:
    figures: Any = dict.fromkeys(UNITS, 1.0)
    made = report(result(**figures))
    assert {name: one["unit"] for name, one in made.as_json()["results"][0]["figures"].items()} == UNITS
    compared = {one.figure for one in differences(made, made)}
    assert UNITS.keys() - compared == {"latency_max", "input_tokens", "output_tokens"}


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
    *((name, 1.0, 2.0, True) for name in ("latency_p90", "latency_p99", "first_p50", "first_p99")),
    *((name, 1.0, 2.0, True) for name in ("cost", "cpu", "memory")),
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


def test_a_picture_has_a_group_for_each_load_and_a_bar_for_each_subject_with_its_spread() -> None:
    made = report(
        *(result(name, load, throughput=(5.0, 4.0, 7.0)) for load in ("1 at once", "2 at once") for name in ("a", "b")),
        result("c", "2 at once", throughput=1.0),
        result("d", "2 at once"),
    )
    (axes,) = chart(made, "Load").axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1 at once", "2 at once"]
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b", "c"]
    bars = [bar for bar in axes.patches if bar.get_height()]  # type: ignore[attr-defined]
    middles = [round(bar.get_x() + bar.get_width() / 2, 6) for bar in bars]  # type: ignore[attr-defined]
    assert middles == [-0.3, 0.7, -0.1, 0.9, 1.1], "four subjects stand beside each other around their load's place"
    assert all(bar.get_width() < 0.2 for bar in bars)  # type: ignore[attr-defined]
    assert axes.get_ylim()[0] == 0
    spread = [path.get_extents() for lines in axes.collections for path in lines.get_paths()]
    assert {(each.y0, each.y1) for each in spread} == {(4.0, 7.0), (1.0, 1.0)}
    one, two = (chart(report(made), "Load") for made in (result(cpu=1.0), result(cpu=1.0, errors=1.0)))
    assert [axes.get_legend() for axes in (*one.axes, *two.axes)] == [None] * 3
    assert one.get_figwidth() == two.get_figwidth() > one.get_figheight()
    assert two.get_figheight() > one.get_figheight(), "each figure has its room"


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
