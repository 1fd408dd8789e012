"""The fields of requests, as OpenAI's documents have them, each with what it may be: what the agent decides and what is
taken without a word are looked at, too, so that a slip is told and not left out.

https://platform.openai.com/docs/api-reference/chat/create and …/responses/create
"""

from __future__ import annotations

from typing import Final

from .kinds import CHOICE, COUNT, FLAG, LIST, NUMBER, OBJECT, TEXT, WHOLE, each, either, fields, metadata, values

_TEXT_OR_LIST: Final = either(TEXT, LIST)

_FUNCTION: Final = {"name": TEXT, "description": TEXT, "parameters": OBJECT, "strict": FLAG}

_BOTH: Final = {
    **dict.fromkeys(("model", "user", "safety_identifier", "service_tier"), TEXT),
    **dict.fromkeys(("prompt_cache_key", "prompt_cache_retention"), TEXT),
    **dict.fromkeys(("temperature", "top_p", "frequency_penalty", "presence_penalty"), NUMBER),
    **dict.fromkeys(("stream", "store", "parallel_tool_calls"), FLAG),
    "top_logprobs": COUNT,
    "metadata": metadata,
    "moderation": fields({"model": TEXT}),
    "prompt_cache_options": fields({"mode": TEXT, "ttl": TEXT}),
    "stream_options": fields({"include_usage": FLAG, "include_obfuscation": FLAG}),
}
"""What both kinds of requests have."""

# -- chat completions --------------------------------------------------------------------------------------------------

_PART: Final = fields(
    {
        **dict.fromkeys(("type", "text", "refusal"), TEXT),
        "image_url": either(TEXT, fields({"url": TEXT, "detail": TEXT}, ["url"])),
        "input_audio": fields({"data": TEXT, "format": TEXT}, ["data", "format"]),
        "file": fields(dict.fromkeys(("file_data", "file_id", "filename"), TEXT)),
    }
)

_CALL: Final = fields(
    {
        "id": TEXT,
        "type": TEXT,
        "function": fields({"name": TEXT, "arguments": TEXT}, ["name", "arguments"]),
        "custom": fields({"name": TEXT, "input": TEXT}),
    }
)

_MESSAGE: Final = fields(
    {
        **dict.fromkeys(("role", "name", "refusal", "tool_call_id"), TEXT),
        "content": either(TEXT, each(_PART)),
        "tool_calls": each(_CALL),
        "audio": fields({"id": TEXT}),
    }
)

CHAT: Final = fields(
    {
        **_BOTH,
        "messages": each(_MESSAGE),
        "callboard": fields({"conversation": TEXT}),
        "audio": fields({"format": TEXT, "voice": either(TEXT, OBJECT)}),
        "function_call": either(TEXT, fields({"name": TEXT}, ["name"])),
        "functions": each(fields(_FUNCTION, ["name"])),
        "logit_bias": values(NUMBER),
        "logprobs": FLAG,
        "max_completion_tokens": WHOLE,
        "max_tokens": WHOLE,
        "modalities": each(TEXT),
        "n": WHOLE,
        "prediction": fields({"type": TEXT, "content": _TEXT_OR_LIST}, ["content"]),
        "reasoning_effort": TEXT,
        "response_format": OBJECT,
        "seed": WHOLE,
        "stop": either(TEXT, each(TEXT)),
        "tool_choice": either(
            CHOICE,
            fields({"type": TEXT, "function": fields({"name": TEXT}, ["name"]), "allowed_tools": OBJECT}, ["type"]),
        ),
        "tools": each(fields({"type": TEXT, "function": fields(_FUNCTION, ["name"])}, ["type"])),
        "verbosity": TEXT,
        "web_search_options": fields({"search_context_size": TEXT, "user_location": OBJECT}),
    }
)
"""The body of a request for a chat completion; what it says of the answer's form `output_type` looks at."""

# -- responses ---------------------------------------------------------------------------------------------------------

ITEM: Final = fields(
    {
        **dict.fromkeys(("id", "type", "role", "status", "call_id", "name", "arguments", "encrypted_content"), TEXT),
        **dict.fromkeys(("content", "output"), _TEXT_OR_LIST),
        "summary": LIST,
    }
)
"""An item of what is asked, or of what a conversation is given."""

PART: Final = fields(
    {
        **dict.fromkeys(("type", "text", "refusal", "image_url", "detail"), TEXT),
        **dict.fromkeys(("file_data", "file_id", "file_url", "filename"), TEXT),
        **dict.fromkeys(("annotations", "logprobs"), LIST),
    }
)
"""A part of an item's content."""

RESPONSE: Final = fields(
    {
        **_BOTH,
        "background": FLAG,
        "callboard": OBJECT,
        "context_management": each(fields({"type": TEXT, "compact_threshold": WHOLE}, ["type"])),
        "conversation": either(TEXT, fields({"id": TEXT}, ["id"])),
        "include": each(TEXT),
        "instructions": TEXT,
        "max_output_tokens": COUNT,
        "max_tool_calls": COUNT,
        "previous_response_id": TEXT,
        "reasoning": fields(dict.fromkeys(("effort", "summary", "generate_summary"), TEXT)),
        "text": fields({"format": OBJECT, "verbosity": TEXT}),
        "tool_choice": either(CHOICE, fields({"type": TEXT, "name": TEXT, "mode": TEXT, "tools": LIST}, ["type"])),
        "tools": each(fields({"type": TEXT, **_FUNCTION}, ["type"])),
        "truncation": TEXT,
    }
)
"""The body of a request for a response, but for its items; what it says of the answer's form `output_type` looks at."""
