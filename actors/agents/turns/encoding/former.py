"""Former forms of what a journal keeps, and how the next one is made of them: plain JSON in, plain JSON out."""

from __future__ import annotations

import json
from typing import Any

_FREE = frozenset({"values", "value", "input"})
"""Fields that hold what users put there, which nothing here may touch."""


def with_origins(plain: Any) -> Any:
    """Form 2 of form 1: a message's ``reasoning_state`` says whose it is, and is called ``state``."""
    if isinstance(plain, list):
        return [with_origins(item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    if "role" in plain and "reasoning_state" in plain:
        content = plain.get("content", "")
        spoken = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
        kept = state(plain["reasoning_state"], len(spoken), len(plain.get("tool_calls", ())))
        plain = {name: item for name, item in plain.items() if name != "reasoning_state"}
        if kept is not None:
            plain["state"] = kept
    return {name: item if name in _FREE else with_origins(item) for name, item in plain.items()}


def with_metadata(plain: dict[str, Any]) -> dict[str, Any]:
    """Form 3 of form 2: what the caller passed along with a run is its ``metadata``, no longer its ``values``."""
    run = plain.get("run")
    if isinstance(run, dict) and "values" in run:
        plain = {**plain, "run": {("metadata" if name == "values" else name): item for name, item in run.items()}}
    return plain


def state(text: Any, spoken: int, calls: int) -> dict[str, str] | None:
    """A vendor's state with its origin, of the blocks of reasoning that stood before text and calls.

    Args:
        text: the blocks, as JSON.
        spoken: the length of the message's text, in characters.
        calls: how many tools it calls.

    Returns:
        The fields of a `VendorState`; None where it was none, so that the message goes to the vendor without.
    """
    try:
        blocks = json.loads(text)
        responses = blocks[0]["type"] == "reasoning"
    except (ValueError, LookupError, TypeError):
        return None
    called = [["call", number, {}] for number in range(calls)]
    if responses:
        said: list[Any] = [["message", {}, [["text", spoken, {}]]]] if spoken else []
        kept = {"items": [*(["item", block] for block in blocks), *said, *called]}
        return {"origin": "openai.responses", "content": json.dumps(kept)}
    said = [["text", spoken, {}]] if spoken else []
    return {
        "origin": "anthropic",
        "content": json.dumps({"blocks": [*(["block", block] for block in blocks), *said, *called]}),
    }
