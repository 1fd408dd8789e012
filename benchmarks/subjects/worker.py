"""One subject's process: ``python -m benchmarks.subjects.worker SUBJECT [SCENARIO N]``.

With SCENARIO and N it runs that once and prints the result, which is how a profiler is put on it. Without them it reads
requests from standard input, one JSON object a line (``{"scenario": …, "n": …, "uvloop": …}``), and answers each with
``{"samples": [[value, unit, suffix], …]}``, ``{"unsupported": …}`` or ``{"error": …}``. Its first line tells what it
can do.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys

from benchmarks.harness.model import Unsupported

from . import loop


def main(subject: str, once: tuple[str, int] | None = None) -> None:
    # What a subject prints must not get between the answers: it goes to standard error.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # A log record costs as much as a crash itself, and not every subject writes one: nobody does, but in the scenarios
    # about logging.
    logging.disable(logging.CRITICAL)

    def answer(**fields: object) -> None:
        print(json.dumps(fields), file=answers, flush=True)

    try:
        module = importlib.import_module(f"{__package__}.{subject}")
    except ImportError as error:
        answer(error=f"not installed ({error})")
        return
    if once is not None:
        for sample in module.SCENARIOS[once[0]](once[1]):
            print(once[0] + sample.suffix, round(sample.value, 3), sample.unit, file=answers)
        return
    answer(scenarios=list(module.SCENARIOS), scale=module.SCALE)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            loop.use_uvloop(request["uvloop"])
            samples = module.SCENARIOS[request["scenario"]](request["n"])
        except Unsupported as reason:
            answer(unsupported=str(reason))
        except Exception as error:
            answer(error=f"{type(error).__name__}: {error}")
        else:
            answer(samples=[[sample.value, sample.unit, sample.suffix] for sample in samples])


if __name__ == "__main__":
    main(sys.argv[1], (sys.argv[2], int(sys.argv[3])) if len(sys.argv) == 4 else None)
