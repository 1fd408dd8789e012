"""Labels of text as texts, as a fact has them. Pure."""

from __future__ import annotations

from typing import Final

from .....providers.messages import Labels

UNTRUSTED: Final = "untrusted: "
CONFIDENTIAL: Final = "confidential: "


def as_texts(labels: Labels) -> tuple[str, ...]:
    """Labels as a fact has them."""
    untrusted = (f"{UNTRUSTED}{source}" for source in sorted(labels.untrusted))
    return (*untrusted, *(f"{CONFIDENTIAL}{kind}" for kind in sorted(labels.confidential)))
