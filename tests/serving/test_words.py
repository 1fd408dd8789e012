"""What is answered by each protocol, word by word: states, fields, ids and how they belong together."""

from __future__ import annotations

import json

from .words import WORDS, told


async def test_what_is_answered_is_word_by_word_what_it_was() -> None:
    kept = [json.loads(line) for line in WORDS.read_text().splitlines()]
    now = await told()
    for before, after in zip(kept, now, strict=True):
        assert after == before, "where it is meant: python -m tests.serving.words"
