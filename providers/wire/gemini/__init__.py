"""Gemini's own protocol: https://ai.google.dev/api/generate-content

Google's client is not used: it reads a thought signature into bytes and writes it in another alphabet of base64
(``+/`` comes back as ``-_``), and drops parts whose kind it does not know (google-genai 3.6). Here the parts of an
answer are kept as they came, in their order, and go back unchanged:
https://ai.google.dev/gemini-api/docs/thought-signatures

What the protocol has no place for is left out, and noted: ``user``, ``parallel_tool_calls``, ``ToolSpec.strict``, names
of files. Names of speakers, cache marks (caching is automatic there), and how closely to look at a picture, go unnoted.
"""

from .answer import Assembler, from_response, to_events, to_response
from .request import from_payload, named, path, to_payload

__all__ = ["Assembler", "from_payload", "from_response", "named", "path", "to_events", "to_payload", "to_response"]
