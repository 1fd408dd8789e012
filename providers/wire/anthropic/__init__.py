"""Anthropic's messages: https://docs.claude.com/en/api/messages

The protocol keeps system text apart, wants user and assistant in turn, tool results at the head of a user message,
and no empty text: neighbours of one side are merged and empty messages are left out. What it does not know is lost:
``name``, ``detail`` of a picture, seed and penalties.
"""

from .answer import from_response, to_response
from .blocks import ORIGIN
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
