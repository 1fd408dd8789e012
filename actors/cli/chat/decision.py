"""What a person answers to a call that waits for approval. Pure."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal, TypeAlias

Word: TypeAlias = Literal["yes", "no", "edit", "always"]

_WORDS: dict[str, Word] = {
    **dict.fromkeys(("y", "yes"), "yes"),
    **dict.fromkeys(("n", "no"), "no"),
    **dict.fromkeys(("e", "edit"), "edit"),
    **dict.fromkeys(("a", "always"), "always"),
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided.

    Args:
        word: ``always`` is yes, also to what follows in this run; ``edit`` wants other arguments.
        reason: behind a no, for the model.
    """

    word: Word
    reason: str = ""


def understand_decision(said: str) -> Decision | None:
    """What an answer means; None where it is neither yes nor no.

    Args:
        said: as typed. Behind a no there may be a reason; the other words stand alone.
    """
    first, _, rest = said.strip().partition(" ")
    word = _WORDS.get(first.lower().rstrip(",.:;!"))
    if word is None or (rest.strip() and word != "no"):
        return None
    return Decision(word, rest.strip())


def more_of(limit: str, said: str, allowed: float) -> float | None:
    """How much a run may use in all that waits for more; None where the answer is neither a number nor yes.

    Args:
        limit: which: ``steps`` and ``tokens`` are whole numbers.
        said: as typed: yes is twice as much.
        allowed: how much it was so far.
    """
    if said.strip().lower() in ("y", "yes"):
        return 2 * allowed
    try:
        number = float(said.strip().replace(",", ""))
    except ValueError:
        return None
    if not allowed < number < float("inf"):
        return None
    if limit in ("cost", "seconds"):
        return number
    return int(number) if int(number) > allowed else None


def expiry(expires_at: float | None, now: float) -> str:
    """Until when it can be decided, in words; empty for ever.

    Args:
        expires_at, now: seconds since 1970.
    """
    if expires_at is None:
        return ""
    left = max(0.0, expires_at - now)
    at = time.localtime(expires_at)
    if left < 120:
        return f"it counts as denied in {left:.0f} s"
    if left < 86_400:
        return f"it counts as denied from {time.strftime('%H:%M', at)} on"
    return f"it counts as denied from {time.strftime('%Y-%m-%d %H:%M', at)} on"
