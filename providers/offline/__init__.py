"""The offline model: rules instead of intelligence, so that every flow runs with no key and no network.

It reads the last request and the tool specs, decides by their words which tools to call with what, and answers with
what the tools returned. It understands nothing, makes nothing up, and says what it is.
So does its embedder, which hashes words.
"""

from .hashing import embed
from .model import MODEL, complete
from .provider import OfflineProvider

__all__ = ["MODEL", "OfflineProvider", "complete", "embed"]
