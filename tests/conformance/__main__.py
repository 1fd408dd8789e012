"""All suites, or those that are named: ``python -m tests.conformance FOLDER [mcp a2a responses]``."""

from __future__ import annotations

import sys
from pathlib import Path

from . import a2a_suite, mcp_suite, responses_suite

SUITES = {"mcp": mcp_suite.main, "a2a": a2a_suite.main, "responses": responses_suite.main}


def main(folder: Path, names: list[str]) -> int:
    """Run suites, also those after one that has found something.

    Returns:
        0 where all is as expected.
    """
    status = 0
    for name in names or SUITES:
        print(f"=== {name}", flush=True)
        status |= SUITES[name](folder)
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
