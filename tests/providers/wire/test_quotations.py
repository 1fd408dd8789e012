"""Of what was asked no twenty characters in a row stay in what a vendor says of it, and the search is bounded."""

from __future__ import annotations

import json
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.providers.errors import InvalidRequest, ProviderError
from callboard.providers.messages import File, Image, Message, Request, Text, ToolSpec
from callboard.providers.wire.quotations import quotable
from callboard.providers.wire.secrets import cleaned

WORDS = "".join(random.Random(1).choices(string.ascii_letters + " ", k=400))


def said(words: str, request: Request) -> str:
    """What is left of it in the error."""
    error: ProviderError = InvalidRequest(f"acme answered 400: wrong: <{words}>", provider="acme")
    return str(cleaned(error, (), quotable(request)))


@given(st.integers(0, 300), st.integers(20, 60), st.sampled_from([0, 1, 7, 99_990, 100_003]))
def test_a_quotation_is_found_wherever_it_stands(start: int, size: int, before: int) -> None:
    asked = Request((Message("user", "-" * before + WORDS),))
    quoted = WORDS.strip()[start : start + size]
    shown = said(quoted, asked)
    assert "[prompt]" in shown
    assert quoted[5:25] not in shown


def test_what_is_shorter_than_a_quotation_stays() -> None:
    asked = Request((Message("user", "The model is gpt-99 and the rest is said elsewhere"),))
    assert said("the model is gpt-99", asked) == "acme answered 400: wrong: <the model is gpt-99>"


@pytest.mark.parametrize("escaped", [0, 1, 2])
def test_letters_that_json_escapes_in_two_are_found_in_either_form(escaped: int) -> None:
    words = "🦜🦜 says 🦜 what it was asked 🦜"
    quoted = words
    for _ in range(escaped):
        quoted = json.dumps(quoted)[1:-1]
    assert said(quoted, Request((Message("user", words),))) == "acme answered 400: wrong: <[prompt]>"
    assert said(words, Request((Message("user", quoted),))) == "acme answered 400: wrong: <[prompt]>"


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param((Text("word " * 900_000),), id="long"),
        pytest.param((Text("word " * 500_000), Text("word " * 500_000)), id="long together"),
        pytest.param((Text('\\"' * 300_000),), id="many escapes"),
    ],
)
def test_where_too_much_was_asked_to_search_it_nothing_is_shown_of_what_the_vendor_said(
    asked: tuple[Text, ...],
) -> None:
    assert said("a text without any quotation", Request((Message("user", asked),))) == "acme answered 400: [prompt]"


def test_a_large_picture_costs_no_words_of_the_vendor_that_cannot_be_of_it() -> None:
    picture = Image("data:image/png;base64," + "QUJD" * 5_000_000)
    asked = Request((Message("user", (picture, File("data:application/pdf;base64," + "QUJD" * 5_000_000))),))
    assert said("the picture is too large", asked) == "acme answered 400: wrong: <the picture is too large>"


@pytest.mark.parametrize(
    ("quoted", "asked"),
    [
        ("ada.lovelace@patients.example", Request((Message("user", "hi", name="ada.lovelace@patients.example"),))),
        ("ada_lovelaces_diagnosis", Request((), extra={"metadata": {"ada_lovelaces_diagnosis": "yes"}})),
        ("4111111111111111111111", Request((), extra={"metadata": {"card": [4111111111111111111111]}})),
    ],
)
def test_who_spoke_and_keys_and_numbers_of_data_are_quotations_too(quoted: str, asked: Request) -> None:
    assert said(quoted, asked) == "acme answered 400: wrong: <[prompt]>"


def test_names_that_the_program_gave_stay_so_that_the_error_is_of_use() -> None:
    schema = {"type": "object", "properties": {"date_of_the_next_visit": {"type": "string"}}}
    asked = Request((), tools=(ToolSpec("look_up_the_next_visit", "", schema),), extra={"service_tier_of_requests": 1})
    words = "look_up_the_next_visit, date_of_the_next_visit, service_tier_of_requests"
    assert said(words, asked) == f"acme answered 400: wrong: <{words}>"
