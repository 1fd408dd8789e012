"""The offline embedder: what it promises is what can be computed by hand from its description."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.actors import ActorRef, System
from callboard.providers.embeddings import EmbeddingRequest
from callboard.providers.errors import UnknownModel
from callboard.providers.offline import OfflineProvider
from callboard.providers.offline.hashing import DIMENSIONS, NOTE, hashed
from callboard.providers.provider import Supports
from callboard.providers.registry.resolve import OFFLINE
from callboard.providers.vendors.build import child_spec


def near(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return math.fsum(a * b for a, b in zip(one, other, strict=True))


def test_a_vector_is_what_the_algorithm_says() -> None:
    def place(feature: str) -> tuple[int, int]:
        number = int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest(), "big")
        return (number // 2) % 64, -1 if number % 2 else 1

    expected = [0.0] * 64
    # "Tea, tea no" has two words, one of them twice; two pairs; and for each word its letters with borders.
    weights = {
        "w:tea": math.sqrt(2),
        "w:no": 1.0,
        "p:tea tea": 0.5,
        "p:tea no": 0.5,
        **{f"c:{run}": 0.25 * math.sqrt(2) for run in ("<te", "tea", "ea>")},
        **{f"c:{run}": 0.25 for run in ("<no", "no>")},
    }
    for feature, weight in weights.items():
        index, sign = place(feature)
        expected[index] += sign * weight
    norm = math.sqrt(sum(number**2 for number in expected))
    assert hashed("Tea, tea no", 64) == pytest.approx([number / norm for number in expected])


@given(st.text(min_size=1, max_size=80), st.integers(1, 600))
def test_every_text_has_a_vector_of_length_one(text: str, dimensions: int) -> None:
    vector = hashed(text, dimensions)
    assert len(vector) == dimensions
    assert math.isclose(near(vector, vector), 1.0, rel_tol=1e-12)


def test_the_same_text_has_the_same_vector_in_another_process() -> None:
    words = ["Grüße aus Bern", "東京 tower", "a a a b", "…", "ﬁne ℌello", "\ud800"]
    program = (
        "import json,sys; from callboard.providers.offline.hashing import hashed;"
        "print(json.dumps([hashed(text) for text in json.loads(sys.argv[1])]))"
    )
    for seed in ("1", "2"):
        ran = subprocess.run(
            [sys.executable, "-c", program, json.dumps(words)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert [tuple(vector) for vector in json.loads(ran.stdout)] == [hashed(text) for text in words]


def test_texts_with_the_same_words_are_near_and_others_far() -> None:
    asked = hashed("how do I restart the print server?")
    same = near(asked, hashed("restarting the print servers"))
    other = near(asked, hashed("the cat sleeps on a warm windowsill"))
    assert same > 0.3 > abs(other), (same, other)
    assert near(hashed("Ｔｅａ"), hashed("tea")) == pytest.approx(1.0), "width and case are not meaning"


async def test_the_offline_provider_embeds_and_says_that_no_model_does() -> None:
    async with System("offline") as system:
        ref: ActorRef[Any] = system.spawn(OfflineProvider)
        made = await ref.ask(EmbeddingRequest(["tea", "cake"], "offline:hashing"))
        assert made.vectors == (hashed("tea"), hashed("cake"))
        assert (made.model, made.provider, made.dimensions) == ("hashing", "offline", DIMENSIONS)
        assert NOTE in made.notes
        assert made.usage.input_tokens == 2
        assert (await ref.ask(EmbeddingRequest(["tea"], "offline", 8))).dimensions == 8
        assert await ref.ask(Supports("embeddings"))


async def test_a_large_request_leaves_the_loop_to_others() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with System("offline") as system:
        counting = asyncio.create_task(count())
        made = await system.supervise(child_spec(OFFLINE)).ask(EmbeddingRequest(["tea"] * 160, "offline:hashing", 4))
        counting.cancel()
        assert len(made.vectors) == 160
        assert turns >= 10, "sixteen texts at a time"


async def test_the_offline_provider_does_not_stand_in_for_a_model() -> None:
    async with System("offline") as system:
        with pytest.raises(UnknownModel, match=r"offline:hashing.*text-embedding-3-small"):
            await system.spawn(OfflineProvider).ask(EmbeddingRequest(["tea"], "text-embedding-3-small"))
