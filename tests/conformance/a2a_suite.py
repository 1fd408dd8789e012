"""A2A's Technology Compatibility Kit against `a2a_server`: ``python -m tests.conformance FOLDER a2a``.

In the folder are the kit (``a2a-tck``), and what it needs in an environment of its own (``a2a``). What is not served
here cannot be tried; `LEFT_OUT` says what, and why. Everything else must pass, and what stands there must not.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from .judging import Case, judged
from .serving import serving

SERVER = "tests.conformance.a2a_server"
TRANSPORTS = "jsonrpc,http_json"
NO_GRPC = ("Transport 'grpc' not configured", "gRPC transport not configured")

WITHOUT_GRPC: Mapping[str, tuple[str, ...]] = {"there is no gRPC": ("grpc: ",)}

LEFT_OUT: Mapping[str, tuple[str, ...]] = {
    **WITHOUT_GRPC,
    "an answer is a text, and a typed one has its value behind it: there are no files, and each message is a task": (
        *("test_task_has_file_artifact", "test_task_has_file_url_artifact", "test_task_has_data_artifact"),
        "test_returns_message_with_text_part",
    ),
    "a card has the fields of 0.3 besides those of 1.0, for clients of it": (
        "test_agent_card_validates_against_schema",
    ),
    "a card is known by its ETag; since when it is as it is nobody has written down": ("test_last_modified_present",),
    "REST answers application/a2a+json, as the examples and section 14.1 of the specification have it": (
        "test_response_content_type",
    ),
    "there is one card for all, and no extension that a client has to know": (
        *("test_must_requirement[CARD-EXT-001", "test_must_requirement[CARD-EXT-002"),
        "test_missing_required_extension_returns_error",
    ),
    "all agents stream": ("test_streaming_not_supported", "test_unsupported_operation_"),
    "tried apart, without webhooks": ("test_push_not_supported_", "test_push_notification_not_supported_error"),
    "the kit has no case": ("test_should_requirement[no-requirements",),
}
"""Why, and which cases: by their names, or how these begin."""

WITHOUT_WEBHOOKS = "push_not_supported or push_notification_not_supported"


def main(folder: Path) -> int:
    """Run the kit.

    Returns:
        0 where all is as expected.
    """
    with serving(SERVER, "known") as url:
        status = judged(run(folder, url), LEFT_OUT)
    with serving(SERVER) as url:
        return status | judged(run(folder, url, "-k", WITHOUT_WEBHOOKS), WITHOUT_GRPC)


def run(folder: Path, url: str, *options: str) -> list[Case]:
    """Run cases."""
    python = (folder / "a2a/bin/python").absolute()
    with tempfile.TemporaryDirectory() as made:
        results = Path(made) / "results.xml"
        command = [str(python), "-m", "pytest", "tests/compatibility", "-q", "--tb=short", "-p", "no:cacheprovider"]
        command += [f"--sut-host={url}", f"--transport={TRANSPORTS}", f"--junitxml={results}", *options]
        done = subprocess.run(command, cwd=folder / "a2a-tck", capture_output=True, text=True, check=False)
        if not results.exists():
            raise RuntimeError(f"the kit has not run:\n{done.stdout}{done.stderr}")
        return [_case(element) for element in ElementTree.parse(results).iter("testcase")]


def _case(element: ElementTree.Element) -> Case:
    name = element.get("name", "")
    for kind, outcome in (("failure", "failed"), ("error", "failed"), ("skipped", "skipped")):
        found = element.find(kind)
        if found is not None:
            why = found.get("message", "")
            if why.startswith(NO_GRPC):
                name = f"grpc: {name}"
            # Where a demand is no must, the kit has it as a skip that says what has failed.
            return Case(name, "failed" if "xfail" in found.get("type", "") else outcome, why)
    return Case(name, "passed", "")
