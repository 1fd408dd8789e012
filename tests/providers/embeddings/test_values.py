"""The neutral request and answer, and their division, as their users see them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.providers.embeddings import EmbeddingLimit, EmbeddingRequest, Embeddings, divided, joined
from callboard.providers.errors import InvalidRequest, MalformedResponse
from callboard.providers.messages import Usage
from callboard.providers.tokens import FALLBACK

texts = st.lists(st.text(min_size=1, max_size=40).filter(lambda text: bool(text.strip())), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"texts": "one text"}, r"texts .* is str: expected a list of texts"),
        ({"texts": None}, r"texts .* is NoneType"),
        ({"texts": []}, r"has no texts"),
        ({"texts": ["a", 3]}, r"texts\[1\] .* is int: expected a text"),
        ({"texts": ["a", "b", " \n"]}, r"texts\[2\] .* is empty"),
        ({"model": ""}, r"names no model: name one, such as"),
        ({"model": 4}, r"model .* is int"),
        ({"dimensions": "3"}, r"dimensions .* is str"),
        ({"dimensions": True}, r"dimensions .* is bool"),
        ({"dimensions": 0}, r"dimensions .* is 0: expected at least 1"),
    ],
)
def test_a_wrong_request_is_refused_with_the_field_and_what_was_expected(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        EmbeddingRequest(**{"texts": ["a"], "model": "m", **fields})


@pytest.mark.parametrize("field", ["texts", "tokens"])
@pytest.mark.parametrize("given_value", [0, -1, "16", None, True, 2.5, float("nan"), float("inf")])
def test_a_limit_that_is_no_count_is_refused_by_its_field(field: str, given_value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field} is .*; expected .*at least 1$"):
        EmbeddingLimit(**{field: given_value})


def test_texts_and_headers_are_in_no_repr() -> None:
    request = EmbeddingRequest(["my secret diary"], "m", headers={"x-key": "sk-1"})
    assert "diary" not in repr(request)
    assert "sk-1" not in repr(request)
    assert len(repr(Embeddings(((0.5,) * 1536,)))) < 300, "a vector in a log line helps nobody"


@given(texts, st.integers(1, 7), st.integers(1, 30))
def test_a_request_is_divided_without_loss_in_its_order_and_within_the_limit(
    given_texts: list[str], most: int, tokens: int
) -> None:
    request = EmbeddingRequest(given_texts, "m", 4, user="u", extra={"a": 1})
    parts = list(divided(request, EmbeddingLimit(most, tokens)))
    assert [text for part in parts for text in part.texts] == given_texts
    for part in parts:
        assert (part.model, part.dimensions, part.user, part.extra) == ("m", 4, "u", {"a": 1})
        assert len(part.texts) <= most
        assert len(part.texts) == 1 or sum(map(FALLBACK.count, part.texts)) <= tokens


def test_a_part_holds_all_that_the_limit_allows() -> None:
    request = EmbeddingRequest(["a" * 40, "b" * 40, "c"], "m")
    size = sum(map(FALLBACK.count, request.texts[:2]))
    assert [len(part.texts) for part in divided(request, EmbeddingLimit(9, size))] == [2, 1]


def test_a_request_within_the_limit_is_not_copied() -> None:
    request = EmbeddingRequest(["a", "b"], "m")
    assert list(divided(request, EmbeddingLimit(2))) == [request]


def test_parts_join_in_their_order_and_sum_up() -> None:
    first = Embeddings(((1.0,), (2.0,)), Usage(3), "m", "a", "id-1", 0.1, 0.5, ("n",))
    second = Embeddings(((3.0,),), Usage(4), "m", "b", "id-2", 0.1, 0.25, ("n",))
    whole = joined([first, second], 0.2)
    assert whole.vectors == ((1.0,), (2.0,), (3.0,))
    assert (whole.usage, whole.cost, whole.latency, whole.request_id) == (Usage(7), 0.75, 0.2, "id-1")
    assert whole.notes == ("n", "answered in parts by a, b")
    unpriced = Embeddings(((3.0,),), Usage(4), "m", "b")
    assert joined([first, unpriced], 0.2).cost is None, "half a price is no price"


def test_parts_of_different_models_are_no_answer() -> None:
    with pytest.raises(MalformedResponse, match="different lengths"):
        joined([Embeddings(((1.0,),), model="m"), Embeddings(((1.0, 2.0),), model="other")], 0.0)
