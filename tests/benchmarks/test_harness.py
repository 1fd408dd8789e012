from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from benchmarks.__main__ import main, names
from benchmarks.harness import Case, Comparison, Row, Sample, Suite, Unsupported, measure
from benchmarks.harness.plot import write_plot
from benchmarks.harness.report import BASELINES, beside, made_on, store, stored_ratios, table, write_json

from callboard.actors.bench.measure import machine


def scripted(log: list[str], subject: str, values: list[float]) -> Callable[[], Sample]:
    remaining = iter(values)

    def run() -> Sample:
        log.append(subject)
        return Sample(next(remaining), "µs")

    return run


def test_subjects_of_a_scenario_run_in_turn() -> None:
    log: list[str] = []
    cases = [Case("tell", name, scripted(log, name, [1.0] * 3)) for name in ("a", "b")]
    measure(Suite("a", cases, repeats=3))
    assert log == ["a", "b", "a", "b", "a", "b"]


def test_a_row_holds_median_spread_and_the_ratio_to_the_baseline() -> None:
    cases = [
        Case("tell", "base", scripted([], "base", [4.0, 2.0, 3.0])),
        Case("tell", "callboard", scripted([], "callboard", [9.0, 5.0, 6.0])),
    ]
    rows = measure(Suite("base", cases, repeats=3)).rows
    assert rows == [
        Row("tell", "base", 3.0, 2.0, 4.0, "µs", 1.0, 1.0, 1.0),
        Row("tell", "callboard", 6.0, 5.0, 9.0, "µs", 2.0, 2.0, 2.5),
    ]


def test_a_case_is_compared_round_by_round_with_those_beside_it() -> None:
    cases = [
        Case("tell", "base", lambda: Sample(1.0, "µs")),
        Case("tell", "callboard", scripted([], "callboard", [2.0, 3.0, 5.0]), beside=["before", "absent"]),
        Case("tell", "before", scripted([], "before", [4.0, 2.0, 4.0])),
    ]
    results = measure(Suite("base", cases, repeats=3))
    assert results.comparisons == [Comparison("tell", "callboard", "before", 3.0, 4.0, "µs", 1.25, 0.5, 1.5)]


def test_what_costs_nothing_has_no_ratios() -> None:
    cases = [Case("tell", "base", lambda: Sample(0.0, "µs")), Case("tell", "b", lambda: Sample(1.0, "µs"), ["base"])]
    results = measure(Suite("base", cases))
    assert [row.ratio for row in results.rows] == [None, None]
    assert results.comparisons == []


def test_what_a_subject_lacks_is_skipped_and_is_no_failure() -> None:
    calls = []

    def lacking() -> Sample:
        calls.append(1)
        raise Unsupported("it has no metrics")

    results = measure(Suite("base", [Case("metrics", "before", lacking), Case("metrics", "base", list)]))
    assert results.skipped == [("metrics", "before", "it has no metrics")]
    assert results.failures == []
    assert calls == [1]


def test_a_suffixed_sample_is_a_scenario_of_its_own() -> None:
    cases = [Case("ask", "base", lambda: [Sample(1.0, "µs"), Sample(7.0, "µs", "_p99")])]
    rows = measure(Suite("base", cases)).rows
    assert [(row.scenario, row.value) for row in rows] == [("ask", 1.0), ("ask_p99", 7.0)]


def test_a_subject_without_a_baseline_has_no_ratio() -> None:
    rows = measure(Suite("missing", [Case("tell", "b", lambda: Sample(1.0, "µs"))])).rows
    assert [row.ratio for row in rows] == [None]


def test_a_failing_case_is_reported_and_the_others_go_on() -> None:
    def fail() -> Sample:
        raise OSError("no such peer")

    cases = [Case("tell", "peer", fail), Case("tell", "base", lambda: Sample(1.0, "µs"))]
    results = measure(Suite("base", cases))
    assert results.failures == [("tell", "peer", "OSError: no such peer")]
    assert [row.subject for row in results.rows] == ["base"]


def test_only_the_named_scenarios_run() -> None:
    cases = [Case(name, "base", lambda: Sample(1.0, "µs")) for name in ("tell", "ask")]
    assert [row.scenario for row in measure(Suite("base", cases), only=["ask"]).rows] == ["ask"]


