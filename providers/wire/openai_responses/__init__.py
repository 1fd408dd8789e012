"""OpenAI's responses API, without state on the server: https://platform.openai.com/docs/api-reference/responses

What the protocol has no place for is lost: seed, stop, penalties and top_k, which is noted, names, ``is_error`` and
cache marks.
"""

from .answer import from_response, to_response
from .items import ORIGIN
from .request import PATH, from_payload, to_payload
from .stream import Assembler, to_events

__all__ = [
    "ORIGIN",
    "PATH",
    "Assembler",
    "from_payload",
    "from_response",
    "to_events",
    "to_payload",
    "to_response",
]
