"""How much a Claude model shall think, and how it samples, in the words that the model takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...messages import Request
from ..fitting.sampling import given
from .models import Takes

_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384}
_TOP_BUDGET = 32768
_LEAST_BUDGET = 1024
_LEAST_ANSWER = 1024
"""Tokens that are kept for the answer, of those that a model gives at most."""
_THOUGHTS = ("thinking", "redacted_thinking")


def thinks(payload: Mapping[str, Any]) -> bool:
    """Whether a request asks the model to think."""
    return payload.get("thinking", {}).get("type") in ("enabled", "adaptive")


def think(payload: dict[str, Any], request: Request, able: Takes, notes: list[str]) -> None:
    """Write how much the model shall think, beside the turns and the tools.

    Args:
        payload: takes it; ``max_tokens`` grows by what is thought where the request has none.
        request: what is asked.
        able: what the model takes.
        notes: takes what had to be changed.
    """
    effort, tokens = request.reasoning_effort, request.thinking_tokens
    if effort is None and tokens is None:
        return
    if effort == "none" or tokens == 0:
        if not able.off:
            notes.append("the model always thinks: it was not told not to")
        elif able.budget or able.adaptive:
            payload["thinking"] = {"type": "disabled"}
        return
    if effort is not None and able.effort:
        word = {"minimal": "low", "xhigh": able.top_effort}.get(effort, effort)
        payload["output_config"] = {"effort": word}
        if word != effort:
            notes.append(f"the model takes no reasoning effort {effort}: {word} was sent")
    if not (able.adaptive or able.budget):
        notes.append("the model does not think: the reasoning effort was left out")
    elif payload.get("tool_choice", {}).get("type") in ("any", "tool"):
        notes.append("the model does not think with a tool that must be called: the reasoning was left out")
    elif able.adaptive and (tokens is None or not able.budget):
        payload["thinking"] = {"type": "adaptive"}
        if tokens is not None:
            notes.append("the model takes no number of thinking tokens: it thinks as much as it finds right")
    elif _lacks_thoughts(payload["messages"]):
        notes.append(
            "the model wants back what it thought before its calls, which it did not make: the reasoning was left out"
        )
    else:
        _think_within(payload, request, able, notes)


def _lacks_thoughts(turns: list[dict[str, Any]]) -> bool:
    """Whether the history ends with results of calls that were made without thinking, by another model say. Then the
    API refuses a budget: "Expected `thinking` or `redacted_thinking`, but found `tool_use`"."""
    if not turns or turns[-1]["role"] == "assistant":
        return False
    results = any(block["type"] == "tool_result" for block in turns[-1]["content"])
    last = next((turn for turn in reversed(turns) if turn["role"] == "assistant"), None)
    return results and last is not None and last["content"][0].get("type") not in _THOUGHTS


def _think_within(payload: dict[str, Any], request: Request, able: Takes, notes: list[str]) -> None:
    tokens = request.thinking_tokens
    wanted = tokens if tokens is not None else _BUDGETS.get(request.reasoning_effort or "", _TOP_BUDGET)
    if request.max_tokens is not None:
        budget = min(wanted, request.max_tokens - 1)
    else:
        # An effort is ours to translate, and leaves the answer its usual room; a number is taken by its word.
        room = able.max_tokens if tokens is None else _LEAST_ANSWER
        budget = min(wanted, able.most_tokens - room)
    if budget < _LEAST_BUDGET:
        notes.append(f"the model does not think with fewer than {_LEAST_BUDGET} tokens: the reasoning was left out")
        return
    if tokens is not None and budget < tokens:
        notes.append(f"the model thinks for fewer tokens than it may answer with: {budget} in place of {tokens}")
    if request.max_tokens is None:
        payload["max_tokens"] = min(payload["max_tokens"] + budget, able.most_tokens)
    payload["thinking"] = {"type": "enabled", "budget_tokens": budget}


def sample(payload: dict[str, Any], request: Request, able: Takes, notes: list[str]) -> None:
    """Write what sampling the model takes; call `think` before. Arguments as there."""
    taken = given(request, ("temperature", "top_p", "top_k"))
    if not taken:
        return
    thinking = thinks(payload)
    if not able.sampling or (thinking and not able.sampling_thinking):
        when = "" if not able.sampling else " while it thinks"
        notes.append(f"the model takes no sampling{when}: {', '.join(taken)} left out")
        return
    if not able.both and "temperature" in taken and "top_p" in taken:
        del taken["top_p"]
        notes.append("the model takes a temperature or top_p: top_p left out")
    if taken.get("temperature", 0) > able.hottest:
        notes.append(f"the model takes no temperature above {able.hottest:g}: {able.hottest:g} was sent")
        taken["temperature"] = able.hottest
    payload.update(taken)
