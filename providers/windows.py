"""How many tokens models take: what the list of genai-prices says of them."""

from __future__ import annotations

from functools import cache


@cache
def context_window(model: str) -> int | None:
    """Tokens that a model takes, what it answers included; None where nobody knows.

    Args:
        model: its name, also with the vendor's before it (``openrouter/anthropic/claude-sonnet-4-5``).
    """
    from genai_prices.data_snapshot import get_snapshot  # a quarter of a second

    if not model:
        return None
    names = [model]
    while "/" in names[-1]:
        names.append(names[-1].partition("/")[2])
    for name in names:
        try:
            _, found = get_snapshot().find_provider_model(name, None, None, None)
        except LookupError:
            continue
        if found.context_window is not None:
            return int(found.context_window)
    return None
