"""An embedder without a model: feature hashing of words and of the letters in them.

The algorithm (K. Weinberger, A. Dasgupta, J. Attenberg, J. Langford, A. Smola: Feature Hashing for Large Scale
Multitask Learning, ICML 2009, https://arxiv.org/abs/0902.2206):

1. The text is normalised (NFKC, case folded) and taken apart into words: runs of letters, digits and underscores.
2. Its features are each word (``w:tea``), each pair of neighbours (``p:green tea``), and each run of three characters
   of a word with its borders (``c:<te``), which brings forms of one word together.
3. A feature's hash (BLAKE2b, 64 bits, big-endian) decides its place (hash modulo the dimensions, after the lowest bit)
   and its sign (the lowest bit): the paper's second hash, which makes the inner product unbiased under collisions.
4. A feature that occurs n times counts ``weight × √n``; weights are 1 for words, ½ for pairs, ¼ for letters.
5. The vector is divided by its Euclidean norm. A text without words, or whose features cancel out, is one feature.

The same text gets the same vector in every process and on every machine: BLAKE2b is keyed by nothing, and only
correctly rounded operations are used (sums by `math.fsum`, which does not depend on the order).

It knows words, not meanings: "car" and "automobile" are as far apart as any two words. Every answer says so.
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections import Counter
from itertools import pairwise

from ..embeddings import EmbeddingRequest, Embeddings, estimated_tokens
from ..errors import UnknownModel
from ..messages import Usage

MODEL = "hashing"
"""What this embedder is called as a model: ``offline:hashing``."""
NOTE = "vectors are hashes of words, not a language model's: they find the same words, not the same meaning"
DIMENSIONS = 512
_WORD = re.compile(r"\w+")
_WEIGHTS = {"w": 1.0, "p": 0.5, "c": 0.25}


def embed(request: EmbeddingRequest) -> Embeddings:
    """Embed texts.

    Raises:
        UnknownModel: another model was asked for, whose vectors these could not stand for.
    """
    if request.model not in (MODEL, "offline", f"offline:{MODEL}", f"offline/{MODEL}"):
        raise UnknownModel(
            f"offline has one embedding model, 'offline:{MODEL}', whose vectors cannot stand for those of "
            f"{request.model!r}",
            provider="offline",
        )
    vectors = tuple(hashed(text, request.dimensions or DIMENSIONS) for text in request.texts)
    return Embeddings(vectors, Usage(estimated_tokens(request)), model=MODEL, provider="offline", notes=(NOTE,))


def hashed(text: str, dimensions: int = DIMENSIONS) -> tuple[float, ...]:
    """The vector of one text: ``dimensions`` numbers of Euclidean norm 1."""
    counts = Counter(_features(text))
    vector = _summed(
        {feature: _WEIGHTS[feature[0]] * math.sqrt(count) for feature, count in counts.items()}, dimensions
    )
    if not any(vector):
        vector = _summed({f"t:{text}": 1.0}, dimensions)
    norm = math.sqrt(math.fsum(number * number for number in vector))
    return tuple(number / norm for number in vector)


def _features(text: str) -> list[str]:
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    features = [f"w:{word}" for word in words]
    features += [f"p:{one} {other}" for one, other in pairwise(words)]
    for word in words:
        bordered = f"<{word}>"
        features += [f"c:{bordered[start : start + 3]}" for start in range(len(bordered) - 2)]
    return features


def _summed(features: dict[str, float], dimensions: int) -> list[float]:
    places: list[list[float]] = [[] for _ in range(dimensions)]
    for feature, weight in features.items():
        digest = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        number = int.from_bytes(digest, "big")
        places[(number >> 1) % dimensions].append(-weight if number & 1 else weight)
    return [math.fsum(weights) for weights in places]
