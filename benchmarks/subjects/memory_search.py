"""Searches in a memory of n facts of 50 users, on SQLite, and numpy's bare product over the same vectors.

Facts are 6 to 20 words, which are as frequent as words are (Zipf, of 20,000); a question is four words of a fact and
one that is frequent. A vector (256 numbers) is the sum of random ones of the words, so that an embedder costs next to
nothing. What is timed is a whole search: the embedder, both rankings, their fusion, reading the facts, and the way to
the memory's thread and back. numpy works on one thread, for both.
"""

from __future__ import annotations

import asyncio
import functools
import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OPENBLAS_NUM_THREADS"] = (
    "1"  # before numpy: its threads wait for each other, which on busy cores takes long
)

import numpy as np

from benchmarks.harness.model import Sample
from callboard import Memory, Owner

SCALE = 1.0
USERS = 50
DIMENSIONS = 256
VOCABULARY = 20_000
SEARCHES = {"owner": 500, "all": 100}
"""In one run: a percentile of 99 wants some hundred."""


class WordSums:
    """An embedder that costs next to nothing."""

    name = "sums of random vectors"

    def __init__(self) -> None:
        self._rows = np.random.default_rng(1).standard_normal((VOCABULARY, DIMENSIONS)).astype(np.float32)

    async def embed(self, texts: Sequence[str]) -> Any:
        return np.array([self._rows[[int(word[1:]) for word in text.split()]].sum(axis=0) for text in texts])


class Kept(NamedTuple):
    """A memory that has been filled.

    Args:
        memory: it.
        questions: with the owners they are asked for.
        matrix: the vectors in it, user by user.
        vectors: those of the questions.
    """

    memory: Memory
    questions: list[tuple[str, int]]
    matrix: Any
    vectors: Any


@functools.cache
def kept(n: int) -> Kept:
    """A memory of so many facts, in a file that goes with the process."""
    return asyncio.run(_filled(n))


async def _filled(n: int) -> Kept:
    chance = np.random.default_rng(2)
    frequent = 1 / (np.arange(VOCABULARY) + 5)
    frequent /= frequent.sum()
    words = [f"w{number}" for number in range(VOCABULARY)]
    lengths = chance.integers(6, 21, n)
    drawn = iter(chance.choice(VOCABULARY, int(lengths.sum()), p=frequent).tolist())
    texts = [" ".join(words[next(drawn)] for _ in range(length)) for length in lengths]
    embedder = WordSums()
    folder = tempfile.TemporaryDirectory(prefix="memory-")
    _folders.append(folder)
    memory = Memory(Path(folder.name) / "memory.db", embedder=embedder)
    each = n // USERS
    for user in range(USERS):
        await memory.add_all(texts[user * each : (user + 1) * each], owner=Owner(f"user{user}"))
    dice = random.Random(3)
    questions = []
    for _ in range(max(SEARCHES.values())):
        at = dice.randrange(each * USERS)
        questions.append((" ".join([*dice.sample(texts[at].split(), 4), f"w{dice.randrange(50)}"]), at // each))
    rows = [await embedder.embed(texts[user * each : (user + 1) * each]) for user in range(USERS)]
    vectors = await embedder.embed([question for question, _ in questions])
    return Kept(memory, questions, np.concatenate(rows), vectors)


_folders: list[tempfile.TemporaryDirectory[str]] = []


def searches(where: str) -> Callable[[int], list[Sample]]:
    """Whole searches, of one user's facts or of everybody's."""

    def measured(n: int) -> list[Sample]:
        return asyncio.run(_searched(kept(n), where))

    return measured


async def _searched(at: Kept, where: str) -> list[Sample]:
    seconds, cpu = [], []
    for question, user in at.questions[: SEARCHES[where]]:
        began, used = time.perf_counter(), time.process_time()
        found = await (
            at.memory.search_all(question) if where == "all" else at.memory.search(question, owner=Owner(f"user{user}"))
        )
        cpu.append(time.process_time() - used)
        seconds.append(time.perf_counter() - began)
        assert found
    return _samples(seconds, cpu)


def products(where: str) -> Callable[[int], list[Sample]]:
    """What is the least that nearness costs: one product."""

    def measured(n: int) -> list[Sample]:
        at = kept(n)
        seconds, cpu = [], []
        each = len(at.matrix) // USERS
        for vector, (_, user) in zip(at.vectors[: SEARCHES[where]], at.questions, strict=False):
            matrix = at.matrix if where == "all" else at.matrix[user * each : (user + 1) * each]
            began, used = time.perf_counter(), time.process_time()
            matrix @ vector
            cpu.append(time.process_time() - used)
            seconds.append(time.perf_counter() - began)
        return _samples(seconds, cpu)

    return measured


def _samples(seconds: list[float], cpu: list[float]) -> list[Sample]:
    seconds.sort()
    middle, late = seconds[len(seconds) // 2], seconds[int(len(seconds) * 0.99)]
    return [
        Sample(middle * 1000, "ms"),
        Sample(late * 1000, "ms", "_p99"),
        Sample(sorted(cpu)[len(cpu) // 2] * 1000, "ms", "_cpu"),
    ]


SCENARIOS = {
    **{where: searches(where) for where in SEARCHES},
    **{f"{where}_product": products(where) for where in SEARCHES},
}
