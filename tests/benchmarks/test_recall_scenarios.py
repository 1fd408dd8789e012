"""The corpus of ``benchmarks memory``'s recall is what its page says, and searches are measured on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from benchmarks.subjects import memory_recall

FACTS, QUESTIONS = memory_recall.corpus()


def words(text: str) -> list[str]:
    return "".join(letter if letter.isalnum() else " " for letter in text.lower()).split()


def test_there_are_500_facts_and_100_questions_and_every_question_has_right_facts_that_are_there() -> None:
    assert len(FACTS) >= 500
    assert len(set(FACTS.values())) == len(FACTS)
    assert len({question.text for question in QUESTIONS}) == len(QUESTIONS) >= 100
    assert all(question.right and question.right <= FACTS.keys() for question in QUESTIONS)


def test_no_question_quotes_its_fact() -> None:
    for question in QUESTIONS:
        asked = words(question.text)
        parts = {tuple(asked[start : start + 4]) for start in range(len(asked) - 3)}
        for right in question.right:
            said = words(FACTS[right])
            quoted = parts & {tuple(said[start : start + 4]) for start in range(len(said) - 3)}
            assert not quoted, f"{question.text!r} quotes {right}"


async def test_words_alone_find_some_and_the_right_vectors_find_all() -> None:
    class Oracle(memory_recall.Nothing):
        """Knows which facts answer which question."""

        async def embed(self, texts: Sequence[str]) -> Any:
            rows = np.zeros((len(texts), len(QUESTIONS)), dtype=np.float32)
            for row, text in zip(rows, texts, strict=True):
                for at, question in enumerate(QUESTIONS):
                    row[at] = text == question.text or text in {FACTS[right] for right in question.right}
            return rows

    alone = await memory_recall.recall(memory_recall.Nothing())
    assert 0 < alone < 100
    assert await memory_recall.recall(Oracle()) == 100
