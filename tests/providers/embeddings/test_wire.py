"""OpenAI's and Gemini's embeddings on the wire, both ways."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.providers.embeddings import EmbeddingRequest, Embeddings
from callboard.providers.errors import AuthenticationFailed, MalformedResponse
from callboard.providers.messages import Usage
from callboard.providers.wire import gemini_embeddings, openai_embeddings

texts = st.lists(st.text(min_size=1).filter(lambda text: bool(text.strip())), min_size=1, max_size=4)
numbers = st.floats(-10, 10, width=32)


@st.composite
def answers(draw: st.DrawFn) -> Embeddings:
    size = draw(st.integers(1, 5))
    vectors = draw(st.lists(st.tuples(*[numbers] * size), min_size=1, max_size=4))
    return Embeddings(tuple(vectors), Usage(draw(st.integers(0, 9999))), "m", "p")


def over_the_wire(value: Any) -> Any:
    return json.loads(json.dumps(value))


@given(texts, st.none() | st.integers(1, 3000), st.none() | st.just("u"), st.sampled_from(["float", "base64"]))
def test_a_request_survives_the_wire(
    given_texts: list[str], dimensions: int | None, user: str | None, encoding: openai_embeddings.Encoding
) -> None:
    request = EmbeddingRequest(given_texts, "m", dimensions, user, extra={"truncate": "END"})
    payload = over_the_wire(openai_embeddings.to_payload(request, model="m", encoding=encoding))
    assert payload["encoding_format"] == encoding
    assert openai_embeddings.from_payload(payload) == request


@given(answers(), st.sampled_from(["float", "base64"]))
def test_an_answer_survives_the_wire_in_both_encodings(made: Embeddings, encoding: openai_embeddings.Encoding) -> None:
    body = over_the_wire(openai_embeddings.to_response(made, encoding=encoding))
    assert openai_embeddings.from_response(body, count=len(made.vectors), provider="p") == made


@given(texts, st.none() | st.integers(1, 3000))
def test_a_request_in_geminis_own_form_survives_the_wire(given_texts: list[str], dimensions: int | None) -> None:
    request = EmbeddingRequest(given_texts, "gemini-embedding-001", dimensions)
    payload = over_the_wire(gemini_embeddings.to_payload(request, model=request.model))
    assert payload["requests"][0]["model"] == "models/gemini-embedding-001"
    assert gemini_embeddings.from_payload(payload) == request


def test_geminis_answer_is_read() -> None:
    body = {"embeddings": [{"values": [0.5, 1]}, {"values": [0, -1.5]}]}
    made = gemini_embeddings.from_response(body, count=2, model="m", provider="p")
    assert made == Embeddings(((0.5, 1.0), (0.0, -1.5)), model="m", provider="p")
    assert gemini_embeddings.to_response(made) == body


def test_vectors_are_put_into_the_order_of_the_texts() -> None:
    data = [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]
    made = openai_embeddings.from_response({"data": data, "model": "m"}, count=2)
    assert made.vectors == ((1.0,), (2.0,))
    plain = [{"embedding": [1.0]}, {"embedding": [2.0]}]
    assert openai_embeddings.from_response({"data": plain}, count=2).vectors == ((1.0,), (2.0,))


def test_an_answer_is_read_as_it_came_whatever_was_asked_for() -> None:
    text = base64.b64encode(struct.pack("<2f", 0.5, -2.0)).decode()
    data = [{"index": 0, "embedding": text}, {"index": 1, "embedding": [1, 2]}]
    assert openai_embeddings.from_response({"data": data}, count=2).vectors == ((0.5, -2.0), (1.0, 2.0))


NAN = base64.b64encode(struct.pack("<f", float("nan"))).decode()


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"data": None},
        {"data": [1]},
        {"data": []},
        {"data": [{"index": 0, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [2.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 2, "embedding": [2.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 2.0]}]},
        {"data": [{"index": 0, "embedding": []}, {"index": 1, "embedding": []}]},
        {"data": [{"index": 0, "embedding": ["1"]}, {"index": 1, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": NAN}, {"index": 1, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": "?"}, {"index": 1, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": "AAA="}, {"index": 1, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": None}, {"index": 1, "embedding": [1.0]}]},
        {"data": [{"index": [], "embedding": [1.0]}, {"index": {}, "embedding": [1.0]}]},
        {"data": [{"index": False, "embedding": [1.0]}, {"index": True, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [10**400]}, {"index": 1, "embedding": [1.0]}]},
        {"data": [{"embedding": [1.0]}, {"embedding": [1.0]}], "usage": {"prompt_tokens": 10**30}},
        {"data": [{"embedding": [1.0]}, {"embedding": [1.0]}], "usage": {"prompt_tokens": "2"}},
    ],
)
def test_what_is_not_one_vector_for_each_text_is_malformed(body: Any) -> None:
    with pytest.raises(MalformedResponse):
        openai_embeddings.from_response(body, count=2)


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"embeddings": [{}]},
        {"embeddings": [{"values": [1]}]},
        {"embeddings": [1]},
        {"embeddings": [{"values": [10**400]}] * 2},
    ],
)
def test_what_is_not_one_vector_for_each_text_is_malformed_at_gemini(body: Any) -> None:
    with pytest.raises(MalformedResponse):
        gemini_embeddings.from_response(body, count=2, model="m")


def test_an_error_in_a_body_is_known_by_its_type() -> None:
    with pytest.raises(AuthenticationFailed):
        openai_embeddings.from_response({"error": {"code": "invalid_api_key", "message": "no"}}, count=1)


@pytest.mark.parametrize("given_input", [None, 3, [1, 2], [[1], [2]], {}])
def test_a_server_refuses_an_input_that_is_no_text(given_input: Any) -> None:
    with pytest.raises(ValueError, match="input: expected a text"):
        openai_embeddings.from_payload({"model": "m", "input": given_input})
