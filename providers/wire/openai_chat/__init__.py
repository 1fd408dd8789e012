"""OpenAI's chat completions, which most vendors copy: https://platform.openai.com/docs/api-reference/chat

What the protocol cannot say is lost on the way: ``is_error`` and the name of a tool result (the name is found again
through the call), and cache marks, but where a dialect knows them (caching is automatic there).
"""

from .answer import from_response, to_response
from .dialect import OPENAI, Dialect
from .messages import ORIGIN
from .request import PATH, from_payload, read_message, to_payload
from .stream import Assembler, to_events

__all__ = [
    "OPENAI",
    "ORIGIN",
    "PATH",
    "Assembler",
    "Dialect",
    "from_payload",
    "from_response",
    "read_message",
    "to_events",
    "to_payload",
    "to_response",
]
