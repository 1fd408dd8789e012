"""What each of Anthropic's models takes; one that is not known, of another vendor say, counts as the newest.

Sources: https://docs.claude.com/en/docs/build-with-claude/adaptive-thinking, …/effort, …/extended-thinking,
…/mid-conversation-system-messages, …/about-claude/models/overview (output tokens) and the migration guides of 4.1
(temperature or top_p), 4.6 (no prefill) and 4.7 (no sampling, no budget).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_VERSION = re.compile(r"claude-(?:(?P<family>[a-z]+)-)?(?P<major>\d)(?:[-.](?P<minor>\d{1,2}))?(?!\d)")
_INLINE_SYSTEM = re.compile(r"claude-(opus-4-8|opus-5|fable-5|mythos-5)")


class Takes(NamedTuple):
    """What a model takes.

    Args:
        budget: thinking with a budget of tokens.
        adaptive: thinking as much as it finds right.
        effort: ``output_config.effort``.
        top_effort: the word for an effort above ``high``.
        sampling: temperature, top_p and top_k.
        sampling_thinking: the same while it thinks.
        both: temperature and top_p in one request.
        hottest: the highest temperature.
        off: to be told not to think.
        prefill: a history that ends with the assistant's words.
        inline_system: a system message in the midst of others.
        max_tokens: limit on output tokens to send when the request has none, in tokens: the protocol demands one.
        most_tokens: output tokens that it gives at most, thoughts among them.
    """

    budget: bool = True
    adaptive: bool = True
    effort: bool = True
    top_effort: str = "xhigh"
    sampling: bool = True
    sampling_thinking: bool = True
    both: bool = True
    hottest: float = 2.0
    off: bool = True
    prefill: bool = True
    inline_system: bool = False
    max_tokens: int = 8192
    most_tokens: int = 128_000


@lru_cache(maxsize=256)
def takes(model: str) -> Takes:
    """What `model` takes, by its name (Bedrock's and Vertex's forms of it included)."""
    found = _VERSION.search(model)
    if re.search(r"claude-(2|instant)", model):
        return Takes(budget=False, adaptive=False, effort=False, hottest=1.0, max_tokens=4096)
    if found is None:
        return Takes()
    family, version = found["family"], (int(found["major"]), int(found["minor"] or 0))
    return Takes(
        budget=(3, 7) <= version < (4, 7),
        adaptive=version >= (4, 6),
        effort=version >= (4, 6) or (version == (4, 5) and family == "opus"),
        top_effort="xhigh" if version >= (4, 7) else "max" if version >= (4, 6) else "high",
        sampling=version < (4, 7),
        sampling_thinking=False,
        both=version < (4, 1),
        hottest=1.0,
        off=family not in ("fable", "mythos"),
        prefill=version < (4, 6),
        inline_system=_INLINE_SYSTEM.search(model) is not None,
        max_tokens=4096 if version < (3, 5) else 8192,
        most_tokens=_most_tokens(version, family),
    )


def _most_tokens(version: tuple[int, int], family: str | None) -> int:
    if version < (3, 7):
        return 4096 if version < (3, 5) else 8192
    if version < (4, 0) or version >= (4, 6):
        return 64_000 if (version, family) in (((3, 7), None), ((4, 6), "sonnet")) else 128_000
    return 32_000 if family == "opus" and version < (4, 5) else 64_000
