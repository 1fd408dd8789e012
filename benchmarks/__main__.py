"""``python -m benchmarks NAME [--quick] [--json FILE] [--plot FILE] [--only SCENARIO,…] [--store]``.

``core`` also takes ``--before [COMMIT]``, which measures our library as it was at that commit in the same run.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from callboard.actors import CallboardError
from callboard.actors.agents.evaluation.reportfile import check_place
from callboard.actors.bench.drawing import check_picture

from .harness import Suite, measure
from .harness.checkout import CheckoutFailed
from .harness.model import OURS
from .harness.plot import write_plot
from .harness.report import alone, beside, made_on, store, stored_ratios, table, write_json

NAMES = ("core", "pool", "agents", "durable", "simulation", "prompts", "memory", "serve", "observe", "quota", "cluster")
WITH_BEFORE = ("core",)
DEFAULT_BEFORE = "565c8cf"  # the last commit before the core was rewritten


def names() -> list[str]:
    """The suites that are here."""
    return [name for name in NAMES if importlib.util.find_spec(f"{__package__}.{name}") is not None]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one suite and print it. Returns 0, 1 when one of our own cases failed, 2 for a wrong command line."""
    known = names()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=f"Suites: {', '.join(known)}.")
    parser.add_argument("name", metavar="NAME", help=f"one of: {', '.join(known)}")
    parser.add_argument("--quick", action="store_true", help="smaller sizes; the same number of runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the ratios into FILE, a .png or .html")
    parser.add_argument("--only", default="", metavar="SCENARIO,…", help="run these scenarios only")
    parser.add_argument("--store", action="store_true", help="keep the rows as the suite's baseline, with the machine")
    parser.add_argument(
        "--before",
        nargs="?",
        const=DEFAULT_BEFORE,
        metavar="COMMIT",
        help=f"compare with that commit of the library (default {DEFAULT_BEFORE}); {', '.join(WITH_BEFORE)} only",
    )
    options = parser.parse_args(argv)
    if options.name not in known:
        print(f"unknown benchmark {options.name!r}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    if options.before is not None and options.name not in WITH_BEFORE:
        print(f"--before is for {', '.join(WITH_BEFORE)}", file=sys.stderr)
        return 2
    if options.store and (options.quick or options.only):
        print("--store keeps a whole run: it goes with neither --quick nor --only", file=sys.stderr)
        return 2
    for path in filter(None, (options.json, options.plot)):
        try:
            check_place(path)
            if path == options.plot:
                check_picture(path)
        except CallboardError as error:
            print(error, file=sys.stderr)
            return 2
    make = importlib.import_module(f"{__package__}.{options.name}").suite
    try:
        suite: Suite = make(options.quick) if options.before is None else make(options.quick, options.before)
    except CheckoutFailed as error:
        print(error, file=sys.stderr)
        return 2
    only = [scenario for scenario in options.only.split(",") if scenario]
    unknown = sorted(set(only) - {case.scenario for case in suite.cases})
    try:
        if unknown:
            print(f"unknown scenario: {', '.join(unknown)}", file=sys.stderr)
            return 2
        results = measure(suite, only, lambda line: print(f"… {line}", file=sys.stderr, flush=True))
    finally:
        suite.close()
    print(table(results.rows, stored_ratios(options.name)))
    if results.comparisons:
        print(f"\n{beside(results.comparisons)}")
    print(f"\nmedians of {suite.repeats} interleaved runs; ratios to {suite.baseline}; min–max: the rounds' own ratios")
    for note in [*made_on(options.name), *alone(results.rows, suite.baseline), *suite.notes]:
        print(note)
    for subject, reason in suite.skipped.items():
        print(f"skipped {subject}: {reason}")
    for scenario, subject, reason in results.skipped:
        print(f"skipped {scenario} {subject}: {reason}")
    for scenario, subject, reason in results.failures:
        print(f"failed {scenario} {subject}: {reason}")
    if options.json:
        write_json(results.rows, options.json)
    if options.store:
        store(options.name, results.rows)
    if options.plot:
        left_out = [f"without {subject}: {reason}" for subject, reason in suite.skipped.items()]
        write_plot(results.rows, suite.baseline, options.plot, f"callboard, {options.name}", left_out)
    return 1 if any(subject == OURS for _scenario, subject, _reason in results.failures) else 0


if __name__ == "__main__":
    sys.exit(main())