def test_an_unknown_name_exits_with_2_and_lists_the_suites(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no-such-suite"]) == 2
    error = capsys.readouterr().err
    assert "no-such-suite" in error
    assert all(name in error for name in names())


@pytest.mark.parametrize("other", ["", "pykka"])
def test_a_run_without_peers_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], other: str
) -> None:
    cases = [Case("tell", name, lambda: Sample(1.0, "µs")) for name in ("base", "callboard", other) if name]
    monkeypatch.setattr("benchmarks.prompts.suite", lambda quick: Suite("base", cases))
    assert main(["prompts"]) == 0
    assert ("no peers were measured" in capsys.readouterr().out) == (not other)


@pytest.mark.parametrize("options", [("--plot", "p.gif"), ("--plot", "no/p.png"), ("--json", "no/r.json")])
def test_what_cannot_be_written_is_said_before_anything_is_measured(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, options: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["core", *options]) == 2
    said = capsys.readouterr()
    assert options[1] in said.err
    assert said.out == ""


def test_the_json_file_is_a_list_of_rows_with_five_keys(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    write_json([Row("tell", "callboard", 2.0, 1.0, 3.0, "µs", 0.5)], path)
    assert json.loads(path.read_text(encoding="utf-8")) == [
        {"scenario": "tell", "subject": "callboard", "value": 2.0, "unit": "µs", "ratio": 0.5}
    ]


def test_stored_ratios_are_read_back_from_a_baseline_file(tmp_path: Path) -> None:
    write_json([Row("tell", "callboard", 2.0, 1.0, 3.0, "µs", 0.5)], tmp_path / "core.json")
    assert stored_ratios("core", tmp_path) == {("tell", "callboard"): 0.5}
    assert stored_ratios("pool", tmp_path) == {}


def test_a_baseline_is_kept_with_the_machine_that_it_was_made_on(tmp_path: Path) -> None:
    store("core", [Row("tell", "callboard", 2.0, 1.0, 3.0, "µs", 0.5)], tmp_path)
    store("pool", [Row("ask", "callboard", 4.0, 1.0, 9.0, "µs", 2.0)], tmp_path)
    assert stored_ratios("core", tmp_path) == {("tell", "callboard"): 0.5}
    (said,) = made_on("core", tmp_path)
    assert machine() in said
    assert str(datetime.now(UTC).date()) in said
    assert made_on("serve", tmp_path) == []


def test_each_stored_baseline_says_its_machine() -> None:
    kept = [path.stem for path in BASELINES.glob("*.json") if path.stem != "machines"]
    assert [name for name in kept if not made_on(name)] == []


@pytest.mark.parametrize("option", ["--quick", "--only=spawn"])
def test_a_part_of_a_run_is_no_baseline(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["core", "--store", option]) == 2
    assert "--store keeps a whole run" in capsys.readouterr().err


def test_the_table_shows_spread_and_stored_ratio_and_marks_our_rows() -> None:
    text = table([Row("tell", "callboard", 2.0, 1.0, 3.0, "µs", 0.5)], {("tell", "callboard"): 0.625})
    assert text.splitlines()[-1].split() == ["tell", "*callboard", "2", "1", "3", "µs", "0.50", "0.62"]


def test_the_table_shows_the_spread_of_a_ratio() -> None:
    text = table([Row("tell", "callboard", 2.0, 1.0, 3.0, "µs", 0.5, 0.25, 0.75)], {})
    assert text.splitlines()[-1].split() == ["tell", "*callboard", "2", "1", "3", "µs", "0.50", "0.25–0.75"]


def test_compared_subjects_stand_side_by_side_with_their_ratio_and_its_spread() -> None:
    text = beside([Comparison("tell", "callboard", "before", 3.0, 4.0, "µs", 0.75, 0.5, 1.0)])
    assert text.splitlines()[-1].split() == ["tell", "callboard", "before", "3", "4", "µs", "0.75", "0.50–1.00"]


def test_the_plot_is_a_png_file(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "plot.png"
    write_plot([Row("tell", "base", 1, 1, 1, "µs", 1.0), Row("tell", "callboard", 2, 2, 2, "µs", 2.0)], "base", path)
    assert path.read_bytes().startswith(b"\x89PNG")
