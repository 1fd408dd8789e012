"""The searches of ``benchmarks memory``: both subjects have the same vectors, and a search finds what was asked for."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.subjects import memory_search

from callboard import Owner

FACTS = 200


async def test_the_memory_and_the_matrix_have_the_same_facts() -> None:
    at = await memory_search._filled(FACTS)
    with at.memory:
        assert at.matrix.shape == (FACTS, memory_search.DIMENSIONS)
        for (question, user), vector in list(zip(at.questions, at.vectors, strict=True))[:20]:
            facts = await at.memory.facts(owner=Owner(f"user{user}"))
            each = FACTS // memory_search.USERS
            assert len(facts) == each
            best = facts[int(np.argmax(at.matrix[user * each : (user + 1) * each] @ vector))]
            assert best in [one.fact for one in await at.memory.search(question, owner=Owner(f"user{user}"))]


@pytest.mark.parametrize("scenario", ["owner", "owner_product", "all", "all_product"])
def test_each_is_measured(scenario: str) -> None:
    samples = memory_search.SCENARIOS[scenario](FACTS)
    assert [(sample.unit, sample.suffix) for sample in samples] == [("ms", ""), ("ms", "_p99"), ("ms", "_cpu")]
