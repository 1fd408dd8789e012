"""How much models take: what a list says of them, and what vendors say who refuse a request."""

from __future__ import annotations

import pytest

from callboard.providers.errors import ContextTooLong
from callboard.providers.windows import context_window
from callboard.providers.wire.failures import from_status


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("claude-sonnet-4-5", 200_000),
        ("gpt-4o", 128_000),
        ("gemini-2.5-flash", 1_048_576),
        ("openrouter/anthropic/claude-sonnet-4-5", 200_000),
        ("a-model-of-ours", None),
        ("", None),
    ],
)
def test_the_window_of_a_model_is_known_by_its_name_where_it_is(model: str, tokens: int | None) -> None:
    assert context_window(model) == tokens


@pytest.mark.parametrize(
    ("text", "used", "allowed"),
    [
        # https://platform.openai.com/docs/guides/error-codes, as their servers say it
        (
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 140233 tokens. "
            "Please reduce the length of the messages.",
            140_233,
            128_000,
        ),
        (
            "This model's maximum context length is 8,192 tokens. However, you requested 9,001 tokens "
            "(8001 in the messages, 1000 in the completion).",
            9_001,
            8_192,
        ),
        (
            "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300000 tokens.",
            300_000,
            272_000,
        ),
        # https://docs.claude.com/en/docs/build-with-claude/context-windows
        ("prompt is too long: 215001 tokens > 200000 maximum", 215_001, 200_000),
        (
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            1_200_000,
            1_048_576,
        ),
        (
            "This model's maximum prompt length is 131072 but the request contains 150000 tokens.",
            150_000,
            131_072,
        ),
        (
            "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
            40_000,
            32_768,
        ),
        # https://github.com/ggml-org/llama.cpp/tree/master/tools/server
        ("request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it", 9_000, 8_192),
        ("the context window is exceeded", None, None),
    ],
)
def test_the_numbers_that_a_vendor_names_are_read(text: str, used: int | None, allowed: int | None) -> None:
    body = f'{{"error": {{"message": "{text}", "code": "context_length_exceeded"}}}}'
    error = from_status(400, body, {}, provider="p")
    assert isinstance(error, ContextTooLong)
    assert (error.used, error.allowed) == (used, allowed)
