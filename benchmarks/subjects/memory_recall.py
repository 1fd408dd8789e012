"""How many of the right facts a search finds among its first ten, on the corpus in ``benchmarks/data/recall``."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy

import numpy as np
import yaml

from benchmarks.harness import Sample, Unsupported
from callboard import Embedder, HashingEmbedder, Memory, Owner

SCALE = 1.0
CORPUS = Path(__file__).parent.parent / "data" / "recall"
FIRST = 10
SOMEBODY = Owner("somebody")


class Question(NamedTuple):
    """A question, and the ids of the facts that answer it."""

    text: str
    right: frozenset[str]


def corpus() -> tuple[dict[str, str], list[Question]]:
    """All facts by id, and the questions about them."""
    facts: dict[str, str] = {}
    questions: list[Question] = []
    for path in sorted(CORPUS.glob("*.yaml")):
        domain = yaml.safe_load(path.read_text("utf-8"))
        facts.update(domain["facts"])
        questions += [Question(one["ask"], frozenset(one["facts"])) for one in domain["questions"]]
    return facts, questions


class Nothing:
    """An embedder by which nothing is near to anything: what is found is found by words."""

    name = "nothing"

    async def embed(self, texts: Sequence[str]) -> Any:
        return np.zeros((len(texts), 1), dtype=np.float32)


class WordLlamaEmbedder:
    """Sums of a small model's word vectors, which are in the wheel of ``wordllama``: nothing is downloaded."""

    name = "wordllama/l2_supercat_256"

    def __init__(self) -> None:
        try:
            import wordllama
        except ImportError:
            raise Unsupported("no wordllama (pip install 'callboard[bench]')") from None
        # The wheel's own folder: it looks for its tokenizer in another one, and on the network then.
        here = Path(wordllama.__file__).parent
        self._model = wordllama.WordLlama.load(cache_dir=here, disable_download=True)

    async def embed(self, texts: Sequence[str]) -> Any:
        return self._model.embed(list(texts))


async def recall(embedder: Embedder) -> float:
    """The mean share of a question's right facts that are among the first ten found, in per cent."""
    facts, questions = corpus()
    with Memory(embedder=embedder) as memory:
        kept = await memory.add_all(facts.values(), owner=SOMEBODY)
        names = dict(zip((fact.id for fact in kept), facts, strict=True))
        shares = []
        for question in questions:
            found = await memory.search(question.text, owner=SOMEBODY, limit=FIRST)
            shares.append(len(question.right & {names[one.fact.id] for one in found}) / len(question.right))
    return 100 * sum(shares) / len(shares)


def measured(make: Callable[[], Embedder]) -> Callable[[int], list[Sample]]:
    """A scenario; what it measures does not change from run to run."""

    @functools.cache
    def once() -> float:
        return asyncio.run(recall(make()))

    return lambda n: [Sample(once(), "%")]


SCENARIOS = {
    "words": measured(Nothing),
    "hashing": measured(HashingEmbedder),
    "wordllama": measured(WordLlamaEmbedder),
}
